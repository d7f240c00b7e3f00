"""Printing stored output, and going on while the run lives."""

import threading

import pytest

from hyperplane.rundir import Lock, RunDir
from hyperplane.runs.follow import print_logs


@pytest.fixture
def run(tmp_path):
    """Return an empty run folder."""
    folder = RunDir(tmp_path / "job" / "run")
    folder.path.mkdir(parents=True)
    return folder


def test_logs_of_an_ended_run_are_printed_once(run):
    """Without following, what is there is printed, each stream where it belongs."""
    run.stdout_log.write_bytes(b"out")
    run.stderr_log.write_bytes(b"err")
    out, err = [], []
    print_logs(run, stdout=out.append, stderr=err.append)
    assert ([b"out"], [b"err"]) == (out, err)


def test_standard_error_is_left_out_unless_asked_for(run):
    """A run that has written none, or nothing yet, prints nothing."""
    out = []
    print_logs(run, stdout=out.append)
    assert out == []


def test_following_begins_before_the_file_and_ends_with_the_run(run):
    """Everything is printed once, in order, until the lock is free."""
    lock = Lock.take(run.lock)
    out = []
    follower = threading.Thread(target=print_logs, args=(run,), kwargs={"stdout": out.append, "follow": True})
    follower.start()
    while not run.stdout_log.exists():
        follower.join(0.15)
        run.stdout_log.write_bytes(b"one\n")
    while not out:
        follower.join(0.01)
    with run.stdout_log.open("ab") as log:
        log.write(b"two\n")
    lock.close()
    follower.join(10)
    assert b"".join(out) == b"one\ntwo\n"


def test_following_an_ended_run_prints_and_returns(run):
    """There is nothing to wait for."""
    run.stdout_log.write_bytes(b"out")
    out = []
    print_logs(run, stdout=out.append, follow=True)
    assert out == [b"out"]
