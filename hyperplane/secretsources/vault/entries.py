"""The entries of a vault, and their JSON; nothing here shows a value by accident."""

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, NamedTuple, Self

SCHEMA = 1


class NewEntry(NamedTuple):
    """A secret to be stored; `category`: free text, or None to keep what the entry has."""

    name: str
    value: bytes
    category: str | None = None

    def __repr__(self) -> str:
        return f"<NewEntry {self.name!r}>"


class Summary(NamedTuple):
    """What may be shown of an entry: all but its value."""

    name: str
    category: str
    created: datetime


class Entries:
    """All entries of a vault by name, in memory; they are decoded one by one, when they are asked for."""

    __slots__ = ("_entries",)

    def __init__(self, entries: dict[str, dict[str, str]] | None = None) -> None:
        self._entries = entries if entries is not None else {}

    @classmethod
    def parse(cls, document: bytes) -> Self | None:
        """Read what `as_json` wrote; None for what this version does not know."""
        content: Any = None
        # the error of the parser would hold the whole document
        with suppress(ValueError):
            content = json.loads(document)
        match content:
            case {"schema": version, "entries": dict(entries)} if version == SCHEMA:
                return cls(entries)
        return None

    def as_json(self) -> bytes:
        """Return the document that is sealed."""
        return json.dumps({"schema": SCHEMA, "entries": self._entries}).encode()

    def value(self, name: str) -> bytes | None:
        """Return the value of an entry, or None where there is none of that name."""
        entry = self._entries.get(name)
        return None if entry is None else b64decode(entry["value"])

    def names(self) -> list[str]:
        """Return the names, sorted."""
        return sorted(self._entries)

    def summaries(self) -> list[Summary]:
        """Return what may be shown of every entry, by name."""
        pairs = sorted(self._entries.items())
        return [
            Summary(name, entry["category"], datetime.fromisoformat(entry["created"]))
            for name, entry in pairs
        ]

    def put(self, new: NewEntry) -> None:
        """Add an entry, or give one of that name its new value; it keeps the time it was made at."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        known = self._entries.get(new.name, {"category": "", "created": now})
        category = known["category"] if new.category is None else new.category
        self._entries[new.name] = {**known, "category": category, "value": b64encode(new.value).decode()}

    def remove(self, names: Iterable[str]) -> None:
        """Take entries out, which must be there."""
        for name in names:
            del self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __repr__(self) -> str:
        return f"<Entries: {len(self._entries)} names>"
