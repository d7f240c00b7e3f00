"""Runs the command in a process of its own, as a user does."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hyperplane.rundir import Home
from hyperplane.runs import record

COMMAND = (sys.executable, "-m", "hyperplane")
# the same, with another patience for what outlives the job
WITH_DRAIN = """
import sys
from hyperplane.cli import main
from hyperplane.runs import supervise
supervise.DRAIN_S = {drain_s}
main(sys.argv[1:])
"""


def words_of(words, *, drain_s):
    """Return the command line that runs `hyperplane` with these words."""
    if drain_s is None:
        return [*COMMAND, *words]
    return [sys.executable, "-c", WITH_DRAIN.format(drain_s=drain_s), *words]


@pytest.fixture
def command():
    """Return a function that runs `hyperplane` to its end."""

    def run(*words, drain_s=None, **options):
        options = {
            "text": True,
            "capture_output": True,
            "stdin": subprocess.DEVNULL,
            "timeout": 60,
            **options,
        }
        return subprocess.run(words_of(words, drain_s=drain_s), check=False, **options)

    return run


@pytest.fixture
def start():
    """Return a function that starts `hyperplane`; what still runs at the end of the test is killed."""
    started = []

    def begin(*words, drain_s=None, **options):
        options = {"text": True, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        command = words_of(words, drain_s=drain_s)
        process = subprocess.Popen(command, **{"stdin": subprocess.DEVNULL, **options})
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def only_run():
    """Return a function that gives the only run in the working folder."""

    def find():
        (run,) = Home.of(Path.cwd()).runs()
        return run

    return find


@pytest.fixture
def newest():
    """Return a function that gives the records of the runs in the working folder, newest first."""

    def find():
        return [record.read(run) for run in Home.of(Path.cwd()).runs()]

    return find


@pytest.fixture
def until():
    """Return a function that waits until a condition holds, and fails when it does not come to hold."""

    def wait(condition, timeout_s=20.0):
        give_up_at = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < give_up_at, "the condition did not come to hold"
            time.sleep(0.01)

    return wait


@pytest.fixture
def is_alive():
    """Return a function that says whether a process runs; a zombie does not."""

    def look(pid):
        try:
            status = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return False
        return status.rpartition(")")[2].split()[0] not in {"Z", "X"}

    return look


@pytest.fixture
def script():
    """Return a function that writes a Python script to the working folder and returns its name."""

    def write(text, name="job.py"):
        Path(name).write_text(text)
        return name

    return write


@pytest.fixture
def variables():
    """Return the environment of the test with some variables set."""

    def build(**more):
        return {**os.environ, **more}

    return build
