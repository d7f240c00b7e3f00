"""Sealing what a successful job left, and being stopped meanwhile."""

import os
import signal
import time
import warnings
from pathlib import Path

import pytest

from hyperplane.errors import HyperplaneWarning, OutputError
from hyperplane.masking import Masker
from hyperplane.rundir import RunDir
from hyperplane.runs.sealing import Sealing, seal_outputs
from hyperplane.runs.signals import Signals

# two, for more than one are read by threads; their holes take long to read and no room
LARGE = "truncate -s 60G $HYPERPLANE_OUTPUT_DIR/large $HYPERPLANE_OUTPUT_DIR/larger"


def sealers_of(runner):
    """Return the processes of a runner that have a large output open."""
    children = Path(f"/proc/{runner.pid}/task/{runner.pid}/children").read_text().split()
    return [int(pid) for pid in children if any(name.endswith("/large") for name in open_files(pid))]


def open_files(pid):
    """Return the names of the files that a process has open just now."""
    names = []
    for link in Path(f"/proc/{pid}/fd").glob("*"):
        try:
            names.append(str(link.readlink()))
        except FileNotFoundError:
            continue
    return names


@pytest.fixture
def sealing(start, until, variables):
    """Return a function that starts a runner, and waits until it seals large files."""

    def begin(grace_s):
        process = start("run", "sh", "-c", LARGE, env=variables(HYPERPLANE_GRACE_S=str(grace_s)))
        until(lambda: sealers_of(process), timeout_s=60)
        return process

    return begin


@pytest.fixture
def run():
    """Return a run with an output."""
    made = RunDir(Path.cwd() / "job" / "run-1")
    made.outputs.mkdir(parents=True)
    (made.outputs / "a").write_text("a")
    return made


@pytest.fixture
def seal_with(run):
    """Return a function that seals the run by a function of its own."""

    def call(seal):
        with Signals() as signals:
            return seal_outputs(run, Masker(), seal=seal, signals=signals, patience_s=10)

    return call


def test_stop_while_outputs_are_sealed_ends_within_the_grace(sealing, newest):
    """The job has succeeded, its outputs are not safe, and nobody waits for the end of a large file."""
    process = sealing(grace_s=1)
    process.terminate()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 75
    (found,) = newest()
    assert ("succeeded", 75, 0) == (found.outcome, found.exit_code, found.job_exit_code)
    assert found.problems[0].startswith("a stop came before the outputs in ")
    assert "succeeded, but its outputs are not sealed (exit code 75) after " in errors


def test_second_interrupt_ends_the_sealing_at_once(sealing):
    """Whoever presses Ctrl-C twice does not wait for the half minute of a long grace."""
    process = sealing(grace_s=600)
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=25) == 75


def test_death_of_what_seals_is_no_success(sealing, newest):
    """A sealing process that the system kills leaves unsealed outputs, and that is said."""
    process = sealing(grace_s=10)
    os.kill(sealers_of(process)[0], signal.SIGKILL)
    assert process.wait(timeout=60) == 75
    assert newest()[0].problems[0].startswith("what seals the outputs in ")


def test_runner_killed_takes_what_seals_along(sealing, until, is_alive):
    """After SIGKILL of the runner nothing of it goes on."""
    process = sealing(grace_s=10)
    (pid,) = sealers_of(process)
    process.kill()
    until(lambda: not is_alive(pid))


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        ("rm -r $HYPERPLANE_OUTPUT_DIR", "was removed, with all that was in it"),
        (
            "rm -r $HYPERPLANE_OUTPUT_DIR; echo x >$HYPERPLANE_OUTPUT_DIR",
            "was replaced by something that is no folder",
        ),
        (
            "mv $HYPERPLANE_OUTPUT_DIR moved; ln -s $PWD/moved $HYPERPLANE_OUTPUT_DIR",
            "was replaced by something that is no folder",
        ),
    ],
    ids=["removed", "file", "link"],
)
def test_outputs_folder_that_is_none_any_more_is_no_success(command, newest, spoil, problem):
    """What the job wrote there is lost, and the run does not hide it."""
    done = command("run", "sh", "-c", spoil)
    assert done.returncode == 75
    assert problem in newest()[0].problems[0]
    assert f"hyperplane: warning: {newest()[0].problems[0]}\n" in done.stderr


def test_empty_folder_is_not_sealed(run):
    """Where nothing was left, nothing is called."""
    (run.outputs / "a").unlink()
    with Signals() as signals:
        assert Sealing(True) == seal_outputs(run, Masker(), seal=None, signals=signals, patience_s=10)


def test_warnings_of_the_sealing_are_told(seal_with):
    """They are no reason to call the outputs unsealed."""
    warn = lambda *_: warnings.warn("a link was passed over", HyperplaneWarning, stacklevel=1)  # noqa: E731
    assert Sealing(True, ("a link was passed over",)) == seal_with(warn)


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (OutputError("b changes", hint="Close it."), "b changes\nClose it."),
        (
            OSError(28, "No space left on device"),
            "the outputs in {} cannot be sealed: No space left on device",
        ),
        (ValueError("hunter2"), "the outputs in {} cannot be sealed: ValueError"),
    ],
    ids=["ours", "system", "other"],
)
def test_failure_of_the_sealing_is_a_sentence(seal_with, run, error, problem):
    """Whatever it is, it says which folder it is about."""

    def fail(*_):
        raise error

    assert Sealing(False, (problem.format(run.outputs),)) == seal_with(fail)
