"""What a declared type means for text: one value, a flag, a list, JSON, or a group of further parameters."""

import collections
import collections.abc
import dataclasses
import datetime
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, NewType, Union, get_args, get_origin

from typing_extensions import is_typeddict

from hyperplane.facets.params.texts import (
    FALSE_WORDS,
    TRUE_WORDS,
    read_json,
    read_json_as,
    split_commas,
    starts_json,
    text_of,
)

Kind = Literal["text", "choice", "flag", "list", "json", "group", "mixed"]
NONE_WORDS = frozenset({"", "none", "null"})
_LISTS = (list, tuple, set, frozenset, collections.deque)
_ABSTRACT_LISTS = (
    collections.abc.Sequence,
    collections.abc.MutableSequence,
    collections.abc.Set,
    collections.abc.MutableSet,
    collections.abc.Collection,
    collections.abc.Iterable,
)
_NUMBERS = (int, float, complex, Decimal)
_MOMENTS = (datetime.date, datetime.time, datetime.timedelta)
_LABELS: dict[Any, str] = {
    int: "INT",
    float: "FLOAT",
    Decimal: "DECIMAL",
    Path: "PATH",
    str: "TEXT",
    Any: "VALUE",
}


@dataclass(frozen=True, slots=True)
class Shape:
    """How the words for a parameter are read.

    `label`: what stands for a value in the help text. `knows_none`: `none` means None, for no text
    of this type could. `model`: the class behind a group. `exact_numbers`: JSON fractions become
    `Decimal`, because the type asks for them.
    """

    kind: Kind = "text"
    label: str = "TEXT"
    knows_none: bool = False
    choices: tuple[object, ...] = ()
    element: "Shape | None" = None
    members: "tuple[Shape, ...]" = ()
    model: type | None = None
    exact_numbers: bool = False

    @property
    def takes_many(self) -> bool:
        """Whether it takes as many words as follow."""
        return self.kind == "list"

    @property
    def stands_alone(self) -> bool:
        """Whether the option alone, without a value, means True."""
        return self.kind == "flag" or any(member.kind == "flag" for member in self.members)

    def accepts(self, word: str) -> bool:
        """Say whether a word after an option that can stand alone is its value."""
        return self.kind != "flag" or word.strip().lower() in TRUE_WORDS | FALSE_WORDS

    def read(self, words: Sequence[str]) -> Any:
        """Return what the words mean, as pydantic takes it in its lax mode.

        Raises a `ValueError` that does not hold the text.
        """
        if self.knows_none and len(words) == 1 and self._means_none(words[0]):
            return None
        if self.kind == "list":
            return [item for word in words for item in self._items(word)]
        return _READERS[self.kind](self, words[-1])

    def _means_none(self, word: str) -> bool:
        if self.kind == "list" and not word.strip():
            return False
        return word.strip().lower() in NONE_WORDS and word not in map(text_of, self.choices)

    def _items(self, word: str) -> list[Any]:
        element = self.element or Shape()
        if starts_json(word, "["):
            return [
                _choice_or(element, item)
                for item in read_json_as(list, word, exact_numbers=self.exact_numbers)
            ]
        if element.kind in {"text", "choice", "flag"}:
            return [element.read((piece,)) for piece in split_commas(word)]
        return [read_json(word, exact_numbers=self.exact_numbers)] if word.strip() else []


def _choice_or(element: Shape, item: Any) -> Any:
    return element.read((item,)) if isinstance(item, str) and element.kind == "choice" else item


def _read_text(_shape: Shape, word: str) -> str:
    return word


def _read_choice(shape: Shape, word: str) -> object:
    options = [(option.value if isinstance(option, Enum) else option, option) for option in shape.choices]
    exact = [option for value, option in options if value == word]
    written = [option for value, option in options if text_of(value) == word]
    named = [option for _, option in options if isinstance(option, Enum) and option.name == word]
    return next(iter((*exact, *written, *named)), word)


def _read_json(shape: Shape, word: str) -> Any:
    return read_json_as(dict, word, exact_numbers=shape.exact_numbers)


def _read_mixed(shape: Shape, word: str) -> Any:
    if shape.stands_alone and word.lower() in {"true", "false"}:
        return word.lower() == "true"
    kinds = {member.kind for member in shape.members}
    if starts_json(word) and kinds & {"list", "json", "group", "mixed"}:
        try:
            return read_json(word, exact_numbers=shape.exact_numbers)
        except ValueError:
            return word
    return _read_choice(shape, word)


