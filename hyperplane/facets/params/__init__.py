"""`ctx.params`: what the user tells a job, by name or as a declared class, from every source."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, overload

from hyperplane.environment import Environment, Origin
from hyperplane.errors import Mask, ParamsError, masked_errors, unmasked
from hyperplane.explain import Row
from hyperplane.facets.params import sources
from hyperplane.facets.params.texts import printable, text_of
from hyperplane.facets.params.untyped import Params

__all__ = ["Params", "TypedParams", "resolve", "unread_options"]

M = TypeVar("M")


@dataclass(frozen=True, slots=True)
class TypedParams(Generic[M]):
    """The parameters, and where each came from."""

    value: M
    rows: tuple[Row, ...]


@overload
def resolve(
    params: Mapping[str, object] | None,
    environment: Environment,
    *,
    argv: Sequence[str] | None = None,
    program: str | None = None,
    declared: Iterable[str] = (),
    mask: Mask = unmasked,
) -> TypedParams[Params]: ...
@overload
def resolve(
    params: type[M],
    environment: Environment,
    *,
    argv: Sequence[str] | None = None,
    program: str | None = None,
    declared: Iterable[str] = (),
    mask: Mask = unmasked,
) -> TypedParams[M]: ...
@overload
def resolve(
    params: M,
    environment: Environment,
    *,
    argv: Sequence[str] | None = None,
    program: str | None = None,
    declared: Iterable[str] = (),
    mask: Mask = unmasked,
) -> TypedParams[M]: ...
def resolve(
    params: Any,
    environment: Environment,
    *,
    argv: Sequence[str] | None = None,
    program: str | None = None,
    declared: Iterable[str] = (),
    mask: Mask = unmasked,
) -> TypedParams[Any]:
    """Return the parameters that were declared, filled from every source.

    `params`: a pydantic model or dataclass type; an instance of one, whose explicit values are arguments
    that win; an `argparse.Namespace`, taken as it is; a mapping or None for untyped parameters.
    `argv`: the command line of typed parameters; not read unless given. `program`: its name in the help.
    `declared`: further names of untyped parameters. `mask`: takes the secrets out of errors.

    Per parameter the first wins: argument, command line, environment by exact case, `.env`, platform,
    default.

    Raises `ParamsError` with everything that is wrong, by name and source and never by value.
    Exits with 0 after printing the help for `--help`.
    """
    if isinstance(argv, str):
        raise ParamsError("argv is one text", hint="Give a list of words, such as sys.argv[1:].", names=())
    if params is None or isinstance(params, Mapping):
        untyped = Params(params, environment, declared=declared, mask=mask)
        return TypedParams(untyped, tuple(untyped.rows()))
    if _is_namespace(params):
        return TypedParams(params, tuple(_argument_row(name, value) for name, value in vars(params).items()))
    from hyperplane.facets.params import typed

    fill = typed.from_class if isinstance(params, type) else typed.from_instance
    with masked_errors(mask):
        value, rows = fill(params, environment, argv, program, mask)
    return TypedParams(value, tuple(rows))


def unread_options(params: object, argv: Iterable[str]) -> list[str]:
    """Return the options on a command line that typed parameters would take, were it read."""
    words = list(argv)
    is_untyped = params is None or isinstance(params, Mapping) or _is_namespace(params)
    if is_untyped or not any(word.startswith("-") for word in words):
        return []
    from hyperplane.facets.params import commandline, fields

    model = params if isinstance(params, type) else type(params)
    return commandline.known_options(words, fields.declared_fields(model))


def _is_namespace(params: object) -> bool:
    # who made a Namespace has imported argparse; importing it here would cost every job
    argparse = sys.modules.get("argparse")
    return argparse is not None and isinstance(params, argparse.Namespace)


def _argument_row(name: str, value: object) -> Row:
    shown = None if value is None else printable(text_of(value))
    return Row("parameter", name, shown, Origin(sources.ARGUMENT, name))
