"""Runs at a destination, as the command line sees them: listed, found, fetched."""

import json
from pathlib import Path

from hyperplane import secretsources
from hyperplane import settings as job_settings
from hyperplane.delivery.brief import Keys, open_destination
from hyperplane.delivery.places import Destination
from hyperplane.delivery.remote import RemoteRun, runs_at
from hyperplane.environment import Environment
from hyperplane.errors import RunNotFoundError, UsageError
from hyperplane.masking import Masker
from hyperplane.runs import record
from hyperplane.runs.record import RunRecord
from hyperplane.settings import DESTINATIONS, destination_of
from hyperplane.transfer.workers import each

THREADS = 16


def open_url(url: str | None, masker: Masker, *, folder: Path | None = None) -> Destination:
    """Return the destination that is named, else the one of the settings.

    Raises `UsageError` where there is none.
    """
    environment = Environment.capture(folder=folder)
    settings = job_settings.load(environment)
    sources = secretsources.registered_sources(masker, environment, settings)
    named = _checked(url) if url is not None else settings.output_url
    if named is None:
        raise UsageError(
            "no destination is named", hint=f"Give --from URL, or set HYPERPLANE_OUTPUT_URL: {DESTINATIONS}."
        )
    return open_destination(named, environment, settings, Keys({}, sources), masker)


def _checked(url: str) -> str | None:
    try:
        return destination_of(url)
    except ValueError:
        raise UsageError(f"{url!r} is no destination", hint=f"Give {DESTINATIONS}.") from None


def survey(destination: Destination) -> list[RunRecord]:
    """Return the records of all runs there, newest first; delivered is what `final.json` says is."""
    found: list[RunRecord] = []
    each(lambda run: found.append(_record_of(run)), runs_at(destination), threads=THREADS)
    return sorted(found, key=lambda run: run.run_id, reverse=True)


def _record_of(run: RemoteRun) -> RunRecord:
    final = run.final()
    if final is None:
        known = record.parse(run.record() or b"", run.job_folder, run.run_id)
        return known._replace(delivery="pending")
    known = record.parse(json.dumps(dict(final.record)).encode(), run.job_folder, run.run_id)
    return known._replace(delivery="delivered")


def find(destination: Destination, name: str) -> RemoteRun:
    """Return the run that the beginning of a run id or job id names, or `last` the newest of all.

    A job id, or the beginning of one, means the newest run of the job. Raises `RunNotFoundError`.
    """
    runs = list(runs_at(destination))
    fitting = [run for run in runs if name == "last" or _fits(run, name)]
    newest = sorted(fitting, key=lambda run: run.run_id, reverse=True)
    if not newest:
        raise RunNotFoundError(
            f"no run goes by {name!r} in {destination.url}",
            hint=f"`hyperplane runs --from {destination.url}` lists them.",
            name=name,
        )
    if name != "last" and len({run.job_folder for run in newest}) > 1:
        raise RunNotFoundError(f"{len(newest)} runs go by {name!r}", hint="Give more of the id.", name=name)
    return newest[0]


def _fits(run: RemoteRun, name: str) -> bool:
    return run.run_id.startswith(name) or run.job_folder.startswith(name)
