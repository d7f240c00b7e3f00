"""Prints the stored output of a run, and goes on while the run lives."""

import time
from collections.abc import Callable
from pathlib import Path

from hyperplane.errors import RunnerError
from hyperplane.rundir import RunDir, is_locked

POLL_S = 0.1
_READ_BYTES = 1 << 18

Write = Callable[[bytes], object]


class LogReader:
    """Reads a log from its beginning, a piece at a time; the file need not exist yet."""

    def __init__(self, path: Path, write: Write) -> None:
        self._path = path
        self._write = write
        self._position = 0

    def copy_new(self) -> None:
        """Write out what has come since the last call. Raises `RunnerError` when it cannot be read."""
        while data := self._read():
            self._position += len(data)
            self._write(data)

    def _read(self) -> bytes:
        try:
            with self._path.open("rb") as file:
                file.seek(self._position)
                return file.read(_READ_BYTES)
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise RunnerError(f"{self._path} cannot be read: {error.strerror or error}") from error


def print_logs(run: RunDir, *, stdout: Write, stderr: Write | None = None, follow: bool = False) -> None:
    """Write the run's standard output, and its standard error where wanted; `follow`: until it has ended."""
    readers = [LogReader(run.stdout_log, stdout)]
    if stderr is not None:
        readers.append(LogReader(run.stderr_log, stderr))
    while True:
        # asked before reading, so that nothing written just before the end is missed
        is_alive = follow and is_locked(run.lock)
        for reader in readers:
            reader.copy_new()
        if not is_alive:
            return
        time.sleep(POLL_S)
