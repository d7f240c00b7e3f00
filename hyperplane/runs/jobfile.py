"""The job file: what to run and with what, read from YAML and checked before anything starts."""

import re
import shlex
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, cast, get_args

from hyperplane.errors import JobFileError, did_you_mean
from hyperplane.runs.plan import STRING_LIMIT_BYTES
from hyperplane.runs.record import DEFAULT_SECRET_SCAN, SecretScan

if TYPE_CHECKING:
    from yaml import Event

KEYS = (
    "main", "name", "environment_params", "inputs", "secrets", "output_url",
    "retries", "timeout_s", "secret_scan",
)  # fmt: skip
LIMIT_BYTES = 1 << 20
LONGEST_TIMEOUT_S = 1e9
_NAME_LIMIT = 200
_DEPTH_LIMIT = 8
_TOO_DEEP = f"lists and maps are nested deeper than {_DEPTH_LIMIT} levels"
_OURS = "HYPERPLANE_"
_UNPRINTABLE = re.compile("[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_COUNT = re.compile("0|[1-9][0-9]{0,5}")
_SECONDS = re.compile(r"(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
# what the parser quotes may be part of a value, unless it is a token's name such as <scalar>
_QUOTED = re.compile(r""" (['"])[^<>'"]{2,}\1""")
# a word as it was typed, with its quotes
_RAW_WORD = re.compile(r"""(?:[^\s'"\\]|\\.|'[^']*'|"(?:[^"\\]|\\.)*")+""", re.DOTALL)
_OPERATORS = frozenset({"&&", "||", "|", ";", "&", ">", "<", ">>", "2>&1"})
_QUOTE_IT = "Put quotes around a value that begins with this character."
_ONE_VALUE = "Write one value, in quotes where it begins with [ or {."
_SECRETS_HINT = "Write `secrets: [db_password, {wandb: {env: WANDB_API_KEY}}]`."


@dataclass(frozen=True, slots=True)
class SecretRequest:
    """A secret that the job is to have; `env` is the variable that holds its value, if one does."""

    name: str
    env: str | None = None


@dataclass(frozen=True, slots=True)
class JobFile:
    """A job file that can be run: `main` is the command in words, scalars are the text that was typed."""

    path: Path
    main: tuple[str, ...]
    name: str
    parameters: Mapping[str, str]
    inputs: Mapping[str, str]
    secrets: tuple[SecretRequest, ...]
    output_url: str | None
    retries: int = 0
    timeout_s: float | None = None
    secret_scan: SecretScan = DEFAULT_SECRET_SCAN

    @property
    def folder(self) -> Path:
        """The folder that the job runs in."""
        return self.path.parent


def read(path: Path) -> JobFile:
    """Read a job file and check all of it.

    Raises `JobFileError` with the path, and the line where there is one, for a file that cannot be read,
    is no plain YAML mapping, or has a key or value that is wrong. Values of parameters are never shown.
    """
    source = _Source(path)
    root = _document(source, _events(source, _text(source)))
    if not isinstance(root, _Map):
        problem = "the file is empty" if root is None else "this is no list of `key: value` lines"
        hint = "A job file must have one key, `main`: the command to run."
        raise source.error(problem, root and root.line, hint)
    for key, _ in root.pairs:
        if key.text not in KEYS:
            hint = f"{did_you_mean(key.text, KEYS)} Known keys: {', '.join(KEYS)}.".strip()
            raise source.error(f"unknown key {_shown(key.text)}", key.line, hint)
    nodes = {key.text: node for key, node in root.pairs}
    if "main" not in nodes:
        raise source.error("the key main is missing", root.line, "Add the command, as in `main: ./train.py`.")
    parameters = _parameters(source, nodes.get("environment_params"))
    return JobFile(
        path=path.absolute(),
        main=_command(source, nodes["main"]),
        name=_name(source, nodes["name"]) if "name" in nodes else path.stem,
        parameters=parameters,
        inputs=_inputs(source, nodes.get("inputs")),
        secrets=_secrets(source, nodes.get("secrets"), taken=parameters),
        output_url=_scalar(source, nodes["output_url"], "output_url") if "output_url" in nodes else None,
        retries=_retries(source, nodes["retries"]) if "retries" in nodes else 0,
        timeout_s=_timeout(source, nodes["timeout_s"]) if "timeout_s" in nodes else None,
        secret_scan=_scan(source, nodes["secret_scan"]) if "secret_scan" in nodes else DEFAULT_SECRET_SCAN,
    )


class _Source(NamedTuple):
    path: Path

    def error(self, problem: str, line: int | None = None, hint: str = "") -> JobFileError:
        where = f"{self.path}, line {line}" if line else f"{self.path}"
        return JobFileError(f"{where}: {problem}", hint=hint, path=self.path, line=line)


class _Scalar(NamedTuple):
    line: int
    text: str


class _List(NamedTuple):
    line: int
    items: "tuple[_Node, ...]"


class _Map(NamedTuple):
    line: int
    pairs: "tuple[tuple[_Scalar, _Node], ...]"


_Node = _Scalar | _List | _Map


def _command(source: _Source, node: _Node) -> tuple[str, ...]:
    text = _scalar(source, node, "main")
    try:
        words = tuple(shlex.split(text))
    except ValueError:
        hint = "Close every quote; no shell will read it, so pipes and $VARIABLES have no meaning."
        raise source.error("main has a quote that is not closed, or ends in \\", node.line, hint) from None
    if not words or not words[0]:
        raise source.error("main has no command", node.line, "Name a program or a .py file first.")
    if operator := next((word for word in _RAW_WORD.findall(text) if word in _OPERATORS), None):
        hint = 'Write `main: sh -c "..."` for a shell to run it, or put the word in quotes.'
        raise source.error(f"main has a {operator}, and no shell runs it", node.line, hint)
    return words


def _name(source: _Source, node: _Node) -> str:
    name = _scalar(source, node, "name")
    if not name.isprintable() or len(name) > _NAME_LIMIT:
        raise source.error(f"name is not one line of at most {_NAME_LIMIT} characters", node.line)
    return name


def _retries(source: _Source, node: _Node) -> int:
    text = _scalar(source, node, "retries")
    if not _COUNT.fullmatch(text):
        hint = "Give how often a failed run is tried again in digits, as in `retries: 2`."
        raise source.error(f"retries is {_shown(text)}, not a whole number from 0 to 999999", node.line, hint)
    return int(text)


def _timeout(source: _Source, node: _Node) -> float:
    text = _scalar(source, node, "timeout_s")
    seconds = float(text) if _SECONDS.fullmatch(text) else 0.0
    if not 0 < seconds <= LONGEST_TIMEOUT_S:
        hint = "Give seconds in digits, as in `timeout_s: 3600`, or leave it out for no limit."
        raise source.error(f"timeout_s is {_shown(text)}, not seconds from above 0 to 1e9", node.line, hint)
    return seconds


def _scan(source: _Source, node: _Node) -> SecretScan:
    text = _scalar(source, node, "secret_scan")
    if text not in get_args(SecretScan):
        raise source.error(f"secret_scan is {_shown(text)}, not block, warn or off", node.line)
    return cast("SecretScan", text)


def _parameters(source: _Source, node: _Node | None) -> Mapping[str, str]:
    parameters: dict[str, str] = {}
    for key, value in _pairs_or_items(source, node, "environment_params"):
        name = _variable_name(source, key, "a parameter")
        if name in parameters:
            raise source.error(f"the parameter {_shown(name)} stands here for the second time", key.line)
        parameters[name] = _variable_value(source, value, f"the parameter {_shown(name)}", name)
    return MappingProxyType(parameters)


def _inputs(source: _Source, node: _Node | None) -> Mapping[str, str]:
    inputs = {}
    for key, value in _pairs(source, node, "inputs"):
        name = _environment_name(source, key, "an input")
        what = f"the input {_shown(name)}"
        inputs[name] = _variable_value(source, value, what, f"{_OURS}INPUT_{name}")
        if not inputs[name]:
            raise source.error(f"{what} is empty", value.line, "Give a path or a URL.")
    return MappingProxyType(inputs)


def _secrets(source: _Source, node: _Node | None, taken: Iterable[str]) -> tuple[SecretRequest, ...]:
    if node is None or _is_blank(node):
        return ()
    if not isinstance(node, _List):
        raise source.error("secrets is not a list", node.line, _SECRETS_HINT)
    requests: dict[str, SecretRequest] = {}
    variables = set(taken)
    for item in node.items:
        request = _secret(source, item)
        if request.name in requests:
            problem = f"the secret {_shown(request.name)} stands here for the second time"
            raise source.error(problem, item.line)
        if request.env in variables:
            problem = f"the variable {_shown(request.env)} is already a parameter's or another secret's"
            raise source.error(problem, item.line)
        requests[request.name] = request
        variables |= {request.env} if request.env else set()
    return tuple(requests.values())


def _secret(source: _Source, node: _Node) -> SecretRequest:
    if isinstance(node, _Scalar):
        return SecretRequest(_scalar(source, node, "the name of a secret"))
    if not isinstance(node, _Map) or len(node.pairs) != 1:
        raise source.error("this is neither a secret's name nor one with its env", node.line, _SECRETS_HINT)
    key, options = node.pairs[0]
    name = _scalar(source, key, "the name of a secret")
    env = None
    for option, value in _pairs(source, options, f"what is said of the secret {_shown(name)}"):
        if option.text != "env":
            hint = "The one known key is env."
            raise source.error(f"unknown key {_shown(option.text)} of a secret", option.line, hint)
        env = _variable_name(source, value, "a secret's variable")
    return SecretRequest(name, env)


def _pairs_or_items(source: _Source, node: _Node | None, key: str) -> Iterator[tuple[_Scalar, _Node]]:
    if not isinstance(node, _List):
        yield from _pairs(source, node, key)
        return
    for item in node.items:
        if not isinstance(item, _Map) or len(item.pairs) != 1:
            raise source.error(f"an item of {key} is not one `NAME: value`", item.line)
        yield item.pairs[0]


def _pairs(source: _Source, node: _Node | None, key: str) -> tuple[tuple[_Scalar, _Node], ...]:
    if node is None or _is_blank(node):
        return ()
    if not isinstance(node, _Map):
        hint = "Write `NAME: value` on lines of their own below it."
        raise source.error(f"{key} is not a map", node.line, hint)
    return node.pairs


def _is_blank(node: _Node) -> bool:
    return isinstance(node, _Scalar) and not node.text


def _variable_name(source: _Source, node: _Node, what: str) -> str:
    name = _environment_name(source, node, what)
    if name.startswith(_OURS):
        hint = f"Names that begin with {_OURS} are settings; choose another."
        raise source.error(f"{_shown(name)} cannot be the name of {what}", node.line, hint)
    return name


def _environment_name(source: _Source, node: _Node, what: str) -> str:
    name = _scalar(source, node, f"the name of {what}")
    if "=" in name:
        problem = f"the name of {what}, {_shown(name)}, holds a ="
        raise source.error(problem, node.line, "Write `NAME: value`.")
    return name


def _variable_value(source: _Source, node: _Node, what: str, variable: str) -> str:
    if not isinstance(node, _Scalar):
        raise source.error(f"{what} is a list or a map, not one value", node.line, _ONE_VALUE)
    return _string(source, node, what, room=len(variable.encode()) + len("=\0"))


def _scalar(source: _Source, node: _Node, what: str) -> str:
    if not isinstance(node, _Scalar):
        raise source.error(f"{what} is a list or a map, not one value", node.line, _ONE_VALUE)
    if not node.text:
        raise source.error(f"{what} is empty", node.line, "Give it a value, or leave it out.")
    return _string(source, node, what)


def _string(source: _Source, node: _Scalar, what: str, room: int = 1) -> str:
    try:
        too_many = len(node.text.encode()) + room - STRING_LIMIT_BYTES
    except UnicodeEncodeError:
        raise source.error(f"{what} holds half a character (a lone surrogate)", node.line) from None
    if "\0" in node.text:
        raise source.error(f"{what} holds a NUL character, which no process can be given", node.line)
    if too_many > 0:
        hint = "Put it into a file, and name that file under inputs."
        raise source.error(f"{what} is {too_many} bytes longer than a process can be given", node.line, hint)
    return node.text


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


def _document(source: _Source, events: "Iterator[Event]") -> _Node | None:
    import yaml

    root = None
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent) and root is not None:
            raise source.error("a second document begins", _line(event), "Keep one job in each file.")
        if isinstance(event, yaml.NodeEvent):
            root = _node(source, event, events)
    return root


def _node(source: _Source, event: "Event", events: "Iterator[Event]", depth: int = 0) -> _Node:
    """Build a node whose first event was taken; what makes YAML more than text, lists and maps is refused."""
    import yaml

    if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
        raise source.error("anchors (&) and aliases (*) cannot be used", _line(event), _QUOTE_IT)
    if getattr(event, "tag", None) is not None:
        raise source.error("tags (!) cannot be used", _line(event), _QUOTE_IT)
    if isinstance(event, yaml.ScalarEvent):
        return _Scalar(_line(event), event.value)
    if depth == _DEPTH_LIMIT:
        raise source.error(_TOO_DEEP, _line(event))
    children = _children(source, events, depth + 1)
    if isinstance(event, yaml.SequenceStartEvent):
        return _List(_line(event), tuple(children))
    return _map(source, _line(event), children)


def _children(source: _Source, events: "Iterator[Event]", depth: int) -> list[_Node]:
    import yaml

    children = []
    while not isinstance(event := next(events), yaml.CollectionEndEvent):
        children.append(_node(source, event, events, depth))
    return children


def _map(source: _Source, line: int, children: list[_Node]) -> _Map:
    pairs = {}
    for key, value in zip(children[::2], children[1::2], strict=True):
        if not isinstance(key, _Scalar):
            raise source.error("a key is a list or a map", key.line, "Write keys as text.")
        if key.text in pairs:
            raise source.error(f"the key {_shown(key.text)} stands here for the second time", key.line)
        pairs[key.text] = (key, value)
    return _Map(line, tuple(pairs.values()))


def _line(event: "Event") -> int:
    mark = event.start_mark
    return mark.line + 1 if mark is not None else 0


def _events(source: _Source, text: str) -> "Iterator[Event]":
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


def _text(source: _Source) -> str:
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
