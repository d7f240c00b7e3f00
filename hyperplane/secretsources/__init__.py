"""Where secrets come from: one small protocol, a file per source, and the order in which they are asked."""

import contextlib
import os
import unicodedata
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from hyperplane.environment import Environment, Origin
from hyperplane.errors import HyperplaneWarning, SecretNameError, SecretValueError
from hyperplane.masking import Masker, is_secret_name
from hyperplane.settings import (
    SECRET_ENV_VARIABLE,
    SECRET_PREFIX,
    SECRETS_DIR_VARIABLE,
    JobSettings,
    known_variables,
    listed,
)

__all__ = [
    "FoundSecret",
    "Origin",
    "RemoteSource",
    "SecretSource",
    "checked_name",
    "find_all",
    "is_name",
    "look_up",
    "register_all",
    "registered_sources",
    "sounds_secret",
    "standard_sources",
    "stored_bytes",
    "stored_sources",
    "without_final_newline",
]

NAME_LIMIT_BYTES = 255
BUCKET_NAME = "s3_bucket_name"
"""The one name in the triplet of S3 secrets that is no secret, and never masked."""


@dataclass(frozen=True, slots=True)
class FoundSecret:
    """A secret as a source stores it; `path` is the mounted file it was read from, where there is one."""

    value: bytes = field(repr=False)
    origin: Origin
    path: Path | None = None


@runtime_checkable
class SecretSource(Protocol):
    """A place that has secrets by name."""

    def find(self, name: str) -> FoundSecret | None:
        """Return the secret of exactly this name (NFC), or None where this source has none."""
        ...

    def names(self) -> Iterable[str]:
        """Return the names of all secrets here; empty where the source cannot list them."""
        ...

    def describe(self, name: str) -> str:
        """Say where this secret would be, in words for an error: a variable, an absolute path."""
        ...


@runtime_checkable
class RemoteSource(SecretSource, Protocol):
    """A source where each question costs time: it is asked for many names at once, and keeps the answers."""

    def prefetch(self, names: Iterable[str]) -> None:
        """Ask for all of these names at once, so that `find` knows them."""
        ...

    def refresh(self) -> None:
        """Forget every answer."""
        ...


def standard_sources(environment: Environment, settings: JobSettings) -> tuple[SecretSource, ...]:
    """Return the sources of what this process was given, in their order: environment, mounted files, `.env`.

    All that they have is this process's, and known to the masker from the start.
    """
    from hyperplane.secretsources.variables import Variables

    process, *env_files = (Variables(layer, settings.secret_env) for layer in environment.layers)
    if not settings.secrets_dir:
        return (process, *env_files)
    from hyperplane.secretsources.mounted import MountedFiles

    return (process, MountedFiles(environment.folder / settings.secrets_dir), *env_files)


def stored_sources(
    environment: Environment, settings: JobSettings, masker: Masker
) -> tuple[SecretSource, ...]:
    """Return the sources that are asked by name, after the others: the vault, AWS, and a user's own.

    `masker`: told of the credentials that AWS is asked with.
    Raises `SettingsError` where `HYPERPLANE_SECRET_SOURCE` names nothing that can be used.
    """
    from hyperplane.secretsources.vault import Vault, VaultSource

    vault = Vault.of(environment, settings)
    sources: list[SecretSource] = [] if vault is None else [VaultSource(vault)]
    if settings.secrets_manager_prefix is not None or settings.ssm_prefix is not None:
        sources += _aws_sources(environment, settings, masker)
    if settings.secret_source is not None:
        from hyperplane.secretsources.loading import load_source

        sources.append(load_source(environment, settings))
    return tuple(sources)


def _aws_sources(environment: Environment, settings: JobSettings, masker: Masker) -> Iterator[SecretSource]:
    from hyperplane.secretsources.aws import AwsSource, Clients, ParameterStore, SecretsManager

    clients = Clients(environment, masker)
    if settings.secrets_manager_prefix is not None:
        yield AwsSource(SecretsManager(), settings.secrets_manager_prefix, clients)
    if settings.ssm_prefix is not None:
        yield AwsSource(ParameterStore(), settings.ssm_prefix, clients)


def look_up(names: Iterable[str], sources: Iterable[SecretSource]) -> dict[str, FoundSecret]:
    """Return the secrets of these names (NFC), each from the first source that has it.

    A source is asked for all names at once that those before it do not have.
    """
    found: dict[str, FoundSecret] = {}
    wanted = list(dict.fromkeys(names))
    for source in sources:
        wanted = [name for name in wanted if name not in found]
        if isinstance(source, RemoteSource):
            source.prefetch(wanted)
        hits = ((name, source.find(name)) for name in wanted)
        found |= {name: hit for name, hit in hits if hit is not None}
    return found


