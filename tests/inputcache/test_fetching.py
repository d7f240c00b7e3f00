"""Fetching inputs: what is there is used, what has changed is fetched, and nobody sees half of it."""

from contextlib import contextmanager

import faultys3
import pytest
from caching import FOLDER, cache_of, entries_in, fetched, files_of, mode_of
from s3servers import client_of

from hyperplane.errors import InputError, ObjectNotFoundError, StoreAccessError, TransferError, UsageError
from hyperplane.inputcache.contents import Contents
from hyperplane.stores import Location, ObjectInfo


@pytest.fixture
def server(faulty_s3):
    """Give a server with a folder of two files, and one file beside it."""
    for key, data in {"data/a.txt": b"aa", "data/sub/b.txt": b"b", "data2/c.txt": b"c"}.items():
        faulty_s3.put(key, data)
    return faulty_s3


def gets(server):
    """Return the keys of the objects that were read, sorted."""
    return sorted(call.key for call in server.calls_of("GetObject"))


def test_a_folder_arrives_under_its_name(tmp_path, server):
    """All objects below it and no others, in their folders, without its marker."""
    server.put("data/", b"")
    path = fetched(tmp_path, server)

    assert ("data", {"a.txt": b"aa", "sub/b.txt": b"b"}) == (path.name, files_of(path))


def test_an_object_arrives_as_a_file_of_its_name(tmp_path, server):
    """What ends a key is what programs that go by names see."""
    path = fetched(tmp_path, server, "s3://test/data/a.txt")

    assert ("a.txt", b"aa") == (path.name, path.read_bytes())


def test_a_bucket_is_a_folder_too(tmp_path, server):
    """It has the name of the bucket."""
    path = fetched(tmp_path, server, "s3://test")

    assert ("test", ["data/a.txt", "data/sub/b.txt", "data2/c.txt"]) == (path.name, sorted(files_of(path)))


def test_a_folder_of_a_marker_alone_is_empty(tmp_path, server):
    """There is something of that name, and nothing in it."""
    server.put("empty/", b"")
    path = fetched(tmp_path, server, "s3://test/empty/")

    assert (True, []) == (path.is_dir(), list(path.iterdir()))


def test_a_second_run_fetches_nothing(tmp_path, server):
    """The store is asked what it has, and nothing is read again."""
    first = fetched(tmp_path, server)
    server.clear()
    second = fetched(tmp_path, server)

    assert (first, [], ["ListObjectsV2"]) == (
        second,
        gets(server),
        sorted({c.operation for c in server.calls}),
    )


def test_one_cache_asks_once(tmp_path, server):
    """A job has the same version from its first look to its end."""
    cache = cache_of(tmp_path, server)
    first = cache.fetch(Location.parse(FOLDER))
    server.put("data/a.txt", b"new")
    second = cache.fetch(Location.parse(FOLDER))

    assert (first, b"aa") == (second, (second / "a.txt").read_bytes())


def test_what_changed_in_the_store_is_fetched_and_nothing_else(tmp_path, server):
    """A new version shares with the one before it what is the same in both."""
    first = fetched(tmp_path, server)
    inode = (first / "sub" / "b.txt").stat().st_ino
    server.put("data/a.txt", b"new")
    server.put("data/c.txt", b"c")
    server.clear()
    second = fetched(tmp_path, server)

    assert {"a.txt": b"new", "c.txt": b"c", "sub/b.txt": b"b"} == files_of(second)
    assert (["data/a.txt", "data/c.txt"], inode) == (gets(server), (second / "sub" / "b.txt").stat().st_ino)


def test_what_was_shared_with_the_version_before_is_not_read_again(tmp_path, server):
    """Removing the older version touches what both have, and is done before it is noted how it was left."""
    fetched(tmp_path, server)
    server.put("data/a.txt", b"new")
    fetched(tmp_path, server)
    (entry,) = entries_in(tmp_path)

    assert (frozenset(), False) == (entry.examine().wrong, entry.examine().is_touched)


def test_what_is_gone_from_the_store_is_not_in_the_next_version(tmp_path, server):
    """A deleted object is in no later run, and the version before goes when nobody uses it."""
    first = fetched(tmp_path, server)
    del server.store.buckets["test"]["data/a.txt"]
    second = fetched(tmp_path, server)

    assert ({"sub/b.txt": b"b"}, False) == (files_of(second), first.exists())