_READERS: dict[Kind, Callable[[Shape, str], Any]] = {
    "text": _read_text,
    "flag": _read_text,
    "choice": _read_choice,
    "json": _read_json,
    "group": _read_json,
    "mixed": _read_mixed,
}


def shape_of(annotation: Any) -> Shape:
    """Return how text for this annotation is read."""
    bare = _bare(annotation)
    origin = get_origin(bare) or bare
    if origin in (Union, types.UnionType):
        return _union(get_args(bare))
    if origin is Literal:
        return Shape("choice", _label_of_choices(get_args(bare)), choices=get_args(bare))
    if not isinstance(origin, type):
        return Shape(label="VALUE")
    return _shape_of_class(origin, get_args(bare))


def _shape_of_class(kind: type, arguments: tuple[Any, ...]) -> Shape:
    if issubclass(kind, Enum):
        return Shape("choice", _label_of_choices(tuple(kind)), choices=tuple(kind))
    if kind is bool:
        return Shape("flag", "true|false")
    if issubclass(kind, _LISTS) or kind in _ABSTRACT_LISTS:
        element = _element(arguments)
        return Shape("list", element.label, element=element, exact_numbers=element.exact_numbers)
    if issubclass(kind, collections.abc.Mapping) or is_typeddict(kind):
        return Shape("json", "JSON", exact_numbers=any(shape_of(each).exact_numbers for each in arguments))
    if getattr(kind, "__pydantic_root_model__", False):
        return shape_of(kind.__pydantic_fields__["root"].annotation)  # type: ignore[attr-defined]  # a RootModel
    if is_model(kind):
        return Shape("group", "JSON", model=kind)
    return Shape(label=_LABELS.get(kind, kind.__name__.upper()), exact_numbers=kind is Decimal)


def is_model(kind: object) -> bool:
    """Say whether this is a class with named, typed fields: a pydantic model or a dataclass."""
    return isinstance(kind, type) and (dataclasses.is_dataclass(kind) or hasattr(kind, "__pydantic_fields__"))


def _bare(annotation: Any) -> Any:
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            if any(_is_raw_json(mark) for mark in annotation.__metadata__):
                return str
            annotation = annotation.__origin__
        elif isinstance(annotation, NewType):
            annotation = annotation.__supertype__
        elif hasattr(annotation, "__value__"):
            annotation = annotation.__value__
        else:
            return annotation


def _is_raw_json(mark: object) -> bool:
    # pydantic's `Json[...]` wants the text itself, and parses it on its own
    from pydantic import Json

    return mark is Json or isinstance(mark, Json)


def _union(members: tuple[Any, ...]) -> Shape:
    shapes = tuple(shape_of(member) for member in members if member not in (None, type(None)))
    knows_none = len(shapes) < len(members)
    choices = tuple(choice for shape in shapes for choice in shape.choices)
    if len(shapes) == 1:
        return dataclasses.replace(shapes[0], knows_none=knows_none and not _takes_any_text(members))
    if all(shape.kind == "choice" for shape in shapes):
        return Shape("choice", _label_of_choices(choices), knows_none, choices)
    return Shape(
        "mixed",
        "|".join(dict.fromkeys(shape.label for shape in shapes)),
        knows_none=knows_none and not _takes_any_text(members),
        choices=choices,
        members=shapes,
        exact_numbers=any(shape.exact_numbers for shape in shapes),
    )


def _takes_any_text(members: tuple[Any, ...]) -> bool:
    return not all(_rules_out_none(member) for member in members)


def _rules_out_none(member: Any) -> bool:
    bare = _bare(member)
    if bare in (None, type(None)) or shape_of(bare).kind not in {"text", "mixed"}:
        return True
    return isinstance(bare, type) and issubclass(bare, (*_NUMBERS, *_MOMENTS))


def _element(arguments: tuple[Any, ...]) -> Shape:
    shapes = {shape_of(argument) for argument in arguments if argument is not Ellipsis}
    return shapes.pop() if len(shapes) == 1 else Shape(label="VALUE")


def _label_of_choices(choices: tuple[object, ...]) -> str:
    return "|".join(text_of(choice) for choice in choices)
