"""`hyperplane run`: runs a job file or a command."""

import gc
from typing import Annotated, Any

import typer
from typer.core import TyperCommand


class RunCommand(TyperCommand):
    """Takes options after a job file; after a command, every word belongs to that command."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Look at the first word before deciding where our options end."""
        from hyperplane.runs.plan import is_job_file

        ctx.allow_interspersed_args = False
        found, _, _ = self.make_parser(ctx).parse_args(args=list(args))
        ctx.allow_interspersed_args = is_job_file(found.get("words") or ())
        return super().parse_args(ctx, args)


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("run", cls=RunCommand)(run)


def run(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="JOB.yaml | COMMAND ...", help="What to run.", show_default=False),
    ] = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option(
            "-p",
            "--param",
            metavar="NAME=VALUE",
            help="A parameter, over the job file's.",
            show_default=False,
        ),
    ] = None,
    retry: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="Make a further attempt of that run's job.", show_default=False),
    ] = None,
    interactive: Annotated[
        bool, typer.Option("--interactive", help="Hand the terminal over to the job.")
    ] = False,
) -> int:
    """Run a job file or a command, and keep its output and its files in a run folder.

    Options stand before COMMAND: everything after it is the command's own. The exit code is the job's;
    128+N after signal N (143 stopped), 124 out of time, 126 and 127 for a command that cannot be run or
    is not there, 64 usage, 65 a bad job file, 78 a missing secret, setting or input.
    """
    from hyperplane.facets.outputs import seal_run
    from hyperplane.runs import runner
    from hyperplane.runs.plan import Request

    request = Request.of(
        tuple(words or ()), parameters=parameter or (), retry=retry, is_interactive=interactive
    )
    gc.freeze()
    gc.enable()
    return runner.run(request, seal=seal_run)
