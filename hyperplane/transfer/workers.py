"""Work on many things at once, in threads that stop when the caller is interrupted."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Generic, TypeVar

T = TypeVar("T")

TICK_S = 0.1
PATIENCE_S = 5.0
BUSY = 0.5


class Cancelled(BaseException):
    """The work is not wanted any more. Raised in workers alone."""


class Cancellation:
    """Whether the work is still wanted; that of a part of it ends with that of the whole too."""

    def __init__(self, whole: "Cancellation | None" = None) -> None:
        self._event = threading.Event()
        self._whole = whole

    def set(self) -> None:
        """Have all workers end."""
        self._event.set()

    @property
    def is_set(self) -> bool:
        """Whether they are to end."""
        return self._event.is_set() or (self._whole is not None and self._whole.is_set)

    def check(self) -> None:
        """Raise `Cancelled` when they are to end."""
        if self.is_set:
            raise Cancelled

    def sleep(self, seconds: float) -> None:
        """Wait, at most until they are to end. Raises `Cancelled` then."""
        if self._event.wait(seconds):
            raise Cancelled


class Workers:
    """Threads that take one thing after the other; the first exception of one of them ends all.

    `patience_s`: how long they are waited for when the caller is interrupted.
    """

    def __init__(
        self,
        work: Callable[[T], object],
        things: Iterable[T],
        cancellation: Cancellation,
        *,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._patience_s = patience_s
        self._work = work
        self._things = iter(things)
        self._cancellation = cancellation
        self._taking = threading.Lock()
        self._error: BaseException | None = None
        self._counting = threading.Lock()
        self._running = 0
        self._are_done = threading.Event()

    def run(self, threads: int, *, most: int = 0, tick: Callable[[], object] = lambda: None) -> None:
        """Have everything done; `tick` is called in this thread meanwhile, about ten times a second.

        As long as the threads leave this process idle, for they wait for others, there are twice as many,
        up to `most`. When this thread is interrupted, the workers are told, and waited for, but not for
        ever.
        """
        load = _Load()
        try:
            self._start(threads)
            while not self._are_done.wait(TICK_S):
                tick()
                if load.since_last() < BUSY and threads < most:
                    more = min(threads, most - threads)
                    self._start(more)
                    threads += more
        except BaseException:
            self._cancellation.set()
            # not joined: Python 3.11 takes a thread for ended when that is interrupted by an exception
            self._are_done.wait(self._patience_s)
            raise
        if self._error is not None:
            raise self._error

    def _start(self, threads: int) -> None:
        self._enter()
        try:
            for number in range(threads):
                self._enter()
                threading.Thread(target=self._run, daemon=True, name=f"transfer-{number}").start()
        finally:
            self._leave()

    def _run(self) -> None:
        try:
            self._work_on()
        finally:
            self._leave()

    def _enter(self) -> None:
        with self._counting:
            self._running += 1

    def _leave(self) -> None:
        with self._counting:
            self._running -= 1
            if not self._running:
                self._are_done.set()

    def _work_on(self) -> None:
        try:
            while not self._cancellation.is_set:
                with self._taking:
                    if self._error is not None or (thing := next(self._things, None)) is None:
                        return
                self._work(thing)
        except Cancelled:
            return
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        self._cancellation.set()
        with self._taking:
            self._error = self._error or error


def each(
    work: Callable[[T], object],
    things: Iterable[T],
    *,
    threads: int,
    tick: Callable[[], object] = lambda: None,
) -> None:
    """Have everything done in so many threads, as `Workers` do; `tick` is called at the end, too."""
    Workers(work, things, Cancellation()).run(threads, tick=tick)
    tick()


class _Load:
    """How much of one processor this process uses."""

    def __init__(self) -> None:
        self._wall_s, self._cpu_s = time.monotonic(), time.process_time()

    def since_last(self) -> float:
        """Return the part of the time since the last call, or since the beginning."""
        before = self._wall_s, self._cpu_s
        self._wall_s, self._cpu_s = time.monotonic(), time.process_time()
        return (self._cpu_s - before[1]) / (self._wall_s - before[0])


def ahead(things: Iterator[T]) -> Iterator[T]:
    """Yield the same, each next one being made in a thread while the one before it is used."""
    upcoming = _Upcoming(things)
    while True:
        found = upcoming.get()
        if not found:
            return
        upcoming = _Upcoming(things)
        yield found[0]


class _Upcoming(Generic[T]):
    """The next of some things, on its way."""

    def __init__(self, things: Iterator[T]) -> None:
        self._things = things
        self._found: list[T] = []
        self._error: BaseException | None = None
        self._is_here = threading.Event()
        threading.Thread(target=self._make, daemon=True, name="transfer-ahead").start()

    def get(self) -> list[T]:
        """Wait for it; nothing in the list means that there is none."""
        self._is_here.wait()
        if self._error is not None:
            raise self._error
        return self._found

    def _make(self) -> None:
        try:
            self._found = list(islice(self._things, 1))
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            self._error = error
        finally:
            self._is_here.set()


class Turns:
    """Has threads do what is quick one after the other, and what is not at once.

    Several that ask the system for much at the same time spend more on the interpreter's lock than they
    gain. Who has waited for `patience_s` goes ahead: it is the disk then that is slow.
    """

    def __init__(self, patience_s: float = 0.005) -> None:
        self._patience_s = patience_s
        self._turn = threading.Lock()

    @contextmanager
    def take(self) -> Iterator[None]:
        """Wait for a turn, but not for long, and have it within the block."""
        is_ours = self._turn.acquire(timeout=self._patience_s)
        try:
            yield
        finally:
            if is_ours:
                self._turn.release()


class Budget:
    """An amount that may be used at once; one thing that needs more than all of it waits for all of it."""

    def __init__(self, amount: int) -> None:
        self._amount = self._left = amount
        self._condition = threading.Condition()

    @contextmanager
    def use(self, amount: int) -> Iterator[None]:
        """Wait until there is as much, and have it within the block."""
        taken = self.take(amount)
        try:
            yield
        finally:
            self.give_back(taken)

    def take(self, amount: int) -> int:
        """Wait until there is as much, and return what is to be given back."""
        wanted = min(amount, self._amount)
        with self._condition:
            self._condition.wait_for(lambda: self._left >= wanted)
            self._left -= wanted
        return wanted

    def give_back(self, amount: int) -> None:
        """Let others have it."""
        with self._condition:
            self._left += amount
            self._condition.notify_all()
