"""Measures the maskers: `python tests/benchmarks/masking.py [--cuts 1000000]`."""

import argparse
import random
import resource
import string
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "masking"))

from cuts import run_cuts

from hyperplane.masking import HarmlessStream, Masker

CHUNK_BYTES = 64 * 1024
LINES = 1_000_000
GIB = 1024**3
SEED = 20240501
TIME = "2024-05-01T12:00:00.000Z"
PLAIN = f"{TIME} INFO trainer: epoch 12 step 003456 loss 0.123456 lr 0.000300 samples a second 123"
COLOURED = (
    f"{TIME} \x1b[32mINFO\x1b[0m \x1b[1mtrainer\x1b[0m: epoch 12 step 003456 loss 0.123456 lr 0.000300 123"
)
ACCENTED = f"{TIME} INFO entraîneur : époque 12 étape 003456 perte 0.123456 débit 123,5 pas"


def main() -> int:
    """Print a table of figures; with --cuts compare with the reference instead."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cuts", type=int, help="compare that many random cuts with the reference")
    cuts = parser.parse_args().cuts
    return compare(cuts) if cuts else measure()


def compare(cuts: int) -> int:
    """Cut random streams and count differences and leaks."""
    started = time.perf_counter()
    outcome = run_cuts(SEED, cuts)
    for difference in outcome.differences[:3]:
        print(difference)
    show("random cuts", f"{outcome.cuts:,}")
    show("different from the reference", f"{len(outcome.differences):,}")
    show("leaks", f"{outcome.leaks:,}")
    show("seconds", f"{time.perf_counter() - started:.0f}")
    return 1 if outcome.differences or outcome.leaks else 0


def measure() -> int:
    """Measure speed, memory and start-up."""
    rng = random.Random(SEED)
    secrets = {f"secret-{number}": token(rng, 32) for number in range(50)} | {"key": pem(rng)}
    masker = Masker()
    started = time.perf_counter()
    masker.add_all(secrets)
    forms_ms = (time.perf_counter() - started) * 1e3
    assert masker.automaton
    show("forms of 50 secrets and a PEM key", f"{forms_ms:.1f} ms")
    show("automaton of them", f"{(time.perf_counter() - started) * 1e3 - forms_ms:.1f} ms  {masker!r}")
    show("import, one secret, one text masked", f"{startup_ms():.1f} ms more than bare Python")
    secret = secrets["secret-7"]
    measure_lines("lines without a secret", masker, [PLAIN])
    measure_search(masker)
    measure_lines("one line in 100 with a secret", masker, [PLAIN] * 99 + [PLAIN[:70] + secret + PLAIN[:4]])
    measure_lines("coloured lines", masker, [COLOURED])
    measure_lines("lines that are not ASCII", masker, [ACCENTED])
    measure_lines("lines, without any secret known", Masker(), [PLAIN])
    measure_harmless([COLOURED])
    measure_memory(masker, rng)
    return 0


def measure_lines(label: str, masker: Masker, lines: list[str]) -> None:
    """Mask a million lines in chunks."""
    data = "".join(f"{line}\n" for line in lines).encode()
    chunks, count = chunks_of(data)
    stream = masker.stream()
    seconds = timed(stream.feed, chunks)
    show(
        label, f"{count / seconds / 1e6:.2f} million lines a second ({len(data) / len(lines):.0f} bytes each)"
    )


def measure_search(masker: Masker) -> None:
    """Search the same lines with the matching library alone: what no masker can be faster than."""
    import ahocorasick_rs

    search = ahocorasick_rs.BytesAhoCorasick([*masker._anywhere]).find_matches_as_indexes
    chunks, count = chunks_of(f"{PLAIN}\n".encode())
    seconds = timed(lambda chunk: search(chunk, overlapping=True), chunks)
    show("of which searching", f"{count / seconds / 1e6:.2f} million lines a second")


def measure_harmless(lines: list[str]) -> None:
    """Make a million lines harmless in chunks."""
    chunks, count = chunks_of("".join(f"{line}\n" for line in lines).encode())
    seconds = timed(HarmlessStream().feed, chunks)
    show("coloured lines made harmless", f"{count / seconds / 1e6:.2f} million lines a second")


def chunks_of(data: bytes) -> tuple[list[bytes], int]:
    """Cut about a million lines into chunks as a pipe gives them."""
    repeated = data * (LINES // data.count(b"\n"))
    chunks = [repeated[at : at + CHUNK_BYTES] for at in range(0, len(repeated), CHUNK_BYTES)]
    return chunks, repeated.count(b"\n")


def timed(feed, chunks) -> float:
    """Return the seconds of the best of five passes."""
    best = float("inf")
    for _ in range(5):
        started = time.perf_counter()
        for chunk in chunks:
            feed(chunk)
        best = min(best, time.perf_counter() - started)
    return best


def measure_memory(masker: Masker, rng: random.Random) -> None:
    """Mask one line of 1 GiB and see what it adds to the memory of the process."""
    chunks = [token(rng, CHUNK_BYTES).encode() for _ in range(16)]
    stream = masker.stream()
    stream.feed(chunks[0])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    size = sum(len(stream.feed(chunks[number % 16])) for number in range(GIB // CHUNK_BYTES))
    size += len(stream.close())
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    show("memory for a line of 1 GiB", f"{grown} KiB more at the peak, {size:,} bytes given out")


def startup_ms() -> float:
    """Return what masking one text adds to a fresh interpreter, the best of ten."""
    code = (
        "from hyperplane.masking import Masker; m = Masker(); m.add('a', 'correct horse'); m.mask('x' * 50)"
    )
    bare = min(seconds_of("import re, typing, hyperplane") for _ in range(10))
    return (min(seconds_of(code) for _ in range(10)) - bare) * 1e3


def seconds_of(code: str) -> float:
    """Return how long a fresh interpreter takes."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - started


def token(rng: random.Random, size: int) -> str:
    """Return random letters and digits."""
    return "".join(rng.choices(string.ascii_letters + string.digits, k=size))


def pem(rng: random.Random) -> str:
    """Return what looks like an RSA key of 2048 bits."""
    body = "\n".join(
        "".join(rng.choices(string.ascii_letters + string.digits + "+/", k=64)) for _ in range(26)
    )
    return f"-----BEGIN RSA PRIVATE KEY-----\n{body}\n-----END RSA PRIVATE KEY-----\n"


def show(label: str, figure: str) -> None:
    """Print one row."""
    print(f"{label:<40} {figure}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
