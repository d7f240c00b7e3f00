"""What every object store does, over both paths to S3, every server, memory and disk."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from faultys3.checksums import checksum
from storekinds import content_of, keys_of
from storemarks import EVERY_STORE, S3_STORES, over

from hyperplane.errors import ObjectChangedError, ObjectExistsError, ObjectNotFoundError

PART = 5 << 20
KEYS = ["a", "dir/a", "dir/sub/b", "dir-2/c", "ümlaut/§", "with space+plus%2F", "q?x=1&y#z", "~!*'()"]


@pytest.fixture
def names(store):
    """Write all keys, each with itself as its content."""
    for key in KEYS:
        store.write(key, key.encode())
    return store


@EVERY_STORE
def test_what_is_written_can_be_read(names):
    """Every key has the content that was written under it."""
    assert [key.encode() for key in KEYS] == [content_of(names, key) for key in KEYS]


@EVERY_STORE
def test_a_listing_has_every_key_once(names):
    """All keys are listed as they were written."""
    assert sorted(KEYS) == sorted(keys_of(names))


@EVERY_STORE
def test_a_folder_lists_what_is_in_it_alone(names):
    """`dir/` shows nothing of `dir-2/`."""
    assert ["dir/a", "dir/sub/b"] == sorted(keys_of(names, "dir/"))


@EVERY_STORE
def test_a_listing_can_begin_behind_a_key(names):
    """What comes before, and the key itself, are left out."""
    assert ["dir/sub/b"] == keys_of(names, "dir/", after="dir/a")


@EVERY_STORE
def test_listing_nothing_gives_nothing(store):
    """A folder that does not exist has no pages with objects."""
    assert [] == keys_of(store, "none/")


@over("fast-seaweed_bucket", "fast-faulty_s3", "memory", "disk")
def test_more_than_a_page_is_listed_and_deleted(store):
    """Of 1,003 objects none is lost between pages, and one call deletes them all."""
    expected = [f"many/{number:05}" for number in range(1003)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda key: store.write(key, b""), expected))
    listed = sorted(keys_of(store, "many/"))
    store.delete(listed)

    assert (expected, []) == (listed, keys_of(store))


@EVERY_STORE
def test_head_tells_size_time_and_version(store):
    """The facts are those that a listing has, and the ETag is that of the write."""
    etag = store.write("a", b"12345")
    info = store.head("a")
    listed = next(store.pages())[0]

    assert ("a", 5, etag) == (info.key, info.size_bytes, info.etag)
    assert abs((datetime.now(UTC) - info.modified).total_seconds()) < 60
    assert info.etag == listed.etag
    assert (info.key, info.size_bytes) == (listed.key, listed.size_bytes)
    assert int(info.modified.timestamp()) == int(listed.modified.timestamp())


@EVERY_STORE
@pytest.mark.parametrize(("start", "stop"), [(0, 4), (3, 7), (5, None), (9, 10), (0, 10), (0, None)])
def test_a_range_is_read(store, start, stop):
    """The bytes from start up to stop come, and the size is that of the whole."""
    store.write("a", b"0123456789")
    reading = store.read("a", start, stop)

    assert (b"0123456789"[start:stop], 10) == (b"".join(map(bytes, reading.chunks)), reading.info.size_bytes)


@EVERY_STORE
def test_only_the_version_asked_for_is_read(store):
    """Another one is an error, and the right one is read."""
    etag = store.write("a", b"first")
    before = content_of(store, "a", etag=etag)
    store.write("a", b"other")

    assert b"first" == before
    with pytest.raises(ObjectChangedError, match="/a has changed"):
        content_of(store, "a", etag=etag)
    with pytest.raises(ObjectChangedError, match="/a has changed"):
        content_of(store, "a", 1, 3, etag=etag)


@EVERY_STORE
@pytest.mark.parametrize("use", ["head", "read"])
def test_what_is_not_there_is_not_found(store, use):
    """The error names the object."""
    with pytest.raises(ObjectNotFoundError, match="/none/x") as caught:
        getattr(store, use)("none/x")

    assert caught.value.url.endswith("/none/x")


@EVERY_STORE
def test_a_write_replaces_the_object(store):
    """The second content is the only one."""
    store.write("a", b"first")
    store.write("a", b"the second")

    assert (b"the second", ["a"]) == (content_of(store, "a"), keys_of(store))


@EVERY_STORE
@pytest.mark.parametrize("data", [b"", b"x", bytearray(b"xy"), memoryview(b"xyz"), b"\0" * 70_000])
def test_any_bytes_are_written(store, data):
    """Empty, small and large, of every kind of buffer."""
    store.write("a", data)

    assert bytes(data) == content_of(store, "a")


@EVERY_STORE
def test_a_new_object_must_be_new(store):
    """The first write makes it, the second is refused and changes nothing."""
    store.write("a", b"first", is_new=True)
    with pytest.raises(ObjectExistsError, match="/a exists already"):
        store.write("a", b"second", is_new=True)

    assert b"first" == content_of(store, "a")


@EVERY_STORE
@pytest.mark.parametrize("sizes", [[3], [PART], [PART + 1], [0, PART // 3, 0, PART, 1]])
def test_an_object_is_written_in_chunks(store, sizes):
    """However the chunks fall on the parts, the object is what they make together."""
    chunks = [bytes([number]) * size for number, size in enumerate(sizes, 1)]
    store.write_chunks("a", lambda: iter(chunks), part_bytes=PART)

    assert b"".join(chunks) == content_of(store, "a")


@S3_STORES
@pytest.mark.parametrize("error", [OSError(5, "EIO"), ValueError("v"), KeyboardInterrupt(), SystemExit(3)])
def test_chunks_that_fail_leave_no_object(store, error):
    """Their own exception comes out, and neither an object nor an upload stays."""

    def chunks():
        yield b"x" * (PART + 1)
        raise error

    with pytest.raises(type(error)) as caught:
        store.write_chunks("a", chunks, part_bytes=PART)
    uploads = store.client.list_multipart_uploads(Bucket=store.bucket)

    assert (error, [], []) == (caught.value, keys_of(store), uploads.get("Uploads", []))


@EVERY_STORE
def test_objects_are_deleted(names):
    """Those that were named are gone, and one that was not there is no failure."""
    names.delete(["dir/a", "ümlaut/§", "with space+plus%2F", "never/was"])
    left = set(KEYS) - {"dir/a", "ümlaut/§", "with space+plus%2F"}

    assert sorted(left) == sorted(keys_of(names))


@EVERY_STORE
def test_checksums_are_told_where_there_are_some(store):
    """Those that are told fit the content."""
    store.write("a", b"content")
    told = store.checksums("a").of_object

    assert {name: checksum(name, b"content") for name in told} == dict(told)


@EVERY_STORE
def test_a_patient_store_is_the_same(store):
    """It has the same objects."""
    store.patient(lambda seconds: None).write("a", b"x")

    assert b"x" == content_of(store, "a")


@S3_STORES
def test_a_prefix_is_no_folder(store):
    """Any beginning of keys can be listed."""
    for key in ("dir", "dir-2/x", "dir/x", "di", "e"):
        store.write(key, b"x")

    assert ["dir", "dir-2/x", "dir/x"] == sorted(keys_of(store, "dir"))
