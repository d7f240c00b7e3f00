"""Tells which secrets stand in some bytes, and on which line each comes first."""

from collections.abc import Iterable, Iterator

from hyperplane.masking.automaton import Automaton
from hyperplane.masking.escapes import MAX_SPAN_BYTES, NOTHING_BEFORE, START_OF_TEXT, View, views_of
from hyperplane.masking.masker import Masker

_OVERLAP_BYTES = 2 * MAX_SPAN_BYTES


class Search:
    """A search for the secrets that a masker knows now, and for their names."""

    def __init__(self, masker: Masker) -> None:
        self._masker = masker
        self._automaton: Automaton = masker.automaton

    def names_in(self, chunks: Iterable[bytes]) -> Iterator[tuple[str, int]]:
        """Yield the name of each secret once, with the line that it first stands on, from 1."""
        found: set[str] = set()
        for line, data, is_last in _pieces(chunks):
            for pattern, position in self._matches(data, is_last):
                name = self._masker.name_of(pattern)
                if name not in found:
                    found.add(name)
                    # the line end that stands before the first byte counts as none
                    yield name, line + data.count(b"\n", 1, position)

    def _matches(self, data: bytes, is_last: bool) -> Iterator[tuple[bytes, int]]:
        # bytes with a NUL are no text for a terminal, and escapes in them none
        is_text = b"\0" not in data
        views = views_of(data, NOTHING_BEFORE, is_last=is_last) if is_text else [View(data)]
        return self._automaton.patterns_in(views, is_last=is_last)


def _pieces(chunks: Iterable[bytes]) -> Iterator[tuple[int, bytes, bool]]:
    """Yield the bytes with what stood before them, from line to line where there are lines.

    Each piece comes with the number of its first line, and whether its end ends a line or the whole.
    The end of a long line comes again with what follows, for no piece of it tells all by itself.
    """
    line, kept = 1, START_OF_TEXT
    coming = iter(chunks)
    chunk = next(coming, b"")
    for following in coming:
        data, chunk = kept + chunk, following
        line_end = data.rfind(b"\n", 1)
        if line_end > 0:
            yield line, data[: line_end + 1], True
            line += data.count(b"\n", 1, line_end + 1)
            kept = data[line_end:]
        else:
            yield line, data, False
            kept = data[-_OVERLAP_BYTES:]
    yield line, kept + chunk, True
