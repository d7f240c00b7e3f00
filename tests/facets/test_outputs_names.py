"""Names of outputs: what is refused, with which reason, and that nothing is written elsewhere."""

import os
import socket
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from outputruns import SECRET, Runs, files_in

from hyperplane.errors import OutputError, OutputNameError
from hyperplane.masking import Masker
from hyperplane.rundir import new_part_name
from hyperplane.sealing.names import checked, trouble


@pytest.fixture
def runs(tmp_path):
    """Give the runs of a job."""
    runs = Runs(tmp_path / "job")
    yield runs
    runs.close()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "it is empty, or the outputs folder itself"),
        (".", "it is empty, or the outputs folder itself"),
        ("./", "it is empty, or the outputs folder itself"),
        ("..", "`..` would leave the outputs folder"),
        ("../x", "`..` would leave the outputs folder"),
        ("a/../../x", "`..` would leave the outputs folder"),
        ("a/../x", "`..` would leave the outputs folder"),
        ("/etc/x", "it is absolute"),
        ("//x", "it is absolute"),
        ("a\0b", "it holds a NUL"),
        ("a\udcffb", "it is not UTF-8"),
        ("\ud800", "it is not UTF-8"),
        ("a\nb", "it holds control characters"),
        ("\x1b]0;title\x07", "it holds control characters"),
        ("a\x9bb", "it holds control characters"),
        ("a\u2028b", "it holds control characters"),
        ("x" * 256, "a part of it is longer than 255 bytes"),
        ("a/" + "ü" * 128, "a part of it is longer than 255 bytes"),
        ("x/" * 512 + "x", "it is longer than 1024 bytes"),
        (".hyperplane-0123456789ab.part", "names of that form are temporary files of ours"),
        (".hyperplane-0123456789ab.part/x", "names of that form are temporary files of ours"),
        (f"of-{SECRET}.txt", "it holds a secret"),
    ],
)
def test_a_name_is_refused_with_its_reason(runs, name, reason):
    """Each kind of name that cannot be says why."""
    assert reason == trouble(name, runs.masker)


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("a", "a"),
        ("a/b.txt", "a/b.txt"),
        ("./a//b/./c", "a/b/c"),
        ("a/", "a"),
        (PurePosixPath("a/b"), "a/b"),
        (Path("a"), "a"),
        ("x" * 255, "x" * 255),
        ("final.json", "final.json"),
        ("run.json", "run.json"),
        (".hyperplane-x.part", ".hyperplane-x.part"),
        ("．．/x", "．．/x"),
        ("%2e%2e%2f", "%2e%2e%2f"),
        ("-rf *", "-rf *"),
        ("...", "..."),
        ("a\\b", "a\\b"),
    ],
)
def test_a_name_has_one_plain_form(runs, name, plain):
    """What only looks odd is a name like any other, and so are names with a meaning elsewhere in a run."""
    assert plain == checked(name, runs.masker)


@given(name=st.text("ab./\0\x1b\ud800ü~", max_size=12))
def test_a_name_stays_below_the_folder_or_is_refused(name):
    """Whatever is given, the plain form has no way up, no empty part, and is its own plain form."""
    masker = Masker()
    try:
        plain = checked(name, masker)
    except OutputNameError:
        return

    assert not {"", ".", ".."} & set(plain.split("/"))
    assert plain == checked(plain, masker)


@pytest.mark.parametrize("name", [b"bytes", None, 3])
def test_what_is_no_text_is_no_name(runs, name):
    """Bytes and numbers are refused with their type."""
    with pytest.raises(OutputNameError, match=f"not by a {type(name).__name__}"):
        checked(name, runs.masker)


def test_a_refused_name_is_shown_harmless(runs):
    """Neither a secret nor a command to the terminal is in the error, nor is all of a long name."""
    with pytest.raises(OutputNameError) as caught:
        checked(f"/{SECRET}\x1b[2J" + "x" * 1000, runs.masker)
    shown = f"{caught.value} {caught.value.name}"

    assert (False, False, True) == (SECRET in shown, "\x1b" in shown, len(shown) < 800)


def test_a_refused_name_writes_nothing(runs, tmp_path):
    """Nothing is made before a name has been looked at."""
    outputs = runs.outputs()
    for name in ("../x", "/tmp/x", "a/../../x"):
        with pytest.raises(OutputNameError):
            outputs.write_text(name, "x")

    assert {"run-0": None} == files_in(tmp_path / "job")


def test_the_names_of_a_run_s_own_files_are_free(runs):
    """`final.json` and the like are files beside the outputs folder, so that an output may be called so."""
    outputs = runs.outputs()
    for name in ("final.json", "manifest.json", "run.json", "events.jsonl"):
        outputs.write_text(name, "mine")

    assert 4 == len(files_in(outputs.dir))


def test_a_place_that_is_kept_out_is_refused(runs, tmp_path):
    """Where the outputs folder is a project, its `.hyperplane` takes no outputs."""
    project = tmp_path / "project"
    outputs = runs.outputs(folder=project, keep_out=[project / ".hyperplane", tmp_path / "elsewhere"])
    with pytest.raises(OutputNameError, match="that place is not for outputs"):
        outputs.path(".hyperplane/runs/x")

    assert project / ".hyperplane2" == outputs.path(".hyperplane2")


