import base64
import html
import json
import random
import shlex
import string
from urllib.parse import quote, quote_plus

import pytest

from hyperplane.masking import Masker

SECRET = "p%ss wo/rd+'\"<&>~é\\$`"
BODY = ["".join(random.Random(7).choices(string.ascii_letters + "+/", k=64)) for _ in range(4)]
BEGIN, END = "-----BEGIN RSA PRIVATE KEY-----", "-----END RSA PRIVATE KEY-----"
PEM = "\n".join([BEGIN, *BODY, "QmFzZTY0IGVuZHM=", END, ""])


def masked(secret, text):
    """Return a text masked by a masker that knows one secret."""
    masker = Masker()
    masker.add("secret", secret)
    return masker.mask(text)


SPELLINGS = {
    "raw": SECRET,
    "percent": quote(SECRET, safe=""),
    "percent but slashes": quote(SECRET),
    "percent in lower case": quote(SECRET, safe="").replace("%C3%A9", "%c3%a9").replace("%2B", "%2b").lower(),
    "form": quote_plus(SECRET),
    "encodeURIComponent": quote(SECRET, safe="!'()*~"),
    "json": json.dumps(SECRET)[1:-1],
    "json without escapes": json.dumps(SECRET, ensure_ascii=False)[1:-1],
    "json twice": json.dumps(json.dumps(SECRET))[3:-3],
    "json twice without escapes": json.dumps(json.dumps(SECRET, ensure_ascii=False), ensure_ascii=False)[
        3:-3
    ],
    "repr": repr(SECRET)[1:-1],
    "ascii": ascii(SECRET)[1:-1],
    "repr of bytes": repr(SECRET.encode())[2:-1],
    "hex": SECRET.encode().hex(),
    "HEX": SECRET.encode().hex().upper(),
    "shlex": shlex.quote(SECRET)[1:-1],
    "closed single quotes": SECRET.replace("'", "'\\''"),
    "double quotes": SECRET.replace('"', '\\"'),
    "html": html.escape(SECRET),
    "html but quotes": html.escape(SECRET, quote=False),
    "html with numbers": html.escape(SECRET).replace("&#x27;", "&#39;").replace("&quot;", "&#34;"),
    "xml": html.escape(SECRET).replace("&#x27;", "&apos;"),
}


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
def test_every_spelling_is_masked(spelling):
    """A secret is masked in each form of the specification."""
    assert masked(SECRET, f"before {spelling} after") == "before *** after"


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("before", [b"", b"u", b"u:"])
@pytest.mark.parametrize("after", [b"", b"@", b"@h"])
def test_base64_around_a_secret_keeps_nothing_of_it(encode, before, after):
    """At every offset base64 keeps only the characters that also depend on its neighbours."""
    secret = b"s3cr\xff\xfe\xfbt-value"
    text = encode(before + secret + after).decode()
    left = masked(secret, text).replace("***", "")
    assert len(left.rstrip("=")) <= -(-len(before) * 4 // 3) + -(-len(after) * 4 // 3) + 2


@pytest.mark.parametrize("width", [64, 76])
def test_wrapped_base64_is_masked_to_its_ends(width):
    """Base64 broken into lines of the usual widths is masked on each line."""
    secret = "".join(random.Random(1).choices(string.printable[:90], k=300))
    encoded = base64.b64encode(secret.encode()).decode()
    lines = [encoded[at : at + width] for at in range(0, len(encoded), width)]
    assert masked(secret, "\n".join(lines)).split("\n") == ["***"] * len(lines)


def test_base64_wrapped_at_an_odd_width_keeps_only_fragments():
    """Where blocks are broken by a line end, less than a block stays on either side."""
    encoded = base64.b64encode(PEM.encode()).decode()
    lines = [encoded[at : at + 100] for at in range(0, len(encoded) - 100, 100)]
    left = masked(PEM, "\n".join(lines)).split("\n")[1:]
    assert max(len(part) for line in left for part in line.split("***")) < 24


def test_each_line_of_a_key_is_masked_and_its_frame_is_not():
    """A key of several lines is masked line by line, without the lines that all keys share."""
    assert masked(PEM, PEM) == "\n".join([BEGIN, *["***"] * 5, END, ""])


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: base64.b64encode(text.encode()).decode(),
        lambda text: base64.b64encode(text.strip().encode()).decode(),
        lambda text: text.encode().hex(),
        lambda text: json.dumps(text)[1:-1],
        lambda text: json.dumps(json.dumps(text))[1:-1],
        quote,
    ],
    ids=["base64", "base64 of it stripped", "hex", "json", "json twice", "percent"],
)
def test_a_key_is_masked_when_its_lines_have_become_one(encode):
    """Encoded as a whole, a key shows at most its frame and less than a block next to it."""
    left = masked(PEM, encode(PEM)).split("***")
    assert all(part in encode(f"{BEGIN}\n") + encode(f"\n{END}\n") or len(part) < 8 for part in left)


