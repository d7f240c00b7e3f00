"""`hyperplane.run`: a job's main function, from the command line to the exit code."""

import contextlib
import sys
import threading
import traceback
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Iterator,
    Mapping,
    Sequence,
)
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, Unpack, overload

from hyperplane.context import ContextOptions, JobContext
from hyperplane.errors import DeliveryError, HyperplaneError, UsageError
from hyperplane.masking import process_masker

if TYPE_CHECKING:
    from hyperplane.facets.params import Params

M = TypeVar("M")
EXIT_FAILED = 1
EXIT_INTERRUPTED = 130


@overload
def run(
    main: "Callable[[JobContext[Params]], object]",
    *,
    params: Mapping[str, object] | None = None,
    **options: Unpack[ContextOptions],
) -> NoReturn: ...
@overload
def run(
    main: Callable[[JobContext[M]], object], *, params: type[M], **options: Unpack[ContextOptions]
) -> NoReturn: ...
@overload
def run(
    main: Callable[[JobContext[M]], object], *, params: M, **options: Unpack[ContextOptions]
) -> NoReturn: ...
def run(
    main: Callable[[Any], object],
    *,
    params: Any = None,
    argv: Sequence[str] | None = None,
    **options: Any,
) -> NoReturn:
    """Open a context over the command line, call `main(ctx)`, and exit with the code that tells how it ended.

    `argv`: instead of `sys.argv[1:]`. The other keywords are those of `JobContext`. Exit codes: 0
    succeeded, 143 asked to stop, 64 wrong parameters, 78 a missing secret or setting, 1 any other
    error. What `main` returns is ignored; an `async def` or a generator function is a `UsageError`.
    Errors of ours are two lines on stderr; a traceback that would show a secret is masked, that of a
    thread too.
    """
    arguments = sys.argv[1:] if argv is None else argv
    try:
        with _masked_threads(), JobContext(params=params, argv=arguments, **options) as context:
            _call(main, context)
    except HyperplaneError as error:
        sys.exit(_print_error(error))
    except BaseException as error:
        if _say_masked(_last_words(error)):
            sys.exit(EXIT_INTERRUPTED if isinstance(error, KeyboardInterrupt) else EXIT_FAILED)
        raise
    sys.exit(0)


def _call(main: Callable[[Any], object], context: JobContext[Any]) -> None:
    result = main(context)
    if not isinstance(result, Awaitable | Generator | AsyncGenerator):
        return
    if isinstance(result, Coroutine):
        result.close()  # or Python warns that nobody awaited it
    name = getattr(main, "__name__", type(main).__name__)
    raise UsageError(
        f"{name} has not run: calling it gives a {type(result).__name__}",
        hint="Give hyperplane.run a plain function; one that calls asyncio.run() will do.",
    )


def _print_error(error: HyperplaneError) -> int:
    from hyperplane.journal import say_error

    if not (isinstance(error, DeliveryError) and error.is_said):
        say_error(error, process_masker())
    return error.exit_code


def _last_words(error: BaseException) -> str:
    """Return what Python says on stderr of a process that ends with this."""
    if not isinstance(error, SystemExit):
        return "".join(traceback.format_exception(error))
    return "" if error.code is None or isinstance(error.code, int) else str(error.code)


def _say_masked(text: str) -> bool:
    """Say a text without its secrets, and whether it had any; without, it is left to others."""
    if not process_masker().contains_secret(text):
        return False
    from hyperplane.journal import say

    say(text.rstrip("\n"), process_masker())
    return True


@contextlib.contextmanager
def _masked_threads() -> Iterator[None]:
    """Have no secret shown of a thread that dies; those without one are for the hook that was there."""
    previous = threading.excepthook

    def show(args: Any) -> None:
        name = "?" if args.thread is None else args.thread.name
        trace = traceback.format_exception(args.exc_type, args.exc_value, args.exc_traceback)
        text = f"Exception in thread {name}:\n{''.join(trace)}"
        if args.exc_type is SystemExit or not _say_masked(text):
            previous(args)

    threading.excepthook = show
    try:
        yield
    finally:
        if threading.excepthook is show:
            threading.excepthook = previous
