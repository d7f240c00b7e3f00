"""Mounted secrets: files as platforms make them, and files that are none."""

import os
import unicodedata
from pathlib import Path

import pytest
from processes import public_folder, unprivileged

from hyperplane.environment import Origin
from hyperplane.errors import SecretValueError
from hyperplane.secretsources import FoundSecret
from hyperplane.secretsources.mounted import MountedFiles

PEM = b"-----BEGIN PRIVATE KEY-----\nAAAA\nBBBB\n-----END PRIVATE KEY-----"


@pytest.fixture
def folder(tmp_path):
    """Give an empty folder of secrets."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    return folder


def mounted_by_kubernetes(folder, secrets, version="..2026_01_31"):
    """Lay secrets out as a Kubernetes volume: links to `..data`, which is a link to a dated folder."""
    (folder / version).mkdir()
    for name, value in secrets.items():
        (folder / version / name).write_bytes(value)
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(Path("..data") / name)
    (folder / "..data_tmp").symlink_to(version)
    (folder / "..data_tmp").rename(folder / "..data")


def error_of(folder, name):
    """Return the error that asking for a secret gives."""
    with pytest.raises(SecretValueError) as caught:
        MountedFiles(folder).find(name)
    return caught.value


def test_a_file_is_a_secret(folder):
    """The value is what stands in the file, whose absolute path is origin and path of the secret."""
    (folder / "db").write_bytes(b"open sesame")

    expected = FoundSecret(b"open sesame", Origin("file", str(folder / "db")), folder / "db")
    assert expected == MountedFiles(folder).find("db")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", b""),
        (b"\n", b""),
        (b"x\n", b"x"),
        (b"x\n\n", b"x\n"),
        (b"x\r\n", b"x"),
        (b"x\r", b"x\r"),
        (b" x ", b" x "),
        (b"a\0b\xff\n", b"a\0b\xff"),
        (PEM + b"\n", PEM),
        (b'{"a": 1}\n', b'{"a": 1}'),
        (b"x" * 65536, b"x" * 65536),
    ],
)
def test_exactly_one_final_newline_is_removed(folder, content, expected):
    """Whatever the bytes, only the newline that tools add at the end goes."""
    (folder / "db").write_bytes(content)

    assert expected == MountedFiles(folder).find("db").value


def test_a_kubernetes_volume_is_read_through_its_links(folder):
    """The links lead to the values, and Kubernetes' own entries are no secrets."""
    mounted_by_kubernetes(folder, {"db": b"open sesame\n", "key": PEM})
    secrets = MountedFiles(folder)

    expected = {"db": b"open sesame", "key": PEM}
    assert expected == {name: secrets.find(name).value for name in secrets.names()}


def test_a_rotated_secret_is_read_anew(folder):
    """When Kubernetes swaps `..data`, the next read gives the new value."""
    mounted_by_kubernetes(folder, {"db": b"old"})
    secrets = MountedFiles(folder)
    before = secrets.find("db").value
    mounted_by_kubernetes(folder, {"db": b"new"}, version="..2026_02_01")

    assert (b"old", b"new") == (before, secrets.find("db").value)


def test_names_are_sorted_and_only_of_files(folder):
    """Folders, links to nothing and hidden files are not listed."""
    for name in ("b", "a", ".hidden"):
        (folder / name).touch()
    (folder / "folder").mkdir()
    (folder / "dangling").symlink_to("nosuch")
    os.mkfifo(folder / "fifo")

    assert ["a", "b"] == MountedFiles(folder).names()


def test_an_entry_that_cannot_be_looked_at_is_not_listed(folder):
    """A link that leads round in a circle is passed over, and the others are listed."""
    (folder / "a").touch()
    (folder / "loop").symlink_to("loop")

    assert ["a"] == MountedFiles(folder).names()


