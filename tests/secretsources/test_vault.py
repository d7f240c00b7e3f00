"""The local vault: what goes in comes out, for this user alone, and errors say how to mend what is wrong."""

import errno
import os
import stat
import subprocess
import traceback
from datetime import UTC, datetime
from pathlib import Path

import pytest
from processes import public_folder, unprivileged

from hyperplane.environment import Environment
from hyperplane.errors import SecretNotFoundError, UsageError, VaultError
from hyperplane.secretsources.vault import NewEntry, Vault, private
from hyperplane.secretsources.vault import key as key_module
from hyperplane.settings import load

VALUE = b"open-sesame-\xff\x00-bytes"


@pytest.fixture
def vault(tmp_path):
    """Return a vault that holds one secret."""
    made = Vault(tmp_path / "data" / "vault", tmp_path / "keys" / "vault.key")
    made.put([NewEntry("db", VALUE, "Data Sources")])
    return made


def mode_of(path):
    """Return the permissions of a file."""
    return stat.S_IMODE(path.lstat().st_mode)


def refused(vault):
    """Return the error that reading the vault ends with."""
    with pytest.raises(VaultError) as caught:
        vault.read()
    return caught.value


def test_what_goes_in_comes_out(vault):
    """A value is stored byte for byte, with its category and the time."""
    (summary,) = vault.summaries()
    assert (VALUE, "db", "Data Sources") == (vault.read().value("db"), summary.name, summary.category)
    assert 0 <= (datetime.now(UTC) - summary.created).total_seconds() < 60


def test_no_part_of_an_entry_is_in_the_file(vault):
    """Neither value nor name nor category can be read without the key."""
    sealed = vault.path.read_bytes()
    assert [False] * 3 == [part in sealed for part in (VALUE[:11], b"db", b"Data")]


def test_another_value_keeps_what_was_said_of_the_entry(vault):
    """Time and category stay unless another category is given."""
    before = vault.summaries()
    assert (["db"], [], ["db"]) == (
        vault.put([NewEntry("db", b"another")]),
        vault.put([NewEntry("new", b"x")]),
        vault.put([NewEntry("db", b"third", "Tools")]),
    )
    assert [("db", "Tools"), ("new", "")] == [(one.name, one.category) for one in vault.summaries()]
    assert (b"third", before[0].created) == (vault.read().value("db"), vault.summaries()[0].created)


def test_entries_go_in_all_or_none(vault):
    """One that is there and may not be replaced keeps the others out too."""
    with pytest.raises(UsageError, match="already in the vault: db"):
        vault.put([NewEntry("new", b"x"), NewEntry("db", b"y")], may_replace=False)
    assert (["db"], VALUE) == (vault.read().names(), vault.read().value("db"))


def test_entries_are_removed_all_or_none(vault):
    """Every name that is not there is told, with the nearest one that is."""
    vault.put([NewEntry("api_key", b"x")])
    with pytest.raises(SecretNotFoundError, match="api_kye, gone") as caught:
        vault.remove(["db", "api_kye", "gone"])
    assert (("api_kye", "gone"), "Did you mean 'api_key'?") == (caught.value.names, caught.value.hint)
    vault.remove(["db"])
    assert ["api_key"] == vault.read().names()


def test_a_vault_that_is_not_there_is_empty(tmp_path):
    """Reading and removing make nothing."""
    vault = Vault(tmp_path / "vault", tmp_path / "vault.key")
    with pytest.raises(SecretNotFoundError):
        vault.remove(["db"])
    assert ([], [tmp_path / "work"]) == (vault.read().names(), list(tmp_path.iterdir()))


