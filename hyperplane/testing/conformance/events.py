"""How reports, metrics, progress and logs behave: what a job says about itself."""

import logging
import math
from collections.abc import Callable
from typing import Any

import pytest

from hyperplane.context import JobContext

MakeContext = Callable[..., JobContext[Any]]
ReadEvents = Callable[[JobContext[Any]], list[dict[str, Any]]]
SECRETS = {"db_password": "sesame-opens-it"}


class EventsConformance:
    """What is shown and what is stored.

    Fixtures: `make_context` returns a context made with the keywords that it is given; `read_events`
    returns the events that the run of a context holds.
    """

    def test_a_report_is_one_line_on_stdout(
        self, make_context: MakeContext, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Control characters are shown, so that no report looks like two."""
        make_context().report("first\nsecond", loss=0.5)
        assert capsys.readouterr().out == "first\\nsecond loss=0.5\n"

    def test_a_report_is_an_event(self, make_context: MakeContext, read_events: ReadEvents) -> None:
        """The message and its fields are stored."""
        context = make_context()
        context.report("an epoch", number=3)
        stored = [(event["message"], event["fields"]) for event in _of_kind("report", read_events(context))]
        assert stored == [("an epoch", {"number": 3})]

    def test_metrics_are_kept_in_their_order(
        self, make_context: MakeContext, read_events: ReadEvents
    ) -> None:
        """Name, value and step are stored; NaN is kept, and a step may go back."""
        context = make_context()
        for step, value in ((1, 0.5), (0, math.nan), (None, 7.0)):
            context.metric("loss", value, step=step)
        stored = [(event["value"], event["step"]) for event in _of_kind("metric", read_events(context))]
        assert stored == [(0.5, 1), ("NaN", 0), (7.0, None)]

    def test_progress_is_kept(self, make_context: MakeContext, read_events: ReadEvents) -> None:
        """The last progress is stored, whatever went before."""
        with make_context() as context:
            for done in range(5):
                context.progress(done, 4)
        stored = [(event["done"], event["total"]) for event in _of_kind("progress", read_events(context))]
        assert stored[-1] == (4, 4)

    def test_a_log_line_goes_to_stderr(
        self, make_context: MakeContext, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A log line is shown on stderr, and nothing on stdout."""
        make_context().log.info("loaded", rows=7)
        shown = capsys.readouterr()
        assert ("loaded" in shown.err, "rows" in shown.err, shown.out) == (True, True, "")

    def test_a_log_line_is_an_event(self, make_context: MakeContext, read_events: ReadEvents) -> None:
        """The text, the level and the fields are stored."""
        context = make_context()
        context.log.warning("slow", seconds=7)
        (event,) = _of_kind("log", read_events(context))
        assert (event["message"], event["level"], event["fields"]) == ("slow", "warning", {"seconds": 7})

    def test_lines_below_the_level_are_left_out(
        self, make_context: MakeContext, read_events: ReadEvents
    ) -> None:
        """`HYPERPLANE_LOG_LEVEL` is the least level that is written."""
        context = make_context(environ={"HYPERPLANE_LOG_LEVEL": "warning"})
        context.log.info("small talk")
        assert _of_kind("log", read_events(context)) == []

    def test_the_handler_writes_as_the_log_does(
        self, make_context: MakeContext, read_events: ReadEvents
    ) -> None:
        """Records of the standard library become events of the run."""
        context = make_context()
        logger = logging.Logger("of.a.library")  # noqa: LOG001 - one that no other test has a handler on
        logger.addHandler(context.log_handler())
        logger.warning("%d rows", 7)
        (event,) = _of_kind("log", read_events(context))
        assert (event["message"], event["level"]) == ("7 rows", "warning")

    def test_secrets_are_masked_wherever_they_are_written(
        self,
        make_context: MakeContext,
        read_events: ReadEvents,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """A secret is shown and stored nowhere, read or not, at the top or deep inside."""
        context = make_context(secrets=SECRETS)
        context.report("it is sesame-opens-it", at={"depth": ["sesame-opens-it"]})
        context.log.error("sesame-opens-it", url="https://u:sesame-opens-it@host")
        shown = capsys.readouterr()
        written = f"{shown.out} {shown.err} {read_events(context)}"
        assert ("sesame-opens-it" in written, "***" in written) == (False, True)

    def test_events_keep_the_order_of_their_calls(
        self, make_context: MakeContext, read_events: ReadEvents
    ) -> None:
        """Reports, metrics and logs of one thread are stored as they came."""
        context = make_context()
        context.report("first")
        context.metric("second", 2)
        context.log.info("third")
        assert [event["kind"] for event in read_events(context)] == ["report", "metric", "log"]


def _of_kind(kind: str, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [event for event in events if event["kind"] == kind]
