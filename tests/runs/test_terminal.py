"""`hyperplane run` at a terminal: the progress bar, and a job that gets the keyboard."""

import fcntl
import os
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from functools import partial

import pytest

PROGRESS = """
import hyperplane, os, time
with hyperplane.JobContext() as ctx:
    ctx.progress(1, 4)
    time.sleep(1)
    print("a line of the job")
    os.write(1, b"half ")
    ctx.progress(2, 4)
    time.sleep(1)
    os.write(1, b"a line")
"""
ASKING = "echo ready; read answer; echo you said $answer"


class Terminal:
    """A pseudo-terminal with a session of its own, in which one command runs."""

    def __init__(self, *words, stdout=None):
        self.main, other = os.openpty()
        fcntl.ioctl(self.main, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
        self.before = termios.tcgetattr(other)
        self.shown = b""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "hyperplane", *words],
            stdin=other,
            stdout=other if stdout is None else stdout,
            stderr=other,
            start_new_session=True,
            # this process has one thread, and only the child may take the terminal
            preexec_fn=partial(fcntl.ioctl, other, termios.TIOCSCTTY, 0),  # noqa: PLW1509
        )
        self.other = other

    def read_until(self, wanted, timeout_s=20):
        """Read what is shown until it has this, and return all of it."""
        give_up_at = time.monotonic() + timeout_s
        while wanted not in self.shown:
            assert time.monotonic() < give_up_at, self.shown
            self._read()
        return self.shown

    def _read(self):
        if select.select([self.main], [], [], 0.1)[0]:
            self.shown += os.read(self.main, 4096)

    def type(self, keys):
        """Press keys."""
        os.write(self.main, keys)

    def finish(self):
        """Read to the end, and return what was shown and the exit code."""
        while self.process.poll() is None:
            self._read()
        while select.select([self.main], [], [], 0.1)[0]:
            self._read()
        return self.shown, self.process.returncode

    def close(self):
        """Kill what still runs."""
        self.process.kill()
        self.process.wait()
        os.close(self.main)
        os.close(self.other)


@pytest.fixture
def terminal():
    """Return a function that runs the command in a terminal."""
    opened = []

    def open_one(*words, **options):
        opened.append(Terminal(*words, **options))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


def test_progress_is_drawn_below_the_jobs_lines(terminal, script):
    """The bar comes and goes, is never in a line of the job's, and is not there at the end."""
    shown, code = terminal("run", script(PROGRESS)).finish()
    lines = shown.split(b"\r\n")
    assert code == 0
    assert b" 25%" in shown
    assert b"50%" not in shown, "half a line of the job's stood there all the time"
    assert lines[0].endswith(b"\r\x1b[2Ka line of the job")
    assert any(line.endswith(b"half a line") for line in lines)
    assert lines[-2].startswith(b"hyperplane: succeeded after ")


def test_progress_is_not_drawn_where_standard_error_is_no_terminal(command, script):
    """A log file gets the job's lines and nothing else."""
    done = command("run", script(PROGRESS))
    assert done.stdout == "a line of the job\nhalf a line"
    assert "%" not in done.stderr


def test_interactive_job_reads_the_keyboard(terminal, newest):
    """The terminal is the job's while it runs, and its output is still shown and stored."""
    opened = terminal("run", "--interactive", "sh", "-c", ASKING)
    opened.read_until(b"ready")
    opened.type(b"hello\n")
    shown, code = opened.finish()
    assert code == 0
    assert b"you said hello" in shown
    assert newest()[0].outcome == "succeeded"


def test_job_that_is_not_interactive_gets_no_keyboard(terminal):
    """It reads the end of its input at once."""
    shown, code = terminal("run", "sh", "-c", ASKING).finish()
    assert code == 0
    assert b"you said\r\n" in shown


def test_interrupt_key_stops_an_interactive_job(terminal, newest):
    """Ctrl-C goes to the job alone, and the run counts as stopped."""
    opened = terminal("run", "--interactive", "sh", "-c", "echo ready; exec sleep 60")
    opened.read_until(b"ready")
    opened.type(b"\x03")
    _, code = opened.finish()
    assert (130, "stopped") == (code, newest()[0].outcome)


def test_interrupt_key_stops_any_other_job_too(terminal, newest):
    """Ctrl-C reaches the runner, which passes it on."""
    opened = terminal("run", "sh", "-c", "echo ready; exec sleep 60")
    opened.read_until(b"ready")
    opened.type(b"\x03")
    _, code = opened.finish()
    assert (130, "stopped") == (code, newest()[0].outcome)


def test_terminal_is_put_back_as_it_was(terminal):
    """A job that leaves the terminal without echo does not leave it so for the shell."""
    opened = terminal("run", "--interactive", "sh", "-c", "stty -echo; echo ready")
    opened.finish()
    assert opened.before == termios.tcgetattr(opened.other)


def test_interactive_job_without_a_terminal_inherits_its_input(command):
    """There is nothing to hand over then."""
    assert command("run", "--interactive", "cat", stdin=None, input="hello").stdout == "hello"


def test_closing_line_begins_on_a_line_of_its_own(terminal):
    """A job whose last line has no end does not swallow it."""
    shown, _ = terminal("run", "printf", "no end").finish()
    assert b"no end\r\nhyperplane: succeeded" in shown


def test_job_is_killed_where_the_terminal_goes_away(terminal, until, is_alive):
    """A closed window hangs up the runner, and the job is asked to stop."""
    opened = terminal("run", "sh", "-c", "echo $$; sleep 60")
    opened.read_until(b"\r\n")
    pid = int(opened.shown.split()[0])
    os.killpg(opened.process.pid, signal.SIGHUP)
    assert opened.process.wait(20) == 143
    until(lambda: not is_alive(pid))
