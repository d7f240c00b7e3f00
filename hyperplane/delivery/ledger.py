"""`delivery.jsonl`: what of a run has reached its destination, a line each; one process writes it."""

import json
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from hyperplane.delivery.multipart import NoteUpload


class Stored(NamedTuple):
    """What an object is: its size and its sha256, in hexadecimal."""

    size_bytes: int
    sha256: str


class Ledger:
    """What has been delivered, by path below the run; read from the file, and written on.

    A torn last line, or one that is none of ours, is passed over: what it told is done again.
    """

    def __init__(self, path: Path) -> None:
        self.stored: dict[str, Stored] = {}
        self.uploads: dict[str, NoteUpload] = {}
        self.is_final = False
        self._lock = threading.Lock()
        for event in lines_of(path):
            self._take(event)
        self.is_resumed = bool(self.stored or self.uploads)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._descriptor = os.open(path, flags, 0o644)
        # a torn line ends here, so that the next one is not glued to it
        self._write(b"\n")

    def note_stored(self, path: str, stored: Stored) -> None:
        """Note that an object is there, verified."""
        self._note("stored", path=path, **stored._asdict())

    def note_deleted(self, path: str) -> None:
        """Note that an object is there no more."""
        self._note("deleted", path=path)

    def note_upload(self, path: str, upload: NoteUpload) -> None:
        """Note that the upload of a large file was begun."""
        self._note("upload", path=path, **upload._asdict())

    def note_begun(self, url: str, outputs: str) -> None:
        """Note where the run goes, and where its outputs are."""
        self._note("begun", url=url, outputs=outputs)

    def note_final(self) -> None:
        """Note that the whole run is there, and have that on the disk."""
        self._note("final")
        os.fsync(self._descriptor)

    def is_stored(self, path: str, size_bytes: int, sha256: str) -> bool:
        """Say whether this object is there with this content."""
        return self.stored.get(path) == (size_bytes, sha256)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _note(self, kind: str, **fields: object) -> None:
        line = json.dumps({"kind": kind, **fields}) + "\n"
        with self._lock:
            self._write(line.encode())
            self._take({"kind": kind, **fields})

    def _write(self, line: bytes) -> None:
        # where the disk is full, the delivery goes on: what is not noted is done again by the next one
        with suppress(OSError):
            if os.write(self._descriptor, line) < len(line):
                os.write(self._descriptor, b"\n")

    def _take(self, event: dict[str, Any]) -> None:
        match event:
            case {"kind": "stored", "path": str(path), "size_bytes": int(size), "sha256": str(digest)}:
                self.stored[path] = Stored(size, digest)
                self.uploads.pop(path, None)
            case {"kind": "deleted", "path": str(path)}:
                self.stored.pop(path, None)
            case {"kind": "upload", "path": str(path), "upload_id": str(made), **rest}:
                match rest:
                    case {"size_bytes": int(size), "sha256": str(digest)}:
                        self.uploads[path] = NoteUpload(made, size, digest)
            case {"kind": "final"}:
                self.is_final = True


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
