"""The answer to "where did this value come from?": rows of what was declared, as a table or as data."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from hyperplane.environment import Origin
from hyperplane.masking import Masker

if TYPE_CHECKING:
    from hyperplane.settings import JobSettings


class Row(NamedTuple):
    """One declared value: `kind` is setting, parameter, input or secret; secrets have no `value`.

    `note`: what else is to be known of the value.
    """

    kind: str
    name: str
    value: str | None
    origin: Origin
    shadowed: tuple[Origin, ...] = ()
    note: str = ""


class Explanation(NamedTuple):
    """Where every declared value came from and what it shadowed; `str()` is a table."""

    rows: tuple[Row, ...]

    def masked(self, masker: Masker) -> "Explanation":
        """Return the same without the values of secrets, whatever they stand in."""
        return Explanation(tuple(_masked(row, masker) for row in self.rows))

    def as_dict(self) -> dict[str, Any]:
        """Return the rows as plain data: kind -> name -> value, origin, shadowed, and a note if any."""
        kinds: dict[str, Any] = {}
        for row in self.rows:
            kinds.setdefault(row.kind, {})[row.name] = {
                "value": row.value,
                "origin": str(row.origin),
                "shadowed": [str(origin) for origin in row.shadowed],
                **({"note": row.note} if row.note else {}),
            }
        return kinds

    def __str__(self) -> str:
        header = ("kind", "name", "value", "from", "shadowed")
        return "\n".join(_aligned([header, *(_cells(row) for row in self.rows)]))


def setting_rows(settings: "JobSettings") -> list[Row]:
    """Return every setting with where it came from."""
    return [
        Row("setting", name, _shown(getattr(settings, name)), settings.origin(name), settings.shadowed(name))
        for name in type(settings).model_fields
    ]


def _masked(row: Row, masker: Masker) -> Row:
    if row.value is None:
        return row
    return row._replace(value=masker.mask(row.value), note=masker.mask(row.note))


def _shown(value: object) -> str | None:
    if isinstance(value, tuple):
        return ",".join(value) or None
    return None if value is None else str(value)


def _cells(row: Row) -> tuple[str, ...]:
    value = row.value or ("***" if row.kind == "secret" else "")
    value += f" ({row.note})" if row.note else ""
    cells = (row.kind, row.name, value, str(row.origin), ", ".join(map(str, row.shadowed)))
    return tuple(cell if cell.isprintable() else repr(cell) for cell in cells)


def _aligned(table: Iterable[tuple[str, ...]]) -> Iterable[str]:
    rows = list(table)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
