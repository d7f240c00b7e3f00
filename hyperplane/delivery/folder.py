"""A destination that is a folder of a file system: every file whole, and on the disk, before it is said."""

import errno
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from hyperplane.delivery.evidence import is_read_as, pieces
from hyperplane.delivery.places import Source, folder_of_url
from hyperplane.errors import (
    HyperplaneError,
    ObjectChangedError,
    ObjectExistsError,
    ObjectNotFoundError,
    OutputError,
    StoreError,
)
from hyperplane.rundir import is_part, new_part_name
from hyperplane.sealing.tree import Tree, folder_of, leaf_of
from hyperplane.stores.objects import Buffer

_CHUNK_BYTES = 1 << 20
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class FolderDestination:
    """`file:///folder/`, as `Destination` says."""

    def __init__(self, url: str) -> None:
        self.url = url if url.endswith("/") else f"{url}/"
        self._tree = Tree(Path(folder_of_url(url)))

    def below(self, folder: str) -> "FolderDestination":
        """Return a folder of this one."""
        return FolderDestination(f"{self.url}{quote(folder)}")

    def put(self, path: str, data: Buffer) -> None:
        """Store a file in the place of an earlier one."""
        self.put_chunks(path, iter((data,)))

    def put_chunks(self, path: str, chunks: Iterator[Buffer]) -> None:
        """Store a file whole or, after an exception of the chunks, not at all."""
        with self._reported(path), self._part(path, chunks) as (folder, part):
            os.rename(part, leaf_of(path), src_dir_fd=folder, dst_dir_fd=folder)

    def put_large(self, path: str, source: Source) -> None:
        """Store a large file, hashed on the way."""
        self.put_chunks(path, self._verified(path, source))

    def create(self, path: str, data: bytes) -> None:
        """Store a file that is new: a link, unlike a rename, replaces nothing."""
        with self._reported(path), self._part(path, iter((data,))) as (folder, part):
            try:
                os.link(part, leaf_of(path), src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
            except FileExistsError:
                url = f"{self.url}{path}"
                raise ObjectExistsError(
                    f"{url} exists already", hint="It was left as it is.", url=url
                ) from None

    def read(self, path: str) -> bytes:
        """Return what a file holds."""
        return b"".join(self.chunks(path))

    def chunks(self, path: str) -> Iterator[Buffer]:
        """Yield what a file holds."""
        with self._reported(path), self._tree.file(path) as descriptor:
            while chunk := os.read(descriptor, _CHUNK_BYTES):
                yield chunk

    def sizes(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Yield the files below a folder, or the one file of that name."""
        name = prefix.rstrip("/")
        with self._reported(prefix):
            found = self._tree.find(name) if name else None
            entries = self._tree.walk(name) if found is None or found.is_folder else [found]
            yield from ((entry.name, entry.status.st_size) for entry in entries if entry.is_file)

    def folders(self, prefix: str) -> list[str]:
        """Return the folders right below a folder."""
        try:
            with (
                self._reported(prefix),
                self._tree.folder(prefix.rstrip("/")) as descriptor,
                os.scandir(descriptor) as found,
            ):
                return sorted(entry.name for entry in found if entry.is_dir(follow_symlinks=False))
        except ObjectNotFoundError:
            return []

    def delete(self, paths: Sequence[str]) -> None:
        """Delete files, and the folders that are empty then."""
        for path in paths:
            with suppress(FileNotFoundError, ObjectNotFoundError), self._reported(path):
                with self._tree.parent(path) as folder:
                    os.unlink(leaf_of(path), dir_fd=folder)
                    os.fsync(folder)
                self._remove_empty(folder_of(path))

    def holds(self, path: str, source: Source) -> bool:
        """Say whether a file is this one, by reading it."""
        try:
            return is_read_as(self.chunks(path), source)
        except ObjectNotFoundError:
            return False

    def clean(self) -> None:
        """Remove temporary files that a crash has left."""
        for place, _, names in os.walk(self._tree.root):
            for name in filter(is_part, names):
                (Path(place) / name).unlink(missing_ok=True)

    @contextmanager
    def _part(self, path: str, chunks: Iterator[Buffer]) -> Iterator[tuple[int, str]]:
        """Yield the open folder of a path and a temporary file there that has it all; the rest is synced."""
        with self._tree.parent(path, make=True) as folder:
            part = new_part_name()
            try:
                _write(folder, part, chunks)
                yield folder, part
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(part, dir_fd=folder)
        self._tree.sync(folder_of(path))

    def _verified(self, path: str, source: Source) -> Iterator[bytes]:
        digest = hashlib.sha256()
        for chunk in pieces(source):
            digest.update(chunk)
            yield chunk
        if digest.hexdigest() != source.sha256:
            url = f"{self.url}{path}"
            raise ObjectChangedError(f"what was to become {url} has changed meanwhile", url=url)

    def _remove_empty(self, name: str) -> None:
        while name:
            with suppress(OSError), self._tree.parent(name) as folder:
                os.rmdir(leaf_of(name), dir_fd=folder)
            name = folder_of(name)

    @contextmanager
    def _reported(self, path: str) -> Iterator[None]:
        url = f"{self.url}{path}"
        try:
            yield
        except HyperplaneError as error:
            if not isinstance(error, OutputError):
                raise
            raise StoreError(f"{url} cannot be used: {error.message}", url=url) from error
        except FileNotFoundError as error:
            raise ObjectNotFoundError(f"there is no {url}", url=url) from error
        except OSError as error:
            hint = "Make room there." if error.errno in {errno.ENOSPC, errno.EDQUOT} else ""
            raise StoreError(
                f"{url} cannot be used: {error.strerror or error}",
                hint=hint or "It must be a folder that this user may write to.",
                url=url,
            ) from error


def _write(folder: int, part: str, chunks: Iterator[Buffer]) -> None:
    descriptor = os.open(part, _FLAGS, 0o644, dir_fd=folder)
    try:
        for chunk in chunks:
            rest = memoryview(chunk)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
