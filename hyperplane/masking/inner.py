"""What inside a secret's value is a secret of its own: texts of a JSON document, passwords of URLs."""

import re
from collections.abc import Iterator
from functools import cache

_MIN_BYTES = 8
_MAX_NESTING = 4


def inner_values(value: bytes) -> set[bytes]:
    """Return the values inside a value, and inside those again."""
    found: set[bytes] = set()
    fresh = {value}
    for _ in range(_MAX_NESTING):
        fresh = {inner for outer in fresh for inner in _directly_inside(outer)} - found - {value}
        found |= fresh
    return found


def _directly_inside(value: bytes) -> Iterator[bytes]:
    yield from _passwords(value)
    texts = list(_json_texts(value))
    if not texts and b"\\n" in value:
        texts = [value.replace(b"\\r", b"").replace(b"\\n", b"\n")]
    yield from (text for text in texts if len(text.strip()) >= _MIN_BYTES)


def _passwords(value: bytes) -> Iterator[bytes]:
    if b"://" not in value or b"@" not in value:
        return
    from urllib.parse import unquote_to_bytes

    for match in _url().finditer(value):
        password = match[1] or match[2]
        yield password
        yield unquote_to_bytes(password)


@cache
def _url() -> re.Pattern[bytes]:
    # A password with an unescaped slash makes no valid URL, but people write it.
    return re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://[^\s:@/?#]*:(?:([^\s/?#]+)@|([^\s@]+)@)")


def _json_texts(value: bytes) -> Iterator[bytes]:
    if value.lstrip()[:1] not in (b"{", b"[", b'"'):
        return
    import json

    try:
        nodes = [json.loads(value)]
    except (ValueError, RecursionError):
        return
    while nodes:
        node = nodes.pop()
        if isinstance(node, dict):
            nodes.extend(node.values())
        elif isinstance(node, list):
            nodes.extend(node)
        elif isinstance(node, str):
            yield node.encode("utf-8", "replace")
