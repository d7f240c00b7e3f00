"""The files of a delivery: the ledger, what is read on of the events, manifest and final."""

import hashlib
import json
import os

import pytest

from hyperplane.delivery.index import SealIndex, readings_of
from hyperplane.delivery.ledger import Known, Ledger, Stored, Summary, Upload, begun_of
from hyperplane.delivery.manifest import Final, Manifest, write_manifest
from hyperplane.delivery.tail import SealTail
from hyperplane.errors import DeliveryError
from hyperplane.journal import Journal
from hyperplane.masking import Masker
from hyperplane.rundir import is_part

SOME = Stored(1, "0" * 64)


@pytest.fixture
def path(tmp_path):
    """Give the path of a file that is not there."""
    return tmp_path / "file"


def test_a_ledger_knows_what_it_was_told(path):
    """Read again, it says what is there, what was begun, and what was there before."""
    ledger = Ledger(path)
    assert not ledger.is_resumed
    ledger.note_begun("file:///there/", "/outputs")
    ledger.note_upload("big", Upload("id-1", 3, "1" * 64))
    ledger.note_upload("other", Upload("id-2", 3, "1" * 64))
    ledger.note_stored("big", SOME)
    ledger.note_stored("gone", SOME)
    ledger.note_deleted("gone")
    ledger.note_stored("twice", SOME)
    ledger.note_stored("twice", Stored(2, "2" * 64))
    ledger.note_final(Summary(2, 3, 1, 1, 0.5))
    ledger.close()
    known = Known.read(path)
    assert {"big": SOME, "twice": Stored(2, "2" * 64)} == known.stored
    assert ({"other": Upload("id-2", 3, "1" * 64)}, {"twice"}) == (known.uploads, known.rewritten)
    assert Summary(2, 3, 1, 1, 0.5) == known.final
    again = Ledger(path)
    assert again.is_resumed
    assert again.is_stored("big", *SOME)
    again.close()
    assert ("file:///there/", "/outputs") == begun_of(path)


def test_what_is_stored_is_written_together(path):
    """The lines of many small files are one write; whatever else is noted takes them along, in order."""
    ledger = Ledger(path)
    ledger.note_stored("a", SOME)
    ledger.note_stored("b", SOME)
    assert {} == Known.read(path).stored
    ledger.flush()
    assert {"a": SOME, "b": SOME} == Known.read(path).stored
    ledger.note_stored("a", Stored(2, "2" * 64))
    ledger.note_deleted("b")
    assert {"a": Stored(2, "2" * 64)} == Known.read(path).stored
    ledger.note_stored("c", SOME)
    ledger.close()
    assert {"a", "c"} == Known.read(path).stored.keys()


@pytest.mark.parametrize(
    "torn", [b'{"kind": "stored", "path": "a"', b"\xff\xfe\n", b"[1]\n", b'{"kind": 1}\n']
)
def test_a_torn_or_foreign_line_is_passed_over(path, torn):
    """What a killed deliverer has left half is no fact, and the next line is whole."""
    ledger = Ledger(path)
    ledger.note_stored("whole", SOME)
    ledger.close()
    with path.open("ab") as file:
        file.write(torn)
    ledger = Ledger(path)
    ledger.note_stored("later", SOME)
    ledger.close()
    assert {"whole": SOME, "later": SOME} == Known.read(path).stored


@pytest.mark.parametrize(
    "line",
    [
        {"kind": "upload", "path": "a", "upload_id": "x"},
        {"kind": "begun", "url": 1},
        {"kind": "stored", "path": "a"},
    ],
)
def test_a_line_that_lacks_something_is_passed_over(path, line):
    """A newer version may write other lines."""
    path.write_text(json.dumps(line) + "\n")
    known = Known.read(path)
    assert ({}, {}, None) == (known.stored, known.uploads, begun_of(path))


def test_a_full_disk_does_not_end_a_delivery(path, monkeypatch):
    """What cannot be noted is known all the same, and done again by the next deliverer."""
    ledger = Ledger(path)

    def full(descriptor, data):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        ledger.note_stored("a", SOME)
        ledger.flush()
    assert ledger.is_stored("a", *SOME)
    ledger.close()
    assert {} == Known.read(path).stored


def test_a_short_write_is_ended_with_a_line_feed(path, monkeypatch):
    """Half a line is torn, and no other line is glued to it."""
    ledger = Ledger(path)
    write = os.write
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", lambda fd, data: write(fd, data[:5]))
        ledger.note_stored("a", SOME)
        ledger.flush()
    ledger.note_stored("b", SOME)
    ledger.close()
    assert {"b": SOME} == Known.read(path).stored


