"""Says on standard error how a run went, without waiting for ever for a reader."""

import contextlib
import selectors
import time
from collections.abc import Iterable

from hyperplane.journal import one_line
from hyperplane.runs.live import Live
from hyperplane.runs.signals import Signals

STOPPED_PATIENCE_S = 1.0
_STDERR = 2


def tell(lines: Iterable[str], signals: Signals) -> None:
    """Write lines, waiting for their reader as a pipe would; once a stop was asked for, not much longer."""
    show("".join(one_line(line) + "\n" for line in lines), signals)


def show(text: str, signals: Signals) -> None:
    """Write a text as it is, with the same patience."""
    with contextlib.closing(Live(_STDERR)) as live:
        live.write(text.encode(errors="backslashreplace"))
        if live.pending:
            _wait(live, signals)


def _wait(live: Live, signals: Signals) -> None:
    give_up_at = None
    with selectors.DefaultSelector() as selector:
        selector.register(signals.descriptor, selectors.EVENT_READ)
        selector.register(live.descriptor, selectors.EVENT_WRITE)
        while live.pending:
            signals.read()
            if signals.is_stop_requested and give_up_at is None:
                give_up_at = time.monotonic() + STOPPED_PATIENCE_S
            seconds_left = None if give_up_at is None else give_up_at - time.monotonic()
            if seconds_left is not None and seconds_left <= 0:
                return
            selector.select(seconds_left)
            live.flush()
