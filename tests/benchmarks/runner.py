"""Measures the runner against what it stands in for: `python tests/benchmarks/runner.py [--rounds 5]`."""

import argparse
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

LINES = 1_000_000
BUFFERED_LINES = 20_000_000
PRINTER = f"""
for number in range({LINES}):
    print(f"2024-05-01T12:00:00.000Z INFO trainer: epoch 12 step {{number:07}} loss 0.123456 lr 0.000300")
"""
PYTHON = shlex.quote(sys.executable)
RUN = f"{PYTHON} -m hyperplane run"


class Comparison(NamedTuple):
    """Two commands that are run in turn, and what their ratio may be at most."""

    name: str
    base: str
    ours: str
    limit: float | None = None


COMPARISONS = (
    Comparison(
        "start: `run true` / import pydantic_settings, typer",
        f"{PYTHON} -c 'import pydantic_settings, typer'",
        f"{RUN} true",
        1.3,
    ),
    Comparison(
        f"{LINES:,} lines of unbuffered Python / | cat",
        f"{PYTHON} printer.py | cat >base.txt",
        f"{RUN} printer.py >ours.txt",
        1.3,
    ),
    Comparison(
        "the same, masking one secret / | cat",
        f"{PYTHON} printer.py | cat >base.txt",
        f"HYPERPLANE_SECRET_token=not-in-the-output {RUN} printer.py >ours.txt",
        1.3,
    ),
    Comparison(
        f"{BUFFERED_LINES:,} lines of block-buffered seq / | cat",
        f"seq {BUFFERED_LINES} | cat >base.txt",
        f"{RUN} seq {BUFFERED_LINES} >ours.txt",
    ),
)


def main() -> int:
    """Print a table of medians and ratios; fail where a ratio is over its limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often each command is run (default 5)")
    rounds = parser.parse_args().rounds
    print(f"{'':54}{'base':>9}{'ours':>9}{'ratio':>8}{'at most':>9}")
    with tempfile.TemporaryDirectory() as folder:
        results = [compare(comparison, rounds, Path(folder)) for comparison in COMPARISONS]
    return 0 if all(results) else 1


def compare(comparison: Comparison, rounds: int, folder: Path) -> bool:
    """Run both commands in turn, print their medians, and say whether the ratio is within its limit."""
    (folder / "printer.py").write_text(PRINTER)
    environment = environment_in(folder)
    commands = (comparison.base, comparison.ours)
    for command in commands:
        seconds(command, folder, environment)  # fills the caches of the disk and of bytecode
    samples: Sequence[list[float]] = ([], [])
    for _ in range(rounds):
        for taken, command in zip(samples, commands, strict=True):
            taken.append(seconds(command, folder, environment))
    base, ours = map(statistics.median, samples)
    limit = "" if comparison.limit is None else f"{comparison.limit:.2f}"
    print(f"{comparison.name:54}{base:8.3f}s{ours:8.3f}s{ours / base:8.2f}{limit:>9}")
    return comparison.limit is None or ours / base <= comparison.limit


def environment_in(folder: Path) -> dict[str, str]:
    """Return an environment in which both commands have bytecode and unbuffered output."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("HYPERPLANE_", "PYTHON"))
    }
    return {**kept, "PYTHONUNBUFFERED": "1", "PYTHONPYCACHEPREFIX": str(folder / "bytecode")}


def seconds(command: str, folder: Path, environment: Mapping[str, str]) -> float:
    """Return how long a command line takes."""
    begun = time.perf_counter()
    subprocess.run(["sh", "-c", command], cwd=folder, env=environment, stderr=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begun


if __name__ == "__main__":
    sys.exit(main())
