"""The folder in memory through which a run's secrets reach its job, gone when the run ends."""

import os
import shutil
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from secrets import token_hex
from typing import Self

from hyperplane.errors import HyperplaneWarning, RunnerError
from hyperplane.rundir import Lock, is_locked

PREFIX = "hyperplane-run-"
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - checked to be a tmpfs, and our folder in it is 0700
_MOUNTS = Path("/proc/self/mounts")
# a folder is made a moment before it is locked, and only then gets its name
_YOUNG_S = 60.0


def choose_place(variables: Mapping[str, str], *, has_secrets: bool) -> Path:
    """Return where the folder is to be, after removing those that dead runners have left beside it.

    It lies in `/dev/shm`, else in `XDG_RUNTIME_DIR`, else in the folder for temporary files, with a
    warning where there are secrets to put there.
    """
    base = _base(variables, has_secrets=has_secrets)
    remove_stale(base)
    return base / f"{PREFIX}{os.getuid()}-{token_hex(8)}"


class Scratch:
    """A 0700 folder with one 0600 file for each secret in `secrets`; its lock tells that it is in use."""

    def __init__(self, path: Path, lock: Lock) -> None:
        self.path = path
        self._lock = lock

    @property
    def secrets(self) -> Path:
        """The folder that the job finds its secrets in."""
        return self.path / "secrets"

    @classmethod
    def make(cls, place: Path, secrets: Mapping[str, bytes]) -> Self:
        """Make the folder and fill it. Raises `RunnerError` when it cannot be made, and leaves nothing then.

        It has a lock before it has its name: one of that name that nobody holds is left behind.
        """
        unnamed = place.with_name(f".{place.name}")
        try:
            unnamed.mkdir(mode=0o700)
            lock = Lock.take(unnamed / "lock")
            if lock is None:
                raise OSError(None, f"{unnamed} is locked by somebody else")
            unnamed.rename(place)
            scratch = cls(place, lock)
            scratch.secrets.mkdir(mode=0o700)
            for name, value in secrets.items():
                _write(scratch.secrets / name, value)
        except OSError as error:
            for path in (unnamed, place):
                shutil.rmtree(path, ignore_errors=True)
            raise RunnerError(
                f"no folder can be made for the secrets: {error.strerror or error}",
                hint="It goes to /dev/shm, XDG_RUNTIME_DIR or the folder for temporary files.",
            ) from error
        return scratch

    def remove(self) -> None:
        """Remove the folder with everything in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.close()


def remove_stale(base: Path) -> None:
    """Remove the folders of this user that belong to no living runner any more."""
    ours = f"{PREFIX}{os.getuid()}-*"
    for path in (*base.glob(ours), *base.glob(f".{ours}")):
        try:
            status = path.lstat()
            is_young = path.name.startswith(".") and time.time() - status.st_mtime <= _YOUNG_S
            if not is_young and status.st_uid == os.getuid() and not is_locked(path / "lock"):
                shutil.rmtree(path, ignore_errors=True)
        except FileNotFoundError:  # another runner was faster
            continue


def _base(variables: Mapping[str, str], *, has_secrets: bool) -> Path:
    # memory first: what is never on a disk need not be wiped from one
    runtime = variables.get("XDG_RUNTIME_DIR")
    if _is_tmpfs(SHARED_MEMORY) and _is_writable(SHARED_MEMORY):
        return SHARED_MEMORY
    if runtime and _is_writable(Path(runtime)):
        return Path(runtime)
    import tempfile

    base = Path(tempfile.gettempdir())
    if has_secrets:
        message = f"secrets are written to {base} for the run: there is no file system in memory to hold them"
        warnings.warn(message, HyperplaneWarning, stacklevel=2)
    return base


def _is_tmpfs(path: Path) -> bool:
    try:
        mounts = _MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    return any(line.split()[1:3] == [str(path), "tmpfs"] for line in mounts)


def _is_writable(path: Path) -> bool:
    return path.is_dir() and os.access(path, os.W_OK | os.X_OK)


def _write(path: Path, value: bytes) -> None:
    # readers of mounted secrets take one final newline for an editor's
    data = value + b"\n" if value.endswith(b"\n") else value
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
