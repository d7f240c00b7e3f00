"""YAML as a job file has it: text, lists and maps alone, each with its line; all else is refused."""

import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hyperplane.errors import JobFileError, did_you_mean

if TYPE_CHECKING:
    from yaml import Event

LIMIT_BYTES = 1 << 20
_DEPTH_LIMIT = 8
_TOO_DEEP = f"lists and maps are nested deeper than {_DEPTH_LIMIT} levels"
_UNPRINTABLE = re.compile("[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_QUOTE_IT = "Put quotes around a value that begins with this character."
# what the parser quotes may be part of a value, unless it is a token's name such as <scalar>
_QUOTED = re.compile(r""" (['"])[^<>'"]{2,}\1""")


class Source(NamedTuple):
    """The file, for errors."""

    path: Path

    def error(self, problem: str, line: int | None = None, hint: str = "") -> JobFileError:
        """Return an error that names the file, and the line where there is one."""
        where = f"{self.path}, line {line}" if line else f"{self.path}"
        return JobFileError(f"{where}: {problem}", hint=hint, path=self.path, line=line)


class Scalar(NamedTuple):
    """Text, as it was typed."""

    line: int
    text: str


class List(NamedTuple):
    """A list."""

    line: int
    items: "tuple[Node, ...]"


class Map(NamedTuple):
    """A map: pairs, in their order."""

    line: int
    pairs: "tuple[tuple[Scalar, Node], ...]"


Node = Scalar | List | Map


def parse(source: Source) -> Node | None:
    """Return what a file says, or None where it is empty. Raises `JobFileError`."""
    return _document(source, _events(source, _text(source)))


def shown(text: str) -> str:
    """Return a name as errors show it."""
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


def _document(source: Source, events: "Iterator[Event]") -> Node | None:
    import yaml

    root = None
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent) and root is not None:
            raise source.error("a second document begins", _line(event), "Keep one job in each file.")
        if isinstance(event, yaml.NodeEvent):
            root = _node(source, event, events)
    return root


def _node(source: Source, event: "Event", events: "Iterator[Event]", depth: int = 0) -> Node:
    """Build a node whose first event was taken; what makes YAML more than text, lists and maps is refused."""
    import yaml

    if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
        raise source.error("anchors (&) and aliases (*) cannot be used", _line(event), _QUOTE_IT)
    if getattr(event, "tag", None) is not None:
        raise source.error("tags (!) cannot be used", _line(event), _QUOTE_IT)
    if isinstance(event, yaml.ScalarEvent):
        return Scalar(_line(event), event.value)
    if depth == _DEPTH_LIMIT:
        raise source.error(_TOO_DEEP, _line(event))
    children = _children(source, events, depth + 1)
    if isinstance(event, yaml.SequenceStartEvent):
        return List(_line(event), tuple(children))
    return _map(source, _line(event), children)


def _children(source: Source, events: "Iterator[Event]", depth: int) -> list[Node]:
    import yaml

    children = []
    while not isinstance(event := next(events), yaml.CollectionEndEvent):
        children.append(_node(source, event, events, depth))
    return children


def _map(source: Source, line: int, children: list[Node]) -> Map:
    pairs = {}
    for key, value in zip(children[::2], children[1::2], strict=True):
        if not isinstance(key, Scalar):
            raise source.error("a key is a list or a map", key.line, "Write keys as text.")
        if key.text in pairs:
            raise source.error(f"the key {shown(key.text)} stands here for the second time", key.line)
        pairs[key.text] = (key, value)
    return Map(line, tuple(pairs.values()))


def _line(event: "Event") -> int:
    mark = event.start_mark
    return mark.line + 1 if mark is not None else 0


def _events(source: Source, text: str) -> "Iterator[Event]":
    import yaml

    try:
        yield from yaml.parse(text, Loader=getattr(yaml, "CBaseLoader", yaml.BaseLoader))
    # ValueError and OverflowError: the parser in Python on an escape such as "\UFFFFFFFF"
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        mark = getattr(error, "problem_mark", None)
        problem = _QUOTED.sub("", getattr(error, "problem", None) or "an escape is no character")
        # some versions of libyaml give up on depth by themselves, before they have given one event
        told = _TOO_DEEP if "nesting depth" in problem else f"this is not YAML: {problem}"
        # from None: the parser's own error shows the line, and with it a value
        raise source.error(told, mark and mark.line + 1) from None


def _text(source: Source) -> str:
    try:
        data = _read_regular_file(source.path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        hint = _similar_file(source.path) if isinstance(error, FileNotFoundError) else ""
        raise source.error(f"it cannot be read: {reason}", hint=hint or "Give a YAML file.") from error
    if len(data) > LIMIT_BYTES:
        raise source.error("it is larger than 1 MiB", hint="Keep data in files of its own, as inputs.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise source.error("this is not UTF-8", line, "Save the file as UTF-8.") from None
    if found := _UNPRINTABLE.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise source.error(f"the character U+{ord(found[0]):04X} cannot stand in a job file", line)
    return text


def _read_regular_file(path: Path) -> bytes:
    # asked before opening: opening a FIFO would wait for its writer
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(None, "it is not a regular file")
    with path.open("rb") as file:
        return file.read(LIMIT_BYTES + 1)


def _similar_file(path: Path) -> str:
    return did_you_mean(path.name, sorted(other.name for other in path.parent.glob("*.y*ml")))
