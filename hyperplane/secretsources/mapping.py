"""Secrets that were handed over in Python, as tests do."""

from collections.abc import Iterable, Mapping

from hyperplane.environment import Origin
from hyperplane.secretsources import FoundSecret, checked_name, stored_bytes


class MappedSecrets:
    """The secrets of a mapping from names to values.

    Raises `SecretNameError` for what is no name, `SecretValueError` for what is neither text nor bytes.
    """

    def __init__(self, secrets: Mapping[str, str | bytes]) -> None:
        self._secrets = {checked_name(name): stored_bytes(name, value) for name, value in secrets.items()}

    def find(self, name: str) -> FoundSecret | None:
        """Return the secret of this name."""
        value = self._secrets.get(name)
        return None if value is None else FoundSecret(value, Origin("argument", "secrets"))

    def names(self) -> Iterable[str]:
        """Return the names of all."""
        return self._secrets.keys()

    def describe(self, name: str) -> str:
        """Name the argument."""
        return f"argument secrets[{name!r}]"

    def __repr__(self) -> str:
        return f"<MappedSecrets: {len(self._secrets)} names>"
