"""One frozen snapshot of the process environment over a `.env` file, each value with its origin."""

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from io import StringIO
from pathlib import Path
from types import EllipsisType, MappingProxyType
from typing import NamedTuple

from hyperplane import platforms
from hyperplane.errors import SettingsError
from hyperplane.platforms import Platform

StrPath = str | os.PathLike[str]

ENV_FILE_NAME = ".env"
ENV_FILE_VARIABLE = "HYPERPLANE_ENV_FILE"
SITE_FILE_VARIABLE = "HYPERPLANE_SITE_FILE"
DEFAULT_SITE_FILE = Path("/etc/hyperplane/site.env")
SMALL_FILE_BYTES = 1 << 20


class Origin(NamedTuple):
    """Where a value came from: `kind` is the source, `detail` the variable, file or option in it."""

    kind: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.detail}".rstrip()


class Found(NamedTuple):
    """A value with the origin that won and those that it shadowed, nearest first."""

    value: str
    origin: Origin
    shadowed: tuple[Origin, ...] = ()

    def __repr__(self) -> str:
        return f"Found(origin={self.origin}, shadowed={len(self.shadowed)})"


class Layer(NamedTuple):
    """The variables of one source; `kind` names it: `environment`, or the path of a `.env` file."""

    kind: str
    variables: Mapping[str, str]

    def __repr__(self) -> str:
        return f"Layer(kind={self.kind!r})"

    def origin(self, name: str) -> Origin:
        """Return where a variable of this layer came from."""
        return Origin(self.kind, name)


class Environment:
    """What the process was told, read once: variables over `.env`, and the platform they reveal."""

    __slots__ = ("env_file", "folder", "layers", "platform", "site_files")

    def __init__(
        self,
        variables: Mapping[str, str],
        *,
        env_file: Path | None = None,
        folder: Path | None = None,
        site_files: tuple[Path, ...] = (),
    ) -> None:
        self.platform: Platform = platforms.detect(variables)
        self.env_file = env_file
        self.folder = Path.cwd() / (folder or "")
        layers = [Layer("environment", MappingProxyType(dict(variables)))]
        if env_file is not None:
            layers.append(Layer(str(env_file), MappingProxyType(read_env_file(env_file))))
        self.layers = tuple(layers)
        self.site_files = site_files

    @classmethod
    def capture(
        cls,
        environ: Mapping[str, str] | None = None,
        *,
        env_file: StrPath | EllipsisType | None = ...,
        folder: Path | None = None,
    ) -> "Environment":
        """Take the snapshot.

        `environ`: instead of the process environment; then no `.env` is looked for.
        `env_file`: a file that must exist, None for none, or `...` for the one that
        `HYPERPLANE_ENV_FILE` names, else `.env` in `folder` where no platform is detected.
        `folder`: the project folder, by default the working directory.

        The site file is `/etc/hyperplane/site.env`, where the process environment is taken, and the one
        that `HYPERPLANE_SITE_FILE` names; it is not read here.

        Raises `SettingsError` when the file cannot be read or is malformed.
        """
        variables = os.environ if environ is None else environ
        folder = Path.cwd() / (folder or "")
        if not isinstance(env_file, EllipsisType):
            chosen = None if env_file is None else folder / env_file
        elif named := variables.get(ENV_FILE_VARIABLE):
            chosen = folder / named
        else:
            chosen = _default_env_file(variables, folder) if environ is None else None
        named_site = [folder / named for name in (SITE_FILE_VARIABLE,) if (named := variables.get(name))]
        own_site = [DEFAULT_SITE_FILE] if environ is None and os.path.lexists(DEFAULT_SITE_FILE) else []
        return cls(variables, env_file=chosen, folder=folder, site_files=(*own_site, *named_site))

    def find(self, *names: str) -> Found | None:
        """Return the value of exactly this name with its origin, or None.

        Of several names the first one counts in each layer, but an outer layer goes before any name.
        """
        holders = [(layer, name) for layer in self.layers for name in names if name in layer.variables]
        if not holders:
            return None
        (first, name), *others = holders
        return Found(first.variables[name], first.origin(name), tuple(o.origin(n) for o, n in others))

    def get(self, name: str) -> str | None:
        """Return the value of exactly this name, or None."""
        return next((layer.variables[name] for layer in self.layers if name in layer.variables), None)

    def __contains__(self, name: object) -> bool:
        return any(name in layer.variables for layer in self.layers)

    def names(self) -> Iterator[str]:
        """Yield every name once, the process environment's first."""
        yield from dict.fromkeys(name for layer in self.layers for name in layer.variables)

    def is_current(self) -> bool:
        """Say whether the process environment is still what the snapshot holds."""
        return dict(self.layers[0].variables) == dict(os.environ)

    def process_variables(self) -> dict[str, str]:
        """Return a copy of the process environment alone, to start a child process from."""
        return dict(self.layers[0].variables)

    def __repr__(self) -> str:
        return f"<Environment of {sum(1 for _ in self.names())} variables, env_file={self.env_file}>"


def _default_env_file(variables: Mapping[str, str], folder: Path) -> Path | None:
    candidate = folder / ENV_FILE_NAME
    if platforms.detect(variables).names or not os.path.lexists(candidate):
        return None
    return candidate


def read_env_file(path: Path) -> dict[str, str]:
    """Read a `.env` file: exact names, nothing interpolated or executed, the last of a name wins.

    Raises `SettingsError` naming the file, and the line where one is malformed, never its text.
    """
    from dotenv.parser import parse_stream

    values = {}
    for binding in parse_stream(StringIO(_env_file_text(path))):
        if binding.error:
            text = binding.original.string
            blank_lines = text[: -len(text.lstrip())].count("\n")
            raise SettingsError(
                f"{path}, line {binding.original.line + blank_lines}: this is not a NAME=value line",
                hint="Close every quote, and keep one NAME=value on each line.",
            )
        if binding.key is not None and binding.value is not None:
            values[binding.key] = binding.value
    return values


def _env_file_text(path: Path) -> str:
    try:
        data = read_small_file(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise SettingsError(
            f"the env file {path} cannot be read: {reason}",
            hint="Give a readable file of NAME=value lines, or env_file=None for none.",
            names=(ENV_FILE_VARIABLE,),
        ) from error
    bad = next((number for number, line in enumerate(data.split(b"\n"), 1) if not _is_text(line)), None)
    if bad is not None:
        raise SettingsError(
            f"{path}, line {bad}: this is not UTF-8 text", hint="Save the file as UTF-8, without NUL bytes."
        )
    return data.decode("utf-8-sig")


def _is_text(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in line


def read_small_file(path: Path) -> bytes:
    """Read a regular file of at most 1 MiB. Raises OSError for any other, and never waits for a FIFO."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(None, "it is not a regular file")
        with open(descriptor, "rb", closefd=False) as file:
            data = file.read(SMALL_FILE_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(data) > SMALL_FILE_BYTES:
        raise OSError(None, "it is larger than 1 MiB")
    return data


def export(name: str, value: str) -> Callable[[], None]:
    """Set a variable of this process, and return the function that puts back what was there."""
    before = os.environ.get(name)
    os.environ[name] = value

    def put_back() -> None:
        if before is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = before

    return put_back
