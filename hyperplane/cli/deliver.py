"""`hyperplane deliver` and `fetch`: runs brought to their destination, and back."""

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hyperplane.runs.finding import home_near, working_folder

if TYPE_CHECKING:
    from hyperplane.masking import Masker
    from hyperplane.rundir import RunDir
    from hyperplane.runs.delivering import Told


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (deliver, fetch):
        app.command(command.__name__)(command)


def deliver(
    run: Annotated[
        str, typer.Argument(metavar="[RUN]", help="The beginning of a run id or job id, or `last`.")
    ] = "last",
    all_runs: Annotated[bool, typer.Option("--all", help="Every run that waits for it.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Deliver a run that has ended, or what of it is not at its destination yet.

    The exit code is 75 while something is not delivered.
    """
    from hyperplane.cli import tables
    from hyperplane.masking import process_masker
    from hyperplane.runs.delivering import all_delivered, waiting_runs

    home = home_near(working_folder())
    runs = waiting_runs(home) if all_runs else [home.find(run)]
    told = [_deliver(found, process_masker()) for found in runs]
    plain = {"runs": [tables.told_dict(one) for one in told]}
    tables.print_json(plain) if as_json else tables.print_told(told)
    all_delivered(told)


def _deliver(run: "RunDir", masker: "Masker") -> "Told":
    from hyperplane.facets.outputs import seal_run
    from hyperplane.runs import delivering
    from hyperplane.runs.showing import Advance

    with closing(Advance.on_stderr(f"delivering {run.run_id}")) as advance:
        return delivering.deliver(run, seal=seal_run, masker=masker, progress=advance.show)


def fetch(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="The beginning of a run id or job id, or `last`.")
    ],
    target: Annotated[
        Path | None,
        typer.Argument(metavar="[TARGET]", help="The folder; default: the run id.", show_default=False),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="URL",
            help="The destination; default: HYPERPLANE_OUTPUT_URL.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Fetch a run that was delivered, and verify every file of it; what is there already is not fetched."""
    from hyperplane.cli import tables
    from hyperplane.masking import process_masker
    from hyperplane.runs import elsewhere
    from hyperplane.runs.showing import Advance

    masker = process_masker()
    found = elsewhere.find(elsewhere.open_url(url, masker, folder=working_folder()), run)
    folder = working_folder() / (target or found.run_id)
    with closing(Advance.on_stderr(f"fetching {found.run_id}")) as advance:
        final = found.fetch(
            folder, masker, tick=lambda files, size: advance.show({"files": files, "bytes": size})
        )
    tables.print_json(tables.fetched_dict(final, folder)) if as_json else tables.print_fetched(final, folder)
