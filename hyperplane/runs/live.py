"""One of the runner's own streams, on which the job's output is shown while it runs."""

import contextlib
import os
import stat
from typing import Protocol

_REOPEN = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_APPEND | os.O_CLOEXEC


class Bar(Protocol):
    """Something drawn on the terminal that must be out of the way while a line of the job's is written."""

    def hide(self) -> None:
        """Take it off the screen."""
        ...


class Live:
    """Writes to one of our standard streams without ever waiting for its reader.

    What the reader does not take is kept in `pending`: whoever fills it stops until `flush` has emptied
    it. A reader that has gone away ends the showing, never the job.
    """

    def __init__(self, descriptor: int) -> None:
        self._own = _reopened(descriptor)
        self.descriptor = descriptor if self._own is None else self._own
        self.is_terminal = os.isatty(descriptor)
        self.is_open = True
        self.is_at_line_start = True
        self.pending = b""
        self.problem = ""
        self.bar: Bar | None = None

    def write(self, data: bytes) -> None:
        """Show bytes as they are."""
        if not data or not self.is_open:
            return
        if self.bar is not None:
            self.bar.hide()
        self.is_at_line_start = data.endswith(b"\n")
        self.draw(data)

    def draw(self, data: bytes) -> None:
        """Show bytes that are not the job's."""
        if self.is_open:
            self.pending += data
            self.flush()

    def flush(self) -> None:
        """Write as much of what is pending as the reader takes now."""
        rest = memoryview(self.pending)
        try:
            while rest:
                rest = rest[os.write(self.descriptor, rest) :]
        except BlockingIOError:  # the reader takes no more for now
            pass
        except OSError as error:
            self.problem = "" if isinstance(error, BrokenPipeError) else error.strerror or str(error)
            self.abandon()
            return
        self.pending = bytes(rest)

    def abandon(self) -> None:
        """Show nothing more, and forget what was not shown yet."""
        self.is_open = False
        self.pending = b""

    def close(self) -> None:
        """Give back what was opened here; the stream itself stays as it was."""
        self.is_open = False
        if self._own is not None:
            os.close(self._own)
            self._own = None


def _reopened(descriptor: int) -> int | None:
    """Open a pipe or terminal once more, so that it can be non-blocking for us alone.

    The flag belongs to the open file, which a shell and other programs share with us.
    """
    # opened once more, a file would be written from its beginning, and a socket cannot be
    mode = os.fstat(descriptor).st_mode
    if not (stat.S_ISFIFO(mode) or os.isatty(descriptor)):
        return None
    with contextlib.suppress(OSError):
        return os.open(f"/proc/self/fd/{descriptor}", _REOPEN)
    return None
