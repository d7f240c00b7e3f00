"""Where the cache of this user lies."""

from pathlib import Path

from hyperplane.environment import Environment
from hyperplane.errors import InputError
from hyperplane.settings import JobSettings


def cache_folder(environment: Environment, settings: JobSettings) -> Path:
    """Return `HYPERPLANE_CACHE_DIR`, else `hyperplane` in `XDG_CACHE_HOME` or in `~/.cache`.

    Raises `InputError` where nothing says which.
    """
    if settings.cache_dir is not None:
        return environment.folder / settings.cache_dir
    base, home = environment.get("XDG_CACHE_HOME"), environment.get("HOME")
    # the XDG specification has relative paths ignored
    if base and Path(base).is_absolute():
        return Path(base) / "hyperplane"
    if not home:
        raise InputError("nothing says where the cache of inputs lies", hint="Set HYPERPLANE_CACHE_DIR.")
    return environment.folder / home / ".cache" / "hyperplane"
