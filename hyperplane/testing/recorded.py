"""What a job has said, read back from the events of its run."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hyperplane import journal


@dataclass(frozen=True, slots=True)
class Metric:
    """A number that a job recorded."""

    name: str
    value: float
    step: int | None = None


def reports(events: Path) -> list[str]:
    """Return the messages of all reports, masked, in their order."""
    return [event["message"] for event in _of_kind("report", events)]


def metrics(events: Path) -> list[Metric]:
    """Return all metrics in their order; NaN and infinities are numbers again."""
    return [
        Metric(event["name"], float(event["value"]), event["step"]) for event in _of_kind("metric", events)
    ]


def log_events(events: Path) -> list[dict[str, Any]]:
    """Return what was logged: `event`, `level` and `fields`, masked; `exception` where there was one."""
    stamps = {"kind", "time", "pid", "seq", "message"}
    return [
        {"event": event["message"], **{name: value for name, value in event.items() if name not in stamps}}
        for event in _of_kind("log", events)
    ]


def _of_kind(kind: str, events: Path) -> Iterator[dict[str, Any]]:
    return (event for event in journal.read(events) if event["kind"] == kind)
