"""Restoring: the newest whole version that an earlier run sealed, as a copy of one's own."""

import errno
import os
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st
from outputruns import Runs, files_in

from hyperplane.errors import HyperplaneWarning, OutputError
from hyperplane.facets.outputs import Outputs
from hyperplane.masking import Masker


@pytest.fixture
def runs(tmp_path):
    """Give the runs of a job."""
    runs = Runs(tmp_path / "job")
    yield runs
    runs.close()


def test_the_newest_version_is_restored(runs):
    """Of three runs, the last that sealed the output counts."""
    runs.outputs().write_text("last.pt", "one")
    runs.outputs().write_text("last.pt", "two")
    runs.outputs().write_text("other", "three")

    assert "two" == runs.outputs().restore("last.pt").read_text()


@pytest.mark.parametrize("name", ["last.pt", "never"])
def test_what_no_run_has_sealed_is_none(runs, name):
    """What is half written, only appended, or never heard of is not restored."""
    first = runs.outputs()
    first.path("last.pt").write_text("half")

    assert runs.outputs().restore(name) is None


def test_what_this_run_has_sealed_is_not_restored(runs):
    """Restoring is for what earlier runs left."""
    outputs = runs.outputs()
    outputs.write_text("last.pt", "one")

    assert outputs.restore("last.pt") is None


def test_a_copy_is_the_job_s_own(runs):
    """Changing it, or restoring again, changes nothing of the earlier run; its name is kept."""
    first = runs.outputs()
    first.write_text("a/last.pt", "one")
    second = runs.outputs()
    copy = second.restore("a/last.pt")
    copy.write_text("changed")

    assert ("last.pt", "one", "one") == (
        copy.name,
        first.path("a/last.pt").read_text(),
        second.restore("a/last.pt").read_text(),
    )


def test_a_copy_is_no_output(runs):
    """What was restored and not changed is not sealed again, and gone when the outputs close."""
    runs.outputs().write_text("last.pt", "one")
    second = runs.outputs()
    copy = second.restore("last.pt")
    sealed = second.seal_all()
    second.close()

    assert ((), False) == (sealed, copy.exists())


def test_without_a_run_a_copy_is_a_temporary_file(runs, tmp_path):
    """Where there is no run folder, the copy lies among the system's temporary files."""
    runs.outputs().write_text("last.pt", "one")
    outputs = Outputs(tmp_path / "out", masker=Masker(), earlier=runs.all)
    text = outputs.restore("last.pt").read_text()
    outputs.close()

    assert ("one", False) == (text, (tmp_path / "out").exists())


def test_a_folder_is_restored_whole(runs):
    """All files that were sealed below the name come back, and no others."""
    first = runs.outputs()
    with first.saving("model") as path:
        (path / "deep").mkdir(parents=True)
        (path / "a").write_text("a")
        (path / "deep" / "b").write_text("b")
    (first.dir / "model" / "later").write_text("not sealed")
    first.write_text("model.txt", "beside")

    assert {"a": b"a", "deep": None, "deep/b": b"b"} == files_in(runs.outputs().restore("model"))


def test_a_rank_restores_its_own(runs):
    """Rank 1 finds what rank 1 sealed, and what all share when it asks for that."""
    first = runs.outputs(rank=1)
    first.write_text("last.pt", "of rank 1")
    first.write_text("last.pt", "of all", shared=True)
    second = runs.outputs(rank=1)

    assert ["of rank 1", "of all"] == [
        second.restore("last.pt", shared=shared).read_text() for shared in (False, True)
    ]


def damage(path, how):
    """Do to a sealed file what happens to files."""
    if how == "torn":
        os.truncate(path, 3)
    elif how == "changed":
        path.write_text("1234567890")
    elif how == "gone":
        path.unlink()
    elif how == "no folder":
        shutil.rmtree(path.parent)
    else:
        path.unlink()
        path.symlink_to("/etc/hostname") if how == "a link" else path.mkdir()


