"""What `--help` prints: every parameter with its type, default and description."""

import textwrap
from collections.abc import Iterator, Sequence

from hyperplane.facets.params.fields import Field, held
from hyperplane.facets.params.texts import printable, text_of

_WIDTH = 100
_COLUMN = 30


def help_text(model: type, fields: Sequence[Field], program: str) -> str:
    """Return the help of a program that takes these parameters."""
    lines = [f"usage: {program} [OPTIONS]", ""]
    lines += _description(model)
    for field in fields:
        lines += _entries(field, field.default())
    lines += _entry("--help", "Print this and exit.")
    lines += ["", "Each can be set in the environment too, under this name without the dashes in front."]
    return printable("\n".join(lines)) + "\n"


def _entries(field: Field, default: object) -> Iterator[str]:
    yield from _entry(_option(field), _explanation(field, default))
    for child in field.children:
        is_told = field.shape.model is not None and isinstance(default, field.shape.model)
        yield from _entries(child, held(default, child) if is_told else child.default())


def _description(model: type) -> list[str]:
    text = vars(model).get("__doc__") or ""
    # the docstring that a dataclass writes for itself is its signature
    if not text or text.startswith(f"{model.__name__}("):
        return []
    return [*textwrap.dedent(" " * 4 + text).strip().split("\n\n")[0].splitlines(), ""]


def _option(field: Field) -> str:
    shape = field.shape
    names = ", ".join(f"--{spelling}" for spelling in field.spellings)
    if shape.kind == "flag":
        group, dot, last = field.name.rpartition(".")
        return f"{names}, --{group}{dot}no-{last}"
    return f"{names} {shape.label}{' ...' if shape.takes_many else ''}"


def _explanation(field: Field, default: object) -> str:
    return " ".join(part for part in (field.info.description or "", _shown(field, default)) if part)


def _shown(field: Field, default: object) -> str:
    if field.info.is_required():
        return "(required)"
    if field.is_hidden or (field.children and default is not None):
        return ""
    return f"(default: {'none' if default is None else text_of(default)})"


def _entry(option: str, explanation: str) -> Iterator[str]:
    wrapped = textwrap.wrap(explanation, _WIDTH - _COLUMN) or [""]
    head = f"  {option}"
    if len(head) + 2 > _COLUMN:
        yield head
        head = ""
    yield f"{head:{_COLUMN}}{wrapped[0]}".rstrip()
    for line in wrapped[1:]:
        yield " " * _COLUMN + line