def test_another_rank_writes_to_a_folder_of_its_own(runs):
    """Rank 2 has `rank-2/`, unless it says that a name is shared."""
    outputs = runs.outputs(rank=2)
    outputs.write_text("a.txt", "mine")
    outputs.write_text("b.txt", "ours", shared=True)

    assert {"b.txt": b"ours", "rank-2": None, "rank-2/a.txt": b"mine"} == files_in(runs.all[-1].outputs)
    assert runs.all[-1].outputs / "rank-2" == outputs.dir


def write_text(outputs, name):
    """Replace the output."""
    outputs.write_text(name, "text")


def append(outputs, name):
    """Add to the output."""
    outputs.append(name, "text")


def save_folder(outputs, name):
    """Save a folder under the name."""
    with outputs.saving(name) as path:
        path.mkdir()


def look(outputs, name):
    """Ask for the path."""
    outputs.path(name)


def seal(outputs, name):
    """Seal the output where it is."""
    outputs.seal(name)


def make_pipe(path):
    """Make a named pipe."""
    os.mkfifo(path)


def make_socket(path):
    """Make a socket."""
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(path))


def make_device(path):
    """Make a device, which only root may."""
    os.mknod(path, 0o600 | 0o020000, os.makedev(1, 3))


def make_link(path):
    """Make a link to a file outside."""
    path.symlink_to("/etc/hostname")


def make_folder(path):
    """Make a folder."""
    path.mkdir()


def make_file(path):
    """Make a file."""
    path.write_text("before")


@pytest.mark.parametrize(
    ("make", "act", "kind"),
    [
        *[(make_pipe, act, "a named pipe") for act in (write_text, append, save_folder, look, seal)],
        *[(make_socket, act, "a socket") for act in (write_text, append, save_folder, look, seal)],
        *[
            pytest.param(make_device, act, "a device", marks=pytest.mark.needs("root"))
            for act in (write_text, append, save_folder, look, seal)
        ],
        *[(make_link, act, "a symbolic link") for act in (append, save_folder, look, seal)],
        *[(make_folder, act, "a folder") for act in (write_text, append)],
        (make_file, save_folder, "a file"),
    ],
)
def test_what_has_the_name_already_is_named(runs, make, act, kind):
    """A name that is taken by something else is refused at once, with what it is, and that stays."""
    outputs = runs.outputs()
    make(outputs.dir / "taken")
    before = (outputs.dir / "taken").lstat()
    with pytest.raises(OutputError, match=f"the output 'taken' is {kind}, and should be a "):
        act(outputs, "taken")

    after = (outputs.dir / "taken").lstat()
    assert (before.st_ino, before.st_mode) == (after.st_ino, after.st_mode)


def test_a_link_is_replaced_and_not_written_through(runs, tmp_path):
    """An output takes the place of a link; what the link led to stays as it was."""
    outside = tmp_path / "outside"
    outside.write_text("before")
    outputs = runs.outputs()
    (outputs.dir / "a.txt").symlink_to(outside)
    outputs.write_text("a.txt", "after")

    assert ("before", "after") == (outside.read_text(), (outputs.dir / "a.txt").read_text())
    assert not (outputs.dir / "a.txt").is_symlink()


@pytest.mark.parametrize("act", [write_text, append, save_folder, look, seal])
@pytest.mark.parametrize("kind", ["a symbolic link", "a file"])
def test_only_folders_lead_to_an_output(runs, tmp_path, act, kind):
    """A link or a file in the middle of a name is refused, wherever the link leads."""
    outputs = runs.outputs()
    outside = tmp_path / "outside"
    outside.mkdir()
    if kind == "a file":
        make_file(outputs.dir / "way")
    else:
        (outputs.dir / "way").symlink_to(outside)
    with pytest.raises(OutputError, match=f"'way' in the outputs folder is {kind}, and should be a folder"):
        act(outputs, "way/x")

    assert {} == files_in(outside)


def test_a_hard_link_is_not_appended_to(runs, tmp_path):
    """Appending would change the other file as well; replacing does not."""
    outside = tmp_path / "outside"
    outside.write_text("before")
    outputs = runs.outputs()
    os.link(outside, outputs.dir / "a.txt")
    with pytest.raises(OutputError, match="is a hard link"):
        outputs.append("a.txt", "after")
    outputs.write_text("a.txt", "after")

    assert ("before", "after") == (outside.read_text(), (outputs.dir / "a.txt").read_text())


def test_a_folder_may_itself_be_a_link(runs, tmp_path):
    """Only what is below the outputs folder is not followed."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    runs.outputs(folder=tmp_path / "link").write_text("a.txt", "text")

    assert {"a.txt": b"text"} == files_in(tmp_path / "real")


def test_a_temporary_name_is_what_rundir_makes(runs):
    """The form that is refused is the form that is used."""
    assert "names of that form are temporary files of ours" == trouble(new_part_name(), runs.masker)
