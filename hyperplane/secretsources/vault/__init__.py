"""The local vault: secrets of this user in one sealed file, its key in another place."""

from hyperplane.secretsources.vault.entries import Entries, NewEntry, Summary
from hyperplane.secretsources.vault.source import VaultSource
from hyperplane.secretsources.vault.vault import Vault

__all__ = ["Entries", "NewEntry", "Summary", "Vault", "VaultSource"]
