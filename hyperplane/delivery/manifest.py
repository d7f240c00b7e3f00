"""`manifest.json` and `final.json`: what a run has delivered, and how it ended; written last, read first."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Self

from hyperplane.delivery.ledger import Stored
from hyperplane.errors import DeliveryError
from hyperplane.rundir import new_part_name, sync_folder

SCHEMA = 1


class Row(NamedTuple):
    """A file of a manifest: its path below the run. `is_complete`: it was sealed, or is a log of ours."""

    path: str
    stored: Stored
    is_complete: bool = True


def write_manifest(path: Path, rows: Iterable[Row], removed: Iterable[str]) -> Stored:
    """Write a manifest, a line for each file, whole and on the disk; return what it is."""
    part = path.with_name(new_part_name())
    digest, size = hashlib.sha256(), 0
    try:
        with part.open("xb") as file:
            for line in _lines(rows, removed):
                digest.update(line)
                size += file.write(line)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
    return Stored(size, digest.hexdigest())


def _lines(rows: Iterable[Row], removed: Iterable[str]) -> Iterator[bytes]:
    yield b'{"schema": %d, "files": [' % SCHEMA
    separator = b"\n"
    for row in rows:
        plain = {"path": row.path, **row.stored._asdict(), "complete": row.is_complete}
        yield separator + json.dumps(plain).encode()
        separator = b",\n"
    yield b'\n], "removed": %s}\n' % json.dumps(sorted(removed)).encode()


@dataclass(frozen=True, slots=True)
class Final:
    """How a run ended, and the sha256 and size of its manifest; `record` is its `run.json`.

    `files` and `size_bytes` are those of the manifest. `problems`: what could not be delivered as it was
    sealed, a sentence each.
    """

    job_id: str
    run_id: str
    outcome: str
    exit_code: int | None
    manifest: Stored
    files: int = 0
    size_bytes: int = 0
    group: str | None = None
    rank: int = 0
    problems: tuple[str, ...] = ()
    record: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def parse(cls, data: bytes, url: str) -> Self:
        """Read a `final.json`. Raises `DeliveryError` where it is none."""
        plain = _parsed(data, url)
        match plain:
            case {"run_id": str(), "job_id": str(), "outcome": str(), "manifest": dict(manifest)}:
                stored = Stored(int(manifest["size_bytes"]), str(manifest["sha256"]))
                known = {name: plain[name] for name in cls.__slots__ if name in plain}
                return cls(
                    **{**known, "manifest": stored, "problems": tuple(map(str, plain.get("problems", ())))}
                )
        raise _unreadable(url)

    def data(self) -> bytes:
        """Return the file."""
        plain = {"schema": SCHEMA, **{name: getattr(self, name) for name in self.__slots__}}
        plain |= {"manifest": self.manifest._asdict(), "problems": list(self.problems)}
        plain["record"] = dict(self.record)
        return json.dumps(plain, indent=2).encode() + b"\n"


class Manifest(NamedTuple):
    """What was delivered, by path, and the outputs that the job had sealed and removed again."""

    rows: Mapping[str, Row]
    removed: tuple[str, ...]

    @classmethod
    def parse(cls, data: bytes, url: str, expected: Stored) -> Self:
        """Read a manifest. Raises `DeliveryError` where it is not the one that `final.json` speaks of."""
        if (len(data), hashlib.sha256(data).hexdigest()) != expected:
            raise _unreadable(url)
        plain = _parsed(data, url)
        rows = (
            Row(found["path"], Stored(found["size_bytes"], found["sha256"]), found["complete"])
            for found in plain["files"]
        )
        return cls({row.path: row for row in rows}, tuple(plain["removed"]))


def _parsed(data: bytes, url: str) -> dict[str, Any]:
    try:
        plain = json.loads(data)
    except (ValueError, RecursionError):
        raise _unreadable(url) from None
    if not isinstance(plain, dict):
        raise _unreadable(url)
    return plain


def _unreadable(url: str) -> DeliveryError:
    return DeliveryError(
        f"{url} is not as it was delivered", hint="Somebody else has written it, or a part of it.", url=url
    )
