"""The bar on a terminal."""

import io
import sys

import pytest

from hyperplane.transfer import bar
from hyperplane.transfer.outcome import Progress


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self):
        return True


@pytest.mark.parametrize("stream", [None, io.StringIO()])
def test_nobody_draws_where_there_is_no_terminal(stream, monkeypatch):
    """There is no callback."""
    monkeypatch.setattr(sys, "stderr", stream)
    with bar.watch("download") as update:
        assert update is None


def test_a_moment_is_not_worth_a_bar(monkeypatch):
    """Short transfers draw nothing."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with bar.watch("download") as update:
        update(Progress(1, 10, 0, 0.5))

    assert "" == terminal.getvalue()


def test_a_longer_transfer_is_drawn(monkeypatch):
    """With its files and bytes."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with bar.watch("download") as update:
        update(Progress(1, 10, 0, 1.5))
        update(Progress(7, 2048, 0, 2.5))

    assert "download" in terminal.getvalue()
    assert "7 files" in terminal.getvalue()
