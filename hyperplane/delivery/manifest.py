"""`manifest.json` and `final.json`: what a run has delivered, and how it ended; written last, read first."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Self

from hyperplane.delivery.ledger import Stored
from hyperplane.delivery.places import PARTIAL
from hyperplane.errors import DeliveryError
from hyperplane.rundir import new_part_name, sync_folder

SCHEMA = 1


def write_manifest(path: Path, files: Mapping[str, Stored], removed: Iterable[str]) -> Stored:
    """Write a manifest, a line for each file by its path, whole and on the disk; return what it is.

    What does not lie below `partial/` was sealed, or is a log of ours, and counts as complete.
    """
    part = path.with_name(new_part_name())
    digest, size = hashlib.sha256(), 0
    try:
        with part.open("xb") as file:
            for line in _lines(files, removed):
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


def _lines(files: Mapping[str, Stored], removed: Iterable[str]) -> Iterator[bytes]:
    yield b'{"schema": %d, "files": [' % SCHEMA
    separator = b"\n"
    for path in sorted(files):
        plain = {"path": path, **files[path]._asdict(), "complete": not path.startswith(PARTIAL)}
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

    files: Mapping[str, Stored]
    removed: tuple[str, ...]

    @classmethod
    def parse(cls, data: bytes, url: str, expected: Stored) -> Self:
        """Read a manifest. Raises `DeliveryError` where it is not the one that `final.json` speaks of."""
        if (len(data), hashlib.sha256(data).hexdigest()) != expected:
            raise _unreadable(url)
        plain = _parsed(data, url)
        files = {row["path"]: Stored(row["size_bytes"], row["sha256"]) for row in plain["files"]}
        return cls(files, tuple(plain["removed"]))


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
