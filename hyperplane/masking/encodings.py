"""The spellings in which a value turns up in logs: encoded, escaped, quoted."""

import binascii

_NEVER_ESCAPED = b"-._"
_BASE64_URL = bytes.maketrans(b"+/", b"-_")
_WRAP_WIDTHS = (64, 76)
# What RFC 3986, urllib's default, JavaScript's encodeURIComponent and HTML forms leave as it is.
_PERCENT_SAFE = (b"-._~", b"-._~/", b"-._~!'()*", b"-._*")
_HTML_QUOTES = (
    ("'", '"'),
    ("'", "&quot;"),
    ("&#x27;", "&quot;"),
    ("&#39;", "&quot;"),
    ("&#39;", "&#34;"),
    ("&apos;", "&quot;"),
)


def is_plain(line: bytes) -> bool:
    """Say whether only `BINARY_ENCODINGS` change a line: it has nothing that anybody escapes."""
    return line.translate(None, _NEVER_ESCAPED).isalnum()


def base64_forms(value: bytes) -> set[bytes]:
    """Return what base64 makes of a value at each of 3 offsets, and the lines of the usual wrappings.

    Characters that also depend on the bytes before or after the value are left out.
    """
    found = set()
    for offset in range(3):
        encoded = _base64(bytes(offset) + value)
        stable = encoded[-(-offset * 8 // 6) : (offset + len(value)) * 8 // 6]
        found |= {stable, stable.translate(_BASE64_URL)}
    encoded = _base64(value)
    for width in _WRAP_WIDTHS:
        if len(encoded) > width:
            found |= {encoded[at : at + width] for at in range(0, len(encoded), width)}
    return found


def hex_forms(value: bytes) -> set[bytes]:
    """Return a value in hexadecimal digits, in both cases."""
    digits = value.hex().encode()
    return {digits, digits.upper()}


def percent_forms(value: bytes) -> set[bytes]:
    """Return a value as it stands in URLs and form bodies."""
    found = set()
    for safe in _PERCENT_SAFE:
        unsafe = {byte for byte in set(value) - set(safe) if not bytes((byte,)).isalnum()}
        for spelling in (b"%%%02X", b"%%%02x"):
            # The percent sign comes first, or it would change what the others are spelt as.
            encoded = value.replace(b"%", spelling % ord("%"))
            for byte in unsafe - {ord("%")}:
                encoded = encoded.replace(bytes((byte,)), spelling % byte)
            found |= {encoded, encoded.replace(b"%20", b"+")}
    return found


def json_forms(value: bytes) -> set[bytes]:
    """Return a value inside JSON, and inside JSON that was made text again, with and without `\\u`."""
    import json

    once = {json.dumps(_text(value), ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)}
    twice = {json.dumps(text, ensure_ascii=ascii_only)[1:-1] for text in once for ascii_only in (True, False)}
    return {_bytes(text) for text in once | twice}


def python_forms(value: bytes) -> set[bytes]:
    """Return a value inside the `repr` of the text and of the bytes, and of longer ones around it."""
    text = _text(value)
    # repr picks its quotes by what else is there: with both kinds around, single quotes are escaped.
    spellings = {
        repr(text)[1:-1],
        repr(text + "'\"")[1:-4],
        ascii(text)[1:-1],
        ascii(text + "'\"")[1:-4],
        repr(value)[2:-1],
        repr(value + b"'\"")[2:-4],
    }
    return {_bytes(spelling) for spelling in spellings}


def shell_forms(value: bytes) -> set[bytes]:
    """Return a value inside single and double quotes of a shell."""
    in_double_quotes = value
    for special in (b"\\", b'"', b"$", b"`"):
        in_double_quotes = in_double_quotes.replace(special, b"\\" + special)
    return {
        value.replace(b"'", b"'\\''"),
        value.replace(b"'", b"'\"'\"'"),
        value.replace(b'"', b'\\"'),
        in_double_quotes,
    }


def html_forms(value: bytes) -> set[bytes]:
    """Return a value in HTML and XML, with each spelling of the quotes."""
    text = _text(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return {_bytes(text.replace("'", apostrophe).replace('"', quote)) for apostrophe, quote in _HTML_QUOTES}


def _base64(value: bytes) -> bytes:
    return binascii.b2a_base64(value, newline=False)


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _unchanged(value: bytes) -> set[bytes]:
    return {value}


BINARY_ENCODINGS = (_unchanged, base64_forms, hex_forms)
TEXT_ENCODINGS = (json_forms, percent_forms, python_forms, shell_forms, html_forms)
# Those that put a value of several lines on one line.
WHOLE_ENCODINGS = (base64_forms, hex_forms, json_forms, percent_forms)
