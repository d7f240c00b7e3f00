"""What pydantic finds wrong, told with names and sources and without any value."""

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, get_args

from hyperplane.errors import ParamsError
from hyperplane.facets.params import sources
from hyperplane.facets.params.merging import Merged, Problem
from hyperplane.facets.params.shapes import is_model

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

_MISSING = "is required, and not set"
_UNSPOKEN = "is not valid"
_SHORT_LENGTH = 4


def problems_in(error: "ValidationError", merged: Merged, owner: str) -> list[Problem]:
    """Return what a validation found, each parameter once; what was found earlier is not repeated.

    `owner`: the name for what is wrong with the parameters together.
    """
    known = {problem.name for problem in merged.problems}
    found: dict[str, Problem] = {}
    for detail in error.errors(include_url=False):
        problem = _problem(detail, merged, owner)
        if problem.name not in known:
            found.setdefault(problem.name, problem)
    return list(found.values())


def params_error(problems: Iterable[Problem], merged: Merged, *, has_command_line: bool) -> ParamsError:
    """Return one error that names every parameter at fault and the source of its value."""
    lines = [_line(problem) for problem in problems]
    names = tuple(problem.name for problem in problems)
    message = lines[0] if len(lines) == 1 else "\n  ".join([f"{len(lines)} parameters are wrong:", *lines])
    return ParamsError(message, hint=" ".join(_hints(problems, merged, has_command_line)), names=names)


def _line(problem: Problem) -> str:
    if problem.message == _MISSING:
        return f"{problem.name} {problem.message}"
    if problem.origin is None:
        return f"{problem.name}: {problem.message}"
    return f"{problem.name} ({problem.origin}): {problem.message}"


def _hints(problems: Iterable[Problem], merged: Merged, has_command_line: bool) -> Iterator[str]:
    if missing := [problem.name for problem in problems if problem.message == _MISSING]:
        how = " or give --" + ", --".join(missing) if has_command_line else ""
        yield f"Set {', '.join(missing)} in the environment{how}."
    if any(_is_service_link(problem, merged) for problem in problems):
        yield sources.SERVICE_LINK_HINT


def _is_service_link(problem: Problem, merged: Merged) -> bool:
    field = merged.field_at(problem.name.split("."))
    hit = merged.winner(field)[0] if field is not None else None
    return hit is not None and any(sources.is_service_link(hit.origin, word) for word in hit.words)


def _problem(detail: "ErrorDetails", merged: Merged, owner: str) -> Problem:
    location = detail["loc"]
    field = merged.field_at(location)
    if field is None:
        return Problem(owner, None, _message(detail, merged))
    is_missing = detail["type"] == "missing" and field.is_called(location[-1])
    message = _MISSING if is_missing else _message(detail, merged)
    return Problem(field.name, merged.origin(field), message)


def _message(detail: "ErrorDetails", merged: Merged) -> str:
    from pydantic_core import core_schema

    kind, message = detail["type"], detail["msg"]
    context: Mapping[str, Any] = detail.get("ctx", {})
    if kind == "union_tag_invalid":
        return f"{context['discriminator']} should be one of {context['expected_tags']}"
    if kind in {"value_error", "assertion_error"} or kind not in get_args(core_schema.ErrorType):
        return _UNSPOKEN if _quotes_a_value(message, detail["input"], merged) else message
    # what follows may quote a character of the input
    reason = context.get("error") or context.get("encoding_error") or ""
    return message.removesuffix(str(reason)).rstrip(" ,:")


def _quotes_a_value(message: str, value: object, merged: Merged) -> bool:
    folded = message.casefold()
    own = set(_texts(value))
    others = {text for text in _texts(merged.data) if len(text) >= _SHORT_LENGTH}
    return any(_is_quoted(text.casefold(), folded) for text in own | others)


def _is_quoted(text: str, message: str) -> bool:
    if len(text) >= _SHORT_LENGTH:
        return text in message or repr(text)[1:-1] in message
    return re.search(rf"(?<!\w){re.escape(text)}(?!\w)", message) is not None


def _texts(value: Any) -> Iterator[str]:
    parts = _parts(value)
    if parts is not None:
        for part in parts:
            yield from _texts(part)
    elif value is not None and not isinstance(value, bool) and str(value):
        yield str(value)


def _parts(value: Any) -> Iterable[Any] | None:
    if isinstance(value, Enum):
        return (value.value,)
    if isinstance(value, Mapping):
        return value.values()
    if isinstance(value, (list, tuple, set, frozenset)):
        return value
    if hasattr(value, "get_secret_value"):
        return (value.get_secret_value(),)
    if dataclasses.is_dataclass(value):
        return [getattr(value, field.name) for field in dataclasses.fields(value)]
    return vars(value).values() if is_model(type(value)) else None