@pytest.mark.parametrize("how", ["torn", "changed", "gone", "no folder", "a link", "a folder"])
def test_a_damaged_version_is_passed_over(runs, how):
    """The next older one is restored, and a warning names the run."""
    runs.outputs().write_text("a/last.pt", "one")
    second = runs.outputs()
    second.write_text("a/last.pt", "0123456789")
    damage(second.dir / "a" / "last.pt", how)
    third = runs.outputs()
    with pytest.warns(HyperplaneWarning, match=r"'a/last\.pt' of run run-1 is not as it was sealed"):
        copy = third.restore("a/last.pt")

    assert ("one", [("warning", None)]) == (copy.read_text(), runs.kinds)


def test_without_a_run_a_damaged_version_is_warned_of(runs, tmp_path):
    """Where no events are stored there is still the warning."""
    first = runs.outputs()
    first.write_text("last.pt", "one")
    damage(first.dir / "last.pt", "changed")
    outputs = Outputs(tmp_path / "out", masker=Masker(), earlier=runs.all)
    with pytest.warns(HyperplaneWarning, match="is not as it was sealed"):
        assert outputs.restore("last.pt") is None


def test_a_folder_with_a_damaged_file_is_passed_over(runs):
    """One torn file spoils the whole."""
    first = runs.outputs()
    with first.saving("model") as path:
        path.mkdir()
        (path / "a").write_text("a")
        (path / "b").write_text("b")
    damage(first.dir / "model" / "b", "changed")
    second = runs.outputs()
    with pytest.warns(HyperplaneWarning, match="is not as it was sealed"):
        assert second.restore("model") is None


@given(sealed=st.binary(max_size=50), appended=st.binary(max_size=50))
def test_what_was_appended_after_a_seal_is_no_part_of_it(sealed, appended, tmp_path_factory):
    """A file that grew since is restored as it was sealed."""
    runs = Runs(tmp_path_factory.mktemp("job"))
    first = runs.outputs()
    first.append("log", sealed)
    first.seal("log")
    first.append("log", appended)

    assert sealed == runs.outputs().restore("log").read_bytes()
    runs.close()


def test_a_folder_of_all_attempts_is_looked_in(runs, tmp_path):
    """Where HYPERPLANE_OUTPUT_DIR is one folder for all runs, what an earlier one sealed is there."""
    shared = tmp_path / "shared"
    runs.outputs(folder=shared).write_text("last.pt", "one")

    assert "one" == runs.outputs(folder=shared).restore("last.pt").read_text()


def test_a_folder_that_only_an_earlier_run_had_is_looked_in(runs, tmp_path):
    """Where what an earlier run sealed lies, its events say."""
    first = runs.outputs(folder=tmp_path / "elsewhere")
    first.write_text("last.pt", "one")
    save_folder(first, a="a", b="b")
    second = runs.outputs()

    assert "one" == second.restore("last.pt").read_text()
    assert {"a": b"a", "b": b"b"} == files_in(second.restore("model"))


@pytest.mark.parametrize("folder", ["relative", "/with\0nul", 5])
def test_a_folder_in_the_events_that_is_none_is_not_looked_in(runs, folder):
    """What somebody else wrote into the events is no reason to fail."""
    first = runs.outputs()
    first.write_text("a", "one")
    (sealed,) = first.seal("a")
    first._journal.append(
        "sealed", name="a", size_bytes=sealed.size_bytes, sha256=sealed.sha256, folder=folder
    )

    assert "one" == runs.outputs().restore("a").read_text()


def test_a_file_is_restored_though_the_last_event_is_of_another_version(runs):
    """Of several processes that write one output, the last to say so need not be the last to write it."""
    first = runs.outputs()
    first.write_text("a", "other")
    (other,) = first.seal("a")
    first.write_text("a", "there")
    first._journal.append("sealed", name="a", size_bytes=other.size_bytes, sha256=other.sha256)
    first._journal.append("sealed", name="a", size_bytes=1, sha256=other.sha256)

    assert "there" == runs.outputs().restore("a").read_text()


