"""`hyperplane doctor`: what a job would be told here, and whether it can work."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from hyperplane.doctor import Diagnosis, Problem


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(doctor)


def doctor(
    job_file: Annotated[
        Path | None,
        typer.Argument(metavar="[JOB.yaml]", help="A job file to look at too.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> int:
    """Show every declared setting, parameter, input and secret with where it comes from, and what is broken.

    Values of secrets are never shown. The exit code is 1 when something is broken.
    """
    from hyperplane.cli import tables
    from hyperplane.doctor import examine

    diagnosis = examine(job_file)
    tables.print_json(diagnosis.as_dict()) if as_json else _print(diagnosis)
    return 0 if diagnosis.is_healthy else 1


def _print(diagnosis: "Diagnosis") -> None:
    _say(str(diagnosis.explanation))
    _say("")
    _say(f"platform: {diagnosis.platform}" + "".join(f" ({evidence})" for evidence in diagnosis.evidence))
    _say(f"outputs: {diagnosis.outputs}")
    _say("only under `hyperplane run`:")
    for line in diagnosis.only_under_runner:
        _say(f"  {line}")
    for problem in diagnosis.problems:
        _print_problem(problem)
    _say("nothing is broken" if diagnosis.is_healthy else "something is broken: see above")


def _print_problem(problem: "Problem") -> None:
    _say(f"{'broken' if problem.is_broken else 'warning'}: {problem.message}")
    if problem.hint:
        _say(f"  {problem.hint}")


def _say(text: str) -> None:
    from hyperplane.journal import one_line, write_line

    for line in text.split("\n"):
        write_line(sys.stdout, one_line(line))
