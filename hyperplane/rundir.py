"""Where each file of a run lies, and how files are written so that a crash leaves them whole."""

import os
import re
import secrets
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, Self
from urllib.parse import quote

from hyperplane.errors import RunNotFoundError, SettingsError
from hyperplane.locks import renew_after_fork

HOME_NAME = ".hyperplane"
PART_PATTERN = r"\.hyperplane-[0-9a-f]{12}\.part"
_NAME_LIMIT_BYTES = 255
# is_locked holds the lock for an instant itself, which must not turn an owner away
_LOCK_TRIES = 50
_LOCK_PAUSE_S = 0.002


class RunDir(NamedTuple):
    """The folder of one run; `path` is `<home>/runs/<job id>/<run id>`."""

    path: Path

    @property
    def run_id(self) -> str:
        """The run's id, unique."""
        return self.path.name

    @property
    def job_folder(self) -> Path:
        """The folder of all runs of this job."""
        return self.path.parent

    @property
    def home(self) -> "Home":
        """The `.hyperplane` folder that the run lies in."""
        return Home(self.job_folder.parent.parent)

    @property
    def record(self) -> Path:
        """`run.json`: what was run, by whom, and how it ended."""
        return self.path / "run.json"

    @property
    def lock(self) -> Path:
        """`run.lock`: held while the runner or the context that owns the run lives."""
        return self.path / "run.lock"

    @property
    def stdout_log(self) -> Path:
        """The job's standard output, masked."""
        return self.path / "stdout.log"

    @property
    def stderr_log(self) -> Path:
        """The job's standard error, masked."""
        return self.path / "stderr.log"

    @property
    def events(self) -> Path:
        """`events.jsonl`: logs, reports, metrics, progress, sealed outputs, the stop."""
        return self.path / "events.jsonl"

    @property
    def outputs(self) -> Path:
        """The job's outputs folder."""
        return self.path / "outputs"

    @property
    def delivery(self) -> Path:
        """`delivery.jsonl`: what of the run has reached its destination; written by who delivers it alone."""
        return self.path / "delivery.jsonl"

    @property
    def manifest(self) -> Path:
        """`manifest.json`: everything that is delivered, with size and sha256."""
        return self.path / "manifest.json"

    @property
    def final(self) -> Path:
        """`final.json`: how the run ended, and the sha256 of its manifest; delivered last of all."""
        return self.path / "final.json"

    @property
    def restored(self) -> Path:
        """Copies of what earlier runs sealed, while this one lives."""
        return self.path / "restored"

    def folders_above(self) -> list[Path]:
        """Return the run's folder, and those above it up to the project's home."""
        return [self.path, self.job_folder, self.job_folder.parent, self.home.path]

    def earlier_runs(self) -> list["RunDir"]:
        """Return the other runs of this job, newest first."""
        return [run for run in runs_in(self.job_folder) if run.path != self.path]


