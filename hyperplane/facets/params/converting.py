"""Untyped parameters read as the type of the default that the caller gives."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hyperplane.facets.params.texts import read_bool, read_json_as, split_commas, starts_json, text_of


def convert(value: object, default: Any) -> Any:
    """Return the value as the type of the default.

    Raises a `ValueError` that says what was expected, and never the value.
    """
    wanted = type(default)
    if wanted is str:
        return text_of(value)
    if type(value) is wanted and not isinstance(value, (list, tuple, set, frozenset)):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and wanted is float:
        return float(value)
    if isinstance(default, (list, tuple, set, frozenset)):
        return wanted(_items(value, default))
    return _convert_text(value, wanted)


def _convert_text(value: object, wanted: type) -> Any:
    read, expected = _READERS.get(wanted, (_reader_by_pydantic(wanted), f"a {wanted.__name__}"))
    if isinstance(value, str):
        try:
            return read(value)
        except ValueError:
            pass
    raise ValueError(expected)


def _items(value: object, default: Any) -> list[Any]:
    values = _split(value) if isinstance(value, str) else value
    if not isinstance(values, (list, tuple, set, frozenset)):
        raise ValueError("a list: JSON, or values separated by commas")  # noqa: TRY004 - of the parameter, not the call
    try:
        return [convert(item, example) for item, example in _with_examples(list(values), list(default))]
    except ValueError as error:
        expected = str(error)
    raise ValueError(f"a list of which each is {expected}")


def _split(text: str) -> list[Any]:
    try:
        return list(read_json_as(list, text)) if starts_json(text, "[") else list(split_commas(text))
    except ValueError:
        pass
    raise ValueError("a list: JSON, or values separated by commas")


def _with_examples(values: list[Any], examples: Sequence[Any]) -> list[tuple[Any, Any]]:
    kinds = {type(example) for example in examples}
    if len(kinds) == 1:
        return [(value, examples[0]) for value in values]
    if kinds and len(values) == len(examples):
        return list(zip(values, examples, strict=True))
    return [(value, value) for value in values]


def _read_dict(text: str) -> dict[str, Any]:
    return dict(read_json_as(dict, text))


def _reader_by_pydantic(wanted: type) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        from pydantic import TypeAdapter
        from pydantic.errors import PydanticSchemaGenerationError

        from hyperplane.facets.params.shapes import shape_of

        try:
            adapter: TypeAdapter[Any] = TypeAdapter(wanted)
        except PydanticSchemaGenerationError:
            raise ValueError from None
        return adapter.validate_python(shape_of(wanted).read((text,)))

    return read


_READERS: dict[type, tuple[Callable[[str], Any], str]] = {
    bool: (read_bool, "true or false"),
    int: (int, "an integer"),
    float: (float, "a number"),
    dict: (_read_dict, "a JSON object"),
    Path: (Path, "a path"),
    type(Path()): (Path, "a path"),
}
