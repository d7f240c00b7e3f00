"""What can be said of runs that lie on the disk: the list of them, and everything about one."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from hyperplane import journal
from hyperplane.delivery.ledger import Known, Summary
from hyperplane.delivery.places import OUTPUTS
from hyperplane.errors import RunnerError
from hyperplane.journal import Sealed
from hyperplane.rundir import Home, RunDir
from hyperplane.runs import record
from hyperplane.runs.record import RunRecord

REPORTS_SHOWN = 20


class DeliveryState(NamedTuple):
    """How far the delivery of a run is: what is there, what was sealed and waits; `done`: all is there."""

    url: str | None = None
    stored_files: int = 0
    stored_bytes: int = 0
    waiting_files: int = 0
    waiting_bytes: int = 0
    done: Summary | None = None


@dataclass(frozen=True, slots=True)
class Details:
    """A run with what it has said and sealed; `metrics` holds the last value and step of each."""

    run: RunDir
    record: RunRecord
    outputs: Mapping[str, Sealed]
    reports: tuple[Mapping[str, object], ...]
    metrics: Mapping[str, Mapping[str, object]]
    progress: Mapping[str, object] | None
    delivery: DeliveryState


def survey(home: Home) -> list[RunRecord]:
    """Return the records of all runs, newest first."""
    return [record.read(run) for run in home.runs()]


def details(run: RunDir) -> Details:
    """Return everything that is known of a run. Raises `RunnerError` when its events cannot be read."""
    reports: list[Mapping[str, object]] = []
    metrics: dict[str, Mapping[str, object]] = {}
    progress = None
    for event in _events(run):
        match event:
            case {"kind": "report", "message": str()}:
                reports.append(_without_stamps(event))
            case {"kind": "metric", "name": str(name)}:
                metrics[name] = {"value": event.get("value"), "step": event.get("step")}
            case {"kind": "progress"}:
                progress = {"done": event.get("done"), "total": event.get("total")}
    outputs = journal.sealed_outputs(run.events)
    found = record.read(run)
    state = _delivery_of(run, found, outputs)
    return Details(run, found, outputs, tuple(reports), metrics, progress, state)


def _delivery_of(run: RunDir, found: RunRecord, outputs: Mapping[str, Sealed]) -> DeliveryState:
    if found.delivery == "none":
        return DeliveryState()
    known = Known.read(run.delivery)
    stored = known.stored.values()
    waiting = [
        item
        for item in outputs.values()
        if known.stored.get(OUTPUTS + item.name) != (item.size_bytes, item.sha256)
    ]
    return DeliveryState(
        found.output_url,
        len(stored),
        sum(item.size_bytes for item in stored),
        len(waiting),
        sum(item.size_bytes for item in waiting),
        known.final if found.delivery == "delivered" else None,
    )


def _events(run: RunDir) -> Iterator[Mapping[str, object]]:
    try:
        # opening a FIFO would wait for its writer
        if run.events.exists() and not run.events.is_file():
            raise OSError(None, "it is not a regular file")
        yield from journal.read(run.events)
    except OSError as error:
        raise RunnerError(
            f"{run.events} cannot be read: {error.strerror}", hint="Nothing of ours puts anything else there."
        ) from error


def _without_stamps(event: Mapping[str, object]) -> Mapping[str, object]:
    return {name: value for name, value in event.items() if name not in {"kind", "pid", "seq"}}


def duration_s(found: RunRecord) -> float | None:
    """Return how long a run took, or has taken so far."""
    if found.outcome == "running" and found.started is not None:
        return (datetime.now(UTC) - found.started).total_seconds()
    return found.duration_s
