"""`hyperplane secrets`: secrets go into the vault unseen, and never come out of a command."""

import contextlib
import getpass
import json
import os
import pty
import re
import resource
import select
import subprocess
import sys
from pathlib import Path

import pytest

from hyperplane.cli import main
from hyperplane.secretsources.vault import Vault

VALUE = "correct-horse-battery"
COMMAND = (sys.executable, "-m", "hyperplane", "secrets")


def secrets(*words, given=b"", env=None):
    """Run a command with something on its standard input."""
    return subprocess.run([*COMMAND, *map(str, words)], input=given, capture_output=True, env=env, timeout=60)


@pytest.fixture
def vault(tmp_path):
    """Return the vault of this test's user."""
    home = tmp_path / "home"
    return Vault(home / ".local/share/hyperplane/vault", home / ".config/hyperplane/vault.key")


@pytest.fixture
def at_terminal():
    """Return a function that runs a command at a terminal, types, and gives exit code and screen."""

    def run(*words, typed):
        pid, terminal = pty.fork()
        if pid == 0:
            os.execv(sys.executable, [*COMMAND, *words])
        screen = b""
        while not screen.endswith(b": "):
            assert select.select([terminal], [], [], 30)[0], screen
            screen += os.read(terminal, 1024)
        os.write(terminal, typed)
        with contextlib.suppress(OSError):  # how a terminal ends
            while select.select([terminal], [], [], 30)[0]:
                screen += os.read(terminal, 1024)
        os.close(terminal)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), screen.decode()

    return run


def test_a_value_comes_from_standard_input(vault):
    """One final newline is removed, as every shell adds one."""
    done = secrets("set", "db", "--category", "Data Sources", given=f"{VALUE}\n".encode())
    assert (0, f"stored db in {vault.path}\n".encode(), b"") == (done.returncode, done.stdout, done.stderr)
    assert (VALUE.encode(), "Data Sources") == (vault.read().value("db"), vault.summaries()[0].category)


@pytest.mark.parametrize("value", [b"", b"\n\n", b"two\nlines\n\n", b"\xff\0", b"x" * (1 << 20)])
def test_any_value_is_stored_as_it_is(vault, value):
    """Nothing but the one newline is taken off, and empty is a value."""
    assert 0 == secrets("set", "db", given=value + b"\n").returncode
    assert value == vault.read().value("db")


def test_a_value_that_is_too_large_is_refused(vault):
    """A secret of more than 1 MiB would be none that a job could read."""
    done = secrets("set", "db", given=b"x" * ((1 << 20) + 1))
    assert (78, b"hyperplane: error: the secret 'db' is larger than 1 MiB\n") == (
        done.returncode,
        done.stderr.splitlines(keepends=True)[0],
    )
    assert not vault.path.exists()


def test_a_value_is_never_an_argument(vault):
    """A further word is an error, which does not repeat it: it may be the secret."""
    done = secrets("set", "db", VALUE)
    assert (64, False) == (done.returncode, vault.path.exists())
    assert (b"never an argument" in done.stderr, VALUE.encode() in done.stderr) == (True, False)


def test_a_closed_standard_input_is_told(vault):
    """There is nowhere to read a value from."""
    command = f"exec {sys.executable} -m hyperplane secrets set db <&-"
    done = subprocess.run(["sh", "-c", command], capture_output=True, timeout=60)
    assert (64, True) == (done.returncode, b"standard input is closed" in done.stderr)
    assert not vault.path.exists()


def test_another_value_is_said_to_replace_one(vault):
    """Nobody overwrites a secret without learning it."""
    secrets("set", "db", given=b"first")
    assert f"replaced db in {vault.path}\n".encode() == secrets("set", "db", given=b"second").stdout
    assert b"second" == vault.read().value("db")


def test_a_value_is_typed_without_being_shown(vault, at_terminal):
    """At a terminal it is asked for, and the screen shows the question alone."""
    code, screen = at_terminal("set", "db", typed=f"{VALUE}\n".encode())
    assert (0, VALUE.encode()) == (code, vault.read().value("db"))
    assert (True, False) == (screen.startswith("db: "), VALUE in screen)


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (b"\n", "nothing was typed that can be read unseen"),
        (b"\x04", "nothing was typed that can be read unseen"),
        (b"\xff\xfe-no-text\n", "nothing was typed that can be read unseen"),
        (b"-----BEGIN PRIVATE KEY-----\nabc\n", "only the first would be stored"),
        (b"x" * 4095 + b"\n", "the end would be lost"),
    ],
)
def test_what_a_terminal_cannot_take_is_refused(vault, at_terminal, typed, message):
    """The error says to give it on standard input, and nothing is stored."""
    code, screen = at_terminal("set", "db", typed=typed)
    assert (64, True, True) == (code, message in screen, "hyperplane secrets set db <FILE" in screen)
    assert not vault.path.exists()


def test_a_terminal_that_would_show_it_is_not_used(vault, capsys, monkeypatch):
    """Where the echo cannot be switched off, nobody is asked."""
    monkeypatch.setattr(getpass, "getpass", getpass.fallback_getpass)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    with pytest.raises(SystemExit) as caught:
        main(["secrets", "set", "db"])
    assert (64, False) == (caught.value.code, vault.path.exists())
    assert "nothing was typed that can be read unseen" in capsys.readouterr().err


