"""What a run has sealed so far, read on from its events as they grow."""

import re
from collections.abc import Iterator
from pathlib import Path

from hyperplane import journal
from hyperplane.journal import OF_SEALS, Sealed

_STOP = re.compile(rb'"stop"')
_READ_BYTES = 1 << 20


class SealTail:
    """The outputs that are sealed, by name, and those removed; `read_on` takes what has come since.

    `since_stop`: the outputs sealed after the job was asked to stop. `unfinished`: those that were about
    to be replaced when the events end. `position`: up to where these were read.
    """

    def __init__(self, path: Path) -> None:
        self.sealed: dict[str, Sealed] = {}
        self.removed: set[str] = set()
        self.since_stop: set[str] = set()
        self.unfinished: set[str] = set()
        self._path = path
        self.position = 0
        self._is_stopping = False

    def read_on(self) -> set[str]:
        """Take what the events say now, and return the names of the outputs that they speak of."""
        changed = set()
        for line in whole_lines(self._path, self.position):
            self.position += len(line)
            name = self._take(line)
            if name is not None:
                changed.add(name)
        return changed

    def _take(self, line: bytes) -> str | None:
        if _STOP.search(line) and (event := journal.parse_line(line)) is not None:
            self._is_stopping = self._is_stopping or event["kind"] == "stop"
        match event := (journal.parse_line(line) if OF_SEALS.search(line) else None) or {}:
            case {"kind": "sealing", "name": str(name)}:
                self.unfinished.add(name)
                return None
            case {"kind": "sealed", "name": str(name)}:
                self.unfinished.discard(name)
                self.sealed[name] = journal.sealed_of(event)
                self.removed.discard(name)
                self.since_stop.update({name} if self._is_stopping else ())
            case {"kind": "removed", "name": str(name)}:
                self.unfinished.discard(name)
                known = self.sealed.get(name)
                if known is None or known.folder != event.get("folder"):
                    return None
                del self.sealed[name]
                self.removed.add(name)
            case _:
                return None
        return name


def whole_lines(path: Path, position: int) -> Iterator[bytes]:
    """Yield the lines of a file from a position on; what has no end yet is for the next time."""
    try:
        file = path.open("rb", buffering=_READ_BYTES)
    except FileNotFoundError:
        return
    with file:
        file.seek(position)
        for line in file:
            if not line.endswith(b"\n"):
                return
            yield line
