"""`hyperplane run`: what a job is given, what is shown and kept of it, and the exit codes."""

import json
import os
import re
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from hyperplane.rundir import Home
from hyperplane.runs import record, supervise

BYTES = b"\xff\xfe caf\xc3\xa9 \x00\x01\r\nno end of line"


def test_exit_code_is_the_jobs_own(command):
    """A job that ends with 3 makes the runner end with 3."""
    assert command("run", "sh", "-c", "exit 3").returncode == 3


def test_exit_code_after_a_signal_is_128_and_its_number(command):
    """A job killed by signal 9 makes the runner end with 137, as a shell would."""
    assert command("run", "sh", "-c", "kill -9 $$").returncode == 137


def test_output_is_shown_byte_for_byte(command):
    """What the job writes comes out of the same stream of ours, unchanged."""
    writer = f"import os; os.write(1, {BYTES!r}); os.write(2, {BYTES!r}[::-1])"
    done = command("run", sys.executable, "-c", writer, text=False)
    assert done.stdout == BYTES
    assert done.stderr.startswith(BYTES[::-1])


def test_output_is_stored_byte_for_byte(command, only_run):
    """Both streams lie in the run folder as they were written."""
    writer = f"import os; os.write(1, {BYTES!r}); os.write(2, {BYTES!r}[::-1])"
    command("run", sys.executable, "-c", writer, text=False)
    assert (BYTES, BYTES[::-1]) == (only_run().stdout_log.read_bytes(), only_run().stderr_log.read_bytes())


def test_terminal_commands_are_stored_harmless_and_shown_as_they_are(command, only_run):
    """The log spells out the byte that would begin an operating system command; the screen gets it."""
    title = b"\x1b]0;title\x07\n"
    done = command("run", sys.executable, "-c", f"import os; os.write(1, {title!r})", text=False)
    assert done.stdout == title
    assert only_run().stdout_log.read_bytes() == rb"\x1b]0;title" + b"\x07\n"


def test_words_after_the_command_belong_to_it(command):
    """Options that we know too are the command's own once it has begun."""
    done = command("run", "sh", "-c", 'echo "$@"', "x", "--retry", "-p", "--interactive", "--help")
    assert done.stdout == "--retry -p --interactive --help\n"


def test_python_script_runs_with_the_current_interpreter(command, script):
    """A first word ending in .py needs no interpreter, first line or permission."""
    done = command("run", script("import sys; print(sys.executable, sys.argv[1:])"), "--epochs", "3")
    assert done.stdout == f"{sys.executable} ['--epochs', '3']\n"


def test_closing_line_says_how_it_went_and_where_the_outputs_are(command, only_run):
    """One line on stderr has the outcome, the time, the run's id and its outputs."""
    done = command("run", "true")
    folder = only_run().outputs.relative_to(Path.cwd())
    assert re.fullmatch(
        rf"hyperplane: succeeded after \d+\.\d s; run {only_run().run_id}; outputs in {folder}\n", done.stderr
    )


def test_record_tells_what_was_run_and_how_it_ended(command, newest):
    """`run.json` has the command, the parameters, where and when, and the end."""
    command("run", "-p", "epochs=3", "sh", "-c", "exit 4")
    (found,) = newest()
    assert (("sh", "-c", "exit 4"), {"epochs": "3"}, ("epochs",)) == (
        found.command,
        dict(found.parameters),
        found.given,
    )
    assert ("sh", 1, "failed", "none", 4, 4) == (
        found.name,
        found.attempt,
        found.outcome,
        found.delivery,
        found.exit_code,
        found.job_exit_code,
    )
    assert (str(Path.cwd()), None, os.uname().nodename) == (found.folder, found.job_file, found.host)
    assert 0 < found.duration_s < 30


def test_run_is_running_while_the_job_lives(start, only_run):
    """Until the job ends, the record says running and the lock is held; both make it read so."""
    process = start("run", "sh", "-c", "echo up; sleep 60")
    assert process.stdout.readline() == "up\n"
    assert record.read(only_run()).outcome == "running"


def test_partial_line_is_written_when_the_job_goes_idle(start, only_run):
    """A prompt without an end of line is shown and stored while the job waits."""
    process = start("run", "sh", "-c", "printf 'Name? '; sleep 60")
    assert process.stdout.read(6) == "Name? "
    assert only_run().stdout_log.read_bytes() == b"Name? "


