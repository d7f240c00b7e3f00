"""`hyperplane s3`: lists and copies objects, and says what it did."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from faultys3 import FaultyS3
from s3servers import client_of, value_of

from hyperplane.cli import main
from hyperplane.rundir import Home


@pytest.fixture
def call(capsys, moto_bucket, monkeypatch):
    """Return a function that calls the command line here, and returns exit code, stdout and stderr."""
    for name, value in moto_bucket.environ().items():
        monkeypatch.setenv(name, value)

    def run(*words):
        with pytest.raises(SystemExit) as caught:
            main(["s3", *words])
        printed = capsys.readouterr()
        return caught.value.code, printed.out, printed.err

    return run


@pytest.fixture
def objects(moto_bucket):
    """Put three objects."""
    client = client_of(moto_bucket)
    for key, content in {"d/a.csv": b"1", "d/e/b.csv": b"22", "d/notes": b"333"}.items():
        client.put_object(Bucket=moto_bucket.bucket, Key=key, Body=content)


def test_objects_are_listed(call, objects):
    """A line for each with its size, and a last one that counts."""
    code, out, err = call("ls", "d/", "--glob", "**/*.csv")
    lines = [line.split()[2:] for line in out.splitlines()]
    assert (0, "", [["1", "d/a.csv"], ["2", "d/e/b.csv"]]) == (code, err, lines[:-1])
    assert "2 objects, 3 B" == out.splitlines()[-1]


def test_a_listing_of_nothing_says_so(call):
    """It is no failure."""
    assert (0, "0 objects, 0 B\n", "") == call("ls", "none/")


def test_a_command_makes_no_run(call, monkeypatch, tmp_path):
    """It is no job, and has nothing to deliver."""
    monkeypatch.setenv("HYPERPLANE_OUTPUT_URL", (tmp_path / "there").as_uri())
    assert 0 == call("ls")[0]
    assert [] == Home.of(Path.cwd()).runs()


def test_a_listing_is_data(call, objects):
    """For programs."""
    _, out, _ = call("ls", "d/", "--regex", "^notes", "--json")
    found = json.loads(out)
    (entry,) = found["objects"]
    assert (1, "d/notes", 3) == (found["schema"], entry["key"], entry["size_bytes"])
    assert entry["modified"].endswith("+00:00")


def test_a_folder_is_downloaded(call, objects):
    """The last line has files, bytes and rate."""
    code, out, err = call("download", "d/", "here")
    assert (0, "") == (code, err)
    assert out.startswith("downloaded 3 files, 6 B, in ")
    assert out.endswith("/s\n")
    assert b"22" == Path("here/e/b.csv").read_bytes()


def test_the_signals_of_the_process_are_put_back(call):
    """Whoever calls the command line from Python keeps their handler."""
    before = signal.getsignal(signal.SIGTERM)
    call("ls")
    assert before is signal.getsignal(signal.SIGTERM)


def test_what_has_not_changed_is_counted(call, objects):
    """With `--skip-unchanged`."""
    call("download", "d/", "here")
    _, out, _ = call("download", "d/", "here", "--skip-unchanged")
    assert out.startswith("downloaded 0 files, 0 B, in ")
    assert out.endswith(", 3 unchanged\n")


def test_an_upload_is_data(call, moto_bucket):
    """For programs: the files, and where they are."""
    Path("f").write_bytes(b"1")
    _, out, _ = call("upload", "f", "d/", "--json")
    found = json.loads(out)
    expected = (["f"], [f"s3://{moto_bucket.bucket}/d/f"], [], 1)
    assert expected == (found["files"], found["urls"], found["skipped"], found["size_bytes"])


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["download", "none"], 1, "there is no s3://{bucket}/none"),
        (["download", "none/"], 1, "there is nothing below s3://{bucket}/none/"),
        (
            ["download", "d/", "--min-files", "9"],
            1,
            "3 files of s3://{bucket}/d/ fit, and at least 9 were wanted",
        ),
        (["upload", "none"], 64, "there is no file or folder none"),
        (["download", "d/", "--regex", "*.csv"], 64, "'*.csv' is no regular expression"),
        (["download", "gs://bucket/x"], 64, "'gs://bucket/x' is not in S3"),
    ],
)
def test_errors_are_two_lines(call, objects, moto_bucket, words, code, told):
    """What failed, and what to do next."""
    found, out, err = call(*words)
    assert (code, "") == (found, out)
    first, second = err.splitlines()
    assert first.startswith(f"hyperplane: error: {told.format(bucket=moto_bucket.bucket)}")
    assert second.startswith("  ")


def test_a_longer_copy_draws_a_bar():
    """On a terminal, from the first second on; it is gone in the end."""
    Path("file").write_bytes(os.urandom(6 << 20))
    with FaultyS3(bytes_per_s=3 << 20) as server:
        shown, out = on_a_terminal("s3", "upload", "file", "key", **value_of(server).environ())
    assert b"upload" in shown
    assert out.startswith("uploaded 1 file, 6.0 MiB")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stopped_command_leaves_nothing_unfinished(number, code):
    """Neither an upload in the store, nor a word of what it was at."""
    Path("file").write_bytes(os.urandom(40 << 20))
    with FaultyS3(bytes_per_s=8 << 20) as server:
        variables = value_of(server).environ()
        command = [sys.executable, "-m", "hyperplane", "s3", "upload", "file", "key"]
        with subprocess.Popen(command, env={**os.environ, **variables}, stderr=subprocess.PIPE) as process:
            while not server.calls_of("UploadPart"):
                time.sleep(0.05)
            process.send_signal(number)
            said = process.stderr.read()
        assert (code, b"") == (process.returncode, said)
        assert ([], []) == (list(server.uploads), list(server.objects))


def on_a_terminal(*words, **variables):
    """Run a command with a terminal for its standard error, and return what came there, and its output."""
    screen, terminal = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "hyperplane", *words],
        env={**os.environ, **variables, "TERM": "xterm"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=terminal,
        text=True,
    ) as process:
        os.close(terminal)
        shown = b""
        while piece := read(screen):
            shown += piece
        out = process.stdout.read()
    os.close(screen)
    assert 0 == process.returncode
    return shown, out


def read(screen):
    """Return what comes from a terminal, and nothing once its other side is closed."""
    try:
        return os.read(screen, 4096)
    except OSError:
        return b""
