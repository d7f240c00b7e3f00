"""The end of a run that does not come by itself: signals, the timeout, the death of the runner."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from hyperplane.rundir import Home
from hyperplane.runs import record

# the job of most tests: it says which signals it gets, and ends when it is told to
LISTENER = """
import signal, sys, time
def note(number, frame):
    print(signal.Signals(number).name, flush=True)
    if "{end}" and signal.Signals(number).name in "{end}":
        sys.exit({code})
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
    signal.signal(number, note)
print("up", flush=True)
for _ in range(600):
    time.sleep(0.1)
"""


@pytest.fixture
def listener(start, script):
    """Return a function that starts a job which tells its signals, and waits until it is up."""

    def begin(end="", code=0, **options):
        process = start("run", script(LISTENER.format(end=end, code=code)), **options)
        assert process.stdout.readline() == "up\n"
        return process

    return begin


def test_sigterm_is_passed_on_and_ends_as_stopped(listener, newest):
    """The job gets SIGTERM once, and however it ends, the run was stopped: 143."""
    process = listener(end="SIGTERM")
    process.terminate()
    output, errors = process.communicate(timeout=20)
    assert (143, "SIGTERM\n") == (process.returncode, output)
    assert [("stopped", 143, 0)] == [(r.outcome, r.exit_code, r.job_exit_code) for r in newest()]
    assert errors.startswith("hyperplane: stopped by SIGTERM after ")


def test_sigint_ends_with_130(listener, newest):
    """Ctrl-C is passed on as SIGINT, and the exit code is that of SIGINT."""
    process = listener(end="SIGINT")
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=20)
    assert (130, "SIGINT\n", "stopped") == (process.returncode, output, newest()[0].outcome)


def test_hang_up_reaches_the_job_as_sigterm(listener):
    """A closed terminal asks the job to stop in the way that jobs listen to."""
    process = listener(end="SIGTERM")
    process.send_signal(signal.SIGHUP)
    output, _ = process.communicate(timeout=20)
    assert (143, "SIGTERM\n") == (process.returncode, output)


def test_hang_up_stays_ignored_under_nohup(start, script):
    """What the parent had us ignore does not end the job."""
    process = start(
        "run",
        script("import time; print('up', flush=True); time.sleep(1); print('done')"),
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    assert process.stdout.readline() == "up\n"
    process.send_signal(signal.SIGHUP)
    output, _ = process.communicate(timeout=20)
    assert (0, "done\n") == (process.returncode, output)


def test_stop_signals_of_the_settings_are_passed_on(listener, variables):
    """A signal that HYPERPLANE_STOP_SIGNALS names is a stop, and does not end the runner."""
    process = listener(end="SIGUSR1", env=variables(HYPERPLANE_STOP_SIGNALS="USR1"))
    process.send_signal(signal.SIGUSR1)
    output, _ = process.communicate(timeout=20)
    assert (143, "SIGUSR1\n") == (process.returncode, output)


def test_job_that_ignores_the_stop_is_killed_within_the_grace(listener, variables):
    """It is killed when the grace without the delivery reserve is over: at 2 of 4 seconds."""
    process = listener(env=variables(HYPERPLANE_GRACE_S="4"))
    begun = time.monotonic()
    process.terminate()
    output, _ = process.communicate(timeout=40)
    assert (143, "SIGTERM\n") == (process.returncode, output)
    assert time.monotonic() - begun > 1.9


def test_second_sigterm_changes_nothing(listener, variables):
    """The job hears of the first one only, and keeps its time."""
    process = listener(env=variables(HYPERPLANE_GRACE_S="4"))
    process.terminate()
    assert process.stdout.readline() == "SIGTERM\n"
    process.terminate()
    begun = time.monotonic()
    output, _ = process.communicate(timeout=20)
    assert (143, "") == (process.returncode, output)
    assert time.monotonic() - begun > 0.5


def test_second_sigint_kills_at_once(listener, variables):
    """Whoever presses Ctrl-C twice does not wait for the grace."""
    process = listener(env=variables(HYPERPLANE_GRACE_S="600"))
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "SIGINT\n"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=50)
    assert process.returncode == 130


def test_own_exit_code_of_a_stopped_job_is_told(listener, newest):
    """A job that fails while it is being stopped ends as stopped, and its own code is not lost."""
    process = listener(end="SIGTERM", code=7)
    process.terminate()
    _, errors = process.communicate(timeout=20)
    assert (143, 7) == (process.returncode, newest()[0].job_exit_code)
    assert "(the job itself ended with 7)" in errors


def test_group_of_a_shell_gets_the_signal_as_a_whole(start, script):
    """A shell passes nothing on, so its children hear of the stop from us."""
    name = script(LISTENER.format(end="SIGTERM", code=0))
    process = start("run", "sh", "-c", f"{sys.executable} {name}; echo after")
    assert process.stdout.readline() == "up\n"
    process.terminate()
    output, _ = process.communicate(timeout=20)
    assert output.startswith("SIGTERM\n")


def test_leader_with_a_handler_alone_gets_the_signal(start, script, variables):
    """Children of a job that handles its stop are left to the job."""
    job = """
