"""The job file: what to run and with what, read from YAML and checked before anything starts."""

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import cast, get_args

from hyperplane.errors import did_you_mean
from hyperplane.runs.plainyaml import List, Map, Node, Scalar, Source, parse, shown
from hyperplane.runs.plan import STRING_LIMIT_BYTES
from hyperplane.runs.record import DEFAULT_SECRET_SCAN, SecretScan

KEYS = (
    "main", "name", "environment_params", "inputs", "secrets", "output_url",
    "retries", "timeout_s", "secret_scan",
)  # fmt: skip
LONGEST_TIMEOUT_S = 1e9
_NAME_LIMIT = 200
_OURS = "HYPERPLANE_"
_COUNT = re.compile("0|[1-9][0-9]{0,5}")
_SECONDS = re.compile(r"(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
# a word as it was typed, with its quotes
_RAW_WORD = re.compile(r"""(?:[^\s'"\\]|\\.|'[^']*'|"(?:[^"\\]|\\.)*")+""", re.DOTALL)
_OPERATORS = frozenset({"&&", "||", "|", ";", "&", ">", "<", ">>", "2>&1"})
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
    source = Source(path)
    root = parse(source)
    if not isinstance(root, Map):
        problem = "the file is empty" if root is None else "this is no list of `key: value` lines"
        hint = "A job file must have one key, `main`: the command to run."
        raise source.error(problem, root and root.line, hint)
    for key, _ in root.pairs:
        if key.text not in KEYS:
            hint = f"{did_you_mean(key.text, KEYS)} Known keys: {', '.join(KEYS)}.".strip()
            raise source.error(f"unknown key {shown(key.text)}", key.line, hint)
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


def _command(source: Source, node: Node) -> tuple[str, ...]:
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


def _name(source: Source, node: Node) -> str:
    name = _scalar(source, node, "name")
    if not name.isprintable() or len(name) > _NAME_LIMIT:
        raise source.error(f"name is not one line of at most {_NAME_LIMIT} characters", node.line)
    return name


def _retries(source: Source, node: Node) -> int:
    text = _scalar(source, node, "retries")
    if not _COUNT.fullmatch(text):
        hint = "Give how often a failed run is tried again in digits, as in `retries: 2`."
        raise source.error(f"retries is {shown(text)}, not a whole number from 0 to 999999", node.line, hint)
    return int(text)


def _timeout(source: Source, node: Node) -> float:
    text = _scalar(source, node, "timeout_s")
    seconds = float(text) if _SECONDS.fullmatch(text) else 0.0
    if not 0 < seconds <= LONGEST_TIMEOUT_S:
        hint = "Give seconds in digits, as in `timeout_s: 3600`, or leave it out for no limit."
        raise source.error(f"timeout_s is {shown(text)}, not seconds from above 0 to 1e9", node.line, hint)
    return seconds


def _scan(source: Source, node: Node) -> SecretScan:
    text = _scalar(source, node, "secret_scan")
    if text not in get_args(SecretScan):
        raise source.error(f"secret_scan is {shown(text)}, not block, warn or off", node.line)
    return cast("SecretScan", text)


def _parameters(source: Source, node: Node | None) -> Mapping[str, str]:
    parameters: dict[str, str] = {}
    for key, value in _pairs_or_items(source, node, "environment_params"):
        name = _variable_name(source, key, "a parameter")
        if name in parameters:
            raise source.error(f"the parameter {shown(name)} stands here for the second time", key.line)
        parameters[name] = _variable_value(source, value, f"the parameter {shown(name)}", name)
    return MappingProxyType(parameters)


def _inputs(source: Source, node: Node | None) -> Mapping[str, str]:
    inputs = {}
    for key, value in _pairs(source, node, "inputs"):
        name = _environment_name(source, key, "an input")
        what = f"the input {shown(name)}"
        inputs[name] = _variable_value(source, value, what, f"{_OURS}INPUT_{name}")
        if not inputs[name]:
            raise source.error(f"{what} is empty", value.line, "Give a path or a URL.")
    return MappingProxyType(inputs)


def _secrets(source: Source, node: Node | None, taken: Iterable[str]) -> tuple[SecretRequest, ...]:
    if node is None or _is_blank(node):
        return ()
    if not isinstance(node, List):
        raise source.error("secrets is not a list", node.line, _SECRETS_HINT)
    requests: dict[str, SecretRequest] = {}
    variables = set(taken)
    for item in node.items:
        request = _secret(source, item)
        if request.name in requests:
            problem = f"the secret {shown(request.name)} stands here for the second time"
            raise source.error(problem, item.line)
        if request.env in variables:
            problem = f"the variable {shown(request.env)} is already a parameter's or another secret's"
            raise source.error(problem, item.line)
        requests[request.name] = request
        variables |= {request.env} if request.env else set()
    return tuple(requests.values())


def _secret(source: Source, node: Node) -> SecretRequest:
    if isinstance(node, Scalar):
        return SecretRequest(_scalar(source, node, "the name of a secret"))
    if not isinstance(node, Map) or len(node.pairs) != 1:
        raise source.error("this is neither a secret's name nor one with its env", node.line, _SECRETS_HINT)
    key, options = node.pairs[0]
    name = _scalar(source, key, "the name of a secret")
    env = None
    for option, value in _pairs(source, options, f"what is said of the secret {shown(name)}"):
        if option.text != "env":
            hint = "The one known key is env."
            raise source.error(f"unknown key {shown(option.text)} of a secret", option.line, hint)
        env = _variable_name(source, value, "a secret's variable")
    return SecretRequest(name, env)


def _pairs_or_items(source: Source, node: Node | None, key: str) -> Iterator[tuple[Scalar, Node]]:
    if not isinstance(node, List):
        yield from _pairs(source, node, key)
        return
    for item in node.items:
        if not isinstance(item, Map) or len(item.pairs) != 1:
            raise source.error(f"an item of {key} is not one `NAME: value`", item.line)
        yield item.pairs[0]


def _pairs(source: Source, node: Node | None, key: str) -> tuple[tuple[Scalar, Node], ...]:
    if node is None or _is_blank(node):
        return ()
    if not isinstance(node, Map):
        hint = "Write `NAME: value` on lines of their own below it."
        raise source.error(f"{key} is not a map", node.line, hint)
    return node.pairs


def _is_blank(node: Node) -> bool:
    return isinstance(node, Scalar) and not node.text


def _variable_name(source: Source, node: Node, what: str) -> str:
    name = _environment_name(source, node, what)
    if name.startswith(_OURS):
        hint = f"Names that begin with {_OURS} are settings; choose another."
        raise source.error(f"{shown(name)} cannot be the name of {what}", node.line, hint)
    return name


def _environment_name(source: Source, node: Node, what: str) -> str:
    name = _scalar(source, node, f"the name of {what}")
    if "=" in name:
        problem = f"the name of {what}, {shown(name)}, holds a ="
        raise source.error(problem, node.line, "Write `NAME: value`.")
    return name


def _variable_value(source: Source, node: Node, what: str, variable: str) -> str:
    if not isinstance(node, Scalar):
        raise source.error(f"{what} is a list or a map, not one value", node.line, _ONE_VALUE)
    return _string(source, node, what, room=len(variable.encode()) + len("=\0"))


def _scalar(source: Source, node: Node, what: str) -> str:
    if not isinstance(node, Scalar):
        raise source.error(f"{what} is a list or a map, not one value", node.line, _ONE_VALUE)
    if not node.text:
        raise source.error(f"{what} is empty", node.line, "Give it a value, or leave it out.")
    return _string(source, node, what)


def _string(source: Source, node: Scalar, what: str, room: int = 1) -> str:
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
