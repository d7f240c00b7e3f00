"""Secrets in variables: `HYPERPLANE_SECRET_<name>`, and plain ones that are said to be secrets."""

import unicodedata
from collections.abc import Iterable

from hyperplane.environment import Layer
from hyperplane.secretsources import FoundSecret, stored_bytes
from hyperplane.settings import SECRET_PREFIX, known_variables


class Variables:
    """The secrets in one layer of the environment; `plain` are variables that are secrets by themselves."""

    def __init__(self, layer: Layer, plain: Iterable[str]) -> None:
        self._layer = layer
        settings = known_variables()
        prefixed = {
            variable.removeprefix(SECRET_PREFIX): variable
            for variable in layer.variables
            if variable.startswith(SECRET_PREFIX) and variable not in settings
        }
        variables = {name: name for name in plain if name in layer.variables} | prefixed
        self._variables = {unicodedata.normalize("NFC", name): at for name, at in variables.items()}

    def find(self, name: str) -> FoundSecret | None:
        """Return the secret, its value in the bytes that the process was given."""
        variable = self._variables.get(name)
        if variable is None:
            return None
        value = stored_bytes(name, self._layer.variables[variable])
        return FoundSecret(value, self._layer.origin(variable))

    def names(self) -> Iterable[str]:
        """Return the names of the secrets in this layer."""
        return self._variables.keys()

    def describe(self, name: str) -> str:
        """Name the variable, and the file it would be in."""
        return f"{self._layer.kind} {SECRET_PREFIX}{name}"
