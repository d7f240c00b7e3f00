"""`ctx.report`, `ctx.metric`, `ctx.progress`: what a job says about itself, as events of its run."""

import contextlib
import json
import math
import operator
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TextIO

from hyperplane.errors import UsageError
from hyperplane.journal import Journal, one_line, presentable, say, write_line
from hyperplane.locks import ForkSafeLock
from hyperplane.masking import Masker

PROGRESS_PAUSE_S = 0.1
_NEEDS_QUOTES = frozenset(" \t=\"'")


class _Progress(NamedTuple):
    done: float
    total: float
    pid: int


class Events:
    """Reports, metrics and progress of one process of a job. Without a journal only reports show.

    `stdout`: where reports go; None stands for `sys.stdout` at each report. An event that cannot be
    stored costs the job nothing: it is counted in `lost`, and the first one is said on stderr.
    """

    def __init__(
        self,
        journal: Journal | None = None,
        *,
        masker: Masker,
        stdout: TextIO | None = None,
        rank: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._journal = journal
        self._masker = masker
        self._stdout = stdout
        self._rank = rank
        self._clock = clock
        self._throttle = ForkSafeLock()
        self._waiting: _Progress | None = None
        self._written: _Progress | None = None
        self._next_at = -math.inf
        self._is_heard = True

    @property
    def lost(self) -> int:
        """How many events could not be stored."""
        return self._journal.lost if self._journal is not None else 0

    def report(self, message: object, /, **fields: object) -> None:
        """Report something important: one line on stdout, and an event.

        Secrets are masked, control characters shown as escapes, more than 64 Ki characters cut.
        """
        record = presentable({"message": str(message), "fields": fields}, self._masker)
        # Stored first: a stdout that nobody reads any more must not cost the event.
        self._note("report", **record)
        line = _line(self._rank, record["message"], record["fields"])
        try:
            write_line(self._stdout if self._stdout is not None else sys.stdout, line)
        except (OSError, ValueError) as error:
            self._say_unheard(error)

    def metric(self, name: str, value: float, *, step: int | None = None) -> None:
        """Record a number: whatever `float()` takes, a scalar of numpy or torch too; texts excepted.

        NaN and infinities are kept, and so is a step that goes back.
        Raises `UsageError` for a name that is no text or empty, and for what is no number.
        """
        if not _is_name(name):
            raise UsageError(f"the name of a metric is a text that is not empty, not {name!r}")
        self._note("metric", name=name, value=_number(f"the metric {name!r}", value), step=_step(name, step))

    def progress(self, done: float, total: float = 1.0) -> None:
        """Say how much is done, of how much; more than all of it counts as all.

        At most ten events a second are stored, and always the last.
        Raises `UsageError` for what is no finite number, or negative.
        """
        done, total = _amount("done", done), _amount("total", total)
        latest = _Progress(min(done, total), total, os.getpid())
        with self._throttle:
            now = self._clock()
            is_new_end = latest.done == latest.total and latest != self._written
            if now < self._next_at and not is_new_end:
                self._waiting = latest
                return
            self._next_at = now + PROGRESS_PAUSE_S
            self._write(latest)

    def close(self) -> None:
        """Store the progress that still waits; everything goes on working."""
        with self._throttle:
            # In a forked child it is the parent's, who stores it.
            if self._waiting is not None and self._waiting.pid == os.getpid():
                self._write(self._waiting)

    def _write(self, progress: _Progress) -> None:
        self._waiting, self._written = None, progress
        self._note("progress", done=progress.done, total=progress.total)

    def _note(self, kind: str, /, **fields: Any) -> None:
        if self._journal is not None:
            rank = {"rank": self._rank} if self._rank else {}
            self._journal.note(kind, **fields, **rank)

    def _say_unheard(self, error: Exception) -> None:
        if self._is_heard:
            say(f"hyperplane: reports cannot be shown on stdout: {error}", self._masker)
        self._is_heard = False


def _line(rank: int, message: str, fields: Mapping[str, Any] | str) -> str:
    source = f"[rank {rank}] " if rank else ""
    named = fields if isinstance(fields, Mapping) else {"fields": fields}
    return one_line(source + message + "".join(f" {name}={_shown(value)}" for name, value in named.items()))


def _shown(value: Any) -> str:
    if isinstance(value, str) and value and not _NEEDS_QUOTES.intersection(value):
        return value
    return json.dumps(value, ensure_ascii=False)


def _is_name(name: object) -> bool:
    return isinstance(name, str) and name != ""


def _number(what: str, value: object) -> float:
    if not isinstance(value, str | bytes | bytearray):
        with contextlib.suppress(Exception):  # a type's own __float__ may raise anything
            return float(value)  # type: ignore[arg-type]  # it raises for what is no number
    raise UsageError(f"{what} was given a {type(value).__name__} that is no number")


def _step(name: str, step: int | None) -> int | None:
    try:
        return None if step is None else operator.index(step)
    except TypeError:
        raise UsageError(
            f"the metric {name!r} was given a step that is a {type(step).__name__}",
            hint="A step is a whole number; give anything else as a metric of its own.",
        ) from None


def _amount(what: str, value: float) -> float:
    amount = _number(f"progress: {what}", value)
    if not 0 <= amount < math.inf:
        raise UsageError(f"progress: {what} is {amount}, and should be finite and not negative")
    return amount
