"""Reports, metrics and progress: what is shown, what is stored, and that none of it ends a job."""

import decimal
import io
import math
import os
import sys

import pytest
from scripts import run

from hyperplane import journal
from hyperplane.errors import UsageError
from hyperplane.facets.events import Events
from hyperplane.journal import Journal
from hyperplane.masking import Masker

SECRET = "sesame-opens-it"


class Clock:
    """A clock that a test sets."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class FloatsBadly:
    """Something that is almost a number."""

    def __float__(self):
        raise RuntimeError


@pytest.fixture
def clock():
    """Give a clock that stands still."""
    return Clock()


@pytest.fixture
def make_events(tmp_path, clock):
    """Give a function that makes the events of a run, which know a secret."""
    masker = Masker()
    masker.add("door", SECRET)
    stored = Journal(tmp_path / "events.jsonl", masker)

    def make(**keywords):
        return Events(stored, masker=masker, clock=clock, **keywords)

    yield make
    stored.close()


def read(tmp_path):
    """Return the stored events without their stamps."""
    stamps = {"time", "pid", "seq"}
    return [
        {name: value for name, value in event.items() if name not in stamps}
        for event in journal.read(tmp_path / "events.jsonl")
    ]


def progress_of(tmp_path):
    """Return how much was done, in the order in which that was stored."""
    return [event["done"] for event in read(tmp_path)]


@pytest.mark.parametrize(
    ("message", "fields", "line"),
    [
        ("something important happened", {}, "something important happened"),
        ("epoch", {"loss": 0.5, "best": True, "note": None}, "epoch loss=0.5 best=true note=null"),
        ("saved", {"to": "last.pt", "as": "a b", "empty": ""}, 'saved to=last.pt as="a b" empty=""'),
        ("a", {"values": [1, "x"], "inner": {"b": "ü"}}, 'a values=[1, "x"] inner={"b": "ü"}'),
        ("a\r\nb\x1b[31m", {"c": "d\ne"}, r"a\r\nb\x1b[31m c=d\ne"),
        (ValueError("an object"), {}, "an object"),
        ("<script>", {"cell": "=cmd()"}, '<script> cell="=cmd()"'),
        (f"the word is {SECRET}", {"url": f"x://{SECRET}@host"}, "the word is *** url=x://***@host"),
        ("nan", {"loss": math.nan}, "nan loss=NaN"),
        ("lone \ud800", {}, r"lone \ud800"),
    ],
)
def test_a_report_is_one_line_on_stdout(make_events, capsys, message, fields, line):
    """The message comes first, then the fields; nothing in them begins a line or commands a terminal."""
    make_events().report(message, **fields)

    assert line + "\n" == capsys.readouterr().out


def test_a_report_is_stored_as_it_was_said(make_events, tmp_path):
    """Message and fields are an event, whose control characters are data."""
    make_events().report("a\nb", name="c", message="d")

    fields = {"name": "c", "message": "d"}
    assert [{"kind": "report", "message": "a\nb", "fields": fields}] == read(tmp_path)


def test_a_long_report_is_cut(make_events, capsys):
    """Of 50 MB one line of 64 Ki characters is shown."""
    make_events().report("x" * 50_000_000)

    assert journal.TEXT_LIMIT + 1 == len(capsys.readouterr().out)


def test_a_report_nested_without_end_is_shown(make_events, capsys):
    """A hundred thousand lists in each other are no error."""
    deep = []
    for _ in range(100_000):
        deep = [deep]
    make_events().report("deep", deep=deep)

    assert "nested too deep" in capsys.readouterr().out


def test_a_report_of_too_many_fields_is_shown(make_events, capsys):
    """Where fields are left out, the message is shown nevertheless."""
    make_events().report("wide", many=[None] * journal.VALUES_LIMIT)

    assert 'wide fields="<left out: more than 100000 values>"\n' == capsys.readouterr().out


def test_a_rank_is_named(make_events, tmp_path, capsys):
    """Reports of rank 2 say so on stdout, and all its events do."""
    events = make_events(rank=2)
    events.report("here")
    events.metric("loss", 1)

    assert "[rank 2] here\n" == capsys.readouterr().out
    assert [2, 2] == [event["rank"] for event in read(tmp_path)]


def test_a_report_goes_to_the_stream_it_was_given(make_events):
    """Another stream can stand for stdout, and one that cannot encode a letter shows its escape."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    make_events(stdout=stream).report("süß")

    assert b"s\\xfc\\xdf\n" == stream.buffer.getvalue()


def test_a_closed_stdout_is_said_once(make_events, tmp_path, capsys):
    """A report that nobody can see is stored, and costs one line on stderr in all."""
    stream = io.StringIO()
    stream.close()
    events = make_events(stdout=stream)
    events.report("first")
    events.report("second")

    assert ["first", "second"] == [event["message"] for event in read(tmp_path)]
    assert 1 == capsys.readouterr().err.count("reports cannot be shown on stdout")


