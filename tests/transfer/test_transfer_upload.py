"""Uploads: what becomes an object, and what does not."""

import os
import socket
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from copying import make_tree, send
from faultys3 import FaultyS3, corrupt, do, error, error_in_200, hang_after, lose_reply, reset
from processes import open_below, public_folder, unprivileged
from storekinds import PATHS, QUICK, store_of

from hyperplane.errors import ObjectChangedError, StoreAccessError, StoreError, TransferError, UsageError
from hyperplane.stores.objects import part_bytes_of
from hyperplane.transfer import upload

LARGE = os.urandom(1 << 20)
MODULE = sys.modules[upload.__module__]


@pytest.fixture
def small_parts(monkeypatch):
    """Send a MiB in four parts."""
    monkeypatch.setattr(MODULE, "SINGLE_BYTES", 100_000)
    monkeypatch.setattr(MODULE, "part_bytes_of", lambda size_bytes: 256 << 10)


@pytest.fixture
def faulty_s3():
    """Give a scripted S3 that takes parts of any size."""
    with FaultyS3(min_part_bytes=1) as server:
        yield server


@pytest.fixture(params=PATHS)
def store(faulty_s3, request):
    """Give its store, over each path."""
    return store_of(faulty_s3, request.param)


def error_of(caught):
    """Return the one failure of a transfer."""
    (failure,) = caught.value.failures.values()
    return failure


def test_a_folder_becomes_objects(faulty_s3, store, tmp_path):
    """Every file is an object below the key, under its name relative to the folder."""
    files = {"a": b"1", "s/b": b"22", "s/t/c d": b"", "ä": b"333", ".hidden": b"4"}
    source = make_tree(tmp_path / "source", files)
    transfer = send(store, source, "k/")
    names = sorted(files)

    assert {f"k/{name}": content for name, content in files.items()} == faulty_s3.objects
    assert [source / name for name in names] == list(transfer.files)
    assert [f"s3://test/k/{name}" for name in names] == list(transfer.urls)
    assert (7, []) == (transfer.size_bytes, list(transfer.skipped))


def test_a_file_becomes_the_object_of_the_key(faulty_s3, store, tmp_path):
    """Its own name does not matter, and nothing is asked before it is sent."""
    source = make_tree(tmp_path, {"f": b"x"}) / "f"
    transfer = send(store, source, "k/other")

    assert {"k/other": b"x"} == faulty_s3.objects
    assert ([source], ["s3://test/k/other"]) == (list(transfer.files), list(transfer.urls))
    assert ["PutObject"] == [call.operation for call in faulty_s3.calls]


def test_checksums_are_sent(faulty_s3, store, tmp_path, small_parts):
    """With small objects, and with every part of large ones."""
    send(store, make_tree(tmp_path / "s", {"small": b"x", "large": LARGE}), "")
    calls = faulty_s3.calls_of("PutObject") + faulty_s3.calls_of("UploadPart")
    sent = [name for call in calls for name in call.headers if name.startswith("x-amz-checksum-")]

    assert (5, 5) == (len(calls), len([name for name in sent if name.endswith(("crc64nvme", "sha256"))]))
    assert {"small": b"x", "large": LARGE} == faulty_s3.objects


@pytest.mark.parametrize("operation", ["PutObject", "UploadPart"])
def test_what_is_damaged_on_its_way_is_sent_anew(faulty_s3, store, tmp_path, small_parts, operation):
    """The store refuses it, and takes the next."""
    faulty_s3.add(corrupt(), operation=operation, calls=[1])
    send(store, make_tree(tmp_path / "s", {"small": b"x" * 50_000, "large": LARGE}), "")

    assert {"small": b"x" * 50_000, "large": LARGE} == faulty_s3.objects
    assert [] == faulty_s3.uploads


