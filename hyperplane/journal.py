"""The event log of a run: one line of JSON an event, appended whole, masked, read tolerantly."""

import contextlib
import itertools
import json
import math
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from hyperplane.errors import HyperplaneError, OutputError
from hyperplane.locks import ForkSafeLock
from hyperplane.masking import Masker

TEXT_LIMIT = 64 * 1024
LINE_LIMIT_BYTES = 1 << 20
DEPTH_LIMIT = 32
VALUES_LIMIT = 100_000
_INT_LIMIT_BITS = 512
_STAMPS = frozenset({"kind", "time", "pid", "seq"})
_OUR_NUMBERS = frozenset({"size_bytes", "mtime_ns", "ctime_ns", "inode"})
_STAMP_PATTERN = re.compile(rb'\{"kind": "[a-z_]+", "time": "\d{4}-\d\d-\d\dT')
OF_SEALS = re.compile(rb'"(?:sealed|sealing|removed)"')
_ANYTHING = re.compile(b"")
# Controls but the tab, separators of lines, marks that turn the writing direction, halves of surrogates.
_UNPRINTABLE = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_encode_json = json.JSONEncoder(allow_nan=False).encode
_sync = getattr(os, "fdatasync", os.fsync)


@dataclass(frozen=True, slots=True)
class Sealed:
    """An output that is complete: its name in the outputs folder, size and sha256 (hex).

    `mtime_ns`, `ctime_ns` and `inode` are set where a later change of the file cannot leave all of
    them as they are. `folder`: the outputs folder, where it is not the run's own.
    """

    name: str
    size_bytes: int
    sha256: str
    mtime_ns: int | None = field(default=None, compare=False)
    ctime_ns: int | None = field(default=None, compare=False)
    inode: int | None = field(default=None, compare=False)
    folder: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Version:
    """An output as it was once on the disk, whole: its files, by name."""

    output: str
    files: dict[str, Sealed]


@dataclass(frozen=True, slots=True)
class Seals:
    """What a run has sealed, by name, and the replacements of it that it may have been killed in.

    `versions`: all that outputs have been or were about to become, in the order of the events.
    """

    sealed: Mapping[str, Sealed]
    begun: tuple[Version, ...] = ()
    versions: tuple[Version, ...] = ()


class Journal:
    """Appends events to a file: one write each, so that threads and processes never tear a line.

    Every event has `kind`, `time` (UTC, microseconds), `pid` and `seq` (rising within a process, in
    the order of the lines). `lost` counts the events that `note` could not write.
    """

    def __init__(self, path: Path, masker: Masker) -> None:
        self.path = path
        self.lost = 0
        self._masker = masker
        self._sequence = itertools.count(1)
        self._writing = ForkSafeLock()
        self._descriptor: int | None = None

    def append(self, kind: str, /, *, durable: bool = False, **fields: Any) -> None:
        """Append one event; `durable`: it and those before it are on the disk before this returns.

        Raises `OutputError` when the event could not be written whole.
        """
        body = _body(fields, self._masker)
        try:
            with self._writing:
                descriptor = self._open()
                _write(descriptor, _stamp(kind, next(self._sequence)) + body)
                # Others write on while this one waits for the disk, and may close the file.
                own = os.dup(descriptor) if durable else None
            if own is not None:
                _sync_and_close(own)
        except OSError as error:
            raise OutputError(f"{self.path} cannot be written: {error.strerror or error}") from error

    def note(self, kind: str, /, **fields: Any) -> None:
        """Append one event; a failure is counted in `lost` and said once on stderr, never raised."""
        try:
            self.append(kind, **fields)
        except OutputError as error:
            with self._writing:
                self.lost += 1
                is_first = self.lost == 1
            if is_first:
                say(f"hyperplane: events of this job are being lost: {error.message}", self._masker)

    def _open(self) -> int:
        if self._descriptor is None:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            self._descriptor = os.open(self.path, flags, 0o644)
        return self._descriptor

    def close(self) -> None:
        """Close the file; a later append opens it again."""
        with self._writing:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None

    def __del__(self) -> None:
        if self._descriptor is not None:  # of a context that nobody closed
            os.close(self._descriptor)


def _write(descriptor: int, line: bytes) -> None:
    # A short write means a full disk: anew on a line of its own, until it fits or the error says why not.
    while os.write(descriptor, line) < len(line):
        line = b"\n" + line


