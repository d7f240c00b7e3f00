"""How one fact is made of variables: text, numbers, times, and the JSON that some platforms give."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

Value = str | int | float | datetime | tuple[str, ...]
Environ = Mapping[str, str]
_Read = Callable[[Environ], Value | None]

_DIGITS_LIMIT = 18


class UnusableError(Exception):
    """A variable is set and cannot be used; the message names it and says why, without its value."""


class Reading(NamedTuple):
    """A fact, the variables it is made of, and how.

    `source` says which variables tell it, where that is more than the first one that is set.
    """

    variables: tuple[str, ...]
    read: _Read
    source: str = ""


def text(*variables: str, unless: str = "") -> Reading:
    """Read the first variable that is set, as it stands; `unless` is a value that means nothing."""

    def read(environ: Environ) -> str | None:
        name = next(filter(environ.get, variables), "")
        value = environ.get(name, unless)
        return None if value == unless else _printable(name, value)

    return Reading(variables, read)


def joined(*variables: str) -> Reading:
    """Read variables that only together say which one it is, with a hyphen between them."""

    def read(environ: Environ) -> str | None:
        values = [_printable(name, value) for name in variables if (value := environ.get(name))]
        return "-".join(values) or None

    return Reading(variables, read, " and ".join(variables))


def number(variable: str, *, first: int = 0, starts_at: int = 0) -> Reading:
    """Read a whole number that the platform counts from `first` and we count from `starts_at`."""

    def read(environ: Environ) -> int | None:
        value = _whole(environ, variable, least=first)
        return None if value is None else value - first + starts_at

    return Reading((variable,), read)


def attempt(variable: str, *, first: int) -> Reading:
    """Read which attempt this is, from 1; `first` is the platform's number for the first one."""
    return number(variable, first=first, starts_at=1)


def size(variable: str) -> Reading:
    """Read how many there are, at least one."""
    return number(variable, first=1, starts_at=1)


def seconds(variable: str, *, default: float) -> Reading:
    """Read a duration in seconds, or take the platform's default."""

    def read(environ: Environ) -> float:
        value = _whole(environ, variable)
        return default if value is None else float(value)

    return Reading((variable,), read)


def always(value: Value) -> Reading:
    """Give what holds on this platform wherever its configuration says nothing else."""
    return Reading((), lambda _environ: value)


def epoch(variable: str) -> Reading:
    """Read a time in seconds since 1970."""

    def read(environ: Environ) -> datetime | None:
        value = _whole(environ, variable)
        return None if value is None else _later(datetime.fromtimestamp(0, UTC), value, variable)

    return Reading((variable,), read)


def start_and_limit(start: str, limit: str) -> Reading:
    """Read a deadline from an ISO 8601 start, UTC where it names no zone, and a limit in seconds."""

    def read(environ: Environ) -> datetime | None:
        began, allowed = environ.get(start), _whole(environ, limit)
        if not began or allowed is None:
            return None
        try:
            moment = datetime.fromisoformat(began)
        except ValueError:
            raise UnusableError(f"{start} is not an ISO 8601 time") from None
        return _later(moment if moment.tzinfo else moment.replace(tzinfo=UTC), allowed, limit)

    return Reading((start, limit), read, f"{start} and {limit}")


def signal(variable: str, name: str) -> Reading:
    """Read a stop signal that is another than SIGTERM only where the variable says `name`."""
    return Reading((variable,), lambda environ: (name,) if environ.get(variable) == name else None)


def member(variable: str, *keys: str) -> Reading:
    """Read the text that lies under these keys of a JSON object."""

    def read(environ: Environ) -> str | None:
        found = _parsed(environ, variable)
        for key in keys:
            if found is None:
                return None
            if not isinstance(found, dict):
                raise UnusableError(f"{variable} has no {'.'.join(keys)}")
            found = found.get(key)
        return _printable(variable, found) if isinstance(found, str) and found else None

    return Reading((variable,), read, f"{'.'.join(keys)} in {variable}")


