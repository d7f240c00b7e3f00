"""The last lines of a run, for a reader who is slow or has stopped to read."""

import pytest

# as much as a pipe holds, so that the job ends and nothing more can be said
FULL = "head -c 65536 /dev/zero | tr '\\0' x >&2"


@pytest.fixture
def ended(start, until, only_run, newest):
    """Return a runner whose job has ended, and whose stderr takes nothing more."""
    process = start("run", "sh", "-c", f"echo up; {FULL}")
    assert process.stdout.readline() == "up\n"
    until(lambda: newest()[0].outcome == "succeeded", timeout_s=60)
    return process


def test_reader_that_comes_late_gets_the_closing_line(ended):
    """It is waited for, as with any pipe."""
    _, errors = ended.communicate(timeout=60)
    assert errors[65536:].startswith("hyperplane: succeeded after ")


def test_reader_that_does_not_read_does_not_hold_up_a_stop(ended):
    """Whoever stops the runner then has its end soon, with the outcome that is recorded."""
    ended.terminate()
    assert ended.wait(timeout=60) == 0


def test_reader_of_errors_that_does_not_read_does_not_hold_up_the_stop(start, until, only_run, newest):
    """A job whose errors nobody reads is stopped, with all that was said of it left unsaid."""
    process = start("run", "sh", "-c", "echo up; seq 300000 >&2; sleep 60")
    assert process.stdout.readline() == "up\n"
    until(lambda: only_run().stderr_log.exists() and only_run().stderr_log.stat().st_size > 65536)
    process.terminate()
    assert process.wait(timeout=60) == 143
    assert newest()[0].outcome == "stopped"
