"""A run of one's own: its folder, and the lock that says that it is alive."""

from hyperplane.errors import OutputError, RunnerError
from hyperplane.rundir import Home, Lock, RunDir


def claim(
    home: Home, job_id: str, *, is_delivered: bool, failure: type[OutputError | RunnerError]
) -> tuple[RunDir, Lock]:
    """Make the folder of a run, and take its lock: while it is held, the run is alive.

    `is_delivered`: it goes somewhere, and is found by who looks for runs that wait, whenever it dies.
    Raises `failure` where that is not possible.
    """
    try:
        run = home.claim(job_id)
        lock = Lock.take(run.lock)
        run.outputs.mkdir()
        if is_delivered:
            run.delivery.touch()
    except OSError as error:
        raise failure(
            f"no run folder can be made in {home.path}: {error.strerror or error}",
            hint="HYPERPLANE_HOME names another folder for .hyperplane.",
        ) from error
    if lock is None:
        raise failure(f"{run.lock} is held by another process")
    return run, lock
