"""What downloads and uploads share: the options, the threads, and how failures are told."""

import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NoReturn, TypeVar

from hyperplane.errors import HyperplaneError, TransferError
from hyperplane.transfer.filters import Filter
from hyperplane.transfer.outcome import ProgressCallback, Tally, Transfer
from hyperplane.transfer.workers import PATIENCE_S, Cancellation, Workers

T = TypeVar("T")

SMALL_THREADS = 24
# with what each has open, below the 256 files that some systems allow a process
MOST_THREADS = 64
RANGE_THREADS = max(4, min(16, os.cpu_count() or 1))
SHOWN_FAILURES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a folder is copied. `threads`: how many files at once; by default as many as are of use."""

    filter: Filter = field(default_factory=Filter)
    min_files: int = 0
    skip_unchanged: bool = False
    progress: ProgressCallback | None = None
    threads: int | None = None


def run(
    work: Callable[[T], object],
    things: Iterable[T],
    options: Options,
    tally: Tally,
    cancellation: Cancellation,
    *,
    patience_s: float = PATIENCE_S,
) -> None:
    """Do the work in threads, and tell the progress meanwhile and in the end; the rest as `Workers`."""
    tell = options.progress

    def tick() -> None:
        if tell is not None:
            tell(tally.progress())

    workers = Workers(work, things, cancellation, patience_s=patience_s)
    if options.threads is None:
        workers.run(SMALL_THREADS, most=MOST_THREADS, tick=tick)
    else:
        workers.run(options.threads, tick=tick)
    tick()


def at_least(things: Iterator[T], wanted: int, what: str) -> Iterator[T]:
    """Return the same things. Raises `TransferError`, before any was used, where there are fewer."""
    first = list(itertools.islice(things, wanted))
    if len(first) < wanted:
        raise TransferError(
            f"{len(first)} files of {what} fit, and at least {wanted} were wanted",
            hint="Look at the filter and the folder, or ask for fewer with min_files.",
        )
    return itertools.chain(first, things)


def raise_fatal(error: OSError, tally: Tally, what: str, transfer: Transfer) -> NoReturn:
    """Raise what ended a transfer: an error of the store as it is, one of the disk with what was copied."""
    if isinstance(error, HyperplaneError):
        raise error
    raise _failed(tally, what, transfer) from error


def finished(tally: Tally, what: str, transfer: Transfer) -> Transfer:
    """Return what was copied. Raises `TransferError` where some could not be."""
    if tally.failures:
        raise _failed(tally, what, transfer)
    return transfer


def _failed(tally: Tally, what: str, transfer: Transfer) -> TransferError:
    failures = dict(sorted(tally.failures.items()))
    shown = [_told(name, error) for name, error in itertools.islice(failures.items(), SHOWN_FAILURES)]
    more = f"; and {len(failures) - len(shown)} more" if len(failures) > len(shown) else ""
    count = f"{len(failures)} file{'' if len(failures) == 1 else 's'}"
    return TransferError(
        f"{count} of {what} could not be copied, {len(tally.done)} were: {'; '.join(shown)}{more}",
        hint="error.failures has all of them, error.transfer what was copied.",
        failures=failures,
        transfer=transfer,
    )


def _told(name: str, error: Exception) -> str:
    if isinstance(error, HyperplaneError):
        return error.message
    reason = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
    return f"{name!r}: {reason}"
