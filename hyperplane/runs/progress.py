"""A progress bar for a job that says how far it is, drawn on the terminal below its output."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyperplane import journal
from hyperplane.runs.live import Live

if TYPE_CHECKING:
    from rich.progress import Progress

EVERY_S = 0.2
_ERASE = b"\r\x1b[2K"
_READ_BYTES = 1 << 20
_USUAL_COLUMNS = 80


class EventTail:
    """Reads the events that have come since the last look."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = 0

    def read(self) -> list[dict[str, Any]]:
        """Return the new events, whole lines only."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._position)
                data = file.read(_READ_BYTES)
        except OSError:  # not there yet, or the job has put something else there
            return []
        # a line longer than one look is passed over rather than waited for
        whole = data.rfind(b"\n") + 1 or (len(data) if len(data) == _READ_BYTES else 0)
        self._position += whole
        lines = data[:whole].splitlines(keepends=True)
        return [event for line in lines if (event := journal.parse_line(line)) is not None]


class ProgressBar:
    """Shows the last `progress` event of a run; off the screen while a line of the job's is unfinished."""

    def __init__(self, events: Path, live: Live, screens: tuple[Live, ...]) -> None:
        self._tail = EventTail(events)
        self._live = live
        self._screens = tuple(screen for screen in screens if screen.is_terminal)
        self._progress: Progress | None = None
        self._is_shown = False
        for screen in self._screens:
            screen.bar = self

    def tick(self) -> None:
        """Look for news and draw them, where that disturbs nothing."""
        # the last one says it all, however many have come
        told = [event for event in self._tail.read() if event["kind"] == "progress"]
        if told:
            self._update(told[-1].get("done"), told[-1].get("total"))
        if self._progress is not None and all(self._is_free(screen) for screen in self._screens):
            self._draw(self._line(self._progress))

    def hide(self) -> None:
        """Take the bar off the screen."""
        if self._is_shown:
            self._is_shown = False
            self._draw(b"")

    def close(self) -> None:
        """Take the bar off the screen for good."""
        self.hide()
        for screen in self._screens:
            screen.bar = None

    def _is_free(self, screen: Live) -> bool:
        return screen.is_at_line_start and screen.is_open and not screen.pending

    def _draw(self, line: bytes) -> None:
        self._live.draw(_ERASE + line)
        self._is_shown = bool(line)

    def _update(self, done: object, total: object) -> None:
        if not isinstance(done, int | float) or not isinstance(total, int | float) or total <= 0:
            return
        if self._progress is None:
            self._progress = _new_progress()
        self._progress.update(self._progress.task_ids[0], completed=done, total=total)

    def _line(self, progress: "Progress") -> bytes:
        console = progress.console
        console.width = (os.get_terminal_size(self._live.descriptor).columns or _USUAL_COLUMNS) - 1
        with console.capture() as captured:
            console.print(progress.get_renderable(), end="")
        return captured.get().strip("\n").encode()


def _new_progress() -> "Progress":
    from io import StringIO

    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TimeElapsedColumn, TimeRemainingColumn

    console = Console(file=StringIO(), force_terminal=True)
    columns = (BarColumn(bar_width=None), TaskProgressColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    progress = Progress(*columns, console=console, auto_refresh=False, expand=True)
    progress.add_task("", total=1.0)
    return progress
