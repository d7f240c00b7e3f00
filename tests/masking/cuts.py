"""Random streams, cut at random, masked by the package and by the reference."""

import base64
import json
import random
from typing import NamedTuple
from urllib.parse import quote

from reference import masked_stream

from hyperplane.masking import Masker, StreamMasker
from hyperplane.masking.automaton import Automaton


class Patterns:
    """Stands where a Masker stands, with patterns chosen one by one."""

    def __init__(self, anywhere, words=()):
        self.anywhere, self.words = frozenset(anywhere), frozenset(words)
        self.automaton = Automaton(self.anywhere, self.words)


class Case(NamedTuple):
    patterns: Patterns
    secrets: list[bytes]
    data: bytes


class Outcome(NamedTuple):
    cuts: int
    differences: list[str]
    leaks: int


def run_cuts(seed, cuts, *, cuts_per_case=100):
    """Cut random streams and compare what comes out; the seed decides everything."""
    rng = random.Random(seed)
    differences, leaks, done = [], 0, 0
    while done < cuts:
        case = rng.choice(KINDS)(rng)
        expected = masked_stream(case.data, case.patterns.anywhere, case.patterns.words)
        for _ in range(min(cuts_per_case, cuts - done)):
            pieces = cut(rng, case.data)
            out = stream_through(case.patterns, pieces)
            leaks += any(secret in out for secret in case.secrets)
            if out != expected:
                differences.append(f"{case} cut as {pieces}: expected {expected!r}, got {out!r}")
            done += 1
    return Outcome(done, differences, leaks)


def stream_through(patterns, pieces):
    """Return what a stream masker gives out for the pieces."""
    stream = StreamMasker(patterns)
    return b"".join([*map(stream.feed, pieces), stream.idle(), stream.close()])


def cut(rng, data):
    """Cut at a few places, or at many."""
    count = rng.choice((1, 1, 1, 1, 2, 2, 2, 3, 4, 5, 6, len(data)))
    places = sorted(rng.choices(range(len(data) + 1), k=count))
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]


def two_letters(rng):
    """Secrets and text of two letters overlap themselves and each other in every way."""
    anywhere = {text_of(rng, b"ab", rng.randint(2, 9)) for _ in range(rng.randint(1, 4))}
    words = {text_of(rng, b"ab", rng.randint(1, 4)) for _ in range(rng.randint(0, 2))} - anywhere
    data = text_of(rng, rng.choice((b"ab", b"abababab \n", b"aab-")), rng.randint(1, 60))
    return Case(Patterns(anywhere, words), list(anywhere), data)


def escapes(rng):
    """Everything that escapes are made of, whole and in fragments, in and around secrets."""
    letters = (b"a", b"b", b"m", b"0", b"\x1b", b"[", b"]", b"\x07", b"\xc2", b"\x9b", b"\xa9", b"\n", b" ")
    whole = (
        b"\x1b[1m",
        b"\x1b[m",
        b"\x1b[a",
        b"\x1bP",
        b"\x1ba",
        b"\x1b]0;ab\x07",
        b"\x1b\\",
        b"\x1b(B",
        b"\xc2\x9b0m",
        b"\x9d0;b\x07",
        b"\xc2\x85",
    )
    anywhere = {text_of(rng, b"abm0", rng.randint(2, 10)) for _ in range(rng.randint(1, 3))}
    words = {text_of(rng, b"abm0", rng.randint(1, 4)) for _ in range(rng.randint(0, 2))} - anywhere
    pieces = [*letters, *whole, *anywhere, *words]
    data = b"".join(rng.choices(pieces, k=rng.randint(1, 25)))
    return Case(Patterns(anywhere, words), list(anywhere), data)


def real_secrets(rng):
    """Secrets as people have them, in the spellings in which they turn up, next to each other."""
    secrets = [text_of(rng, b"abcdefgh01+/'\" %", rng.randint(1, 90)).strip() for _ in range(3)]
    long = [secret for secret in secrets if 8 <= len(secret) <= 64]
    secrets.append(b"\n".join(secrets[:2]))
    masker = Masker()
    masker.add_all((f"s{index}", secret) for index, secret in enumerate(secrets))
    spellings = [spelling for secret in secrets for spelling in spellings_of(secret)]
    pieces = [*spellings, *(spelling[: rng.randint(1, 30)] for spelling in spellings)]
    pieces += [b" ", b"\n", b"", b"|", b"x", b"key="]
    data = b"".join(rng.choices(pieces, k=rng.randint(1, 8)))
    return Case(Patterns(masker._anywhere, masker._words), long, data)


def spellings_of(secret):
    """Spell a secret with the standard library."""
    encoded = base64.b64encode(secret)
    yield from (secret, encoded, secret.hex().encode(), quote(secret).encode())
    yield json.dumps(secret.decode())[1:-1].encode()
    yield b"\n".join(encoded[at : at + 64] for at in range(0, len(encoded), 64))


def text_of(rng, letters, size):
    """Return bytes made of some letters."""
    return bytes(rng.choices(letters, k=size))


KINDS = (two_letters, escapes, real_secrets)
