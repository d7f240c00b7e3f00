"""One stream of a job, from its pipe to the screen and the log."""

import os
from pathlib import Path

import pytest

from hyperplane.masking import Masker
from hyperplane.runs import capture
from hyperplane.runs.capture import LogFile, Pump
from hyperplane.runs.live import Live


@pytest.fixture
def pipe():
    """Return the two ends of a pipe."""
    reader, writer = os.pipe()
    yield reader, writer
    for descriptor in (reader, writer):
        try:
            os.close(descriptor)
        except OSError:  # a test has closed it
            continue


@pytest.fixture
def live(pipe):
    """Return a stream of ours whose reader is the first end of the pipe."""
    shown = Live(pipe[1])
    yield shown
    shown.close()


@pytest.fixture
def pump(live):
    """Return a pump with one secret, and the descriptor that the job would write to."""
    masker = Masker()
    masker.add("a", "abcdefgh")
    made, writer = Pump.to(Path("out.log"), live=live, masker=masker)
    yield made, writer
    if made.is_open:
        made.close()


def test_what_the_job_writes_is_masked_shown_and_stored(pump, pipe):
    """Both copies have asterisks in the place of the secret."""
    carrier, writer = pump
    os.write(writer, b"x abcdefgh y\n")
    assert carrier.pull() == 13
    assert (b"x *** y\n", b"x *** y\n") == (os.read(pipe[0], 100), Path("out.log").read_bytes())


def test_beginning_of_a_secret_waits_and_the_rest_does_not(pump, pipe):
    """What may become a secret is held back, until the end of the stream masks it."""
    carrier, writer = pump
    os.write(writer, b"Name? abcdefg")
    carrier.pull()
    carrier.rest()
    assert carrier.has_pending
    assert os.read(pipe[0], 100) == b"Name? "
    carrier.close()
    assert Path("out.log").read_bytes() in {b"Name? abcdefg", b"Name? ***"}


def test_empty_pipe_is_no_end(pump):
    """Nothing to read now is told apart from nothing to read any more."""
    carrier, writer = pump
    assert carrier.pull() == -1
    os.close(writer)
    assert carrier.pull() == 0


def test_closing_carries_what_is_left_and_no_more_than_a_pipe_holds(pump, pipe, monkeypatch):
    """The rest of a stream is taken without waiting for its end."""
    carrier, writer = pump
    os.write(writer, b"last")
    carrier.close()
    assert Path("out.log").read_bytes() == b"last"


def test_writer_that_never_ends_does_not_hold_up_the_closing(pump, monkeypatch):
    """At most a pipe's worth is read at the end."""
    carrier, _ = pump
    pulls = []

    def endless():
        pulls.append(1)
        return 1

    monkeypatch.setattr(carrier, "pull", endless)
    carrier.close()
    assert len(pulls) == 1 + capture.PIPE_BYTES // capture.READ_BYTES


def test_full_disk_ends_the_storing_and_not_the_showing(live, pipe):
    """The problem is told, and the screen still gets everything."""
    carrier = Pump(
        source=os.open("/dev/null", os.O_RDONLY), path=Path("/dev/full"), live=live, masker=Masker()
    )
    carrier._pass_on(b"one")
    carrier._pass_on(b"two")
    assert os.read(pipe[0], 100) == b"onetwo"
    assert carrier.problems() == ["/dev/full is not complete: No space left on device"]
    carrier.close()


def test_screen_that_cannot_be_written_is_a_problem():
    """Output redirected to a full disk is told of at the end."""
    full = os.open("/dev/full", os.O_WRONLY)
    carrier, writer = Pump.to(Path("out.log"), live=Live(full), masker=Masker())
    os.write(writer, b"x")
    os.close(writer)
    carrier.close()
    os.close(full)
    assert carrier.problems() == ["the job's output could not be shown: No space left on device"]


def test_log_holds_back_half_an_escape_until_it_is_whole():
    """A terminal command that comes in two pieces is still spelled out."""
    log = LogFile(Path("x.log"))
    log.write(b"\x1b")
    log.write(b"]0;t\x07")
    log.close()
    assert Path("x.log").read_bytes() == rb"\x1b]0;t" + b"\x07"


def test_log_goes_on_at_its_end():
    """A file that is there already is added to."""
    Path("x.log").write_bytes(b"one\n")
    log = LogFile(Path("x.log"))
    log.write(b"two\n")
    log.close()
    assert Path("x.log").read_bytes() == b"one\ntwo\n"


def test_pipe_of_any_size_will_do(monkeypatch, live):
    """Where pipes cannot be enlarged, they are used as they are."""
    monkeypatch.setattr(capture, "PIPE_BYTES", -1)
    carrier, writer = Pump.to(Path("out.log"), live=live, masker=Masker())
    os.write(writer, b"x")
    assert carrier.pull() == 1
    os.close(writer)
    carrier.close()
