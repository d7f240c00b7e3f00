"""Where the outputs of a job lie: its folder, and those of earlier attempts, here and at the destination."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from hyperplane.environment import Environment
from hyperplane.errors import OutputError
from hyperplane.masking import Masker
from hyperplane.rundir import Home, RunDir, runs_in
from hyperplane.settings import JobSettings

if TYPE_CHECKING:
    from hyperplane.delivery.brief import Keys
    from hyperplane.delivery.remote import RemoteRun


def home_of(environment: Environment, settings: JobSettings, run: RunDir | None) -> Home:
    """Return the home of the project: that of the run, where there is one."""
    return Home.of(environment.folder / (settings.home or "")) if run is None else run.home


def outputs_folder(
    given: object, environment: Environment, settings: JobSettings, run: RunDir | None
) -> Path:
    """Return the outputs folder; `given`: the one that the context was made with, or None.

    Raises `OutputError` where what is written there would be lost with the disk.
    """
    _refuse_a_disk_that_is_lost(given, environment, settings, run)
    folder = given or settings.output_dir
    if folder is not None:
        return environment.folder / Path(os.fspath(folder))  # type: ignore[call-overload]  # a path, or no facet
    return environment.folder if run is None else run.outputs


def _refuse_a_disk_that_is_lost(
    given: object, environment: Environment, settings: JobSettings, run: RunDir | None
) -> None:
    platform = environment.platform
    where = settings.home if run is not None else given or settings.output_dir
    is_lost = platform.disk_is_lost and where is None and settings.output_url is None
    if is_lost and not settings.delivers_nowhere_on_purpose:
        raise OutputError(
            f"the disk of a {platform.name} job is gone when the job ends, and its outputs with it",
            hint="Set HYPERPLANE_OUTPUT_DIR to a folder that stays, or HYPERPLANE_OUTPUT_URL to `none`.",
        )


def earlier_runs(home: Home, settings: JobSettings, run: RunDir | None) -> list[RunDir]:
    """Return the other runs of this job on this disk, newest first."""
    if run is not None:
        return run.earlier_runs()
    return [] if settings.job_id is None else runs_in(home.job_folder(settings.job_id))


def delivered_runs(
    environment: Environment, settings: JobSettings, run: RunDir | None, keys: "Keys", masker: Masker
) -> "Iterable[RemoteRun]":
    """Return the runs of this job at its destination, newest first."""
    url, job_id = settings.output_url, settings.job_id
    if url is None or (run is None and job_id is None):
        return ()
    from hyperplane.delivery.brief import open_destination
    from hyperplane.delivery.remote import runs_at

    destination = open_destination(url, environment, settings, keys, masker)
    folder = home_of(environment, settings, run).job_folder(job_id or "") if run is None else run.job_folder
    return runs_at(destination, folder.name)