def test_a_version_in_use_stays_when_a_newer_one_is_fetched(tmp_path, server):
    """Its files stay as they were until its run ends."""
    cache = cache_of(tmp_path, server)
    old = cache.fetch(Location.parse(FOLDER))
    server.put("data/a.txt", b"new")
    fetched(tmp_path, server)
    before = files_of(old)
    cache.close()
    fetched(tmp_path, server)

    assert {"a.txt": b"aa", "sub/b.txt": b"b"} == before


def test_a_version_that_comes_back_is_right_too(tmp_path, server):
    """What two versions share may have been linked between them in both directions."""
    cache = cache_of(tmp_path, server)
    first = cache.fetch(Location.parse(FOLDER))
    server.put("data/a.txt", b"new")
    other = cache_of(tmp_path, server)
    other.fetch(Location.parse(FOLDER))
    server.put("data/a.txt", b"aa")
    server.clear()

    assert (first, []) == (fetched(tmp_path, server), gets(server))


def test_an_object_without_an_etag_is_known_by_its_time():
    """A store that gives no ETags still has versions."""
    one = Contents("a", {"a": ObjectInfo("a", 1, None, None)})
    other = Contents("a", {"a": ObjectInfo("a", 1, None, '"b"')})

    assert one.identity != other.identity


def test_the_same_url_of_another_store_is_another_input(tmp_path, server):
    """Two endpoints share nothing, whatever their buckets are called."""
    fetched(tmp_path, server)
    with faultys3.FaultyS3() as another:
        another.put("data/a.txt", b"aa")
        another.put("data/sub/b.txt", b"b")
        fetched(tmp_path, another)
        assert ["data/a.txt", "data/sub/b.txt"] == gets(another)


def test_a_job_cannot_write_into_its_input(tmp_path, server):
    """Files and folders are read-only, and the cache is closed to other users."""
    path = fetched(tmp_path, server)

    modes = [mode_of(one) for one in (path / "a.txt", path, path / "sub", path.parent, tmp_path / "inputs")]
    assert [0o444, 0o555, 0o555, 0o555, 0o700] == modes


def test_backups_can_leave_the_cache_out(tmp_path, server):
    """It is tagged as a cache, as the convention for such folders says."""
    fetched(tmp_path, server)
    tag = (tmp_path / "inputs" / "CACHEDIR.TAG").read_text()

    assert tag.startswith("Signature: 8a477f597d28d172789f06886806bc55\n")


def test_an_object_that_changes_while_it_is_fetched_arrives_in_one_version(tmp_path, server):
    """What was listed and what arrived must agree, so it is looked at once more."""
    server.add(faultys3.replace_object(b"newer"), operation="GetObject", key="data/a.txt", calls=[1])
    path = fetched(tmp_path, server)

    assert {"a.txt": b"newer", "sub/b.txt": b"b"} == files_of(path)
    assert [path] == [entry.content / "data" for entry in entries_in(tmp_path)]


def test_what_had_arrived_before_a_change_is_not_fetched_again(tmp_path, server):
    """The next try takes over what is the same."""
    server.add(faultys3.replace_object(b"newer"), operation="GetObject", key="data/a.txt", calls=[1])
    fetched(tmp_path, server)

    assert 1 == gets(server).count("data/sub/b.txt")


def test_an_object_of_another_size_than_listed_is_fetched_again(tmp_path, server):
    """A store that takes its change back leaves no file that is neither."""
    original = server.store.buckets["test"]["data/a.txt"]
    server.add(faultys3.replace_object(b"newer"), operation="GetObject", key="data/a.txt", calls=[1])

    def take_back(call):
        if gets(server):
            server.store.buckets["test"]["data/a.txt"] = original

    server.add(faultys3.do(take_back), operation="ListObjectsV2")

    assert {"a.txt": b"aa", "sub/b.txt": b"b"} == files_of(fetched(tmp_path, server))


def test_an_input_that_never_stays_the_same_is_an_error(tmp_path, server):
    """Somebody writes there all the time, and the job hears of it."""
    numbers = iter(range(1000))

    def change(call):
        server.put("data/a.txt", b"x" * next(numbers))

    server.add(faultys3.do(change), operation="GetObject", key="data/a.txt")
    with pytest.raises(InputError, match="it changed each of the 5 times that it was fetched"):
        fetched(tmp_path, server)


