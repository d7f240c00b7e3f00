import random

import pytest

from hyperplane.masking import HarmlessStream, harmless


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        (b"\x1b]0;title\x07", b"\\x1b]0;title\x07"),
        (b"\x1b]52;c;aGk=\x1b\\", b"\\x1b]52;c;aGk=\\x1b\\"),
        (b"\x1bP1$r\x1b\\", b"\\x1bP1$r\\x1b\\"),
        (b"\x9d0;title\x9c", b"\\x9d0;title\\x9c"),
        (b"\xc2\x9d0;title\xc2\x9c", b"\\x9d0;title\\x9c"),
        (b"\x1b\x1b]0;x", b"\\x1b\\x1b]0;x"),
        (b"\x1b\r]0;x", b"\\x1b\r]0;x"),
        (b"\x1b\xc2\x9d0;x", b"\\x1b\\x9d0;x"),
        (b"ends in \x1b", b"ends in \\x1b"),
    ],
)
def test_commands_to_the_terminal_are_spelled_out(command, shown):
    """Operating system commands and C1 controls of both kinds can be read and do nothing."""
    assert harmless(command) == shown


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"plain\n",
        b"\x1b[1;31mred\x1b[0m \x1b[2K\x1b(B\x1b7",
        "é — 信息 😀 œ\x07".encode(),
        b"latin-1 \xe9\xff and half a character \xe2",
    ],
)
def test_everything_else_stays_to_the_byte(data):
    """Colours, text in UTF-8 whose bytes look like C1 controls, and bytes that are no text stay."""
    assert harmless(data) == data


def test_a_stream_is_made_harmless_wherever_it_is_cut():
    """The pieces of a stream give what the whole gives."""
    rng = random.Random(11)
    parts = [
        b"\x1b",
        b"]",
        b"[",
        b"a",
        b"\n",
        b"\xc2",
        b"\x9b",
        b"\xe2",
        b"\x80",
        b"\x94",
        b"\xf0\x9f",
        b"\x07",
    ]
    for _ in range(500):
        data = b"".join(rng.choices(parts, k=12))
        stream = HarmlessStream()
        pieces = [stream.feed(data[at : at + 1]) for at in range(len(data))]
        assert b"".join([*pieces, stream.close()]) == harmless(data)


def test_only_half_an_escape_waits():
    """What may be the beginning of a command is held back, and nothing before it."""
    stream = HarmlessStream()
    assert stream.feed(b"text \x1b") == b"text "
    assert stream.feed(b"[1m") == b"\x1b[1m"
