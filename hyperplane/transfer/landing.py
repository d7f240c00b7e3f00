"""Where downloaded files land: below one folder, through no link, under their name when they are whole."""

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from hyperplane.errors import UsageError
from hyperplane.rundir import new_part_name
from hyperplane.stores.objects import Buffer
from hyperplane.transfer.workers import Cancelled

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_OLD_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# it goes by itself when the process dies, and takes half the work of a file that is renamed
_NAMELESS_FILE = os.O_RDWR | getattr(os, "O_TMPFILE", 0) | os.O_CLOEXEC
_OWN_FILES = "/proc/self/fd"
_NEW_FILE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

sync_data = getattr(os, "fdatasync", os.fsync)


def start_sync(descriptor: int, position: int, size: int) -> None:
    """Have the system begin to bring a range that has just been written to the disk, and do not wait."""
    if hasattr(os, "posix_fadvise"):  # pragma: no branch - of Linux
        # what is on its way is not dropped from memory, whatever this is called
        os.posix_fadvise(descriptor, position, size, os.POSIX_FADV_DONTNEED)


class Landing:
    """A target folder; files are made in it through descriptors, so that nobody can lead them astray.

    Each thread keeps the folder open that it used last. Raises `UsageError` for a target that cannot be a
    folder.
    """

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise UsageError(
                f"{folder} cannot be a folder: there is a file in its place", hint="Choose another target."
            ) from None
        self._root = os.open(folder, _FOLDER)
        self._folders = {self._root}
        self._here = threading.local()
        self._parts: set[Part] = set()
        self._is_closed = False
        self._counting = threading.Lock()
        self._users = 1
        self._has_nameless_files = _can_make_nameless_files(self._root)
        self.folds_names = _folds_names(self._root)
        """Whether names that differ only in case, or in how letters are composed, are one name here."""

    def close(self) -> None:
        """Remove what is unfinished; workers that do not know yet get nowhere, and the last closes all."""
        with self._counting:
            self._is_closed = True
        for part in self._parts.copy():
            part.abandon()
        self._leave()

    def stat(self, parts: tuple[str, ...]) -> os.stat_result | None:
        """Return what lies under a name, itself and not what it links to; None where there is nothing."""
        with self._used(), suppress(FileNotFoundError):
            return os.stat(parts[-1], dir_fd=self._parent(parts[:-1]), follow_symlinks=False)
        return None

    def open(self, parts: tuple[str, ...]) -> int:
        """Open a file that is there for reading, and return its descriptor."""
        with self._used():
            return os.open(parts[-1], _OLD_FILE, dir_fd=self._parent(parts[:-1]))

    @contextmanager
    def part(self, parts: tuple[str, ...]) -> "Iterator[Part]":
        """Give a new file that takes the name in the end, if the block calls `finish`; else it goes."""
        with self._used():
            part = Part(self._parent(parts[:-1]), parts[-1], is_nameless=self._has_nameless_files)
            self._parts.add(part)
            try:
                if self._is_closed:
                    raise Cancelled
                yield part
            finally:
                self._parts.discard(part)
                part.close()

    @contextmanager
    def _used(self) -> Iterator[None]:
        with self._counting:
            if self._is_closed:
                raise Cancelled
            self._users += 1
        try:
            yield
        finally:
            self._leave()

    def _leave(self) -> None:
        with self._counting:
            self._users -= 1
            if not self._users:
                for descriptor in self._folders:
                    os.close(descriptor)

    def _parent(self, folders: tuple[str, ...]) -> int:
        if not folders:
            return self._root
        kept, descriptor = getattr(self._here, "folder", ((), -1))
        if kept != folders:
            self._here.folder = (), -1
            if kept:
                self._folders.discard(descriptor)
                os.close(descriptor)
            descriptor = self._entered(folders)
            self._folders.add(descriptor)
            self._here.folder = folders, descriptor
        return descriptor

    def _entered(self, folders: tuple[str, ...]) -> int:
        descriptor = os.dup(self._root)
        for number, name in enumerate(folders, 1):
            outer = descriptor
            try:
                descriptor = _folder_in(outer, name, "/".join(folders[:number]))
            finally:
                os.close(outer)
        return descriptor