def test_a_fetch_that_broke_off_is_continued(tmp_path, server):
    """What has arrived is not fetched again, and nobody took the rest for the whole."""
    rule = server.add(faultys3.error("AccessDenied"), operation="GetObject", key="data/sub/b.txt")
    with pytest.raises(TransferError):
        fetched(tmp_path, server)
    (half,) = entries_in(tmp_path)
    assert not half.is_whole
    server.rules.remove(rule)
    server.clear()

    path = fetched(tmp_path, server)
    assert (["data/sub/b.txt"], {"a.txt": b"aa", "sub/b.txt": b"b"}) == (gets(server), files_of(path))


@pytest.mark.parametrize("url", ["s3://test/nosuch", "s3://test/nosuch/", "s3://nosuch/x", "s3://nosuch/"])
def test_what_is_not_there_is_an_error(tmp_path, server, url):
    """An object, a folder, a bucket: the error is that of the store."""
    with pytest.raises(ObjectNotFoundError):
        fetched(tmp_path, server, url)


def test_what_is_there_is_no_help_where_the_store_forbids_it(tmp_path, server):
    """A cached copy is for those alone who may read the object now."""
    fetched(tmp_path, server)
    server.add(faultys3.error("AccessDenied"), operation="ListObjectsV2")
    with pytest.raises(StoreAccessError):
        fetched(tmp_path, server)


@pytest.mark.parametrize("key", ["data/../../x", "data//x", "data/a.txt/x", "data/" + "x" * 256])
def test_a_key_that_can_be_no_file_is_an_error_before_anything_is_fetched(tmp_path, server, key):
    """A job that silently misses a file of its input would be worse."""
    server.put(key, b"x")
    with pytest.raises(UsageError):
        fetched(tmp_path, server)
    assert [] == gets(server)


@pytest.mark.parametrize("url", ["s3://test/x/..", "s3://test/../"])
def test_a_name_that_leaves_the_folder_is_refused(tmp_path, server, url):
    """The last part of the URL names a file of the cache."""
    with pytest.raises(UsageError):
        fetched(tmp_path, server, url)


def test_odd_keys_arrive_as_they_are(tmp_path, moto_bucket):
    """Keys that the fast path cannot name come through the other one."""
    client = client_of(moto_bucket)
    for key in ("d/a b", "d/ü\x01", "d/a%2fb", "d/back\\slash", "d/trailing/"):
        client.put_object(Bucket=moto_bucket.bucket, Key=key, Body=b"" if key.endswith("/") else b"x")
    path = fetched(tmp_path, moto_bucket, f"s3://{moto_bucket.bucket}/d/")

    assert ["a b", "a%2fb", "back\\slash", "ü\x01"] == sorted(files_of(path))


def test_a_large_object_comes_in_ranges_and_is_used_again(tmp_path, seaweed_bucket):
    """What is fetched in parts is one file, and verified as any other."""
    data = bytes(range(256)) * (50 << 12)
    client_of(seaweed_bucket).put_object(Bucket=seaweed_bucket.bucket, Key="large.bin", Body=data)
    url = f"s3://{seaweed_bucket.bucket}/large.bin"
    cache = cache_of(tmp_path, seaweed_bucket)
    path = cache.fetch(Location.parse(url))
    again = cache_of(tmp_path, seaweed_bucket)

    assert path.read_bytes() == data
    assert (path, ["an input is in the cache"]) == (again.fetch(Location.parse(url)), again.told)


def test_what_is_fetched_is_watched_and_told(tmp_path, server):
    """The caller draws the progress, and hears how much it was."""
    seen = []

    @contextmanager
    def watch(verb):
        yield lambda progress: seen.append((verb, progress.files))

    cache = cache_of(tmp_path, server, watch=watch)
    cache.fetch(Location.parse(FOLDER))

    assert (("download", 2), ["fetched an input"]) == (seen[-1], cache.told)


def test_a_probe_asks_and_fetches_nothing(tmp_path, server):
    """Whether it is there can be known before anybody needs it."""
    cache = cache_of(tmp_path, server)
    for url in (FOLDER, "s3://test/data/a.txt"):
        cache.probe(Location.parse(url))
    for url in ("s3://test/nosuch/", "s3://test/nosuch"):
        with pytest.raises(ObjectNotFoundError):
            cache.probe(Location.parse(url))

    assert ([], False) == (gets(server), (tmp_path / "inputs").exists())
