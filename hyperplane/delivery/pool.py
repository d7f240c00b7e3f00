"""Work on many things at once, in a few threads, which take one thing after the other."""

import threading
from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


def each(
    work: Callable[[T], object],
    things: Iterable[T],
    *,
    threads: int,
    tick: Callable[[], object] = bool,
    tick_s: float = 0.1,
) -> None:
    """Do the work on each thing; the first exception ends it, and is raised when all threads have ended.

    `tick`: called again and again meanwhile, in the thread that waits.
    """
    crew = _Crew(work, things)
    running = [threading.Thread(target=crew.run, daemon=True) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        while thread.is_alive():
            thread.join(tick_s)
            tick()
    if crew.error is not None:
        raise crew.error


class _Crew:
    """What the threads share."""

    def __init__(self, work: Callable[[T], object], things: Iterable[T]) -> None:
        self._work = work
        self._things = iter(things)
        self._taking = threading.Lock()
        self._local = threading.local()
        self.error: BaseException | None = None

    def _has_taken(self) -> bool:
        with self._taking:
            if self.error is not None:
                return False
            for thing in self._things:
                self._local.thing = thing
                return True
            return False

    def run(self) -> None:
        """Take things until there are no more, or somebody has failed."""
        try:
            while self._has_taken():
                self._work(self._local.thing)
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            with self._taking:
                self.error = self.error or error
