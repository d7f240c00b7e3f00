"""Which commit a job's folder is at, asked of git while the job already runs."""

import contextlib
import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from hyperplane.runs.record import Git

TIMEOUT_S = 2.0
_COMMAND = (
    "git",
    "status",
    "--porcelain=v2",
    "--branch",
    "--untracked-files=no",
    "--ignore-submodules=dirty",
)
_COMMIT = b"# branch.oid "


class GitProbe:
    """One question to git: read `descriptor` whenever it is readable, until `read` returns False."""

    def __init__(self, process: "subprocess.Popen[bytes]", descriptor: int) -> None:
        self._process = process
        self._give_up_at = time.monotonic() + TIMEOUT_S
        self._told = b""
        self._git: Git | None = None
        self._is_finished = False
        self.descriptor = descriptor

    @classmethod
    def start(cls, folder: Path, variables: Mapping[str, str]) -> Self | None:
        """Ask, or return None where there is no git."""
        reader, writer = os.pipe()
        try:
            process = subprocess.Popen(
                _COMMAND,
                cwd=folder,
                # asking must not get in the way of somebody who commits
                env={**variables, "GIT_OPTIONAL_LOCKS": "0"},
                stdin=subprocess.DEVNULL,
                stdout=writer,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError:
            os.close(reader)
            return None
        finally:
            os.close(writer)
        return cls(process, reader)

    def read(self) -> bool:
        """Take what git says; return False when it has said everything."""
        data = os.read(self.descriptor, 1 << 16)
        self._told += data
        return bool(data)

    def finish(self) -> Git | None:
        """Return the answer, waiting for it until its time is over, or None when there is none."""
        if not self._is_finished:
            self._is_finished = True
            self._git = self._wait()
        return self._git

    def _wait(self) -> Git | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._read_on()
            self._process.wait(self._seconds_left())
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        os.close(self.descriptor)
        return _answer(self._told) if self._process.returncode == 0 else None

    def _read_on(self) -> None:
        import select

        while select.select([self.descriptor], [], [], self._seconds_left())[0]:
            if not self.read():
                return

    def _seconds_left(self) -> float:
        return max(0.0, self._give_up_at - time.monotonic())


def _answer(told: bytes) -> Git | None:
    lines = told.splitlines()
    commit = next((line.removeprefix(_COMMIT) for line in lines if line.startswith(_COMMIT)), b"")
    if not commit or commit == b"(initial)":
        return None
    return Git(commit.decode("ascii", "replace"), any(not line.startswith(b"#") for line in lines))
