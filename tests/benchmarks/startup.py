"""Measures how long a job takes to begin: `python tests/benchmarks/startup.py [--runs 25]`."""

import argparse
import os
import statistics
import subprocess
import sys
import time

BARE = "pass"
PACKAGE = "import hyperplane"
JOB = """
import hyperplane
with hyperplane.JobContext() as ctx:
    ctx.secrets["db"]
"""
# as many fields as `JobSettings` has, of the same types
PEER = """
from typing import Literal
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict
class Settings(BaseSettings):
    model_config = SettingsConfigDict(frozen=True, env_prefix="PEER_")
    job_id: str | None = Field(None, min_length=1)
    job_name: str | None = Field(None, min_length=1)
    user_id: str | None = None
    attempt: int = Field(1, ge=1)
    secrets_dir: str | None = None
    secret_env: tuple[str, ...] = ()
    vault_dir: str | None = Field(None, min_length=1)
    vault_key_file: str | None = Field(None, min_length=1)
    secrets_manager_prefix: str | None = None
    ssm_prefix: str | None = None
    secret_source: str | None = Field(None, min_length=1)
    output_dir: str | None = Field(None, min_length=1)
    output_url: str | None = None
    home: str | None = Field(None, min_length=1)
    run_dir: str | None = Field(None, min_length=1)
    s3_bucket: str | None = Field(None, min_length=1)
    s3_endpoint_url: str | None = None
    s3_region: str | None = Field(None, min_length=1)
    s3_kms_key_id: str | None = Field(None, min_length=1)
    log_format: Literal["auto", "console", "json"] = "auto"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = "INFO"
    grace_s: float = Field(10.0, ge=0, allow_inf_nan=False)
    stop_signals: tuple[str, ...] = ()
Settings().job_id
"""
CASES = {
    "bare Python": BARE,
    "import hyperplane": PACKAGE,
    "settings alone": PEER,
    "context and a secret": JOB,
}
VARIABLES = {"HYPERPLANE_SECRET_db": "opensesame", "HYPERPLANE_JOB_ID": "j", "PEER_JOB_ID": "j"}


def main() -> int:
    """Print a small table; exit with 1 when a figure is not reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=25, help="runs of each case, interleaved")
    medians = measure(parser.parse_args().runs)
    for name, seconds in medians.items():
        print(f"{name:<24}{seconds * 1e3:8.1f} ms")
    job = medians["context and a secret"] / medians["settings alone"]
    package = medians["import hyperplane"] - 1.1 * medians["bare Python"]
    print(f"{'context / settings':<24}{job:8.3f}     at most 1.10")
    print(f"{'import - 1.1 x bare':<24}{package * 1e3:8.1f} ms  at most 5")
    return 0 if job <= 1.10 and package <= 0.005 else 1


def measure(runs: int) -> dict[str, float]:
    """Return the median time of each case over fresh interpreters, in seconds."""
    times: dict[str, list[float]] = {name: [] for name in CASES}
    for _ in range(runs + 1):  # the first fills the caches, and does not count
        for name, code in CASES.items():
            times[name].append(seconds_of(code))
    return {name: statistics.median(measured[1:]) for name, measured in times.items()}


def seconds_of(code: str) -> float:
    """Run the code in a fresh interpreter, and return how long that took."""
    environment = {**os.environ, **VARIABLES}
    # pip compiles what it installs; so may this package be, which runs from its source folder
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
