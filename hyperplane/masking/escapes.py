"""Where the terminal escapes in some bytes are, and what the bytes read without them."""

import re
from bisect import bisect_left, bisect_right
from codecs import utf_8_decode
from collections.abc import Sequence
from functools import cache, cached_property

Before = tuple[bytes, bytes]
START_OF_TEXT = b"\n"
"""Stands before the first byte: a line end is part of no secret and of no word."""
NOTHING_BEFORE: Before = (START_OF_TEXT, START_OF_TEXT)
MAX_SPAN_BYTES = 4096
"""How far escapes may stretch a secret that is still found, and how long one escape can be."""

Span = tuple[int, int]

_CONTINUATIONS = bytes(range(0x80, 0xC0))
_CUT_C1 = b"\xc2"
_LIMIT = b"{0,%d}" % MAX_SPAN_BYTES
_SOME = b"{1,%d}" % MAX_SPAN_BYTES
_CSI = b"[0-?]" + _LIMIT + b"[ -/]" + _LIMIT + b"[@-~]?"
_STRING = rb"[^\x07\x1b\r\n]" + _LIMIT + rb"\x07?"
# Each beginning of an escape matches as well: where a stream is cut changes nothing about its bytes.
_ESC = rb"\x1b(?:\[" + _CSI + rb"|[\]PX^_]" + _STRING + rb"|[ -/]" + _LIMIT + rb"[0-~]?)"
# Where an escape was left unfinished, what follows it is text: the letter that would end it, or all of
# a string. Colours, erasing, links and whatever has parameters are escapes all the same.
_UNFINISHED = (
    rb"\x1b(?:\[(?:[mK]|[0-?]" + _SOME + rb"[ -/]" + _LIMIT + rb"[@-~]?|[ -/]" + _SOME + rb"[@-~]?)?"
    rb"|\]" + _STRING + rb"|\\|[ -/]" + _SOME + rb"[0-~]?)?"
)
# The 8-bit controls: two bytes in UTF-8, else one byte that cannot go on a UTF-8 character.
_C1 = rb"(?:\xc2|(?<![\x80-\xff]))(?:\x9b" + _CSI + rb"|[\x90\x98\x9d-\x9f]" + _STRING + rb"|[\x80-\x9f])"


class View:
    """Bytes as they are. The first of them only says what stood before the others."""

    def __init__(self, data: bytes) -> None:
        self.text = data
        self.size = len(data)

    def origin(self, index: int) -> int:
        """Return where in the raw bytes an index of the text lies."""
        return index

    def origins(self, start: int, end: int) -> Span:
        """Return the raw span from the first to the last byte of a part of the text."""
        return self.origin(start), self.origin(end - 1) + 1

    def index_of(self, position: int) -> int:
        """Return the index of the first byte of the text that lies at a raw position or after it."""
        return max(position, 0)

    def resumable(self, position: int) -> int:
        """Return the last raw position up to this one from which the bytes would read the same."""
        return position


class ViewWithoutEscapes(View):
    """Bytes as a terminal shows them. Where each of them came from is found out when it is asked."""

    def __init__(self, data: bytes, before: bytes, escape: re.Pattern[bytes]) -> None:
        # What stood before begins no escape here, but it may begin a character.
        self._raw = (b"\xff" if data[0] >= 0x80 else START_OF_TEXT) + data[1:]
        self._escape = escape
        self.text = before + escape.sub(b"", self._raw)[1:]
        self.size = len(data)

    @cached_property
    def _escapes(self) -> list[Span]:
        return [found.span() for found in self._escape.finditer(self._raw)]

    @cached_property
    def _shifts(self) -> tuple[list[int], list[int]]:
        """Indexes of the text, and how far from each of them on the raw bytes are ahead."""
        indexes, shifts = [0], [0]
        for start, end in self._escapes:
            indexes.append(start - shifts[-1])
            shifts.append(end - indexes[-1])
        return indexes, shifts

    def origin(self, index: int) -> int:
        """Return where in the raw bytes an index of the text lies."""
        indexes, shifts = self._shifts
        return index + shifts[bisect_right(indexes, index) - 1]

    def index_of(self, position: int) -> int:
        """Return the index of the first byte of the text that lies at a raw position or after it."""
        return bisect_left(range(len(self.text)), position, key=self.origin)

    def resumable(self, position: int) -> int:
        """Return the last raw position up to this one from which the same escapes would be found."""
        for start, end in reversed(self._escapes):
            if end <= position and end != self.size:
                break
            position = min(position, start)
        return position


def views_of(data: bytes, before: Before, *, is_last: bool) -> list[View]:
    """Return the ways to read some bytes: as they are, and without escapes where that differs.

    The first byte only says what stood before, and `before` says it for the readings without escapes.
    """
    views = [View(data)]
    is_cut = data.endswith(_CUT_C1) and not is_last
    has_c1 = is_cut or _may_have_c1(data)
    if has_c1 or b"\x1b" in data or before != (data[:1], data[:1]):
        views.append(ViewWithoutEscapes(data, before[0], _escape(_ESC, has_c1, is_cut)))
        if before[0] != before[1] or _may_be_unfinished().search(data):
            views.append(ViewWithoutEscapes(data, before[1], _escape(_UNFINISHED, has_c1, is_cut)))
    return views


def before_of(views: Sequence[View], position: int) -> Before:
    """Return what stands before a raw position in the readings without escapes."""
    stripped = views[1:] or views
    indexes = [view.index_of(position) for view in (stripped[0], stripped[-1])]
    first, last = stripped[0].text, stripped[-1].text
    return first[indexes[0] - 1 : indexes[0]], last[indexes[1] - 1 : indexes[1]]


def resumable(views: Sequence[View], position: int) -> int:
    """Return the last raw position up to this one from which all views would read the same."""
    while (earlier := min(view.resumable(position) for view in views)) < position:
        position = earlier
    return position


def _may_have_c1(data: bytes) -> bool:
    """Rule 8-bit controls out, many times faster than by searching for them."""
    if data.isascii():
        return False
    try:
        utf_8_decode(data.lstrip(_CONTINUATIONS), "strict", False)
    except UnicodeDecodeError:
        return True
    return _c1_in_utf8().search(data) is not None


@cache
def _c1_in_utf8() -> re.Pattern[bytes]:
    return re.compile(rb"\xc2[\x80-\x9f]")


@cache
def _may_be_unfinished() -> re.Pattern[bytes]:
    return re.compile(rb"\x1b(?:[0-Z^-~]|\[[@-JL-ln-~])")


@cache
def _escape(escape: bytes, has_c1: bool, is_cut: bool) -> re.Pattern[bytes]:
    """Compile on first use: most streams need none of these, coloured ones the simplest."""
    return re.compile(escape + (b"|" + _C1) * has_c1 + (b"|" + _CUT_C1 + rb"\Z") * is_cut)
