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
        self._lock = threading.Lock()
        self._is_closed = False
        self._here = threading.local()
        self._descriptors = {self._root}
        self._parts: set[Part] = set()
        self._has_nameless_files = _can_make_nameless_files(self._root)

    def close(self) -> None:
        """Remove what is unfinished, and close the folders; workers that do not know yet get nowhere."""
        with self._lock:
            self._is_closed = True
            for part in self._parts:
                with suppress(OSError):
                    part.abandon()
            for descriptor in self._descriptors:
                os.close(descriptor)

    def stat(self, parts: tuple[str, ...]) -> os.stat_result | None:
        """Return what lies under a name, itself and not what it links to; None where there is nothing."""
        with self._lock, suppress(FileNotFoundError):
            return os.stat(parts[-1], dir_fd=self._parent(parts[:-1]), follow_symlinks=False)
        return None

    def open(self, parts: tuple[str, ...]) -> int:
        """Open a file that is there for reading, and return its descriptor."""
        with self._lock:
            return os.open(parts[-1], _OLD_FILE, dir_fd=self._parent(parts[:-1]))

    @contextmanager
    def part(self, parts: tuple[str, ...]) -> "Iterator[Part]":
        """Give a new file that takes the name in the end, if the block calls `finish`; else it goes."""
        with self._lock:
            folder = self._parent(parts[:-1])
            part = Part(folder, parts[-1], is_nameless=self._has_nameless_files, naming=self._lock)
            self._parts.add(part)
        try:
            yield part
        finally:
            with self._lock:
                self._parts.discard(part)
            if not part.is_finished:
                part.remove()
            part.close()

    def _parent(self, folders: tuple[str, ...]) -> int:
        if self._is_closed:
            raise Cancelled
        if not folders:
            return self._root
        kept, descriptor = getattr(self._here, "folder", ((), -1))
        if kept != folders:
            self._here.folder = (), -1
            self._close(descriptor)
            descriptor = self._entered(folders)
            self._descriptors.add(descriptor)
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

    def _close(self, descriptor: int) -> None:
        if descriptor in self._descriptors:
            self._descriptors.discard(descriptor)
            os.close(descriptor)


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

    def __init__(self, folder: int, name: str, *, is_nameless: bool, naming: threading.Lock) -> None:
        self.is_finished = False
        self._is_abandoned = False
        self._naming = naming
        self._name = name
        self._part_name = new_part_name()
        self._is_nameless = is_nameless
        self._folder = os.dup(folder)
        try:
            self.descriptor = self._make()
        except BaseException:
            os.close(self._folder)
            raise

    def _make(self) -> int:
        if self._is_nameless:
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
            if self._is_abandoned:
                raise Cancelled
            if not (self._is_nameless and self._link(self._name)):
                self._replace()
            self.is_finished = True

    def _replace(self) -> None:
        """Take the place of the file of that name."""
        if self._is_nameless:
            self._link(self._part_name)
        os.rename(self._part_name, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder)

    def _link(self, name: str) -> bool:
        """Give the file a name, and say whether it was free."""
        try:
            # not os.link alone: it would be a link to the link in /proc
            os.link(f"{_OWN_FILES}/{self.descriptor}", name, dst_dir_fd=self._folder, follow_symlinks=True)
        except FileExistsError:
            return False
        return True

    def close(self) -> None:
        """Close the file."""
        os.close(self.descriptor)
        os.close(self._folder)

    def abandon(self) -> None:
        """Remove it, and have its worker, which does not know yet, never give it a name."""
        self._is_abandoned = True
        self.remove()

    def remove(self) -> None:
        """Remove what was written."""
        with suppress(FileNotFoundError):
            os.unlink(self._part_name, dir_fd=self._folder)
