"""The end of a job: what is sealed, what has changed or gone, and what can be no output."""

import concurrent.futures.thread  # noqa: F401 - an unprivileged process may be unable to read it later
import contextlib
import hashlib
import os
import shutil
import time

import pytest
from outputruns import SECRET, Runs
from processes import public_folder, unprivileged

from hyperplane import journal
from hyperplane.errors import HyperplaneWarning, OutputError
from hyperplane.facets.outputs import Outputs, Sealed
from hyperplane.sealing import content


@pytest.fixture
def runs(tmp_path):
    """Give the runs of a job."""
    runs = Runs(tmp_path / "job")
    yield runs
    runs.close()


def sealed(name, data):
    """Return what a file of these bytes is, sealed."""
    return Sealed(name, len(data), hashlib.sha256(data).hexdigest())


def test_the_end_seals_what_is_not_sealed(runs):
    """Files of the job, appended files and changed ones are sealed; what is sealed already is not again."""
    outputs = runs.outputs()
    outputs.write_text("sealed", "x")
    outputs.append("log", "x")
    outputs.path("deep/down/below").write_text("x")
    outputs.write_text("changed", "x")
    (outputs.dir / "changed").write_text("y")

    names = [file.name for file in outputs.seal_all()]
    assert {"changed", "deep/down/below", "log"} == set(names)
    assert () == outputs.seal_all()


def test_a_change_of_the_same_length_is_seen(runs):
    """A file that was sealed a moment ago is read again, because its time may be that of a change too."""
    outputs = runs.outputs()
    path = outputs.path("a")
    path.write_text("one")
    os.utime(path, ns=(0, stamp := time.time_ns() + 10**9))
    outputs.seal("a")
    path.write_text("two")
    os.utime(path, ns=(0, stamp))

    assert (sealed("a", b"two"),) == outputs.seal_all()


def old_file(outputs, name, text):
    """Write a file whose times are old, and return its path."""
    path = outputs.path(name)
    path.write_text(text)
    os.utime(path, ns=(0, time.time_ns() - 10**9))
    time.sleep(0.05)
    return path


@pytest.mark.parametrize("act", ["seal", "saving"])
def test_a_file_that_was_sealed_long_after_it_was_written_is_not_read_again(runs, monkeypatch, act):
    """Its times and size are believed."""
    outputs = runs.outputs()
    if act == "seal":
        old_file(outputs, "a", "one")
        outputs.seal("a")
    else:
        with outputs.saving("a") as path:
            path.write_text("one")
            os.utime(path, ns=(0, 1))
            time.sleep(0.05)
    monkeypatch.setattr(content, "digest_of", None)

    assert () == outputs.seal_all()


@pytest.mark.parametrize("act", ["write", "replace"])
def test_a_change_that_hides_its_time_is_seen(runs, tmp_path, act):
    """Size and time of the content may be set back; the time of the change cannot."""
    outputs = runs.outputs()
    path = old_file(outputs, "a", "one")
    before = path.stat()
    outputs.seal("a")
    target = path if act == "write" else tmp_path / "other"
    target.write_text("two")
    os.utime(target, ns=(0, before.st_mtime_ns))
    target.replace(path)

    assert (sealed("a", b"two"),) == outputs.seal_all()


def test_what_the_job_has_deleted_is_recorded_as_removed(runs):
    """A sealed output that is gone at the end, or is no file any more, is no output."""
    outputs = runs.outputs()
    for name in ("gone", "link", "kept"):
        outputs.write_text(name, name)
    (outputs.dir / "gone").unlink()
    (outputs.dir / "link").unlink()
    (outputs.dir / "link").symlink_to("kept")
    with pytest.warns(HyperplaneWarning, match="no outputs, and passed over: 'link'"):
        outputs.seal_all()

    assert {"kept"} == journal.sealed_outputs(runs.all[-1].events).keys()


def test_what_is_no_output_is_passed_over_with_a_warning(runs):
    """Links and pipes are named, harmlessly; the rest is sealed."""
    outputs = runs.outputs()
    outputs.path("a").write_text("x")
    os.mkfifo(outputs.dir / "pipe")
    (outputs.dir / f"\x1b]0;{SECRET}").symlink_to("a")
    with pytest.warns(HyperplaneWarning) as caught:
        files = outputs.seal_all()
    said = str(caught[0].message)

    assert (("a",), False, False) == (tuple(file.name for file in files), SECRET in said, "\x1b" in said)
    assert "'pipe' (it is a named pipe)" in said
    assert [said] == [event["message"] for event in runs.events if event["kind"] == "warning"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (f"of-{SECRET}", r"'of-\*\*\*' cannot name an output: it holds a secret"),
        ("\x1b]0;x", "cannot name an output: it holds control characters"),
        ("a\nb", "cannot name an output: it holds control characters"),
        (os.fsdecode(b"\xff"), "cannot name an output: it is not UTF-8"),
    ],
)
def test_a_file_whose_name_no_output_can_have_is_an_error(runs, name, reason):
    """A file that cannot be kept is no success; the others are sealed first."""
    outputs = runs.outputs()
    outputs.path("a").write_text("x")
    (outputs.dir / name).write_text("x")
    with pytest.raises(OutputError, match=reason) as caught:
        outputs.seal_all()

    assert [("sealed", "a")] == runs.kinds
    assert (False, True) == (
        SECRET in repr(vars(caught.value)),
        caught.value.message.isprintable(),
    )


