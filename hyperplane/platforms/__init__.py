"""What the platform tells a job about itself, composed from every platform that shows in the environment."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from hyperplane.platforms.reading import Environ, UnusableError, Value
from hyperplane.platforms.rows import ROWS, Row

_OF_THE_JOB = ("job_id", "job_name", "attempt", "user")
_OF_THE_PROCESS = ("output_dir", "deadline", "grace_s", "stop_signals")
_PLACES = (("rank", "world_size", "local_rank"), ("index", "count"))
FIELDS = (*_OF_THE_JOB, *_OF_THE_PROCESS, *(name for place in _PLACES for name in place))


class Fact(NamedTuple):
    """What a platform tells, and the variables it was read from."""

    value: Value
    source: str


class Platform(NamedTuple):
    """Where the job runs, and what is known from that alone.

    `names`: the platforms found, the most specific first; `evidence`: the variable that gave each away.
    `facts`: a fact for each field that a platform tells. `disk_is_lost`: the disk goes with
    the job, and no folder for outputs is given. `warnings`: variables that are set but cannot be used.
    """

    names: tuple[str, ...] = ()
    evidence: Mapping[str, str] = MappingProxyType({})
    facts: Mapping[str, Fact] = MappingProxyType({})
    disk_is_lost: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The most specific platform, or "local"."""
        return self.names[0] if self.names else "local"

    def get(self, field: str) -> Fact | None:
        """Return the fact of a field, or None where no platform tells it."""
        return self.facts.get(field)


def detect(environ: Environ) -> Platform:
    """Compose the platform from variables alone; nothing else is read, and no network is touched.

    A fact comes from the most specific platform that tells it, but a rank and its world size, or an index
    and its count, from one and the same. What tells the job apart comes from a launcher only when no
    platform around it does: a launcher's own id and attempt start anew with the job.
    """
    evidence = {row.name: variable for row in ROWS if (variable := row.evidence(environ))}
    if not evidence:
        return Platform()
    rows = tuple(row for row in ROWS if row.name in evidence)
    composition = _Composition(rows, environ)
    lost = next((row.disk_is_lost for row in rows if row.disk_is_lost is not None), False)
    return Platform(
        names=tuple(evidence),
        evidence=MappingProxyType(evidence),
        facts=MappingProxyType(composition.facts),
        disk_is_lost=lost and "output_dir" not in composition.facts,
        warnings=tuple(dict.fromkeys(composition.warnings)),
    )


class _Composition:
    def __init__(self, rows: tuple[Row, ...], environ: Environ) -> None:
        self.facts: dict[str, Fact] = {}
        self.warnings: list[str] = []
        self._environ = environ
        around_first = sorted(rows, key=lambda row: row.is_launcher)
        for name in _OF_THE_JOB:
            self._take(name, around_first)
        for name in _OF_THE_PROCESS:
            self._take(name, rows)
        for place, size, *others in _PLACES:
            self._take_place(rows, place, size, others)

    def _take(self, name: str, rows: Iterable[Row]) -> None:
        fact = next((fact for row in rows if (fact := self._read(row, name)) is not None), None)
        if fact is not None:
            self.facts[name] = fact

    def _take_place(self, rows: Iterable[Row], place: str, size: str, others: Iterable[str]) -> None:
        for row in rows:
            own, total = self._read(row, place), self._read(row, size)
            if own is None:
                self._warn_of_lone_size(row, place, total)
            elif total is not None and _count(own) >= _count(total):
                self._ignore(f"{own.source} is not below {total.source}")
            else:
                told = {place: own, size: total} | {name: self._read(row, name) for name in others}
                self.facts.update((name, fact) for name, fact in told.items() if fact is not None)
                return

    def _warn_of_lone_size(self, row: Row, place: str, total: Fact | None) -> None:
        if total is None or _count(total) == 1:
            return
        variable = row.facts[place].variables[0]
        if not self._environ.get(variable):
            self._ignore(f"{total.source} is set without {variable}")

    def _read(self, row: Row, name: str) -> Fact | None:
        reading = row.facts.get(name)
        if reading is None:
            return None
        try:
            value = reading.read(self._environ)
        except UnusableError as error:
            self._ignore(str(error))
            return None
        if value is None:
            return None
        told = reading.source or next(filter(self._environ.get, reading.variables), f"{row.name} default")
        return Fact(value, told)

    def _ignore(self, problem: str) -> None:
        self.warnings.append(f"{problem}: ignored")


def _count(fact: Fact) -> int:
    return fact.value if isinstance(fact.value, int) else 0