def test_a_process_without_stdout_reports(make_events, tmp_path, monkeypatch):
    """In a daemon there is no stdout at all, which is no error."""
    monkeypatch.setattr(sys, "stdout", None)
    make_events().report("stored")

    assert ["stored"] == [event["message"] for event in read(tmp_path)]


def test_without_a_run_only_reports_are_seen(capsys):
    """Outside a run metrics and progress go nowhere, and nothing is lost."""
    events = Events(masker=Masker())
    events.report("shown")
    events.metric("loss", 0.5)
    events.progress(1, 2)
    events.close()

    assert ("shown\n", 0) == (capsys.readouterr().out, events.lost)


def test_what_cannot_be_stored_is_counted(capsys):
    """A full disk costs events, one line on stderr and nothing else."""
    masker = Masker()
    events = Events(Journal(os.devnull + "/nowhere", masker), masker=masker)
    events.report("shown")
    events.metric("loss", 0.5)

    shown = capsys.readouterr()
    assert (2, "shown\n", 1) == (events.lost, shown.out, shown.err.count("\n"))


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (0.5, 0.5),
        (3, 3.0),
        (True, 1.0),
        (decimal.Decimal("0.25"), 0.25),
        (math.nan, "NaN"),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
    ],
)
def test_a_metric_is_a_number(make_events, tmp_path, value, stored):
    """Whatever float() takes is stored, NaN and infinities too."""
    make_events().metric("loss", value)

    assert [{"kind": "metric", "name": "loss", "value": stored, "step": None}] == read(tmp_path)


def test_steps_are_stored_as_they_come(make_events, tmp_path):
    """A step that goes back is as good as any."""
    events = make_events()
    for step in (5, 3, -1, 10**30):
        events.metric("loss", 1, step=step)

    assert [5, 3, -1, 10**30] == [event["step"] for event in read(tmp_path)]


@pytest.mark.parametrize("value", ["0.5", b"1", None, 1j, [1.0], 10**400, FloatsBadly()])
def test_what_is_no_number_is_no_metric(make_events, value):
    """A text, None, a list and a number without end are refused, and the metric is named."""
    with pytest.raises(UsageError, match=r"the metric 'loss' was given a .* that is no number"):
        make_events().metric("loss", value)


@pytest.mark.parametrize("name", ["", None, 3])
def test_a_metric_has_a_name(make_events, name):
    """A name is a text that is not empty."""
    with pytest.raises(UsageError, match="the name of a metric"):
        make_events().metric(name, 1)


@pytest.mark.parametrize("step", [1.0, "1", math.nan])
def test_a_step_is_a_whole_number(make_events, step):
    """Anything else is refused with the name of the metric."""
    with pytest.raises(UsageError, match="the metric 'loss' was given a step that is a"):
        make_events().metric("loss", 1, step=step)


def test_progress_is_stored_at_most_ten_times_a_second(make_events, tmp_path, clock):
    """The first is stored at once, the next a tenth of a second later, and the last when it closes."""
    events = make_events()
    for step in range(10):
        clock.now = step / 16
        events.progress(step, 1000)
    events.close()

    assert [0, 2, 4, 6, 8, 9] == progress_of(tmp_path)


def test_the_end_is_stored_at_once_and_once(make_events, tmp_path):
    """All of it done needs no waiting, and saying so again is nothing new."""
    events = make_events()
    for done in (0, 1, 2, 2, 2):
        events.progress(done, 2)
    events.close()
    events.close()

    assert [0, 2, 2] == progress_of(tmp_path)


def test_more_than_all_is_all(make_events, tmp_path):
    """A loop that counts one too many is at its end; so is one that had nothing to do."""
    events = make_events()
    events.progress(3, 2)
    events.progress(0, 0)

    assert [(2.0, 2.0), (0.0, 0.0)] == [(event["done"], event["total"]) for event in read(tmp_path)]


@pytest.mark.parametrize(("done", "total"), [(-1, 1), (math.nan, 1), (math.inf, 1), (0, math.inf), ("1", 2)])
def test_progress_is_finite_and_not_negative(make_events, done, total):
    """Anything else is refused."""
    with pytest.raises(UsageError, match="progress: "):
        make_events().progress(done, total)


def test_progress_that_waits_is_not_stored_by_a_forked_child(tmp_path):
    """What the parent still had to store, the child does not store as well."""
    ended = run(
        """
        import os, pathlib, sys
        from hyperplane.facets.events import Events
        from hyperplane.journal import Journal
        from hyperplane.masking import Masker
        masker = Masker()
        events = Events(Journal(pathlib.Path(sys.argv[1]), masker), masker=masker)
        events.progress(0, 10)
        events.progress(1, 10)
        child = os.fork()
        events.close()
        if child:
            os.waitpid(child, 0)
        """,
        str(tmp_path / "events.jsonl"),
    )

    assert (0, "") == (ended.code, ended.err)
    assert [0, 1] == progress_of(tmp_path)
