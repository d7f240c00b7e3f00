"""What a forked child must find renewed: locks that were held in the parent, and the like."""

import os
import threading
import weakref
from types import TracebackType
from typing import Protocol


class Renewable(Protocol):
    """Something that has to be put in order in a forked child."""

    def renew(self) -> None:
        """Forget what belonged to the parent."""
        ...


_tracked: "weakref.WeakSet[Renewable]" = weakref.WeakSet()
_hook_lock = threading.Lock()
_is_hooked = False


class ForkSafeLock:
    """A reentrant lock, renewed in a forked child, where its holder may not exist any more."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        renew_after_fork(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()

    def renew(self) -> None:
        """Forget a holder that does not exist in this process; the thread that forked goes on holding it."""
        if self._lock.acquire(blocking=False):
            self._lock.release()
        else:
            self._lock = threading.RLock()


def renew_after_fork(thing: Renewable) -> None:
    """Have `thing.renew()` called in every forked child, as long as the thing lives."""
    global _is_hooked
    with _hook_lock:
        if not _is_hooked and hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=_hook_lock.acquire, after_in_parent=_hook_lock.release, after_in_child=_renew_all
            )
        _is_hooked = True
        _tracked.add(thing)


def _renew_all() -> None:
    _hook_lock.release()
    for thing in list(_tracked):
        thing.renew()
