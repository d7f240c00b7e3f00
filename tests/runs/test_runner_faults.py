"""What can go wrong around a job, and how the run says so."""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hyperplane.errors import RunnerError
from hyperplane.runs.finding import working_folder

LIMIT_BYTES = 50_000


def limit_files():
    """Have no file grow beyond a limit, as on a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT_BYTES, LIMIT_BYTES))


def test_log_that_is_not_complete_is_no_plain_success(command, newest):
    """The log is part of what must arrive: exit code, last line and record say that it did not."""
    done = command("run", "seq", "50000", preexec_fn=limit_files)
    assert done.returncode == 75
    (found,) = newest()
    assert ("succeeded", 75, 0) == (found.outcome, found.exit_code, found.job_exit_code)
    assert found.problems[0].endswith("stdout.log is not complete: File too large")
    assert "hyperplane: succeeded, but its logs are not complete (exit code 75) after " in done.stderr


def test_job_that_fails_keeps_its_code_over_an_incomplete_log(command, newest):
    """The job's own failure is never hidden by ours."""
    done = command("run", "sh", "-c", "seq 50000; exit 3", preexec_fn=limit_files)
    assert (3, "failed") == (done.returncode, newest()[0].outcome)
    assert newest()[0].problems[0].endswith("stdout.log is not complete: File too large")


def test_problems_are_shown_with_the_run(command):
    """`show` has them, so that nobody needs the terminal of then."""
    command("run", "seq", "50000", preexec_fn=limit_files)
    shown = command("show")
    assert shown.stdout.split("\nproblems\n  ")[1].split("\n")[0].endswith("is not complete: File too large")


def test_output_of_a_process_left_behind_that_is_cut_is_told(command, newest):
    """Nobody reads what a daemon writes after the drain, and the record says so once."""
    done = command("run", "sh", "-c", "setsid sleep 120 & echo $!", drain_s=0.5)
    assert done.returncode == 0
    assert ("output of processes left behind was cut",) == newest()[0].problems
    assert done.stderr.count("hyperplane: warning: output of processes left behind was cut\n") == 1
    os.kill(int(done.stdout), signal.SIGKILL)


def test_plain_run_has_no_problems(command, newest):
    """Nothing is said where nothing is wrong."""
    command("run", "echo", "hello")
    assert () == newest()[0].problems


@pytest.mark.parametrize("words", ["run true", "run job.yaml", "run --retry last", "runs", "show", "doctor"])
def test_working_folder_that_was_removed_is_a_clear_error(words):
    """The error says so, and that it is nobody's fault but the place."""
    Path("gone").mkdir()
    shell = f"cd gone && rmdir ../gone && exec {sys.executable} -m hyperplane {words}"
    done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert (
        done.stderr == "hyperplane: error: the working folder was removed\n  Go to a folder that is there.\n"
    )


def test_working_folder_that_was_removed_has_no_name(monkeypatch):
    """Whoever asks for it gets an error of ours."""
    Path("gone").mkdir()
    monkeypatch.chdir("gone")
    Path("../gone").rmdir()
    with pytest.raises(RunnerError, match="the working folder was removed"):
        working_folder()


def test_job_that_removes_the_working_folder_succeeds(command, variables, tmp_path):
    """The last line gives the place of the outputs in full then."""
    Path("gone").mkdir()
    done = command("run", "sh", "-c", "rmdir $PWD", cwd="gone", env=variables(HYPERPLANE_HOME=str(tmp_path)))
    assert done.returncode == 0
    assert f"; outputs in {tmp_path}/.hyperplane/runs/" in done.stderr
