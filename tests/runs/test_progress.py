"""Progress read from the events of a run."""

import json
import os
import select
from pathlib import Path

import pytest

from hyperplane.runs import progress
from hyperplane.runs.live import Live
from hyperplane.runs.progress import EventTail, ProgressBar


def event(**fields):
    """Return the line of an event."""
    return json.dumps(fields).encode() + b"\n"


@pytest.fixture
def screen():
    """Return a terminal of ours, and the end on which what is shown can be read."""
    main, other = os.openpty()
    live = Live(other)
    yield live, main
    live.close()
    os.close(main)
    os.close(other)


def shown(main):
    """Return what has been shown, when nothing more comes."""
    found = b""
    while select.select([main], [], [], 0.1)[0]:
        found += os.read(main, 1 << 16)
    return found


def test_tail_of_no_file_has_no_events():
    """What the job has put in the place of its events does not end the run."""
    Path("events.jsonl").mkdir()
    assert [] == EventTail(Path("events.jsonl")).read()


def test_tail_reads_whole_lines_once():
    """Half a line waits for its other half; a file that is not there yet has none."""
    path = Path("events.jsonl")
    tail = EventTail(path)
    assert tail.read() == []
    line = event(kind="a")
    path.write_bytes(line + line[:5])
    assert tail.read() == [{"kind": "a"}]
    path.write_bytes(line + line)
    assert [[{"kind": "a"}], []] == [tail.read(), tail.read()]


def test_line_that_is_too_long_is_passed_over(monkeypatch):
    """It does not stop the reading for good."""
    monkeypatch.setattr(progress, "_READ_BYTES", 64)
    path = Path("events.jsonl")
    path.write_bytes(event(kind="x" * 200) + event(kind="b"))
    tail = EventTail(path)
    assert {"kind": "b"} in [found for _ in range(6) for found in tail.read()]


def test_bar_shows_the_last_progress_and_goes_when_it_is_closed(screen):
    """Two events at once make one picture."""
    live, main = screen
    Path("events").write_bytes(
        event(kind="progress", done=1, total=4) + event(kind="progress", done=3, total=4)
    )
    bar = ProgressBar(Path("events"), live, (live,))
    bar.tick()
    picture = shown(main)
    assert b" 75%" in picture
    assert b" 25%" not in picture
    bar.close()
    assert shown(main) == b"\r\x1b[2K"
    assert live.bar is None


@pytest.mark.parametrize(("done", "total"), [("x", 1), (1, None), (1, 0), (1, -1)])
def test_progress_that_makes_no_sense_draws_nothing(screen, done, total):
    """Other programs may write events too."""
    live, main = screen
    Path("events").write_bytes(event(kind="progress", done=done, total=total))
    ProgressBar(Path("events"), live, (live,)).tick()
    assert shown(main) == b""


def test_bar_waits_for_the_end_of_the_jobs_line(screen):
    """It is out of the way before a line, and comes back after its end."""
    live, main = screen
    Path("events").write_bytes(event(kind="progress", done=1, total=4))
    bar = ProgressBar(Path("events"), live, (live,))
    bar.tick()
    shown(main)
    live.write(b"half")
    bar.tick()
    assert shown(main) == b"\r\x1b[2Khalf"
    live.write(b" line\n")
    bar.tick()
    assert b" 25%" in shown(main)
