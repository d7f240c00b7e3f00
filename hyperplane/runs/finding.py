"""Where the runs are that a command speaks of."""

from pathlib import Path

from hyperplane.environment import Environment
from hyperplane.errors import RunnerError, RunNotFoundError
from hyperplane.rundir import Home

HOME_VARIABLE = "HYPERPLANE_HOME"


def working_folder() -> Path:
    """Return the working folder. Raises `RunnerError` where it was removed."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise RunnerError("the working folder was removed", hint="Go to a folder that is there.") from None


def home_near(start: Path) -> Home:
    """Return the home that `HYPERPLANE_HOME` names, else the one in `start` or the nearest folder above it.

    Raises `RunNotFoundError` when there is none.
    """
    named = Environment.capture(folder=start).get(HOME_VARIABLE)
    home = Home.of(start / named) if named else Home.nearest(start)
    if home is None or not home.path.is_dir():
        place = home.path if home is not None else f"{start} or any folder above it"
        raise RunNotFoundError(
            f"there are no runs in {place}",
            hint=f"Go to the folder of the job, or set {HOME_VARIABLE} to it.",
            name="",
        )
    return home