@pytest.mark.parametrize("fault", [error("SlowDown"), reset(), lose_reply(), error("InternalError")])
@pytest.mark.parametrize("operation", ["PutObject", "UploadPart", "CompleteMultipartUpload"])
def test_a_failure_that_passes_is_borne(faulty_s3, store, tmp_path, small_parts, fault, operation):
    """The object is there in the end, and nothing stray."""
    faulty_s3.add(fault, operation=operation, calls=[1])
    transfer = send(store, make_tree(tmp_path / "s", {"small": b"x" * 50_000, "large": LARGE}), "")

    assert 2 == len(transfer.files)
    assert {"small": b"x" * 50_000, "large": LARGE} == faulty_s3.objects
    assert [] == faulty_s3.uploads


@pytest.mark.parametrize("code", ["InternalError", "SlowDown"])
def test_an_error_in_a_reply_that_said_200_is_one(faulty_s3, store, tmp_path, small_parts, code):
    """The upload is not taken for complete."""
    faulty_s3.add(error_in_200(code), operation="CompleteMultipartUpload", calls=[1])
    send(store, make_tree(tmp_path / "s", {"large": LARGE}), "")

    assert {"large": LARGE} == faulty_s3.objects


def test_what_is_denied_in_a_reply_that_said_200_is_an_error(faulty_s3, path, tmp_path, small_parts):
    """Neither an object nor an upload stays in the store."""
    faulty_s3.add(error_in_200("AccessDenied"), operation="CompleteMultipartUpload")
    store = store_of(faulty_s3, path)
    with pytest.raises(TransferError) as caught:
        send(store, make_tree(tmp_path / "s", {"large": LARGE}), "")

    # obstore does not show the code
    assert type(error_of(caught)) is (StoreAccessError if path == "plain" else StoreError)
    assert ([], {}) == (faulty_s3.uploads, faulty_s3.objects)


@pytest.mark.parametrize("operation", ["CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"])
@pytest.mark.parametrize("code", ["AccessDenied", "InternalError"])
def test_a_large_file_that_cannot_be_sent_leaves_nothing(
    faulty_s3, tmp_path, small_parts, operation, code, path
):
    """Neither an object nor an upload."""
    faulty_s3.add(error(code), operation=operation)
    store = store_of(faulty_s3, path, patience=replace(QUICK, tries=2))
    with pytest.raises(TransferError) as caught:
        send(store, make_tree(tmp_path / "s", {"large": LARGE}), "")

    assert code == error_of(caught).code
    assert ([], {}) == (faulty_s3.uploads, faulty_s3.objects)


def test_an_upload_that_cannot_be_aborted_tells_its_own_error(faulty_s3, tmp_path, small_parts):
    """Not that of the clean-up; obstore does not keep the first."""
    faulty_s3.add(error("AccessDenied"), operation="UploadPart")
    faulty_s3.add(error("InternalError"), operation="AbortMultipartUpload")
    with pytest.raises(TransferError) as caught:
        send(store_of(faulty_s3, "plain"), make_tree(tmp_path / "s", {"large": LARGE}), "")

    assert isinstance(error_of(caught), StoreAccessError)


def test_a_silent_store_is_an_error_in_the_end(faulty_s3, path, tmp_path):
    """It may have stored the object, and sending it again does no harm."""
    faulty_s3.add(hang_after(), operation="PutObject", calls=[1])
    store = store_of(faulty_s3, path, read_timeout_s=0.3)
    send(store, make_tree(tmp_path / "s", {"a": b"x"}), "")

    assert {"a": b"x"} == faulty_s3.objects


@pytest.mark.parametrize("size", [1000, 6 << 20])
def test_a_file_that_changes_once_is_sent_anew(faulty_s3, store, tmp_path, small_parts, size):
    """The object has the new content, whole."""
    source = make_tree(tmp_path / "s", {"a": b"o" * size})

    def change(call):
        (source / "a").write_bytes(b"n" * size)

    faulty_s3.add(do(change), operation="UploadPart" if size > 100_000 else "PutObject", calls=[1])
    send(store, source, "")

    expected = b"n" if size > 100_000 else b"o"  # it had been read when it was sent
    assert {"a": expected * size} == faulty_s3.objects
    assert [] == faulty_s3.uploads