def test_interrupting_the_question_ends_it(vault, at_terminal):
    """Ctrl-C stores nothing, and shows no traceback."""
    code, screen = at_terminal("set", "db", typed=b"half\x03")
    assert (130, False, False) == (code, "Traceback" in screen, vault.path.exists())


def test_a_list_has_names_and_never_values(vault):
    """Names, categories and times are shown; `--json` has them for programs."""
    secrets("set", "db", "--category", "Tools & Services", given=VALUE.encode())
    listed, printed = secrets("list"), json.loads(secrets("list", "--json").stdout)
    assert re.fullmatch(
        r"secret  category          created\ndb      Tools & Services  \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\n",
        listed.stdout.decode(),
    )
    assert {"schema": 1, "secrets": [{"name": "db", "category": "Tools & Services"}]} == {
        **printed,
        "secrets": [{name: one[name] for name in ("name", "category")} for one in printed["secrets"]],
    }
    assert VALUE not in str(printed) + listed.stdout.decode()


def test_removed_is_gone(vault):
    """Several go at once, and one that is not there keeps the others."""
    for name in ("db", "api", "old"):
        secrets("set", name, given=b"x")
    wrong = secrets("remove", "db", "apii")
    assert (78, ["api", "db", "old"]) == (wrong.returncode, vault.read().names())
    assert b"Did you mean 'api'?" in wrong.stderr
    assert f"removed db, old from {vault.path}\n".encode() == secrets("remove", "db", "old").stdout
    assert ["api"] == vault.read().names()


def test_a_file_is_imported_whole(vault):
    """Every value is a secret, without our prefix; our settings are left out and named."""
    Path("old.env").write_text(
        f"HYPERPLANE_SECRET_db={VALUE}\nexport WANDB_API_KEY='a b'\nKEY=\"one\\ntwo\"\n"
        "HYPERPLANE_JOB_ID=x\nHYPERPLANE_SECRET_ENV=KEY\n"
    )
    done = secrets("import", "old.env", "--category", "Access Tokens")
    assert [
        f"stored db, WANDB_API_KEY, KEY in {vault.path}",
        "left out, for they are settings: HYPERPLANE_JOB_ID, HYPERPLANE_SECRET_ENV",
        "old.env still holds them in clear text: remove it when nothing else reads it",
    ] == done.stdout.decode().splitlines()
    entries = vault.read()
    assert {"db": VALUE.encode(), "WANDB_API_KEY": b"a b", "KEY": b"one\ntwo"} == {
        name: entries.value(name) for name in entries.names()
    }
    assert {"Access Tokens"} == {one.category for one in vault.summaries()}


def test_an_import_replaces_nothing_unless_told_to(vault):
    """What is there stays, and so the rest of the file stays out."""
    secrets("set", "A", given=b"before")
    Path("old.env").write_text("A=after\nB=new\n")
    done = secrets("import", "old.env")
    assert (64, b"hyperplane: error: already in the vault: A\n  Replace them with --replace.\n") == (
        done.returncode,
        done.stderr,
    )
    assert (["A"], b"before") == (vault.read().names(), vault.read().value("A"))
    assert 0 == secrets("import", "old.env", "--replace").returncode
    assert (b"after", b"new") == (vault.read().value("A"), vault.read().value("B"))


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        ("HYPERPLANE_JOB_ID=x\n", 64, "there is no secret in it.env"),
        (f"A={VALUE}\n'{VALUE}\n", 78, "it.env, line 2: this is not a NAME=value line"),
        (f"a/b={VALUE}\n", 78, "'a/b' is no name for a secret"),
    ],
)
def test_a_file_that_cannot_be_imported_stores_nothing(vault, content, code, message):
    """The error names the place, and no value."""
    Path("it.env").write_text(content)
    done = secrets("import", "it.env")
    assert (code, True) == (done.returncode, message in done.stderr.decode())
    assert (False, False) == (VALUE in done.stderr.decode(), vault.path.exists())


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("set", "a/b"), 78, "'a/b' is no name for a secret"),
        (("set", "db", "--category", "two\nlines"), 64, "a category is one line"),
        (("remove", "../x"), 78, "'../x' is no name for a secret"),
    ],
)
def test_what_makes_no_sense_is_refused(vault, words, code, message):
    """Names are those that a job can ask for."""
    done = secrets(*words, given=VALUE.encode())
    assert (code, True, False) == (done.returncode, message in done.stderr.decode(), vault.path.exists())


def test_without_a_home_a_place_must_be_named(monkeypatch):
    """The vault is never made somewhere by chance."""
    monkeypatch.delenv("HOME")
    done = secrets("list")
    assert (78, True) == (done.returncode, b"Set HYPERPLANE_VAULT_DIR and" in done.stderr)


def test_a_vault_that_is_open_to_others_is_an_error_of_two_lines(vault):
    """The second line is the command that mends it."""
    secrets("set", "db", given=VALUE.encode())
    vault.path.chmod(0o644)
    done = secrets("list")
    assert (78, f"  Mend it: chmod 600 {vault.path}") == (
        done.returncode,
        done.stderr.decode().splitlines()[1],
    )


def test_the_command_leaves_no_core_file():
    """While it knows a value, a crash writes no memory to a disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    try:
        with pytest.raises(SystemExit):
            main(["secrets", "list"])
        assert (0, hard) == resource.getrlimit(resource.RLIMIT_CORE)
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))
