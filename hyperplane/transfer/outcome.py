"""What became of a transfer, as data."""

import errno
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar, overload

from hyperplane.errors import CredentialsError, StoreError

T = TypeVar("T")

STORE_FAILURES_BORNE = 20
_DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})


class Derived(Sequence[T], Generic[T]):
    """A sequence of what a function makes of names, when it is asked: of 100,000 files the names do."""

    def __init__(self, make: Callable[[str], T], names: Sequence[str]) -> None:
        self._make = make
        self._names = names

    def __len__(self) -> int:
        return len(self._names)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        if isinstance(index, slice):
            return Derived(self._make, self._names[index])
        return self._make(self._names[index])

    def __iter__(self) -> Iterator[T]:
        return map(self._make, self._names)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # like a list

    def __repr__(self) -> str:
        return repr(list(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """What was copied: `files` here and `urls` there, in the same order, by name.

    `skipped`: the names, relative to the source folder, of files that had not changed. `size_bytes`
    and `seconds` are of what was copied.
    """

    files: Sequence[Path]
    urls: Sequence[str]
    skipped: Sequence[str] = ()
    size_bytes: int = 0
    seconds: float = 0.0

    @property
    def bytes_per_second(self) -> float:
        """The rate, over all files."""
        return self.size_bytes / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a transfer is. What is still to come is not known before the source has been listed."""

    files: int
    size_bytes: int
    skipped: int
    seconds: float


ProgressCallback = Callable[[Progress], object]


@dataclass(slots=True)
class Tally:
    """What has happened so far; workers add to it."""

    done: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    failures: dict[str, Exception] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)
    size_bytes: int = 0
    _moved_bytes: int = 0
    _failures_in_a_row: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add_bytes(self, count: int) -> None:
        """Count bytes that have been copied, if only for nothing in the end."""
        with self._lock:
            self._moved_bytes += count

    def add_done(self, name: str, size_bytes: int) -> None:
        """Count a file that has been copied."""
        with self._lock:
            self.done.append(name)
            self.size_bytes += size_bytes
            self._failures_in_a_row = 0

    def add_failure(self, name: str, error: Exception) -> None:
        """Keep why a file could not be copied. Raises it where no other will fare better."""
        with self._lock:
            self.failures[name] = error
            self._failures_in_a_row += _is_of_store(error)
            is_down = self._failures_in_a_row >= STORE_FAILURES_BORNE
        if _concerns_all(error) or is_down:
            raise error

    @property
    def seconds(self) -> float:
        """The time since the start."""
        return time.monotonic() - self.started

    def progress(self) -> Progress:
        """Return how far it is."""
        return Progress(len(self.done), self._moved_bytes, len(self.skipped), self.seconds)


def _is_of_store(error: Exception) -> bool:
    """Say whether a store failed, however often it was tried, which other objects will meet too."""
    return type(error) is StoreError


def _concerns_all(error: Exception) -> bool:
    """Say whether the disk is full, the credentials are not taken, or there is no such bucket."""
    if isinstance(error, StoreError):
        return isinstance(error, CredentialsError) or error.code == "NoSuchBucket"
    return isinstance(error, OSError) and error.errno in _DISK_ERRORS
