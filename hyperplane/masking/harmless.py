"""Keeps what is stored from giving orders to the terminal that shows it."""

import re
from codecs import getincrementaldecoder
from functools import cache

_ESC = "\x1b"


class HarmlessStream:
    r"""Spells out (`\x1b`) what begins operating system commands and other C1 controls in a stream.

    Colours and cursor movements stay, and everything else does, to the byte. Not thread-safe.
    """

    def __init__(self) -> None:
        self._decoder = getincrementaldecoder("utf-8")("surrogateescape")
        self._held = ""

    def feed(self, chunk: bytes) -> bytes:
        """Take the next bytes and return what can be stored: half a character or escape waits."""
        return self._convert(chunk, is_last=False)

    def close(self) -> bytes:
        """End the stream and return its rest."""
        return self._convert(b"", is_last=True)

    def _convert(self, chunk: bytes, *, is_last: bool) -> bytes:
        text = self._held + self._decoder.decode(chunk, is_last)
        self._held = _ESC if text.endswith(_ESC) and not is_last else ""
        text = text.removesuffix(self._held)
        if _ESC in text or not text.isascii():
            text = _commanding().sub(_spelled_out, text)
        return text.encode("utf-8", "surrogateescape")


def harmless(data: bytes) -> bytes:
    """Return bytes, complete in themselves, without anything that commands a terminal."""
    stream = HarmlessStream()
    return stream.feed(data) + stream.close()


@cache
def _commanding() -> re.Pattern[str]:
    # C1 controls are characters of their own, or single bytes that are no UTF-8. With ESC all that is
    # not known to be harmless counts: terminals skip control characters within an escape.
    return re.compile(r"[\x80-\x9f\udc80-\udc9f]|\x1b(?![ -?\[`-~])")


def _spelled_out(control: re.Match[str]) -> str:
    return f"\\x{ord(control[0]) & 0xFF:02x}"
