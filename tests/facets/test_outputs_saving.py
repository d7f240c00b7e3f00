"""`saving`: a file or a folder, whole or not at all, whatever happens on the way."""

import os
import shutil
import signal
from pathlib import Path

import pytest
from outputruns import SECRET, Runs, files_in
from scripts import run, signalled

from hyperplane.errors import JobStopped, OutputError, OutputNameError
from hyperplane.rundir import is_part
from hyperplane.sealing import exchange as exchanging
from hyperplane.sealing.exchange import exchange, replace_folder

START = """
    import os, pathlib, sys
    from hyperplane.facets.outputs import Outputs
    from hyperplane.journal import Journal
    from hyperplane.masking import Masker
    folder, masker = pathlib.Path(os.environ["FOLDER"]), Masker()
    outputs = Outputs(folder / "outputs", masker=masker, journal=Journal(folder / "events.jsonl", masker))
"""


@pytest.fixture
def runs(tmp_path):
    """Give the runs of a job."""
    runs = Runs(tmp_path / "job")
    yield runs
    runs.close()


def save_folder(outputs, name, files):
    """Save a folder of text files."""
    with outputs.saving(name) as path:
        for inner, text in files.items():
            (path / inner).parent.mkdir(parents=True, exist_ok=True)
            (path / inner).write_text(text)


def write_half(path, error):
    """Write something and raise."""
    path.write_text("half")
    raise error


def save_odd(outputs, where, kind):
    """Save `model` with something in its place or in it that is no file."""
    with outputs.saving("model") as path:
        odd = path.parent / where
        odd.parent.mkdir(exist_ok=True)
        os.mkfifo(odd) if kind == "a named pipe" else odd.symlink_to("/etc/hostname")


def test_a_file_has_its_name_after_the_block(runs):
    """Inside there is only the path that was given, which ends in the name; after it the file is whole."""
    outputs = runs.outputs()
    with outputs.saving("plots/loss.png") as path:
        path.write_bytes(b"pixels")
        inside = files_in(outputs.dir)

    assert "loss.png" == path.name
    assert {"plots": None, "plots/part": None, "plots/part/loss.png": b"pixels"} == inside
    assert {"plots": None, "plots/loss.png": b"pixels"} == files_in(outputs.dir)


def test_a_file_is_recorded_once_it_is_there(runs):
    """One event says name, size and sha256."""
    outputs = runs.outputs()
    outputs.write_bytes("empty", b"")

    digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert [{"kind": "sealed", "name": "empty", "size_bytes": 0, "sha256": digest}] == runs.events


def test_a_file_that_takes_the_place_of_another_is_announced(runs):
    """A crash between the new file and its event loses nothing, because the event before it knows it."""
    outputs = runs.outputs()
    outputs.write_text("last.pt", "one")
    outputs.write_text("last.pt", "two")

    assert [("sealed", "last.pt"), ("sealing", "last.pt"), ("sealed", "last.pt")] == runs.kinds


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt, JobStopped, GeneratorExit])
def test_an_exception_leaves_the_old_file(runs, error):
    """Whatever leaves the block, it passes through, and nothing of the new file remains."""
    outputs = runs.outputs()
    outputs.write_text("last.pt", "old")
    with pytest.raises(error), outputs.saving("last.pt") as path:
        write_half(path, error)

    assert {"last.pt": b"old"} == files_in(outputs.dir)


def test_an_error_of_the_job_is_not_ours(runs):
    """An OSError from the block stays what it was."""
    with pytest.raises(FileNotFoundError) as caught, runs.outputs().saving("a"):
        Path("/nowhere/x").read_text()

    assert not isinstance(caught.value, OutputError)


def test_a_folder_is_published_whole(runs):
    """Each file in it is recorded, under its full name."""
    outputs = runs.outputs()
    save_folder(outputs, "model", {"config.json": "{}", "shards/0": "zero"})

    files = {"model": None, "model/config.json": b"{}", "model/shards": None, "model/shards/0": b"zero"}
    assert files == files_in(outputs.dir)
    names = ["model/config.json", "model/shards/0"]
    assert [(kind, name) for kind in ("sealing", "sealed") for name in names] == runs.kinds