def test_a_file_that_always_changes_is_an_error(faulty_s3, store, tmp_path, small_parts):
    """There is no object, least of all a mixture."""
    source = make_tree(tmp_path / "s", {"a": b"o" * (6 << 20), "b": b"x"})

    def grow(call):
        with (source / "a").open("ab") as file:
            file.write(b"more")

    faulty_s3.add(do(grow), operation="UploadPart")
    with pytest.raises(TransferError) as caught:
        send(store, source, "")

    assert isinstance(error_of(caught), ObjectChangedError)
    assert ({"b": b"x"}, []) == (faulty_s3.objects, faulty_s3.uploads)


def test_a_file_that_vanishes_is_told(faulty_s3, store, tmp_path, monkeypatch):
    """The others are copied."""
    source = make_tree(tmp_path / "s", {"a": b"1", "b": b"2"})
    faulty_s3.add(do(lambda call: (source / "b").unlink(missing_ok=True)), operation="PutObject", key="a")
    with pytest.raises(TransferError, match="'b': No such file") as caught:
        send(store, source, "", threads=1)

    assert ({"a": b"1"}, ["b"]) == (faulty_s3.objects, list(caught.value.failures))


def test_links_are_followed(faulty_s3, store, tmp_path):
    """To files and to folders; the objects have the names of the links."""
    make_tree(tmp_path, {"elsewhere/x": b"1", "elsewhere/y": b"2", "s/a": b"3"})
    (tmp_path / "s/file").symlink_to("../elsewhere/x")
    (tmp_path / "s/folder").symlink_to("../elsewhere")
    send(store, tmp_path / "s", "")

    assert {"a": b"3", "file": b"1", "folder/x": b"1", "folder/y": b"2"} == faulty_s3.objects


@pytest.mark.parametrize("leads_to", [".", "..", "nowhere", "odd", "../s", "/proc/self/nothing"])
def test_a_link_that_leads_nowhere_good_is_told(faulty_s3, store, tmp_path, leads_to):
    """Back to a folder around it, to itself, to nothing: the rest is copied."""
    source = make_tree(tmp_path / "s", {"sub/a": b"1"})
    (source / "sub" / "odd").symlink_to(leads_to)
    with pytest.raises(TransferError) as caught:
        send(store, source, "")

    assert all(name.endswith("odd") for name in caught.value.failures)
    assert "sub/a" in faulty_s3.objects
    assert len(faulty_s3.objects) < 3


