"""Copies of what has not changed are left out, and of nothing else."""

import os
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from copying import fetch, make_tree, send, tree


def age(server, key, seconds):
    """Have an object be as old as this."""
    objects = server.store.buckets["test"]
    objects[key] = replace(objects[key], modified=datetime.now(UTC) - timedelta(seconds=seconds))


@pytest.fixture
def target(faulty_s3, store, tmp_path):
    """Give the copy of two objects."""
    for key in ("d/a", "d/b"):
        faulty_s3.put(key, key.encode())
        age(faulty_s3, key, 100)
    fetch(store, "d/", tmp_path / "t")
    faulty_s3.calls.clear()
    return tmp_path / "t"


def again(store, target):
    """Download once more, and return what was fetched and what was not."""
    transfer = fetch(store, "d/", target, skip_unchanged=True)
    return [path.name for path in transfer.files], list(transfer.skipped)


def test_a_second_download_fetches_nothing(faulty_s3, store, target):
    """Size and time are those of the objects."""
    assert ([], ["a", "b"]) == again(store, target)
    assert [] == faulty_s3.calls_of("GetObject")


def test_without_the_option_all_is_fetched(store, target):
    """Nothing is left out unasked."""
    assert 2 == len(fetch(store, "d/", target).files)


def test_another_size_is_a_change(faulty_s3, store, target):
    """Here or there."""
    (target / "a").write_bytes(b"longer than it was")

    assert (["a"], ["b"]) == again(store, target)
    assert {"a": b"d/a", "b": b"d/b"} == tree(target)


def test_another_time_with_other_bytes_is_a_change(faulty_s3, store, target):
    """The size alone says nothing."""
    faulty_s3.put("d/a", b"new")

    assert (["a"], ["b"]) == again(store, target)
    assert b"new" == (target / "a").read_bytes()


def test_another_time_with_the_same_bytes_is_none(faulty_s3, store, target):
    """The ETag is the MD5 of the file."""
    os.utime(target / "a", (1, 1))

    assert ([], ["a", "b"]) == again(store, target)


def test_another_time_and_an_etag_that_is_no_md5_is_a_change(faulty_s3, store, target):
    """There is no other way to know."""
    objects = faulty_s3.store.buckets["test"]
    objects["d/a"] = replace(objects["d/a"], etag="0-2", modified=datetime.now(UTC))

    assert (["a"], ["b"]) == again(store, target)


def test_an_object_replaced_within_its_second_is_a_change(faulty_s3, store, tmp_path):
    """Its time, in whole seconds, and its size are those of the copy."""
    moment = datetime.now(UTC).replace(microsecond=0)
    stored = faulty_s3.put("d/a", b"one")
    faulty_s3.store.buckets["test"]["d/a"] = replace(stored, modified=moment)
    fetch(store, "d/", tmp_path / "t")
    stored = faulty_s3.put("d/a", b"two")
    faulty_s3.store.buckets["test"]["d/a"] = replace(stored, modified=moment)

    assert (["a"], []) == again(store, tmp_path / "t")
    assert b"two" == (tmp_path / "t" / "a").read_bytes()


def test_a_file_that_is_gone_is_fetched(store, target):
    """It was never there, as far as anybody knows."""
    (target / "a").unlink()

    assert (["a"], ["b"]) == again(store, target)


@pytest.fixture
def source(faulty_s3, store, tmp_path):
    """Give a folder that has been uploaded a while after its files were made."""
    source = make_tree(tmp_path / "s", {"a": b"1a", "b": b"1b"})
    send(store, source, "k/")
    for key in ("k/a", "k/b"):
        age(faulty_s3, key, -100)
    faulty_s3.calls.clear()
    return source


def resend(store, source, **options):
    """Upload once more, and return what was sent and what was not."""
    transfer = send(store, source, "k/", skip_unchanged=True, **options)
    return [path.name for path in transfer.files], list(transfer.skipped)


def test_a_second_upload_sends_nothing(faulty_s3, store, source):
    """One listing is all that it takes."""
    assert ([], ["a", "b"]) == resend(store, source)
    assert ["ListObjectsV2"] == [call.operation for call in faulty_s3.calls]


def test_a_file_of_another_size_is_sent(faulty_s3, store, source):
    """However old it says it is."""
    (source / "a").write_bytes(b"longer")
    os.utime(source / "a", (1, 1))

    assert (["a"], ["b"]) == resend(store, source)
    assert b"longer" == faulty_s3.objects["k/a"]


def test_a_newer_file_of_other_bytes_is_sent(faulty_s3, store, source):
    """The size alone says nothing."""
    age(faulty_s3, "k/a", 100)
    (source / "a").write_bytes(b"2a")

    assert (["a"], ["b"]) == resend(store, source)


def test_a_newer_file_of_the_same_bytes_is_not(faulty_s3, store, source):
    """The ETag is its MD5."""
    age(faulty_s3, "k/a", 100)

    assert ([], ["a", "b"]) == resend(store, source)


def test_an_old_file_that_took_the_place_is_sent(faulty_s3, store, source):
    """Its own time is old, but it is here since now."""
    age(faulty_s3, "k/a", 100)
    (source / "other").write_bytes(b"3a")
    os.utime(source / "other", (time.time() - 1000,) * 2)
    (source / "other").rename(source / "a")

    assert (["a"], ["b"]) == resend(store, source)


def test_a_single_file_is_left_out_too(faulty_s3, store, source):
    """The object of its key is asked for, and may not be there."""
    again = send(store, source / "a", "k/a", skip_unchanged=True)
    new = send(store, source / "a", "k/new", skip_unchanged=True)

    assert (["a"], [], [source / "a"]) == (list(again.skipped), list(again.files), list(new.files))
