"""Who this job is: its identity, composed from settings and what the platform tells."""

import re
import secrets
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from hyperplane.platforms import Platform
from hyperplane.rundir import RunDir, new_run_id
from hyperplane.settings import JobSettings

_NAME_LIMIT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """The identity of a job and of this process in it; every number has a value on a laptop too.

    `rank` of `world_size` processes that work on one thing together; `index` of `count` tasks of an
    array, which do not wait for each other. `deadline` is when the platform will end the job.
    """

    id: str
    run_id: str
    name: str
    user: str | None = None
    platform: str = "local"
    attempt: int = 1
    rank: int = 0
    local_rank: int = 0
    world_size: int = 1
    index: int = 0
    count: int = 1
    deadline: datetime | None = None

    @property
    def is_main(self) -> bool:
        """Whether this is rank 0, which alone should do what is done once."""
        return self.rank == 0


def identify(settings: JobSettings, platform: Platform, run: RunDir | None = None) -> Job:
    """Compose the identity: settings first, then the platform's facts; what nobody tells is made up once."""
    name = settings.job_name or script_name()
    return Job(
        id=settings.job_id or made_up_id(name),
        run_id=run.run_id if run is not None else new_run_id(),
        name=name,
        user=settings.user_id,
        platform=platform.name,
        attempt=settings.attempt,
        **_facts(platform, "rank", "local_rank", "world_size", "index", "count", "deadline"),
    )


def _facts(platform: Platform, *fields: str) -> dict[str, Any]:
    found = ((field, platform.get(field)) for field in fields)
    known: dict[str, Any] = {field: fact.value for field, fact in found if fact is not None}
    for place, total in (("rank", "world_size"), ("index", "count")):
        if place in known:  # Kubernetes and Nomad tell a task its place, and not of how many
            known[total] = max(known.get(total, 1), known[place] + 1)
    return known


def script_name() -> str:
    """Return the name of the running script, or of a package run by `-m`; "job" in an interpreter."""
    script = Path("".join(sys.argv[:1]))
    name = script.parent.name if script.stem == "__main__" else script.stem
    word = re.sub(r"[^A-Za-z0-9._-]+", "-", name)[:_NAME_LIMIT].strip("-.")
    return "job" if not word or name.startswith("-") else word


def made_up_id(name: str) -> str:
    """Return an id for a job that nobody gave one: `<name>-<6 hex>`."""
    return f"{name}-{secrets.token_hex(3)}"
