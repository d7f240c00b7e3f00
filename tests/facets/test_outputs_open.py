"""Open output files: whole when they are closed, dropped when a block fails, nobody else's business."""

import csv
import gc
import pickle
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import strategies as st
from outputruns import Runs, files_in
from scripts import run

from hyperplane.errors import HyperplaneWarning, UsageError
from hyperplane.facets.outputs import Outputs
from hyperplane.facets.outputs.files import BinaryOutput, Part, TextOutput
from hyperplane.masking import Masker
from hyperplane.sealing.tree import Tree

PAYLOADS = st.lists(st.text() | st.binary(), max_size=5)


@pytest.fixture
def runs(tmp_path):
    """Give the runs of a job."""
    runs = Runs(tmp_path / "job")
    yield runs
    runs.close()


def forget(kept):
    """Let go of what is in a list, and wait until it is gone."""
    kept.clear()
    gc.collect()


def write_half(file):
    """Write something and raise."""
    file.write("half")
    raise ZeroDivisionError


def test_an_open_file_has_its_name_when_it_is_closed(runs):
    """Until then only a temporary file is there."""
    outputs = runs.outputs()
    file = outputs.open("a.txt")
    file.write("text")
    before = files_in(outputs.dir)
    file.close()
    file.close()

    assert ({"part": b""}, {"a.txt": b"text"}) == (before, files_in(outputs.dir))


def test_an_open_file_is_recorded_with_what_was_written(runs):
    """The digest taken on the way is that of the file."""
    outputs = runs.outputs()
    outputs.write_bytes("a", b"x" * 3_000_000)
    (event,) = runs.events
    (again,) = outputs.seal("a")

    assert (again.size_bytes, again.sha256) == (event["size_bytes"], event["sha256"])


def test_an_exception_leaves_the_old_file(runs):
    """A block that fails drops what it wrote, text and bytes alike."""
    outputs = runs.outputs()
    outputs.write_text("a", "old")
    for mode in ("w", "wt"):
        with pytest.raises(ZeroDivisionError), outputs.open("a", mode) as file:
            write_half(file)
    with pytest.raises(TypeError), outputs.open("a", "wb") as file:
        write_half(file)

    assert {"a": b"old"} == files_in(outputs.dir)


@pytest.mark.parametrize("mode", ["r", "a", "x", "w+", "rb", "ab", "", "wbx"])
def test_only_writing_anew_is_possible(runs, mode):
    """Other modes cannot be whole or not at all, and the error says what can be done."""
    with pytest.raises(UsageError, match="the output 'a' cannot be opened with mode '") as caught:
        runs.outputs().open("a", mode)

    assert "append()" in caught.value.hint


@pytest.mark.parametrize("keywords", [{"encoding": "no-such"}, {"newline": "x"}])
def test_an_encoding_that_does_not_exist_is_refused(runs, keywords):
    """Nothing is left of the attempt."""
    outputs = runs.outputs()
    with pytest.raises(UsageError, match="the output 'a' cannot be opened"):
        outputs.open("a", **keywords)

    assert {} == files_in(outputs.dir)


def test_encoding_and_line_ends_are_those_of_the_builtin(runs):
    """What `csv` wants can be had."""
    outputs = runs.outputs()
    with outputs.open("a.csv", encoding="latin-1", newline="") as file:
        csv.writer(file).writerow(["ü", 1])

    assert b"\xfc,1\r\n" == outputs.path("a.csv").read_bytes()


def test_a_file_that_is_written_out_of_order_is_recorded_as_it_is(runs):
    """Libraries that go back and forth in a file are served, and the digest is right."""
    outputs = runs.outputs()
    with outputs.open("a.zip", "wb") as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr("one", "1" * 1000)
        archive.writestr("two", "2" * 1000)
    with outputs.open("b", "wb") as file:
        file.write(b"abcdef")
        file.truncate(3)
        pickle.dump([1], file)
    recorded = {event["name"]: event["sha256"] for event in runs.events}

    assert [b"1" * 1000] == [zipfile.ZipFile(outputs.path("a.zip")).read("one")]
    assert {name: outputs.seal(name)[0].sha256 for name in ("a.zip", "b")} == recorded


