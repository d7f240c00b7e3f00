"""Carries the job's standard streams: masked, shown live, and stored in the run folder."""

import fcntl
import os
from pathlib import Path
from typing import Self

from hyperplane.masking import HarmlessStream, Masker
from hyperplane.runs.live import Live

READ_BYTES = 1 << 18
# what a killed runner loses at most, of each stream
PIPE_BYTES = 1 << 18


class LogFile:
    """A stored stream: terminal commands in it are spelled out, and a full disk does not end the job."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problem = ""
        self._harmless = HarmlessStream()
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def write(self, data: bytes) -> None:
        """Store what is already masked."""
        self._store(self._harmless.feed(data))

    def close(self) -> None:
        """Store the rest, and close the file."""
        self._store(self._harmless.close())
        os.close(self._descriptor)

    def _store(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest and not self.problem:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            self.problem = error.strerror or str(error)


class Pump:
    """Carries one stream of the job from its pipe to the screen and the log."""

    def __init__(self, *, source: int, path: Path, live: Live, masker: Masker) -> None:
        os.set_blocking(source, False)
        self.source = source
        self.live = live
        self.log = LogFile(path)
        self.is_open = True
        self.is_cut = False
        self._masked = masker.stream()

    @classmethod
    def to(cls, path: Path, *, live: Live, masker: Masker) -> tuple[Self, int]:
        """Make a pump, and the descriptor that the job is to write to."""
        reader, writer = os.pipe()
        _enlarge(writer)
        return cls(source=reader, path=path, live=live, masker=masker), writer

    @property
    def has_pending(self) -> bool:
        """Whether a beginning of something is held back."""
        return self._masked.pending

    def pull(self) -> int:
        """Carry what is in the pipe now, up to a limit; return its size, 0 at the end of the stream."""
        try:
            data = os.read(self.source, READ_BYTES)
        except BlockingIOError:
            return -1
        if data:
            self._pass_on(self._masked.feed(data))
        return len(data)

    def rest(self) -> None:
        """Pass on what need not be held back when nothing has come for a while."""
        self._pass_on(self._masked.idle())

    def close(self) -> None:
        """End the stream: carry what is in the pipe still, and close it and the log."""
        self.is_open = False
        # as much as a pipe holds and no more: somebody who left the group may write for ever
        size = 1
        for _ in range(1 + PIPE_BYTES // READ_BYTES):
            if size > 0:
                size = self.pull()
        # somebody can write still, and nobody will read it
        self.is_cut = size != 0
        self._pass_on(self._masked.close())
        self.log.close()
        os.close(self.source)

    def problems(self) -> list[str]:
        """Return what was wrong with the stream, its log or the screen, a sentence each."""
        problems = []
        if self.log.problem:
            problems.append(f"{self.log.path} is not complete: {self.log.problem}")
        if self.is_cut:
            problems.append("output of processes left behind was cut")
        if self.live.problem:
            problems.append(f"the job's output could not be shown: {self.live.problem}")
        return problems

    def _pass_on(self, data: bytes) -> None:
        if data:
            # first to the disk: the screen may be gone, or its reader asleep
            self.log.write(data)
            self.live.write(data)


def _enlarge(pipe: int) -> None:
    """Make the pipe hold more, so that fewer and larger pieces are carried."""
    try:
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    except (AttributeError, OSError):  # another system, or the user's pipes have used up their memory
        return