def test_outputs_of_a_successful_job_are_sealed(command, only_run):
    """A file that the job wrote by itself is an output when it exits 0."""
    command("run", "sh", "-c", "echo hello >$HYPERPLANE_OUTPUT_DIR/a.txt")
    events = [json.loads(line) for line in only_run().events.read_text().splitlines()]
    assert [("sealed", "a.txt", 6)] == [
        (event["kind"], event["name"], event["size_bytes"]) for event in events if event["kind"] == "sealed"
    ]


def test_outputs_of_a_failed_job_are_not_sealed(command, only_run):
    """What a failed job left half-written is no output."""
    command("run", "sh", "-c", "echo hello >$HYPERPLANE_OUTPUT_DIR/a.txt; exit 1")
    assert not only_run().events.exists()


def test_outputs_that_cannot_be_sealed_end_with_75(command, newest):
    """A job that exits 0 while its outputs cannot be made safe is no plain success."""
    done = command(
        "run", "sh", "-c", "mkdir $HYPERPLANE_RUN_DIR/events.jsonl; echo x >$HYPERPLANE_OUTPUT_DIR/a"
    )
    assert done.returncode == 75
    assert ("succeeded", 75, 0) == (newest()[0].outcome, newest()[0].exit_code, newest()[0].job_exit_code)
    assert "hyperplane: warning: " in done.stderr


def test_job_that_could_not_be_started_is_recorded_as_failed(command, newest):
    """A file that the system refuses to execute leaves a finished run with exit code 126."""
    Path("no-shebang").write_text("echo hello")
    Path("no-shebang").chmod(0o755)
    command("run", "./no-shebang")
    assert [("failed", 126)] == [(found.outcome, found.exit_code) for found in newest()]


@pytest.mark.parametrize(("own", "code"), [(0, 1), (3, 3)])
def test_record_that_cannot_be_written_is_no_success(command, own, code):
    """Without its record a success is none, and a failure keeps its own exit code."""
    spoil = "cd $HYPERPLANE_RUN_DIR && rm run.json && mkdir run.json"
    done = command("run", "sh", "-c", f"{spoil}; exit {own}")
    assert done.returncode == code
    assert "run.json cannot be written: Is a directory" in done.stderr


def test_run_folder_that_cannot_be_made_is_a_clear_error(command):
    """Where `.hyperplane` is a file, the error names it."""
    Path(".hyperplane").write_text("")
    done = command("run", "true")
    assert done.returncode == 1
    assert done.stderr.startswith("hyperplane: error: no run folder can be made in ")


def test_parameter_reaches_the_job_as_it_was_typed(command):
    """Nothing is expanded, split or decoded on the way."""
    value = "$(id) a=b\n\udcff é"
    reader = "import os; os.write(1, os.environb[b'P'])"
    done = command("run", "-p", f"P={value}", sys.executable, "-c", reader, text=False)
    assert done.stdout == os.fsencode(value)


def test_standard_input_is_inherited_from_a_pipe(command):
    """What is piped to us is piped to the job."""
    assert command("run", "cat", stdin=None, input="hello").stdout == "hello"


def test_standard_input_is_inherited_from_a_file(command):
    """A redirected file is the job's too."""
    Path("in.txt").write_text("hello")
    with Path("in.txt").open() as file:
        assert command("run", "cat", stdin=file).stdout == "hello"


def test_standard_input_is_empty_where_it_is_a_terminal(command):
    """A job never waits for keys that nobody means for it."""
    main, other = os.openpty()
    done = command("run", "sh", "-c", "readlink /proc/self/fd/0", stdin=other)
    os.close(main)
    os.close(other)
    assert done.stdout == "/dev/null\n"


def test_closed_streams_do_not_mix_with_our_files(only_run):
    """Without standard streams the job still runs, and its log is only its output."""
    words = f"{sys.executable} -m hyperplane run echo hello <&- >&- 2>&-"
    done = subprocess.run(["sh", "-c", words], timeout=60)
    assert done.returncode == 0
    assert only_run().stdout_log.read_text() == "hello\n"


def test_reader_that_goes_away_does_not_end_the_job(only_run):
    """With `| head -1` the job runs to its end, and all of its output is stored."""
    words = f"{sys.executable} -m hyperplane run seq 200000 | head -1"
    done = subprocess.run(["sh", "-c", words], capture_output=True, text=True, timeout=60)
    assert done.stdout == "1\n"
    assert only_run().stdout_log.read_text().endswith("\n200000\n")
    assert record.read(only_run()).outcome == "succeeded"


