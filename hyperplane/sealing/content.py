"""What files hold: read to the end, on the disk, and known to have stood still meanwhile."""

import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple, Self

from hyperplane.errors import OutputError
from hyperplane.journal import Sealed
from hyperplane.sealing.tree import Tree, reported

HOLES_LIMIT_BYTES = 64 << 30
_THREADS = 8
_TRIES = 3
_BLOCK_BYTES = 512
# The clocks of file systems stand still for up to 10 ms: a change after twice that has another time.
_CLOCK_STEP_NS = 20_000_000


class Content(NamedTuple):
    """What a file held, all of it, and which file it was, written when."""

    size_bytes: int
    sha256: str
    mtime_ns: int
    ctime_ns: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result, sha256: str) -> Self:
        """Return the content of a file, which has this sha256."""
        return cls(status.st_size, sha256, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)

    def sealed(self, name: str, folder: str | None) -> Sealed:
        """Return this content under a name; without the times where a change now might leave them."""
        item = Sealed(name, self.size_bytes, self.sha256, folder=folder)
        if time.time_ns() - max(self.mtime_ns, self.ctime_ns) < _CLOCK_STEP_NS:
            return item
        return replace(item, mtime_ns=self.mtime_ns, ctime_ns=self.ctime_ns, inode=self.inode)


def read_all(tree: Tree, places: Mapping[str, str]) -> Iterator[tuple[str, Content | OutputError]]:
    """Yield what each output holds, which is on the disk then, or why that is not known.

    `places`: where each output, by its name, lies. Many files share the waiting for the disk.
    """
    if len(places) < 2:
        yield from ((name, _read(tree, name, place)) for name, place in places.items())
        return
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(_THREADS) as pool:
        contents = pool.map(lambda name: _read(tree, name, places[name]), places)
        yield from zip(places, contents, strict=True)


def _read(tree: Tree, name: str, place: str) -> Content | OutputError:
    try:
        with reported(name, "sealed"), tree.file(place) as descriptor:
            return read_content(name, descriptor)
    except OutputError as error:
        return error


def read_content(name: str, descriptor: int) -> Content:
    """Have an open file on the disk, read it and return what it holds.

    Raises `OutputError` for one that does not stand still, and for more than 64 GiB of holes.
    """
    for _ in range(_TRIES):
        os.fsync(descriptor)
        before = os.fstat(descriptor)
        _refuse_holes(name, descriptor, before)
        digest = digest_of(descriptor)
        after = os.fstat(descriptor)
        if Content.of(before, digest) == (content := Content.of(after, digest)):
            return content
    raise OutputError(f"the output {name!r} changes while it is sealed", hint="Close it first.", name=name)


def digest_of(descriptor: int) -> str:
    """Return the sha256 of an open file, in hexadecimal."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    with open(descriptor, "rb", buffering=0, closefd=False) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _refuse_holes(name: str, descriptor: int, status: os.stat_result) -> None:
    # Fewer blocks than bytes may also mean that the file system compresses: only then holes are counted.
    missing_bytes = status.st_size - status.st_blocks * _BLOCK_BYTES
    if missing_bytes > HOLES_LIMIT_BYTES and _holes_bytes(descriptor, status.st_size) > HOLES_LIMIT_BYTES:
        raise OutputError(
            f"the output {name!r} is {status.st_size} bytes long, and {missing_bytes} of them are holes",
            hint="Write it without holes, or compress it: it would be stored and sent at its full length.",
            name=name,
        )


def _holes_bytes(descriptor: int, size_bytes: int) -> int:
    data_bytes = end = 0
    while end < size_bytes:
        try:
            start = os.lseek(descriptor, end, os.SEEK_DATA)
        except OSError:  # ENXIO: holes to the end
            break
        end = os.lseek(descriptor, start, os.SEEK_HOLE)
        data_bytes += end - start
    return size_bytes - data_bytes