@pytest.mark.parametrize("name", ["nosuch", "dangling", "Db", "größe"])
def test_what_is_not_there_is_not_found(folder, name):
    """A missing file, a link to nothing and another case are no secrets and no errors."""
    (folder / "db").touch()
    (folder / "dangling").symlink_to("nosuch-either")

    assert None is MountedFiles(folder).find(name)


def test_a_folder_that_is_not_there_has_no_secrets(tmp_path):
    """A missing folder is an empty one, for ASCII names and others."""
    secrets = MountedFiles(tmp_path / "nosuch")

    assert ([], None, None) == (secrets.names(), secrets.find("db"), secrets.find("größe"))


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_name_is_found_in_either_spelling(folder, form):
    """macOS and others decompose file names; the secret is the same."""
    file = folder / unicodedata.normalize(form, "größe")
    file.write_bytes(b"x")
    secrets = MountedFiles(folder)

    assert (["größe"], file) == (secrets.names(), secrets.find("größe").path)


@pytest.mark.timeout(10)
def test_a_fifo_is_an_error_at_once(folder):
    """Nobody waits for a writer that never comes."""
    os.mkfifo(folder / "db")

    message = f"the secret 'db' cannot be read from {folder / 'db'}: it is not a regular file"
    assert message == error_of(folder, "db").message


def test_a_folder_in_the_place_of_a_file_is_an_error(folder):
    """A secret that is a folder is a mistake to be told of."""
    (folder / "db").mkdir()

    assert error_of(folder, "db").message.endswith("it is not a regular file")


def test_a_file_in_the_place_of_the_folder_is_an_error(tmp_path):
    """A folder of secrets that is a file is a mistake too, and not a missing secret."""
    (tmp_path / "file").touch()

    assert error_of(tmp_path / "file", "db").message.endswith("Not a directory")


@pytest.mark.parametrize(
    ("size", "is_read"), [(1024 * 1024, True), (1024 * 1024 + 1, False), (2 * 1024 * 1024, False)]
)
def test_a_mebibyte_is_the_most(folder, size, is_read):
    """A file of a MiB is a secret, and a larger one an error."""
    (folder / "db").write_bytes(b"x" * size)
    if not is_read:
        assert error_of(folder, "db").message.endswith("it is larger than 1 MiB")
        return

    assert size == len(MountedFiles(folder).find("db").value)


def test_an_unreadable_file_is_an_error_that_names_it():
    """A missing permission is said, with name and path."""
    with public_folder() as folder:
        (folder / "db").write_bytes(b"open sesame")
        (folder / "db").chmod(0o000)
        with unprivileged():
            error = error_of(folder, "db")

    message = f"the secret 'db' cannot be read from {folder / 'db'}: Permission denied"
    assert (message, "db") == (error.message, error.name)


def test_a_folder_that_cannot_be_entered_says_so():
    """Names that can be seen are listed, and asking for one says why it cannot be read."""
    with public_folder() as folder:
        (folder / "db").write_bytes(b"open sesame")
        folder.chmod(0o444)
        with unprivileged():
            names, error = MountedFiles(folder).names(), error_of(folder, "db")
        folder.chmod(0o755)

    assert (["db"], True) == (names, error.message.endswith("Permission denied"))


def test_an_unreadable_folder_is_an_error_for_any_name():
    """Without permission nobody can say that a secret is not there, also under a name that is not ASCII."""
    with public_folder() as folder:
        folder.chmod(0o000)
        with unprivileged():
            errors = [error_of(folder, name).message for name in ("db", "größe")]
        folder.chmod(0o755)

    assert [True, True] == [message.endswith("Permission denied") for message in errors]


def test_the_place_of_a_secret_is_its_absolute_path(monkeypatch, folder):
    """Errors say which file would have been read, from wherever the folder is spoken of."""
    monkeypatch.chdir(folder.parent)

    assert f"file {folder / 'db'}" == MountedFiles(Path("secrets")).describe("db")
