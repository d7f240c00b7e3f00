"""The logger: masked lines on stderr, in colours where somebody looks, and events of the run."""

import io
import json
import os
import pty
import re
from datetime import datetime

import pytest
import structlog
from scripts import run

from hyperplane import journal
from hyperplane.facets.log import make_logger
from hyperplane.journal import Journal
from hyperplane.masking import Masker

SECRET = "sesame-opens-it"
JOB = {"job": "train-1", "run": "20240501-120000-abcdef", "rank": 0}


@pytest.fixture
def masker():
    """Give a masker that knows one secret."""
    masker = Masker()
    masker.add("door", SECRET)
    return masker


@pytest.fixture
def make_log(tmp_path, masker):
    """Give a function that makes the logger of a run."""
    stored = Journal(tmp_path / "events.jsonl", masker)

    def make(**keywords):
        return make_logger(**{"job_fields": JOB, "masker": masker, "journal": stored, **keywords})

    yield make
    stored.close()


def read(tmp_path):
    """Return the stored events without their stamps."""
    stamps = {"kind", "time", "pid", "seq"}
    return [
        {name: value for name, value in event.items() if name not in stamps}
        for event in journal.read(tmp_path / "events.jsonl")
    ]


def console_line(text):
    """Return a console line with its time taken off, and its runs of spaces made one."""
    return re.sub(" +", " ", re.sub(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", "", text))


def test_a_line_is_for_people(make_log, capsys):
    """On the console there are the local time, the level, the message and the fields."""
    make_log().info("loaded", rows=3, path="a b")
    line = capsys.readouterr().err

    assert "[info ] loaded rows=3 path='a b'\n" == console_line(line)
    assert abs(datetime.now() - datetime.fromisoformat(line[:19])).total_seconds() < 60  # noqa: DTZ005 - as shown


def test_a_line_is_for_programs(make_log, capsys):
    """As JSON there are the time in UTC, and what the logger is bound to."""
    make_log(log_format="json").warning("slow", seconds=1.5)
    line = json.loads(capsys.readouterr().err)

    assert {"level": "warning", "event": "slow", **JOB, "seconds": 1.5} == {
        name: value for name, value in line.items() if name != "timestamp"
    }
    assert line["timestamp"].endswith("Z")


def test_a_line_is_an_event(make_log, tmp_path):
    """The run's events hold level, message and fields, and not again what is the same in all of them."""
    make_log().error("broken", rows=3)

    assert [{"message": "broken", "level": "error", "fields": {"rows": 3}}] == read(tmp_path)


def test_a_bound_field_is_in_every_line(make_log, tmp_path):
    """What is bound later comes along; a job that binds `job` anew has that stored."""
    make_log().bind(epoch=3, job="other").info("on")

    assert [{"epoch": 3, "job": "other"}] == [event["fields"] for event in read(tmp_path)]


def test_a_rank_is_shown_and_stored(make_log, tmp_path, capsys):
    """Lines of rank 2 say so, on the console too."""
    make_log(job_fields={**JOB, "rank": 2}).info("here")

    assert "[info ] here rank=2\n" == console_line(capsys.readouterr().err)
    assert [2] == [event["rank"] for event in read(tmp_path)]


def test_positional_arguments_are_put_in(make_log, capsys):
    """The message may be a format with arguments, as in the standard library."""
    make_log().info("%d of %s", 3, "ten")

    assert "[info ] 3 of ten\n" == console_line(capsys.readouterr().err)


def test_lines_below_the_level_go_nowhere(make_log, tmp_path, capsys):
    """They are neither shown nor stored."""
    make_log(level="warning").info("small talk")

    assert ("", []) == (capsys.readouterr().err, read(tmp_path))


def test_without_a_run_lines_are_only_shown(make_log, tmp_path, capsys):
    """Outside a run there is nothing to store them in."""
    make_log(journal=None).info("shown")

    assert ("[info ] shown\n", []) == (console_line(capsys.readouterr().err), read(tmp_path))


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_no_secret_is_shown_or_stored(make_log, tmp_path, capsys, log_format):
    """Message, fields, what is bound, and tracebacks are masked."""
    log = make_log(log_format=log_format).bind(token=SECRET)
    try:
        raise ValueError(SECRET)
    except ValueError:
        log.exception(f"for {SECRET}", at=[{"url": f"x://{SECRET}@host"}])
    written = capsys.readouterr().err + (tmp_path / "events.jsonl").read_text()

    assert (False, True) == (SECRET in written, "ValueError: ***" in written)


def test_a_traceback_shows_no_locals(make_log, tmp_path, capsys):
    """An exception is shown over several lines of text, without the values of variables."""
    try:
        unseen = "of no concern"
        raise ZeroDivisionError(len(unseen))
    except ZeroDivisionError:
        make_log().exception("broken")
    shown = capsys.readouterr().err
    (event,) = read(tmp_path)

    assert (True, False) == ("\nTraceback (most recent call last):\n" in shown, "of no concern\n" in shown)
    assert ("error", "ZeroDivisionError: 13") == (event["level"], event["exception"].splitlines()[-1])


def test_a_stack_is_shown_when_asked_for(make_log, tmp_path):
    """`stack_info` adds where the line came from."""
    make_log().info("here", stack_info=True)

    assert ["test_a_stack_is_shown_when_asked_for" in event["stack"] for event in read(tmp_path)] == [True]


@pytest.mark.parametrize(
    ("message", "fields", "line"),
    [
        ("a\r\nb", {}, r"[info ] a\r\nb"),
        ("\x1b]0;title\x07", {"name": "\x9b31m"}, r"[info ] \x1b]0;title\x07 name=\x9b31m"),
        ("plain", {"a\nb": 1}, r"[info ] plain a\nb=1"),
        ("deep", {"a": ["\x1b[2J"]}, r"[info ] deep a=['\x1b[2J']"),
        ("lone \ud800", {}, r"[info ] lone \ud800"),
    ],
)
def test_a_line_cannot_look_like_another(make_log, capsys, message, fields, line):
    """Control characters are shown, wherever they stand."""
    make_log().info(message, **fields)

    assert line + "\n" == console_line(capsys.readouterr().err)


def test_an_escape_in_an_exception_is_shown(make_log, capsys):
    """Tracebacks keep their lines and lose what would command a terminal."""
    try:
        raise ValueError("\x1b[2J")
    except ValueError:
        make_log().exception("broken")

    assert "\x1b" not in capsys.readouterr().err


def test_a_field_cannot_replace_what_is_ours(make_log, capsys):
    """A field named like a column is shown beside it."""
    make_log(log_format="json").info("on", timestamp="noon")
    line = json.loads(capsys.readouterr().err)

    assert "noon" == line["timestamp_"]


def test_a_message_may_be_any_object(make_log, tmp_path):
    """What is no text is stored as it can be."""
    make_log().info({"loss": 0.5})

    assert [{"loss": 0.5}] == [event["message"] for event in read(tmp_path)]


def test_too_many_fields_are_left_out(make_log, tmp_path, capsys):
    """Fields that nobody could read end neither the line nor the job."""
    make_log().info("wide", many=[None] * journal.VALUES_LIMIT)

    shown = "[info ] wide fields='<left out: more than 100000 values>'\n"
    assert shown == console_line(capsys.readouterr().err)


def test_the_users_configuration_is_neither_used_nor_disturbed(make_log, capsys):
    """Whatever structlog.configure says, before or after, our lines stay as they are, and so do theirs."""
    theirs = []

    def take(_logger, _method, fields):
        theirs.append(fields["event"])
        raise structlog.DropEvent

    structlog.configure(processors=[take], wrapper_class=structlog.BoundLogger, context_class=None)
    try:
        log = make_log()
        structlog.configure(processors=[], logger_factory=None, cache_logger_on_first_use=True)
        log.info("ours", rows=3)
        structlog.configure(
            processors=[take], context_class=dict, logger_factory=structlog.PrintLoggerFactory()
        )
        structlog.get_logger().info("theirs")
    finally:
        structlog.reset_defaults()

    assert "[info ] ours rows=3\n" == console_line(capsys.readouterr().err)
    assert ["theirs"] == theirs


def test_context_variables_of_the_user_come_along(make_log, tmp_path):
    """What was bound through structlog.contextvars is a field."""
    with structlog.contextvars.bound_contextvars(request="r1"):
        make_log().info("on")

    assert [{"request": "r1"}] == [event["fields"] for event in read(tmp_path)]


@pytest.mark.parametrize(
    ("keywords", "is_json"),
    [
        ({}, False),
        ({"is_local": False}, True),
        ({"is_local": False, "log_format": "console"}, False),
        ({"log_format": "json"}, True),
    ],
)
def test_the_format_suits_who_reads(make_log, capsys, keywords, is_json):
    """`auto` is for people on a laptop, and JSON where a platform collects lines; the others are as told."""
    make_log(**keywords).info("on")

    assert is_json == capsys.readouterr().err.startswith("{")


@pytest.mark.parametrize(
    ("keywords", "is_colored"), [({"is_local": False}, True), ({"has_colors": False}, False)]
)
def test_colors_are_for_terminals(make_log, keywords, is_colored):
    """On a terminal lines are coloured, on a platform too, unless colours are not wanted."""
    screen, terminal = pty.openpty()
    with os.fdopen(terminal, "w") as stream:
        make_log(stream=stream, **keywords).info("on")
        shown = os.read(screen, 1000)
    os.close(screen)

    assert (is_colored, True) == (b"\x1b[" in shown, b"on" in shown)


def test_a_closed_stream_ends_no_job(make_log, tmp_path):
    """A line that nobody can see is stored nevertheless."""
    stream = io.StringIO()
    stream.close()
    make_log(stream=stream).info("stored")

    assert ["stored"] == [event["message"] for event in read(tmp_path)]


def test_a_full_disk_ends_no_job(masker, capsys):
    """A line that cannot be stored is shown, and said to be lost once."""
    log = make_logger(job_fields=JOB, masker=masker, journal=Journal("/nowhere/events.jsonl", masker))
    log.info("first")
    log.info("second")
    shown = capsys.readouterr().err

    assert (1, True) == (shown.count("are being lost"), shown.endswith("second\n"))


def test_lines_of_processes_and_threads_stay_whole(tmp_path):
    """Each line is one write: eight threads in three processes interleave none."""
    ended = run(
        """
        import os, threading
        from hyperplane.facets.log import make_logger
        from hyperplane.masking import Masker
        log = make_logger(job_fields={}, masker=Masker(), log_format="json")
        children = [os.fork() for _ in range(2)]
        def write():
            for number in range(50):
                log.info("x" * 200)
        threads = [threading.Thread(target=write) for _ in range(8)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        """
    )
    lines = ended.err.splitlines()
    events = [json.loads(line)["event"] for line in lines]

    # two forks make four processes
    assert ["x" * 200] * 1600 == events
