"""What an object store is to the rest of the package: listing, reading, writing and deleting."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

Buffer = bytes | bytearray | memoryview
Chunks = Callable[[], Iterable[Buffer]]
"""Makes the chunks of one object, and makes them anew where an upload has to be repeated."""

PART_BYTES = 8 << 20
MOST_PARTS = 10_000


class ObjectInfo(NamedTuple):
    """What a store says of an object; `modified` is aware, `etag` is in its quotes, as it was sent."""

    key: str
    size_bytes: int
    modified: datetime | None = None
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """One object, or a range of it, on its way: what it is, and its bytes in the order of the object."""

    info: ObjectInfo
    chunks: Iterator[Buffer]


class ObjectStore(Protocol):
    """One bucket. Every method raises `StoreError` or a kind of it, naming the object."""

    url: str

    def pages(self, prefix: str = "", *, after: str = "") -> Iterator[list[ObjectInfo]]:
        """Yield all objects whose keys begin with `prefix`, behind the key `after`, in pages."""
        ...

    def head(self, key: str) -> ObjectInfo:
        """Return what the store knows of one object. Raises `ObjectNotFoundError`."""
        ...

    def read(self, key: str, start: int = 0, stop: int | None = None, *, etag: str | None = None) -> Reading:
        """Read an object from `start` up to, not including, `stop`, which is within it.

        `etag`: only this version of it; another one is an `ObjectChangedError`.
        """
        ...

    def write(self, key: str, data: Buffer, *, is_new: bool = False) -> str | None:
        """Store one object in one request, and return its ETag.

        `is_new`: raise `ObjectExistsError`, and change nothing, where there is one of that key.
        """
        ...

    def write_chunks(self, key: str, chunks: Chunks, *, part_bytes: int = PART_BYTES) -> str | None:
        """Store one object part by part; whole or, after an exception of the chunks, not at all."""
        ...

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects; those that do not exist are no failure."""
        ...


def part_bytes_of(size_bytes: int) -> int:
    """Return the size of the parts that an object of this size is uploaded in."""
    smallest = -(-size_bytes // MOST_PARTS)
    return max(PART_BYTES, (smallest + (1 << 20) - 1) >> 20 << 20)


def is_plain_md5(etag: str | None) -> bool:
    """Say whether an ETag has the shape of the MD5 of its object; of encrypted ones it may be none."""
    digest = (etag or "").strip('"')
    return len(digest) == 32 and all(digit in "0123456789abcdef" for digit in digest)