def make_odd_files(source):
    """Make a FIFO and a socket."""
    os.mkfifo(source / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        os.chdir(source)
        server.bind("socket")


def test_what_is_no_file_is_told(faulty_s3, store, tmp_path):
    """FIFOs and sockets are not waited for, and the rest is copied."""
    source = make_tree(tmp_path / "s", {"a": b"1"})
    make_odd_files(source)
    with pytest.raises(TransferError, match="no regular file") as caught:
        send(store, source, "")

    assert (["fifo", "socket"], {"a": b"1"}) == (list(caught.value.failures), faulty_s3.objects)


def test_a_filter_leaves_odd_files_out(faulty_s3, store, tmp_path):
    """What is not wanted is no failure."""
    source = make_tree(tmp_path / "s", {"a.csv": b"1", "t/b.csv": b"2", "c": b"3"})
    make_odd_files(source)
    send(store, source, "k/", glob="**/*.csv")

    assert {"k/a.csv": b"1", "k/t/b.csv": b"2"} == faulty_s3.objects


def test_a_single_fifo_is_refused(store, tmp_path):
    """Nobody waits for its other end."""
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(TransferError) as caught:
        send(store, tmp_path / "fifo", "k")

    assert isinstance(error_of(caught), UsageError)
    assert [] == open_below(tmp_path)


def test_what_cannot_be_read_is_told(faulty_s3, store):
    """A folder and a file without permission; the rest is copied."""
    with public_folder() as folder:
        make_tree(folder, {"a": b"1", "closed/b": b"2", "locked": b"3"})
        (folder / "closed").chmod(0)
        (folder / "locked").chmod(0)
        with unprivileged(), pytest.raises(TransferError) as caught:
            send(store, folder, "")

    assert ["closed/", "locked"] == list(caught.value.failures)
    assert {"a": b"1"} == faulty_s3.objects


def test_a_name_that_is_no_utf8_is_told(faulty_s3, store, tmp_path):
    """Keys are, and the rest is copied."""
    source = make_tree(tmp_path / "s", {"a": b"1"})
    Path(os.fsdecode(os.fsencode(source) + b"/caf\xe9")).write_bytes(b"2")
    with pytest.raises(TransferError, match=r"'caf\\udce9' is no UTF-8"):
        send(store, source, "")

    assert {"a": b"1"} == faulty_s3.objects


def test_our_own_temporary_files_stay_here(faulty_s3, store, tmp_path):
    """What a killed download left is not uploaded."""
    send(store, make_tree(tmp_path / "s", {"a": b"1", ".hyperplane-0123456789ab.part": b"torn"}), "")

    assert {"a": b"1"} == faulty_s3.objects


@pytest.mark.parametrize("name", ["a\nb", "back\\slash", "~", "%2e", "ä?#&=+ ", "-rf", "x" * 255])
def test_odd_names_become_exactly_such_keys(faulty_s3, store, tmp_path, name):
    """No name is normalised."""
    send(store, make_tree(tmp_path / "s", {name: b"1"}), "k/")

    assert {f"k/{name}": b"1"} == faulty_s3.objects


def test_too_few_files_are_an_error_before_any_is_sent(faulty_s3, store, tmp_path):
    """The error says how many fit."""
    source = make_tree(tmp_path / "s", {"a": b"1", "b": b"2"})
    with pytest.raises(TransferError, match=r"1 files of .* fit, and at least 2 were wanted"):
        send(store, source, "", glob="a", min_files=2)

    assert [] == faulty_s3.calls


def test_a_filter_sees_the_name_of_a_single_file(faulty_s3, store, tmp_path):
    """Not the key that it gets."""
    source = make_tree(tmp_path / "s", {"a": b"1"}) / "a"

    assert 0 == len(send(store, source, "other", glob="other").files)
    assert 1 == len(send(store, source, "other", glob="a").files)


def test_a_missing_bucket_is_one_error(faulty_s3, path, tmp_path):
    """Not one for every file."""
    source = make_tree(tmp_path / "s", {str(number): b"x" for number in range(100)})
    store = store_of(faulty_s3, path)
    faulty_s3.store.buckets.clear()
    with pytest.raises(StoreError, match="there is no bucket s3://test"):
        send(store, source, "")

    assert len(faulty_s3.calls) < 60


def test_an_empty_folder_is_no_error(faulty_s3, store, tmp_path):
    """There is nothing to copy."""
    (tmp_path / "s").mkdir()

    assert [] == list(send(store, tmp_path / "s", "").files)


@pytest.mark.parametrize("size", [0, 1, 8 << 20, (8 << 20) + 1, 80 << 30, 5 << 40])
def test_no_object_needs_more_parts_than_s3_has(size):
    """10,000, of at least the usual size, and no larger than needed."""
    part = part_bytes_of(size)

    assert -(-size // part) <= 10_000
    assert 8 << 20 <= part <= max(8 << 20, size // 10_000 + (1 << 20))


def test_progress_is_told_to_the_end(faulty_s3, store, tmp_path, small_parts):
    """The last call has all files and bytes."""
    told = []
    send(store, make_tree(tmp_path / "s", {"a": b"1", "b": LARGE}), "", progress=told.append)

    assert (2, len(LARGE) + 1) == (told[-1].files, told[-1].size_bytes)