def test_an_error_names_no_more_than_anyone_reads(runs):
    """Of a dozen files ten are named."""
    outputs = runs.outputs()
    for number in range(12):
        (outputs.dir / f"{number}\n").write_text("x")
    with pytest.raises(OutputError, match=r"12 outputs cannot be sealed: .*; and 2 more$"):
        outputs.seal_all()


@pytest.mark.parametrize("kind", ["a file", "a symbolic link"])
def test_a_folder_of_the_run_that_is_none_any_more_is_an_error(runs, tmp_path, kind):
    """Whatever the job has put in the place of the run's own outputs folder is not swept."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a").write_text("not of the job")
    outputs = runs.outputs()
    outputs.write_text("b", "x")
    shutil.rmtree(outputs.dir)
    place = runs.all[-1].outputs
    place.write_text("x") if kind == "a file" else place.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match=f"cannot be used: {kind} is in the way"):
        outputs.seal_all()

    assert [("sealed", "b")] == runs.kinds


def test_a_folder_that_somebody_chose_may_be_a_link(runs, tmp_path):
    """A link in HYPERPLANE_OUTPUT_DIR is followed."""
    (tmp_path / "real").mkdir()
    (tmp_path / "chosen").symlink_to("real")
    runs.outputs(folder=tmp_path / "chosen").write_text("a", "x")

    assert "x" == (tmp_path / "real" / "a").read_text()


def test_what_was_sealed_in_another_folder_is_not_removed_at_the_end(runs, tmp_path):
    """The end of a run looks at one folder, and says nothing about others."""
    elsewhere = runs.outputs(folder=tmp_path / "shared")
    elsewhere.write_text("a", "x")
    run = runs.all[-1]
    with contextlib.closing(journal.Journal(run.events, runs.masker)) as stored:
        own = Outputs(run.outputs, masker=runs.masker, journal=stored)
        own.write_text("b", "x")
        own.seal_all()

    assert {"a", "b"} == journal.sealed_outputs(run.events).keys()
    assert str(tmp_path / "shared") == journal.sealed_outputs(run.events)["a"].folder
    elsewhere.remove("a")
    assert {"b"} == journal.sealed_outputs(run.events).keys()


def test_a_warning_names_no_more_than_anyone_reads(runs):
    """Of a dozen links ten are named."""
    outputs = runs.outputs()
    for number in range(12):
        (outputs.dir / f"link-{number}").symlink_to("nowhere")
    with pytest.warns(HyperplaneWarning, match="and 2 more$"):
        outputs.seal_all()


def test_the_end_leaves_out_temporary_files_and_places_kept_out(runs, tmp_path):
    """In a project folder neither `.hyperplane` nor what a killed job left is sealed."""
    project = tmp_path / "project"
    outputs = runs.outputs(folder=project, keep_out=[project / ".hyperplane"])
    outputs.path("a").write_text("x")
    for name in (".hyperplane/run.json", ".hyperplane-0123456789ab.part/b"):
        (project / name).parent.mkdir()
        (project / name).write_text("x")

    assert ["a"] == [file.name for file in outputs.seal_all()]


def test_the_end_of_a_job_without_outputs_seals_nothing(runs):
    """Where nothing was written there is no folder, and that is fine."""
    assert () == runs.outputs().seal_all()


def test_a_tree_deeper_than_any_stack_is_sealed(runs):
    """The walk is no recursion, and holds no more than one folder open."""
    outputs = runs.outputs()
    name = "d/" * 400 + "x"
    outputs.path(name).write_text("x")

    assert [name] == [file.name for file in outputs.seal_all()]


def test_all_files_that_cannot_be_sealed_are_named_at_the_end():
    """The others are sealed first, and the errors come together."""
    with public_folder() as folder:
        folder.chmod(0o777)
        with unprivileged():
            runs = Runs(folder / "job")
            outputs = runs.outputs()
            for name in ("a", "b", "c"):
                outputs.path(name).write_text("x")
            (outputs.dir / "a").chmod(0)
            with pytest.raises(OutputError, match="the output 'a' cannot be sealed: Permission denied"):
                outputs.seal_all()
            (outputs.dir / "b").write_text("changed")
            (outputs.dir / "b").chmod(0)
            (outputs.dir / "c").write_text("new")
            with pytest.raises(OutputError, match="2 outputs cannot be sealed: ") as caught:
                outputs.seal_all()
            runs.close()

        assert ("a", "b") == caught.value.names
        assert sealed("c", b"new") == journal.sealed_outputs(runs.all[-1].events)["c"]