def _sync_and_close(descriptor: int) -> None:
    try:
        _sync(descriptor)
    finally:
        os.close(descriptor)


def _stamp(kind: str, sequence: int) -> bytes:
    now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return f'{{"kind": "{kind}", "time": "{now}", "pid": {os.getpid()}, "seq": {sequence}'.encode()


def _body(fields: Mapping[str, Any], masker: Masker) -> bytes:
    record = presentable({name: value for name, value in fields.items() if name not in _STAMPS}, masker)
    body = _encode(record)
    if len(body) <= LINE_LIMIT_BYTES:
        return body
    note = f"values of this event were left out, it took {len(body)} bytes"
    flat = {name: value for name, value in record.items() if not isinstance(value, dict | list)}
    body = _encode({**flat, "cut": note})
    return body if len(body) <= LINE_LIMIT_BYTES else _encode({"cut": note})


def _encode(record: Mapping[str, Any]) -> bytes:
    members = _encode_json(record)[1:]
    return (f", {members}\n" if record else "}\n").encode("ascii")


def presentable(fields: Mapping[str, Any], masker: Masker) -> dict[str, Any]:
    """Return fields as JSON can hold them: masked, cut to size, not too deep. Their own names are ours.

    NaN and infinities become the strings "NaN", "Infinity" and "-Infinity", scalars of numpy and torch
    become numbers, and what JSON has no word for becomes its `repr`. Texts are cut at 64 Ki characters.
    """
    return {name: _Copy(masker, is_ours=name in _OUR_NUMBERS).of(value, 0) for name, value in fields.items()}


class _TooManyError(Exception):
    """A value holds more values than anyone would read."""


class _Copy:
    """Copies one value of an event, leaf by leaf."""

    def __init__(self, masker: Masker, *, is_ours: bool) -> None:
        self._masker = masker
        self._is_ours = is_ours
        self._left = VALUES_LIMIT

    def of(self, value: object, depth: int) -> Any:
        self._left -= 1
        if self._left < 0:
            raise _TooManyError
        try:
            return self._copy(value, depth)
        except _TooManyError:
            if depth:
                raise
            return f"<left out: more than {VALUES_LIMIT} values>"
        except Exception:  # noqa: BLE001 - whatever a job's own type does, its log line must not end the job
            return f"<{type(value).__name__} that cannot be shown>"

    def _copy(self, value: object, depth: int) -> Any:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, int | float):
            return self._number(value)
        if isinstance(value, Mapping | list | tuple | set | frozenset):
            return self._container(value, depth + 1)
        return self._other(value, depth)

    def _text(self, value: str) -> str:
        return _cut(self._masker.mask(value))

    def _number(self, value: float) -> float | str:
        if isinstance(value, int):
            number: float | str = int(value) if value.bit_length() <= _INT_LIMIT_BITS else _cut(hex(value))
        elif math.isfinite(value):
            number = float(value)
        else:
            number = "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        # A job may log a secret that it parsed; but half of a size or a time would be none.
        return "***" if not self._is_ours and self._is_secret(number) else number

    def _is_secret(self, number: float | str) -> bool:
        is_whole = isinstance(number, float) and number.is_integer()
        spellings = {str(number), str(int(number))} if is_whole else {str(number)}
        return any(map(self._masker.contains_secret, spellings))

    def _container(self, value: Mapping[Any, Any] | Iterable[Any], depth: int) -> Any:
        if depth > DEPTH_LIMIT:
            return f"<{type(value).__name__} nested too deep>"
        if isinstance(value, Mapping):
            return {self._text(str(key)): self.of(item, depth) for key, item in list(value.items())}
        return [self.of(item, depth) for item in value]

    def _other(self, value: object, depth: int) -> Any:
        if isinstance(value, bytes | bytearray):
            return repr(self._masker.mask_bytes(bytes(value))[:TEXT_LIMIT])
        if isinstance(value, os.PathLike):
            return self._text(str(value))
        if getattr(value, "shape", None) == () and hasattr(value, "item"):
            return self.of(value.item(), depth)
        return self._text(repr(value))


def _cut(text: str) -> str:
    if len(text) <= TEXT_LIMIT:
        return text
    note = f"... (cut: {len(text)} characters)"
    return text[: TEXT_LIMIT - len(note)] + note


