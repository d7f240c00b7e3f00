"""Where downloaded files land: below one folder, through no link, under their name when they are whole."""

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from hyperplane.rundir import new_part_name
from hyperplane.stores.objects import Buffer
from hyperplane.transfer.names import UnusableNameError

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# it goes by itself when the process dies, and takes half the work of a file that is renamed
_NAMELESS_FILE = os.O_RDWR | getattr(os, "O_TMPFILE", 0) | os.O_CLOEXEC
_NEW_FILE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

sync_data = getattr(os, "fdatasync", os.fsync)


class Landing:
    """A target folder; files are made in it through descriptors, so that nobody can lead them astray."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._root = os.open(folder, _FOLDER)
        self._lock = threading.Lock()
        self._here = threading.local()
        self._descriptors = {self._root}
        self._parts: set[Part] = set()
        self._has_nameless_files = _can_make_nameless_files(self._root)

    def close(self) -> None:
        """Remove what is unfinished, and close the folders."""
        with self._lock:
            parts, self._parts = self._parts, set()
            descriptors, self._descriptors = self._descriptors, set()
        for part in parts:  # of workers that do not answer
            with suppress(OSError):
                part.remove()
        for descriptor in descriptors:
            os.close(descriptor)

    def stat(self, parts: tuple[str, ...]) -> os.stat_result | None:
        """Return what lies under a name, itself and not what it links to; None where there is nothing."""
        try:
            return os.stat(parts[-1], dir_fd=self._parent(parts[:-1]), follow_symlinks=False)
        except FileNotFoundError:
            return None

    def open(self, parts: tuple[str, ...]) -> int:
        """Open a file that is there for reading, and return its descriptor."""
        return os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._parent(parts[:-1]))

    @contextmanager
    def part(self, parts: tuple[str, ...]) -> "Iterator[Part]":
        """Give a new file that takes the name in the end, if the block calls `finish`; else it goes."""
        part = Part(self._parent(parts[:-1]), parts[-1], is_nameless=self._has_nameless_files)
        with self._lock:
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
        if getattr(self._here, "folders", ()) != folders:
            self._move_to(folders)
        descriptor: int = self._here.descriptor if folders else self._root
        return descriptor

    def _move_to(self, folders: tuple[str, ...]) -> None:
        self._leave()
        if not folders:
            return
        descriptor = self._root
        for number, name in enumerate(folders, 1):
            outer, descriptor = descriptor, _folder_in(descriptor, name, "/".join(folders[:number]))
            if outer != self._root:
                os.close(outer)
        with self._lock:
            self._descriptors.add(descriptor)
        self._here.folders, self._here.descriptor = folders, descriptor

    def _leave(self) -> None:
        if getattr(self._here, "folders", ()):
            with self._lock:
                is_open = self._here.descriptor in self._descriptors
                self._descriptors.discard(self._here.descriptor)
            if is_open:
                os.close(self._here.descriptor)
        self._here.folders = ()


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
        os.link(f"/proc/self/fd/{descriptor}", name, dst_dir_fd=folder, follow_symlinks=True)
        os.unlink(name, dir_fd=folder)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def _folder_in(outer: int, name: str, path: str) -> int:
    for _ in range(2):
        try:
            return os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=outer)
        except FileNotFoundError:
            with suppress(FileExistsError):
                os.mkdir(name, dir_fd=outer)
        except OSError as error:
            if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                raise
            break
    raise UnusableNameError(
        f"{path!r} is a link or a file in the target folder, not a folder",
        hint="Remove it, or choose another target.",
    )


class Part:
    """A file that is being written: without a name where the system can do that, else under one of ours."""

    def __init__(self, folder: int, name: str, *, is_nameless: bool) -> None:
        self.is_finished = False
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
        if not self._is_nameless or not self._link(self._name):
            if self._is_nameless:
                self._link(self._part_name)
            os.rename(self._part_name, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        self.is_finished = True

    def _link(self, name: str) -> bool:
        """Give the file a name, and say whether it was free."""
        try:
            # not os.link alone: it would be a link to the link in /proc
            os.link(f"/proc/self/fd/{self.descriptor}", name, dst_dir_fd=self._folder, follow_symlinks=True)
        except FileExistsError:
            return False
        return True

    def close(self) -> None:
        """Close the file."""
        os.close(self.descriptor)
        os.close(self._folder)

    def remove(self) -> None:
        """Remove what was written."""
        with suppress(FileNotFoundError):
            os.unlink(self._part_name, dir_fd=self._folder)
