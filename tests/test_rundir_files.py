"""Files of a run: written whole or not at all, and locks that die with their holder."""

import fcntl
import os
import resource
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from processes import exit_code_of_fork, open_descriptors, public_folder, unprivileged

from hyperplane.rundir import Lock, is_locked, is_part, sync_folder, write_atomic

# what Python 3.12 warns of is what these tests are about
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

HOLD = """
import subprocess, sys
from pathlib import Path
from hyperplane.rundir import Lock

lock = Lock.take(Path(sys.argv[1]))
print("none" if lock is None else "held", flush=True)
for command in sys.argv[2:]:
    print(subprocess.Popen([command, "60"], close_fds=False, stdout=subprocess.DEVNULL).pid, flush=True)
sys.stdin.read()
"""
TOO_BIG = """
import resource, signal, sys
from pathlib import Path
from hyperplane.rundir import write_atomic

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
limits = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
try:
    write_atomic(Path(sys.argv[1]), b"x" * 2000)
except OSError as error:
    print(error.errno)
resource.setrlimit(resource.RLIMIT_FSIZE, limits)
"""


@pytest.fixture
def held(tmp_path):
    """Start processes that take the lock `run.lock`, and end them all afterwards."""
    started = []

    def start(*arguments):
        command = [sys.executable, "-c", HOLD, tmp_path / "run.lock", *arguments]
        holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(holder)
        return holder, holder.stdout.readline().strip()

    yield start
    for holder in started:
        holder.kill()
        holder.communicate()


def test_a_file_is_written_and_replaced_whole(tmp_path):
    """The new content is there, the old one is gone, and nothing else is left."""
    path = tmp_path / "run" / "run.json"
    path.parent.mkdir()
    write_atomic(path, b"old")
    write_atomic(path, b"new")

    assert ([path], b"new") == (list(path.parent.iterdir()), path.read_bytes())


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_a_file_has_the_mode_that_was_asked_for(tmp_path, mode):
    """The mode holds from the first moment, and also where it differs from the old file's."""
    path = tmp_path / "key"
    path.touch(0o666)
    write_atomic(path, b"x", mode=mode)

    assert mode == stat.S_IMODE(path.stat().st_mode)


def test_a_link_is_replaced_and_what_it_points_to_left_alone(tmp_path):
    """A link in the place of the file does not lead the writing elsewhere."""
    target, path = tmp_path / "target", tmp_path / "run.json"
    target.write_bytes(b"mine")
    path.symlink_to(target)
    write_atomic(path, b"new")

    assert (b"mine", b"new", False) == (target.read_bytes(), path.read_bytes(), path.is_symlink())


def test_content_is_on_the_disk_before_its_name_and_the_name_before_returning(tmp_path, monkeypatch):
    """The file is synced while it still has its temporary name, and then the folder."""
    synced, sync = [], os.fsync

    def watched(descriptor):
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    write_atomic(tmp_path / "run.json", b"new")

    part, folder = synced
    assert (True, str(tmp_path)) == (is_part(Path(part).name), folder)


def test_a_write_that_fails_leaves_the_old_content_and_no_part(tmp_path):
    """When the disk takes only half of it, the old file stays whole and the half is removed."""
    path = tmp_path / "run" / "run.json"
    path.parent.mkdir()
    path.write_bytes(b"old")
    result = subprocess.run([sys.executable, "-c", TOO_BIG, path], capture_output=True, text=True, check=True)

    assert ("27\n", [path], b"old") == (result.stdout, list(path.parent.iterdir()), path.read_bytes())


def test_a_target_that_is_a_folder_is_an_error_and_leaves_no_part(tmp_path):
    """A folder is not replaced by a file."""
    path = tmp_path / "run" / "run.json"
    path.mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        write_atomic(path, b"new")

    assert [path] == list(path.parent.iterdir())


def test_a_missing_folder_is_an_error(tmp_path):
    """Writing makes no folders."""
    with pytest.raises(FileNotFoundError):
        write_atomic(tmp_path / "nosuch" / "run.json", b"new")


def test_a_reader_never_sees_a_half(tmp_path):
    """Whoever reads while files are replaced finds one content or the other."""
    path = tmp_path / "run.json"
    contents = [b"a" * 100_000, b"b" * 100_000]
    write_atomic(path, contents[0])
    is_done = threading.Event()

    def replace():
        for number in range(100):
            write_atomic(path, contents[number % 2])
        is_done.set()

    thread = threading.Thread(target=replace)
    thread.start()
    seen = set()
    while not is_done.is_set():
        seen.add(path.read_bytes())
    thread.join()

    assert seen <= set(contents)


