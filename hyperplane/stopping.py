"""Being asked to stop: signals and deadlines, and how a job learns of them in time."""

import _thread
import contextlib
import math
import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime
from types import FrameType
from typing import Any

from hyperplane.errors import JobStopped
from hyperplane.locks import renew_after_fork
from hyperplane.masking import process_masker

LONGEST_RESERVE_S = 30.0
LONGEST_UNWINDING_S = 1.0
# clocks are set and machines sleep: how long a deadline may go unwatched
LONGEST_NAP_S = 60.0
TELLING_PATIENCE_S = 1.0


def reserve_of(grace_s: float) -> float:
    """Return the part of the grace that is kept for delivery, in seconds."""
    return min(grace_s / 2, LONGEST_RESERVE_S)


def working_time_under_runner(grace_s: float) -> float:
    """Return the seconds a job has after the stop, so that it has unwound when the runner kills it."""
    until_killed = grace_s - reserve_of(grace_s)
    return until_killed - min(LONGEST_UNWINDING_S, until_killed / 4)


class Stopping:
    """Whether the job was asked to stop, how long it has left, and whom to tell.

    `grace_s`: seconds from the request until the job is gone. `working_s`: until a job that goes on is
    ended by `JobStopped` in the main thread. `deadline`: when the platform ends the job; the request comes
    `grace_s` before it. `on_request`: called once with the reason, in a thread of its own.
    `requested_at`: when the request came, on the monotonic clock. `was_seen`: the job has learned of it,
    by a poll, a callback or `JobStopped`.
    """

    def __init__(
        self,
        *,
        grace_s: float,
        working_s: float,
        signals: tuple[str, ...] = (),
        deadline: datetime | None = None,
        on_request: Callable[[str], object] | None = None,
    ) -> None:
        self.grace_s = grace_s
        self._working_s = working_s
        self._signals = tuple(getattr(signal, name) for name in dict.fromkeys(("SIGTERM", *signals)))
        self._stop_at = None if deadline is None else deadline.timestamp() - grace_s
        self._callbacks: deque[Callable[[], object]] = deque()
        self._on_request = on_request
        self._first = deque([None])  # emptied by the first request; popleft is atomic without a lock
        self._reason: str | None = None
        self.requested_at: float | None = None
        self._work_ends_at = math.inf
        self._previous: dict[int, Any] = {}
        self._outer: Stopping | None = None
        self._our_handler = self._handle
        self._interrupting = threading.Lock()
        self._told = threading.Event()
        self._over = threading.Event()
        self._is_installed = False
        self._is_cooperative = False
        self._is_due = False
        self._is_over = False
        self.was_seen = False
        renew_after_fork(self)

    def install(self) -> None:
        """Take over the stop signals, where this is the main thread, and watch the deadline."""
        if _is_main_thread():
            self._is_installed = True
            for number in self._signals:
                self._previous[number] = signal.signal(number, self._our_handler)
            self._join(_owner(self._previous[signal.SIGTERM]))
        if self._stop_at is not None:
            _start(self._watch_deadline, self._stop_at)

    def finish(self) -> bool:
        """Raise nothing in the main thread from here on, and return whether the job has seen a request."""
        self._is_over = True
        self._over.set()
        if self._reason is not None and self._on_request is not None:
            self._told.wait(TELLING_PATIENCE_S)
        return self.was_seen

    def uninstall(self) -> None:
        """Put back the handlers that were there, where nobody has replaced ours."""
        with self._interrupting:
            for number in self._previous if _is_main_thread() else ():
                if signal.getsignal(number) is self._our_handler:
                    signal.signal(number, self._replaced(number))
            self._is_installed = False

    def renew(self) -> None:
        """Leave the signals alone in a forked child, which its parent may want to end with SIGTERM."""
        self._interrupting = threading.Lock()
        self._over = threading.Event()
        self._callbacks.clear()
        self._on_request = None
        self.uninstall()

    def poll(self) -> bool:
        """Say whether the job was asked to stop; a job that has polled is trusted to end itself."""
        is_requested = self._is_requested()
        self.was_seen = self.was_seen or is_requested
        return is_requested

    def raise_if_requested(self, any_rank: Callable[[bool], object] | None = None) -> None:
        """Raise `JobStopped` when this process was asked to stop; with `any_rank`, when that says so."""
        is_requested = self._is_requested()
        # a signal that comes meanwhile must wait for the next time: the other ranks have not heard of it
        if is_requested if any_rank is None else any_rank(is_requested):
            self.request("another rank was asked to stop")
            self.was_seen = True
            raise JobStopped(self._reason or "")

    def add_callback(self, cancel: Callable[[], object]) -> None:
        """Have `cancel` called once, in a thread of its own, as soon as the job is asked to stop."""
        self._trust()
        self._callbacks.append(cancel)
        if self._reason is not None:
            self._run_callbacks()

    @property
    def reason(self) -> str | None:
        """Why the job was asked to stop, or None; reading it is not polling."""
        return self._reason

    def seconds_left(self) -> float:
        """Return the seconds until the job must have ended its own work; infinite when nobody asked."""
        self.poll()
        if self._reason is not None:
            return max(0.0, self._work_ends_at - time.monotonic())
        if self._stop_at is not None:
            return max(0.0, self._stop_at + self._working_s - time.time())
        return math.inf

    def request(self, reason: str, *, deadline_s: float | None = None) -> None:
        """Ask the job to stop; the first reason stays. `deadline_s`: seconds instead of the usual ones."""
        try:
            self._first.popleft()
        except IndexError:
            return
        self.requested_at = time.monotonic()
        self._work_ends_at = self.requested_at + (self._working_s if deadline_s is None else deadline_s)
        self._reason = reason
        _start(self._tell, reason)
        _start(self._follow)

    def _join(self, outer: "Stopping | None") -> None:
        self._outer = outer
        if outer is not None and outer.reason is not None:
            self.request(outer.reason, deadline_s=outer._work_ends_at - time.monotonic())  # noqa: SLF001

    def _open_ones(self) -> "Iterator[Stopping]":
        stopping: Stopping | None = self
        while stopping is not None:
            if stopping is self or stopping._is_installed:  # noqa: SLF001 - one of us
                yield stopping
            stopping = stopping._outer  # noqa: SLF001

    def _trust(self) -> None:
        for stopping in self._open_ones():
            stopping._is_cooperative = True  # noqa: SLF001 - the job is one, however many contexts it opens

    @property
    def _is_trusted(self) -> bool:
        return any(stopping._is_cooperative for stopping in self._open_ones())  # noqa: SLF001

    def _is_requested(self) -> bool:
        self._trust()
        self._check_deadline()
        return self._reason is not None

    def _handle(self, number: int, frame: FrameType | None) -> None:
        # a handler may interrupt any line of ours, so nothing here or in request takes a lock
        if not self._is_installed:
            self._give_way(number, frame)
            return
        if not self._is_due:
            self._take(number, frame)
        if not self._is_over and (self._is_due or not self._is_trusted):
            for stopping in self._open_ones():
                stopping._is_over = stopping.was_seen = True  # noqa: SLF001
            raise JobStopped(self._reason or "")

    def _take(self, number: int, frame: FrameType | None) -> None:
        self.request(signal.Signals(number).name)
        previous = self._replaced(number)
        outer = _owner(previous)
        if outer is not None:
            outer._take(number, frame)  # noqa: SLF001
        elif callable(previous) and previous is not signal.default_int_handler:
            previous(number, frame)

    def _give_way(self, number: int, frame: FrameType | None) -> None:
        """Do what would happen without us: somebody has put us back after our context had closed."""
        previous = self._replaced(number)
        if signal.getsignal(number) is self._our_handler:
            signal.signal(number, previous)
            signal.raise_signal(number)
        elif callable(previous):
            previous(number, frame)

    def _replaced(self, number: int) -> Any:
        """Return the handler that ours took the place of, those of closed contexts excepted."""
        previous = self._previous.get(number)
        outer = _owner(previous)
        if outer is not None and not outer._is_installed:  # noqa: SLF001
            return outer._replaced(number)  # noqa: SLF001
        return signal.SIG_DFL if previous is None else previous

    def _tell(self, reason: str) -> None:
        if (on_request := self._on_request) is not None:
            _call(lambda: on_request(reason))
        self._told.set()

    def _follow(self) -> None:
        self._run_callbacks()
        if not self._over.wait(max(0.0, self._work_ends_at - time.monotonic())):
            self._interrupt_main()

    def _watch_deadline(self, stop_at: float) -> None:
        while (seconds := stop_at - time.time()) > 0:
            if self._over.wait(min(seconds, LONGEST_NAP_S)):
                return
        self._check_deadline()
        if not self._is_trusted:
            self._interrupt_main()

    def _check_deadline(self) -> None:
        if self._stop_at is not None and time.time() >= self._stop_at:
            self.request("the deadline is near")

    def _interrupt_main(self) -> None:
        with self._interrupting:
            ours = [number for number in self._previous if signal.getsignal(number) is self._our_handler]
            if ours and self._is_installed and not self._is_over:
                self._is_due = True
                signal.pthread_kill(_main_thread_id(), ours[0])

    def _run_callbacks(self) -> None:
        while self._callbacks:
            self.was_seen = True
            with contextlib.suppress(IndexError):
                _start(_call, self._callbacks.popleft())


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _main_thread_id() -> int:
    identity = threading.main_thread().ident
    assert identity is not None  # noqa: S101 - the main thread is always started
    return identity


def _owner(handler: object) -> Stopping | None:
    owner = getattr(handler, "__self__", None)
    return owner if isinstance(owner, Stopping) else None


def _start(function: Callable[..., None], *arguments: object) -> None:
    # threading.Thread takes locks, which a signal handler may find taken by what it interrupts;
    # and where no thread is to be had, the job still hears of the stop when it polls
    with contextlib.suppress(RuntimeError):
        _thread.start_new_thread(_run_traced, (function, arguments))


def _run_traced(
    function: Callable[..., None], arguments: tuple[object, ...]
) -> None:  # pragma: no cover - untraced
    # threading.Thread does this for its own, so that debuggers and coverage see what runs there
    if (trace := threading.gettrace()) is not None:
        sys.settrace(trace)
    function(*arguments)


def _call(cancel: Callable[[], object]) -> None:
    try:
        cancel()
    except Exception:  # noqa: BLE001 - a callback of the job's must not end the thread in silence
        from hyperplane.journal import say

        say(f"hyperplane: a stop callback failed:\n{traceback.format_exc()}", process_masker())
