"""Keeps the record of one run as the run goes on."""

import contextlib
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Self

import hyperplane
from hyperplane.errors import RunnerError
from hyperplane.job import Job, identify
from hyperplane.masking import Masker
from hyperplane.platforms import Platform
from hyperplane.rundir import RunDir
from hyperplane.runs.plan import Plan
from hyperplane.runs.record import Identity, RunRecord, Versions
from hyperplane.settings import JobSettings


class Book:
    """The record of one run, and its file."""

    def __init__(self, run: RunDir, record: RunRecord, masker: Masker) -> None:
        self.run = run
        self.record = record
        self._masker = masker

    @classmethod
    def begin(
        cls, plan: Plan, run: RunDir, settings: JobSettings, platform: Platform, masker: Masker
    ) -> Self:
        """Write down, masked, what is about to be run."""
        mask = masker.mask
        record = RunRecord(
            job_id=plan.job_id,
            run_id=run.run_id,
            name=mask(plan.name),
            attempt=plan.attempt,
            retry_of=plan.retry_of,
            command=tuple(map(mask, plan.command)),
            folder=mask(str(plan.folder)),
            job_file=None if plan.job_file is None else mask(str(plan.job_file)),
            parameters={mask(name): mask(value) for name, value in plan.parameters.items()},
            given=tuple(map(mask, plan.given)),
            masked=tuple(_masked_fields(plan, masker)),
            identity=Identity(None if settings.user_id is None else mask(settings.user_id), platform.name),
            secret_scan=plan.secret_scan,
            delivery="none" if plan.destination is None else "pending",
            output_url=None if plan.destination is None else mask(plan.destination),
            **begun_here(),
            **place_in_group(identify(settings, platform, run)),
        )
        book = cls(run, record, masker)
        # a run that is to be delivered must be found even after a power cut
        book.write(durable=plan.destination is not None)
        return book

    def change(self, **changes: Any) -> None:
        """Change the record, not yet its file."""
        self.record = self.record._replace(**changes)

    def add_problem(self, problem: str) -> None:
        """Add to the record, masked, what was wrong; not yet to its file."""
        self.change(problems=(*self.record.problems, self._masker.mask(problem.replace("\n", " "))))

    def write(self, *, durable: bool = False) -> None:
        """Write the record to its file; only the last version need be on the disk at once."""
        self.record.save(self.run, durable=durable)

    def note(self, **changes: Any) -> None:
        """Change the record, and its file where that can be written; the last writing tries again."""
        with contextlib.suppress(RunnerError):
            self.change(**changes)
            self.write()


def _masked_fields(plan: Plan, masker: Masker) -> Iterator[str]:
    job_file = "" if plan.job_file is None else str(plan.job_file)
    for field, texts in (
        ("command", plan.command),
        ("folder", (str(plan.folder),)),
        ("job_file", (job_file,)),
    ):
        if any(map(masker.contains_secret, texts)):
            yield field
    for pair in plan.parameters.items():
        if any(map(masker.contains_secret, pair)):
            yield f"parameters.{masker.mask(pair[0])}"


def place_in_group(job: Job) -> dict[str, Any]:
    """Return what a record says of runs on several machines that work on one thing together."""
    return {"group": job.id, "rank": job.rank} if job.world_size > 1 else {}


def begun_here() -> dict[str, Any]:
    """Return what a record says of the process that begins a run, now."""
    return {
        "host": os.uname().nodename,
        "pid": os.getpid(),
        "versions": Versions(sys.version.split()[0], hyperplane.__version__),
        "started": now(),
    }


def now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(UTC)
