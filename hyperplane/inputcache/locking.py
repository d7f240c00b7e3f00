"""Locks between processes on files that may be removed meanwhile."""

import fcntl
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self


class Hold:
    """A lock that is held until it is closed, or until the last process that inherited it has died."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def touch(self) -> None:
        """Note that what is locked was used now."""
        os.utime(self._descriptor)

    def close(self) -> None:
        """Let the lock go; a forked child that has it too goes on holding it."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def share(path: Path) -> Hold | None:
    """Lock a file together with others, or return None where its folder is gone."""
    return _hold(path, fcntl.LOCK_SH, _silently)


def share_new(path: Path) -> Hold:
    """Lock a file together with others; its folder is made, as often as it goes."""
    while (hold := share(path)) is None:
        path.parent.mkdir(parents=True, exist_ok=True)
    return hold


def take(path: Path, *, waiting: Callable[[], object] | None = None) -> Hold | None:
    """Lock a file alone; `waiting` is called before this has to wait for others.

    Return None where the folder is gone and, without `waiting`, where others have the lock.
    """
    return _hold(path, fcntl.LOCK_EX, waiting)


def _silently() -> None:
    """Say nothing."""


def _hold(path: Path, kind: int, waiting: Callable[[], object] | None) -> Hold | None:
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except FileNotFoundError:
            return None
        hold = Hold(descriptor)
        try:
            if not _lock(descriptor, kind, waiting):
                hold.close()
                return None
            if _is_still(path, descriptor):
                return hold
        except BaseException:
            hold.close()
            raise
        hold.close()


def _lock(descriptor: int, kind: int, waiting: Callable[[], object] | None) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        return True
    if waiting is None:
        return False
    waiting()
    fcntl.flock(descriptor, kind)
    return True


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
