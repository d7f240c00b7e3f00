"""Showing the job's output on a stream of ours without waiting for its reader."""

import os
import socket
from pathlib import Path

import pytest

from hyperplane.runs.live import Live


class Curtain:
    """A bar that counts how often it was hidden."""

    def __init__(self):
        self.hidden = 0

    def hide(self):
        self.hidden += 1


@pytest.fixture
def pipe():
    """Return the two ends of a pipe, closed after the test where they still are open."""
    ends = list(os.pipe())
    yield ends
    for end in ends:
        os.close(end)


def test_reader_that_does_not_read_leaves_the_rest_pending(pipe):
    """Writing returns at once, and flushing goes on where it stopped."""
    live = Live(pipe[1])
    data = bytes(range(256)) * 4096
    live.write(data)
    taken = b""
    assert 0 < len(live.pending) < len(data)
    while live.pending:
        taken += os.read(pipe[0], 1 << 20)
        live.flush()
    os.set_blocking(pipe[0], False)
    assert taken + os.read(pipe[0], 1 << 20) == data
    live.close()


def test_stream_itself_stays_blocking(pipe):
    """Other processes that have the same stream find it as it was."""
    live = Live(pipe[1])
    assert os.get_blocking(pipe[1])
    assert not os.get_blocking(live.descriptor)
    live.close()


def test_reader_that_is_gone_ends_the_showing_without_a_problem(pipe):
    """A broken pipe is what `| head` leaves."""
    live = Live(pipe[1])
    os.close(pipe.pop(0))
    live.write(b"x")
    live.write(b"y")
    assert (False, "", b"") == (live.is_open, live.problem, live.pending)
    live.close()


def test_full_disk_ends_the_showing_with_a_problem():
    """Output redirected to a full disk is lost on the screen only, and said."""
    full = os.open("/dev/full", os.O_WRONLY)
    live = Live(full)
    live.write(b"x")
    assert (False, "No space left on device") == (live.is_open, live.problem)
    live.close()
    os.close(full)


def test_file_is_written_where_it_stands():
    """A redirection that appends is not written over."""
    Path("out.txt").write_bytes(b"before ")
    descriptor = os.open("out.txt", os.O_WRONLY | os.O_APPEND)
    Live(descriptor).write(b"after")
    os.close(descriptor)
    assert Path("out.txt").read_bytes() == b"before after"


def test_socket_is_written_to_as_it_is():
    """What cannot be opened once more is written to directly."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        live = Live(ours.fileno())
        live.write(b"x")
        assert theirs.recv(10) == b"x"
        assert live.descriptor == ours.fileno()


def test_pipe_that_cannot_be_opened_once_more_is_written_to_as_it_is():
    """A named pipe without a reader cannot be opened; the write tells that the reader is gone."""
    os.mkfifo("pipe")
    reader = os.open("pipe", os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open("pipe", os.O_WRONLY)
    os.close(reader)
    live = Live(writer)
    assert live.descriptor == writer
    os.close(writer)


def test_bar_is_hidden_before_a_line_of_the_jobs(pipe):
    """And what is drawn for the bar itself hides nothing."""
    live = Live(pipe[1])
    live.bar = curtain = Curtain()
    live.draw(b"bar")
    live.write(b"")
    assert curtain.hidden == 0
    live.write(b"line")
    assert (1, False) == (curtain.hidden, live.is_at_line_start)
    live.close()
    live.draw(b"after the end")
    assert os.read(pipe[0], 100) == b"barline"