def one_line(text: str) -> str:
    r"""Return a text with its control characters shown as escapes: `\n`, `\x1b`; tabs stay."""
    return text if text.isprintable() else _UNPRINTABLE.sub(lambda found: repr(found[0])[1:-1], text)


def write_line(stream: TextIO | None, line: str) -> None:
    """Write a line in one piece, whatever the encoding of the stream; None, as in a daemon, takes nothing."""
    if stream is None:
        return
    encoding = getattr(stream, "encoding", None) or "utf-8"
    stream.write(line.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    stream.flush()


def say(text: str, masker: Masker) -> None:
    """Write a line of ours on stderr, masked; where nobody hears it, it is no failure."""
    with contextlib.suppress(OSError, ValueError):
        write_line(sys.stderr, masker.mask(text))


def say_error(error: HyperplaneError, masker: Masker) -> None:
    """Say on stderr what went wrong, and what to do."""
    lines = [f"hyperplane: error: {error.message}", *([f"  {error.hint}"] if error.hint else [])]
    say("\n".join(lines), masker)


def read(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the events of a file in their order; a line that is torn or bad is passed over."""
    return _read(path, about=_ANYTHING)


def _read(path: Path, *, about: re.Pattern[bytes]) -> Iterator[dict[str, Any]]:
    try:
        lines = path.open("rb")
    except FileNotFoundError:
        return
    with lines:
        for line in lines:
            event = parse_line(line) if about.search(line) else None
            if event is not None:
                yield event


def parse_line(line: bytes) -> dict[str, Any] | None:
    """Return the event of one line, or None where it is torn or no event.

    A line that a killed process left torn has the next event glued to it; that one is found.
    """
    if not line.endswith(b"\n"):
        return None
    event = _loaded(line)
    if event is None:
        starts = (found.start() for found in _STAMP_PATTERN.finditer(line, 1))
        glued = (_loaded(line[start:]) for start in starts)
        event = next((found for found in glued if found is not None), None)
    return event if isinstance(event, dict) and isinstance(event.get("kind"), str) else None


def _loaded(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def sealed_outputs(path: Path) -> Mapping[str, Sealed]:
    """Return the outputs that a run has sealed and not removed since, by name; the latest seal wins."""
    return seals(path).sealed


def seals(path: Path) -> Seals:
    """Return the outputs that a run has sealed, and the replacements that were begun after that.

    Whether a replacement took place, only the files tell.
    """
    return _seals(_read(path, about=OF_SEALS))


def seals_in(path: Path, folder: str | None) -> Seals:
    """Return what a run has sealed in one outputs folder; None for its own."""
    return _seals(event for event in _read(path, about=OF_SEALS) if event.get("folder") == folder)


def _seals(events: Iterable[Mapping[str, Any]]) -> Seals:
    sealed: dict[str, Sealed] = {}
    versions: dict[object, Version] = {}
    unfinished: dict[str, Version] = {}
    for number, event in enumerate(events):
        match event:
            case {"kind": "sealing", "name": str(name), "output": str(output), "part": str(part)}:
                version = versions.setdefault((output, part), Version(output, {}))
                version.files[name] = sealed_of(event)
                unfinished[name] = version
            case {"kind": "sealed", "name": str(name)}:
                sealed[name] = sealed_of(event)
                versions[number] = Version(name, {name: sealed[name]})
                unfinished.pop(name, None)
            case {"kind": "removed", "name": str(name)}:
                if name in sealed and sealed[name].folder == event.get("folder"):
                    del sealed[name]
                unfinished.pop(name, None)
    left = {id(version): version for version in unfinished.values()}
    return Seals(sealed, tuple(left.values()), tuple(versions.values()))


def sealed_of(event: Mapping[str, Any]) -> Sealed:
    """Return the output that an event speaks of."""
    match event:
        case {"name": name, "size_bytes": int(size), "sha256": str(digest)}:
            mtime, ctime = _whole(event.get("mtime_ns")), _whole(event.get("ctime_ns"))
            inode, folder = _whole(event.get("inode")), _place(event.get("folder"))
            return Sealed(name, size, digest, mtime, ctime, inode, folder)
    return Sealed(event["name"], -1, "")


def _place(value: object) -> str | None:
    return value if isinstance(value, str) and value.startswith("/") and "\0" not in value else None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) else None