class Home(NamedTuple):
    """A `.hyperplane` folder: the runs of one project."""

    path: Path

    @classmethod
    def of(cls, project: Path) -> Self:
        """Return the home of a project folder; it need not exist yet."""
        return cls(project / HOME_NAME)

    @classmethod
    def nearest(cls, start: Path) -> Self | None:
        """Return the home in `start` or the closest folder above it, or None."""
        folders = (start, *start.parents)
        return next((cls.of(folder) for folder in folders if (folder / HOME_NAME).is_dir()), None)

    def job_folder(self, job_id: str) -> Path:
        """Return the folder of a job's runs; characters that a path cannot hold are percent-encoded.

        Raises `SettingsError` for an id that is too long to name a folder.
        """
        name = _encoded(job_id)
        if not 0 < len(name) <= _NAME_LIMIT_BYTES:
            raise SettingsError(
                f"a job id that takes {len(name)} bytes as the name of a folder cannot be used",
                hint=f"Give HYPERPLANE_JOB_ID 1 to {_NAME_LIMIT_BYTES} letters and digits.",
                names=("HYPERPLANE_JOB_ID",),
            )
        return self.path / "runs" / name

    def claim(self, job_id: str) -> RunDir:
        """Make the folder of a new run, with an id that nobody else has."""
        self._prepare()
        folder = self.job_folder(job_id)
        while True:
            run = RunDir(folder / new_run_id())
            try:
                run.path.mkdir(parents=True)
            except FileExistsError:
                continue
            return run

    def _prepare(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        ignore = self.path / ".gitignore"
        if not ignore.exists():
            write_atomic(ignore, b"*\n")

    def runs(self) -> list[RunDir]:
        """Return every run of the project, newest first."""
        jobs = _folders_in(self.path / "runs")
        return sorted((run for job in jobs for run in runs_in(job)), key=_run_id, reverse=True)

    def find(self, name: str) -> RunDir:
        """Return the run that a unique prefix of a run id or job id names, or `last` the newest.

        A prefix that fits several runs of one job alone means the newest of them.
        Raises `RunNotFoundError` when none or runs of several jobs fit.
        """
        runs = self.runs()
        if name == "last" and runs:
            return runs[0]
        exact = [run for run in runs if _is_named(run, name)]
        fitting = exact or [run for run in runs if _fits(run, name)]
        if not name or not fitting:
            raise RunNotFoundError(
                f"no run goes by {name!r} in {self.path}", hint="`hyperplane runs` lists them.", name=name
            )
        if len(fitting) > 1 and len({run.job_folder for run in fitting}) > 1:
            raise RunNotFoundError(
                f"{len(fitting)} runs go by {name!r}", hint="Give more of the id.", name=name
            )
        return fitting[0]


def runs_in(job_folder: Path) -> list[RunDir]:
    """Return the runs of one job, newest first."""
    return sorted((RunDir(path) for path in _folders_in(job_folder)), key=_run_id, reverse=True)


def _folders_in(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from (entry for entry in folder.iterdir() if entry.is_dir())


def _run_id(run: RunDir) -> str:
    return run.run_id


def _encoded(job_id: str) -> str:
    name = quote(job_id, safe=" @=+:,~", errors="surrogatepass")
    return f"%2E{name[1:]}" if name.startswith(".") else name


def _is_named(run: RunDir, name: str) -> bool:
    return name == run.run_id or run.job_folder.name in {name, _encoded(name)}


def _fits(run: RunDir, prefix: str) -> bool:
    return run.run_id.startswith(prefix) or run.job_folder.name.startswith((prefix, _encoded(prefix)))


def new_run_id() -> str:
    """Return an id for a run: `YYYYMMDD-HHMMSS-<6 hex>`, UTC.

    The hexadecimal digits are the microseconds and 4 random bits, so that ids sort by time.
    """
    now = datetime.now(UTC)
    return f"{now:%Y%m%d-%H%M%S}-{now.microsecond << 4 | secrets.randbits(4):06x}"


def new_part_name() -> str:
    """Return a name for a temporary file; files of such names are never outputs."""
    return f".hyperplane-{secrets.token_hex(6)}.part"


def is_part(name: str) -> bool:
    """Say whether this is the name of a temporary file of ours."""
    return re.fullmatch(PART_PATTERN, name) is not None


def write_atomic(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write a file whole or not at all, and have it on the disk before returning."""
    part = path.with_name(new_part_name())
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Have the names in a folder on the disk before returning."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Lock:
    """An exclusive lock on a file, held until closed or until this process dies; children do not hold it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        renew_after_fork(self)

    @classmethod
    def take(cls, path: Path) -> Self | None:
        """Take the lock, or return None when another process holds it."""
        import fcntl

        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        for _ in range(_LOCK_TRIES):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(_LOCK_PAUSE_S)
            else:
                return cls(descriptor)
        os.close(descriptor)
        return None

    @property
    def descriptor(self) -> int:
        """The open file; a process that is given it holds the lock too, until both have closed it."""
        return self._descriptor

    def close(self) -> None:
        """Let the lock go."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def renew(self) -> None:
        """Leave the lock to the parent alone: a forked child would hold it beyond the parent's death."""
        self.close()


def is_locked(path: Path) -> bool:
    """Say whether a living process holds the lock."""
    import fcntl

    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
