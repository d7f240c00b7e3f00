"""The settings of a job: frozen values over the snapshot, each remembering where it came from."""

import re
import signal
import warnings
from collections.abc import Container, Iterable, Mapping
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from hyperplane.environment import Environment, Found, Origin
from hyperplane.errors import HyperplaneWarning, SettingsError
from hyperplane.rundir import RunDir, is_locked
from hyperplane.site import LOCKED_VARIABLE, Site

PREFIX = "HYPERPLANE_"
SECRET_PREFIX = "HYPERPLANE_SECRET_"  # noqa: S105 - the name of a variable, not a secret
INPUT_PREFIX = "HYPERPLANE_INPUT_"
SECRET_ENV_VARIABLE = "HYPERPLANE_SECRET_ENV"  # noqa: S105
SECRETS_DIR_VARIABLE = "HYPERPLANE_SECRETS_DIR"
OTHER_VARIABLES = (
    "HYPERPLANE_ENV_FILE", "HYPERPLANE_SITE_FILE", LOCKED_VARIABLE, "HYPERPLANE_USER_OUTPUTS_DIR_ABS",
)  # fmt: skip
# what every run has for itself, and the runner sets for its job
_NEVER_LOCKED = ("job_id", "job_name", "user_id", "attempt", "secrets_dir", "output_dir", "run_dir")
DEFAULT_GRACE_S = 10.0
DEFAULT_CACHE_LIMIT_BYTES = 50 * 10**9
_ENDPOINT_URL = re.compile(r"https?://[^/@\s]+/?")
_SIZE = re.compile(r"(\d{1,18}(?:\.\d{1,9})?)\s*([kmgtp]?)(i?)b?", re.IGNORECASE)
_OUTPUT_URL = re.compile(r"s3://[^/@\s]+(/.*)?|file:///.*")
_ALIASES = {"output_dir": ("HYPERPLANE_OUTPUT_DIR", "HYPERPLANE_USER_OUTPUTS_DIR_ABS")}
_PLATFORM_FACTS = {
    "job_id": "job_id",
    "job_name": "job_name",
    "user_id": "user",
    "attempt": "attempt",
    "output_dir": "output_dir",
    "grace_s": "grace_s",
    "stop_signals": "stop_signals",
}

# In our words, because those of pydantic and of the standard library may hold the value.
DESTINATIONS = "s3://bucket/prefix/, file:///folder/ or none"
_MEANT = {
    "attempt": "a whole number from 1 on",
    "output_url": DESTINATIONS,
    "s3_endpoint_url": "http://host:port or https://host:port",
    "cache_limit": "a number of bytes, or one with a unit, such as 200GB or 0.5 TiB",
    "log_format": "auto, console or json",
    "log_level": "DEBUG, INFO, WARNING, ERROR or CRITICAL",
    "grace_s": "a number of seconds, 0 or more",
    "stop_signals": "a list of signals that a process can catch, such as USR1,INT",
}


def listed(names: str) -> tuple[str, ...]:
    """Return the names in a list that is separated by commas."""
    return tuple(name.strip() for name in names.split(",") if name.strip())


def _names(value: object) -> object:
    return listed(value) if isinstance(value, str) else value


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _catchable(names: tuple[str, ...]) -> tuple[str, ...]:
    full = tuple(name.upper() if name.upper().startswith("SIG") else f"SIG{name.upper()}" for name in names)
    if not signal.Signals.__members__.keys() - {"SIGKILL", "SIGSTOP"} >= set(full):
        raise ValueError
    return full


def destination_of(url: str) -> str | None:
    """Return a destination, None for `none`. Raises `ValueError` for what is no destination."""
    if url == "none":
        return None
    if _OUTPUT_URL.fullmatch(url) is None:
        raise ValueError
    return url


def _size_bytes(text: object) -> int:
    found = _SIZE.fullmatch(str(text).strip())
    if found is None:
        raise ValueError
    number, unit, binary = found.groups()
    power = " kmgtp".index(unit.lower() or " ")
    return int(float(number) * (1024 if binary else 1000) ** power)


def _endpoint(url: str) -> str:
    if _ENDPOINT_URL.fullmatch(url) is None:
        raise ValueError
    return url.rstrip("/")


Names = Annotated[tuple[str, ...], BeforeValidator(_names)]
SignalNames = Annotated[tuple[str, ...], BeforeValidator(_names), AfterValidator(_catchable)]
Finite = Annotated[float, Field(ge=0, allow_inf_nan=False)]
SizeBytes = Annotated[int, Field(ge=0), BeforeValidator(_size_bytes)]
LogFormat = Annotated[Literal["auto", "console", "json"], BeforeValidator(_lower)]
LogLevel = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(_upper)]
NonEmpty = Annotated[str, Field(min_length=1)]


