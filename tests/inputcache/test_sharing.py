"""Several processes and one cache: one fetches, others wait, and whoever dies leaves nothing in the way."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import faultys3
import pytest
import scripts
from caching import FOLDER, JOB, WAITING_JOB, cache_of, entries_in, fetched, files_of, variables_of
from processes import open_descriptors

from hyperplane.inputcache.locking import share, take
from hyperplane.stores import Location

WHOLE = {"a.txt": b"aa", "b.txt": b"bb", "sub/c.txt": b"cc"}
SAID = "a.txt=aa b.txt=bb c.txt=cc\n"
# a job that forks a child which waits, and then waits itself
FORKING_JOB = """
    import os, time, hyperplane
    with hyperplane.JobContext() as ctx:
        path = ctx.inputs["train"]
        child = os.fork()
        if child == 0:
            time.sleep(60)
            os._exit(0)
        print(child, flush=True)
        time.sleep(60)
"""
FETCHER = """
    import sys
    from pathlib import Path
    from hyperplane.environment import Environment
    from hyperplane.inputcache import InputCache
    from hyperplane.settings import JobSettings
    from hyperplane.stores import Location
    from hyperplane.stores.buckets import AccountBuckets
    folder, endpoint, key, secret = sys.argv[1:]
    secrets = {"s3_access_key_id": key, "s3_access_key_secret": secret}
    settings = JobSettings(s3_endpoint_url=endpoint)
    buckets = AccountBuckets.of(Environment({}), settings, secret=secrets.get, learn=print)
    cache = InputCache(Path(folder), lambda: buckets, limit_bytes=10)
    cache.fetch(Location.parse("s3://test/data/"))
    cache.close()
"""
CALLS = (
    *("flock", "fsync", "utimensat", "link,linkat", "mkdir,mkdirat", "chmod,fchmodat"),
    *("rename,renameat", "unlink,unlinkat,rmdir"),
)


@pytest.fixture
def server(faulty_s3):
    """Give a server with a folder of three files."""
    for name, data in WHOLE.items():
        faulty_s3.put(f"data/{name}", data)
    return faulty_s3


def ended(process):
    """Return how a process ended, and what it said."""
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def test_of_several_processes_one_fetches(tmp_path, server):
    """Each object is read once, all have it, and who waits says so."""
    server.add(faultys3.do(lambda call: time.sleep(1)), operation="GetObject")
    variables = variables_of(server, tmp_path / "cache")
    done = [ended(process) for process in [scripts.start(JOB, **variables) for _ in range(4)]]

    assert [(0, SAID)] * 4 == [(code, out.partition(" ")[2]) for code, out, _ in done]
    assert ["data/a.txt", "data/b.txt", "data/sub/c.txt"] == sorted(
        c.key for c in server.calls_of("GetObject")
    )
    waited = sum("waiting for another process that fetches an input" in err for _, _, err in done)
    assert sum("fetched an input" in err for _, _, err in done) == 1
    assert 1 <= waited <= 3


def test_the_one_who_waits_goes_on_when_the_fetcher_is_killed(tmp_path, server):
    """A lock goes with its process, and what had arrived is not fetched again."""
    is_stuck = threading.Event()
    rule = server.add(
        faultys3.do(lambda call: is_stuck.set() or time.sleep(3)), key="data/sub/c.txt", calls=[1]
    )
    variables = variables_of(server, tmp_path / "cache")
    first = scripts.start(JOB, **variables)
    assert is_stuck.wait(30)
    second = scripts.start(JOB, **variables)
    for line in second.stderr:
        if "waiting" in line:
            break
    first.kill()
    first.communicate()

    code, out, _ = ended(second)
    assert (0, SAID, 2) == (code, out.partition(" ")[2], rule.seen)
    assert 1 == len(server.calls_of("GetObject", "data/a.txt"))


def test_two_threads_fetch_once(tmp_path, server):
    """Threads of one job get the same path."""
    cache = cache_of(tmp_path, server)
    paths = []
    threads = [
        threading.Thread(target=lambda: paths.append(cache.fetch(Location.parse(FOLDER)))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (1, 4, 3) == (len(set(paths)), len(paths), len(server.calls_of("GetObject")))


def test_what_a_living_run_uses_is_not_removed(tmp_path, server):
    """Neither a limit nor a newer version takes a run's input away; when it is killed, it may go."""
    folder = tmp_path / "cache"
    job = scripts.start(WAITING_JOB, **variables_of(server, folder))
    path = Path(job.stdout.readline().strip())
    fetched(folder, server, limit_bytes=0)
    server.put("data/a.txt", b"new")
    fetched(folder, server, limit_bytes=0)
    before = files_of(path)
    job.kill()
    job.communicate()
    fetched(folder, server, limit_bytes=0)

    assert (WHOLE, []) == (before, entries_in(folder))


