"""Sealing and removing by name, and what can be no output."""

import errno
import hashlib
import os

import pytest
from outputruns import SECRET, Runs, files_in

from hyperplane import journal
from hyperplane.errors import OutputError, OutputNameError
from hyperplane.facets.outputs import Outputs, Sealed
from hyperplane.masking import Masker
from hyperplane.rundir import new_part_name
from hyperplane.sealing import content
from hyperplane.sealing.content import digest_of
from hyperplane.sealing.tree import Tree


@pytest.fixture
def runs(tmp_path):
    """Give the runs of a job."""
    runs = Runs(tmp_path / "job")
    yield runs
    runs.close()


def sealed(name, data):
    """Return what a file of these bytes is, sealed."""
    return Sealed(name, len(data), hashlib.sha256(data).hexdigest())


def test_a_file_of_the_job_is_sealed_by_name(runs):
    """The call returns what is recorded."""
    outputs = runs.outputs()
    outputs.path("a/b.txt").write_text("text")

    assert (sealed("a/b.txt", b"text"),) == outputs.seal("a/b.txt")
    assert [("sealed", "a/b.txt")] == runs.kinds


def test_a_folder_of_the_job_is_sealed_by_name(runs):
    """Every file in it is sealed, and what is half written is not."""
    outputs = runs.outputs()
    for number in range(100):
        outputs.path(f"model/{number:03}").write_text(str(number))
    (outputs.dir / "model" / new_part_name()).write_text("half")

    files = outputs.seal("model")
    assert [f"model/{number:03}" for number in range(100)] == [file.name for file in files]


def test_a_missing_output_cannot_be_sealed(runs):
    """The closest name that is there is suggested."""
    outputs = runs.outputs()
    outputs.write_text("model.pt", "x")
    with pytest.raises(OutputError, match=r"there is no output 'modle\.pt'") as caught:
        outputs.seal("modle.pt")

    assert "Did you mean 'model.pt'?" == caught.value.hint


@pytest.mark.parametrize("name", [f"model/{SECRET}", "model/a\nb"])
def test_a_name_that_cannot_be_is_not_sealed_with_its_folder(runs, name):
    """Sealing a folder looks at every name in it."""
    outputs = runs.outputs()
    outputs.path("model/x")
    (outputs.dir / name).write_text("x")
    with pytest.raises(OutputNameError):
        outputs.seal("model")


def test_a_link_is_not_sealed_with_its_folder(runs):
    """A folder that cannot be sealed whole is not sealed at all."""
    outputs = runs.outputs()
    outputs.path("model/a").write_text("x")
    (outputs.dir / "model" / "b").symlink_to("a")
    with pytest.raises(OutputError, match="'model/b' is a symbolic link"):
        outputs.seal("model")

    assert [] == runs.kinds


def test_without_a_run_sealing_is_still_done(tmp_path):
    """Outside a run a file is on the disk after the call, and recorded nowhere."""
    outputs = Outputs(tmp_path / "out", masker=Masker())
    outputs.append("a", "text")

    assert ((sealed("a", b"text"),), ()) == (outputs.seal("a"), outputs.seal_all())


@pytest.mark.parametrize(("changes", "is_sealed"), [(2, True), (3, False)])
def test_a_file_that_does_not_stand_still_is_not_sealed(runs, monkeypatch, changes, is_sealed):
    """What changes while it is read is read again, and after the third time refused."""
    outputs = runs.outputs()
    path = outputs.path("busy")
    path.write_text("x")
    reads = []

    def read_a_changing_file(descriptor):
        digest = digest_of(descriptor)
        reads.append(digest)
        if len(reads) <= changes:
            path.write_text("x" * (1 + len(reads)))
        return digest

    monkeypatch.setattr(content, "digest_of", read_a_changing_file)
    if is_sealed:
        assert (sealed("busy", b"xxx"),) == outputs.seal("busy")
    else:
        with pytest.raises(OutputError, match="the output 'busy' changes while it is sealed"):
            outputs.seal("busy")


def test_a_sparse_file_is_sealed_as_the_zeros_that_it_reads_as(runs):
    """Holes are bytes like any others, up to a limit."""
    outputs = runs.outputs()
    with outputs.path("sparse").open("wb") as file:
        file.truncate(10_000_000)

    assert (sealed("sparse", bytes(10_000_000)),) == outputs.seal("sparse")


