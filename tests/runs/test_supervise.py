"""The corners of supervision that no signal from outside can hit on purpose."""

import os
from pathlib import Path

import pytest

from hyperplane.errors import RunnerError
from hyperplane.rundir import Home, Lock
from hyperplane.runs.claiming import claim
from hyperplane.runs.execute import _killed_on_error
from hyperplane.runs.prepare import FoundSecrets
from hyperplane.runs.process import Guard, JobProcess, Streams
from hyperplane.runs.signals import Signals
from hyperplane.runs.supervise import Ending, Supervisor


@pytest.fixture
def job():
    """Return a function that starts a job without streams."""
    guard = Guard.start(Path("scratch"))
    null = os.open(os.devnull, os.O_RDWR)

    def start(*command):
        streams = Streams(stdin=null, stdout=null, stderr=null)
        return JobProcess.start(command, variables={}, folder=Path.cwd(), streams=streams, guard=guard)

    yield start
    os.close(null)
    guard.dismiss()


def test_timeout_of_a_job_that_has_just_ended_is_none(job, until):
    """A job that made it in time did, though nobody had noticed yet."""
    process = job("/bin/true")
    until(process.has_ended)
    with Signals() as signals:
        supervisor = Supervisor(process, (), signals, grace_s=10, timeout_s=0, on_stop=print)
        supervisor._time_out()
        assert supervisor.run() == Ending(0)


def test_fault_of_the_runner_ends_the_job(job, is_alive):
    """Whatever goes wrong with us, the job does not go on without us."""
    process = job("/bin/sleep", "60")
    with pytest.raises(ZeroDivisionError), _killed_on_error(process):
        raise ZeroDivisionError
    assert not is_alive(process.pid)


class TakenHome(Home):
    """A home whose new runs are locked before their owner comes to it."""

    def claim(self, job_id):
        """Make the folder of a run, and keep its lock."""
        run = super().claim(job_id)
        locks.append(Lock.take(run.lock))
        return run


locks = []


def test_run_folder_that_somebody_else_holds_is_a_runner_error():
    """Two owners of one run would be a fault that must not go on."""
    home = TakenHome(Path.cwd() / ".hyperplane")
    with pytest.raises(RunnerError, match=r"run\.lock is held by another process"):
        claim(home, "j", is_delivered=False, failure=RunnerError)
    locks.pop().close()


def test_found_secrets_do_not_show_their_values():
    """Not even to somebody who prints them while looking for a fault."""
    assert repr(FoundSecrets({"a": b"value"}, {"A": b"value"})) == "<FoundSecrets: 1 names>"