def test_reader_that_is_slow_gets_everything(start, until, newest):
    """A reader that does not read holds the job up, and loses nothing."""
    process = start("run", "seq", "300000")
    until(lambda: Path(".hyperplane").exists() and newest())
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=1)
    output, _ = process.communicate(timeout=30)
    assert output.endswith("\n300000\n")
    assert len(output.splitlines()) == 300000


def test_reader_that_comes_late_gets_everything(start, until, newest, only_run):
    """What a job left in the pipe is shown when its reader comes, however long that takes."""
    process = start("run", "seq", "20000", drain_s=0.5)
    until(lambda: Path(".hyperplane").exists() and newest() and only_run().stdout_log.exists())
    until(lambda: only_run().stdout_log.read_bytes().endswith(b"\n20000\n"))
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=2.5)
    output, _ = process.communicate(timeout=30)
    assert output.endswith("\n20000\n")


def test_grandchild_has_five_seconds():
    """That is what the documentation promises."""
    assert supervise.DRAIN_S == 5.0


def test_home_can_lie_elsewhere(command, variables):
    """HYPERPLANE_HOME names the folder that holds `.hyperplane`."""
    command("run", "true", env=variables(HYPERPLANE_HOME="other/place"))
    assert len(Home.of(Path("other/place")).runs()) == 1
    assert not Path(".hyperplane").exists()


def test_commit_of_the_folder_is_recorded_while_the_job_runs(command, start, until, newest):
    """The record has the commit, and whether tracked files differ from it."""
    Path("a.txt").write_text("one")
    identity = ["-c", "user.name=n", "-c", "user.email=e"]
    for words in (["init", "-q"], ["add", "a.txt"], [*identity, "commit", "-qm", "first"]):
        subprocess.run(["git", *words], check=True)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip()
    command("run", "true")
    Path("a.txt").write_text("two")
    process = start("run", "sh", "-c", "echo up; exec sleep 60")
    assert process.stdout.readline() == "up\n"
    until(lambda: newest()[0].git is not None)
    told = [(found.outcome, found.git) for found in newest()]
    assert [("running", (commit, True)), ("succeeded", (commit, False))] == told
    process.terminate()
    assert process.wait(timeout=20) == 143


def test_folder_without_git_at_hand_has_no_commit(command, newest):
    """A repository alone tells nothing where there is no git on the job's PATH."""
    Path(".git").mkdir()
    command("run", "-p", "PATH=/no/such/folder", "/bin/true")
    assert ("succeeded", None) == (newest()[0].outcome, newest()[0].git)


def test_grandchild_that_keeps_stdout_open_is_waited_for_and_ended(command, is_alive):
    """A process left in the background has some seconds with its output, and is gone when we are."""
    job = "(trap '' TERM; sleep 0.2; echo late; sleep 60) & echo $!"
    done = command("run", "sh", "-c", job, drain_s=0.5)
    pid, late = done.stdout.split()
    assert (0, "late", False) == (done.returncode, late, is_alive(int(pid)))


def test_grandchild_without_our_streams_is_ended(command, is_alive):
    """A process left in the background with its output elsewhere does not outlive the run."""
    done = command("run", "sh", "-c", "sleep 60 >/dev/null 2>&1 & echo $!")
    assert (0, False) == (done.returncode, is_alive(int(done.stdout)))


def test_run_folder_is_private_to_nobody_but_git(command):
    """`.hyperplane` ignores itself, so that runs are never committed."""
    command("run", "true")
    assert Path(".hyperplane/.gitignore").read_text() == "*\n"


def test_lock_is_not_passed_on_to_the_job(command):
    """Nothing of ours but the three streams is open in the job."""
    done = command("run", "sh", "-c", "ls /proc/$$/fd")
    assert set(done.stdout.split()) <= {"0", "1", "2"}


def test_runner_killed_with_its_job_leaves_an_interrupted_run(start, until, only_run):
    """After SIGKILL of the runner the lock is free, and the record reads as interrupted."""
    process = start("run", "sh", "-c", "echo up; sleep 60")
    assert process.stdout.readline() == "up\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    until(lambda: record.read(only_run()).outcome == "interrupted")
    assert stat.S_ISREG(only_run().record.stat().st_mode)