def test_a_folder_is_restored_though_the_last_events_are_of_another_version(runs):
    """The same holds for all files of a folder together."""
    first = runs.outputs()
    other = save_folder(first, a="other", b="b")
    save_folder(first, a="there", c="c")
    for file in other.values():
        first._journal.append("sealed", name=file.name, size_bytes=file.size_bytes, sha256=file.sha256)

    assert {"a": b"there", "c": b"c"} == files_in(runs.outputs().restore("model"))


def test_a_name_in_the_events_that_leads_elsewhere_is_passed_over(runs, tmp_path):
    """Whatever is written in the events of a run, nothing outside its outputs is read or written."""
    first = runs.outputs()
    first.write_text("model/a", "one")
    (tmp_path / "outside").write_text("one")
    (sealed,) = first.seal("model/a")
    name = "model/../../../../outside"
    first._journal.append("sealed", name=name, size_bytes=sealed.size_bytes, sha256=sealed.sha256)

    assert {"a": b"one"} == files_in(runs.outputs().restore("model"))


def test_a_copy_that_does_not_fit_is_an_error(runs, monkeypatch):
    """A full disk is not taken for a damaged version."""
    runs.outputs().write_text("last.pt", "one")
    second = runs.outputs()

    def fail(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "read", fail)
    with pytest.raises(OutputError, match=r"'last\.pt' cannot be restored: No space left on device"):
        second.restore("last.pt")


def begin(runs, outputs, name, **files):
    """Leave the events of a replacement in which the run was killed before it was sealed."""
    journal = outputs._journal
    for inner, sealed in files.items():
        journal.append(
            "sealing",
            name=f"{name}/{inner}",
            size_bytes=sealed.size_bytes,
            sha256=sealed.sha256,
            output=name,
            part="p",
        )


def save_folder(outputs, **files):
    """Save the folder `model` and return what was sealed, by the names in it."""
    with outputs.saving("model") as path:
        path.mkdir()
        for name, text in files.items():
            (path / name).write_text(text)
    return {file.name.removeprefix("model/"): file for file in outputs.seal("model")}


@pytest.mark.parametrize("link", [False, True])
def test_a_replacement_that_did_not_take_place_changes_nothing(runs, link):
    """Killed before the exchange, the old folder is what is restored."""
    new = save_folder(runs.outputs(), a="new")
    outputs = runs.outputs()
    save_folder(outputs, a="old", b="old")
    begin(runs, outputs, "model", **new)
    if link:
        (outputs.dir / "elsewhere").symlink_to("/")
        begin(runs, outputs, "elsewhere/model", **new)

    assert {"a": b"old", "b": b"old"} == files_in(runs.outputs().restore("model"))


def test_a_replacement_that_took_place_is_restored(runs):
    """Killed after the exchange and before its events, the new folder is whole, and is restored."""
    outputs = runs.outputs()
    save_folder(outputs, a="old", b="old")
    new = save_folder(runs.outputs(), a="new", c="new")
    begin(runs, outputs, "model", **new)
    shutil.rmtree(outputs.dir / "model")
    shutil.copytree(runs.all[1].outputs / "model", outputs.dir / "model")
    second = runs.outputs(earlier=runs.all[:1])

    assert {"a": b"new", "c": b"new"} == files_in(second.restore("model"))


def test_a_replacement_of_a_file_that_is_gone_is_not_restored(runs):
    """Where neither the old nor the new is there, there is nothing."""
    new = save_folder(runs.outputs(), a="new")
    outputs = runs.outputs()
    begin(runs, outputs, "model", **new)

    assert runs.outputs(earlier=runs.all[1:]).restore("model") is None
