"""The cache of inputs, as one context uses it: what it got stays until the context closes."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, Self

from hyperplane.environment import Environment
from hyperplane.errors import HyperplaneError, InputError
from hyperplane.inputcache.contents import probe
from hyperplane.inputcache.fetching import Fetching, Source, Watch
from hyperplane.inputcache.locking import Hold
from hyperplane.inputcache.place import cache_folder
from hyperplane.inputcache.room import Room
from hyperplane.locks import ForkSafeLock
from hyperplane.settings import JobSettings
from hyperplane.stores import Location, ObjectStore
from hyperplane.transfer.bar import watch as watch_on_terminal

FOLDER_NAME = "inputs"
_TAG = b"Signature: 8a477f597d28d172789f06886806bc55\n# Inputs of jobs, which hyperplane can fetch again.\n"


class Buckets(Protocol):
    """The buckets of one store; `endpoint` is the address of the store."""

    @property
    def endpoint(self) -> str:
        """What tells this store from any other."""
        ...

    def open(self, bucket: str) -> ObjectStore:
        """Return the store of one bucket."""
        ...


class Logger(Protocol):
    """What loggers of structlog have."""

    def log(self, level: int, event: str, **fields: Any) -> object:
        """Say what has happened."""
        ...


class InputCache:
    """Inputs as local files, one version each for as long as this lives.

    `folder`: of this user on this machine, made when it is needed. `limit_bytes`: what all together may
    take, but for what is in use. `buckets` and `log` are asked for when they are needed.
    """

    def __init__(
        self,
        folder: Path,
        buckets: Callable[[], Buckets],
        *,
        limit_bytes: int,
        log: Callable[[], Logger] | None = None,
        watch: Watch = watch_on_terminal,
    ) -> None:
        self._room = Room(folder / FOLDER_NAME, limit_bytes)
        self._buckets = buckets
        self._log = log
        self._watch = watch
        self._paths: dict[Location, Path] = {}
        self._holds: list[Hold] = []
        self._lock = ForkSafeLock()

    @classmethod
    def of(
        cls,
        environment: Environment,
        settings: JobSettings,
        buckets: Callable[[], Buckets],
        *,
        log: Callable[[], Logger] | None = None,
    ) -> Self:
        """Return the cache that a process is told of. Raises `InputError` where nothing says a place."""
        folder = cache_folder(environment, settings)
        return cls(folder, buckets, limit_bytes=settings.cache_limit, log=log)

    def fetch(self, location: Location) -> Path:
        """Return the local path of an object or folder, in the version that the store has at the first call.

        It is read-only, and stays there until `close`. Raises `StoreError` or `TransferError` where it
        cannot be had, `InputError` where the cache cannot take it.
        """
        with self._lock:
            if location not in self._paths:
                with self._errors():
                    self._paths[location] = self._fetch(location)
            return self._paths[location]

    def _fetch(self, location: Location) -> Path:
        source = Source(self._buckets().open(location.bucket), location, self._key(location))
        self._make_folder()
        path, hold = Fetching(source, self._room, tell=self._tell, watch=self._watch).run()
        self._holds.append(hold)
        return path

    def probe(self, location: Location) -> None:
        """Ask whether the store has it, without fetching. Raises `StoreError` where it has not."""
        probe(self._buckets().open(location.bucket), location)

    def fetched_at(self, location: Location) -> str | None:
        """Return when it was last fetched (ISO 8601), or None where no version of it is in the cache."""
        with self._errors():
            key = self._key(location)
            found = (entry.fetched for entry in self._room.entries() if entry.source == key)
            return max((when for when in found if when is not None), default=None)

    def close(self) -> None:
        """Let go of what was used, and have the cache be within its limit."""
        with self._lock:
            holds, self._holds = self._holds, []
            for hold in holds:
                hold.touch()
                hold.close()
            if holds:
                with self._errors():
                    self._room.sweep()

    def _key(self, location: Location) -> str:
        return hashlib.sha256(f"{self._buckets().endpoint}\n{location}".encode()).hexdigest()[:32]

    def _tell(self, level: int, event: str, **fields: object) -> None:
        if self._log is not None:
            self._log().log(level, event, **fields)

    def _make_folder(self) -> None:
        tag = self._room.folder / "CACHEDIR.TAG"
        if not tag.exists():
            # what is in a bucket is not for every user of the machine
            tag.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            tag.write_bytes(_TAG)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except HyperplaneError:
            raise
        except OSError as error:
            raise InputError(
                f"the cache {self._room.folder} cannot be used: {error.strerror or error}",
                hint="Set HYPERPLANE_CACHE_DIR to a folder on a disk of this machine that can be written.",
            ) from error
