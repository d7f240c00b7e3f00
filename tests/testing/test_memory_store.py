"""The store behind a fake keeps the rules of S3."""

import pytest

import hyperplane
from hyperplane.testing.objects import MemoryStore


@pytest.fixture
def store():
    """Give a store with an object."""
    made = MemoryStore("s3://fake")
    made.write("key", b"content")
    return made


def test_a_new_object_must_be_new(store):
    """What is there stays as it is."""
    with pytest.raises(hyperplane.ObjectExistsError, match="s3://fake/key"):
        store.write("key", b"other", is_new=True)
    assert b"content" == b"".join(store.read("key").chunks)


def test_another_version_is_not_read(store):
    """The ETag says which one is meant."""
    etag = store.head("key").etag
    store.write("key", b"other")
    with pytest.raises(hyperplane.ObjectChangedError, match="s3://fake/key"):
        store.read("key", etag=etag)


def test_a_range_is_read(store):
    """Up to, not including, its end."""
    assert b"onten" == b"".join(store.read("key", 1, 6).chunks)


def test_listings_have_pages(store):
    """In the order of the keys, and behind one."""
    for number in range(1001):
        store.write(f"n/{number:04}", b"")
    assert [1000, 1] == [len(page) for page in store.pages("n/")]
    assert ["n/1000"] == [info.key for page in store.pages("n/", after="n/0999") for info in page]


def test_checksums_are_those_of_the_etag(store):
    """An MD5; of what is not there, nothing is known."""
    assert store.checksums("key").etag_is_md5
    with pytest.raises(hyperplane.ObjectNotFoundError):
        store.checksums("none")


def test_it_has_no_pauses_to_cut_short(store):
    """Nothing fails here."""
    assert store is store.patient(lambda seconds: None)


def test_chunks_become_one_object(store):
    """Once all of them are there."""
    store.write_chunks("parts", lambda: [b"one", b"two"])
    assert b"onetwo" == b"".join(store.read("parts").chunks)
