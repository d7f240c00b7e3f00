"""The vault as a source of secrets."""

import itertools

import pytest

from hyperplane.environment import Origin
from hyperplane.errors import VaultError
from hyperplane.secretsources import FoundSecret, checked_name
from hyperplane.secretsources.vault import NewEntry, Vault, VaultSource
from hyperplane.testing.conformance import SecretSourceConformance


@pytest.fixture
def vault(tmp_path):
    """Return an empty vault."""
    return Vault(tmp_path / "vault", tmp_path / "vault.key")


class TestVaultSource(SecretSourceConformance):
    """The vault is a source like the others."""

    @pytest.fixture
    def make_source(self, tmp_path):
        """Return a function that puts secrets into a vault of their own, as the command does."""
        numbers = itertools.count()

        def make(secrets):
            vault = Vault(tmp_path / f"vault-{next(numbers)}", tmp_path / "vault.key")
            if secrets:
                vault.put([NewEntry(checked_name(name), value) for name, value in secrets.items()])
            return VaultSource(vault)

        return make


def test_the_origin_names_the_file(vault):
    """Whoever asks where a secret came from learns the vault's path."""
    vault.put([NewEntry("db", b"open-sesame")])
    assert FoundSecret(b"open-sesame", Origin("vault", str(vault.path))) == VaultSource(vault).find("db")


def test_what_is_set_meanwhile_is_seen(vault):
    """The vault may be made, changed and removed while a process lives."""
    source = VaultSource(vault)
    seen = [source.find("db")]
    for value in (b"first", b"second"):
        vault.put([NewEntry("db", value)])
        seen.append(source.find("db").value)
    vault.path.unlink()
    assert [None, b"first", b"second", None] == [*seen, source.find("db")]


def test_an_unchanged_vault_is_opened_once(vault, monkeypatch):
    """Asking for many names costs one decryption."""
    vault.put([NewEntry("db", b"open-sesame")])
    source = VaultSource(vault)
    source.find("db")
    monkeypatch.setattr(vault, "read", lambda: pytest.fail("it was opened again"))
    assert (b"open-sesame", ["db"]) == (source.find("db").value, source.names())


def test_a_broken_vault_is_an_error_each_time(vault):
    """A failure is not remembered as an empty vault."""
    vault.put([NewEntry("db", b"open-sesame")])
    vault.path.chmod(0o644)
    source = VaultSource(vault)
    for _ in range(2):
        with pytest.raises(VaultError, match="open to other users"):
            source.find("db")
    vault.path.chmod(0o600)
    assert b"open-sesame" == source.find("db").value
