"""How runs are printed: tables for people, JSON for programs."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyperplane.delivery.manifest import Final
from hyperplane.journal import one_line, write_line
from hyperplane.runs.closing import duration_text, near
from hyperplane.runs.delivering import Told
from hyperplane.runs.prune import Pruned
from hyperplane.runs.record import RunRecord
from hyperplane.runs.showing import rate_text, size_text
from hyperplane.runs.survey import DeliveryState, Details, duration_s
from hyperplane.stores import ObjectInfo
from hyperplane.transfer.outcome import Transfer

if TYPE_CHECKING:
    from hyperplane.secretsources.vault import Summary

SCHEMA = 1
REPORTS_SHOWN = 20
_RUN_COLUMNS = ("run", "job", "attempt", "outcome", "delivery", "started", "duration", "exit code")


def print_json(content: Mapping[str, Any]) -> None:
    """Print data for programs, with the version of its shape."""
    write_line(sys.stdout, json.dumps({"schema": SCHEMA, **content}, indent=2))


def print_runs(records: Sequence[RunRecord]) -> None:
    """Print one line for each run."""
    _print_table([_RUN_COLUMNS, *(_run_cells(record) for record in records)])


def _run_cells(record: RunRecord) -> tuple[str, ...]:
    return (
        record.run_id,
        record.job_id,
        str(record.attempt),
        record.outcome,
        record.delivery,
        _time(record.started),
        _duration(record),
        "" if record.exit_code is None else str(record.exit_code),
    )


def details_dict(found: Details) -> dict[str, Any]:
    """Return everything about a run as plain data."""
    return {
        "run": found.record.as_dict(),
        "folder": str(found.run.path),
        "outputs": [
            {
                "name": output.name,
                "size_bytes": output.size_bytes,
                "sha256": output.sha256,
                "path": str(found.run.outputs / output.name),
            }
            for output in found.outputs.values()
        ],
        "reports": list(found.reports),
        "metrics": dict(found.metrics),
        "progress": found.progress,
        "delivery": found.delivery._asdict(),
    }


def print_details(found: Details) -> None:
    """Print everything about a run."""
    _print_table([*_facts(found.record), *_delivery_facts(found.delivery)])
    if found.record.problems:
        _print_section("problems", [(problem,) for problem in found.record.problems])
    _print_section(f"outputs in {near(found.run.outputs)}", _output_rows(found))
    _print_section("reports", _report_rows(found.reports))
    _print_section("metrics", _metric_rows(found.metrics))


def print_pruned(removed: Sequence[Pruned], *, dry_run: bool) -> None:
    """Print what was removed, or would be."""
    _print_table([(run.run_id, run.job_id, size_text(run.size_bytes)) for run in removed])
    count = counted(len(removed), "run")
    room = size_text(sum(run.size_bytes for run in removed))
    write_line(sys.stdout, f"{count} {'would be removed' if dry_run else 'removed'}, {room}")


def object_dict(info: ObjectInfo) -> dict[str, Any]:
    """Return an object as plain data."""
    modified = None if info.modified is None else info.modified.isoformat()
    return {"key": info.key, "size_bytes": info.size_bytes, "modified": modified, "etag": info.etag}


def print_objects(found: Sequence[ObjectInfo]) -> None:
    """Print one line for each object, and how many they are."""
    rows = [(_time(info.modified), f"{info.size_bytes:>12}", info.key) for info in found]
    if rows:
        _print_table(rows)
    size = size_text(sum(info.size_bytes for info in found))
    write_line(sys.stdout, f"{counted(len(found), 'object')}, {size}")


def transfer_dict(copied: Transfer) -> dict[str, Any]:
    """Return a transfer as plain data."""
    return {
        "files": [str(file) for file in copied.files],
        "urls": list(copied.urls),
        "skipped": list(copied.skipped),
        "size_bytes": copied.size_bytes,
        "seconds": round(copied.seconds, 3),
    }


def transfer_text(copied: Transfer) -> str:
    """Return what was copied in one line: files, bytes, rate."""
    files, size = counted(len(copied.files), "file"), size_text(copied.size_bytes)
    text = f"{files}, {size}, in {copied.seconds:.1f} s, {size_text(int(copied.bytes_per_second))}/s"
    return f"{text}, {len(copied.skipped)} unchanged" if copied.skipped else text


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural where it is to be."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def print_secrets(summaries: "Sequence[Summary]") -> None:
    """Print one line for each entry of the vault."""
    rows = [(one.name, one.category, _time(one.created)) for one in summaries]
    _print_table([("secret", "category", "created"), *rows])


def _facts(record: RunRecord) -> list[tuple[str, ...]]:
    git = record.git
    facts = {
        "run": record.run_id,
        "job": record.job_id,
        "name": record.name,
        "attempt": f"{record.attempt}" + (f" (retry of {record.retry_of})" if record.retry_of else ""),
        "outcome": record.outcome + ("" if record.exit_code is None else f", exit code {record.exit_code}"),
        "delivery": record.delivery,
        "started": _time(record.started),
        "duration": _duration(record),
        "command": " ".join(record.command),
        "job file": record.job_file or "",
        "folder": record.folder or "",
        "parameters": ", ".join(f"{name}={value}" for name, value in record.parameters.items()),
        "user": record.identity.user or "",
        "host": f"{record.host} ({record.identity.platform})" if record.host else "",
        "commit": "" if git is None else git.commit + (", with changes" if git.is_dirty else ""),
        "versions": f"Python {record.versions.python}, hyperplane {record.versions.hyperplane}",
    }
    return [(name, value) for name, value in facts.items() if value]


def _delivery_facts(state: DeliveryState) -> list[tuple[str, ...]]:
    if state.url is None:
        return []
    facts: list[tuple[str, ...]] = [("destination", state.url)]
    if state.done is not None:
        there = f"{state.done.files} files, {size_text(state.done.size_bytes)}"
        facts.append(("delivered", there + rate_text(state.done.sent_bytes, state.done.seconds)))
    else:
        waiting = f"{state.waiting_files} sealed outputs, {size_text(state.waiting_bytes)}"
        there = f"{state.stored_files} files, {size_text(state.stored_bytes)}"
        facts += [("there", there), ("waiting", waiting)]
    return facts


def print_told(told: Sequence[Told]) -> None:
    """Print what became of runs that were to be delivered."""
    for one in told:
        write_line(sys.stdout, one_line(f"{one.run.run_id}  {_told_text(one)}"))
    if not told:
        write_line(sys.stdout, "no run waits to be delivered")


def _told_text(told: Told) -> str:
    if told.problem is not None:
        return f"pending: {told.problem.message}"
    if told.delivered is None:
        return "was delivered already"
    done = told.delivered.summary
    sent = f"{done.sent_files} files, {size_text(done.sent_bytes)} sent"
    return f"delivered: {sent}{rate_text(done.sent_bytes, done.seconds)}; {done.files} files in all"


def told_dict(told: Told) -> dict[str, Any]:
    """Return the same of one run as plain data."""
    done = None if told.delivered is None else told.delivered.summary._asdict()
    problem = None if told.problem is None else told.problem.message
    delivery = "pending" if problem else "delivered"
    return {"run_id": told.run.run_id, "delivery": delivery, "sent": done, "problem": problem}


def fetched_dict(final: Final, folder: Path) -> dict[str, Any]:
    """Return what was fetched as plain data."""
    sizes = {"files": final.files, "size_bytes": final.size_bytes}
    return {"run_id": final.run_id, "outcome": final.outcome, "folder": str(folder), **sizes}


def print_fetched(final: Final, folder: Path) -> None:
    """Print what was fetched."""
    what = f"{final.files} files, {size_text(final.size_bytes)}"
    write_line(sys.stdout, one_line(f"{final.run_id}: {final.outcome}; {what} in {near(folder)}"))


def _output_rows(found: Details) -> list[tuple[str, ...]]:
    return [(output.name, size_text(output.size_bytes)) for output in found.outputs.values()]


def _report_rows(reports: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [
        (_shown_fields(report["message"], report.get("fields")),) for report in reports[-REPORTS_SHOWN:]
    ]
    left_out = len(reports) - len(rows)
    return [(f"... {left_out} before these",), *rows] if left_out else rows


def _shown_fields(message: str, fields: object) -> str:
    named = fields if isinstance(fields, Mapping) else {}
    return message + "".join(f" {name}={value}" for name, value in named.items())


def _metric_rows(metrics: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, ...]]:
    return [
        (name, str(last["value"]), "" if last["step"] is None else f"step {last['step']}")
        for name, last in metrics.items()
    ]


def _print_section(title: str, rows: list[tuple[str, ...]]) -> None:
    write_line(sys.stdout, f"\n{one_line(title)}" + ("" if rows else ": none"))
    _print_table([("  " + row[0], *row[1:]) for row in rows])


def _print_table(rows: Iterable[tuple[str, ...]]) -> None:
    table = [tuple(map(one_line, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        write_line(sys.stdout, "  ".join(cells).rstrip())


def _time(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"


def _duration(record: RunRecord) -> str:
    seconds = duration_s(record)
    return "" if seconds is None else duration_text(seconds)
