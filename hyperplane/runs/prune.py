"""Removes the oldest finished runs of a project."""

import contextlib
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from hyperplane.errors import RunnerError
from hyperplane.rundir import Home, Lock, RunDir
from hyperplane.runs import record

# a run is claimed a moment before it is locked
_YOUNG_S = 60.0


@dataclass(frozen=True, slots=True)
class Pruned:
    """A run that was, or would be, removed, and the room it took."""

    run_id: str
    job_id: str
    size_bytes: int


def prune(home: Home, *, keep: int, dry_run: bool = False) -> list[Pruned]:
    """Remove all but the `keep` newest runs of the project, and return what was removed, oldest first.

    A run that is alive or waits to be delivered stays, and counts as one of those kept.
    Raises `RunnerError` for a folder that cannot be removed.
    """
    old = home.runs()[keep:]
    return [pruned for run in reversed(old) if (pruned := _prune_one(run, dry_run=dry_run)) is not None]


def _prune_one(run: RunDir, *, dry_run: bool) -> Pruned | None:
    if not run.record.exists() and time.time() - run.path.stat().st_mtime < _YOUNG_S:
        return None
    # held while it is removed, so that nobody begins to use it
    lock = Lock.take(run.lock)
    if lock is None:
        return None
    with contextlib.closing(lock):
        found = record.read(run)
        # a record that cannot be read does not make a run worthless
        if found.delivery == "pending" or record.is_lost(run, found):
            return None
        pruned = Pruned(run.run_id, found.job_id, _size_of(run.path))
        if not dry_run:
            _remove(run)
    return pruned


def _remove(run: RunDir) -> None:
    try:
        shutil.rmtree(run.path)
        with contextlib.suppress(OSError):  # further runs of the job
            run.job_folder.rmdir()
    except OSError as error:
        raise RunnerError(
            f"{run.path} cannot be removed: {error.strerror or error}",
            hint="It stays listed; its files belong to another user, or are in use.",
        ) from error


def _size_of(folder: Path) -> int:
    sizes = (os.lstat(Path(place) / name).st_size for place, _, names in os.walk(folder) for name in names)
    return sum(sizes)
