"""The local vault as a source of secrets."""

import os
from collections.abc import Iterable

from hyperplane.environment import Origin
from hyperplane.locks import ForkSafeLock
from hyperplane.secretsources import FoundSecret
from hyperplane.secretsources.vault.entries import Entries
from hyperplane.secretsources.vault.vault import Vault

_Signature = tuple[int, int, int]


class VaultSource:
    """The entries of a vault, which is opened anew only when its file is another one."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._lock = ForkSafeLock()
        self._seen: _Signature | None = None
        self._entries = Entries()

    def find(self, name: str) -> FoundSecret | None:
        """Return the entry of this name. Raises `VaultError` for a vault that cannot be used."""
        value = self._current().value(name)
        return None if value is None else FoundSecret(value, Origin("vault", str(self._vault.path)))

    def names(self) -> Iterable[str]:
        """Return the names of all entries."""
        return self._current().names()

    def describe(self, name: str) -> str:
        """Name the entry and the file."""
        return f"vault entry {name} in {self._vault.path}"

    def _current(self) -> Entries:
        with self._lock:
            signature = self._signature()
            if signature is None or signature != self._seen:
                self._entries = self._vault.read()
                self._seen = signature
            return self._entries

    def _signature(self) -> _Signature | None:
        try:
            status = os.lstat(self._vault.path)
        except OSError:
            return None
        return status.st_ino, status.st_size, status.st_mtime_ns

    def __repr__(self) -> str:
        return f"<VaultSource {self._vault.path}>"
