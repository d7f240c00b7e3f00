"""`hyperplane runs`, `show`, `logs` and `prune`: what has been run, and what became of it."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from hyperplane.runs.finding import home_near, working_folder

if TYPE_CHECKING:
    from hyperplane.runs.record import RunRecord

Run = Annotated[str, typer.Argument(metavar="RUN", help="The beginning of a run id or job id, or `last`.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (runs, show, logs, prune):
        app.command(command.__name__)(command)


def runs(
    url: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="URL", help="List those at a destination instead.", show_default=False
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """List the runs of this project, or those at a destination, newest first."""
    from hyperplane.cli import tables

    records = _records_of(url)
    tables.print_json({"runs": [found.as_dict() for found in records]}) if as_json else tables.print_runs(
        records
    )


def _records_of(url: str | None) -> "list[RunRecord]":
    if url is None:
        from hyperplane.runs.survey import survey

        return survey(home_near(working_folder()))
    from hyperplane.masking import process_masker
    from hyperplane.runs import elsewhere

    return elsewhere.survey(elsewhere.open_url(url, process_masker(), folder=working_folder()))


def show(run: Run = "last", as_json: Json = False) -> None:
    """Show a run: how it went, its outputs and where they lie, its reports and metrics."""
    from hyperplane.cli import tables
    from hyperplane.runs.survey import details

    found = details(home_near(working_folder()).find(run))
    tables.print_json(tables.details_dict(found)) if as_json else tables.print_details(found)


def logs(
    run: Run = "last",
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on until the run has ended.")] = False,
    stderr: Annotated[
        bool, typer.Option("--stderr", help="Print the job's standard error too, on ours.")
    ] = False,
) -> None:
    """Print what a run wrote to its standard output."""
    from hyperplane.runs.follow import print_logs

    found = home_near(working_folder()).find(run)
    print_logs(found, stdout=_write_out, stderr=_write_error if stderr else None, follow=follow)


def prune(
    keep: Annotated[int, typer.Option(min=0, metavar="N", help="How many of the newest runs to keep.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
) -> None:
    """Remove the oldest runs of this project; one that is alive or waits to be delivered stays."""
    from hyperplane.cli import tables
    from hyperplane.runs.prune import prune as remove_oldest

    removed = remove_oldest(home_near(working_folder()), keep=keep, dry_run=dry_run)
    tables.print_pruned(removed, dry_run=dry_run)


def _write_out(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _write_error(data: bytes) -> None:
    sys.stderr.buffer.write(data)
    sys.stderr.buffer.flush()
