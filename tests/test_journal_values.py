"""What events may hold: anything a job hands over, masked, bounded, and never an error."""

import json
import math
from collections import OrderedDict
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperplane import journal
from hyperplane.journal import Journal, presentable
from hyperplane.masking import Masker

SECRET = "sesame-opens-it"
NUMBERS = st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


class Scalar:
    """A scalar as numpy and torch have them."""

    shape = ()

    def __init__(self, value):
        self._value = value

    def item(self):
        return self._value


class Unspeakable:
    """An object whose repr fails."""

    def __repr__(self):
        raise ZeroDivisionError


@pytest.fixture
def masker():
    """Give a masker that knows one secret."""
    masker = Masker()
    masker.add("door", SECRET)
    return masker


@pytest.fixture
def events(tmp_path, masker):
    """Give a journal of an empty run."""
    events = Journal(tmp_path / "events.jsonl", masker)
    yield events
    events.close()


def read(events):
    """Return what was stored."""
    return list(journal.read(events.path))


@given(fields=st.dictionaries(st.text("abc", min_size=1, max_size=3), JSON_VALUES, max_size=4))
def test_what_json_can_hold_is_read_as_it_was_written(fields, tmp_path_factory):
    """Plain values survive a round trip."""
    events = Journal(tmp_path_factory.mktemp("run") / "events.jsonl", Masker())
    events.append("report", fields=fields)
    events.close()

    assert [fields] == [event["fields"] for event in read(events)]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (math.nan, "NaN"),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
        (PurePosixPath("a/b"), "a/b"),
        (b"\x00\xff", r"b'\x00\xff'"),
        (1 + 2j, "(1+2j)"),
        ((1, {2}), [1, [2]]),
        (OrderedDict(a=1), {"a": 1}),
        ({1: "one"}, {"1": "one"}),
        (Scalar(0.5), 0.5),
        (Scalar(math.nan), "NaN"),
        (Unspeakable(), "<Unspeakable that cannot be shown>"),
        ([Unspeakable()], ["<Unspeakable that cannot be shown>"]),
        (10**200, hex(10**200)),
        ("\ud800", "\ud800"),
    ],
)
def test_other_values_become_what_json_can_hold(events, value, shown):
    """NaN, paths, bytes, scalars of numpy and objects have a form of their own, and none is an error."""
    events.append("report", value=value)

    assert [shown] == [event["value"] for event in read(events)]


@pytest.mark.parametrize("value", [83749261, 83749261.0, 83749261.5, [83749261], {"a": 83749261.0}])
def test_a_number_that_is_a_secret_is_masked(tmp_path, value):
    """Whatever number a job hands over, it does not show a secret that is made of digits."""
    masker = Masker()
    masker.add("n", "83749261")
    events = Journal(tmp_path / "events.jsonl", masker)
    events.append("metric", name="num", value=value, step=value)
    events.close()

    shown = {"a": "***"} if isinstance(value, dict) else ["***"] if isinstance(value, list) else "***"
    assert [(shown, shown)] == [(event["value"], event["step"]) for event in read(events)]


def test_a_large_whole_float_is_a_secret_too(tmp_path):
    """A number that JSON would show with an exponent is looked at in digits as well."""
    masker = Masker()
    masker.add("n", "20000000000000000")
    events = Journal(tmp_path / "events.jsonl", masker)
    events.append("metric", name="num", value=2e16)
    events.close()

    assert ["***"] == [event["value"] for event in read(events)]


def test_our_own_numbers_stay_numbers(tmp_path):
    """The size of a file is no secret, though it may read like one."""
    masker = Masker()
    masker.add("n", "83749261")
    events = Journal(tmp_path / "events.jsonl", masker)
    numbers = dict.fromkeys(("size_bytes", "mtime_ns", "ctime_ns", "inode"), 83749261)
    events.append("sealed", name="a", sha256="", **numbers)
    events.close()

    assert journal.Sealed("a", 83749261, "") == journal.sealed_outputs(events.path)["a"]


def test_a_long_text_is_cut(events):
    """Of a text of 5 MB there remain 64 Ki characters, which say how many there were."""
    events.append("report", message="x" * 5_000_000)
    (event,) = read(events)

    assert journal.TEXT_LIMIT == len(event["message"])
    assert event["message"].endswith("... (cut: 5000000 characters)")


