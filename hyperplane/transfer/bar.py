"""A bar on the terminal for a transfer that takes longer than a moment."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hyperplane.transfer.outcome import Progress, ProgressCallback

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

MOMENT_S = 1.0


@contextmanager
def watch(verb: str) -> Iterator[ProgressCallback | None]:
    """Give a callback that draws on standard error, or None where that is no terminal."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield None
        return
    drawing = _Drawing(verb)
    try:
        yield drawing.update
    finally:
        drawing.close()


class _Drawing:
    def __init__(self, verb: str) -> None:
        self._verb = verb
        self._bar: Bar | None = None

    def update(self, progress: Progress) -> None:
        """Draw, once the transfer has taken its moment."""
        if self._bar is None and progress.seconds > MOMENT_S:
            self._bar = _new_bar(self._verb)
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=progress.size_bytes, files=progress.files)

    def close(self) -> None:
        """Take it off the screen."""
        if self._bar is not None:
            self._bar.stop()


def _new_bar(verb: str) -> "Bar":
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeElapsedColumn, TransferSpeedColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[files]} files"),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeElapsedColumn(),
    )
    bar = Bar(*columns, console=Console(stderr=True), transient=True)
    bar.add_task(verb, total=None, files=0)
    bar.start()
    return bar
