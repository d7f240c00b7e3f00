"""What is to be run: the command line over the job file over an earlier run, settled before the start."""

import os
import re
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, Self
from urllib.parse import unquote, urlsplit

from hyperplane import job as identity
from hyperplane.environment import Environment
from hyperplane.errors import HyperplaneWarning, InputError, SettingsError, UsageError
from hyperplane.masking import Masker
from hyperplane.rundir import Home, RunDir, is_locked
from hyperplane.runs import record
from hyperplane.runs.record import DEFAULT_SECRET_SCAN, RunRecord, SecretScan
from hyperplane.settings import DESTINATIONS, PREFIX, JobSettings, destination_of
from hyperplane.stores import Location

if TYPE_CHECKING:
    from hyperplane.runs.jobfile import JobFile, SecretRequest

JOB_FILE_SUFFIXES = (".yaml", ".yml")
# Linux's MAX_ARG_STRLEN: one argument or NAME=VALUE, with the NUL that ends it
STRING_LIMIT_BYTES = 128 << 10
_NOTHING: Mapping[str, str] = MappingProxyType({})
_RUN_HINT = "hyperplane run JOB.yaml, or hyperplane run COMMAND ..."


class Request(NamedTuple):
    """What the command line asks for; `job_file` and `command` exclude each other."""

    job_file: Path | None = None
    command: tuple[str, ...] = ()
    parameters: Mapping[str, str] = _NOTHING
    retry: str | None = None
    is_interactive: bool = False

    @classmethod
    def of(
        cls,
        words: tuple[str, ...],
        *,
        parameters: Iterable[str] = (),
        retry: str | None = None,
        is_interactive: bool = False,
    ) -> Self:
        """Read the words of a command line. Raises `UsageError` for what makes no sense."""
        if not words and retry is None:
            raise UsageError("there is nothing to run", hint=_RUN_HINT)
        is_file = is_job_file(words)
        if is_file and len(words) > 1:
            raise UsageError(
                f"{words[1]!r} follows the job file, which has the whole command in `main`",
                hint="Give parameters as -p NAME=VALUE.",
            )
        return cls(
            job_file=Path(words[0]) if is_file else None,
            command=() if is_file else words,
            parameters=dict(parse_parameter(text) for text in parameters),
            retry=retry,
            is_interactive=is_interactive,
        )


def is_job_file(words: Iterable[str]) -> bool:
    """Say whether the first word names a job file rather than a command."""
    return next(iter(words), "").endswith(JOB_FILE_SUFFIXES)