def test_a_cut_does_not_leave_half_a_secret(events):
    """Texts are masked before they are cut: a secret across the cut leaves nothing of itself."""
    note = len("... (cut: 65551 characters)")
    events.append("report", message="x" * (journal.TEXT_LIMIT - note - 7) + SECRET + "x" * 100)

    assert SECRET[:7] not in events.path.read_text()


def test_nesting_without_end_is_cut(events):
    """A hundred thousand lists in each other are stored as far as anyone would read."""
    deep = []
    for _ in range(100_000):
        deep = [deep]
    events.append("report", deep=deep)
    (event,) = read(events)

    assert journal.DEPTH_LIMIT == json.dumps(event["deep"]).count("[")
    assert "<list nested too deep>" in json.dumps(event["deep"])


def test_a_list_that_holds_itself_is_stored(events):
    """A cycle ends where nesting does."""
    cycle = []
    cycle.append(cycle)
    events.append("report", cycle=cycle)

    assert 1 == len(read(events))


def test_a_value_of_too_many_values_is_left_out(events):
    """What shares its parts nine levels down is no reason to write gigabytes; other fields are kept."""
    bomb = ["x"]
    for _ in range(9):
        bomb = [bomb] * 10
    events.append("report", message="here", bomb=bomb)
    (event,) = read(events)

    assert ("here", "<left out: more than 100000 values>") == (event["message"], event["bomb"])


def test_an_event_over_a_mebibyte_keeps_its_texts(events):
    """Where all fields together are too long, lists and dicts give way."""
    events.append("report", message="here", fields={str(number): "x" * 60_000 for number in range(30)})
    (event,) = read(events)

    assert ("here", "fields" in event) == (event["message"], False)
    assert event["cut"].startswith("values of this event were left out, it took 18")


def test_an_event_of_long_texts_alone_says_that_it_was_cut(events):
    """Where texts alone are too long, the note remains."""
    events.append("report", **{f"text{number}": "\U0001f600" * 60_000 for number in range(3)})

    assert [{"cut", "kind", "time", "pid", "seq"}] == [set(event) for event in read(events)]


@pytest.mark.parametrize(
    "value",
    [SECRET, [SECRET], {"key": SECRET}, {SECRET: 1}, SECRET.encode(), Path(SECRET), ValueError(SECRET)],
    ids=["text", "item", "value", "key", "bytes", "path", "object"],
)
def test_no_secret_is_stored(events, value):
    """Wherever in an event a secret is, it is masked."""
    events.append("report", fields=value)
    stored = events.path.read_text()

    assert (False, True) == (SECRET in stored, "***" in stored)


def test_a_secret_that_was_parsed_as_a_number_is_masked(tmp_path):
    """Numbers in a job's own fields are looked at as texts; those of ours are sizes and steps."""
    masker = Masker()
    masker.add("account", "12345678")
    events = Journal(tmp_path / "events.jsonl", masker)
    events.append("report", size_bytes=12345678, fields={"account": 12345678, "share": 0.5})
    events.close()
    (event,) = read(events)

    assert (12345678, {"account": "***", "share": 0.5}) == (event["size_bytes"], event["fields"])


def test_what_is_presentable_stays_as_it_is(masker):
    """Presenting twice changes nothing: a cut is not cut again."""
    once = presentable({"message": "x" * 100_000, "fields": {"a": [math.nan, SECRET]}}, masker)

    assert once == presentable(once, masker)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("plain", "plain"),
        ("süß\ttab", "süß\ttab"),
        ("a\r\nb", r"a\r\nb"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("\u2028\u202e", r"\u2028\u202e"),
        ("\udc80", r"\udc80"),
    ],
)
def test_a_line_shows_its_control_characters(text, line):
    """Nothing in a line ends it, commands a terminal, or turns its direction."""
    assert line == journal.one_line(text)


def test_a_line_fits_the_encoding_of_the_stream(tmp_path):
    """What a stream cannot encode is shown as an escape, and no stream at all is no error."""
    with (tmp_path / "out").open("w", encoding="ascii") as stream:
        journal.write_line(stream, "süß")
    journal.write_line(None, "nowhere")

    assert "s\\xfc\\xdf\n" == (tmp_path / "out").read_text()
