"""Secrets lent to others until the context closes: files for children, variables of the process."""

import os
import stat
import subprocess
import sys

import pytest
from processes import NOBODY, exit_code_of_fork, open_descriptors, unprivileged

from hyperplane.environment import Environment
from hyperplane.errors import SecretNameError, SecretNotFoundError, SecretValueError
from hyperplane.facets.secrets import Secrets
from hyperplane.masking import Masker
from hyperplane.secretsources.mapping import MappedSecrets
from hyperplane.secretsources.mounted import MountedFiles

# what Python 3.12 warns of is what these tests are about
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

READ = "import sys; sys.stdout.buffer.write(open(sys.argv[1], 'rb').read())"


@pytest.fixture
def secrets():
    """Give some secrets, and close them afterwards."""
    values = {
        "pg": "open-sesame",
        "key": b"a\0\xff",
        "nul": "a\0b",
        "EMPTY": "",
        "WANDB_API_KEY": "wandb-key",
    }
    secrets = Secrets([MappedSecrets(values)], masker=Masker(), environment=Environment({}))
    yield secrets
    secrets.close()


def read_by_child(path):
    """Return what another program reads from a file."""
    return subprocess.run([sys.executable, "-c", READ, path], capture_output=True, check=True).stdout


@pytest.mark.parametrize(("name", "expected"), [("pg", b"open-sesame"), ("key", b"a\0\xff"), ("EMPTY", b"")])
def test_a_child_reads_the_file_of_a_secret(secrets, name, expected):
    """The file holds the secret byte for byte, for another program too, and more than once."""
    path = secrets.path(name)

    assert (expected, expected) == (read_by_child(path), read_by_child(path))


def test_a_large_secret_is_written_whole():
    """64 KiB and more fit into the file."""
    secrets = Secrets([MappedSecrets({"big": b"x" * 1_000_000})], masker=Masker())
    size = secrets.path("big").stat().st_size
    secrets.close()

    assert 1_000_000 == size


def test_the_file_is_for_this_user_alone(secrets):
    """Nobody else may read or write the file."""
    assert 0o600 == stat.S_IMODE(secrets.path("pg").stat().st_mode)


@pytest.mark.needs("root")
def test_another_user_cannot_open_the_file(secrets):
    """A process of somebody else is refused."""
    path = secrets.path("pg")

    def is_refused():
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        try:
            path.read_bytes()
        except PermissionError:
            return True
        return False

    assert 0 == exit_code_of_fork(is_refused)


def test_the_file_is_made_once(secrets):
    """Asking again gives the same file, and opens no other."""
    first = secrets.path("pg")
    before = open_descriptors()

    assert (first, before) == (secrets.path("pg"), open_descriptors())


def test_the_file_is_gone_after_closing(secrets):
    """Closing leaves no file, no descriptor and nothing on any disk."""
    before = open_descriptors()
    paths = [secrets.path("pg"), secrets.path("key")]
    secrets.close()

    assert ([False, False], before) == ([path.exists() for path in paths], open_descriptors())


def test_a_child_that_is_started_inherits_no_descriptor(secrets):
    """A program gets the secret by its path alone."""
    secrets.path("pg")
    command = ["ls", "-l", "/proc/self/fd"]
    output = subprocess.run(command, capture_output=True, text=True, close_fds=False, check=True).stdout

    assert "hyperplane-secret" not in output


def test_a_system_without_files_in_memory_has_a_folder_for_this_user_alone(secrets, monkeypatch):
    """Elsewhere than on Linux the files lie in a temporary folder, which goes with the context."""
    monkeypatch.delattr(os, "memfd_create")
    paths = [secrets.path("pg"), secrets.path("key")]
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (*paths, paths[0].parent)]
    contents = [read_by_child(path) for path in paths]
    secrets.close()

    assert ([0o600, 0o600, 0o700], [b"open-sesame", b"a\0\xff"]) == (modes, contents)
    assert not paths[0].parent.exists()


