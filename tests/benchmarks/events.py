"""Measures events: `python tests/benchmarks/events.py [--events 100000] [--processes 4] [--threads 8]`."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "facets"))

from eventload import run_load

from hyperplane.facets.outputs import Outputs
from hyperplane.journal import Journal
from hyperplane.masking import Masker

LEAST_PER_SECOND = 20_000
SMALL_FILES = 100


def main() -> int:
    """Print a table of figures; exit with 1 where one is not reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--threads", type=int, default=8)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.jsonl"
        outcome = run_load(path, chosen.events, processes=chosen.processes, threads=chosen.threads)
        write_ms = milliseconds_of_a_write(Path(folder))
    per_second = outcome.written / outcome.seconds
    show("events", f"{outcome.written:,}")
    show("processes, threads in each", f"{chosen.processes}, {chosen.threads}")
    show("seconds", f"{outcome.seconds:.2f}")
    show("events a second", f"{per_second:,.0f}  (at least {LEAST_PER_SECOND:,})")
    show("torn, lost, out of order", f"{outcome.torn}, {outcome.lost}, {outcome.disordered}")
    show("a small output, sealed", f"{write_ms:.1f} ms")
    is_whole = not (outcome.torn or outcome.lost or outcome.disordered)
    return 0 if is_whole and per_second >= LEAST_PER_SECOND else 1


def milliseconds_of_a_write(folder: Path) -> float:
    """Return how long it takes to write and seal a small output that is there already."""
    masker = Masker()
    outputs = Outputs(folder / "outputs", masker=masker, journal=Journal(folder / "sealed.jsonl", masker))
    started = time.perf_counter()
    for number in range(SMALL_FILES):
        outputs.write_text("last.txt", str(number))
    return (time.perf_counter() - started) / SMALL_FILES * 1e3


def show(name: str, figure: str) -> None:
    """Print one line of the table."""
    print(f"{name:<30} {figure}")


if __name__ == "__main__":
    sys.exit(main())
