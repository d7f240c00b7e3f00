"""Writing outputs: at once, and at the end of one, with every kind of failure."""

import json
import math
import multiprocessing
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from outputruns import Runs, files_in
from processes import public_folder, unprivileged
from scripts import run

from hyperplane.errors import OutputError, UsageError
from hyperplane.facets.outputs import Outputs
from hyperplane.masking import Masker

PAYLOADS = st.lists(st.text() | st.binary(), max_size=5)


@pytest.fixture
def runs(tmp_path):
    """Give the runs of a job."""
    runs = Runs(tmp_path / "job")
    yield runs
    runs.close()


def as_bytes(payload):
    """Return what a payload should be on the disk."""
    return payload.encode() if isinstance(payload, str) else payload


def test_the_folder_is_made_when_it_is_needed(runs):
    """Making outputs makes nothing; asking for the folder does."""
    outputs = runs.outputs()
    before = runs.all[-1].outputs.exists()

    assert (False, True) == (before, outputs.dir.is_dir())


def test_a_path_is_in_a_folder_that_exists(runs):
    """The folders on the way are made, and the file is left to the job."""
    path = runs.outputs().path("a/b/c.txt")
    path.write_text("mine")

    assert runs.all[-1].outputs / "a" / "b" / "c.txt" == path


def test_a_path_stays_where_it_is_when_the_job_moves(tmp_path, monkeypatch):
    """A relative outputs folder is that of the beginning."""
    outputs = Outputs(Path("out"), masker=Masker())
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    assert tmp_path / "work" / "out" / "a" == outputs.path("a")


@given(rounds=st.lists(PAYLOADS, max_size=4))
def test_appending_adds_payloads_as_they_are(rounds, tmp_path_factory):
    """Nothing is put between payloads or after them, however many calls there are."""
    outputs = Outputs(tmp_path_factory.mktemp("run"), masker=Masker())
    outputs.append("log")
    for payloads in rounds:
        outputs.append("log", *payloads)

    assert b"".join(as_bytes(payload) for payloads in rounds for payload in payloads) == (
        outputs.path("log").read_bytes()
    )


def test_appending_takes_views_of_bytes(runs):
    """A bytearray and a memoryview are bytes."""
    outputs = runs.outputs()
    outputs.append("a", bytearray(b"a"), memoryview(b"b"), "ü")

    assert b"ab\xc3\xbc" == outputs.path("a").read_bytes()


def append_lines(folder, process):
    """Append a hundred lines, each with one call."""
    outputs = Outputs(folder, masker=Masker())
    for number in range(100):
        outputs.append("log", f"{process} {number}", "\n")