import signal, subprocess, sys, time
child = subprocess.Popen(["sleep", "60"])
def stop(number, frame):
    time.sleep(0.5)
    print("child is alive" if child.poll() is None else "child is dead")
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
print("up", flush=True)
time.sleep(60)
"""
    process = start("run", script(job), env=variables(HYPERPLANE_GRACE_S="3"))
    assert process.stdout.readline() == "up\n"
    process.terminate()
    output, _ = process.communicate(timeout=20)
    assert output == "child is alive\n"


def test_stopped_run_is_not_tried_again(start, until, newest):
    """Retries are for failures: who stops a job wants it stopped."""
    Path("job.yaml").write_text("main: sh -c 'echo up; sleep 60'\nretries: 3\n")
    process = start("run", "job.yaml")
    assert process.stdout.readline() == "up\n"
    process.terminate()
    process.communicate(timeout=20)
    assert ["stopped"] == [found.outcome for found in newest()]


def test_timeout_ends_with_124(command, variables, newest):
    """A job over its time is asked to end with SIGTERM, and the exit code says why."""
    Path("job.yaml").write_text(
        "main: sh -c 'trap \"echo asked; exit 0\" TERM; sleep 60 & wait'\ntimeout_s: 0.5\n"
    )
    done = command("run", "job.yaml")
    assert (124, "asked\n") == (done.returncode, done.stdout)
    assert ("failed", 124, 0) == (newest()[0].outcome, newest()[0].exit_code, newest()[0].job_exit_code)
    assert done.stderr.startswith("hyperplane: failed: out of time (exit code 124) after ")


def test_job_that_ignores_the_timeout_is_killed(command, variables):
    """After the grace without the reserve, SIGKILL ends what SIGTERM did not."""
    Path("job.yaml").write_text("main: sh -c 'trap \"\" TERM; sleep 60; sleep 60'\ntimeout_s: 0.3\n")
    begun = time.monotonic()
    done = command("run", "job.yaml", env=variables(HYPERPLANE_GRACE_S="1"))
    assert done.returncode == 124
    assert time.monotonic() - begun < 50


def test_runner_killed_takes_the_whole_group_along(start, until, is_alive):
    """After SIGKILL of the runner, neither the job nor its children live, whatever they ignore."""
    job = "trap '' TERM HUP; sleep 60 & echo $$ $!; wait"
    process = start("run", "sh", "-c", job)
    pids = [int(word) for word in process.stdout.readline().split()]
    assert all(map(is_alive, pids))
    process.kill()
    until(lambda: not any(map(is_alive, pids)))


def test_runner_killed_leaves_no_secrets(start, until, variables):
    """After SIGKILL of the runner, the folder of secrets goes too."""
    process = start(
        "run",
        "sh",
        "-c",
        "echo $HYPERPLANE_SECRETS_DIR; sleep 60",
        env=variables(HYPERPLANE_SECRET_a="abcdefgh"),
    )
    folder = Path(process.stdout.readline().strip())
    assert (folder / "a").read_text() == "abcdefgh"
    process.kill()
    until(lambda: not folder.parent.exists())


def test_runner_killed_leaves_an_interrupted_run(start, until):
    """After SIGKILL of the runner the lock is free, and the run reads as interrupted."""
    process = start("run", "sh", "-c", "echo up; sleep 60")
    assert process.stdout.readline() == "up\n"
    process.kill()
    process.wait()
    (run,) = Home.of(Path.cwd()).runs()
    until(lambda: record.read(run).outcome == "interrupted")


def test_job_dies_with_the_runner_even_without_its_guard(start, until, is_alive):
    """The kernel kills the job itself when runner and guard are killed at once."""
    process = start("run", "sh", "-c", "echo $$; exec sleep 60")
    job = int(process.stdout.readline())
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    (guard,) = {int(pid) for pid in children} - {job}
    os.kill(guard, signal.SIGKILL)
    process.kill()
    until(lambda: not is_alive(job))


def test_reader_that_does_not_read_does_not_hold_up_the_stop(start, until, newest):
    """A stop is obeyed while nobody takes the job's output; what could not be shown is stored."""
    process = start("run", "sh", "-c", "seq 300000; echo end >&2")
    until(lambda: Path(".hyperplane").exists() and newest() and newest()[0].pid)
    time.sleep(0.5)
    process.terminate()
    assert process.wait(timeout=10) == 143