def test_a_mounted_secret_is_its_own_file(tmp_path):
    """No copy is made of a secret that is a file already."""
    (tmp_path / "db").write_text("open-sesame\n")
    secrets = Secrets([MountedFiles(tmp_path)], masker=Masker())
    path = secrets.path("db")
    secrets.close()

    assert (tmp_path / "db", True) == (path, path.exists())


def test_secrets_are_exported_under_their_own_and_other_names(secrets):
    """Names become variables of that name, and keywords variables that get the secret they name."""
    secrets.export("WANDB_API_KEY", "EMPTY", PGPASSWORD="pg")

    assert ("wandb-key", "", "open-sesame") == (
        os.environ["WANDB_API_KEY"],
        os.environ["EMPTY"],
        os.environ["PGPASSWORD"],
    )


def test_a_child_sees_what_is_exported(secrets):
    """Programs that are started find the variable."""
    secrets.export(PGPASSWORD="pg")

    assert (
        "open-sesame\n" == subprocess.run(["printenv", "PGPASSWORD"], capture_output=True, text=True).stdout
    )


def test_closing_puts_the_environment_back(secrets, monkeypatch):
    """What was there before is there again, also after exporting over and over."""
    monkeypatch.setenv("PGPASSWORD", "mine")
    before = dict(os.environ)
    secrets.export("WANDB_API_KEY", PGPASSWORD="pg")
    secrets.export(PGPASSWORD="WANDB_API_KEY")
    during = os.environ["PGPASSWORD"]
    secrets.close()

    assert ("wandb-key", before) == (during, dict(os.environ))


def test_closing_again_puts_nothing_back(secrets, monkeypatch):
    """What others set after the first closing stays."""
    secrets.export(PGPASSWORD="pg")
    secrets.close()
    monkeypatch.setenv("PGPASSWORD", "mine")
    secrets.close()

    assert "mine" == os.environ["PGPASSWORD"]


@pytest.mark.parametrize(
    ("names", "variables", "error"),
    [
        (["pg", "nosuch"], {"OTHER": "nosuch-either"}, SecretNotFoundError),
        (["pg", "nul"], {}, SecretValueError),
        (["pg", "key"], {}, SecretValueError),
        (["pg"], {"A=B": "pg"}, SecretNameError),
        (["pg"], {"": "pg"}, SecretNameError),
        (["pg"], {"A\0": "pg"}, SecretNameError),
        (["pg"], {"A": "../x"}, SecretNameError),
    ],
)
def test_all_is_exported_or_nothing(secrets, names, variables, error):
    """When one of them cannot be, the environment stays as it was."""
    before = dict(os.environ)
    with pytest.raises(error):
        secrets.export(*names, **variables)

    assert before == dict(os.environ)


def test_all_that_is_missing_is_named_at_once(secrets):
    """Names and keywords that are not there are one error."""
    with pytest.raises(SecretNotFoundError) as caught:
        secrets.export("a", "pg", OTHER="b")

    assert ("a", "b") == caught.value.names


def test_a_secret_that_no_variable_can_hold_says_how_to_read_it(secrets):
    """A NUL byte is named as the trouble, and the other ways of reading are offered."""
    with pytest.raises(SecretValueError, match="'nul' holds a NUL byte") as caught:
        secrets.export(TEXT="nul")

    assert ("nul", "Use `.path(name)` or `.bytes(name)`.") == (caught.value.name, caught.value.hint)


def test_a_forked_child_reads_the_parents_file(secrets):
    """A child that was forked finds the file under the path that the parent gave it."""
    path = secrets.path("pg")

    assert 0 == exit_code_of_fork(lambda: path.read_text() == "open-sesame" and secrets.path("pg") == path)


def test_a_user_without_rights_can_read_what_it_made():
    """Nothing of this needs root: an ordinary user makes, reads and closes a file of its own."""
    secrets = Secrets([MappedSecrets({"pg": "open-sesame"})], masker=Masker())
    with unprivileged():
        mode = stat.S_IMODE(secrets.path("pg").stat().st_mode)
        secrets.close()

    assert 0o600 == mode
