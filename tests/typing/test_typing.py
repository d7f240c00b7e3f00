"""The public names mean to a type checker what they mean to a reader."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_mypy_understands_the_public_names(tmp_path):
    """Every `assert_type` holds, every mistake is found, and no ignored error is unneeded."""
    command = [sys.executable, "-m", "mypy", "--strict", "--warn-unused-ignores", "--no-error-summary"]
    cache = ["--cache-dir", str(ROOT / ".mypy_cache" / "typing-test")]
    ended = subprocess.run(
        [*command, *cache, "tests/typing/api.py"], cwd=ROOT, capture_output=True, text=True
    )
    assert (ended.stdout, ended.returncode) == ("", 0)