def test_process_that_left_the_group_does_not_hold_up_the_end(start, until):
    """A daemon that keeps our stdout open is given up after the drain, and the run ends."""
    process = start("run", "sh", "-c", "setsid sleep 20 & echo up", drain_s=0.5)
    assert process.stdout.readline() == "up\n"
    assert process.wait(timeout=10) == 0


def test_stop_during_the_drain_ends_it(start, until, is_alive):
    """Who asks for the end does not wait for a grandchild's output."""
    process = start("run", "sh", "-c", "setsid sleep 120 & echo $$ $!", drain_s=600)
    leader, grandchild = map(int, process.stdout.readline().split())
    until(lambda: not is_alive(leader) and os.getsid(grandchild) == grandchild)
    process.terminate()
    assert process.wait(timeout=60) == 0
    os.kill(grandchild, signal.SIGKILL)


def test_stop_during_the_drain_ends_the_retries(start, until, is_alive, newest):
    """A failure that is followed by a stop is not tried again."""
    Path("job.yaml").write_text("main: sh -c 'setsid sleep 120 & echo $$ $!; exit 3'\nretries: 2\n")
    process = start("run", "job.yaml", drain_s=600)
    leader, grandchild = map(int, process.stdout.readline().split())
    until(lambda: not is_alive(leader) and os.getsid(grandchild) == grandchild)
    process.terminate()
    assert process.wait(timeout=60) == 3
    assert [("failed", 3)] == [(found.outcome, found.exit_code) for found in newest()]
    os.kill(grandchild, signal.SIGKILL)


def test_stop_during_the_grace_of_a_timeout_ends_the_retries(start, script, variables, newest):
    """A job that is being ended for its time, and is stopped then, is not tried again."""
    job = """
import pathlib, signal, time
signal.signal(signal.SIGTERM, lambda *_: print("asked", flush=True))
while not pathlib.Path("go").exists():
    time.sleep(0.02)
"""
    Path("job.yaml").write_text(f"main: {script(job)}\ntimeout_s: 3\nretries: 2\n")
    process = start("run", "job.yaml", env=variables(HYPERPLANE_GRACE_S="120"))
    assert process.stdout.readline() == "asked\n"
    process.terminate()
    Path("go").touch()
    assert process.wait(timeout=60) == 124
    assert [("failed", 124)] == [(found.outcome, found.exit_code) for found in newest()]


def test_job_that_its_platform_stops_is_stopped(command, script, newest):
    """A job that ends with 143 and says that it was stopped is no failure, and not tried again."""
    job = """
import os, signal
import hyperplane
with hyperplane.JobContext() as ctx:
    os.kill(os.getpid(), signal.SIGTERM)
    ctx.raise_if_stopping()
"""
    Path("job.yaml").write_text(f"main: {script(job)}\nretries: 2\n")
    done = command("run", "job.yaml")
    assert done.returncode == 143
    assert [("stopped", 143, 143)] == [(r.outcome, r.exit_code, r.job_exit_code) for r in newest()]
    assert "hyperplane: stopped by itself after " in done.stderr


@pytest.mark.parametrize("job", ["exit 143", "echo >$HYPERPLANE_RUN_DIR/events.jsonl; exit 143"])
def test_exit_code_of_a_stop_alone_is_a_failure(command, newest, job):
    """A job that ends with 143 and says nothing of a stop was killed by somebody."""
    assert command("run", "sh", "-c", job).returncode == 143
    assert newest()[0].outcome == "failed"


def test_stop_that_cannot_be_noted_is_told(start, newest):
    """Where the events cannot be written, the job is stopped all the same, and the record says so."""
    process = start("run", "sh", "-c", "mkdir $HYPERPLANE_RUN_DIR/events.jsonl; echo up; exec sleep 60")
    assert process.stdout.readline() == "up\n"
    process.terminate()
    assert process.wait(timeout=60) == 143
    (problem,) = newest()[0].problems
    assert problem.endswith("events.jsonl cannot be written: Is a directory")