def place_in(current: str, hosts: str) -> tuple[Reading, Reading]:
    """Read rank and world size: where one host stands in a sorted JSON list of all."""

    def names(environ: Environ) -> list[str] | None:
        found = _parsed(environ, hosts)
        if found is not None and not (
            isinstance(found, list) and all(isinstance(name, str) for name in found)
        ):
            raise UnusableError(f"{hosts} is not a list of host names")
        return sorted(found) if found else None

    def rank(environ: Environ) -> int | None:
        host, everyone = environ.get(current), names(environ)
        if not host or everyone is None:
            return None
        if host not in everyone:
            raise UnusableError(f"{current} is not among {hosts}")
        return everyone.index(host)

    def world_size(environ: Environ) -> int | None:
        return len(names(environ) or ()) or None

    return (
        Reading((current, hosts), rank, f"{current} in {hosts}"),
        Reading((hosts,), world_size),
    )


def place_in_pools(variable: str) -> tuple[Reading, Reading]:
    """Read rank and world size from a cluster specification: the pools one after the other, by name."""

    def place(environ: Environ) -> tuple[int, int] | None:
        spec = _parsed(environ, variable)
        if spec is None:
            return None
        try:
            pools = {name: len(hosts) for name, hosts in spec["cluster"].items()}
            pool, index = spec["task"]["type"], int(spec["task"]["index"])
            before = sum(count for name, count in pools.items() if name < pool)
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
            raise UnusableError(f"{variable} is not a cluster specification") from None
        if not 0 <= index < pools.get(pool, 0):
            raise UnusableError(f"{variable} names a task that is not in its cluster")
        return before + index, sum(pools.values())

    def part(which: int) -> _Read:
        return lambda environ: None if (found := place(environ)) is None else found[which]

    return Reading((variable,), part(0)), Reading((variable,), part(1))


def place_of_nodes(node: str, nodes: str, main: str) -> Reading:
    """Read a rank among nodes, counted from the main node on, so that the main one is rank 0."""

    def rank(environ: Environ) -> int | None:
        index, count = _whole(environ, node), _whole(environ, nodes)
        if index is None or count is None or index >= count:
            return index
        return (index - (_whole(environ, main) or 0)) % count

    return Reading((node, nodes, main), rank)


def without_node(variable: str) -> Reading:
    """Read an id less the `#<node>` that would tell the nodes of one job apart."""

    def read(environ: Environ) -> str | None:
        value = environ.get(variable, "")
        job, mark, node = value.rpartition("#")
        return _printable(variable, job if mark and node.isdigit() else value) or None

    return Reading((variable,), read)


def place_in_array(prefix: str) -> tuple[Reading, Reading]:
    """Read index and count of an array task; in an uneven array the task's own id, and no count."""
    task, count, least, most, step = (f"{prefix}{end}" for end in ("ID", "COUNT", "MIN", "MAX", "STEP"))

    def even(environ: Environ) -> tuple[int, int, int] | None:
        tasks, start, stride = _whole(environ, count), _whole(environ, least) or 0, _whole(environ, step) or 1
        end = _whole(environ, most)
        if tasks is None or (end is not None and end != start + stride * (tasks - 1)):
            return None
        return start, stride, tasks

    def index(environ: Environ) -> int | None:
        own, spacing = _whole(environ, task), even(environ)
        if own is None or spacing is None:
            return own
        position, rest = divmod(own - spacing[0], spacing[1])
        if rest or position < 0:
            raise UnusableError(f"{task} is not one of the array's tasks")
        return position

    def total(environ: Environ) -> int | None:
        return None if (spacing := even(environ)) is None else spacing[2]

    return Reading((task, least, most, step), index), Reading((count,), total)


def _printable(variable: str, value: str) -> str:
    if not value.isprintable():
        raise UnusableError(f"{variable} holds characters that cannot be printed")
    return value


def _whole(environ: Environ, variable: str, *, least: int = 0) -> int | None:
    value = environ.get(variable)
    if not value:
        return None
    is_number = value.isascii() and value.isdigit() and len(value) <= _DIGITS_LIMIT
    if not is_number or int(value) < least:
        raise UnusableError(f"{variable} is not a whole number from {least} on")
    return int(value)


def _later(moment: datetime, duration_s: int, variable: str) -> datetime:
    try:
        return moment + timedelta(seconds=duration_s)
    except OverflowError:
        raise UnusableError(f"{variable} is further away than a calendar reaches") from None


def _parsed(environ: Environ, variable: str) -> Any:
    value = environ.get(variable)
    if not value:
        return None
    import json

    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise UnusableError(f"{variable} is not JSON") from None
