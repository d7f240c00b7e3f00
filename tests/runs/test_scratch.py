"""The folder of secrets: where it lies, what is in it, and what dead runners left."""

import os
import time
from pathlib import Path

import pytest

from hyperplane.errors import HyperplaneWarning, RunnerError
from hyperplane.runs import scratch
from hyperplane.runs.scratch import Scratch, choose_place, remove_stale

OURS = f"hyperplane-run-{os.getuid()}-"


@pytest.fixture
def no_shared_memory(monkeypatch):
    """Have no `/dev/shm` to write to."""
    monkeypatch.setattr(scratch, "SHARED_MEMORY", Path("/no/such/folder"))


def make(variables, secrets):
    """Choose the place of a folder, and make it."""
    return Scratch.make(choose_place(variables, has_secrets=bool(secrets)), secrets)


def old(folder):
    """Make a folder look as if it had been there for an hour."""
    folder.mkdir()
    (folder / "lock").touch()
    hour_ago = time.time() - 3600
    os.utime(folder, (hour_ago, hour_ago))
    return folder


def test_folder_is_removed_with_everything_in_it():
    """Nothing of it is left."""
    made = make({}, {"a": b"value"})
    assert (made.secrets / "a").read_bytes() == b"value"
    made.remove()
    assert not made.path.exists()


def test_runtime_folder_serves_where_there_is_no_shared_memory(tmp_path, no_shared_memory):
    """XDG_RUNTIME_DIR is in memory too."""
    made = make({"XDG_RUNTIME_DIR": str(tmp_path)}, {"a": b"value"})
    assert made.path.parent == tmp_path
    made.remove()


def test_temporary_folder_is_warned_of(tmp_path, monkeypatch, no_shared_memory):
    """Secrets on a disk are said to be there."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.warns(HyperplaneWarning, match=f"secrets are written to {tmp_path}"):
        made = make({"XDG_RUNTIME_DIR": "/no/such/folder"}, {"a": b"value"})
    assert made.path.stat().st_mode & 0o777 == 0o700
    made.remove()


def test_temporary_folder_without_secrets_is_not_worth_a_warning(tmp_path, monkeypatch, no_shared_memory):
    """Nothing is on the disk that should not be."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    make({}, {}).remove()


def test_shared_memory_on_a_disk_does_not_count(tmp_path, monkeypatch):
    """A folder of that name that is no tmpfs is passed over."""
    monkeypatch.setattr(scratch, "SHARED_MEMORY", tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "work"))
    made = make({}, {})
    assert made.path.parent == tmp_path / "work"
    made.remove()


def test_system_without_a_list_of_mounts_has_no_shared_memory(tmp_path, monkeypatch):
    """Where nothing tells what kind a file system is, it is taken for a disk."""
    monkeypatch.setattr(scratch, "_MOUNTS", tmp_path / "none")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    made = make({}, {})
    assert made.path.parent == tmp_path
    made.remove()


def test_folder_that_cannot_be_made_is_a_runner_error(tmp_path, monkeypatch, no_shared_memory):
    """The error says which folders would do."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    with pytest.raises(RunnerError, match="no folder can be made for the secrets: No such file"):
        make({}, {})


def test_folder_that_somebody_else_holds_is_a_runner_error(tmp_path, monkeypatch, no_shared_memory):
    """What we cannot lock, another runner would take for left behind."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(scratch.Lock, "take", lambda path: None)
    with pytest.raises(RunnerError, match="is locked by somebody else"):
        make({}, {})


def test_folder_that_another_runner_removes_first_is_no_error(tmp_path, monkeypatch):
    """Two runners that start at once clean up side by side."""
    monkeypatch.setattr(Path, "glob", lambda self, pattern: [tmp_path / f"{OURS}gone"])
    remove_stale(tmp_path)
    assert not (tmp_path / f"{OURS}gone").exists()


@pytest.mark.parametrize("name", [f"{OURS}1", f".{OURS}1"])
def test_folders_of_dead_runners_are_removed(tmp_path, name):
    """One whose lock is free belongs to nobody."""
    left = old(tmp_path / name)
    remove_stale(tmp_path)
    assert not left.exists()


def test_a_folder_that_was_left_this_moment_is_removed(tmp_path):
    """Secrets of a runner that was killed do not wait for a second start."""
    made = Scratch.make(tmp_path / f"{OURS}0", {"db": b"open sesame"})
    made._lock.close()
    remove_stale(tmp_path)
    assert not made.path.exists()


def test_a_folder_that_cannot_be_filled_leaves_nothing(tmp_path):
    """What was written before the disk was full goes again."""
    with pytest.raises(RunnerError, match="no folder can be made for the secrets"):
        Scratch.make(tmp_path / f"{OURS}0", {"db": b"open sesame", "no/such": b"x"})
    assert [tmp_path / "work"] == list(tmp_path.iterdir())


def test_folder_in_use_stays(tmp_path):
    """A held lock says that its runner lives, in whatever namespace."""
    made = Scratch.make(tmp_path / f"{OURS}0", {})
    os.utime(made.path, (0, 0))
    remove_stale(tmp_path)
    assert made.path.exists()
    made.remove()


def test_new_folder_without_its_name_stays(tmp_path):
    """Its runner may be about to lock it."""
    (tmp_path / f".{OURS}2").mkdir()
    remove_stale(tmp_path)
    assert (tmp_path / f".{OURS}2").exists()


def test_links_and_other_names_stay(tmp_path):
    """Only folders of ours are removed, never what a link points to."""
    elsewhere = old(tmp_path / "elsewhere")
    (tmp_path / f"{OURS}3").symlink_to(elsewhere)
    remove_stale(tmp_path)
    assert elsewhere.exists()
