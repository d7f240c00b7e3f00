"""The signals that the runner is sent, taken as data instead of interrupting what it does."""

import os
import signal
import threading
import time
from collections.abc import Iterable
from types import FrameType, TracebackType
from typing import Any, Self

from hyperplane.errors import RunnerError


class Signals:
    """Collects signals in a pipe: wait for `descriptor` to be readable, then `read` their numbers.

    SIGTERM, SIGINT, SIGHUP, SIGCHLD and what `more` names. One that the parent had us ignore, as `nohup`
    does, stays ignored. `stop_requested_at`: when the first that asks for a stop was read, on the monotonic
    clock. `is_hurried`: SIGINT has come twice.
    """

    def __init__(self, more: Iterable[str] = ()) -> None:
        names = dict.fromkeys(("SIGCHLD", "SIGTERM", "SIGINT", "SIGHUP", *more))
        self._numbers = [getattr(signal, name) for name in names]
        self._handlers: dict[int, Any] = {}
        self.descriptor = self._writer = -1
        self.stop_requested_at: float | None = None
        self._interrupts = 0

    def __enter__(self) -> Self:
        if threading.current_thread() is not threading.main_thread():
            raise RunnerError("the runner needs the main thread: only there are signals received")
        self.descriptor, self._writer = os.pipe()
        os.set_blocking(self.descriptor, False)
        os.set_blocking(self._writer, False)
        self._before = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in self._numbers:
            if signal.getsignal(number) is not signal.SIG_IGN or number == signal.SIGCHLD:
                self._handlers[number] = signal.signal(number, _noted)
        # the parent may have blocked what it waits for itself, and a job inherits that too
        self._mask = signal.pthread_sigmask(signal.SIG_UNBLOCK, self._handlers)
        return self

    def read(self) -> list[int]:
        """Return the numbers of the signals that have come since the last call, in their order."""
        try:
            numbers = list(os.read(self.descriptor, 4096))
        except BlockingIOError:
            return []
        if self.stop_requested_at is None and any(number != signal.SIGCHLD for number in numbers):
            self.stop_requested_at = time.monotonic()
        self._interrupts += numbers.count(signal.SIGINT)
        return numbers

    @property
    def is_stop_requested(self) -> bool:
        """Whether a signal that asks for a stop was read, however long ago."""
        return self.stop_requested_at is not None

    @property
    def is_hurried(self) -> bool:
        """Whether whoever sends SIGINT wants the end at once."""
        return self._interrupts > 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers.clear()
        signal.set_wakeup_fd(self._before)
        os.close(self.descriptor)
        os.close(self._writer)


def _noted(number: int, frame: FrameType | None) -> None:
    """Do nothing: the number is in the pipe already."""
