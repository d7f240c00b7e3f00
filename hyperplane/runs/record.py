"""`run.json`: what was run, by whom and how it ended; typed, frozen, rewritten whole."""

import contextlib
import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, get_args
from urllib.parse import unquote

from hyperplane.delivery.ledger import begun_of
from hyperplane.errors import RunnerError
from hyperplane.rundir import RunDir, is_locked, new_part_name, write_atomic

SCHEMA = 1
Outcome = Literal["running", "succeeded", "failed", "stopped", "interrupted"]
Delivery = Literal["none", "pending", "delivered"]
SecretScan = Literal["block", "warn", "off"]
DEFAULT_SECRET_SCAN: SecretScan = "warn"  # noqa: S105 - no secret, but what to do about them
_TEXTS = ("job_id", "run_id", "name", "retry_of", "folder", "job_file", "host", "output_url", "group")
_LISTS = ("command", "given", "masked", "problems")
_NOTHING: Mapping[str, str] = MappingProxyType({})


class Identity(NamedTuple):
    """Who started the run, and on which platform."""

    user: str | None = None
    platform: str = "local"


class Git(NamedTuple):
    """The commit of the folder that the job ran in, and whether tracked files differed from it."""

    commit: str
    is_dirty: bool


class Versions(NamedTuple):
    """What ran the run."""

    python: str = ""
    hyperplane: str = ""


class RunRecord(NamedTuple):
    """What `run.json` holds; every text in it is masked.

    `given`: the parameters that came from `-p`. `masked`: the fields that held a secret, as `command` or
    `parameters.NAME`. `exit_code`: what the runner ended with; `job_exit_code`: what the job itself ended
    with, 128 + N after signal N. `is_sealed`: all that a job which succeeded left in its outputs folder is.
    `delivery` is "none" where there is no destination, `output_url`. `secret_scan`: what is to happen when
    a secret is found before delivery. `group`: what the runs have in common that work on one thing
    together, each with a `rank` of its own. `problems`: what was wrong besides, a sentence each.
    """

    job_id: str
    run_id: str
    name: str = ""
    attempt: int = 1
    retry_of: str | None = None
    command: tuple[str, ...] = ()
    folder: str | None = None
    job_file: str | None = None
    parameters: Mapping[str, str] = _NOTHING
    given: tuple[str, ...] = ()
    masked: tuple[str, ...] = ()
    identity: Identity = Identity()
    host: str = ""
    pid: int | None = None
    git: Git | None = None
    versions: Versions = Versions()
    outcome: Outcome = "running"
    delivery: Delivery = "none"
    is_sealed: bool = False
    secret_scan: SecretScan = DEFAULT_SECRET_SCAN
    output_url: str | None = None
    group: str | None = None
    rank: int = 0
    exit_code: int | None = None
    job_exit_code: int | None = None
    started: datetime | None = None
    ended: datetime | None = None
    problems: tuple[str, ...] = ()

    @property
    def duration_s(self) -> float | None:
        """The seconds from start to end, or None where one of them is not known."""
        if self.started is None or self.ended is None:
            return None
        return (self.ended - self.started).total_seconds()

    def as_dict(self) -> dict[str, Any]:
        """Return the record as plain data, as it stands in the file."""
        plain = {"schema": SCHEMA, **self._asdict()}
        plain["parameters"] = dict(self.parameters)
        plain["identity"] = self.identity._asdict()
        plain["versions"] = self.versions._asdict()
        plain["git"] = None if self.git is None else self.git._asdict()
        for name in ("started", "ended"):
            plain[name] = None if plain[name] is None else plain[name].isoformat().replace("+00:00", "Z")
        return plain

    def save(self, run: RunDir, *, durable: bool = True) -> None:
        """Write the record to its run, whole or not at all; `durable`: on the disk before returning.

        Raises `RunnerError` when it cannot be written.
        """
        data = json.dumps(self.as_dict(), indent=2).encode() + b"\n"
        try:
            write_atomic(run.record, data) if durable else _write_whole(run.record, data)
        except OSError as error:
            raise RunnerError(
                f"{run.record} cannot be written: {error.strerror or error}",
                hint="The run folder needs a disk with room that this user may write to.",
            ) from error


def _write_whole(path: Path, data: bytes) -> None:
    part = path.with_name(new_part_name())
    try:
        part.write_bytes(data)
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def read(run: RunDir) -> RunRecord:
    """Return the record of a run as it stands now.

    A run that says it is running while nobody holds its lock was interrupted, and so was one that left
    no record that can be read.
    """
    record = _read(run)
    if record.outcome != "running" or is_locked(run.lock):
        return record
    # the runner may have written the end and let the lock go between the two looks
    record = _read(run)
    return record if record.outcome != "running" else record._replace(outcome="interrupted")


def is_lost(run: RunDir, found: RunRecord) -> bool:
    """Say whether the record of a run cannot be read, and its ledger knows that it was to be delivered."""
    return found.started is None and found.delivery == "none" and begun_of(run.delivery) is not None


def read_held(run: RunDir) -> RunRecord:
    """Return the record of a run whose lock is ours: whoever says that it runs has died."""
    record = _read(run)
    return record if record.outcome != "running" else record._replace(outcome="interrupted")


def _read(run: RunDir) -> RunRecord:
    with contextlib.suppress(OSError):
        return parse(run.record.read_bytes(), run.job_folder.name, run.run_id)
    return parse(b"", run.job_folder.name, run.run_id)


def parse(data: bytes, job_folder: str, run_id: str) -> RunRecord:
    """Return the record in a file; where there is none, one that says no more than which run it is."""
    blank = RunRecord(job_id=unquote(job_folder), run_id=run_id)
    with contextlib.suppress(ValueError, RecursionError):
        content = json.loads(data)
        if isinstance(content, dict):
            return _record(content, blank)
    return blank


def _record(content: dict[str, Any], blank: RunRecord) -> RunRecord:
    """Take every value that is of its type; what a newer version writes differently counts as not there."""
    taken = {
        **_typed(content, str, *_TEXTS),
        **_typed(content, bool, "is_sealed"),
        **_typed(content, int, "attempt", "rank", "pid", "exit_code", "job_exit_code"),
        **{name: tuple(map(str, words)) for name, words in _typed(content, list, *_LISTS).items()},
        **{name: _moment(text) for name, text in _typed(content, str, "started", "ended").items()},
    }
    for name, known in (("outcome", Outcome), ("delivery", Delivery), ("secret_scan", SecretScan)):
        if content.get(name) in get_args(known):
            taken[name] = content[name]
    for name, values in _typed(content, dict, "parameters", "identity", "versions", "git").items():
        taken[name] = _GROUPS[name](values)
    return blank._replace(**taken)


def _typed(content: Mapping[str, Any], kind: type, *names: str) -> dict[str, Any]:
    return {name: content[name] for name in names if isinstance(content.get(name), kind)}


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None


def _parameters(values: dict[str, Any]) -> Mapping[str, str]:
    return MappingProxyType({name: str(value) for name, value in values.items()})


def _git(values: dict[str, Any]) -> Git | None:
    match values:
        case {"commit": str(commit), "is_dirty": bool(is_dirty)}:
            return Git(commit, is_dirty)
    return None


_GROUPS = {
    "parameters": _parameters,
    "identity": lambda values: Identity(**_typed(values, str, *Identity._fields)),
    "versions": lambda values: Versions(**_typed(values, str, *Versions._fields)),
    "git": _git,
}