def test_what_a_forked_child_uses_outlives_the_parent(tmp_path, server):
    """A worker that goes on after its parent was killed keeps its input."""
    folder = tmp_path / "cache"
    job = scripts.start(FORKING_JOB, **variables_of(server, folder))
    child = int(job.stdout.readline())
    job.kill()
    job.wait()
    fetched(folder, server, limit_bytes=0)
    still_there = len(entries_in(folder))
    os.kill(child, signal.SIGKILL)
    job.communicate()
    fetched(folder, server, limit_bytes=0)

    assert (1, 0) == (still_there, len(entries_in(folder)))


def test_a_stopped_job_does_not_wait_for_the_rest(tmp_path, server):
    """SIGTERM in the middle of a fetch ends it, and the next run continues."""
    is_stuck = threading.Event()
    server.add(faultys3.do(lambda call: is_stuck.set() or time.sleep(2)), key="data/sub/c.txt", calls=[1])
    job = scripts.start(JOB, **variables_of(server, tmp_path / "cache"))
    assert is_stuck.wait(30)
    job.send_signal(signal.SIGTERM)
    code, _, _ = ended(job)

    assert 143 == code
    assert files_of(fetched(tmp_path / "cache", server)) == WHOLE


@pytest.mark.needs("strace")
@pytest.mark.parametrize("call", CALLS)
def test_a_fetcher_killed_at_any_call_leaves_nothing_half(tmp_path, server, call):
    """Whatever is there afterwards is whole, and the next run has everything, and leaves nothing else."""
    server.put("other/x", b"x" * 10)
    count, code = 0, -signal.SIGKILL
    while code == -signal.SIGKILL:
        count += 1
        folder = tmp_path / f"cache-{count}"
        server.put("data/a.txt", b"old")
        fetched(folder, server, "s3://test/other/")
        fetched(folder, server)
        server.put("data/a.txt", WHOLE["a.txt"])
        code = fetch_killed(folder, server, call, count)
        for entry in entries_in(folder):
            assert not entry.is_whole or files_of(entry.content) in versions_of(entry)
        assert files_of(fetched(folder, server, limit_bytes=10)) == WHOLE
        assert 1 == len(entries_in(folder))
        assert 2 == len(list((folder / "inputs").iterdir()))
    assert (0, True) == (code, count > 1)


def versions_of(entry):
    """Return what the content of an entry may be."""
    if (entry.content / "other").exists():
        return [{"other/x": b"x" * 10}]
    return [{f"data/{path}": data for path, data in {**WHOLE, "a.txt": a}.items()} for a in (b"aa", b"old")]


def fetch_killed(folder, server, call, count):
    """Fetch in a process that is killed at its system call of this number, and return how it ended."""
    trace = ["strace", "-f", "-o", "/dev/null", "-e", f"inject={call}:signal=KILL:when={count}"]
    told = (folder, server.endpoint_url, server.access_key_id, server.secret_access_key)
    command = [*trace, sys.executable, "-B", "-c", textwrap.dedent(FETCHER), *map(str, told)]
    done = subprocess.run(command, capture_output=True, timeout=120)
    assert done.returncode in {0, -signal.SIGKILL}, done.stderr
    return done.returncode


def test_a_lock_on_a_removed_file_is_taken_anew(tmp_path):
    """Who waited for a lock whose file was replaced meanwhile has the lock of the new one."""
    path = tmp_path / "x.lock"
    held = take(path)

    def replace():
        path.unlink()
        path.touch()
        held.close()

    got = take(path, waiting=replace)
    assert take(path) is None
    got.close()
    take(path).close()


def test_a_lock_in_a_folder_that_has_gone_is_none(tmp_path):
    """There is nothing to lock any more."""
    folder = tmp_path / "gone"
    folder.mkdir()
    held = take(folder / "x.lock")

    def remove():
        shutil.rmtree(folder)
        held.close()

    assert take(folder / "x.lock", waiting=remove) is None
    assert share(folder / "x.lock") is None


def test_an_interrupted_wait_leaves_nothing_open(tmp_path):
    """Ctrl-C while waiting closes what was opened for it."""
    held = take(tmp_path / "x.lock")
    before = open_descriptors()

    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        take(tmp_path / "x.lock", waiting=interrupt)
    assert open_descriptors() == before
    held.close()
    held.close()


def test_a_cache_that_is_removed_while_a_run_waits_is_made_anew(tmp_path, server):
    """`rm -r` of the cache at the worst moment costs another fetch."""
    fetched(tmp_path, server)
    (entry,) = entries_in(tmp_path)
    (entry.path / "entry.json").unlink()
    held = take(entry.fetch_lock)

    class Remover:
        """A log that removes the cache when somebody waits."""

        def log(self, level, event, **fields):
            if event.startswith("waiting"):
                shutil.rmtree(tmp_path / "inputs")
                held.close()

    assert files_of(fetched(tmp_path, server, log=Remover())) == WHOLE
