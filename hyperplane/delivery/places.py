"""Places that runs are delivered to: what a destination can do, and where below it a run lies."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol
from urllib.parse import unquote, urlsplit

from hyperplane.rundir import RunDir
from hyperplane.stores.objects import Buffer

FILE_SCHEME = "file://"
OUTPUTS = "outputs/"
PARTIAL = "partial/"
LIVE = "live/"
SEALS = f"{LIVE}seals.jsonl"
# what is larger goes in parts, and goes on after a crash where it was
LARGE_BYTES = 16 << 20


class Source(NamedTuple):
    """An open file, of which the first `size_bytes` are sent; `sha256` is what they must come to.

    `tell`: told how many bytes were read, again and again.
    """

    descriptor: int
    size_bytes: int
    sha256: str
    tell: Callable[[int], object] = bool


class Destination(Protocol):
    """A folder of objects with slashes in their names. Every method raises `StoreError` or a kind of it.

    What `put`, `put_large` and `create` have returned from is there, verified.
    """

    url: str

    def below(self, folder: str) -> "Destination":
        """Return a folder of this one, whose name ends in a slash."""
        ...

    def put(self, path: str, data: Buffer) -> None:
        """Store an object, whole or not at all, in the place of an earlier one."""
        ...

    def put_large(self, path: str, source: Source) -> None:
        """Store a large file likewise. Raises `ObjectChangedError` where it is not what it should be."""
        ...

    def create(self, path: str, data: bytes) -> None:
        """Store an object that is new. Raises `ObjectExistsError`, changing nothing, where it is not."""
        ...

    def read(self, path: str) -> bytes:
        """Return what an object holds. Raises `ObjectNotFoundError`."""
        ...

    def chunks(self, path: str) -> Iterator[Buffer]:
        """Yield what an object holds, in pieces. Raises `ObjectNotFoundError`."""
        ...

    def sizes(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Yield the paths and sizes of all objects below a folder, or of the one that this names.

        Others whose names begin like it may come too.
        """
        ...

    def folders(self, prefix: str) -> list[str]:
        """Return the names of the folders right below a folder, "" or one that ends in a slash."""
        ...

    def delete(self, paths: Sequence[str]) -> None:
        """Delete objects; those that are not there are no failure."""
        ...

    def holds(self, path: str, source: Source) -> bool:
        """Say whether an object is this file, as far as checksums tell or else by reading it."""
        ...

    def clean(self) -> None:
        """Take back what was begun below here, and never finished."""
        ...


def prefix_of(run: RunDir) -> str:
    """Return where below a destination a run lies: `<job id>/<run id>/`."""
    return f"{run.job_folder.name}/{run.run_id}/"


def folder_of_url(url: str) -> str:
    """Return the path that a `file://` URL names."""
    return unquote(urlsplit(url).path)
