"""The commands of `hyperplane`, put together."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from hyperplane.cli import deliver, doctor, run, runs, s3, secrets

if TYPE_CHECKING:
    from collections.abc import Callable

GROUPS: "tuple[Callable[[typer.Typer], None], ...]" = (
    run.add_to,
    runs.add_to,
    deliver.add_to,
    s3.add_to,
    secrets.add_to,
    doctor.add_to,
)


def make_app() -> typer.Typer:
    """Return the command line with all of its commands."""
    app = typer.Typer(
        name="hyperplane",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    for add_to in GROUPS:
        add_to(app)
    return app


def make_command() -> Any:
    """Return the same as a click command."""
    return typer.main.get_command(make_app())


def _show_version(is_wanted: bool) -> None:
    if is_wanted:
        import hyperplane

        typer.echo(f"hyperplane {hyperplane.__version__}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version and exit."),
    ] = False,
) -> None:
    """Run jobs that find their secrets, parameters, inputs and outputs wherever they run."""
