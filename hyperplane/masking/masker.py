"""The secrets known to this process, and the texts without them."""

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TypeVar, cast

from hyperplane.locks import ForkSafeLock
from hyperplane.masking.automaton import Automaton, Range, redact
from hyperplane.masking.escapes import NOTHING_BEFORE, START_OF_TEXT, views_of
from hyperplane.masking.forms import forms_of
from hyperplane.masking.records import RecordMasker
from hyperplane.masking.stream import StreamMasker

T = TypeVar("T")

_SECRET_NAME_PARTS = ("TOKEN", "PASSWORD", "PASSWD", "SECRET", "API_KEY", "PRIVATE_KEY")
# Surrogates that do not stand for a byte: nothing written in UTF-8 can hold them.
_LONE_SURROGATE = r"[\ud800-\udc7f\udd00-\udfff]"


def is_secret_name(variable: str) -> bool:
    """Say whether a plain variable of that name counts as a secret."""
    name = variable.upper()
    return any(part in name for part in _SECRET_NAME_PARTS)


class Masker:
    """Replaces the values of secrets by `***`, in every spelling known to `forms`. Thread-safe.

    It prevents accidents: a value that is compressed, encrypted, hashed or reversed passes through.
    """

    def __init__(self) -> None:
        self._lock = ForkSafeLock()
        self._names: dict[str, None] = {}
        self._shortfalls: dict[bytes, str] = {}
        self._named: dict[bytes, str] = {}
        self._owners: dict[bytes, str] = {}
        self._warnings: dict[str, None] = {}
        self._anywhere: set[bytes] = set()
        self._words: set[bytes] = set()
        self._automaton: Automaton | None = Automaton()

    def __repr__(self) -> str:
        return f"<Masker: {len(self._shortfalls)} secrets, {len(self._anywhere) + len(self._words)} patterns>"

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the secrets, in the order in which they were added."""
        return tuple(self._names)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is not masked, or not everywhere: one sentence a secret, naming it."""
        return tuple(self._warnings)

    @property
    def automaton(self) -> Automaton:
        """The patterns of all secrets added so far, compiled when they are first needed."""
        automaton = self._automaton
        if automaton is None:
            with self._lock:
                automaton = self._automaton = self._automaton or Automaton(self._anywhere, self._words)
        return automaton

    def add(self, name: str, value: str | bytes) -> None:
        """Mask a value from now on. To be called before anybody is given the value."""
        self.add_all([(name, value)])

    def add_all(
        self, secrets: Mapping[str, str | bytes] | Iterable[tuple[str, str | bytes]], *, quietly: bool = False
    ) -> None:
        """Mask the values of many secrets from now on; `quietly`: those too short for it are no warning."""
        pairs = secrets.items() if isinstance(secrets, Mapping) else secrets
        with self._lock:
            for name, value in pairs:
                self._register(name, _as_bytes(value), quietly)

    def mask(self, text: str) -> str:
        """Return a text, complete in itself, without the secrets in it."""
        for errors in ("strict", "surrogateescape"):
            with suppress(UnicodeEncodeError):
                return self._mask_encoded(text, errors)
        pieces = re.split(f"({_LONE_SURROGATE})", text)
        pieces[::2] = map(self.mask, pieces[::2])
        return "".join(pieces)

    def _mask_encoded(self, text: str, errors: str) -> str:
        data = text.encode(errors=errors)
        masked = self.mask_bytes(data)
        # A match may begin or end inside a character: what is left of that is no text.
        return text if masked is data else masked.decode(errors="replace" if errors == "strict" else errors)

    def mask_bytes(self, data: bytes) -> bytes:
        """Return bytes, complete in themselves, without the secrets in them."""
        whole = START_OF_TEXT + data
        ranges = self._ranges_in(whole)
        return redact(whole, ranges, len(START_OF_TEXT), len(whole), False)[0] if ranges else data

    def mask_record(self, record: T) -> T:
        """Return a copy of dicts, lists, tuples and sets with the texts in them masked, keys too.

        Other objects stay as they are, and so are for the caller to mask once they are texts. What
        contains itself or is nested beyond 64 levels ends in a marker.
        """
        return cast("T", RecordMasker(self.mask, self.mask_bytes).copy(record))

    def name_of(self, pattern: bytes) -> str:
        """Return the name of the secret that a pattern of the automaton stands for."""
        with self._lock:
            if pattern not in self._owners:
                self._owners = {
                    form: name
                    for value, name in reversed(self._named.items())
                    for form in _patterns_of(value)
                }
            return self._owners[pattern]

    def contains_secret(self, text: str | bytes) -> bool:
        """Say whether masking would change a text."""
        return bool(self._ranges_in(START_OF_TEXT + _as_bytes(text)))

    def stream(self) -> StreamMasker:
        """Return a masker for one stream of bytes. It knows the secrets that are added later too."""
        return StreamMasker(self)

    def _ranges_in(self, whole: bytes) -> list[Range]:
        return self.automaton.ranges_in(views_of(whole, NOTHING_BEFORE, is_last=True), is_last=True)

    def _register(self, name: str, value: bytes, quietly: bool) -> None:
        self._names[name] = None
        self._named.setdefault(value, name)
        if value not in self._shortfalls:
            forms = forms_of(value)
            self._anywhere |= forms.anywhere
            self._words |= forms.words
            self._automaton = None
            self._shortfalls[value] = forms.shortfall
        if (shortfall := self._shortfalls[value]) and not quietly:
            self._warnings[f"secret {name!r} {shortfall}"] = None


def _patterns_of(value: bytes) -> frozenset[bytes]:
    forms = forms_of(value)
    return forms.anywhere | forms.words


def _as_bytes(text: str | bytes) -> bytes:
    if isinstance(text, bytes):
        return text
    return re.sub(_LONE_SURROGATE, "\n", text).encode(errors="surrogateescape")