def test_seals_are_read_on(path):
    """Each call takes what has come since, whole lines alone."""
    tail = SealTail(path)
    assert set() == tail.read_on()
    journal = Journal(path, Masker())
    journal.append("metric", name="loss", value=1)
    journal.append("sealed", name="a", size_bytes=1, sha256="0" * 64)
    assert ({"a"}, set(), {"a"}) == (tail.read_on(), tail.read_on(), tail.sealed.keys())
    journal.append("stop", reason="it says sealed")
    journal.append("sealing", name="b", output="b", part="p", size_bytes=1, sha256="0" * 64)
    assert (set(), {"b"}) == (tail.read_on(), tail.unfinished)
    journal.append("sealed", name="b", size_bytes=1, sha256="0" * 64)
    journal.append("removed", name="a", folder="/elsewhere")
    journal.append("removed", name="never")
    assert ({"b"}, {"b"}, set()) == (tail.read_on(), tail.since_stop, tail.removed)
    journal.append("removed", name="a")
    with path.open("ab") as file:
        file.write(b'{"kind": "sealed", "torn')
    assert ({"a"}, {"a"}, {"b"}) == (tail.read_on(), tail.removed, tail.sealed.keys())
    journal.close()
    assert 6 == SealIndex(path).data().count(b'"name"')


def test_the_index_of_seals_does_not_grow_with_every_version(path):
    """What is there and what was sealed last is in it, and all that has come since."""
    assert b"" == SealIndex(path).data()
    journal, tail, index = Journal(path, Masker()), SealTail(path), SealIndex(path)

    def names():
        return [json.loads(line).get("name") for line in index.data().splitlines()]

    for number in range(6000):
        journal.append("sealed", name="last", size_bytes=1, sha256=f"{number:064}")
    journal.append("sealing", name="other", output="other", part="p", size_bytes=1, sha256="0" * 64)
    tail.read_on()
    there = {"outputs/last": Stored(1, f"{3:064}")}
    index.shorten(tail, there)
    assert 6001 == len(names())
    journal.append("sealed", name="other", size_bytes=1, sha256="0" * 64)
    tail.read_on()
    journal.append("sealed", name="new", size_bytes=1, sha256="0" * 64)
    index.shorten(tail, there)
    assert ["last", "last", "other", None, "new"] == names()
    first, last, *_ = map(json.loads, index.data().splitlines())
    assert (f"{3:064}", f"{5999:064}") == (first["sha256"], last["sha256"])
    tail.read_on()
    index.shorten(tail, there)
    assert [4, 3] == [reading.count(b'"name"') for reading in readings_of(bytes(index.data()))]
    journal.close()


def test_a_manifest_is_written_whole_or_not_at_all(path):
    """An exception leaves the earlier one, and no temporary file."""
    first = write_manifest(path, {"a": SOME}, [])
    data = path.read_bytes()

    def failing():
        yield "gone"
        raise ValueError("half")

    with pytest.raises(ValueError, match="half"):
        write_manifest(path, {"b": SOME}, failing())
    assert (data, first) == (path.read_bytes(), Stored(len(data), hashlib.sha256(data).hexdigest()))
    assert [] == [found for found in path.parent.iterdir() if is_part(found.name)]


def test_a_manifest_is_read_as_it_was_written(path):
    """Files, whether they are complete, and what was removed."""
    files = {"outputs/a": SOME, "partial/b": SOME}
    stored = write_manifest(path, files, ["gone"])
    assert (files, ("gone",)) == Manifest.parse(path.read_bytes(), "url", stored)
    rows = json.loads(path.read_bytes())["files"]
    assert [("outputs/a", True), ("partial/b", False)] == [(row["path"], row["complete"]) for row in rows]
    empty = write_manifest(path, {}, [])
    assert ({}, ()) == Manifest.parse(path.read_bytes(), "url", empty)


def test_a_manifest_that_is_another_is_refused(path):
    """Size and sha256 must be those that `final.json` names."""
    write_manifest(path, {"a": SOME}, [])
    with pytest.raises(DeliveryError, match="is not as it was delivered"):
        Manifest.parse(path.read_bytes(), "url", SOME)


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"run_id": "r"}', b"\xff"])
def test_a_final_that_is_none_is_refused(data):
    """Whatever else lies there under that name is not believed."""
    with pytest.raises(DeliveryError, match=r"url is not as it was delivered"):
        Final.parse(data, "url")


def test_a_final_is_read_as_it_was_written():
    """With the record of its run."""
    final = Final("job", "run", "failed", 3, SOME, 1, 2, "group", 4, ("a problem",), {"name": "n"})
    assert final == Final.parse(final.data(), "url")
