"""The pages about testing: their code runs as it is printed, and its tests pass."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(("page", "tests"), [("how-to/test-a-job.md", 7), ("reference/testing.md", 14)])
def test_the_tests_of_a_page_pass(tmp_path, page, tests):
    """The blocks of a page, put into one file, are a test file whose tests pass under strict settings."""
    blocks = re.findall(r"^```python\n(.*?)^```$", (DOCS / page).read_text(), flags=re.MULTILINE | re.DOTALL)
    (tmp_path / "test_page.py").write_text("\n".join(blocks))
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--strict-markers",
        "-W",
        "error",
    ]
    ended = subprocess.run([*command, "test_page.py"], cwd=tmp_path, capture_output=True, text=True)
    assert f"{tests} passed" in ended.stdout, ended.stdout
