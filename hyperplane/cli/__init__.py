"""The command `hyperplane`: its entry point, its errors and their exit codes."""

import contextlib
import gc
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from hyperplane.errors import EXIT_USAGE, HyperplaneError, HyperplaneWarning

if TYPE_CHECKING:
    from typer._click.exceptions import ClickException

EXIT_BUG = 70
EXIT_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line (default: of this process), and exit with the code that it comes to.

    Errors are one or two lines on stderr, without a traceback and without secrets.
    """
    # what is imported now stays: collecting garbage meanwhile takes a tenth of the start
    gc.disable()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", HyperplaneWarning)
            warnings.showwarning = _show_warning
            code = _run(sys.argv[1:] if argv is None else argv)
    except KeyboardInterrupt:  # before there is anything to interrupt
        code = EXIT_INTERRUPTED
    finally:
        gc.enable()
    sys.exit(code)


def _run(argv: Sequence[str]) -> int:
    import typer

    from hyperplane.cli.app import make_command

    # click's base of all usage errors, from whichever click this typer brings
    usage_error: type[ClickException] = typer.BadParameter.__mro__[2]
    try:
        result = make_command().main(list(argv), prog_name="hyperplane", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except HyperplaneError as error:
        return _fail(error.message, error.hint, error.exit_code)
    except usage_error as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # of whichever click, too
            _say(error.format_message())
            return EXIT_USAGE
        return _fail(error.format_message(), "`hyperplane --help` shows what there is.", EXIT_USAGE)
    except Exception as error:  # noqa: BLE001 - the last boundary: a user is never shown a traceback
        return _fail(*_unexpected(error))


def _fail(message: str, hint: str, code: int) -> int:
    from hyperplane.masking import process_masker

    _learn_secrets()
    lines = [f"hyperplane: error: {_one_line(message)}"]
    if hint:
        lines.append(f"  {_one_line(hint)}")
    _say(*map(process_masker().mask, lines))
    return code


def _learn_secrets() -> None:
    """Make known to the masker what can be known, for an error may come before anybody has done so."""
    from hyperplane.environment import ENV_FILE_NAME, Environment
    from hyperplane.errors import SettingsError
    from hyperplane.masking import process_masker
    from hyperplane.secretsources import register_all, standard_sources
    from hyperplane.settings import SECRET_ENV_VARIABLE, SECRETS_DIR_VARIABLE, JobSettings, listed

    for env_file in (None, ENV_FILE_NAME, ...):
        # what is wrong besides is not the error to tell of
        with contextlib.suppress(SettingsError, OSError), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            environment = Environment.capture(env_file=env_file)
            # not loaded: a wrong value in any other setting must not stand in the way
            settings = JobSettings(
                secrets_dir=environment.get(SECRETS_DIR_VARIABLE),
                secret_env=listed(environment.get(SECRET_ENV_VARIABLE) or ""),
            )
            register_all(process_masker(), environment, standard_sources(environment, settings))


def _unexpected(error: Exception) -> tuple[str, str, int]:
    """Return message, hint and exit code for what nobody foresaw; its own text may hold anything: unsaid."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = (
        f"{Path(trace.tb_frame.f_code.co_filename).name}, line {trace.tb_lineno}"
        if trace is not None
        else "?"
    )
    reason = f": {error.strerror}" if isinstance(error, OSError) and error.strerror else ""
    return (
        f"{type(error).__name__}{reason} in {place}",
        "This looks like a fault of hyperplane's own.",
        EXIT_BUG,
    )


def _show_warning(message: Warning | str, *_where: object, **_more: object) -> None:
    from hyperplane.masking import process_masker

    _say(process_masker().mask(f"hyperplane: warning: {_one_line(str(message))}"))


def _one_line(text: str) -> str:
    from hyperplane.journal import one_line

    return one_line(text.replace("\n", " "))


def _say(*lines: str) -> None:
    from hyperplane.journal import write_line

    with contextlib.suppress(OSError, ValueError):
        for line in lines:
            write_line(sys.stderr, line)