@pytest.mark.parametrize("umask", [0o000, 0o777])
def test_only_this_user_can_reach_it(tmp_path, umask):
    """Folders are 0700 and files 0600 whatever the umask, and nothing else is left behind."""
    folder = tmp_path / "given"
    folder.mkdir()
    before = os.umask(umask)
    try:
        vault = Vault(folder / "vault", folder / "keys" / "vault.key")
        vault.put([NewEntry("db", VALUE)])
        vault.put([NewEntry("db", VALUE)])
    finally:
        os.umask(before)
    modes = {str(path.relative_to(folder)): mode_of(path) for path in folder.rglob("*")}
    assert {
        "vault": 0o700,
        "keys": 0o700,
        "vault/secrets.vault": 0o600,
        "vault/secrets.lock": 0o600,
        "keys/vault.key": 0o600,
    } == modes


@pytest.mark.parametrize(("what", "mode"), [("folder", 0o750), ("path", 0o640), ("key_file", 0o604)])
def test_what_others_can_open_is_refused_with_the_command_that_mends_it(vault, what, mode):
    """The command in the hint, run in a shell, makes the vault work again."""
    path = getattr(vault, what)
    path.chmod(mode)
    error = refused(vault)
    assert (path, f"{path} is open to other users (mode {mode:04o})") == (error.path, error.message)
    subprocess.run(error.hint.removeprefix("Mend it: "), shell=True, check=True)
    assert VALUE == vault.read().value("db")


@pytest.mark.needs("root")
@pytest.mark.parametrize("what", ["folder", "path", "key_file"])
def test_what_belongs_to_another_user_is_refused(vault, what):
    """Somebody else could put his own secrets in the place of ours."""
    path = getattr(vault, what)
    os.chown(path, 65534, -1)
    error = refused(vault)
    assert f"{path} belongs to another user (uid 65534)" == error.message
    assert f"chown 0 {path}" in error.hint


@pytest.mark.parametrize("what", ["folder", "path", "key_file"])
def test_links_are_not_followed(vault, what):
    """A link to the real thing is refused where the thing itself would be."""
    path = getattr(vault, what)
    elsewhere = path.with_name("elsewhere")
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    assert f"{path} is a symbolic link, and links are not followed here" == refused(vault).message


@pytest.mark.parametrize("what", ["path", "key_file"])
def test_what_is_no_file_is_refused(vault, what):
    """A FIFO is not waited for, and a folder is told for what it is."""
    path = getattr(vault, what)
    path.unlink()
    os.mkfifo(path, 0o600)
    assert f"{path} is no regular file" == refused(vault).message
    path.unlink()
    path.mkdir(mode=0o700)
    assert f"{path} is no regular file" == refused(vault).message


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    """What the system says is told with the path."""
    (tmp_path / "vault").touch()
    vault = Vault(tmp_path / "vault", tmp_path / "vault.key")
    assert f"{tmp_path}/vault cannot be used: Not a directory" == refused(vault).message
    with pytest.raises(VaultError, match="Not a directory"):
        vault.put([NewEntry("db", VALUE)])


def test_a_lost_key_is_told_and_none_is_made(vault):
    """A new key would not open the vault, so that neither reading nor writing makes one."""
    vault.key_file.unlink()
    assert f"the key of the vault {vault.path} is not there: {vault.key_file}" == refused(vault).message
    with pytest.raises(VaultError, match="is not there"):
        vault.put([NewEntry("db", VALUE)])
    assert not vault.key_file.exists()


def test_another_key_is_told_from_damage(vault, tmp_path):
    """Whoever mixes up two keys learns that the vault is whole."""
    other = Vault(tmp_path / "other", tmp_path / "other.key")
    other.put([NewEntry("db", VALUE)])
    assert "was sealed with another key" in refused(Vault(vault.folder, other.key_file)).message


def test_a_file_that_is_no_key_is_told(vault):
    """A key has 256 bits."""
    vault.key_file.write_bytes(b"x" * 31)
    assert "is not the key of a vault" in refused(vault).message


def test_the_key_is_made_outside_of_the_vault(tmp_path):
    """Whoever copies the folder must not have the key with it."""
    vault = Vault(tmp_path / "vault", tmp_path / "vault" / "deeper" / "vault.key")
    with pytest.raises(VaultError, match="in the vault's own folder"):
        vault.put([NewEntry("db", VALUE)])
    assert not vault.key_file.exists()