def test_only_a_folder_can_be_synced_as_one(tmp_path):
    """A file in the place of the folder is an error, and a folder is not."""
    (tmp_path / "file").touch()
    sync_folder(tmp_path)

    with pytest.raises(NotADirectoryError):
        sync_folder(tmp_path / "file")


def test_a_lock_is_exclusive_between_processes(tmp_path, held):
    """While one process holds the lock, neither another one nor this one gets it."""
    _, first = held()
    _, second = held()

    assert ("held", "none", None) == (first, second, Lock.take(tmp_path / "run.lock"))


def test_a_held_lock_shows(tmp_path, held):
    """The lock of a living process is seen, and one that nobody holds is not."""
    (tmp_path / "free.lock").touch()
    held()

    assert (True, False) == (is_locked(tmp_path / "run.lock"), is_locked(tmp_path / "free.lock"))


def test_a_killed_process_leaves_its_lock_free(tmp_path, held):
    """After kill -9 the lock can be taken at once."""
    holder, _ = held()
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    lock = Lock.take(tmp_path / "run.lock")
    lock.close()

    assert not is_locked(tmp_path / "run.lock")


def test_a_started_program_does_not_hold_the_lock(tmp_path, held):
    """A program that the holder started, and that outlives it, has no part in the lock."""
    holder, _ = held("sleep")
    child = holder.stdout.readline()
    holder.kill()
    holder.wait()
    is_still_locked = is_locked(tmp_path / "run.lock")
    os.kill(int(child), signal.SIGKILL)

    assert not is_still_locked


def test_a_forked_child_does_not_hold_the_lock(tmp_path):
    """A fork that outlives the holder has no part in the lock, though it inherits what is open."""
    path = tmp_path / "run.lock"
    lock = Lock.take(path)
    ready, is_ready = os.pipe()
    gate, opener = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(is_ready, b"x")
        os.read(gate, 1)
        os._exit(0)
    os.read(ready, 1)
    lock.close()
    is_still_locked = is_locked(path)
    os.write(opener, b"x")
    os.waitpid(pid, 0)
    for descriptor in (ready, is_ready, gate, opener):
        os.close(descriptor)

    assert not is_still_locked


def test_closing_a_lock_in_a_forked_child_leaves_it_to_the_parent(tmp_path):
    """What a child does with the lock that it inherited does not free it."""
    path = tmp_path / "run.lock"
    lock = Lock.take(path)
    code = exit_code_of_fork(lambda: lock.close() is None)
    is_still_locked = is_locked(path)
    lock.close()

    assert (0, True) == (code, is_still_locked)


def test_closing_a_lock_twice_does_no_harm(tmp_path):
    """The second time closes no file that has the number by then."""
    lock = Lock.take(tmp_path / "run.lock")
    lock.close()
    with (tmp_path / "other").open("w") as other:
        lock.close()
        other.write("still open")

    assert "still open" == (tmp_path / "other").read_text()


def test_asking_whether_a_lock_is_held_turns_no_owner_away(tmp_path, monkeypatch):
    """Whoever takes a lock waits for those who are only asking, as `is_locked` does for an instant."""
    monkeypatch.setattr("hyperplane.rundir._LOCK_TRIES", 10_000)
    path = tmp_path / "run.lock"
    with path.open("w") as asking:
        fcntl.flock(asking, fcntl.LOCK_SH)
        asked = threading.Timer(0.02, fcntl.flock, (asking, fcntl.LOCK_UN))
        asked.start()
        lock = Lock.take(path)
        asked.join()
    lock.close()

    assert not is_locked(path)


def test_a_lock_that_cannot_be_had_leaks_no_descriptor(tmp_path):
    """Trying and failing a thousand times over leaves no files open."""
    lock = Lock.take(tmp_path / "run.lock")
    before = open_descriptors()
    tries = [Lock.take(tmp_path / "run.lock") for _ in range(5)]
    after = open_descriptors()
    lock.close()

    assert ([None] * 5, before) == (tries, after)


def test_what_is_not_there_is_not_locked(tmp_path):
    """A missing file, and a path through a file, are held by nobody."""
    (tmp_path / "file").touch()

    assert (False, False) == (is_locked(tmp_path / "nosuch"), is_locked(tmp_path / "file" / "run.lock"))


def test_a_lock_in_a_folder_of_somebody_else_is_not_ours():
    """What this user may not open is no lock of a run of ours."""
    with public_folder() as folder:
        (folder / "run.lock").touch()
        folder.chmod(0o000)
        with unprivileged():
            found = is_locked(folder / "run.lock")
        folder.chmod(0o700)

    assert not found


def test_other_trouble_is_not_taken_for_a_free_lock(tmp_path):
    """Without a free descriptor nobody can tell, and so nobody says that the lock is free."""
    (tmp_path / "run.lock").touch()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            is_locked(tmp_path / "run.lock")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
