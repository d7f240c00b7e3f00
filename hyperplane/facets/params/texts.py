"""How a parameter's value is written as text, and how text is read back."""

import json
from collections.abc import Iterable
from decimal import Decimal
from enum import Enum
from typing import Any

TRUE_WORDS = frozenset({"1", "true", "t", "yes", "y", "on"})
FALSE_WORDS = frozenset({"0", "false", "f", "no", "n", "off"})


def text_of(value: object) -> str:
    """Write a value as the text that reads back as the same value."""
    if isinstance(value, str) and not isinstance(value, Enum):
        return value
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, Enum):
        return text_of(value.value)
    if isinstance(value, (list, tuple, dict)):
        try:
            return json.dumps(value, default=text_of)
        except (TypeError, ValueError, RecursionError):
            return str(value)
    return str(value)


def printable(text: str) -> str:
    """Escape what a terminal or a UTF-8 file cannot take: bytes of the environment that were not UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()


def shortened(text: str, length: int = 40) -> str:
    """Quote something mistyped for an error, cut where it is long."""
    return ascii(text if len(text) <= length else text[:length] + "...")


def read_bool(text: str) -> bool:
    """Read a truth value. Raises `ValueError` for anything but the known words."""
    word = text.strip().lower()
    if word not in TRUE_WORDS | FALSE_WORDS:
        raise ValueError("is not true or false")
    return word in TRUE_WORDS


def read_json(text: str, *, exact_numbers: bool = False) -> Any:
    """Read a JSON document; `exact_numbers` makes its fractions `Decimal`.

    Raises a `ValueError` that does not hold the text.
    """
    try:
        return json.loads(text, parse_float=Decimal if exact_numbers else None)
    except (ValueError, RecursionError):
        pass
    raise ValueError("is not valid JSON")


def read_json_as(kind: type, text: str, *, exact_numbers: bool = False) -> Any:
    """Read a JSON document that must be of a kind: list or dict. Raises `ValueError`."""
    value = read_json(text, exact_numbers=exact_numbers)
    if not isinstance(value, kind):
        raise ValueError("is not a JSON object" if kind is dict else "is not a JSON list")  # noqa: TRY004 - text
    return value


def split_commas(text: str) -> list[str]:
    """Split values separated by commas; an empty text has none."""
    return [piece.strip() for piece in text.split(",")] if text.strip() else []


def starts_json(text: str, brackets: Iterable[str] = "[{") -> bool:
    """Say whether the text can only be meant as a JSON list or object."""
    return text.lstrip()[:1] in tuple(brackets)
