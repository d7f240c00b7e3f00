"""Where the vault of this user lies, and how it is read and changed."""

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Self, TypeVar

from hyperplane.environment import Environment
from hyperplane.errors import SecretNotFoundError, UsageError, VaultError, did_you_mean
from hyperplane.secretsources.vault.entries import Entries, NewEntry, Summary
from hyperplane.secretsources.vault.key import Key
from hyperplane.secretsources.vault.private import PrivateFolder
from hyperplane.settings import JobSettings

FILE_NAME = "secrets.vault"
LOCK_NAME = "secrets.lock"
R = TypeVar("R")


class Vault:
    """The secrets of one user: a sealed file in a folder that nobody else enters, its key elsewhere.

    Readers need no lock: the file is replaced whole. Writers take turns.
    """

    def __init__(self, folder: Path, key_file: Path, *, is_named: bool = True) -> None:
        self.folder = folder
        self.key_file = key_file
        self._is_named = is_named

    @classmethod
    def of(cls, environment: Environment, settings: JobSettings) -> Self | None:
        """Return the vault that a process is told of, or None where neither settings nor HOME say a place.

        It need not exist. The file lies in `HYPERPLANE_VAULT_DIR`, by default in `hyperplane/vault` of
        `XDG_DATA_HOME`; the key is `HYPERPLANE_VAULT_KEY_FILE`, by default in `XDG_CONFIG_HOME`.
        """
        folder = _place(environment, settings.vault_dir, "XDG_DATA_HOME", ".local/share", "vault")
        key_file = _place(environment, settings.vault_key_file, "XDG_CONFIG_HOME", ".config", "vault.key")
        if folder is None or key_file is None:
            return None
        return cls(folder, key_file, is_named=settings.vault_dir is not None)

    @property
    def path(self) -> Path:
        """The sealed file."""
        return self.folder / FILE_NAME

    def read(self) -> Entries:
        """Return all entries. Raises `VaultError` for files that are open to others, or were changed."""
        # who never made a vault may have a HOME that cannot be reached, as in many containers
        is_sought = self._is_named or os.path.lexists(self.folder)
        folder = PrivateFolder.open(self.folder) if is_sought else None
        if folder is None:
            return Entries()
        with folder:
            return self._read(folder)

    def summaries(self) -> list[Summary]:
        """Return what may be shown of every entry, by name."""
        return self.read().summaries()

    def put(self, new: Sequence[NewEntry], *, may_replace: bool = True) -> list[str]:
        """Store entries, all or none, and return the names of those that were there before.

        Raises `UsageError` for these unless they may be replaced.
        """

        def change(entries: Entries) -> list[str]:
            known = [entry.name for entry in new if entry.name in entries]
            if known and not may_replace:
                raise UsageError(
                    f"already in the vault: {', '.join(known)}", hint="Replace them with --replace."
                )
            for entry in new:
                entries.put(entry)
            return known

        return self._change(change)

    def remove(self, names: Iterable[str]) -> None:
        """Remove entries, all or none. Raises `SecretNotFoundError` with every name that is not there."""
        wanted = tuple(dict.fromkeys(names))

        def change(entries: Entries) -> None:
            if missing := [name for name in wanted if name not in entries]:
                raise SecretNotFoundError(
                    f"not in the vault {self.path}: {', '.join(missing)}",
                    hint=did_you_mean(missing[0], entries.names()) or "`hyperplane secrets list` shows it.",
                    names=tuple(missing),
                    looked_in=(f"vault {self.path}",),
                )
            entries.remove(wanted)

        if not os.path.lexists(self.folder):
            change(Entries())
        self._change(change)

    def _change(self, change: Callable[[Entries], R]) -> R:
        with PrivateFolder.make(self.folder) as folder, folder.locked(LOCK_NAME):
            entries = self._read(folder)
            result = change(entries)
            folder.write(FILE_NAME, self._made_key().seal(entries.as_json()))
        return result

    def _read(self, folder: PrivateFolder) -> Entries:
        sealed = folder.read(FILE_NAME)
        if sealed is None:
            return Entries()
        key = Key.read(self.key_file)
        if key is None:
            raise VaultError(
                f"the key of the vault {self.path} is not there: {self.key_file}",
                hint="Put it back, or say with HYPERPLANE_VAULT_KEY_FILE where it is. If it is lost, so are"
                " the secrets: remove the vault and set them anew.",
                path=self.key_file,
            )
        entries = Entries.parse(key.unseal(sealed, self.path))
        if entries is None:
            raise VaultError(
                f"the vault {self.path} was written by another version",
                hint="Use that version of hyperplane, or a later one.",
                path=self.path,
            )
        return entries

    def _made_key(self) -> Key:
        if self.folder.resolve() in self.key_file.absolute().resolve().parents:
            raise VaultError(
                f"the vault's key would lie in the vault's own folder: {self.key_file}",
                hint="HYPERPLANE_VAULT_KEY_FILE names another place: who copies one lacks the other.",
                path=self.key_file,
            )
        return Key.make(self.key_file)

    def __repr__(self) -> str:
        return f"<Vault {self.path}>"


def _place(
    environment: Environment, setting: str | None, variable: str, below_home: str, name: str
) -> Path | None:
    if setting is not None:
        return environment.folder / setting
    home, base = environment.get("HOME"), environment.get(variable)
    # the XDG specification has relative paths ignored
    if base and Path(base).is_absolute():
        return Path(base) / "hyperplane" / name
    return Path(home) / below_home / "hyperplane" / name if home else None
