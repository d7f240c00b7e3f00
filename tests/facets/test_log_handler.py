"""The standard-library handler: records as the logger's own lines, and no record ends a job."""

import json
import logging
import re
import sys

import pytest

from hyperplane import journal
from hyperplane.facets.log import make_handler, make_logger
from hyperplane.journal import Journal
from hyperplane.masking import Masker

SECRET = "sesame-opens-it"
JOB = {"job": "train-1", "run": "20240501-120000-abcdef", "rank": 0}


@pytest.fixture
def options(tmp_path):
    """Give what a handler is made with; the masker knows one secret."""
    masker = Masker()
    masker.add("door", SECRET)
    stored = Journal(tmp_path / "events.jsonl", masker)
    yield {"job_fields": JOB, "masker": masker, "journal": stored}
    stored.close()


@pytest.fixture
def attach(options):
    """Give a function that returns a logger of the standard library with a handler of ours."""

    def make(**keywords):
        logger = logging.Logger("some.library")  # noqa: LOG001 - one that no other test knows
        logger.addHandler(make_handler(**{**options, **keywords}))
        return logger

    return make


class Unspeakable:
    """An object whose text fails."""

    def __str__(self):
        raise ZeroDivisionError

    def __repr__(self):
        return "<Unspeakable>"


def read(tmp_path):
    """Return the stored events without their stamps."""
    stamps = {"kind", "time", "pid", "seq"}
    return [
        {name: value for name, value in event.items() if name not in stamps}
        for event in journal.read(tmp_path / "events.jsonl")
    ]


def test_a_record_is_a_line_and_an_event(attach, tmp_path, capsys):
    """Level, logger, message and extra fields are shown and stored."""
    attach().warning("%d rows", 3, extra={"file": "a.csv"})

    shown = re.sub(" +", " ", capsys.readouterr().err)[20:]
    assert "[warning ] 3 rows [some.library] file=a.csv\n" == shown
    stored = {"message": "3 rows", "level": "warning", "logger": "some.library", "fields": {"file": "a.csv"}}
    assert [stored] == read(tmp_path)


def test_a_record_is_json_like_the_logger_s_lines(attach, options, capsys):
    """Both write the same members."""
    attach(log_format="json").info("on")
    make_logger(**options, log_format="json").info("on")
    theirs, ours = map(json.loads, capsys.readouterr().err.splitlines())

    assert {"logger"} == theirs.keys() - ours.keys()
    assert ours | theirs == theirs | {"timestamp": theirs["timestamp"]}


def test_a_traceback_is_masked(attach, tmp_path, capsys):
    """The text of the exception and its traceback hold no secret."""
    try:
        raise ValueError(SECRET)
    except ValueError:
        attach().exception("broken")
    written = capsys.readouterr().err + (tmp_path / "events.jsonl").read_text()

    assert (False, True) == (SECRET in written, "ValueError: ***" in written)


def test_a_traceback_that_was_formatted_elsewhere_is_kept(attach, tmp_path):
    """A record that came through a queue brings its traceback as text."""
    record = logging.makeLogRecord(
        {"levelno": logging.ERROR, "msg": "broken", "exc_text": "Traceback of afar"}
    )
    attach().handle(record)

    assert ["Traceback of afar"] == [event["exception"] for event in read(tmp_path)]


def test_a_record_outside_of_an_exception_has_none(attach, tmp_path):
    """`exc_info` without an exception adds nothing."""
    attach().error("broken", exc_info=True)

    assert [{"message", "level", "logger", "fields"}] == [set(event) for event in read(tmp_path)]


def test_a_level_of_ones_own_keeps_its_name(attach, tmp_path, capsys):
    """A level that structlog does not know is shown and stored."""
    attach().log(25, "between")

    assert "between" in capsys.readouterr().err
    assert ["level 25"] == [event["level"] for event in read(tmp_path)]


def test_records_below_the_level_go_nowhere(attach, tmp_path):
    """The handler has the level of the logger."""
    attach(level="WARNING").info("small talk")

    assert [] == read(tmp_path)


@pytest.mark.parametrize(
    ("message", "arguments", "stored"),
    [
        ("%d rows", ("three",), "%d rows % ('three',)"),
        ("%s and %s", (SECRET,), "%s and %s % ('***',)"),
        ("%s rows", (Unspeakable(),), "%s rows % (<Unspeakable>,)"),
    ],
    ids=["type", "count", "object"],
)
def test_arguments_that_do_not_fit_end_no_job(attach, tmp_path, message, arguments, stored):
    """They are shown beside the text, masked."""
    attach().warning(message, *arguments)

    assert [stored] == [event["message"] for event in read(tmp_path)]


def test_a_record_that_cannot_be_read_is_said_to_be_lost(attach, capsys):
    """Whatever is in a record, writing it raises nothing."""
    attach().error(Unspeakable(), 1)

    assert "hyperplane: a log record was lost: ZeroDivisionError\n" == capsys.readouterr().err


def test_a_stream_that_logs_what_it_is_given_ends(attach, tmp_path, monkeypatch):
    """Where stderr itself is a logger with our handler, a record does not go round for ever."""
    logger = attach()

    class Logged:
        encoding = "utf-8"

        def write(self, text):
            logger.info(text)

        def flush(self):
            """Do nothing."""

    monkeypatch.setattr(sys, "stderr", Logged())
    logger.info("once")

    assert ["once"] == [event["message"] for event in read(tmp_path)]
