"""The one line at the end of a run."""

import signal
from pathlib import Path

import pytest

from hyperplane.rundir import RunDir
from hyperplane.runs.closing import closing_line, duration_text, near
from hyperplane.runs.record import RunRecord
from hyperplane.runs.supervise import Ending


@pytest.mark.parametrize(
    ("ending", "text"),
    [
        (Ending(0), "succeeded"),
        (Ending(3), "failed with exit code 3"),
        (Ending(137), "failed with exit code 137 (SIGKILL)"),
        (Ending(255), "failed with exit code 255"),
        (Ending(0, "timeout", signal.SIGTERM), "failed: out of time (exit code 124)"),
        (Ending(0, "stop", signal.SIGTERM), "stopped by SIGTERM"),
        (Ending(137, "stop", signal.SIGINT), "stopped by SIGINT"),
        (Ending(138, "stop", signal.SIGUSR1), "stopped by SIGUSR1"),
        (Ending(143, "stop"), "stopped by itself"),
        (Ending(1, "stop", signal.SIGTERM), "stopped by SIGTERM (the job itself ended with 1)"),
    ],
)
def test_line_says_how_the_job_ended(ending, text):
    """Each way to end has its words."""
    run = RunDir(Path.cwd() / "job" / "run-1")
    line = closing_line(RunRecord(job_id="job", run_id="run-1"), run, ending)
    assert line == f"hyperplane: {text} after 0.0 s; run run-1; outputs in job/run-1/outputs"


def test_line_says_why_a_success_is_no_plain_one():
    """Whoever reads the line alone sees that something is missing."""
    run = RunDir(Path.cwd() / "job" / "run-1")
    record = RunRecord(job_id="job", run_id="run-1", exit_code=75)
    line = closing_line(record, run, Ending(0), ["its logs are cut", "its outputs are not sealed"])
    assert line.startswith(
        "hyperplane: succeeded, but its logs are cut and its outputs are not sealed (exit code 75) after"
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 0 s"),
        (61, "1 min 1 s"),
        (3599.6, "1 h 0 min"),
        (93784, "26 h 3 min"),
    ],
)
def test_duration_is_said_in_two_units_at_most(seconds, text):
    """Rounding never makes sixty of anything."""
    assert duration_text(seconds) == text


def test_path_elsewhere_is_given_in_full(tmp_path):
    """A path below the working folder is short, another one is not full of dots."""
    assert ("a/b", str(tmp_path)) == (near(Path.cwd() / "a/b"), near(tmp_path))
