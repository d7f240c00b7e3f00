"""The site file: what a platform team sets for every job on its machines, and what nothing may override."""

import shlex
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, Self

from hyperplane.environment import SITE_FILE_VARIABLE, Environment, Origin, read_env_file
from hyperplane.errors import HyperplaneWarning, SettingsError

_PREFIX = "HYPERPLANE_"
LOCKED_VARIABLE = "HYPERPLANE_LOCKED"


class Site(NamedTuple):
    """The variables of a site file, and the names among them that are locked."""

    path: Path | None = None
    variables: Mapping[str, str] = MappingProxyType({})
    locked: frozenset[str] = frozenset()

    @classmethod
    def of(cls, environment: Environment) -> Self:
        """Read the site file of a process; none is an empty one.

        One that locks anything cannot be swapped for another by `HYPERPLANE_SITE_FILE`: that is said as
        a warning. Raises `SettingsError` for a file that cannot be read, or locks what it does not set.
        """
        sites = (cls._read(path) for path in environment.site_files)
        first = next(sites, cls())
        if len(environment.site_files) > 1:
            if not first.locked:
                return next(sites)
            warnings.warn(
                f"{SITE_FILE_VARIABLE} has no effect: {first.path} locks settings",
                HyperplaneWarning,
                stacklevel=3,
            )
        return first

    @classmethod
    def _read(cls, path: Path) -> Self:
        variables = read_env_file(path)
        if path.stat().st_mode & 0o002:
            raise SettingsError(
                f"every user of the machine can change the site file {path}",
                hint=f"chmod o-w {shlex.quote(str(path))}",
                names=(SITE_FILE_VARIABLE,),
            )
        names = (name.strip() for name in variables.pop(LOCKED_VARIABLE, "").split(","))
        locked = frozenset(_PREFIX + name.removeprefix(_PREFIX) for name in names if name)
        if unset := sorted(locked - variables.keys()):
            raise SettingsError(
                f"{path} locks {', '.join(unset)}, and does not set it",
                hint=f"Set there what is to hold, or take the name out of {LOCKED_VARIABLE}.",
                names=tuple(unset),
            )
        return cls(path, MappingProxyType(variables), locked)

    def is_locked(self, names: Iterable[str]) -> bool:
        """Say whether a setting, by one of its variables, is locked."""
        return not self.locked.isdisjoint(names)

    def find(self, names: Iterable[str]) -> tuple[str, Origin] | None:
        """Return what the file says of a setting, with its origin, or None."""
        name = next((name for name in names if name in self.variables), None)
        if name is None:
            return None
        kind = f"locked by {self.path}" if name in self.locked else str(self.path)
        return self.variables[name], Origin(kind, name)
