"""Many writers of one vault at once, and writers that are killed: nothing is lost and nothing is left."""

import itertools
import os
import signal
import subprocess
import sys
import textwrap

import pytest

from hyperplane.rundir import is_part
from hyperplane.secretsources.vault import NewEntry, Vault

WRITER = """
    import sys
    from concurrent.futures import ThreadPoolExecutor
    from pathlib import Path
    from hyperplane.secretsources.vault import NewEntry, Vault
    folder, process, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    def write(number):
        name = f"{process}-{number}"
        Vault(folder / "vault", folder / "keys" / "vault.key").put([NewEntry(name, name.encode())])
    sys.stdin.readline()
    with ThreadPoolExecutor(count) as threads:
        list(threads.map(write, range(count)))
"""
# each on its own: strace counts the calls of each kind by themselves
CALLS = (
    "write",
    "fsync",
    "rename,renameat,renameat2",
    "link,linkat",
    "unlink,unlinkat",
    "mkdir,mkdirat",
    "fchmod",
)
COMMAND = (sys.executable, "-m", "hyperplane", "secrets", "set", "db")


def vault_in(folder):
    """Return the vault of a test."""
    return Vault(folder / "vault", folder / "keys" / "vault.key")


def test_a_hundred_writers_lose_nothing(tmp_path):
    """Ten threads in each of ten processes: every entry is there, from the first, which makes the key."""
    processes, each = 10, 10
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(WRITER), tmp_path, str(number), str(each)],
            stdin=subprocess.PIPE,
        )
        for number in range(processes)
    ]
    for writer in writers:
        writer.stdin.write(b"go\n")
        writer.stdin.flush()
    assert {0} == {writer.wait(timeout=120) for writer in writers}
    for writer in writers:
        writer.stdin.close()
    entries = vault_in(tmp_path).read()
    expected = {f"{process}-{number}" for process in range(processes) for number in range(each)}
    assert (expected, True) == (
        set(entries.names()),
        all(entries.value(name) == name.encode() for name in expected),
    )


def set_killed(folder, call, count):
    """Set a secret, killed before its call of that kind and number; return the exit status."""
    trace = ["strace", "-f", "-o", "/dev/null", "-e", f"inject={call}:signal=KILL:when={count}"]
    variables = {
        "PATH": os.environ["PATH"],
        "PYTHONDONTWRITEBYTECODE": "1",
        "HYPERPLANE_VAULT_DIR": str(folder / "vault"),
        "HYPERPLANE_VAULT_KEY_FILE": str(folder / "keys" / "vault.key"),
    }
    ended = subprocess.run(
        [*trace, *COMMAND], input=b"new-value\n", capture_output=True, env=variables, timeout=60
    )
    assert ended.returncode in {0, -signal.SIGKILL}, ended.stderr
    return ended.returncode


def parts_in(folder):
    """Return the temporary files below a folder."""
    return [path.name for path in folder.rglob("*") if is_part(path.name)]


@pytest.mark.needs("strace")
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("is_first", [True, False])
def test_a_set_that_is_killed_at_any_write_loses_nothing(tmp_path, is_first, call, monkeypatch):
    """The other secrets are there, this one has its old or its new value, and the next writer works."""
    monkeypatch.setattr("hyperplane.secretsources.vault.key._YOUNG_S", -1.0)
    before = None if is_first else b"old-value"
    seen = []
    for count in itertools.count(1):
        folder = tmp_path / str(count)
        vault = vault_in(folder)
        if not is_first:
            vault.put([NewEntry("db", b"old-value"), NewEntry("other", b"other-value")])
        status = set_killed(folder, call, count)
        entries = vault.read()
        seen.append(entries.value("db"))
        assert entries.value("other") == (None if is_first else b"other-value")
        vault.put([NewEntry("next", b"next-value")])
        assert (entries.value("db"), b"next-value", []) == (
            vault.read().value("db"),
            vault.read().value("next"),
            parts_in(folder),
        )
        if status == 0:
            break
    # once it is written it stays so, and in the end nobody was killed
    assert seen == [before] * seen.count(before) + [b"new-value"] * (len(seen) - seen.count(before))
    assert seen[-1] == b"new-value"
