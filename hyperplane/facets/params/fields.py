"""The parameters that a model or dataclass declares, as a tree of named fields."""

import dataclasses
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hyperplane.errors import ParamsError
from hyperplane.facets.params.shapes import Shape, is_model, shape_of

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo


@dataclass(frozen=True, slots=True)
class Field:
    """One declared parameter.

    `name`: dotted, as it is written on a command line and in the environment; `spellings`: that and
    its aliases. `attribute`: its name in the class; `key`: what the class calls it in its input.
    `children`: the fields of a group.
    """

    name: str
    attribute: str
    key: str
    spellings: tuple[str, ...]
    shape: Shape
    info: "FieldInfo"
    children: "tuple[Field, ...]" = ()

    @property
    def is_hidden(self) -> bool:
        """Whether its values are not for showing (`repr=False`)."""
        return not self.info.repr

    def default(self) -> Any:
        """Return the default, made anew where a factory makes it, or None where there is none."""
        if self.info.default_factory_takes_validated_data or self.info.is_required():
            return None
        return self.info.get_default(call_default_factory=True)

    def is_called(self, part: object) -> bool:
        """Say whether pydantic means this field by one part of a location."""
        prefix = self.name.removesuffix(self.attribute)
        return isinstance(part, str) and prefix + part in self.spellings


def declared_fields(model: type) -> tuple[Field, ...]:
    """Return the parameters that a class declares.

    Raises `ParamsError` for a class that cannot declare parameters.
    """
    _refuse_unusable(model)
    return _fields(model, "", frozenset({model}))


def reads_environment_itself(model: type) -> bool:
    """Say whether a class is of pydantic-settings, which has sources of its own."""
    from pydantic_settings import BaseSettings

    return issubclass(model, BaseSettings)


def walk(fields: Iterable[Field]) -> Iterator[Field]:
    """Yield every field, a group before its children."""
    for field in fields:
        yield field
        yield from walk(field.children)


def held(instance: Any, field: Field) -> Any:
    """Return what an instance holds for a field, without the warning that deprecated fields give."""
    values = getattr(instance, "__dict__", {})
    return values[field.attribute] if field.attribute in values else getattr(instance, field.attribute)


def _refuse_unusable(model: type) -> None:
    from pydantic import RootModel

    reason = ""
    if not is_model(model):
        reason = "is neither a pydantic model nor a dataclass"
    elif issubclass(model, RootModel):
        reason = "has no named fields"
    if reason:
        raise ParamsError(
            f"{model.__name__} cannot declare parameters: it {reason}",
            hint="Declare them in a class derived from pydantic.BaseModel, or in a dataclass.",
            names=(),
        )


def _fields(model: type, prefix: str, enclosing: frozenset[type]) -> tuple[Field, ...]:
    infos = _infos(model)
    return tuple(_field(model, name, info, prefix, enclosing) for name, info in infos.items())


def _field(model: type, attribute: str, info: "FieldInfo", prefix: str, enclosing: frozenset[type]) -> Field:
    aliases = _aliases(model, attribute, info)
    shape = shape_of(info.rebuild_annotation())
    inner = shape.model
    # a class within itself is read as JSON: its options would have no end
    children = (
        _fields(inner, f"{prefix}{attribute}.", enclosing | {inner})
        if inner and inner not in enclosing
        else ()
    )
    if any(child.shape.exact_numbers for child in children):
        shape = dataclasses.replace(shape, exact_numbers=True)
    return Field(
        name=prefix + attribute,
        attribute=attribute,
        key=_key(model, attribute, aliases),
        spellings=tuple(dict.fromkeys(prefix + name for name in (attribute, *aliases))),
        shape=shape,
        info=info,
        children=children,
    )


def _aliases(model: type, attribute: str, info: "FieldInfo") -> tuple[str, ...]:
    from pydantic import AliasChoices

    alias = info.validation_alias
    choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
    names = tuple(choice for choice in choices if isinstance(choice, str))
    if alias is not None and not names:
        raise ParamsError(
            f"{model.__name__}.{attribute} cannot be a parameter: an AliasPath names no parameter",
            hint="Give the field an alias that is a name.",
            names=(attribute,),
        )
    return names


def _key(model: type, attribute: str, aliases: tuple[str, ...]) -> str:
    config: Mapping[str, Any] = (
        getattr(model, "model_config", None) or getattr(model, "__pydantic_config__", None) or {}
    )
    return aliases[0] if aliases and config.get("validate_by_alias", True) is not False else attribute


def _infos(model: type) -> "Mapping[str, FieldInfo]":
    from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError

    try:
        return _pydantic_fields(model) if "__pydantic_fields__" in vars(model) else _dataclass_fields(model)
    except (PydanticUserError, PydanticUndefinedAnnotation, NameError) as error:
        raise ParamsError(
            f"{model.__name__} cannot declare parameters: {error}",
            hint="Define the types of its fields where the class can see them.",
            names=(),
        ) from error


def _pydantic_fields(model: Any) -> "Mapping[str, FieldInfo]":
    from pydantic.dataclasses import is_pydantic_dataclass, rebuild_dataclass

    if is_pydantic_dataclass(model):
        rebuild_dataclass(model)
    else:
        model.model_rebuild()
    fields: Mapping[str, FieldInfo] = model.__pydantic_fields__
    return {name: info for name, info in fields.items() if info.init is not False}


def _dataclass_fields(model: Any) -> "dict[str, FieldInfo]":
    hints = typing.get_type_hints(model, include_extras=True)
    return {field.name: _info(field, hints[field.name]) for field in dataclasses.fields(model) if field.init}


def _info(field: dataclasses.Field[Any], hint: Any) -> "FieldInfo":
    from pydantic.fields import Field as PydanticField
    from pydantic.fields import FieldInfo

    if field.default is not dataclasses.MISSING:
        info = FieldInfo.from_annotated_attribute(hint, field.default)
    elif field.default_factory is not dataclasses.MISSING:
        info = FieldInfo.from_annotated_attribute(hint, PydanticField(default_factory=field.default_factory))
    else:
        info = FieldInfo.from_annotation(hint)
    info.repr = info.repr and field.repr
    info.description = info.description or field.metadata.get("description") or field.metadata.get("help")
    return info
