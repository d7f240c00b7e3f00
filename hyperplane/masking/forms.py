"""Which patterns one secret value gives, and what of it cannot be masked."""

from typing import NamedTuple

from hyperplane.masking.encodings import BINARY_ENCODINGS, TEXT_ENCODINGS, WHOLE_ENCODINGS, is_plain
from hyperplane.masking.inner import inner_values

MIN_BYTES = 8
_MIN_WORD_BYTES = 4
MAX_PATTERN_BYTES = 64
_TILE_BYTES = 24
_MIN_DISTINCT_BYTES = 5
_MAX_NUMBER_DIGITS = 5
_COMMON_WORDS = (b"true", b"false", b"null", b"yes", b"no")
_ENCODINGS = (*BINARY_ENCODINGS, *TEXT_ENCODINGS)
# Enough for a text of 64 KiB; more would take seconds and hundreds of megabytes.
_MAX_PATTERNS = 100_000


class Forms(NamedTuple):
    """The patterns of a value; `shortfall` says what a warning must say about it, or nothing."""

    anywhere: frozenset[bytes]
    words: frozenset[bytes]
    shortfall: str


def forms_of(value: bytes) -> Forms:
    """Return the patterns of a secret's value and of the values inside it."""
    parts = [value, *sorted(inner_values(value))]
    tiles, encodings = _tiles_of(parts)
    short = [value, *(part for part in parts[1:] if len(_lines(part)) == 1 or _sources(part))]
    words = {word for part in short for word in _words(part)}
    shortfalls = [_shortfall(value), *map(_inner_shortfall, short[1:])]
    if encodings < len(_ENCODINGS):
        shortfalls.insert(0, f"is too large: masked in {encodings} of {len(_ENCODINGS)} encodings")
    return Forms(frozenset(tiles), frozenset(words), next(filter(None, shortfalls), ""))


def _tiles_of(parts: list[bytes]) -> tuple[set[bytes], int]:
    """Return the patterns to mask anywhere, and how many encodings they are from."""
    lines = {line for part in parts for line in _sources(part)}
    unusual = {line for line in lines if not is_plain(line)}
    wholes = {whole for part in parts for whole in (part, part.strip()) if _is_whole(whole)}
    armor = {line.strip() for part in parts for line in part.splitlines() if _is_armor(line.strip())}
    tiles: set[bytes] = set()
    for count, encode in enumerate(_ENCODINGS):
        sources = lines if encode in BINARY_ENCODINGS else unusual
        sources = sources | wholes if encode in WHOLE_ENCODINGS else sources
        found = {tile for source in sources for form in encode(source) for tile in _tiles(form)}
        if len(tiles) + len(found) > _MAX_PATTERNS:
            return tiles, count
        framing = [form for line in armor for form in encode(line)]
        tiles |= {tile for tile in found if not any(tile in form for form in framing)}
    return tiles, len(_ENCODINGS)


def _is_whole(value: bytes) -> bool:
    return len(value) >= MIN_BYTES and len(value.strip().splitlines()) > 1


def _lines(value: bytes) -> list[bytes]:
    lines = (line.strip() for line in value.splitlines())
    return [line for line in lines if line and not _is_armor(line)]


def _sources(value: bytes) -> list[bytes]:
    return [line for line in _lines(value) if len(line) >= MIN_BYTES]


def _words(value: bytes) -> list[bytes]:
    """Return the short lines of a value."""
    short = [line for line in _lines(value) if _MIN_WORD_BYTES <= len(line) < MIN_BYTES]
    return [line for line in short if not _is_common(line)]


def _is_common(line: bytes) -> bool:
    return line.lower() in _COMMON_WORDS or (line.isdigit() and len(line) <= _MAX_NUMBER_DIGITS)


def _is_armor(line: bytes) -> bool:
    """Say whether a line only frames a key: it is the same for every key."""
    label = line.removeprefix(b"-----").removesuffix(b"-----")
    return len(line) - len(label) == 10 and label.startswith((b"BEGIN ", b"END ")) and b"-" not in label


def _tiles(form: bytes) -> set[bytes]:
    """Cut a long form into blocks, so that line-wrapped and partial copies are found too."""
    if len(form) <= MAX_PATTERN_BYTES:
        return {form} if len(form) >= MIN_BYTES else set()
    last = len(form) - _TILE_BYTES
    tiles = {form[at : at + _TILE_BYTES] for at in (*range(0, last, _TILE_BYTES), last)}
    return {tile for tile in tiles if len(set(tile)) >= _MIN_DISTINCT_BYTES}


def _shortfall(value: bytes) -> str:
    if sources := _sources(value):
        if not any(map(_tiles, sources)):
            return "repeats a few bytes: not masked"
        return "has lines shorter than 8 bytes: masked only where they stand alone" if _words(value) else ""
    if _words(value):
        return "is shorter than 8 bytes: masked only where it stands alone"
    if any(len(line) >= _MIN_WORD_BYTES for line in _lines(value)):
        return "is a common word or a short number: not masked"
    return "is shorter than 4 bytes: not masked"


def _inner_shortfall(part: bytes) -> str:
    shortfall = _shortfall(part)
    return f"holds a password that {shortfall}" if shortfall else ""
