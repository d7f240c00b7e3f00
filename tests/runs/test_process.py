"""The job's processes and their guard, one by one."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hyperplane.errors import RunnerError
from hyperplane.runs import process
from hyperplane.runs.process import Guard, JobProcess, Streams, catches, is_shell


@pytest.fixture
def guard(tmp_path):
    """Return a guard, dismissed after the test."""
    made = Guard.start(tmp_path / "scratch")
    yield made
    made.dismiss()


@pytest.fixture
def job(guard):
    """Return a function that starts a job; what is left of it is killed after the test."""
    started = []
    null = os.open(os.devnull, os.O_RDWR)

    def start(*command, folder=None, **variables):
        streams = Streams(stdin=null, stdout=null, stderr=null)
        folder = Path.cwd() if folder is None else folder
        made = JobProcess.start(command, variables=variables, folder=folder, streams=streams, guard=guard)
        started.append(made)
        return made

    yield start
    for made in started:
        made.kill()
        made.reap()
    os.close(null)


def test_job_has_ended_before_it_is_reaped(job, until):
    """The leader's end is seen while its id, and its group's, is still taken."""
    made = job("/bin/sh", "-c", "exit 3")
    until(made.has_ended)
    os.kill(made.pid, 0)
    assert made.reap() == 3
    assert made.has_ended()


def test_end_by_a_signal_is_128_and_its_number(job):
    """A killed leader has the exit code that a shell would give it."""
    made = job("/bin/sleep", "60")
    made.kill()
    assert made.reap() == 137


def test_group_ends_with_sigterm_where_that_is_enough(job, until):
    """What the leader left behind is asked first."""
    made = job("/bin/sh", "-c", "/bin/sleep 60 & exit 0")
    until(made.has_ended)
    begun = time.monotonic()
    made.end_group(30)
    assert time.monotonic() - begun < 10


def test_group_that_ignores_sigterm_is_killed(job, until, is_alive):
    """Patience has an end."""
    made = job("/bin/sh", "-c", "trap '' TERM; /bin/sleep 60 & echo $! >pid")
    until(made.has_ended)
    calls = []
    made.end_group(0.1, meanwhile=lambda: calls.append(1))
    assert not is_alive(int(Path("pid").read_text()))
    assert calls


def test_group_of_another_user_counts_as_gone(job, monkeypatch):
    """What we may not signal, we cannot end either."""
    made = job("/bin/true")

    def refuse(group, number):
        raise PermissionError

    monkeypatch.setattr(os, "killpg", refuse)
    made.end_group()
    assert made.reap() == 0


def test_command_that_is_gone_by_the_time_it_starts_is_not_found(job):
    """The error has the exit code of a shell."""
    with pytest.raises(RunnerError, match=r"there is no \./gone") as caught:
        job("./gone")
    assert caught.value.exit_code == 127


def test_folder_that_is_gone_is_no_missing_command(job, tmp_path):
    """A folder that cannot be entered is said to be the problem."""
    with pytest.raises(RunnerError, match=r"the folder .*/gone is not there"):
        job("/bin/true", folder=tmp_path / "gone")


def test_signal_with_a_handler_is_caught(job, script, until):
    """A shell with a trap, a Python with SIGINT: what the kernel says decides."""
    script("import time; open('up', 'w').close(); time.sleep(60)")
    made = job(sys.executable, "job.py")
    until(Path("up").exists)
    assert (True, False) == (catches(made.pid, signal.SIGINT), catches(made.pid, signal.SIGTERM))


def test_process_that_is_gone_catches_nothing_and_is_no_shell():
    """Where the system does not tell, the answer is no."""
    gone = subprocess.Popen(["true"])
    gone.wait()
    assert (False, False) == (catches(gone.pid, signal.SIGTERM), is_shell(gone.pid))


def test_shell_is_told_by_its_program(job, script, until):
    """Whatever name it was started under, the program counts."""
    assert is_shell(job("/bin/sh", "-c", "/bin/sleep 60; true").pid)
    assert not is_shell(job("/bin/sleep", "60").pid)


def test_guard_kills_the_groups_and_removes_the_folder_when_its_pipe_closes(tmp_path, until, is_alive):
    """That is what happens when the runner is killed."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "a").write_text("value")
    made = Guard.start(folder)
    victim = subprocess.Popen(["sleep", "60"], start_new_session=True)
    os.write(made.writer, b"%d\n99999999\n" % victim.pid)
    os.close(made.writer)
    assert victim.wait(10) == -signal.SIGKILL
    until(lambda: not folder.exists())
    os.waitpid(made._pid, 0)


def test_dismissed_guard_leaves_everything_alone(tmp_path):
    """At a regular end there is nothing for it to do."""
    made = Guard.start(tmp_path)
    victim = subprocess.Popen(["sleep", "60"], start_new_session=True)
    os.write(made.writer, b"%d\n" % victim.pid)
    made.dismiss()
    assert (None, True) == (victim.poll(), tmp_path.exists())
    victim.kill()
    victim.wait()


def test_guard_that_was_killed_can_be_dismissed(guard, tmp_path):
    """Its absence does not disturb the end of the run."""
    made = Guard.start(tmp_path)
    os.kill(made._pid, signal.SIGKILL)
    os.waitid(os.P_PID, made._pid, os.WEXITED | os.WNOWAIT)
    made.dismiss()


def test_guard_is_deaf_to_signals_and_keeps_nothing_open(guard, until):
    """A signal for everybody does not end it, and it holds no file or lock of ours."""
    os.kill(guard._pid, signal.SIGTERM)
    os.kill(guard._pid, signal.SIGINT)
    until(lambda: len(list(Path(f"/proc/{guard._pid}/fd").iterdir())) == 1)


def test_child_of_a_runner_that_died_meanwhile_does_not_start(guard):
    """Between fork and the tie to its parent, a job may have lost it."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        process._bind(runner=1 << 30, prctl=None, guard_writer=writer, terminal=None)
        os._exit(0)
    os.close(writer)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 128 + signal.SIGKILL
    assert os.read(reader, 10) == b""
    os.close(reader)
