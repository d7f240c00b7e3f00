"""Uploads: a file or a folder, each object whole under its key or not there at all."""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from operator import add
from pathlib import Path
from threading import Lock
from typing import NamedTuple, Self

from hyperplane.errors import HyperplaneError, ObjectChangedError, ObjectNotFoundError, UsageError
from hyperplane.rundir import is_part
from hyperplane.stores.objects import ObjectInfo, ObjectStore, is_plain_md5, part_bytes_of
from hyperplane.transfer.checking import file_md5
from hyperplane.transfer.filters import Filter
from hyperplane.transfer.names import key_name
from hyperplane.transfer.outcome import Derived, Tally, Transfer
from hyperplane.transfer.running import Options, at_least, finished, raise_fatal, run
from hyperplane.transfer.workers import Budget, Cancellation

SINGLE_BYTES = 8 << 20
MEMORY_BYTES = 64 << 20
READ_BYTES = 1 << 20
CHANGES_BORNE = 3
# parts that are on their way arrive before their upload can be aborted
ABORT_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """What to copy where: the file `source` to the object `key`, or the folder to all keys below it.

    For a folder `key` is empty or ends in `/`.
    """

    source: Path
    key: str


_Around = tuple[tuple[int, int], ...]
"""Which folders are around a place: device and number of each."""


class _Item(NamedTuple):
    name: str
    path: str


def upload(store: ObjectStore, what: Upload, options: Options) -> Transfer:
    """Copy local files to objects; links to files and folders are followed.

    Raises `UsageError` where the source is not there, `TransferError` where some files could not be
    copied (the others were) or fewer than `min_files` fit, `StoreError` where the store cannot be used.
    """
    return _Uploading(store, what, options).run()


class _Uploading:
    def __init__(self, store: ObjectStore, what: Upload, options: Options) -> None:
        self._cancellation = Cancellation()
        self._store = store.patient(self._cancellation.sleep)
        self._what = what
        self._options = options
        self._tally = Tally()
        self._one_large = Lock()
        self._memory = Budget(MEMORY_BYTES)
        self._is_folder = what.source.is_dir()
        items = self._walked() if self._is_folder else self._single()
        self._items = at_least(items, options.min_files, str(what.source))
        self._known = self._listed() if options.skip_unchanged else {}

    def run(self) -> Transfer:
        what = str(self._what.source)
        try:
            run(
                self._take,
                self._items,
                self._options,
                self._tally,
                self._cancellation,
                patience_s=ABORT_S,
            )
        except OSError as error:
            raise_fatal(error, self._tally, what, self._transfer())
        return finished(self._tally, what, self._transfer())

    def _single(self) -> Iterator[_Item]:
        if self._options.filter.takes(self._what.source.name):
            yield _Item("", str(self._what.source))

    def _walked(self) -> Iterator[_Item]:
        yield from walk(self._what.source, self._options.filter, self._tally.failures)

    def _listed(self) -> dict[str, ObjectInfo]:
        key = self._what.key
        if self._is_folder:
            return {info.key: info for page in self._store.pages(key) for info in page}
        with suppress(ObjectNotFoundError):
            return {key: self._store.head(key)}
        return {}

    def _take(self, item: _Item) -> None:
        try:
            key = self._what.key + key_name(item.name)
            if key in self._known and _is_unchanged(item.path, self._known[key]):
                self._tally.skipped.append(item.name)
                return
            size_bytes = self._send(key, item.path)
        except (HyperplaneError, OSError) as error:
            self._tally.add_failure(item.name or self._what.source.name, error)
        else:
            self._tally.add_done(item.name, size_bytes)

    def _send(self, key: str, path: str) -> int:
        """Send one file, and return its size; one that changes meanwhile is sent anew."""
        for _ in range(CHANGES_BORNE):
            try:
                return self._send_once(key, path)
            except _FileChanged:
                continue
        raise ObjectChangedError(
            f"{path} changes while it is read, and was not copied",
            hint="Copy it once nobody writes to it.",
            url=path,
        )

    def _send_once(self, key: str, path: str) -> int:
        with _Source(path) as source:
            if source.size_bytes <= SINGLE_BYTES:
                with self._memory.use(source.size_bytes):
                    self._store.write(key, source.read())
                self._tally.add_bytes(source.size_bytes)
            else:
                with self._one_large:
                    self._cancellation.check()
                    chunks = partial(source.chunks, self._each_chunk)
                    self._store.write_chunks(key, chunks, part_bytes=part_bytes_of(source.size_bytes))
            return source.size_bytes

    def _each_chunk(self, chunk: bytes) -> None:
        self._cancellation.check()
        self._tally.add_bytes(len(chunk))

    def _transfer(self) -> Transfer:
        tally, what = self._tally, self._what
        names = sorted(tally.done)
        return Transfer(
            files=Derived(what.source.joinpath, names) if self._is_folder else [what.source for _ in names],
            urls=Derived(partial(add, f"{self._store.url}/{what.key}"), names),
            skipped=[name or what.source.name for name in sorted(tally.skipped)],
            size_bytes=tally.size_bytes,
            seconds=tally.seconds,
        )


