import itertools
import random
import resource

import pytest
from cuts import Patterns, run_cuts, stream_through
from reference import masked_stream, masked_text

from hyperplane.masking import Masker, StreamMasker

OVERLAPPING = Patterns([b"abcdef", b"cdefgh"])


@pytest.mark.parametrize("seed", range(8))
def test_random_cuts_give_what_the_reference_gives(seed):
    """However a stream is cut, no secret is left in it and it equals the reference."""
    outcome = run_cuts(seed, 600, cuts_per_case=20)
    assert (outcome.cuts, outcome.differences, outcome.leaks) == (600, [], 0)


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([b"abcdef", b"x"], b"***x"),
        ([b"abcdef", b"gh!"], b"***!"),
        ([b"abcdefcdefgh"], b"***"),
        ([b"abcdef", b"abcdef"], b"***"),
        ([b"abcdef|", b"abcdef"], b"***|***"),
        ([b"abcdef", b"cdef", b"ghcdefg"], b"***cdefg"),
    ],
)
def test_overlapping_secrets_become_one_mask(pieces, expected):
    """A byte that is covered is never given out, and a run of covered bytes has one mask."""
    assert stream_through(OVERLAPPING, pieces) == expected


@pytest.mark.parametrize(
    ("anywhere", "words", "data"),
    [
        (["abcdef", "cdefgh"], [], "abcdef|x abcdefgh! abcde"),
        (["aab"], [], "aaab aabaab baaab aa"),
        (["correct horse"], ["pass"], "a\x1b[1mcor\x1b]0;t\x07rect\x1b[0m horse \x1b[1mpass\x1b[0mword pass"),
        (["abcdefgh"], ["pin1"], "pin1 pin12 xpin1 pin1\npin1 abcdefgh"),
        (["abcdefghijkl"], [], "abcdefghijk\nabcdefghijk"),
        (["cdefghij"], [], "é\x9b1mcdef\x9b0mghij \x9dx\x07cdef"),
        (["m0abcdef"], ["31m"], "x\x1b[31m0abcdef \x1b[31m 31m \x1b[1m"),
        (["Pabcdefgh"], ["pin1"], "\x1bPabc\x1b[mdef\x1b]8;;u\x1b\\gh \x1b[pin1\x1b[0m \x1bpi\x1b(Bn1"),
    ],
)
def test_every_cut_into_three_gives_what_the_reference_gives(anywhere, words, data):
    """The known hard cases come out the same at every pair of cuts."""
    patterns = Patterns([form.encode() for form in anywhere], [word.encode() for word in words])
    whole = data.encode()
    expected = masked_stream(whole, patterns.anywhere, patterns.words)
    for first, second in itertools.combinations_with_replacement(range(len(whole) + 1), 2):
        assert stream_through(patterns, [whole[:first], whole[first:second], whole[second:]]) == expected


@pytest.mark.parametrize("gap", [4080, 4086, 4087, 4088, 4200])
def test_escapes_hide_a_secret_only_when_they_stretch_it_beyond_reach(gap):
    """A secret that escapes stretch over 4,096 bytes is no secret, and memory is bounded by that."""
    patterns = Patterns([b"abcdefgh"], [b"word"])
    escapes = b"\x1b[m" * 1000 + b"\x1b[%sm" % (b"0" * (gap - 3003))
    data = b"abcd" + escapes + b"efgh word" + b"\x1b[m" * 1400 + b"x word"
    expected = masked_stream(data, patterns.anywhere, patterns.words)
    pieces = [data[at : at + 100] for at in range(0, len(data), 100)]
    assert stream_through(patterns, pieces) == expected
    assert expected.startswith(b"***") == (gap <= 4088)


def test_an_endless_escape_is_passed_on():
    """A command that never ends is neither held back nor kept, and secrets in it are masked."""
    masker = Masker()
    masker.add("secret", "correct horse")
    stream = masker.stream()
    out = [stream.feed(b"\x1b]0;"), *(stream.feed(b"battery staple " * 100) for _ in range(20))]
    assert [len(piece) for piece in out] == [4, *[1500] * 20]
    assert stream.feed(b"correct horse|") == b"***|"
    assert len(stream._kept) < 8200


def test_only_a_possible_beginning_is_held_back():
    """Complete lines and everything before a possible secret are passed on at once."""
    stream = StreamMasker(Patterns([b"abcdefgh"]))
    assert stream.feed(b"line one abcdefg\nprompt: abc") == b"line one abcdefg\nprompt: "
    assert stream.pending is True
    assert stream.idle() == b""
    assert stream.feed(b"x") == b"abcx"
    assert stream.pending is False


def test_a_word_waits_for_the_byte_after_it():
    """A short secret at the end of a piece is masked or passed on when it is known what follows."""
    stream = StreamMasker(Patterns([], [b"pin1"]))
    assert [stream.feed(piece) for piece in (b"a pin1", b" pin1", b"2 pin1")] == [b"a ", b"*** ", b"pin12 "]
    assert stream.close() == b"***"


@pytest.mark.parametrize(("data", "expected"), [(b"x abcdefgh", b"x ***"), (b"x abcdefg", b"x abcdefg")])
def test_a_long_beginning_of_a_secret_is_masked_at_the_end(data, expected):
    """When a stream ends within a secret, 8 bytes or more of it are masked."""
    assert stream_through(Patterns([b"abcdefghij"]), [data]) == expected


def test_a_stream_can_be_used_again_after_its_end():
    """After close() the next byte is the first of a stream."""
    stream = StreamMasker(Patterns([b"abcdefgh"], [b"pin1"]))
    assert [stream.feed(b"xabcd"), stream.close(), stream.feed(b"efgh pin1")] == [b"x", b"abcd", b"efgh "]
    assert stream.close() == b"***"


def test_a_secret_added_during_a_stream_is_masked_in_it():
    """A stream knows the secrets that are added to its masker after it began."""
    masker = Masker()
    stream = masker.stream()
    assert stream.feed(b"correct horse ") == b"correct horse "
    masker.add("secret", "correct horse")
    assert stream.feed(b"correct horse ") == b"*** "


def test_a_line_without_end_takes_constant_memory():
    """64 MiB without a line end leave the process as large as it was."""
    masker = Masker()
    masker.add("secret", "correct horse battery staple")
    stream = masker.stream()
    chunk = bytes(random.Random(5).choices(b"abcdefghijklmnopqrstuvwxyz ", k=65536))
    stream.feed(chunk)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(1024):
        stream.feed(chunk)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2048


def test_the_reference_masks_what_the_specification_says():
    """The reference itself gives the results that the specification names."""
    overlapping = [b"abcdef", b"cdefgh"]
    assert masked_text(b"abcdefgh abcdef|x", overlapping, []) == b"*** ***|x"
    assert masked_text(b"pin1 pin12", [], [b"pin1"]) == b"*** pin12"
    assert masked_stream(b"x abcdefghi", [b"abcdefghij"], []) == b"x ***"