def test_appending_processes_do_not_mix_their_lines(tmp_path):
    """What one call appends stays in one piece."""
    processes = [multiprocessing.Process(target=append_lines, args=(tmp_path / "out", n)) for n in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    lines = (tmp_path / "out" / "log").read_text().splitlines()

    assert sorted(f"{process} {number}" for process in range(4) for number in range(100)) == sorted(lines)


@given(text=st.text(), data=st.binary())
def test_what_is_written_at_once_is_read_as_it_was(text, data, tmp_path_factory):
    """Texts are UTF-8 without any change of line ends, bytes are bytes."""
    outputs = Outputs(tmp_path_factory.mktemp("run"), masker=Masker())
    outputs.write_text("a/text", text)
    outputs.write_bytes("a/data", data)

    assert (text.encode(), data) == (outputs.path("a/text").read_bytes(), outputs.path("a/data").read_bytes())


def test_json_is_indented_and_readable(runs):
    """Names keep their order, letters are letters."""
    outputs = runs.outputs()
    outputs.write_json("a.json", {"z": 0.5, "ä": ["ü"]})

    assert '{\n  "z": 0.5,\n  "ä": [\n    "ü"\n  ]\n}\n' == outputs.path("a.json").read_text()


def nested(depth):
    """Return lists in each other."""
    deep = []
    for _ in range(depth):
        deep = [deep]
    return deep


@pytest.mark.parametrize(
    "value",
    [math.nan, {"loss": math.inf}, {1, 2}, object(), nested(100_000), 10**5000, "\ud800"],
    ids=["nan", "infinity", "set", "object", "deep", "digits", "surrogate"],
)
def test_what_json_cannot_hold_is_refused(runs, value):
    """Infinities, sets, objects and the like are errors that name the output; the old file stays."""
    outputs = runs.outputs()
    outputs.write_json("a.json", 1)
    with pytest.raises(UsageError, match=r"the output 'a\.json' cannot be written as"):
        outputs.write_json("a.json", value)

    assert 1 == json.loads(outputs.path("a.json").read_text())


@pytest.mark.parametrize("payload", [3, None, ["a"], "\ud800"])
def test_what_is_neither_text_nor_bytes_is_refused(runs, payload):
    """A number, None, a list and half a letter are errors, before anything is written."""
    with pytest.raises(UsageError, match="the output 'a'"):
        runs.outputs().append("a", "text", payload)

    assert not runs.all[-1].outputs.exists()


LIMITED = """
    import errno, pathlib, resource, sys
    from hyperplane.errors import OutputError
    from hyperplane.facets.outputs import Outputs
    from hyperplane.masking import Masker
    outputs = Outputs(pathlib.Path(sys.argv[1]), masker=Masker())
    outputs.write_text("a", "old")
    limit = lambda most: resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
    limit(1000)
"""


@pytest.mark.parametrize(
    "act",
    [
        "outputs.write_text('a', 'x' * 2000)",
        "outputs.write_bytes('a', b'x' * 2_000_000)",
        "outputs.append('a', 'x' * 2000)",
        "outputs.open('a').write('x' * 2_000_000)",
    ],
)
def test_a_limit_of_the_disk_is_an_error_of_the_output(tmp_path, act):
    """The error names the output and keeps the system's number."""
    ended = run(
        LIMITED
        + f"""
    try:
        {act}
    except OutputError as error:
        print(error, error.errno == errno.EFBIG)
    outputs.close()
    limit(resource.RLIM_INFINITY)
    """,
        str(tmp_path / "out"),
    )

    assert "the output 'a' cannot be written: File too large True\n" == ended.out
    left = files_in(tmp_path / "out")
    assert {"a": b"old" + b"x" * 997 if "append" in act else b"old"} == left


def test_a_file_that_lost_a_write_is_never_sealed(tmp_path):
    """A job that goes on after a failed write gets the error again, and the old file stays."""
    ended = run(
        LIMITED
        + """
    file = outputs.open("a", "wb")
    try:
        file.write(b"x" * 2_000_000)
    except OutputError:
        limit(resource.RLIM_INFINITY)
    try:
        file.close()
    except OutputError as error:
        print(error)
    """,
        str(tmp_path / "out"),
    )

    assert ("the output 'a' could not be written earlier\n", "") == (ended.out, ended.err)
    assert {"a": b"old"} == files_in(tmp_path / "out")


@pytest.mark.parametrize("place", ["file", "file/out"])
def test_a_folder_that_is_a_file_is_an_error(tmp_path, place):
    """The error names the folder and the setting."""
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OutputError, match="cannot be used: a file is in the way") as caught:
        Outputs(tmp_path / place, masker=Masker()).write_text("a", "x")

    assert "HYPERPLANE_OUTPUT_DIR" in caught.value.hint


def test_a_folder_that_cannot_be_made_is_an_error():
    """The error says why, and names the setting."""
    with pytest.raises(OutputError, match="the outputs folder /proc/out cannot be used") as caught:
        Outputs(Path("/proc/out"), masker=Masker()).append("a", "x")

    assert "HYPERPLANE_OUTPUT_DIR" in caught.value.hint


@pytest.mark.parametrize("method", ["write_text", "append"])
def test_a_folder_that_cannot_be_written_is_an_error(method):
    """The error names the output, and the setting to change."""
    with public_folder() as folder:
        (folder / "out").mkdir(mode=0o555)
        with unprivileged(), pytest.raises(OutputError, match="'a' cannot be written: Permission") as caught:
            getattr(Outputs(folder / "out", masker=Masker()), method)("a", "x")

    assert "HYPERPLANE_OUTPUT_DIR" in caught.value.hint


def test_a_new_file_has_the_rights_that_any_has(tmp_path):
    """The umask decides who may read it."""
    before = os.umask(0o027)
    try:
        outputs = Outputs(tmp_path / "out", masker=Masker())
        outputs.write_text("a", "x")
        outputs.append("b", "x")
    finally:
        os.umask(before)

    assert ["0o640", "0o640"] == [oct(outputs.path(name).stat().st_mode & 0o777) for name in "ab"]