def test_a_folder_takes_the_place_of_another(runs):
    """Of the old one nothing remains, and what has no successor is recorded as removed."""
    outputs = runs.outputs()
    save_folder(outputs, "model", {"a": "old", "b": "old"})
    save_folder(outputs, "model", {"a": "new", "c": "new"})

    assert {"model": None, "model/a": b"new", "model/c": b"new"} == files_in(outputs.dir)
    assert [
        ("sealing", "model/a"),
        ("sealing", "model/c"),
        ("removed", "model/b"),
        ("sealed", "model/a"),
        ("sealed", "model/c"),
    ] == runs.kinds[4:]


def test_a_folder_of_many_files_is_published(runs):
    """More files than are handled at once are all there."""
    outputs = runs.outputs()
    save_folder(outputs, "model", {f"{number}": "x" for number in range(150)})

    assert 150 == len([kind for kind, _ in runs.kinds if kind == "sealed"])


def test_an_empty_folder_is_published(runs):
    """There is nothing to record, and the folder is there."""
    outputs = runs.outputs()
    for _ in range(2):
        with outputs.saving("model") as path:
            path.mkdir()

    assert ({"model": None}, []) == (files_in(outputs.dir), runs.kinds)


def test_a_file_does_not_take_the_place_of_a_folder(runs):
    """The folder stays, and the error says what has the name."""
    outputs = runs.outputs()
    save_folder(outputs, "model", {"a": "old"})
    with pytest.raises(OutputError, match="the output 'model' is a folder"), outputs.saving("model") as path:
        path.write_text("file")

    assert {"model": None, "model/a": b"old"} == files_in(outputs.dir)


@pytest.mark.parametrize("kind", ["a symbolic link", "a named pipe"])
@pytest.mark.parametrize("where", ["model", "model/inner"])
def test_only_files_and_folders_are_kept(runs, kind, where):
    """A link or a pipe where a file should be is refused, and nothing is published."""
    outputs = runs.outputs()
    with pytest.raises(OutputError, match=f"'{where}' is {kind}, and should be a file"):
        save_odd(outputs, where, kind)

    assert {} == files_in(outputs.dir)


@pytest.mark.parametrize("name", [f"of-{SECRET}", "a\nb"])
def test_names_inside_a_folder_are_names_of_outputs(runs, name):
    """A folder with a file that could not be an output is refused whole."""
    outputs = runs.outputs()
    with pytest.raises(OutputNameError):
        save_folder(outputs, "model", {name: "x"})

    assert {} == files_in(outputs.dir)


def test_nothing_written_is_an_error(runs):
    """A block that writes nothing did not do what it said."""
    problem = "nothing was written to the path of the output 'a'"
    with pytest.raises(OutputError, match=problem), runs.outputs().saving("a"):
        pass


def test_a_library_that_adds_a_suffix_is_named(runs):
    """What was written beside the path is in the hint."""
    with pytest.raises(OutputError) as caught, runs.outputs().saving("weights") as path:
        path.with_suffix(".npy").write_text("x")

    assert "'weights.npy' was: name the output as it is written." == caught.value.hint


def test_what_lies_beside_the_path_is_dropped(runs):
    """Only what has the name is kept: libraries leave journals and locks beside their files."""
    outputs = runs.outputs()
    with outputs.saving("data.db") as path:
        path.write_text("data")
        path.with_name("data.db-wal").write_text("journal")

    assert {"data.db": b"data"} == files_in(outputs.dir)


def test_a_forked_child_that_leaves_the_block_changes_nothing(tmp_path):
    """What a child does with its copy of the block neither publishes nor removes the parent's file."""
    ended = run(
        START
        + """
    with outputs.saving("a.txt") as path:
        path.write_text("half")
        for code in ("pass", "sys.exit(3)"):
            child = os.fork()
            if child == 0:
                break
            os.waitpid(child, 0)
        if child == 0:
            exec(code)
        else:
            path.write_text("whole")
    """,
        FOLDER=str(tmp_path),
    )

    assert (0, "") == (ended.code, ended.err)
    assert {"a.txt": b"whole"} == files_in(tmp_path / "outputs")


