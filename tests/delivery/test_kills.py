"""Killed at any system call, or stopped at any moment, a run loses nothing that was sealed.

The sweep goes over every k-th call of each kind of a short run, in whichever process comes to it first.
HYPERPLANE_EVERY_KILL=1 makes it 200 stops of each kind, and every write that is short.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from deliveries import (
    COMMAND,
    BucketPlace,
    FolderPlace,
    check_invariants,
    only_run,
    run_command,
    until_free,
)
from faultys3 import do
from s3servers import with_new_bucket

from hyperplane.rundir import Home
from hyperplane.runs import delivering, record

CALLS = (
    "write",
    "fsync,fdatasync",
    "rename,renameat,renameat2,link,linkat",
    "unlink,unlinkat,rmdir",
    "mkdir,mkdirat",
)
NETWORK_CALLS = ("connect", "sendto,writev,sendmsg")
JOB = """
import os, hyperplane
said = os.open(os.environ["SAID"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
with hyperplane.JobContext() as ctx:
    for number in "12":
        ctx.outputs.write_text("last.pt", number)
        os.write(said, number.encode())
        with ctx.outputs.saving("model") as path:
            path.mkdir()
            (path / "weights").write_text(number)
    ctx.outputs.write_text("gone.txt", "x")
    ctx.outputs.remove("gone.txt")
"""
IS_FULL = os.environ.get("HYPERPLANE_EVERY_KILL") == "1"
WORDS = {"context": [sys.executable, "job.py"], "runner": [*COMMAND, "run", sys.executable, "job.py"]}
pytestmark = [pytest.mark.timeout(7200 if IS_FULL else 300), pytest.mark.needs("strace")]


def killing(calls, count):
    """Return the words that have each process of a command killed before its call of that number."""
    return ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"inject={calls}:signal=KILL:when={count}"]


def plain_environment(folder, place):
    """Return the variables of a run that is killed: nothing measures it."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "HYPERPLANE_JOB_ID": "job",
        "HYPERPLANE_OUTPUT_URL": place.url,
        **place.variables,
    }


def begun(folder, place, words, **variables):
    """Start a command that runs the job."""
    folder.mkdir()
    (folder / "job.py").write_text(JOB)
    (folder / "said").touch()
    return subprocess.Popen(
        words,
        cwd=folder,
        env={**plain_environment(folder, place), "SAID": str(folder / "said"), **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_killed(folder, place, words, killers):
    """Run a command that is killed; return how it ended, and what the job said was sealed."""
    process = begun(folder, place, [*killers, *words])
    process.communicate(timeout=120)
    return process.returncode, (folder / "said").read_text()


def check_killed(folder, place, code, said):
    """Check what a killed run has left, and that it arrives."""
    runs = Home.of(folder).runs()
    if not runs:
        assert "" == said
        return
    (run,) = runs
    until_free(run)
    os.chdir(folder)
    if record.read(run).delivery == "none":
        assert "" == said
        return
    last = said[-1:]
    check_invariants(
        run,
        place,
        exit_code=code if code >= 0 else None,
        sealed={"last.pt": tuple(n.encode() for n in "12" if n >= last)} if last else {},
        deliver=lambda: run_command("deliver", run.run_id, **place.variables),
        secrets=(),
    )


def sweep(tmp_path, place_of, words, calls):
    """Kill at every k-th of some calls, until there are no more of them."""
    count, is_over = 1, False
    while not is_over:
        folder, place = tmp_path / f"job-{count}", place_of(count)
        code, said = run_killed(folder, place, words, killing(calls, count))
        is_over = code == 0
        check_killed(folder, place, code, said)
        count += 1
    assert count > 2, "nothing was killed"
    print(f"killed at {count - 2} calls of {calls}")  # -rP shows it


@pytest.mark.parametrize("calls", CALLS)
@pytest.mark.parametrize("kind", WORDS)
def test_a_run_killed_at_any_call_is_delivered_in_the_end(tmp_path, kind, calls):
    """Whoever of job, runner and deliverer is killed, and whenever: no loss, nothing torn or unsaid."""
    sweep(tmp_path, lambda count: FolderPlace(tmp_path / f"there-{count}"), WORDS[kind], calls)


@pytest.mark.parametrize("kind", WORDS)
def test_a_run_killed_before_its_delivery_has_begun_waits_for_it(tmp_path, kind):
    """It is found, and delivered, though nothing of a job is in it."""
    for count in range(1, 8):
        folder, place = tmp_path / f"job-{count}", FolderPlace(tmp_path / f"there-{count}")
        code, said = run_killed(folder, place, WORDS[kind], killing("write", count))
        assert code != 0
        check_killed(folder, place, code, said)
        assert [] == delivering.waiting_runs(Home.of(folder))


@pytest.mark.parametrize("calls", NETWORK_CALLS)
def test_a_run_killed_as_it_speaks_to_a_store_is_delivered_in_the_end(tmp_path, seaweed, calls):
    """The same over the calls that reach a store."""
    sweep(tmp_path, lambda count: BucketPlace(with_new_bucket(seaweed)), WORDS["runner"], calls)


def test_a_delivery_killed_three_times_in_a_row_is_done_in_the_end(tmp_path):
    """Whatever three deliveries left behind, the next one brings the run there."""
    folder, place = tmp_path / "job", FolderPlace(tmp_path / "there")
    code, said = run_killed(folder, place, WORDS["runner"], killing("write", 10))
    assert code != 0
    os.chdir(folder)
    run = only_run()
    until_free(run)
    for calls in ("fsync", "rename", "write"):
        words = [*killing(calls, 2), *COMMAND, "deliver"]
        subprocess.run(words, capture_output=True, env=plain_environment(folder, place), timeout=60)
        until_free(run)
    check_killed(folder, place, code, said)
    assert "final.json" in {Path(path).name for path in place.objects()}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_stopped_at_any_moment_is_delivered_in_the_end(tmp_path, faulty_s3, number):
    """Before the job begins, while it runs, while a slow store is delivered to, and afterwards."""
    faulty_s3.add(do(lambda _: time.sleep(0.05)))
    seen = []
    for count in range(200 if IS_FULL else 8):
        folder, place = tmp_path / f"job-{count}", BucketPlace(faulty_s3)
        place.prefix, place.url = f"{count}/", f"s3://{faulty_s3.bucket}/{count}/"
        process = begun(folder, place, WORDS["runner"])
        time.sleep(random.uniform(0, 1.6))
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        assert "fault of hyperplane" not in err, err
        assert process.returncode in {0, 130, 143, -number}, err
        check_killed(folder, place, process.returncode, (folder / "said").read_text())
        seen.append(process.returncode)
    print({code: seen.count(code) for code in seen})  # -rP shows it


@pytest.fixture(scope="module")
def short_writes(tmp_path_factory):
    """Give a library that makes a write short in every process that loads it."""
    library = tmp_path_factory.mktemp("short") / "shortwrites.so"
    source = Path(__file__).with_name("shortwrites.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


@pytest.mark.needs("cc")
@pytest.mark.parametrize("kind", WORDS)
def test_a_write_of_any_number_that_is_short_costs_nothing(tmp_path, short_writes, kind):
    """The system took half of it, as it may: the rest follows, or the error says so."""
    # Python itself takes no notice when it writes what it has compiled
    fault = {"LD_PRELOAD": str(short_writes), "PYTHONDONTWRITEBYTECODE": "1"}
    seen = []
    for count in range(1, 120, 1 if IS_FULL else 6):
        folder, place = tmp_path / f"job-{count}", FolderPlace(tmp_path / f"there-{count}")
        process = begun(folder, place, WORDS[kind], SHORT_WRITE=str(count), **fault)
        _, err = process.communicate(timeout=120)
        assert "fault of hyperplane" not in err, err
        check_killed(folder, place, process.returncode, (folder / "said").read_text())
        seen.append(process.returncode)
    print({code: seen.count(code) for code in seen})  # -rP shows it
