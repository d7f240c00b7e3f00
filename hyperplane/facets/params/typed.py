"""Typed parameters: a declared class filled from every source and checked in one go."""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from hyperplane.environment import Environment
from hyperplane.errors import Mask, ParamsError
from hyperplane.explain import Row
from hyperplane.facets.params import commandline
from hyperplane.facets.params.fields import Field, declared_fields, held, reads_environment_itself
from hyperplane.facets.params.helptext import help_text
from hyperplane.facets.params.merging import Merged, gather
from hyperplane.facets.params.problems import params_error, problems_in


def from_class(
    model: type, environment: Environment, argv: Sequence[str] | None, program: str | None, mask: Mask
) -> tuple[Any, list[Row]]:
    """Fill a class, and return the instance with where each value came from."""
    if reads_environment_itself(model):
        raise ParamsError(
            f"{model.__name__} cannot declare parameters: it reads the environment by itself, in any case",
            hint="Derive it from pydantic.BaseModel, or give an instance of it.",
            names=(),
        )
    merged = _merge(model, {}, environment, argv, program, mask)
    value = _validated(model, merged, has_command_line=argv is not None)
    return value, merged.rows(value)


def from_instance(
    instance: Any, environment: Environment, argv: Sequence[str] | None, program: str | None, mask: Mask
) -> tuple[Any, list[Row]]:
    """Keep what an instance was told, fill what it was not, and return it with where each value came from."""
    model = type(instance)
    arguments = _told_values(instance, declared_fields(model))
    merged = _merge(model, arguments, environment, argv, program, mask)
    told_now = [f for f in merged.fields if f.name not in arguments and merged.says_anything_of(f)]
    if told_now:
        filled = _validated(model, merged, has_command_line=argv is not None)
        # only what was unset: arguments stay the very objects that were given
        instance = instance.model_copy(update={field.attribute: held(filled, field) for field in told_now})
    return instance, merged.rows(instance)


def _told_values(instance: Any, fields: Sequence[Field]) -> dict[str, object]:
    is_settled = dataclasses.is_dataclass(instance) or reads_environment_itself(type(instance))
    told = [field for field in fields if is_settled or field.attribute in instance.model_fields_set]
    return {field.name: held(instance, field) for field in told}


def _merge(
    model: type,
    arguments: dict[str, object],
    environment: Environment,
    argv: Sequence[str] | None,
    program: str | None,
    mask: Mask,
) -> Merged:
    fields = declared_fields(model)
    options = {}
    if argv is not None:
        if commandline.asks_for_help(argv, fields):
            sys.stdout.write(help_text(model, fields, program or Path(sys.argv[0]).name))
            raise SystemExit(0)
        options = commandline.parse(argv, fields, mask)
    return Merged(fields, gather(fields, arguments, options, environment))


def _validated(model: type, merged: Merged, *, has_command_line: bool) -> Any:
    from pydantic import TypeAdapter, ValidationError

    problems, value = list(merged.problems), cast("Any", None)
    try:
        # lax: what comes as text must become numbers in a strict model too
        value = TypeAdapter(model).validate_python(merged.data, strict=False)
    except ValidationError as error:
        problems += problems_in(error, merged, model.__name__)
    # raised out here, so that pydantic's error with the values in it is not its context
    if problems:
        raise params_error(problems, merged, has_command_line=has_command_line)
    return value