def find_all(sources: Sequence[SecretSource]) -> dict[str, FoundSecret]:
    """Return every secret that the sources can list, by name, from the first source that has it.

    A mounted file that cannot be read is passed over here; reading it by name says why.
    """
    found: dict[str, FoundSecret] = {}
    for source in sources:
        for name in source.names():
            with contextlib.suppress(SecretValueError):
                secret = None if name in found else source.find(name)
                if secret is not None:
                    found[name] = secret
    return found


def register_all(masker: Masker, environment: Environment, sources: Sequence[SecretSource]) -> None:
    """Make known to the masker every secret that can be listed, from whichever source, read or shadowed.

    With them go plain variables whose names say that they are secrets (`GITHUB_TOKEN`), but for settings
    of ours and for places (`HYPERPLANE_SECRETS_DIR`, `AWS_WEB_IDENTITY_TOKEN_FILE`). Some only sound like
    secrets (`TOKENIZERS_PARALLELISM=false`), so there is no warning of those too short to be masked.

    Warns with `HyperplaneWarning` where `HYPERPLANE_SECRETS_DIR` names no folder.
    """
    _warn_of_missing_folder(environment)
    found = [(name, hit.value) for source in sources for name, hit in find_all([source]).items()]
    masker.add_all(secret for secret in found if secret[0] != BUCKET_NAME)
    declared = listed(environment.get(SECRET_ENV_VARIABLE) or "")
    variables = [pair for layer in environment.layers for pair in layer.variables.items()]
    masker.add_all(pair for pair in variables if pair[0] in declared)
    masker.add_all((pair for pair in variables if sounds_secret(*pair)), quietly=True)


def registered_sources(
    masker: Masker, environment: Environment, settings: JobSettings
) -> tuple[SecretSource, ...]:
    """Return the standard sources; all that they have is known to the masker then."""
    sources = standard_sources(environment, settings)
    register_all(masker, environment, sources)
    return sources


def _warn_of_missing_folder(environment: Environment) -> None:
    named = environment.get(SECRETS_DIR_VARIABLE)
    if not named:
        return
    folder = environment.folder / named
    if not os.path.isdir(folder):  # noqa: PTH112 - unlike Path's, it is an answer for any folder
        warnings.warn(
            f"{SECRETS_DIR_VARIABLE} names a folder that is not there: {folder}",
            HyperplaneWarning,
            stacklevel=4,
        )


def sounds_secret(name: str, value: str) -> bool:
    """Say whether a plain variable counts as a secret for its name."""
    is_ours = name in known_variables() or name.startswith(SECRET_PREFIX)
    is_place = name.endswith(("_DIR", "_FILE", "_PATH")) and value.startswith("/")
    return is_secret_name(name) and not is_ours and not is_place


def stored_bytes(name: str, value: object) -> bytes:
    """Return the bytes of a secret that was given as text or bytes.

    Raises `SecretValueError` for anything else, and for text that no bytes stand for.
    """
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if isinstance(value, str):
        with contextlib.suppress(UnicodeEncodeError):
            return value.encode(errors="surrogateescape")
    raise SecretValueError(
        f"the secret {name!r} is neither text nor bytes: it was given as {type(value).__name__}",
        hint="Give a str without lone surrogates, or bytes.",
        name=name,
    )


def without_final_newline(data: bytes) -> bytes:
    """Return the bytes less exactly one line end, which editors and `kubectl --from-file` add."""
    return data.removesuffix(b"\n").removesuffix(b"\r") if data.endswith(b"\n") else data


def checked_name(name: object) -> str:
    """Return the name in NFC, the form in which sources are asked.

    Raises `SecretNameError` for what no source could hold: an empty name, one with a slash, a
    control character or a dot in front, one of more than 255 bytes.
    """
    problem = _name_problem(name)
    if problem:
        raise SecretNameError(
            f"{name!r} is no name for a secret: {problem}",
            hint="Use letters, digits, `_`, `-` and `.`, as in HYPERPLANE_SECRET_<name>.",
            name=name,
        )
    return unicodedata.normalize("NFC", str(name))


def is_name(name: str) -> bool:
    """Say whether a secret can be asked for by this name."""
    return not _name_problem(name)


def _name_problem(name: object) -> str:
    if not isinstance(name, str):
        return "it is not a str"
    if not name:
        return "it is empty"
    if name.startswith(".") or "/" in name or "\\" in name:
        return "it would be a path"
    if not name.isprintable() or "=" in name:
        return "it has a character that no variable or file name should have"
    if len(unicodedata.normalize("NFC", name).encode()) > NAME_LIMIT_BYTES:
        return f"it is longer than {NAME_LIMIT_BYTES} bytes"
    return ""
