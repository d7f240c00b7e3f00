"""Files that only this user may read, in folders that only this user may enter; no link is followed."""

import contextlib
import os
import shlex
import stat
import time
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import BinaryIO, Self

from hyperplane.errors import VaultError
from hyperplane.rundir import is_part, new_part_name, sync_folder

PATIENCE_S = 60.0
_PAUSE_S = 0.005
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_OTHER_PLACE = "HYPERPLANE_VAULT_DIR and HYPERPLANE_VAULT_KEY_FILE name other places."


class PrivateFolder:
    """An open folder: what happens to its path meanwhile does not matter to what is read and written here."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    @classmethod
    def open(cls, path: Path) -> Self | None:
        """Open a folder, or return None where there is none. Raises `VaultError` if it is not private."""
        descriptor = open_private(path, os.O_RDONLY | os.O_DIRECTORY)
        return None if descriptor is None else cls(path, descriptor)

    @classmethod
    def make(cls, path: Path) -> Self:
        """Open a folder, which is made when it is not there."""
        with mended(path):
            make_folder(path)
        folder = cls.open(path)
        if folder is None:
            raise VaultError(f"{path} was removed just now", hint="Try again.", path=path)
        return folder

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        os.close(self._descriptor)

    def read(self, name: str) -> bytes | None:
        """Return all of a file, or None where there is none. Raises `VaultError` if it is not private."""
        return read_private(self.path / name, name, folder=self._descriptor)

    def write(self, name: str, data: bytes) -> None:
        """Write a file whole or not at all, and have it on the disk before returning."""
        part = new_part_name()
        with mended(self.path / name):
            try:
                with new_private_file(part, folder=self._descriptor) as file:
                    file.write(data)
                os.replace(part, name, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)
            except BaseException:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(part, dir_fd=self._descriptor)
                raise
            os.fsync(self._descriptor)

    @contextlib.contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Hold the lock on a file, which goes with the process; what a dead writer has left is removed.

        Raises `VaultError` when others hold it for longer than a minute.
        """
        path = self.path / name
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        with mended(path):
            descriptor = os.open(name, flags, 0o600, dir_fd=self._descriptor)
        try:
            _wait_for(descriptor, path)
            with mended(self.path):
                os.fchmod(descriptor, 0o600)
                for left in filter(is_part, os.listdir(self._descriptor)):  # noqa: PTH208 - a path may be another one
                    os.unlink(left, dir_fd=self._descriptor)
            yield
        finally:
            os.close(descriptor)


def _wait_for(descriptor: int, path: Path) -> None:
    import fcntl

    give_up_at = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up_at:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_PAUSE_S)
        else:
            return
    raise VaultError(
        f"another process has held {path} for a minute",
        hint="`fuser` tells which one; a process that ends lets it go.",
        path=path,
    )


def make_folder(path: Path) -> None:
    """Make a folder that only this user may enter, whatever the umask, where there is none."""
    missing = list(takewhile(lambda folder: not folder.exists(), (path, *path.parents)))
    for folder in reversed(missing):
        folder.mkdir(mode=0o700 if folder == path else 0o777, exist_ok=True)
        # or a crash could take a folder, and leave what depends on it elsewhere
        with contextlib.suppress(PermissionError):
            sync_folder(folder.parent)
    if missing and stat.S_IMODE(path.lstat().st_mode) != 0o700:
        path.chmod(0o700)


@contextlib.contextmanager
def new_private_file(name: str | Path, *, folder: int | None = None) -> Iterator[BinaryIO]:
    """Make a file for this user alone, whatever the umask, and have it on the disk afterwards."""
    descriptor = os.open(name, _NEW_FILE, 0o600, dir_fd=folder)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, 0o600)
        yield file
        file.flush()
        os.fsync(descriptor)


def read_private(path: Path, name: str | Path, *, folder: int | None = None) -> bytes | None:
    """Return all of a private file, or None where there is none; `name` is taken from the open folder."""
    descriptor = open_private(path, os.O_RDONLY, name=name, folder=folder)
    if descriptor is None:
        return None
    with mended(path), os.fdopen(descriptor, "rb") as file:
        return file.read()


def open_private(
    path: Path, flags: int, *, name: str | Path | None = None, folder: int | None = None
) -> int | None:
    """Open what belongs to this user and nobody else may read, or return None where there is nothing."""
    # a FIFO would be waited for
    flags |= os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path if name is None else name, flags, dir_fd=folder)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unusable(path, error) from error
    try:
        _refuse_shared(path, os.fstat(descriptor), is_folder=bool(flags & os.O_DIRECTORY))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _refuse_shared(path: Path, status: os.stat_result, *, is_folder: bool) -> None:
    quoted = shlex.quote(str(path))
    if not is_folder and not stat.S_ISREG(status.st_mode):
        raise VaultError(f"{path} is no regular file", hint=_OTHER_PLACE, path=path)
    if status.st_uid != os.geteuid():
        raise VaultError(
            f"{path} belongs to another user (uid {status.st_uid})",
            hint=f"If it is yours: chown {os.geteuid()} {quoted}. {_OTHER_PLACE}",
            path=path,
        )
    if status.st_mode & 0o077:
        raise VaultError(
            f"{path} is open to other users (mode {stat.S_IMODE(status.st_mode):04o})",
            hint=f"Mend it: chmod {'700' if is_folder else '600'} {quoted}",
            path=path,
        )


@contextlib.contextmanager
def mended(path: Path) -> Iterator[None]:
    """Have what the system refuses leave the block as an error of ours."""
    try:
        yield
    except OSError as error:
        raise _unusable(path, error) from error


def _unusable(path: Path, error: OSError) -> VaultError:
    if os.path.islink(path):  # noqa: PTH114 - unlike Path's, it is an answer for any path
        return VaultError(
            f"{path} is a symbolic link, and links are not followed here", hint=_OTHER_PLACE, path=path
        )
    return VaultError(f"{path} cannot be used: {error.strerror or error}", hint=_OTHER_PLACE, path=path)