@pytest.mark.parametrize("mode", ["fork", "spawn"])
def test_another_process_saves_too(tmp_path, mode):
    """A child process writes outputs and events like its parent."""
    script = tmp_path / "job.py"
    script.write_text(
        "import multiprocessing\n"
        + START.replace("\n    ", "\n")
        + "def work():\n    outputs.write_text('child.txt', 'child')\n"
        + "if __name__ == '__main__':\n"
        + "    outputs.write_text('parent.txt', 'parent')\n"
        + f"    child = multiprocessing.get_context('{mode}').Process(target=work)\n"
        + "    child.start()\n    child.join()\n    sys.exit(child.exitcode)\n"
    )
    ended = run(f"import runpy; runpy.run_path({str(script)!r}, run_name='__main__')", FOLDER=str(tmp_path))

    assert (0, "") == (ended.code, ended.err)
    assert {"child.txt": b"child", "parent.txt": b"parent"} == files_in(tmp_path / "outputs")


def test_a_kill_in_the_block_leaves_the_old_file(tmp_path):
    """kill -9 while the new file is written: the old one is whole under its name."""
    ended = signalled(
        START
        + """
    outputs.write_text("last.pt", "old")
    with outputs.saving("last.pt") as path:
        path.write_text("half")
        print("ready", flush=True)
        while True:
            pass
    """,
        signal.SIGKILL,
        FOLDER=str(tmp_path),
    )

    files = {name: text for name, text in files_in(tmp_path / "outputs").items() if "part" not in name}
    assert (-signal.SIGKILL, {"last.pt": b"old"}) == (ended.code, files)


def test_the_temporary_folder_is_no_output(runs):
    """What is not finished when the job ends is not sealed."""
    outputs = runs.outputs()
    with outputs.saving("a") as path:
        path.write_text("half")
        assert () == outputs.seal_all()

    assert is_part(path.parent.name)


@pytest.fixture
def two_folders(tmp_path):
    """Give the descriptor of a folder with an old and a new one in it."""
    for name in ("old", "new"):
        (tmp_path / "folders" / name).mkdir(parents=True)
        (tmp_path / "folders" / name / "a").write_text(name)
    descriptor = os.open(tmp_path / "folders", os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def cannot(first, second, folder):
    """Be a file system that does not exchange names."""
    raise OSError(exchanging.errno.EINVAL, "no")


@pytest.mark.parametrize("how", [exchange, cannot])
def test_a_folder_is_replaced_with_and_without_an_exchange(two_folders, tmp_path, how):
    """Where two names cannot change places in one step, two steps do it."""
    replace_folder("new", "old", two_folders, exchange=how)

    assert "new" == (tmp_path / "folders" / "old" / "a").read_text()


def test_two_steps_that_fail_in_between_are_undone(two_folders, tmp_path):
    """When the new folder cannot be moved, the old one gets its name back."""
    shutil.rmtree(tmp_path / "folders" / "new")
    with pytest.raises(FileNotFoundError):
        replace_folder("new", "old", two_folders, exchange=cannot)

    assert {"old": None, "old/a": b"old"} == files_in(tmp_path / "folders")


def test_an_exchange_that_fails_is_an_error(two_folders):
    """An error that says nothing about the file system is passed on."""
    with pytest.raises(FileNotFoundError):
        replace_folder("nowhere", "old", two_folders)


def test_other_systems_have_no_exchange(two_folders, monkeypatch):
    """Where the call is missing that is said, so that two steps are taken."""
    monkeypatch.setattr(exchanging.sys, "platform", "darwin")
    with pytest.raises(OSError, match="Function not implemented"):
        exchange("new", "old", two_folders)
