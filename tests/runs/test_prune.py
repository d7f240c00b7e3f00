"""Removing the oldest runs."""

import shutil
from pathlib import Path

import pytest

from hyperplane.errors import RunnerError
from hyperplane.rundir import Home, Lock, RunDir
from hyperplane.runs.prune import prune
from hyperplane.runs.record import RunRecord


@pytest.fixture
def home():
    """Return a home with the runs 1 to 4 of two jobs, each with 10 bytes of output."""
    made = Home.of(Path.cwd())
    for number in range(1, 5):
        run = RunDir(made.job_folder("ab"[number % 2]) / f"2026010{number}-000000-000000")
        run.outputs.mkdir(parents=True)
        (run.outputs / "out").write_bytes(b"x" * 10)
        RunRecord(job_id="ab"[number % 2], run_id=run.run_id, outcome="succeeded").save(run, durable=False)
    return made


def days(home):
    """Return the days of the runs that are there, newest first."""
    return [int(run.run_id[7]) for run in home.runs()]


def test_newest_runs_of_the_project_are_kept(home):
    """Whatever their job, the oldest go first, and their size is told."""
    removed = prune(home, keep=1)
    assert [4] == days(home)
    assert [1, 2, 3] == [int(run.run_id[7]) for run in removed]
    assert all(run.size_bytes > 10 for run in removed)


def test_folder_of_a_job_without_runs_is_removed(home):
    """Nothing empty is left behind."""
    prune(home, keep=1)
    assert ["a"] == [folder.name for folder in (home.path / "runs").iterdir()]


def test_dry_run_removes_nothing(home):
    """It only tells what would go."""
    assert len(prune(home, keep=0, dry_run=True)) == 4
    assert [4, 3, 2, 1] == days(home)


def test_run_that_is_alive_stays(home):
    """A held lock protects it, however old it is."""
    lock = Lock.take(home.runs()[3].lock)
    prune(home, keep=0)
    assert [1] == days(home)
    lock.close()


def test_run_that_waits_to_be_delivered_stays(home):
    """What has not arrived is never removed."""
    run = home.runs()[3]
    RunRecord(job_id="b", run_id=run.run_id, outcome="succeeded", delivery="pending").save(run)
    prune(home, keep=0)
    assert [1] == days(home)


def test_run_that_is_just_being_made_stays(home):
    """A folder without record and lock may be a moment old."""
    home.runs()[3].record.unlink()
    prune(home, keep=0)
    assert [1] == days(home)


def test_run_that_cannot_be_removed_is_a_runner_error(home, monkeypatch):
    """The error names its folder."""

    def refuse(path):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(shutil, "rmtree", refuse)
    with pytest.raises(
        RunnerError, match=r"20260101-000000-000000 cannot be removed: Operation not permitted"
    ):
        prune(home, keep=0)
