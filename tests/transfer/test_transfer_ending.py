"""Transfers that end before they are done: Ctrl-C, kills, a full disk."""

import errno
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from copying import fetch, make_tree, tree
from faultys3 import FaultyS3, hang
from storekinds import store_of

from hyperplane.errors import TransferError
from hyperplane.rundir import is_part

SCRIPT = str(Path(__file__).with_name("copyscript.py"))
CONTENTS = {
    f"d/{number}": os.urandom(size) for number, size in enumerate([10, 100_000, 400_000, 3 << 20] * 8)
}
KILLS = int(os.environ.get("PYTEST_TRANSFER_KILLS", "25"))


def begin(server, verb, path, prefix, place, *, environ=None):
    """Start a process that copies."""
    command = [sys.executable, SCRIPT, verb, path, server.endpoint_url, prefix, str(place)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ)


def unmeasured():
    """Return an environment whose processes write no coverage, which a kill would tear."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}


def wait_for(condition):
    """Wait until something holds."""
    give_up_at = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.005)


@pytest.fixture
def slow_s3():
    """Give a scripted S3 that lets 8 MB a second through."""
    with FaultyS3(bytes_per_s=8_000_000, min_part_bytes=1) as server:
        yield server


def interrupt(process):
    """Send SIGINT, and return how long the process took to end, and what it said."""
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=100)
    return time.monotonic() - began, errors


def test_an_interrupted_download_leaves_whole_files_alone(slow_s3, path, tmp_path):
    """It ends soon, with KeyboardInterrupt, and without any temporary file."""
    for key, content in CONTENTS.items():
        slow_s3.put(key, content)
    process = begin(slow_s3, "download", path, "d/", tmp_path / "t")
    wait_for(lambda: (tmp_path / "t").exists() and len(list((tmp_path / "t").iterdir())) > 3)
    seconds, errors = interrupt(process)
    found = tree(tmp_path / "t")

    assert seconds < 15
    assert "KeyboardInterrupt" in errors
    assert {name: CONTENTS[f"d/{name}"] for name in found} == found
    assert len(found) < len(CONTENTS)


@pytest.mark.parametrize("size", [200_000, 12 << 20])
def test_an_interrupted_upload_leaves_nothing_stray(slow_s3, path, tmp_path, size):
    """No multipart upload, and no half of an object."""
    files = {
        str(number): os.urandom(1 << 16) * (size >> 16) for number in range(3 if size > 1 << 20 else 200)
    }
    source = make_tree(tmp_path / "s", files)
    process = begin(slow_s3, "upload", path, "k/", source)
    operation = "UploadPart" if size > 1 << 20 else "PutObject"
    wait_for(lambda: len(slow_s3.calls_of(operation)) > 3)
    seconds, errors = interrupt(process)

    assert seconds < 30
    assert "KeyboardInterrupt" in errors
    assert [] == slow_s3.uploads
    assert {f"k/{name}": files[name] for name in files if f"k/{name}" in slow_s3.objects} == slow_s3.objects
    assert len(slow_s3.objects) < len(files)


def test_an_interrupted_wait_for_a_silent_store_ends(faulty_s3, path, tmp_path):
    """Nobody waits for its replies."""
    faulty_s3.put("d/a", b"x")
    faulty_s3.add(hang(), operation="GetObject")
    process = begin(faulty_s3, "download", path, "d/", tmp_path / "t")
    wait_for(lambda: faulty_s3.calls_of("GetObject"))
    seconds, errors = interrupt(process)

    assert seconds < 30
    assert "KeyboardInterrupt" in errors
    assert {} == tree(tmp_path / "t")


def test_killed_downloads_leave_no_torn_file(faulty_s3, path, tmp_path):
    """Under their own names files are whole, at whatever moment the process is killed."""
    for key, content in CONTENTS.items():
        faulty_s3.put(key, content)
    numbers, torn, seen = random.Random(path), [], 0
    for number in range(KILLS):
        target = tmp_path / f"t{number}"
        process = begin(faulty_s3, "download", path, "d/", target, environ=unmeasured())
        wanted = numbers.randrange(len(CONTENTS))
        wait_for(lambda at=target, n=wanted, p=process: len(list(at.glob("*"))) >= n or p.poll() is not None)
        time.sleep(numbers.uniform(0, 0.03))
        process.kill()
        process.communicate()
        found = tree(target)
        named = {name: content for name, content in found.items() if not is_part(name)}
        torn += [name for name, content in named.items() if content != CONTENTS[f"d/{name}"]]
        seen += len(named)
        for file in target.glob("*"):
            file.unlink()

    assert [] == torn
    assert 0 < seen < KILLS * len(CONTENTS)


@pytest.fixture
def small_disk(tmp_path):
    """Give a folder with room for 2 MB: /dev/full of folders."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.needs("root", "mount")
def test_a_full_disk_ends_a_download_soon(faulty_s3, store, small_disk):
    """The error says so, what was copied is whole, and nothing else is there."""
    contents = {f"d/{number:03}": os.urandom(100_000) for number in range(200)}
    for key, content in contents.items():
        faulty_s3.put(key, content)
    with pytest.raises(TransferError, match="No space left") as caught:
        fetch(store, "d/", small_disk / "t")
    found = tree(small_disk / "t")

    assert errno.ENOSPC == caught.value.__cause__.errno
    assert {name: contents[f"d/{name}"] for name in found} == found
    assert len(found) == len(caught.value.transfer.files) > 0
    assert len(faulty_s3.calls_of("GetObject")) < 120


@pytest.mark.needs("root", "mount")
def test_a_full_disk_tears_no_large_file(faulty_s3, path, small_disk):
    """One that does not fit is not there."""
    faulty_s3.put("a", os.urandom(3 << 20))
    with pytest.raises(TransferError, match="No space left"):
        fetch(store_of(faulty_s3, path), "a", small_disk / "a")

    assert {} == tree(small_disk)