def test_the_frame_of_a_key_is_no_pattern_in_any_encoding():
    """What all keys begin and end with is no secret, raw or encoded."""
    texts = [BEGIN, END, json.dumps(f"{BEGIN}\n"), quote(BEGIN), BEGIN.encode().hex()]
    assert [masked(PEM, text) for text in texts] == texts


def test_a_key_with_spelled_out_line_ends_is_masked_with_real_ones():
    """A key kept on one line by backslash-n is masked when it is printed over several."""
    one_line = PEM.replace("\n", "\\n")
    assert masked(one_line, PEM) == "\n".join([BEGIN, *["***"] * 5, END, ""])


def test_carriage_returns_and_spaces_around_lines_do_not_matter():
    """A secret with Windows line ends and indented lines is masked without them."""
    assert masked("  first-line \r\n\tsecond-line\r\n", "first-line|second-line") == "***|***"


def test_a_long_line_is_masked_as_one_and_in_part():
    """A secret over 64 bytes becomes one mask, and a piece of it that holds a block is masked too."""
    secret = "".join(random.Random(3).choices(string.ascii_letters, k=200))
    assert masked(secret, f"<{secret}>") == "<***>"
    assert masked(secret, f"<{secret[48:72]}>") == "<***>"


def test_64_kib_are_masked():
    """A secret of 64 KiB on one line is masked as one."""
    secret = "".join(random.Random(3).choices(string.ascii_letters, k=65536))
    assert masked(secret, f"<{secret}>") == "<***>"


def test_what_is_too_large_is_masked_as_it_is_and_said():
    """A secret that would need too many patterns keeps the first encodings, with a warning."""
    secret = random.Random(3).randbytes(65536)
    masker = Masker()
    masker.add("blob", secret)
    assert masker.warnings == ("secret 'blob' is too large: masked in 3 of 8 encodings",)
    longest = max(secret.splitlines(), key=len).strip()
    assert masker.mask_bytes(b"<" + longest + b">") == b"<***>"


def test_bytes_that_are_no_text_are_masked_in_text_forms():
    """A binary value with NUL is masked raw, as repr and in the JSON of its surrogate-escaped text."""
    secret = b"\x00\xff\xfebinary\x80value"
    text = secret.decode("utf-8", "surrogateescape")
    spellings = [text, repr(secret)[2:-1], json.dumps(text)[1:-1]]
    assert [masked(secret, f"<{spelling}>") for spelling in spellings] == ["<***>"] * 3


def test_a_secret_of_stars_is_masked():
    """A value that contains the mask itself is masked like any other."""
    assert masked("ab***cd***", "x ab***cd*** y") == "x *** y"


def test_blocks_of_few_bytes_are_left_and_said():
    """A long value that repeats a few bytes would mask rules in tables: it is left, with a warning."""
    masker = Masker()
    masker.add("line", "=-" * 50)
    assert masker.mask("=-" * 50) == "=-" * 50
    assert masker.warnings == ("secret 'line' repeats a few bytes: not masked",)
