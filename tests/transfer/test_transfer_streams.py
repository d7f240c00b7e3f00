"""Objects as files: read anywhere, written as they come, there only when whole."""

import io
import os
import random
import threading

import pytest
from faultys3 import FaultyS3, error, hang, replace_object, truncate
from storekinds import PATHS, store_of

from hyperplane.errors import ObjectChangedError, ObjectNotFoundError, StoreAccessError, StoreError
from hyperplane.stores import Reading
from hyperplane.transfer import streams
from hyperplane.transfer.streams import ObjectTextWriter, ObjectWriter, open_reader

CONTENT = os.urandom(3_000_000)


@pytest.fixture
def faulty_s3():
    """Give a scripted S3 that takes parts of any size."""
    with FaultyS3(min_part_bytes=1) as server:
        yield server


@pytest.fixture(params=PATHS)
def store(faulty_s3, request):
    """Give its store, over each path."""
    return store_of(faulty_s3, request.param)


@pytest.fixture
def small_parts(monkeypatch):
    """Send parts of 100 kB."""
    monkeypatch.setattr(streams, "PART_BYTES", 100_000)


def senders():
    """Return the threads that send for writers."""
    return [thread for thread in threading.enumerate() if thread.name == "transfer-writer"]


def write_and_fail(file):
    """Write a little, and raise in the block."""
    with file:
        file.write("x" if isinstance(file, ObjectTextWriter) else b"x")
        raise ZeroDivisionError


def write_all(store, *pieces):
    """Write an object from pieces."""
    with ObjectWriter(store, "a") as file:
        for piece in pieces:
            file.write(piece)


def test_an_object_is_read_to_its_end(faulty_s3, store):
    """At once, or piece by piece."""
    faulty_s3.put("a", CONTENT)
    with open_reader(store, "a") as file:
        assert CONTENT == file.read()
    with open_reader(store, "a") as file:
        assert CONTENT == b"".join(iter(lambda: file.read(70_001), b""))
        assert b"" == file.read(1)


def test_any_place_can_be_sought(faulty_s3, store):
    """What is read is what a file would give."""
    faulty_s3.put("a", CONTENT)
    expected, numbers = io.BytesIO(CONTENT), random.Random(1)
    with open_reader(store, "a") as file:
        for _ in range(60):
            whence = numbers.choice([io.SEEK_SET, io.SEEK_CUR, io.SEEK_END])
            where = numbers.randrange(-400_000, 2_000_000)
            length = numbers.choice([0, 1, 100, 300_000, 1_500_000])
            try:
                assert expected.seek(where, whence) == file.seek(where, whence)
            except (ValueError, OSError):
                expected.seek(0)
                file.seek(0)
            assert expected.read(length) == file.read(length)
            assert expected.tell() == file.tell()


def test_a_place_before_the_beginning_is_refused(faulty_s3, store):
    """As a file does."""
    faulty_s3.put("a", b"abc")
    with open_reader(store, "a") as file, pytest.raises((ValueError, OSError)):
        file.seek(-1)


def test_behind_the_end_there_is_nothing(faulty_s3, store):
    """Neither bytes nor an error."""
    faulty_s3.put("a", b"abc")
    with open_reader(store, "a") as file:
        file.seek(100)

        assert (b"", True, True, False) == (file.read(), file.seekable(), file.readable(), file.writable())


def test_an_empty_object_is_read(faulty_s3, store):
    """No range is asked for."""
    faulty_s3.put("a", b"")
    with open_reader(store, "a") as file:
        assert b"" == file.read()


def test_a_missing_object_cannot_be_opened(store):
    """It is seen at once."""
    with pytest.raises(ObjectNotFoundError):
        open_reader(store, "none")


def test_a_reader_stays_with_its_version(faulty_s3, store):
    """Another one is an error, not a mixture."""
    faulty_s3.put("a", CONTENT)
    with open_reader(store, "a") as file:
        file.read(10)
        faulty_s3.put("a", CONTENT[::-1])
        with pytest.raises(ObjectChangedError):
            file.read()


def test_a_reply_that_breaks_off_is_not_seen(faulty_s3, store):
    """The rest is asked for."""
    faulty_s3.put("a", CONTENT)
    faulty_s3.add(truncate(), operation="GetObject", calls=[1, 3])
    with open_reader(store, "a") as file:
        assert CONTENT == file.read()


@pytest.mark.parametrize("size", [0, 1, 99_999, 100_000, 100_001, 250_000])
def test_what_is_written_is_there_when_it_is_closed(faulty_s3, store, small_parts, size):
    """Not before, and exactly."""
    content = os.urandom(size)
    with ObjectWriter(store, "a") as file:
        for start in range(0, size, 7_000):
            assert file.write(content[start : start + 7_000]) == len(content[start : start + 7_000])
        before = dict(faulty_s3.objects)

    assert ({}, {"a": content}, []) == (before, faulty_s3.objects, faulty_s3.uploads)
    assert [] == senders()