class _FileChanged(Exception):  # noqa: N818 - nobody sees it
    """The file is not what it was when it was opened."""


class _Source:
    """A local file that must stay as it is while it is read."""

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._before = os.fstat(self._descriptor)
        self.size_bytes = self._before.st_size
        if not stat.S_ISREG(self._before.st_mode):
            os.close(self._descriptor)
            raise UsageError(f"{path} is no regular file", hint="Only files can become objects.")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def read(self) -> bytes:
        """Return all of the file."""
        content = b"".join(self._pieces(self.size_bytes + 1))
        self._check(len(content))
        return content

    def chunks(self, each: Callable[[bytes], object]) -> Iterator[bytes]:
        """Yield the file in pieces, each of them shown to a function first."""
        position = 0
        for piece in self._pieces(READ_BYTES):
            each(piece)
            yield piece
            position += len(piece)
        self._check(position)

    def _pieces(self, size: int) -> Iterator[bytes]:
        position = 0
        # one that grows faster than it is read would never end
        while position <= self.size_bytes and (piece := os.pread(self._descriptor, size, position)):
            yield piece
            position += len(piece)

    def _check(self, received: int) -> None:
        after = os.fstat(self._descriptor)
        same = (self._before.st_mtime_ns, self._before.st_size) == (after.st_mtime_ns, after.st_size)
        if not same or received != self.size_bytes:
            raise _FileChanged


def walk(folder: Path, wanted: Filter, failures: dict[str, Exception]) -> Iterator[_Item]:
    """Yield every wanted file below a folder, sorted; what is no file or folder is a failure.

    Links are followed, but not back to a folder around them; our own temporary files are passed over.
    """
    yield from _Walk(wanted, failures).below(str(folder), "", (_identity(folder.stat()),))


class _Walk:
    def __init__(self, wanted: Filter, failures: dict[str, Exception]) -> None:
        self._wanted = wanted
        self._failures = failures

    def below(self, folder: str, prefix: str, around: _Around) -> Iterator[_Item]:
        try:
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            self._failures[prefix or "."] = error
            return
        for entry in entries:
            name = prefix + entry.name
            try:
                yield from self._at(entry, name, around)
            except (OSError, UsageError) as error:
                self._failures[name] = error

    def _at(self, entry: os.DirEntry[str], name: str, around: _Around) -> Iterator[_Item]:
        if entry.is_dir():
            yield from self.below(entry.path, f"{name}/", _inside(entry, around))
        elif self._wanted.takes(name) and not is_part(entry.name):
            if not entry.is_file():
                raise _no_file(entry)
            yield _Item(name, entry.path)


def _inside(entry: os.DirEntry[str], around: _Around) -> _Around:
    identity = _identity(entry.stat())
    if identity in around:
        raise UsageError(f"{entry.path} leads back to a folder around it", hint="Remove the link.")
    return *around, identity


def _no_file(entry: os.DirEntry[str]) -> UsageError:
    what = "a link to nothing" if entry.is_symlink() else "no regular file"
    return UsageError(f"{entry.path} is {what}", hint="Remove it, or leave it out with a filter.")


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _is_unchanged(path: str, known: ObjectInfo) -> bool:
    """Say whether a file is what the object was made from: its size, and its times or its MD5.

    The time of the last change of any kind counts, which nobody can set: a file that took the place
    of another one has changed now, however old it says it is.
    """
    status = os.stat(path)  # noqa: PTH116 - of 100,000 files, paths are made for none
    if status.st_size != known.size_bytes:
        return False
    if known.modified is not None and max(status.st_mtime, status.st_ctime) < int(known.modified.timestamp()):
        return True
    return is_plain_md5(known.etag) and _md5(path) == (known.etag or "").strip('"')


def _md5(path: str) -> str:
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - likewise
        return file_md5(file.fileno())
