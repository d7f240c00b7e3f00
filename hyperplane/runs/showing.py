"""Says how far a delivery or a download has come: on one line of a terminal, or now and then on a new one."""

import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

EVERY_S = 10.0


class Advance:
    """Shows files and bytes that are there; `write` is given texts with their ends of line, if any."""

    def __init__(self, doing: str, write: Callable[[str], object], *, is_terminal: bool) -> None:
        self._doing = doing
        self._write = write
        self._is_terminal = is_terminal
        self._next_at = time.monotonic() + (0.0 if is_terminal else EVERY_S)
        self._is_drawn = False

    @classmethod
    def on_stderr(cls, doing: str) -> "Advance":
        """Show it on our standard error."""
        return cls(doing, _write_stderr, is_terminal=sys.stderr is not None and sys.stderr.isatty())

    def show(self, told: Mapping[str, Any]) -> None:
        """Show how far it is: `files` of `all_files`, `bytes` of `all_bytes`, where those are known."""
        now = time.monotonic()
        if now < self._next_at:
            return
        files, size = told["files"], size_text(told["bytes"])
        if "all_files" in told:
            files, size = f"{files} of {told['all_files']}", f"{size} of {size_text(told['all_bytes'])}"
        line = f"hyperplane: {self._doing}: {files} files, {size}"
        if self._is_terminal:
            self._write(f"\r{line}\x1b[K")
            self._is_drawn = True
        else:
            self._next_at = now + EVERY_S
            self._write(f"{line}\n")

    def close(self) -> None:
        """Take the line off the terminal."""
        if self._is_drawn:
            self._write("\r\x1b[K")


def _write_stderr(text: str) -> None:
    with suppress(OSError, ValueError):  # nobody hears it
        sys.stderr.write(text)
        sys.stderr.flush()


def size_text(size_bytes: int) -> str:
    """Return a size as people say it: `3 B`, `1.5 MiB`."""
    size, unit = float(size_bytes), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{size_bytes} B" if unit == "B" else f"{size:.1f} {unit}"


def rate_text(size_bytes: int, seconds: float) -> str:
    """Return a rate, or nothing where there was too little to measure."""
    return f", {size_text(round(size_bytes / seconds))}/s" if seconds >= 0.1 and size_bytes else ""
