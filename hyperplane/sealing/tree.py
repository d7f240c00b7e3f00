"""The outputs folder, reached through directory descriptors: no symbolic link below it is followed."""

import errno
import os
import stat
from collections.abc import Container, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from hyperplane.errors import OutputError
from hyperplane.rundir import is_part, sync_folder

_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Not blocking: a named pipe would hold up whoever opens it until somebody comes to its other end.
_FILE_FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_OTHER_FOLDER = "Set HYPERPLANE_OUTPUT_DIR to a folder that can be written."
_KINDS = {
    stat.S_IFREG: "a file",
    stat.S_IFDIR: "a folder",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
}


class Entry(NamedTuple):
    """Something below the folder, and the name of it there."""

    name: str
    status: os.stat_result

    @property
    def is_file(self) -> bool:
        """Whether this is a regular file; a link to one is none."""
        return stat.S_ISREG(self.status.st_mode)

    @property
    def is_folder(self) -> bool:
        """Whether this is a folder; a link to one is none."""
        return stat.S_ISDIR(self.status.st_mode)

    @property
    def is_link(self) -> bool:
        """Whether this is a symbolic link."""
        return stat.S_ISLNK(self.status.st_mode)

    @property
    def kind(self) -> str:
        """What this is, in words."""
        return _KINDS.get(stat.S_IFMT(self.status.st_mode), "a device")


class Tree:
    """A folder that need not exist yet, and what is below it. Names are relative, with slashes.

    `can_be_link`: whether the folder itself may be a symbolic link to one; nothing below it may.
    """

    def __init__(self, root: Path, *, can_be_link: bool = True) -> None:
        self.root = root.absolute()
        self._flags = _FOLDER_FLAGS & ~os.O_NOFOLLOW if can_be_link else _FOLDER_FLAGS

    def path(self, name: str) -> Path:
        """Return the path of a name."""
        return self.root / name

    @contextmanager
    def folder(self, name: str = "", *, make: bool = False) -> Iterator[int]:
        """Open a folder and yield its descriptor; `make`: with the folders above it, where they are missing.

        Raises `OutputError` where a link or a file is in the way, `FileNotFoundError` where nothing is.
        """
        descriptor = self._opened(name, make=make)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _opened(self, name: str, *, make: bool) -> int:
        descriptor = self._open_root(make=make)
        for part in _parts(name):
            outer = descriptor
            try:
                descriptor = _open_folder(part, outer, make=make)
            finally:
                os.close(outer)
        return descriptor

    def parent(self, name: str, *, make: bool = False) -> AbstractContextManager[int]:
        """Open the folder that something of this name is in."""
        return self.folder(folder_of(name), make=make)

    @contextmanager
    def file(self, name: str, flags: int = os.O_RDONLY) -> Iterator[int]:
        """Open a regular file and yield its descriptor, without waiting and without following a link.

        Raises `OutputError` for anything that is no regular file.
        """
        parent = self._opened(folder_of(name), make=bool(flags & os.O_CREAT))
        try:
            descriptor = _open_file(name, parent, flags)
        finally:
            os.close(parent)
        try:
            entry = Entry(name, os.fstat(descriptor))
            if not entry.is_file:
                raise not_a_file(entry)
            yield descriptor
        finally:
            os.close(descriptor)

    def read(self, name: str, size_bytes: int) -> bytes:
        """Return what a regular file holds, at most so many bytes of it. Raises `OutputError` likewise."""
        pieces, position = [], 0
        with self.file(name) as descriptor, reported(name, "read"):
            while position < size_bytes and (piece := os.pread(descriptor, size_bytes - position, position)):
                pieces.append(piece)
                position += len(piece)
        return b"".join(pieces)

    def find(self, name: str) -> Entry | None:
        """Return what goes by a name, or None. Raises `OutputError` where a link or a file is above it."""
        try:
            with self.parent(name) as parent:
                return entry_in(parent, name)
        except FileNotFoundError:
            return None

    def sync(self, name: str) -> None:
        """Have the names in a folder on the disk, and those of the folders that lead to it."""
        descriptor = self._open_root(make=False)
        try:
            os.fsync(descriptor)
            for part in _parts(name):
                outer, descriptor = descriptor, _open_folder(part, descriptor, make=False)
                os.close(outer)
                os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def walk(self, start: str = "", *, left_out: Container[str] = ()) -> Iterator[Entry]:
        """Yield everything below a folder, folders before what is in them; temporary files are left out."""
        # No recursion, and one folder open at a time: a tree can be deeper than stack and limits allow.
        waiting = [start]
        while waiting:
            for entry in self._entries(waiting.pop()):
                if entry.name not in left_out:
                    yield entry
                    waiting.extend([entry.name] if entry.is_folder else ())

    def _entries(self, name: str) -> list[Entry]:
        prefix = f"{name}/" if name else ""
        try:
            with self.folder(name) as descriptor, os.scandir(descriptor) as found:
                leaves = sorted(entry.name for entry in found if not is_part(entry.name))
                entries = [entry_in(descriptor, prefix + leaf) for leaf in leaves]
        except FileNotFoundError:
            return []
        return [entry for entry in entries if entry is not None]

    def _open_root(self, *, make: bool) -> int:
        try:
            if make and not self.root.is_dir():
                _make_durably(self.root)
            return os.open(self.root, self._flags)
        except OSError as error:
            if isinstance(error, FileNotFoundError) and not make:
                raise
            is_in_the_way = isinstance(error, NotADirectoryError | FileExistsError)
            reason = error.strerror
            if is_in_the_way:
                reason = "a symbolic link is in the way" if self.root.is_symlink() else "a file is in the way"
            problem = f"the outputs folder {self.root} cannot be used: {reason}"
            raise OutputError(problem, hint=_OTHER_FOLDER) from error


