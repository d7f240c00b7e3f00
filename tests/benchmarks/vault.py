"""Measures how long one secret of a large vault takes: `python tests/benchmarks/vault.py [--runs 15]`."""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hyperplane.secretsources.vault import NewEntry, Vault

SIZES = (10, 10_000)
AIM = 3.0
READ = """
import hyperplane
with hyperplane.JobContext() as ctx:
    ctx.secrets["name-7"]
"""
OPEN = """
import sys, time
from pathlib import Path
from hyperplane.secretsources.vault import Vault, VaultSource
vault = Vault(Path(sys.argv[1]), Path(sys.argv[2]))
import cryptography.hazmat.primitives.ciphers.aead
begun = time.perf_counter()
assert VaultSource(vault).find("name-7") is not None
print(time.perf_counter() - begun)
"""


def main() -> int:
    """Print a small table; exit with 1 when the figure is not reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15, help="runs of each case, interleaved")
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        vaults = [filled(Path(folder, str(size)), size) for size in SIZES]
        whole = medians(vaults, runs, seconds_of_process)
        alone = medians(vaults, runs, seconds_alone)
    for size, process_s, open_s in zip(SIZES, whole, alone, strict=True):
        print(f"{size:>6} entries: process {process_s * 1e3:7.1f} ms, opening alone {open_s * 1e3:6.1f} ms")
    ratio = whole[1] / whole[0]
    print(f"one of {SIZES[1]:,} / one of {SIZES[0]}: {ratio:.2f}, at most {AIM:g}")
    return 0 if ratio <= AIM else 1


def filled(folder: Path, size: int) -> Vault:
    """Return a vault with so many secrets of 40 bytes."""
    vault = Vault(folder / "vault", folder / "vault.key")
    vault.put([NewEntry(f"name-{number}", f"{number:040}".encode(), "Tools") for number in range(size)])
    return vault


def medians(vaults: list[Vault], runs: int, measure) -> list[float]:
    """Return the median time of each vault, in seconds; the first run fills the caches."""
    times = [[measure(vault) for vault in vaults] for _ in range(runs + 1)][1:]
    return [statistics.median(column) for column in zip(*times, strict=True)]


def seconds_of_process(vault: Vault) -> float:
    """Run a job that reads one secret, its interpreter's start included."""
    variables = {
        **os.environ,
        "HYPERPLANE_VAULT_DIR": str(vault.folder),
        "HYPERPLANE_VAULT_KEY_FILE": str(vault.key_file),
    }
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", READ], env=variables, check=True)
    return time.perf_counter() - begun


def seconds_alone(vault: Vault) -> float:
    """Return how long opening the vault and finding one secret takes in a process that is up."""
    command = [sys.executable, "-c", OPEN, str(vault.folder), str(vault.key_file)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


if __name__ == "__main__":
    sys.exit(main())