def parse_parameter(text: str) -> tuple[str, str]:
    """Return the name and value of a `-p NAME=VALUE`. Raises `UsageError`, without the value."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise UsageError("-p takes NAME=VALUE", hint="For example: -p epochs=3")
    if name.startswith(PREFIX):
        raise UsageError(
            f"{name} cannot be a parameter: names that begin with {PREFIX} are settings",
            hint=f"Set it for the runner instead: {name}=... hyperplane run ...",
            name=name,
        )
    if len(os.fsencode(f"{name}={value}")) + 1 > STRING_LIMIT_BYTES:
        raise UsageError(
            f"the parameter {name!r} is longer than a process can be given: {STRING_LIMIT_BYTES >> 10} KiB",
            hint="Put the value into a file, and name the file.",
            name=name,
        )
    return name, value


class Earlier(NamedTuple):
    """A run that is tried again."""

    run: RunDir
    record: RunRecord

    @classmethod
    def find(cls, name: str, home: Home) -> Self:
        """Return the run of that name. Raises `RunNotFoundError`, or `UsageError` while it is running."""
        run = home.find(name)
        if is_locked(run.lock):
            raise UsageError(
                f"the run {run.run_id} is still running", hint=f"hyperplane logs {run.run_id} -f", name=name
            )
        return cls(run, record.read(run))

    @property
    def home(self) -> Home:
        """The home that the run lies in."""
        return Home(self.run.job_folder.parent.parent)

    @property
    def command(self) -> tuple[str, ...]:
        """The command as it was given. Raises `UsageError` where there is none, or a secret was masked."""
        if not self.record.command:
            raise UsageError(
                f"the run {self.run.run_id} has no recorded command",
                hint=f"Give the command: hyperplane run --retry {self.run.run_id} COMMAND ...",
            )
        self._refuse_masked("command", "COMMAND ...")
        return self.record.command

    @property
    def job_file(self) -> Path | None:
        """The job file, where there was one. Raises `UsageError` where a secret in its path was masked."""
        self._refuse_masked("job_file", "JOB.yaml")
        return None if self.record.job_file is None else Path(self.record.job_file)

    @property
    def folder(self) -> Path | None:
        """The folder it ran in, where that is known. Raises `UsageError` where a secret in it was masked."""
        self._refuse_masked("folder", "COMMAND ...")
        return None if self.record.folder is None else Path(self.record.folder)

    def _refuse_masked(self, field: str, again: str) -> None:
        if field in self.record.masked:
            what = field.replace("_", " ")
            raise UsageError(
                f"the {what} of run {self.run.run_id} held a secret, which is not recorded",
                hint=f"Give it again: hyperplane run --retry {self.run.run_id} {again}",
            )

    def parameters(self, given_anew: Iterable[str]) -> dict[str, str]:
        """Return what was given with `-p`. Raises `UsageError` where a secret in one was masked."""
        names = [name for name in self.record.given if name not in set(given_anew)]
        if masked := [name for name in names if f"parameters.{name}" in self.record.masked]:
            raise UsageError(
                f"the parameter {masked[0]!r} of run {self.run.run_id} held a secret, which is not recorded",
                hint=f"Give it again: -p {masked[0]}=...",
                name=masked[0],
            )
        return {name: self.record.parameters[name] for name in names}


class Plan(NamedTuple):
    """One attempt at a job: everything that is known before its folder is made.

    `command` is in words as they were given; `given` names the parameters that came from `-p`. `output_url`:
    what was said of the destination, `none` too.
    """

    home: Home
    folder: Path
    job_id: str
    name: str
    attempt: int
    command: tuple[str, ...]
    retry_of: str | None = None
    job_file: Path | None = None
    parameters: Mapping[str, str] = _NOTHING
    given: tuple[str, ...] = ()
    inputs: Mapping[str, str] = _NOTHING
    secrets: "tuple[SecretRequest, ...]" = ()
    output_url: str | None = None
    retries: int = 0
    timeout_s: float | None = None
    is_interactive: bool = False
    secret_scan: SecretScan = DEFAULT_SECRET_SCAN

    @property
    def destination(self) -> str | None:
        """Where the run is delivered to, or None for nowhere."""
        return None if self.output_url is None else destination_of(self.output_url)

    def further_attempt(self, run: RunDir) -> Self:
        """Return the plan for trying the failed run once more."""
        return self._replace(attempt=self.attempt + 1, retry_of=run.run_id, retries=self.retries - 1)


def make_plan(
    request: Request,
    *,
    environment: Environment,
    settings: JobSettings,
    job: "JobFile | None" = None,
    earlier: Earlier | None = None,
) -> Plan:
    """Settle what is run: `-p` over the job file, the command given over the recorded one.

    The job file counts as it is now, also for a further attempt; what was given with `-p` then is given
    again. Raises `InputError` for an input that is not there or of an unknown store, `SettingsError` for a
    destination.
    """
    given = {**(earlier.parameters(request.parameters) if earlier else {}), **request.parameters}
    command = request.command or (job.main if job is not None else earlier.command if earlier else ())
    name = job.name if job is not None else _name(command, settings, earlier)
    return Plan(
        home=_home(environment, settings, earlier),
        folder=environment.folder,
        job_id=earlier.record.job_id if earlier else settings.job_id or identity.made_up_id(name),
        name=name,
        attempt=earlier.record.attempt + 1 if earlier else settings.attempt,
        retry_of=earlier.run.run_id if earlier else None,
        command=command,
        job_file=job.path if job is not None else None,
        parameters=MappingProxyType({**(job.parameters if job is not None else {}), **given}),
        given=tuple(given),
        inputs=_inputs(job),
        secrets=job.secrets if job is not None else (),
        output_url=output_url_of(job, settings),
        retries=job.retries if job is not None else 0,
        timeout_s=job.timeout_s if job is not None else None,
        is_interactive=request.is_interactive,
        secret_scan=_secret_scan(job, earlier),
    )


def _secret_scan(job: "JobFile | None", earlier: Earlier | None) -> SecretScan:
    if job is not None:
        return job.secret_scan
    return earlier.record.secret_scan if earlier else DEFAULT_SECRET_SCAN


def _home(environment: Environment, settings: JobSettings, earlier: Earlier | None) -> Home:
    return earlier.home if earlier else Home.of(environment.folder / (settings.home or ""))


def output_url_of(job: "JobFile | None", settings: JobSettings) -> str | None:
    """Return what is said of the destination: by the job file, else by the settings.

    Warns where the site file has the last word. Raises `SettingsError` where the job file names what is
    no destination.
    """
    # `none` in the job file is said on purpose, and overrides what the environment says
    if job is None or job.output_url is None:
        return settings.output_url
    if settings.is_locked("output_url"):
        message = f"output_url in {job.path} has no effect: it is {settings.origin('output_url').kind}"
        warnings.warn(message, HyperplaneWarning, stacklevel=2)
        return settings.output_url
    try:
        destination_of(job.output_url)
    except ValueError:
        raise SettingsError(
            f"output_url in {job.path} is no destination", hint=f"Say {DESTINATIONS}.", names=("output_url",)
        ) from None
    return job.output_url


def _name(command: tuple[str, ...], settings: JobSettings, earlier: Earlier | None) -> str:
    known = earlier.record.name if earlier else settings.job_name
    if known:
        return known
    scripts = [word for word in command[:3] if word.endswith(".py")]
    stem = Path(scripts[0] if scripts else command[0]).stem
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-.")[:100] or "job"


def _inputs(job: "JobFile | None") -> Mapping[str, str]:
    if job is None:
        return {}
    inputs = {name: _absolute(place, job.folder) for name, place in job.inputs.items()}
    for name, place in inputs.items():
        if "://" in place and not _is_local_url(place):
            _check_remote(name, place, job.path)
    missing = [name for name, place in inputs.items() if not (Location.is_url(place) or _exists(place))]
    if missing:
        places = ", ".join(f"{name!r} ({inputs[name]})" for name in missing)
        raise InputError(
            f"{'an input is' if len(missing) == 1 else 'inputs are'} not there: {places}",
            hint=f"`inputs:` of {job.path} names them; a path is taken from the folder of the job file.",
            name=missing[0],
        )
    return MappingProxyType(inputs)


def _check_remote(name: str, place: str, job_file: Path) -> None:
    try:
        if Location.is_url(place):
            Location.parse(place)
            return
        problem = f"is a {place.partition('://')[0]}:// URL, which this version does not read"
    except UsageError as error:
        problem = f"cannot be read: {error.message}"
    raise InputError(
        f"the input {name!r} {problem}",
        hint=f"Give a path, a file:/// URL or s3://bucket/key under `inputs:` of {job_file}.",
        name=name,
    )


def _absolute(place: str, folder: Path) -> str:
    return place if "://" in place else str(folder / place)


def _is_local_url(place: str) -> bool:
    return place.startswith(("file:///", "file://localhost/"))


def _exists(place: str) -> bool:
    return Path(unquote(urlsplit(place).path) if "://" in place else place).exists()


def refuse_secrets(plan: Plan, masker: Masker) -> None:
    """Raise `SettingsError` where the job's id or name, which name folders, hold a known secret."""
    for what, text, setting in (
        # first: an id that was made up begins with it
        ("name", plan.name, "HYPERPLANE_JOB_NAME"),
        ("id", plan.job_id, "HYPERPLANE_JOB_ID"),
    ):
        if masker.contains_secret(text):
            raise SettingsError(
                f"the job's {what} holds the value of a secret, and would be written down",
                hint=f"Give the job another {what}, as with {setting}.",
                names=(setting,),
            )
