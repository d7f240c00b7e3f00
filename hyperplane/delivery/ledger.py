"""`delivery.jsonl`: what of a run has reached its destination, a line each; one process writes it."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple, Self

if TYPE_CHECKING:
    from hyperplane.journal import Sealed
    from hyperplane.sealing.content import Content


class Stored(NamedTuple):
    """What an object is: its size and its sha256, in hexadecimal."""

    size_bytes: int
    sha256: str

    @classmethod
    def of(cls, content: "Sealed | Content") -> Self:
        """Return what the object of an output or a file is."""
        return cls(content.size_bytes, content.sha256)


class Upload(NamedTuple):
    """An upload that was begun: its id, and the file it is for."""

    upload_id: str
    size_bytes: int
    sha256: str


class Summary(NamedTuple):
    """What was delivered in all, and what of it was sent by the last delivery, which took so long."""

    files: int = 0
    size_bytes: int = 0
    sent_files: int = 0
    sent_bytes: int = 0
    seconds: float = 0.0


class Known:
    """What a ledger says of a run: what is there, by path below the run, and which uploads were begun.

    A torn last line, or one that is none of ours, is passed over: what it told is done again.
    `rewritten`: what has been there with other contents before.
    """

    def __init__(self) -> None:
        self.stored: dict[str, Stored] = {}
        self.rewritten: set[str] = set()
        self.uploads: dict[str, Upload] = {}
        self.final: Summary | None = None

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a ledger."""
        known = cls()
        for event in lines_of(path):
            known.take(event)
        return known

    def take(self, event: Mapping[str, Any]) -> None:
        """Take what a line says."""
        match event:
            case {"kind": "stored", "path": str(path), "size_bytes": int(size), "sha256": str(digest)}:
                self.take_stored(path, Stored(size, digest))
            case {"kind": "deleted", "path": str(path)}:
                self.stored.pop(path, None)
            case {"kind": "upload", "path": str(path), "upload_id": str(made), **rest}:
                match rest:
                    case {"size_bytes": int(size), "sha256": str(digest)}:
                        self.uploads[path] = Upload(made, size, digest)
            case {"kind": "final"}:
                self.final = Summary(**{name: event[name] for name in Summary._fields if name in event})

    def take_stored(self, path: str, stored: Stored) -> None:
        """Take that an object is there."""
        if self.stored.get(path, stored) != stored:
            self.rewritten.add(path)
        self.stored[path] = stored
        self.uploads.pop(path, None)


class Ledger:
    """The ledger of a run that is being delivered: what it says is known, and it is written on.

    What is stored is written with the next `flush`, or with anything else, which is written at once.
    """

    def __init__(self, path: Path) -> None:
        # somebody was here before
        self.is_resumed = path.exists() and path.stat().st_size > 0
        self._known = Known.read(path)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._descriptor = os.open(path, flags, 0o644)
        self._lines: list[bytes] = []
        self._writing = Lock()
        # a torn line ends here, so that the next one is not glued to it
        self._append(b"\n")

    @property
    def stored(self) -> dict[str, Stored]:
        """What is there, by path."""
        return self._known.stored

    @property
    def rewritten(self) -> set[str]:
        """What has been there with other contents before."""
        return self._known.rewritten

    @property
    def uploads(self) -> dict[str, Upload]:
        """The uploads of large files that were begun, by path."""
        return self._known.uploads

    def note_stored(self, path: str, stored: Stored) -> None:
        """Note that an object is there, verified."""
        self._add({"kind": "stored", "path": path, **stored._asdict()})
        self._known.take_stored(path, stored)

    def note_deleted(self, path: str) -> None:
        """Note that an object is there no more."""
        self._note("deleted", path=path)

    def note_upload(self, path: str, upload: Upload) -> None:
        """Note that the upload of a large file was begun."""
        self._note("upload", path=path, **upload._asdict())

    def note_begun(self, url: str, outputs: str) -> None:
        """Note where the run goes, and where its outputs are, and have that on the disk."""
        self._note("begun", url=url, outputs=outputs)
        os.fsync(self._descriptor)

    def note_final(self, summary: Summary) -> None:
        """Note that the whole run is there, and have that on the disk."""
        self._note("final", **summary._asdict())
        os.fsync(self._descriptor)

    def is_stored(self, path: str, size_bytes: int, sha256: str) -> bool:
        """Say whether this object is there with this content."""
        return self.stored.get(path) == (size_bytes, sha256)

    def flush(self) -> None:
        """Write what is noted and not written yet."""
        with self._writing:
            lines, self._lines = self._lines, []
            if lines:
                self._append(b"".join(lines))

    def close(self) -> None:
        """Write what is left, and close the file."""
        self.flush()
        os.close(self._descriptor)

    def _note(self, kind: str, **fields: object) -> None:
        event = {"kind": kind, **fields}
        self._add(event)
        self.flush()
        self._known.take(event)

    def _add(self, event: Mapping[str, Any]) -> None:
        line = json.dumps(event).encode() + b"\n"
        with self._writing:
            self._lines.append(line)

    def _append(self, lines: bytes) -> None:
        # Where the disk is full, the delivery goes on: what is not noted is done again by the next one.
        with suppress(OSError):
            if os.write(self._descriptor, lines) < len(lines):
                os.write(self._descriptor, b"\n")


class Begun(NamedTuple):
    """Where a run was to go, and where its outputs are, as its ledger says."""

    url: str
    outputs: str


def begun_of(path: Path) -> Begun | None:
    """Return where a run was to go, or None where nobody has said so."""
    for event in lines_of(path):
        match event:
            case {"kind": "begun", "url": str(url), "outputs": str(outputs)}:
                return Begun(url, outputs)
    return None


def lines_of(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects in a file of JSON lines, passing over what is torn or none."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        for line in file:
            try:
                event = json.loads(line) if line.endswith(b"\n") else None
            except (ValueError, RecursionError):
                continue
            if isinstance(event, dict):
                yield event