def test_any_buffer_is_written(faulty_s3, store):
    """By its bytes, not its items."""
    import array

    with ObjectWriter(store, "a") as file:
        assert 8 == file.write(array.array("i", [1, 2]))
        assert file.writable()
        file.close()
        file.close()
        with pytest.raises(ValueError, match="closed"):
            file.write(b"x")

    assert array.array("i", [1, 2]).tobytes() == faulty_s3.objects["a"]


@pytest.mark.parametrize("size", [10, 350_000])
def test_an_exception_in_the_block_leaves_no_object(faulty_s3, store, small_parts, size):
    """Nor an upload, and it is the exception that comes out."""
    file = ObjectWriter(store, "a")
    file.write(b"x" * size)
    with pytest.raises(ZeroDivisionError):
        write_and_fail(file)

    assert ({}, [], []) == (faulty_s3.objects, faulty_s3.uploads, senders())


@pytest.mark.parametrize("size", [10, 350_000])
def test_what_nobody_closes_is_not_there(faulty_s3, store, small_parts, size):
    """It was not finished."""
    file = ObjectWriter(store, "a")
    file.write(b"x" * size)
    del file

    assert ({}, [], []) == (faulty_s3.objects, faulty_s3.uploads, senders())


def test_text_is_written_in_its_encoding(faulty_s3, store):
    """As a text file would."""
    with ObjectTextWriter(ObjectWriter(store, "a"), "latin-1") as file:
        print("ä", "b", file=file)
    with pytest.raises(ZeroDivisionError):
        write_and_fail(ObjectTextWriter(ObjectWriter(store, "b"), "utf-8"))

    assert {"a": "ä b\n".encode("latin-1")} == faulty_s3.objects


@pytest.mark.parametrize("operation", ["CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"])
def test_a_store_that_refuses_is_told_to_the_writer(faulty_s3, store, small_parts, operation):
    """At the latest when the file is closed, and nobody waits for ever."""
    faulty_s3.add(error("AccessDenied"), operation=operation)
    with pytest.raises(StoreAccessError):
        write_all(store, *[b"x" * 60_000] * 30)

    assert ({}, [], []) == (faulty_s3.objects, faulty_s3.uploads, senders())


def test_a_part_that_fails_is_tried_again(faulty_s3, store, small_parts):
    """What was written cannot be asked for anew."""
    faulty_s3.add(error("InternalError"), operation="UploadPart", calls=[2])
    faulty_s3.add(error("SlowDown"), operation="CompleteMultipartUpload", calls=[1])
    with ObjectWriter(store, "a") as file:
        file.write(b"x" * 350_000)

    assert {"a": b"x" * 350_000} == faulty_s3.objects


def test_a_small_write_that_fails_is_told(faulty_s3, store):
    """When the file is closed."""
    faulty_s3.add(error("AccessDenied"), operation="PutObject")
    with pytest.raises(StoreAccessError):
        write_all(store, b"x")


def test_a_silent_store_is_an_error_for_the_writer(faulty_s3, path, small_parts):
    """In the end."""
    faulty_s3.add(hang(), operation="CreateMultipartUpload")
    store = store_of(faulty_s3, path, read_timeout_s=0.1)
    with pytest.raises(StoreError):
        write_all(store, b"x" * 350_000)


def test_an_object_replaced_while_it_is_opened_is_an_error(faulty_s3, store):
    """The range that is asked for is of the version that HEAD told of."""
    faulty_s3.put("a", CONTENT)
    faulty_s3.add(replace_object(CONTENT[1:]), operation="GetObject")
    with open_reader(store, "a") as file, pytest.raises(ObjectChangedError):
        file.read()


class Dripping:
    """A store that gives every chunk byte by byte, with nothing in between."""

    def __init__(self, store):
        self._store = store

    def __getattr__(self, name):
        return getattr(self._store, name)

    def read(self, *args, **options):
        reading = self._store.read(*args, **options)
        bytewise = (bytes(chunk)[at : at + 1] for chunk in reading.chunks for at in range(len(chunk)))
        return Reading(reading.info, (piece for byte in bytewise for piece in (b"", byte)))


def test_an_empty_chunk_is_no_end(faulty_s3, store):
    """Nor is a seek to where one is already a beginning."""
    faulty_s3.put("a", b"0123456789")
    with io.BufferedReader(open_reader(Dripping(store), "a").detach(), 1) as file:
        first = file.read(3)
        file.raw.seek(file.raw.tell())

        assert b"0123456789" == first + file.read()