def test_the_key_is_made_outside_of_version_control(tmp_path):
    """It would be committed sooner or later."""
    (tmp_path / ".git").mkdir()
    vault = Vault(tmp_path / "vault", tmp_path / "keys" / "vault.key")
    with pytest.raises(VaultError, match=f"in the git repository {tmp_path}: "):
        vault.put([NewEntry("db", VALUE)])
    assert not vault.key_file.exists()


def test_two_vaults_with_one_key_do_not_overwrite_it(vault, tmp_path, monkeypatch):
    """Who makes the key at the same moment takes the other's."""
    monkeypatch.setattr(os, "link", link := lambda *_names: None)
    second = Vault(tmp_path / "second", tmp_path / "other" / "vault.key")
    with pytest.raises(VaultError, match="was removed just now"):
        second.put([NewEntry("db", VALUE)])
    assert link is os.link

    def slower(*_names):
        second.key_file.write_bytes(vault.key_file.read_bytes())
        second.key_file.chmod(0o600)
        raise FileExistsError

    monkeypatch.setattr(os, "link", slower)
    second.put([NewEntry("db", VALUE)])
    assert VALUE == Vault(second.folder, vault.key_file).read().value("db")


def test_a_document_of_another_version_is_told(vault):
    """What a later version has written is not taken for an empty vault."""
    key = key_module.Key.read(vault.key_file)
    for document in (b'{"schema": 2}', b'{"schema": 1}', b"[]", b"no JSON at all"):
        vault.path.write_bytes(key.seal(document))
        assert f"the vault {vault.path} was written by another version" == refused(vault).message


def test_a_folder_that_goes_at_once_is_told(tmp_path, monkeypatch):
    """Somebody who removes the folder meanwhile gets no vault in its place."""
    monkeypatch.setattr(private, "make_folder", lambda path: None)
    with pytest.raises(VaultError, match="was removed just now"):
        Vault(tmp_path / "vault", tmp_path / "vault.key").put([NewEntry("db", VALUE)])


def test_a_lock_that_is_never_let_go_is_told(vault, monkeypatch):
    """A writer waits for a minute, not for ever."""
    monkeypatch.setattr(private, "PATIENCE_S", 0.05)
    with (
        private.PrivateFolder.open(vault.folder) as folder,
        folder.locked("secrets.lock"),
        pytest.raises(VaultError, match=r"has held .*secrets\.lock for a minute"),
    ):
        vault.put([NewEntry("new", b"x")])


