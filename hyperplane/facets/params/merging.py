"""All sources of declared parameters merged into one input for the model, each value with its origin."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hyperplane.environment import Environment, Origin
from hyperplane.explain import Row
from hyperplane.facets.params import sources
from hyperplane.facets.params.commandline import Given
from hyperplane.facets.params.fields import Field, held, walk
from hyperplane.facets.params.texts import printable, text_of

ABSENT: Any = object()
_ANY_RANK = 9


@dataclass(frozen=True, slots=True)
class Hit:
    """What one source says of one parameter: a value as it is, or words still to be read."""

    origin: Origin
    value: Any = ABSENT
    words: tuple[str, ...] = ()
    shadowed: tuple[Origin, ...] = ()

    @property
    def rank(self) -> int:
        """The place of its source in the order in which they win."""
        return sources.rank(self.origin)


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one parameter, or with all together; `message` never holds a value."""

    name: str
    origin: Origin | None
    message: str


class Merged:
    """The winners among all sources.

    A value for a group as a whole replaces it; a value for one part of it replaces that part, where
    its source does not rank below that of the whole. What a group is not told stays as in its default.
    """

    def __init__(self, fields: Sequence[Field], hits: Mapping[str, list[Hit]]) -> None:
        self.fields = fields
        self.problems: list[Problem] = []
        self._hits = hits
        values = ((field.key, self._value(field, _ANY_RANK, ABSENT)) for field in fields)
        self.data: dict[str, Any] = {key: value for key, value in values if value is not ABSENT}

    def says_anything_of(self, field: Field) -> bool:
        """Say whether any source has a value for a parameter, or for a part of it."""
        return bool(self._hits[field.name] or self._hits_within(field))

    def winner(self, field: Field) -> tuple[Hit | None, tuple[Origin, ...]]:
        """Return what gave a parameter its value, or None for its default, and the origins that lost."""
        hits = self._hits_over(field)
        best = hits[0] if hits and self._is_present(field) else None
        losers = [hit.origin for hit in hits if hit is not best]
        losers += [origin for hit in hits for origin in hit.shadowed]
        return best, tuple(sorted(losers, key=sources.rank))

    def origin(self, field: Field) -> Origin:
        """Return where the value of a parameter came from."""
        best, _ = self.winner(field)
        parts = [] if best else sorted(self._hits_within(field), key=lambda hit: hit.rank)
        return next((hit.origin for hit in (best, *parts) if hit is not None), sources.DEFAULT)

    def field_at(self, location: Iterable[object]) -> Field | None:
        """Return the innermost parameter that a location of pydantic's leads to."""
        found, fields = None, self.fields
        for part in location:
            inner = next((field for field in fields if field.is_called(part)), None)
            if inner is None:
                break
            found, fields = inner, inner.children
        return found

    def rows(self, instance: object) -> list[Row]:
        """Return where every value of the finished object came from."""
        return self._rows(self.fields, instance)

    def _rows(self, fields: Iterable[Field], instance: object) -> list[Row]:
        rows = []
        for field in fields:
            value = held(instance, field)
            if field.children and field.shape.model is not None and isinstance(value, field.shape.model):
                rows += self._rows(field.children, value)
            else:
                rows.append(self._row(field, value))
        return rows

    def _row(self, field: Field, value: object) -> Row:
        shown = "***" if field.is_hidden else printable(text_of(value))
        return Row(
            "parameter",
            field.name,
            None if value is None else shown,
            self.origin(field),
            self.winner(field)[1],
        )

    def _value(self, field: Field, limit: int, beneath: Any) -> Any:
        own = next((hit for hit in self._hits[field.name] if hit.rank <= limit), None)
        if own is not None:
            beneath, limit = self._read(field, own), own.rank
        if not self._is_told_of_parts(field, limit):
            return beneath
        if beneath is ABSENT:
            beneath = field.default()
        told = {}
        for child in field.children:
            before = _part(beneath, child)
            after = self._value(child, limit, before)
            if after is not before:
                told[child.key] = after
        return _with_parts(beneath, field.children, told)

    def _is_told_of_parts(self, field: Field, limit: int) -> bool:
        return any(hit.rank <= limit for hit in self._hits_within(field))

    def _hits_within(self, field: Field) -> list[Hit]:
        return [hit for part in walk(field.children) for hit in self._hits[part.name]]

    def _read(self, field: Field, hit: Hit) -> Any:
        if hit.value is not ABSENT:
            return hit.value
        try:
            return field.shape.read(hit.words)
        except ValueError as error:
            self.problems.append(Problem(field.name, hit.origin, str(error)))
        return ABSENT

    def _hits_over(self, field: Field) -> list[Hit]:
        hits, name = [], field.name
        while name:
            hits += self._hits[name]
            name = name.rpartition(".")[0]
        return sorted(hits, key=lambda hit: hit.rank)

    def _is_present(self, field: Field) -> bool:
        value: Any = self.data
        for step in self._path(field):
            value = _part(value, step)
        return value is not ABSENT

    def _path(self, field: Field) -> list[Field]:
        return [step for step in walk(self.fields) if f"{field.name}.".startswith(f"{step.name}.")]


def _part(whole: Any, field: Field) -> Any:
    if whole is ABSENT or whole is None:
        return ABSENT
    if isinstance(whole, Mapping):
        return next((value for key, value in whole.items() if field.is_called(key)), ABSENT)
    return held(whole, field)


def _with_parts(whole: Any, fields: Iterable[Field], told: Mapping[str, Any]) -> dict[str, Any]:
    replaced = [field for field in fields if field.key in told]
    if isinstance(whole, Mapping):
        kept = {
            key: value for key, value in whole.items() if not any(field.is_called(key) for field in replaced)
        }
    else:
        kept = {} if whole is None else {field.key: held(whole, field) for field in fields}
    return {**kept, **told}


def gather(
    fields: Iterable[Field],
    arguments: Mapping[str, object],
    options: Mapping[str, Given],
    environment: Environment,
) -> dict[str, list[Hit]]:
    """Return what every source says of every parameter, the winner first.

    `arguments`: values by attribute, as they are. `options`: what the command line gave, by name.
    """
    return {field.name: list(_hits(field, arguments, options, environment)) for field in walk(fields)}


def _hits(
    field: Field, arguments: Mapping[str, object], options: Mapping[str, Given], environment: Environment
) -> Iterable[Hit]:
    if field.name in arguments:
        yield Hit(Origin(sources.ARGUMENT, field.name), arguments[field.name])
    if (given := options.get(field.name)) is not None:
        origin = Origin(sources.COMMAND_LINE, given.option)
        yield Hit(origin, words=tuple(given.words)) if given.flag is None else Hit(origin, given.flag)
    for found in sources.find(environment, field.spellings):
        yield Hit(found.origin, words=(found.value,), shadowed=found.shadowed)