class JobSettings(BaseSettings):
    """What the process was told about the job, in variables that begin with `HYPERPLANE_`.

    Every value comes from the environment, else `.env`, else the platform, else the site file, else the
    default; what the site file locks, from there alone.
    """

    model_config = SettingsConfigDict(frozen=True, hide_input_in_errors=True, validate_default=False)

    job_id: NonEmpty | None = Field(None, description="The job's id, the same over its attempts.")
    job_name: NonEmpty | None = Field(None, description="The job's name, for people.")
    user_id: str | None = Field(None, description="Who started the job.")
    attempt: int = Field(1, ge=1, description="Which attempt at the job this is, from 1.")
    secrets_dir: str | None = Field(None, description="A folder of mounted secrets, one file each.")
    secret_env: Names = Field((), description="Plain variables that are secrets, separated by commas.")
    vault_dir: NonEmpty | None = Field(None, description="The folder of the local vault.")
    vault_key_file: NonEmpty | None = Field(None, description="The file with the vault's key.")
    secrets_manager_prefix: str | None = Field(
        None, description="Before each name in AWS Secrets Manager, which is asked only where this is set."
    )
    ssm_prefix: str | None = Field(
        None,
        description="Before each name in AWS SSM Parameter Store, which is asked only where this is set.",
    )
    secret_source: NonEmpty | None = Field(
        None, description="`module:function`, which returns a source of secrets of your own."
    )
    output_dir: NonEmpty | None = Field(None, description="The folder for outputs.")
    output_url: Annotated[str | None, AfterValidator(destination_of)] = Field(
        None, description="Where outputs are delivered; `none` for nowhere, said on purpose."
    )
    home: NonEmpty | None = Field(None, description="The folder in which `.hyperplane` lies.")
    run_dir: NonEmpty | None = Field(None, description="The run's folder; `hyperplane run` sets it.")
    s3_bucket: NonEmpty | None = Field(None, description="The bucket of `ctx.s3`; a name, no secret.")
    s3_endpoint_url: Annotated[str | None, AfterValidator(_endpoint)] = Field(
        None, description="The S3-compatible store, where it is not AWS."
    )
    s3_region: NonEmpty | None = Field(None, description="The region of the store.")
    s3_kms_key_id: NonEmpty | None = Field(None, description="The KMS key that encrypts new objects.")
    cache_dir: NonEmpty | None = Field(None, description="The folder of what is fetched once and kept.")
    cache_limit: SizeBytes = Field(
        DEFAULT_CACHE_LIMIT_BYTES, description="How much of it is kept when nobody uses it, as in 200GB."
    )
    log_format: LogFormat = Field("auto", description="How `ctx.log` writes: auto, console or json.")
    log_level: LogLevel = Field("INFO", description="The least level that `ctx.log` writes.")
    grace_s: Finite = Field(DEFAULT_GRACE_S, description="Seconds from the stop signal to the kill.")
    stop_signals: SignalNames = Field((), description="Signals besides SIGTERM that ask the job to stop.")

    _found: Mapping[str, Found] = PrivateAttr(default_factory=dict)
    _locked: frozenset[str] = PrivateAttr(default_factory=frozenset)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the signature is pydantic-settings'
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read only what `load` took from the snapshot: the usual sources fold case and print values."""
        return (init_settings,)

    def origin(self, field: str) -> Origin:
        """Return where the value of a field came from."""
        found = self._found.get(field)
        return found.origin if found is not None else Origin("default")

    def shadowed(self, field: str) -> tuple[Origin, ...]:
        """Return where else the field had a value that lost."""
        found = self._found.get(field)
        return found.shadowed if found is not None else ()

    def is_locked(self, field: str) -> bool:
        """Say whether the site file lets nothing override the field."""
        return field in self._locked

    @property
    def delivers_nowhere_on_purpose(self) -> bool:
        """Whether the output URL was set to `none`, as opposed to not at all."""
        return self.output_url is None and "output_url" in self._found


def variables_of(field: str) -> tuple[str, ...]:
    """Return the variables that set a field of `JobSettings`, the first wins."""
    return _ALIASES.get(field, (PREFIX + field.upper(),))


def load(environment: Environment) -> JobSettings:
    """Read the settings from a snapshot.

    Raises `SettingsError` naming every variable at fault, without its value.
    Warns with `HyperplaneWarning` of a variable that is one typo away from a known one.
    """
    site = Site.of(environment)
    locked = _locked_fields(environment, site)
    found = {
        field: hit for field in JobSettings.model_fields if (hit := _find(environment, site, field, locked))
    }
    values = {field: _typed(environment, field, hit) for field, hit in found.items()}
    try:
        settings = JobSettings(**values)
    except ValidationError as error:
        raise _settings_error(error, found) from None
    settings._found = found  # noqa: SLF001 - provenance is filled in by the one loader
    settings._locked = locked  # noqa: SLF001
    for message in environment.platform.warnings:
        warnings.warn(message, HyperplaneWarning, stacklevel=2)
    _warn_of_typos((*environment.names(), *site.variables))
    return settings


def _locked_fields(environment: Environment, site: Site) -> frozenset[str]:
    if not site.locked:
        return frozenset()
    never = {variable for field in _NEVER_LOCKED for variable in variables_of(field)}
    if wrong := sorted(site.locked & {*never, *OTHER_VARIABLES}):
        raise SettingsError(
            f"{site.path} locks {', '.join(wrong)}, which cannot be locked",
            hint=f"Take it out of {LOCKED_VARIABLE}: every process has its own.",
            names=tuple(wrong),
        )
    if unknown := sorted(site.locked - set(known_variables())):
        message = f"{site.path} locks {', '.join(unknown)}, which is no setting of this version"
        warnings.warn(message, HyperplaneWarning, stacklevel=3)
    locked = {field for field in JobSettings.model_fields if site.is_locked(variables_of(field))}
    # under a runner, which has kept to the lock, nothing is delivered by the job itself
    return frozenset(locked - {"output_url"} if _is_under_runner(environment) else locked)


def _is_under_runner(environment: Environment) -> bool:
    run_dir = environment.get("HYPERPLANE_RUN_DIR")
    return bool(run_dir) and is_locked(RunDir(environment.folder / str(run_dir)).lock)


def _find(environment: Environment, site: Site, field: str, locked: Container[str]) -> Found | None:
    """Return the value that counts, with the origins of all others in their order."""
    names = variables_of(field)
    given = environment.find(*names)
    values = [] if given is None else [(given.value, given.origin), *((None, one) for one in given.shadowed)]
    if (fact := environment.platform.get(_PLATFORM_FACTS.get(field, ""))) is not None:
        values.append((str(fact.value), Origin("platform", fact.source)))
    if (told := site.find(names)) is not None:
        values.insert(0 if field in locked else len(values), told)
        if field in locked and given is not None and given.value != told[0]:
            message = f"{given.origin} has no effect: {told[1].detail} is {told[1].kind}"
            warnings.warn(message, HyperplaneWarning, stacklevel=3)
    if not values:
        return None
    (value, origin), *others = values
    return Found(str(value), origin, tuple(one for _, one in others))


def _typed(environment: Environment, field: str, found: Found) -> Any:
    if found.origin.kind != "platform":
        return found.value
    fact = environment.platform.get(_PLATFORM_FACTS[field])
    return found.value if fact is None else fact.value


def _settings_error(error: ValidationError, found: Mapping[str, Found]) -> SettingsError:
    fields = dict.fromkeys(str(problem["loc"][0]) for problem in error.errors(include_input=False))
    origins = {field: found[field].origin for field in fields}
    lines = [
        f"{origin} is not {_MEANT.get(field, 'a text with something in it')}"
        for field, origin in origins.items()
    ]
    names = tuple(origin.detail for origin in origins.values())
    return SettingsError("; ".join(lines), hint=f"Mend or unset {', '.join(names)}.", names=names)


@cache
def known_variables() -> tuple[str, ...]:
    """Return the exact names of all variables of ours that have a meaning."""
    fields = (name for field in JobSettings.model_fields for name in variables_of(field))
    return tuple(dict.fromkeys((*fields, *OTHER_VARIABLES)))


def _warn_of_typos(names: Iterable[str]) -> None:
    known = known_variables()
    unknown = (name for name in names if name.startswith(PREFIX) and name not in known)
    for name in unknown:
        meant = next((candidate for candidate in known if is_one_typo(name, candidate)), None)
        if meant is None and not name.startswith((SECRET_PREFIX, INPUT_PREFIX)):
            meant = _mistyped_prefix(name)
        if meant is not None:
            warnings.warn(f"{name} is set; did you mean {meant}?", HyperplaneWarning, stacklevel=3)


def _mistyped_prefix(name: str) -> str | None:
    for prefix in (SECRET_PREFIX, INPUT_PREFIX):
        for length in (len(prefix) + 1, len(prefix), len(prefix) - 1):
            head, rest = name[:length], name[length:]
            is_whole = head.endswith("_") or length < len(prefix)
            if rest and is_whole and is_one_typo(head, prefix):
                return prefix + rest
    return None


def is_one_typo(name: str, known: str) -> bool:
    """Say whether one letter added, left out, changed or swapped with the next makes one the other."""
    if len(name) > len(known):
        name, known = known, name
    start = next((i for i, (a, b) in enumerate(zip(name, known, strict=False)) if a != b), len(name))
    rest, known_rest = name[start:], known[start:]
    if len(name) + 1 == len(known):
        return rest == known_rest[1:]
    swapped = rest[:2] == known_rest[1::-1] and rest[2:] == known_rest[2:]
    return len(name) == len(known) and rest != known_rest and (rest[1:] == known_rest[1:] or swapped)
