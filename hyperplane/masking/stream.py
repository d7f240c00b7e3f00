"""Masks a stream of bytes that comes in pieces, wherever it is cut."""

from typing import TYPE_CHECKING

from hyperplane.masking.automaton import Range, redact
from hyperplane.masking.escapes import NOTHING_BEFORE, START_OF_TEXT, View, before_of, resumable, views_of
from hyperplane.masking.forms import MIN_BYTES

if TYPE_CHECKING:
    from hyperplane.masking.masker import Masker


class StreamMasker:
    """Masks one stream, and gives out the same bytes however it is cut. Not thread-safe.

    It holds back only what may be the beginning of a secret. Secrets added to the masker later count
    from the next call on.
    """

    def __init__(self, masker: "Masker") -> None:
        self._masker = masker
        self._restart()

    def _restart(self) -> None:
        self._kept = START_OF_TEXT
        self._before = NOTHING_BEFORE
        self._emitted = len(START_OF_TEXT)
        self._covered = 0
        self._is_in_match = False

    @property
    def pending(self) -> bool:
        """Whether something is held back."""
        return self._emitted < len(self._kept)

    def feed(self, chunk: bytes) -> bytes:
        """Take the next bytes and return what can be passed on: whole lines always."""
        data = self._kept + chunk
        line_end = data.rfind(b"\n")
        if line_end <= 0:
            return self._advance(data)
        lines = self._finish(data[: line_end + 1])
        return lines + self._advance(data[line_end:])

    def idle(self) -> bytes:
        """Return what can be passed on when nothing has come for a while."""
        return self.feed(b"")

    def close(self) -> bytes:
        """End the stream and return its rest, where a long beginning of a secret is masked as well."""
        return self._finish(self._kept)

    def _finish(self, data: bytes) -> bytes:
        """Return all of the data. After it everything starts anew: nothing reaches over a line end."""
        automaton = self._masker.automaton
        views = views_of(data, self._before, is_last=True)
        ranges = [(0, self._covered), *automaton.ranges_in(views, is_last=True)]
        for view in views:
            start = automaton.held_from(view)
            if len(view.text) - start >= MIN_BYTES:
                ranges.append(view.origins(start, len(view.text)))
        out, _ = redact(data, ranges, self._emitted, len(data), self._is_in_match)
        self._restart()
        return out

    def _advance(self, data: bytes) -> bytes:
        """Return the data up to what is held back, of a line that may go on."""
        automaton = self._masker.automaton
        views = views_of(data, self._before, is_last=False)
        ranges = [(0, self._covered), *automaton.ranges_in(views, is_last=False)]
        held = max(self._emitted, min(view.origin(automaton.held_from(view)) for view in views))
        out, self._is_in_match = redact(data, ranges, self._emitted, held, self._is_in_match)
        self._keep(data, views, ranges, held)
        return out

    def _keep(self, data: bytes, views: list[View], ranges: list[Range], held: int) -> None:
        """Keep what is held back, and as much before it as is needed to read it."""
        resumed = resumable(views, held)
        self._before = before_of(views, resumed)
        # One byte more: what stood before decides about words and 8-bit controls.
        base = resumed - 1
        self._kept = data[base:]
        self._emitted = held - base
        covered = max(after for first, after in ranges if first < held)
        self._covered = covered - base if covered > held else 0
