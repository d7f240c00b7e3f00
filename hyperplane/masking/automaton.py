"""The compiled patterns of all secrets: what matches, and what may become a match."""

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator

from hyperplane.masking.escapes import MAX_SPAN_BYTES, View
from hyperplane.masking.forms import MAX_PATTERN_BYTES

MASK = b"***"

Range = tuple[int, int]

_HEAD_BYTES = 4
_ALPHANUMERIC = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")


class Automaton:
    """Patterns to find anywhere, and words to find where they stand alone. Never changes."""

    def __init__(self, anywhere: Collection[bytes] = (), words: Collection[bytes] = ()) -> None:
        self._word_count = len(words)
        self._patterns = (*words, *anywhere)
        self._search = None
        if self._patterns:
            from ahocorasick_rs import BytesAhoCorasick

            self._search = BytesAhoCorasick(self._patterns).find_matches_as_indexes
        # A word is no match before the byte after it is known, so all of it is only a beginning.
        self._continued = sorted([*anywhere, *(word + b"\n" for word in words)])
        self._heads = {pattern[:size] for pattern in self._continued for size in range(1, _HEAD_BYTES + 1)}

    def ranges_in(self, views: Iterable[View], *, is_last: bool) -> list[Range]:
        """Return where matches lie in the raw bytes. Nothing follows views that are the last."""
        return [(first, after) for view in views for _, first, after in self._matches(view, is_last)]

    def patterns_in(self, views: Iterable[View], *, is_last: bool) -> Iterator[tuple[bytes, int]]:
        """Yield the patterns that match, each with where it lies in the raw bytes."""
        for view in views:
            for pattern, first, _ in self._matches(view, is_last):
                yield self._patterns[pattern], first

    def held_from(self, view: View) -> int:
        """Return where in a view's text its longest tail starts that a match may begin with."""
        text = view.text
        recent = max(len(text) - MAX_PATTERN_BYTES + 1, text.rfind(b"\n", -MAX_PATTERN_BYTES) + 1)
        for start in range(recent, len(text)):
            if text[start : start + _HEAD_BYTES] not in self._heads or not self._is_beginning(text[start:]):
                continue
            if view.size - view.origin(start) < MAX_SPAN_BYTES:
                return start
        return len(text)

    def _matches(self, view: View, is_last: bool) -> Iterator[tuple[int, int, int]]:
        if self._search is None:
            return
        for pattern, start, end in self._search(view.text, overlapping=True):
            if pattern < self._word_count and not _stands_alone(view, start, end, is_last):
                continue
            first, after = view.origins(start, end)
            if after - first <= MAX_SPAN_BYTES:
                yield pattern, first, after

    def _is_beginning(self, tail: bytes) -> bool:
        after = bisect_right(self._continued, tail)
        return after < len(self._continued) and self._continued[after].startswith(tail)


def redact(
    data: bytes, ranges: Iterable[Range], start: int, end: int, is_in_match: bool
) -> tuple[bytes, bool]:
    """Return a part of the data with each run of covered bytes as one mask, and whether it ends in one.

    A run that goes on from before the part (`is_in_match`) has its mask already.
    """
    pieces = []
    for range_start, range_end in sorted(ranges):
        first, after = max(range_start, start), min(range_end, end)
        if first >= after:
            continue
        if first > start:
            pieces.append(data[start:first])
        if first > start or not is_in_match:
            pieces.append(MASK)
        start, is_in_match = after, True
    if start < end:
        pieces.append(data[start:end])
        is_in_match = False
    return b"".join(pieces), is_in_match


def _stands_alone(view: View, start: int, end: int, is_last: bool) -> bool:
    text = view.text
    # The first byte is there for the next one: what stood before it has decided about it already.
    if start == 0 or (text[start - 1] in _ALPHANUMERIC and text[start] in _ALPHANUMERIC):
        return False
    if text[end - 1] not in _ALPHANUMERIC:
        return True
    if end < len(text) and text[end] not in _ALPHANUMERIC:
        return True
    is_out_of_reach = view.origin(end) - view.origin(start) >= MAX_SPAN_BYTES
    return is_out_of_reach or (is_last and end == len(text))