@pytest.mark.parametrize("has_data", [False, True])
def test_a_sparse_file_of_a_tebibyte_is_refused(runs, has_data):
    """Reading and sending zeros for hours is nobody's wish, so that the error comes at once."""
    outputs = runs.outputs()
    with outputs.path("sparse").open("wb") as file:
        file.truncate(1 << 40)
        if has_data:
            file.seek(1 << 39)
            file.write(b"x" * 5000)
            file.seek((1 << 40) - 1)
            file.write(b"x")
    with pytest.raises(OutputError, match=r"the output 'sparse' is 1099511627776 bytes long, and \d+ "):
        outputs.seal("sparse")


def test_a_removed_file_is_gone_and_recorded(runs):
    """Removing deletes and says so; removing again is an error."""
    outputs = runs.outputs()
    outputs.write_text("a/b", "x")
    outputs.remove("a/b")
    with pytest.raises(OutputError, match="there is no output 'a/b'"):
        outputs.remove("a/b")

    assert ({"a": None}, ("removed", "a/b")) == (files_in(outputs.dir), runs.kinds[-1])


def test_a_removed_folder_is_gone_with_all_that_is_in_it(runs, tmp_path):
    """Links in it are removed, and what they lead to stays."""
    (tmp_path / "outside").write_text("before")
    outputs = runs.outputs()
    outputs.write_text("model/a/b", "x")
    (outputs.dir / "model" / "link").symlink_to(tmp_path / "outside")
    outputs.remove("model")

    assert {} == files_in(outputs.dir)
    assert ("before", {}) == (
        (tmp_path / "outside").read_text(),
        journal.sealed_outputs(runs.all[-1].events),
    )


def test_a_link_is_removed_and_not_followed(runs, tmp_path):
    """Only the link goes."""
    (tmp_path / "outside").write_text("before")
    outputs = runs.outputs()
    (outputs.dir / "link").symlink_to(tmp_path / "outside")
    outputs.remove("link")

    assert ({}, "before") == (files_in(outputs.dir), (tmp_path / "outside").read_text())


def failing(number):
    """Return a system call that fails with that number."""

    def fail(*arguments, **keywords):
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("act", ["write_text", "saving", "seal"])
def test_a_disk_that_does_not_confirm_is_a_failure(runs, monkeypatch, act):
    """When fsync fails nothing is sealed, and nothing takes the place of the old file."""
    outputs = runs.outputs()
    outputs.write_text("a", "old")
    monkeypatch.setattr(os, "fsync", failing(errno.EIO))
    with pytest.raises(OutputError, match=r"the output 'a' cannot be .*: Input/output error"):
        act_on(outputs, act)

    assert {"a": b"old"} == files_in(outputs.dir)
    assert [("sealed", "a")] == runs.kinds


@pytest.mark.parametrize("act", ["write_text", "saving"])
def test_a_rename_that_fails_is_a_failure(runs, monkeypatch, act):
    """When the file cannot get its name, the old one stays, and is what is sealed."""
    outputs = runs.outputs()
    outputs.write_text("a", "old")
    monkeypatch.setattr(os, "rename", failing(errno.EXDEV))
    with pytest.raises(OutputError, match="the output 'a' cannot be written: Invalid cross-device link"):
        act_on(outputs, act)

    assert {"a": b"old"} == files_in(outputs.dir)
    assert sealed("a", b"old") == journal.sealed_outputs(runs.all[-1].events)["a"]


def act_on(outputs, act):
    """Write or seal the output `a`."""
    if act == "saving":
        with outputs.saving("a") as path:
            path.write_text("new")
    elif act == "seal":
        outputs.seal("a")
    else:
        outputs.write_text("a", "new")


def test_a_seal_that_cannot_be_recorded_is_a_failure(tmp_path, runs):
    """What nobody could know of after a crash is not sealed."""
    outputs = runs.outputs(journal=journal.Journal(tmp_path / "nowhere" / "events.jsonl", runs.masker))
    with pytest.raises(OutputError, match=r"events\.jsonl cannot be written"):
        outputs.write_text("a", "x")


def test_a_folder_that_vanishes_while_it_is_walked_is_passed_over(tmp_path):
    """A job that still tidies up is no reason to fail."""
    tree = Tree(tmp_path / "out")
    (tmp_path / "out" / "a").mkdir(parents=True)
    walk = tree.walk()
    found = next(walk)
    (tmp_path / "out" / "a").rmdir()

    assert ("a", []) == (found.name, list(walk))


def test_a_file_is_read_whole_however_little_comes_at_once(tmp_path, monkeypatch):
    """The system may give less than what was asked for; where the file ends early, that is all."""
    (tmp_path / "a.txt").write_bytes(b"0123456789")
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda file, size, at: pread(file, min(size, 3), at))
    tree = Tree(tmp_path)
    assert (b"0123456789", b"01234", b"0123456789") == tuple(tree.read("a.txt", n) for n in (10, 5, 99))