def test_a_file_that_is_still_open_is_sealed_at_the_end_of_a_success(runs):
    """A forgotten close is warned of, and costs nothing when the job succeeds."""
    outputs = runs.outputs()
    outputs.open("a.txt").write("text")
    gc.collect()
    with pytest.warns(HyperplaneWarning, match="was still open, and is sealed as it stands"):
        outputs.close(is_success=True)

    assert [("sealed", "a.txt"), ("warning", None)] == runs.kinds


def test_a_file_that_is_still_open_is_dropped_at_the_end_of_a_failure(runs):
    """Half a file is no output."""
    outputs = runs.outputs()
    outputs.open("a.txt").write("half")
    outputs.open("b.bin", "wb").write(b"half")
    outputs.close()

    assert {} == files_in(runs.all[-1].outputs)


def test_a_file_that_nobody_can_close_any_more_is_dropped(tmp_path):
    """Where the outputs themselves are gone, an open file is dropped with a warning, as Python's are."""
    outputs = Outputs(tmp_path / "out", masker=Masker())
    outputs.open("a.txt").write("half")
    kept = [outputs]
    del outputs
    with pytest.warns(ResourceWarning, match=r"the output 'a\.txt' was never closed, and is dropped"):
        forget(kept)

    assert {} == files_in(tmp_path / "out")


def test_a_text_that_nobody_holds_any_more_is_dropped(tmp_path):
    """Whichever of its layers Python finalises first, an open file is dropped and not sealed."""
    sealed = []
    part = Part(Tree(tmp_path / "out"), "a.txt")
    file = TextOutput(part, BinaryOutput(part, sealed.append, [].append), "utf-8", None)
    file.write("half")
    kept = [file]
    del file
    with pytest.warns(ResourceWarning, match=r"the output 'a\.txt' was never closed, and is dropped"):
        forget(kept)

    assert ([], {}) == (sealed, files_in(tmp_path / "out"))


def test_threads_that_write_the_same_output_leave_one_of_them(runs):
    """The last event of an output is that of the file that is there."""
    outputs = runs.outputs()
    with ThreadPoolExecutor(8) as pool:
        for number in range(40):
            pool.submit(outputs.write_text, "a", str(number))
    last = [event for event in runs.events if event["kind"] == "sealed"][-1]

    assert last["sha256"] == outputs.seal("a")[0].sha256


FORKING = """
    import os, pathlib, sys
    from hyperplane.errors import OutputError
    from hyperplane.facets.outputs import Outputs
    from hyperplane.masking import Masker
    outputs = Outputs(pathlib.Path(sys.argv[1]), masker=Masker())
    file = outputs.open("a.txt")
    file.write("parent")
    child = os.fork()
"""


@pytest.mark.parametrize(
    "act",
    [
        "raise SystemExit(0)",
        "file.close()",
        "file.write('x' * 1_000_000)",
        "outputs.close()",
        "file.buffer.raw.write(b'x')",
    ],
)
def test_an_open_file_is_the_parent_s(tmp_path, act):
    """A forked child can neither write to it, nor publish, nor remove it."""
    ended = run(
        FORKING
        + f"""
    if child == 0:
        try:
            {act}
        except OutputError as error:
            print(error)
        sys.stdout.flush()
        os._exit(0)
    os.waitpid(child, 0)
    file.close()
    """,
        str(tmp_path / "out"),
    )

    assert (0, "", {"a.txt": b"parent"}) == (ended.code, ended.err, files_in(tmp_path / "out"))


def test_a_child_that_ends_in_the_block_of_a_file_changes_nothing(tmp_path):
    """Leaving the block with an exception in the child is no end of the parent's file."""
    ended = run(
        FORKING
        + """
    with file:
        if child == 0:
            sys.exit(0)
        os.waitpid(child, 0)
    """,
        str(tmp_path / "out"),
    )

    assert (0, "", {"a.txt": b"parent"}) == (ended.code, ended.err, files_in(tmp_path / "out"))