@contextmanager
def reported(name: str, doing: str = "written") -> Iterator[None]:
    """Turn an error of the system into an `OutputError` about this output."""
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        is_forbidden = error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}
        hint = _OTHER_FOLDER if is_forbidden and doing == "written" else ""
        failure = OutputError(
            f"the output {name!r} cannot be {doing}: {error.strerror or error}", hint=hint, name=name
        )
        failure.errno = error.errno
        raise failure from error


def folder_of(name: str) -> str:
    """Return the name without its last part; "" is the outputs folder."""
    return name.rpartition("/")[0]


def leaf_of(name: str) -> str:
    """Return the last part of a name."""
    return name.rpartition("/")[2]


def beside(name: str, inner: str) -> str:
    """Return the name of what lies at `inner`, below the folder that `name` is in."""
    folder = folder_of(name)
    return f"{folder}/{inner}" if folder else inner


def entry_in(folder: int, name: str) -> Entry | None:
    """Return what goes by the last part of a name in an open folder, or None."""
    try:
        return Entry(name, os.stat(leaf_of(name), dir_fd=folder, follow_symlinks=False))
    except FileNotFoundError:
        return None


def _parts(name: str) -> list[str]:
    return name.split("/") if name else []


def _make_durably(folder: Path) -> None:
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        sync_folder(path.parent)


def _open_folder(part: str, outer: int, *, make: bool) -> int:
    if make:
        with suppress(FileExistsError):
            os.mkdir(part, dir_fd=outer)
    try:
        return os.open(part, _FOLDER_FLAGS, dir_fd=outer)
    except NotADirectoryError as error:
        found = entry_in(outer, part)
        kind = found.kind if found is not None else "gone"
        raise OutputError(
            f"{part!r} in the outputs folder is {kind}, and should be a folder",
            hint="Links below the outputs folder are not followed.",
            name=part,
        ) from error


def _open_file(name: str, parent: int, flags: int) -> int:
    try:
        return os.open(leaf_of(name), flags | _FILE_FLAGS, 0o666, dir_fd=parent)
    except OSError as error:
        found = entry_in(parent, name)
        if found is None or found.is_file:
            raise
        raise not_a_file(found) from error


def not_a_file(entry: Entry) -> OutputError:
    """Return the error for an entry where a regular file was expected."""
    return OutputError(f"the output {entry.name!r} is {entry.kind}, and should be a file", name=entry.name)
