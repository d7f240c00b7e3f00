"""How much the cache holds: the limit, the disk, and what goes first."""

import os
import shutil
import subprocess
from contextlib import contextmanager

import faultys3
import pytest
from caching import cache_of, entries_in, fetched, files_of
from processes import NOBODY, public_folder, unprivileged

from hyperplane.errors import InputError, TransferError
from hyperplane.inputcache.room import size_text
from hyperplane.stores import Location


@pytest.fixture
def server(faulty_s3):
    """Give a server with folders of 1,000 bytes each."""
    for name in "abcd":
        faulty_s3.put(f"{name}/x", name.encode() * 1000)
    return faulty_s3


@contextmanager
def small_disk(path, options):
    """Mount a file system of this size at a path."""
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", path], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", path], check=True)


def urls_in(folder):
    """Return the names of the folders that a cache holds, sorted."""
    names = [next((entry.content).iterdir(), None) for entry in entries_in(folder)]
    return sorted(path.name for path in names if path is not None)


def use(folder, server, names, **options):
    """Have a run each use a folder, in this order, at distinct times."""
    for number, name in enumerate(names):
        path = fetched(folder, server, f"s3://test/{name}/", **options)
        os.utime(path.parents[1] / "use.lock", (number + 1, number + 1)) if path.exists() else None


def test_what_was_used_longest_ago_goes_first(tmp_path, server):
    """Three of these folders fit, and a use counts, not only a fetch."""
    use(tmp_path, server, "abca", limit_bytes=3000)
    fetched(tmp_path, server, "s3://test/d/", limit_bytes=3000)

    assert ["a", "c", "d"] == urls_in(tmp_path)


def test_a_limit_of_0_keeps_nothing_unused(tmp_path, server):
    """The input is there while its run lives, and then gone, without a warning that it is too large."""
    cache = cache_of(tmp_path, server, limit_bytes=0)
    path = cache.fetch(Location.parse("s3://test/a/"))
    before = files_of(path)
    cache.close()

    assert ({"x": b"a" * 1000}, []) == (before, entries_in(tmp_path))
    assert ["fetched an input"] == cache.told


def test_an_input_beyond_the_limit_is_there_for_its_run(tmp_path, server):
    """It is fetched, and said to be too large to be kept."""
    cache = cache_of(tmp_path, server, limit_bytes=999)
    path = cache.fetch(Location.parse("s3://test/a/"))
    warning = "an input is larger than HYPERPLANE_CACHE_LIMIT, and is fetched by every run"

    assert (True, [warning, "fetched an input"]) == (path.exists(), cache.told)
    cache.close()
    assert [] == entries_in(tmp_path)


def test_inputs_of_one_run_may_be_more_than_the_limit(tmp_path, server):
    """None takes the place of another that is in use."""
    cache = cache_of(tmp_path, server, limit_bytes=1500)
    paths = [cache.fetch(Location.parse(f"s3://test/{name}/")) for name in "abc"]

    assert [True] * 3 == [path.exists() for path in paths]
    cache.close()
    assert 1 == len(entries_in(tmp_path))


def test_closing_twice_does_nothing_more(tmp_path, server):
    """The second time there is nothing to let go of."""
    cache = cache_of(tmp_path, server)
    cache.fetch(Location.parse("s3://test/a/"))
    cache.close()
    cache.close()

    assert ["a"] == urls_in(tmp_path)


def test_what_is_left_of_a_fetch_that_broke_off_counts(tmp_path, server):
    """Nobody may come back for it, and then it is what goes."""
    server.put("a/y", b"y")
    server.add(faultys3.error("AccessDenied"), operation="GetObject", key="a/y")
    with pytest.raises(TransferError):
        fetched(tmp_path, server, "s3://test/a/", limit_bytes=1500)
    before = urls_in(tmp_path)
    fetched(tmp_path, server, "s3://test/b/", limit_bytes=1500)

    assert (["a"], ["b"]) == (before, urls_in(tmp_path))


