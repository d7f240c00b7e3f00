"""What every test stands on: a clean environment, an empty working folder, real components or a reason."""

import os
import shutil

import pytest

from hyperplane.masking import process

pytest_plugins = ["s3servers"]

IN_CI = os.environ.get("CI") == "true"
KEPT = ("PATH", "TMPDIR", "LANG", "LC_ALL", "SYSTEMROOT")
KEPT_PREFIXES = ("COVERAGE_", "PYTEST_")


@pytest.fixture(autouse=True)
def clean_process(monkeypatch, tmp_path):
    """Give every test an environment and a masker of its own, and an empty working folder."""
    monkeypatch.setattr(process, "_masker", None)
    for name in list(os.environ):
        if name not in KEPT and not name.startswith(KEPT_PREFIXES):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)


def pytest_runtest_setup(item):
    """Skip what needs a missing system component, and fail for it in CI."""
    for mark in item.iter_markers("needs"):
        for component in mark.args:
            if not _is_here(component):
                reason = f"{component} is not here"
                if IN_CI:
                    pytest.fail(f"{reason}, and CI must have it")
                pytest.skip(reason)


def _is_here(component):
    """Say whether a program is installed, or who runs the tests is `root`."""
    return os.geteuid() == 0 if component == "root" else shutil.which(component) is not None