def _can_make_nameless_files(folder: int) -> bool:
    """Say whether this file system has files without a name that can be given one."""
    if not hasattr(os, "O_TMPFILE"):  # pragma: no cover - of Linux alone
        return False
    name = new_part_name()
    try:
        descriptor = os.open(".", _NAMELESS_FILE, 0o666, dir_fd=folder)
    except OSError:
        return False
    try:
        os.link(f"{_OWN_FILES}/{descriptor}", name, dst_dir_fd=folder, follow_symlinks=True)
        os.unlink(name, dir_fd=folder)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def _folds_names(folder: int) -> bool:
    """Say whether this file system finds a file under another spelling of its name."""
    name = new_part_name()
    try:
        os.close(os.open(name, _NEW_FILE, 0o666, dir_fd=folder))
    except OSError:  # what is to be written there will say why
        return False
    try:
        os.stat(name.upper(), dir_fd=folder)
    except FileNotFoundError:
        return False
    finally:
        os.unlink(name, dir_fd=folder)
    return True


def _folder_in(outer: int, name: str, path: str) -> int:
    try:
        with suppress(FileExistsError):
            os.mkdir(name, dir_fd=outer)
        return os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=outer)
    except OSError as error:
        if error.errno not in (errno.ENOTDIR, errno.ELOOP):
            raise
    raise UsageError(
        f"{path!r} is a link or a file in the target folder, not a folder",
        hint="Remove it, or choose another target.",
    )


class Part:
    """A file that is being written: without a name where the system can do that, else under one of ours."""

    def __init__(self, folder: int, name: str, *, is_nameless: bool) -> None:
        self._folder = folder
        self._name = name
        self._part_name = "" if is_nameless else new_part_name()
        self._naming = threading.Lock()
        self._is_wanted = True
        self.descriptor = self._make()

    def _make(self) -> int:
        if not self._part_name:
            return os.open(".", _NAMELESS_FILE, 0o666, dir_fd=self._folder)
        return os.open(self._part_name, _NEW_FILE, 0o666, dir_fd=self._folder)

    def write(self, data: Buffer, position: int) -> None:
        """Write all of the data at a position."""
        size = len(data)
        written = os.pwrite(self.descriptor, data, position)
        while written < size:
            written += os.pwrite(self.descriptor, memoryview(data)[written:], position + written)

    def finish(self, modified: datetime | None) -> None:
        """Have the file on the disk, then give it its name, in one step; `modified`: the time it gets."""
        if modified is not None:
            seconds = modified.timestamp()
            os.utime(self.descriptor, (seconds, seconds))
        os.fsync(self.descriptor)
        with self._naming:
            if not self._is_wanted:
                raise Cancelled
            if self._part_name or not self._link(self._name):
                self._replace()
            self._is_wanted = False

    def _replace(self) -> None:
        """Take the place of the file of that name."""
        if not self._part_name:
            self._part_name = new_part_name()
            self._link(self._part_name)
        os.rename(self._part_name, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        self._part_name = ""

    def _link(self, name: str) -> bool:
        """Give the file a name, and say whether it was free."""
        try:
            # not os.link alone: it would be a link to the link in /proc
            os.link(f"{_OWN_FILES}/{self.descriptor}", name, dst_dir_fd=self._folder, follow_symlinks=True)
        except FileExistsError:
            return False
        return True

    def close(self) -> None:
        """Close the file; it goes where it is not finished."""
        self.abandon()
        os.close(self.descriptor)

    def abandon(self) -> None:
        """Remove what is unfinished, and have its worker, which may not know yet, never give it a name."""
        with self._naming:
            self._is_wanted = False
            if self._part_name:
                with suppress(OSError):
                    os.unlink(self._part_name, dir_fd=self._folder)
                self._part_name = ""