def test_what_a_killed_process_had_half_removed_goes(tmp_path, server):
    """Removing is one step for everybody else, and its rest is done by the next one."""
    path = fetched(tmp_path, server, "s3://test/a/")
    path.parents[1].rename(tmp_path / "inputs" / "trash-0123456789ab")
    (tmp_path / "inputs" / "trash-0123456789cd").write_text("of somebody else")
    (tmp_path / "inputs" / "notes.txt").touch()
    fetched(tmp_path, server, "s3://test/b/")

    names = {path.name for path in (tmp_path / "inputs").iterdir()}
    assert {"trash-0123456789cd", "notes.txt", "CACHEDIR.TAG", entries_in(tmp_path)[0].path.name} == names


def test_an_entry_that_was_hardly_begun_goes_too(tmp_path, server):
    """A process may die between the folder and its first file."""
    begun = tmp_path / "inputs" / f"{'0' * 32}-{'0' * 32}"
    begun.mkdir(parents=True)
    fetched(tmp_path, server, "s3://test/a/", limit_bytes=0)

    assert [] == entries_in(tmp_path)


@pytest.mark.needs("root")
def test_what_root_left_in_a_users_cache_is_passed_over(server):
    """The user fetches beside it, and what cannot be locked is an error only where it is asked for."""
    with public_folder() as folder:
        fetched(folder, server, "s3://test/a/")
        shutil.copytree(next((folder / "inputs").glob("*-*")), folder / "inputs" / "trash-0123456789ab")
        os.chown(folder / "inputs", NOBODY, NOBODY)
        with unprivileged():
            fetched(folder, server, "s3://test/b/", limit_bytes=0)
            with pytest.raises(InputError, match="cannot be used: Permission denied"):
                fetched(folder, server, "s3://test/a/")
        assert ["a"] == urls_in(folder)


def test_a_cache_that_was_removed_is_no_reason_to_fail(tmp_path, server):
    """Somebody may clean up before the run has ended."""
    cache = cache_of(tmp_path, server)
    cache.fetch(Location.parse("s3://test/a/"))
    shutil.rmtree(tmp_path / "inputs")
    cache.close()

    assert not (tmp_path / "inputs").exists()


@pytest.mark.needs("root", "mount")
@pytest.mark.needs("mount")
def test_unused_entries_go_where_the_disk_has_no_room(tmp_path, server):
    """A disk that is smaller than the limit is the limit, and what is in use stays."""
    for name in "abcd":
        server.put(f"{name}/x", name.encode() * 300_000)
    with small_disk(tmp_path / "disk", "size=1m") as disk:
        use(disk, server, "ab")
        cache = cache_of(disk, server)
        cache.fetch(Location.parse("s3://test/a/"))
        fetched(disk, server, "s3://test/c/")
        fetched(disk, server, "s3://test/d/")
        assert ["a", "c", "d"] == urls_in(disk)
        cache.close()


@pytest.mark.needs("root", "mount")
@pytest.mark.needs("mount")
def test_an_input_that_does_not_fit_is_an_error_before_it_is_fetched(tmp_path, server):
    """It says how much is needed, where, how much there is, and which setting helps."""
    server.put("a/y", b"y" * 2_000_000)
    with small_disk(tmp_path / "disk", "size=1m") as disk:
        with pytest.raises(InputError) as caught:
            fetched(disk, server, "s3://test/a/")
        message = f"2.01 MB are needed in {disk}/inputs, and its disk has 1.0"
        assert (True, True) == (
            caught.value.message.startswith(message),
            "HYPERPLANE_CACHE_DIR" in caught.value.hint,
        )
    assert [] == server.calls_of("GetObject")


@pytest.mark.needs("root", "mount")
@pytest.mark.needs("mount")
def test_a_disk_that_runs_full_is_left_as_it_was(tmp_path, server):
    """What had arrived goes again, for it can be of no use; here the number of files is at its end."""
    for number in range(50):
        server.put(f"many/{number}", b"x")
    with small_disk(tmp_path / "disk", "size=1m,nr_inodes=40") as disk:
        with pytest.raises(InputError, match="205 kB are needed in "):
            fetched(disk, server, "s3://test/many/")
        assert [] == entries_in(disk)


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (2_345_678, "2.35 MB"), (10**18, "1e+03 PB")],
)
def test_sizes_are_said_as_people_read_them(size_bytes, text):
    """Three digits and a unit."""
    assert text == size_text(size_bytes)
