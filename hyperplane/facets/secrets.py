"""`ctx.secrets`: secrets by name, known to the masker before anybody sees them."""

import json
import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

from hyperplane import environment
from hyperplane.environment import Environment, Origin
from hyperplane.errors import (
    SecretError,
    SecretNameError,
    SecretNotFoundError,
    SecretSourceError,
    SecretValueError,
    did_you_mean,
    masked_errors,
)
from hyperplane.locks import ForkSafeLock
from hyperplane.masking import Masker
from hyperplane.secretsources import (
    BUCKET_NAME,
    FoundSecret,
    RemoteSource,
    SecretSource,
    checked_name,
    is_name,
    look_up,
)

if TYPE_CHECKING:
    from hyperplane.explain import Row

D = TypeVar("D")
Bytes = bytes  # `Secrets.bytes` hides the builtin inside the class


class Secrets:
    """Secrets by name, from the first source that has them; not iterable, so that no loop prints them all."""

    __iter__ = None
    __slots__ = (
        "_asked",
        "_descriptors",
        "_environment",
        "_folder",
        "_is_under_runner",
        "_lock",
        "_masker",
        "_paths",
        "_put_back",
        "_sources",
    )

    def __init__(
        self,
        sources: Sequence[SecretSource],
        *,
        masker: Masker,
        environment: Environment | None = None,
        is_under_runner: bool = False,
    ) -> None:
        self._sources = tuple(sources)
        self._masker = masker
        self._environment = environment
        self._is_under_runner = is_under_runner
        self._asked: dict[str, None] = {}
        self._lock = ForkSafeLock()
        self._paths: dict[str, Path] = {}
        self._descriptors: list[int] = []
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._put_back: list[Callable[[], None]] = []

    def __getitem__(self, name: str) -> str:
        """Return the secret as text, just as it is stored.

        Raises `SecretNotFoundError` (a KeyError) saying where it looked, `SecretValueError` for bytes
        that are no UTF-8 text.
        """
        with masked_errors(self._masker.mask_record):
            return _text(name, _decoded(self._require(name).value))

    @overload
    def get(self, name: str) -> str | None: ...
    @overload
    def get(self, name: str, default: D) -> str | D: ...
    def get(self, name: str, default: D | None = None) -> str | D | None:
        """Return the secret as text, or the default where no source has it."""
        with masked_errors(self._masker.mask_record):
            found = self._find(checked_name(name))
            if found is None:
                return default
            text = _decoded(found.value)
            del found  # or the frames of an error would hold the value
            return _text(name, text)

    def __contains__(self, name: object) -> bool:
        try:
            return self._find(checked_name(name)) is not None
        except SecretNameError:
            return False

    def bytes(self, name: str) -> Bytes:
        """Return the secret as bytes. Raises `SecretNotFoundError`."""
        with masked_errors(self._masker.mask_record):
            return self._require(name).value

    def json(self, name: str) -> Any:
        """Return the secret parsed as JSON. Raises `SecretNotFoundError`, `SecretValueError`."""
        text = self[name]
        with suppress(ValueError, RecursionError):
            return json.loads(text)
        del text  # or the frames of the error would hold it
        with masked_errors(self._masker.mask_record):
            raise SecretValueError(
                f"the secret {name!r} is not JSON",
                hint="Store a JSON document, or read it as text.",
                name=name,
            )

    def path(self, name: str) -> Path:
        """Return a file that holds the secret: the mounted one, else one in memory until the context closes.

        The file is readable by this user alone (0600) and may be opened by child processes.
        """
        with masked_errors(self._masker.mask_record):
            found = self._require(name)
        if found.path is not None:
            return found.path
        with self._lock:
            key = checked_name(name)
            if key not in self._paths:
                self._paths[key] = self._memory_file(found.value)
            return self._paths[key]

    def names(self) -> list[str]:
        """Return the names of all secrets that can be listed, sorted."""
        return sorted({name for source in self._sources for name in source.names() if is_name(name)})

    def export(self, *names: str, **variables: str) -> None:
        """Put secrets into the environment of this process until the context closes.

        `export("WANDB_API_KEY", PGPASSWORD="pg")`: each name as a variable of the same name, and each
        keyword as a variable that gets the secret named by its value.
        """
        wanted = dict(zip(names, names, strict=True))
        with masked_errors(self._masker.mask_record):
            wanted |= {checked_name(variable): name for variable, name in variables.items()}
            self.require(wanted.values())
            values = {variable: self._exportable(name) for variable, name in wanted.items()}
        self._put_back.extend(environment.export(variable, value) for variable, value in values.items())

    def require(self, names: Iterable[str]) -> None:
        """Look the names up at once. Raises one `SecretNotFoundError` with every missing name."""
        wanted = dict.fromkeys([names] if isinstance(names, str) else names)
        with masked_errors(self._masker.mask_record):
            checked = {name: checked_name(name) for name in wanted}
            self._asked |= dict.fromkeys(checked.values())
            found = look_up(checked.values(), self._sources)
            self._masker.add_all((name, secret.value) for name, secret in found.items())
            if missing := [name for name in wanted if checked[name] not in found]:
                raise self._not_found(missing)

    def refresh(self) -> None:
        """Ask anew from now on, where answers are kept: AWS's for 300 s, and files of `.path`."""
        for source in self._sources:
            if isinstance(source, RemoteSource):
                source.refresh()
        with self._lock:
            self._paths.clear()

    def rows(self) -> "list[Row]":
        """Return where each secret was found and what it shadowed, never a value.

        These are the secrets that can be listed, and those that were asked for; nobody else is asked.
        """
        listed = (name for source in self._sources for name in _names_in(source) if is_name(name))
        rows = (self._row(name) for name in sorted({*listed, *self._asked}))
        return [row for row in rows if row is not None]

    def close(self) -> None:
        """Put the environment back and let the files in memory go."""
        for put_back in reversed(self._put_back):
            put_back()
        self._put_back.clear()
        with self._lock:
            for descriptor in self._descriptors:
                os.close(descriptor)
            self._descriptors.clear()
            self._paths.clear()
            if self._folder is not None:
                self._folder.cleanup()
                self._folder = None

    def __repr__(self) -> str:
        return f"<Secrets of {len(self._sources)} sources>"

    def _first(self, name: str) -> FoundSecret | None:
        return next((found for source in self._sources if (found := source.find(name)) is not None), None)

    def _find(self, name: str) -> FoundSecret | None:
        self._asked[name] = None
        found = self._first(name)
        if found is not None and name != BUCKET_NAME:
            self._masker.add(name, found.value)
        return found

    def _require(self, name: str) -> FoundSecret:
        found = self._find(checked_name(name))
        if found is None:
            raise self._not_found([name])
        return found

    def _exportable(self, name: str) -> str:
        value = self[name]
        if "\0" not in value:
            return value
        del value  # or the frames of the error would hold it
        raise SecretValueError(
            f"the secret {name!r} holds a NUL byte, which no variable can",
            hint="Use `.path(name)` or `.bytes(name)`.",
            name=name,
        )

    def _row(self, name: str) -> "Row | None":
        from hyperplane.explain import Row

        was_asked = name in self._asked
        sources = [source for source in self._sources if was_asked or not isinstance(source, RemoteSource)]
        origins = [origin for source in sources if (origin := _origin(source, name)) is not None]
        return Row("secret", name, None, origins[0], tuple(origins[1:])) if origins else None

    def _not_found(self, names: list[str]) -> SecretNotFoundError:
        # masked before they are part of a variable's name, where a masker would not know them
        shown = [self._masker.mask(name) for name in names]
        looked_in = tuple(source.describe(name) for name in shown for source in self._sources)
        what = f"no secret {shown[0]!r}" if len(shown) == 1 else f"no secrets {', '.join(map(repr, shown))}"
        places = f"; looked in: {', '.join(looked_in)}" if looked_in else ""
        hint = " ".join(map(self._advice, names, shown))
        return SecretNotFoundError(what + places, hint=hint, names=tuple(shown), looked_in=looked_in)

    def _advice(self, name: str, shown: str) -> str:
        if self._environment is not None and name in self._environment:
            return f"A variable {shown} exists: HYPERPLANE_SECRET_ENV={shown} says that it is a secret."
        if hint := did_you_mean(name, self.names()):
            return hint
        if self._is_under_runner:
            return f"Add it to `secrets:` of the job file: the job is given what stands there ({shown})."
        return f"Set HYPERPLANE_SECRET_{shown}, in the environment or in .env."

    def _memory_file(self, value: Bytes) -> Path:
        if hasattr(os, "memfd_create"):
            descriptor = os.memfd_create("hyperplane-secret", os.MFD_CLOEXEC)
            self._descriptors.append(descriptor)
            os.fchmod(descriptor, 0o600)
            path = Path(f"/proc/{os.getpid()}/fd/{descriptor}")
        else:
            self._folder = self._folder or tempfile.TemporaryDirectory(prefix="hyperplane-")
            descriptor, name = tempfile.mkstemp(dir=self._folder.name)
            self._descriptors.append(descriptor)
            path = Path(name)
        with open(descriptor, "wb", closefd=False) as file:
            file.write(value)
        return path


def _names_in(source: SecretSource) -> Iterable[str]:
    try:
        return list(source.names())
    except SecretSourceError:  # who asks by name is told
        return ()


def _origin(source: SecretSource, name: str) -> Origin | None:
    try:
        found = source.find(name)
    except SecretError:
        return Origin("unreadable", source.describe(name))
    return None if found is None else found.origin


def _decoded(value: Bytes) -> str | None:
    with suppress(UnicodeDecodeError):
        return value.decode()
    return None


def _text(name: str, text: str | None) -> str:
    # raised away from the value: an error holds the variables of its frames and UnicodeDecodeError
    if text is not None:
        return text
    raise SecretValueError(
        f"the secret {name!r} is not UTF-8 text", hint="Read it with `.bytes(name)`.", name=name
    )
