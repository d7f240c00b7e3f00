"""What an object store is to the rest of the package: listing, reading, writing and deleting."""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol, Self

Buffer = bytes | bytearray | memoryview
Chunks = Callable[[], Iterable[Buffer]]
"""Makes the chunks of one object, and makes them anew where an upload has to be repeated."""

PART_BYTES = 8 << 20
MOST_PARTS = 10_000
_HEX_DIGITS = frozenset("0123456789abcdef")


class ObjectInfo(NamedTuple):
    """What a store says of an object; `modified` is aware, `etag` is in its quotes."""

    key: str
    size_bytes: int
    modified: datetime | None = None
    etag: str | None = None


class Checksums(NamedTuple):
    """What a store knows of the bytes of a whole object: checksums in base64, by name (`crc64nvme`)."""

    of_object: Mapping[str, str]
    etag_is_md5: bool


@dataclass(frozen=True, slots=True)
class Reading:
    """One object, or a range of it, on its way: what it is, and its bytes in the order of the object."""

    info: ObjectInfo
    chunks: Iterable[Buffer]

    @property
    def has_arrived(self) -> bool:
        """Whether all of it is here."""
        return isinstance(self.chunks, tuple)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # a connection in the midst of a reply is to be closed now
        if isinstance(self.chunks, Generator):
            self.chunks.close()


class ObjectStore(Protocol):
    """One bucket. Every method raises `StoreError` or a kind of it, naming the object."""

    url: str

    def patient(self, sleep: Callable[[float], object]) -> "ObjectStore":
        """Return the same with pauses between tries that can be cut short."""
        ...

    def pages(self, prefix: str = "", *, after: str = "") -> Iterator[list[ObjectInfo]]:
        """Yield all objects whose keys begin with `prefix`, behind the key `after`, in pages."""
        ...

    def head(self, key: str) -> ObjectInfo:
        """Return what the store knows of one object. Raises `ObjectNotFoundError`."""
        ...

    def checksums(self, key: str) -> Checksums:
        """Return what the store knows of the bytes of one object."""
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

    def write_chunks(
        self, key: str, chunks: Chunks, *, part_bytes: int = PART_BYTES, can_repeat: bool = True
    ) -> str | None:
        """Store one object part by part; whole or, after an exception of the chunks, not at all.

        `can_repeat`: whether the chunks can be made anew.
        """
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
    return len(digest) == 32 and _HEX_DIGITS.issuperset(digest)


def checksums_in(headers: Mapping[str, str]) -> Checksums:
    """Read the checksums out of the reply to a HeadObject with `x-amz-checksum-mode`, names in lower case."""
    prefix = "x-amz-checksum-"
    found = {name.removeprefix(prefix): value for name, value in headers.items() if name.startswith(prefix)}
    is_whole = found.pop("type", "FULL_OBJECT") == "FULL_OBJECT"
    # checksums of checksums, of parts that nobody knows, end in the number of parts
    whole = {name: value for name, value in found.items() if is_whole and "-" not in value}
    has_own_key = "x-amz-server-side-encryption-customer-algorithm" in headers
    is_md5 = not headers.get("x-amz-server-side-encryption", "").startswith("aws:kms") and not has_own_key
    return Checksums(whole, is_md5 and is_plain_md5(headers.get("etag")))