def test_a_full_disk_leaves_the_vault_as_it_was(vault, monkeypatch):
    """What cannot be written whole is not there at all, and nothing of it is left."""

    def full(_descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    before = vault.path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(VaultError, match=r"secrets\.vault cannot be used: No space left"):
            vault.put([NewEntry("new", b"x")])
    assert before == vault.path.read_bytes()
    assert {"secrets.vault", "secrets.lock"} == {path.name for path in vault.folder.iterdir()}


def test_what_dead_writers_left_beside_the_key_is_removed_once_it_is_old(vault):
    """A copy of the key must not stay behind; a new one may be about to become it."""
    for name in (".hyperplane-0123456789ab.part", ".hyperplane-ba9876543210.part", ".hyperplane-of-others"):
        (vault.key_file.parent / name).touch()
    os.utime(vault.key_file.parent / ".hyperplane-0123456789ab.part", (0, 0))
    vault.put([NewEntry("new", b"x")])
    assert {".hyperplane-ba9876543210.part", ".hyperplane-of-others", "vault.key"} == {
        path.name for path in vault.key_file.parent.iterdir()
    }


def test_a_library_without_the_cipher_is_told(vault, monkeypatch):
    """OpenSSL before 3.2 lacks it."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.ciphers import aead

    def lacking(_bits):
        raise UnsupportedAlgorithm("no")

    monkeypatch.setattr(aead, "AESGCMSIV", lacking)
    assert "has no AES-256-GCM-SIV" in refused(vault).message
    with pytest.raises(VaultError) as caught:
        vault.put([NewEntry("new", b"another-secret-value")])
    error = caught.value.with_traceback(caught.tb.tb_next)
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    assert "another-secret-value" not in "".join(shown.format())


@pytest.mark.parametrize("what", ["path", "key_file", "folder"])
def test_no_error_holds_a_secret_or_the_key(vault, what):
    """Not even a traceback that shows the variables of every frame."""
    key = vault.key_file.read_bytes()
    path = getattr(vault, what)
    path.chmod(0o500 if what == "folder" else 0o666)
    if what == "folder":
        path.rename(path.with_name("gone"))
        path.symlink_to("gone")
    with pytest.raises(VaultError) as caught:
        vault.put([NewEntry("new", b"another-secret-value")])
    error = caught.value.with_traceback(caught.tb.tb_next)  # the frame of the test holds them all
    shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert "_refuse_shared" in shown or "_unusable" in shown
    assert [False] * 3 == [repr(text)[2:-1] in shown for text in (key, VALUE, b"another-secret-value")]


def test_nothing_shows_a_value_by_accident(vault):
    """Representations name the place, and how much is there."""
    key = key_module.Key.read(vault.key_file)
    shown = f"{vault!r} {key!r} {vault.read()!r} {NewEntry('db', VALUE)!r}"
    assert f"<Vault {vault.path}> <Key of {vault.key_file}> <Entries: 1 names> " in shown
    assert "sesame" not in shown


@pytest.mark.parametrize(
    ("variables", "folder", "key_file"),
    [
        ({"HOME": "/h"}, "/h/.local/share/hyperplane/vault", "/h/.config/hyperplane/vault.key"),
        (
            {"HOME": "/h", "XDG_DATA_HOME": "/d", "XDG_CONFIG_HOME": "/c"},
            "/d/hyperplane/vault",
            "/c/hyperplane/vault.key",
        ),
        (
            {"HOME": "/h", "XDG_DATA_HOME": "d", "XDG_CONFIG_HOME": ""},
            "/h/.local/share/hyperplane/vault",
            "/h/.config/hyperplane/vault.key",
        ),
        (
            {"HYPERPLANE_VAULT_DIR": "v", "HYPERPLANE_VAULT_KEY_FILE": "/k/vault.key"},
            "/project/v",
            "/k/vault.key",
        ),
    ],
)
def test_its_place_comes_from_settings_else_from_the_users_folders(variables, folder, key_file):
    """Settings win, relative to the project; then XDG's folders where they are absolute; then HOME."""
    environment = Environment(variables, folder=Path("/project"))
    vault = Vault.of(environment, load(environment))
    assert (Path(folder), Path(key_file)) == (vault.folder, vault.key_file)


@pytest.mark.parametrize("home", ["/dev/null", "locked"])
def test_a_home_that_cannot_be_reached_holds_no_vault(home):
    """Containers have such ones; who names a folder in a setting is told that it cannot be reached."""
    with public_folder() as folder:
        (folder / "locked").mkdir(mode=0)
        place = folder / home
        with unprivileged():
            environment = Environment({"HOME": str(place)})
            vault = Vault.of(environment, load(environment))
            assert [] == vault.read().names()
            with pytest.raises(SecretNotFoundError):
                vault.remove(["db"])
            with pytest.raises(VaultError, match="cannot be used"):
                vault.put([NewEntry("db", VALUE)])
            environment = Environment({"HOME": "/", "HYPERPLANE_VAULT_DIR": str(place / "vault")})
            with pytest.raises(VaultError, match=f"{place}/vault cannot be used"):
                Vault.of(environment, load(environment)).read()


def test_without_a_home_there_is_no_vault():
    """A process that was told nothing has no place for one."""
    environment = Environment({"HYPERPLANE_VAULT_DIR": "/v"})
    assert Vault.of(environment, load(environment)) is None
