"""Downloads: what lands where, and what does not."""

import os
import stat
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from copying import fetch, make_tree, tree
from faultys3 import error
from processes import open_below
from s3servers import value_of
from storekinds import store_of

from hyperplane.errors import ObjectNotFoundError, StoreError, TransferError, UsageError


@pytest.fixture
def target(tmp_path):
    """Give the folder that is downloaded to; it does not exist yet."""
    return tmp_path / "outer" / "target"


def put_all(server, *keys):
    """Put an object under each key, with the key as its content."""
    for key in keys:
        server.put(key, key.encode())


def test_a_folder_becomes_its_copy(faulty_s3, store, target):
    """Every object is a file below the target, under its name relative to the folder."""
    put_all(faulty_s3, "d/a", "d/b/c", "d/b/d e", "e", "d-2/f", "d/ä")
    transfer = fetch(store, "d/", target)
    names = ["a", "b/c", "b/d e", "ä"]

    assert {name: f"d/{name}".encode() for name in names} == tree(target)
    assert [target / name for name in names] == list(transfer.files)
    assert [f"s3://test/d/{name}" for name in names] == list(transfer.urls)
    assert sum(len(f"d/{name}".encode()) for name in names) == transfer.size_bytes
    assert [] == list(transfer.skipped)
    assert transfer.seconds > 0 < transfer.bytes_per_second


def test_a_whole_bucket_becomes_its_copy(faulty_s3, store, target):
    """The empty prefix is all of it."""
    put_all(faulty_s3, "d/a", "e")
    fetch(store, "", target)

    assert {"d/a": b"d/a", "e": b"e"} == tree(target)


def test_one_object_becomes_one_file(faulty_s3, store, target):
    """Nothing else whose key begins the same is fetched, and a listing is not asked for."""
    put_all(faulty_s3, "d/a.txt", "d/a.txt2", "d/a.txt/x")
    transfer = fetch(store, "d/a.txt", target / "mine")

    assert {"mine": b"d/a.txt"} == tree(target)
    assert ([target / "mine"], ["s3://test/d/a.txt"]) == (list(transfer.files), list(transfer.urls))
    assert [] == faulty_s3.calls_of("ListObjectsV2")


def test_a_file_has_the_time_of_its_object(faulty_s3, store, target):
    """The local file was modified when the object was."""
    modified = faulty_s3.put("a", b"x").modified
    fetch(store, "a", target / "a")

    assert int(modified.timestamp()) == int((target / "a").stat().st_mtime)


def test_files_are_made_as_the_umask_says(faulty_s3, store, target):
    """Downloaded files are ordinary ones."""
    faulty_s3.put("a", b"x")
    before = os.umask(0o027)
    try:
        fetch(store, "a", target / "a")
    finally:
        os.umask(before)

    assert 0o640 == stat.S_IMODE((target / "a").stat().st_mode)


def test_folder_markers_are_no_files(faulty_s3, store, target):
    """Empty objects that end in a slash are passed over, that of the folder itself too."""
    for marker in ("d/", "d/sub/", "d/sub/deep/"):
        faulty_s3.put(marker, b"")
    put_all(faulty_s3, "d/sub/a")
    fetch(store, "d/", target)

    assert {"sub/a": b"d/sub/a"} == tree(target)


def test_empty_objects_are_files(faulty_s3, store, target):
    """An object without bytes becomes a file without bytes."""
    faulty_s3.put("d/empty", b"")
    fetch(store, "d/", target)

    assert {"empty": b""} == tree(target)


def test_an_object_with_a_final_slash_and_content_is_told(faulty_s3, store, target):
    """It cannot be a file, and the rest is copied."""
    faulty_s3.put("d/x/", b"content")
    put_all(faulty_s3, "d/x/y", "d/z")
    with pytest.raises(TransferError) as caught:
        fetch(store, "d/", target)

    assert ["x/"] == list(caught.value.failures)
    assert {"x/y": b"d/x/y", "z": b"d/z"} == tree(target)


def test_a_key_with_a_leading_slash_is_told(faulty_s3, store, target):
    """It is no other key, and no path."""
    put_all(faulty_s3, "/etc/x", "a")
    with pytest.raises(TransferError) as caught:
        fetch(store, "", target)

    assert ["/etc/x"] == list(caught.value.failures)
    assert {"a": b"a"} == tree(target)


def test_a_file_and_a_folder_of_one_name_are_told(faulty_s3, store, target):
    """`a` is written, `a/b` is not, whatever order they would arrive in, and the rest is."""
    put_all(faulty_s3, "d/a", "d/a!", "d/a/b", "d/a/c/d", "d/a0")
    with pytest.raises(TransferError, match="'a/b' cannot be a file here: 'a' is one") as caught:
        fetch(store, "d/", target)

    assert ["a/b", "a/c/d"] == list(caught.value.failures)
    assert {"a": b"d/a", "a!": b"d/a!", "a0": b"d/a0"} == tree(target)
    assert ["a", "a!", "a0"] == [path.name for path in caught.value.transfer.files]


def test_a_filter_decides_before_a_clash_does(faulty_s3, store, target):
    """A file that is not wanted is in nobody's way."""
    put_all(faulty_s3, "d/a", "d/a/b")
    fetch(store, "d/", target, glob="**/b")

    assert {"a/b": b"d/a/b"} == tree(target)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"glob": "*.csv"}, ["a.csv"]),
        ({"glob": "**/*.csv"}, ["a.csv", "s/b.csv"]),
        ({"regex": r"\.csv"}, ["a.csv", "a.csv.gz", "s/b.csv"]),
        ({"regex": r"^s/"}, ["s/b.csv"]),
        ({"regex": r"csv$", "glob": "s/*"}, ["s/b.csv"]),
        ({"glob": "none"}, []),
    ],
)
def test_a_filter_sees_the_relative_name(faulty_s3, store, target, filters, expected):
    """Of a folder what fits is copied, by the path relative to it."""
    put_all(faulty_s3, "csv/a.csv", "csv/a.csv.gz", "csv/s/b.csv", "csv/z.txt")
    transfer = fetch(store, "csv/", target, **filters)

    assert expected == sorted(tree(target)) == [str(f.relative_to(target)) for f in transfer.files]


@pytest.mark.parametrize(("glob", "count"), [("a*", 1), ("d/*", 0)])
def test_a_filter_sees_the_name_of_a_single_object(faulty_s3, store, target, glob, count):
    """Not its folder, and not the name that it gets."""
    put_all(faulty_s3, "d/a")

    assert count == len(fetch(store, "d/a", target / "other", glob=glob).files)


def test_too_few_files_are_an_error_before_any_is_written(faulty_s3, store, target):
    """The error says how many fit, and nothing has been copied."""
    put_all(faulty_s3, "d/a", "d/b", "d/c")
    with pytest.raises(TransferError, match=r"2 files of s3://test/d/ fit, and at least 3 were wanted"):
        fetch(store, "d/", target, regex="[ab]", min_files=3)

    assert not target.exists()
    assert 3 == len(fetch(store, "d/", target, min_files=3).files)


def test_a_missing_folder_is_an_error(store, target):
    """It names the folder."""
    with pytest.raises(ObjectNotFoundError, match="nothing below s3://test/none/"):
        fetch(store, "none/", target)

    assert not target.exists()


def test_an_empty_bucket_is_no_error(store, target):
    """There is nothing to copy in it."""
    assert [] == list(fetch(store, "", target).files)


def test_a_folder_of_which_nothing_is_wanted_is_no_error(faulty_s3, store, target):
    """It is there."""
    put_all(faulty_s3, "d/a")

    assert [] == list(fetch(store, "d/", target, glob="b").files)


def test_a_missing_object_is_an_error(faulty_s3, store, target):
    """It names the object, and says that there is a folder where there is one."""
    put_all(faulty_s3, "d/x/a")
    with pytest.raises(ObjectNotFoundError, match="there is no s3://test/d/none"):
        fetch(store, "d/none", target / "x")
    with pytest.raises(ObjectNotFoundError, match=r"(?s)no object s3://test/d/x\n.*write d/x/ with a final"):
        fetch(store, "d/x", target / "x")


def test_a_missing_object_is_not_found_where_listing_is_forbidden(faulty_s3, store, target):
    """The hint is left out, and the error is the same."""
    faulty_s3.add(error("AccessDenied"), operation="ListObjectsV2")
    with pytest.raises(ObjectNotFoundError, match="there is no s3://test/d/x"):
        fetch(store, "d/x", target / "x")


def test_a_missing_bucket_is_an_error(faulty_s3, store, path, target):
    """It names the bucket, for a folder and for an object."""
    none = store_of(replace(value_of(faulty_s3), bucket="no-such"), path)
    with pytest.raises(ObjectNotFoundError, match="there is no bucket s3://no-such"):
        fetch(none, "d/", target)
    with pytest.raises(ObjectNotFoundError, match="s3://no-such/d"):
        fetch(none, "d", target / "d")


def test_a_file_in_place_of_the_target_is_an_error(faulty_s3, store, tmp_path):
    """It stays as it was."""
    put_all(faulty_s3, "d/a")
    (tmp_path / "file").write_text("mine")
    for place in ("file", "file/below"):
        with pytest.raises(UsageError, match="there is a file in its place"):
            fetch(store, "d/", tmp_path / place)

    assert "mine" == (tmp_path / "file").read_text()


def test_files_that_are_there_are_replaced(faulty_s3, store, target):
    """Their new content is the object's; others stay."""
    put_all(faulty_s3, "d/a")
    make_tree(target, {"a": b"old and longer", "mine": b"mine"})
    fetch(store, "d/", target)

    assert {"a": b"d/a", "mine": b"mine"} == tree(target)


def test_a_folder_where_a_file_is_to_be_is_told(faulty_s3, store, target):
    """It stays, and the rest is copied."""
    put_all(faulty_s3, "d/a", "d/b")
    make_tree(target, {"a/mine": b"mine"})
    with pytest.raises(TransferError) as caught:
        fetch(store, "d/", target)

    assert ["a"] == list(caught.value.failures)
    assert {"a/mine": b"mine", "b": b"d/b"} == tree(target)


def test_no_folder_is_left_open(faulty_s3, store, target):
    """Neither failures nor many folders leak descriptors."""
    put_all(faulty_s3, *(f"d/{n}/{n}/x" for n in range(50)), *(f"d/deep/l/{n}/x" for n in range(50)))
    make_tree(target, {"other/x": b"", "deep/x": b""})
    (target / "deep/l").symlink_to("../other")
    with pytest.raises(TransferError):
        fetch(store, "d/", target)

    assert [] == open_below(target)


def test_a_partial_failure_tells_all(faulty_s3, store, target):
    """The error has each failure and the rest of the transfer, and its text names three."""
    put_all(faulty_s3, *(f"d/{n}" for n in range(10)))
    faulty_s3.add(error("AccessDenied"), operation="GetObject", key="d/[02468]")
    with pytest.raises(TransferError, match=r"5 files of s3://test/d/ .* 5 were: .*; and 2 more") as caught:
        fetch(store, "d/", target)

    assert ["0", "2", "4", "6", "8"] == list(caught.value.failures)
    assert all(isinstance(each, StoreError) for each in caught.value.failures.values())
    assert [target / n for n in "13579"] == list(caught.value.transfer.files)
    assert {"1", "3", "5", "7", "9"} == set(tree(target))


def test_times_are_aware(faulty_s3, store):
    """What a listing tells can be compared with the clock."""
    put_all(faulty_s3, "a")

    assert next(store.pages())[0].modified <= datetime.now(UTC)


def test_progress_is_told_to_the_end(faulty_s3, store, target):
    """The last call has all files and bytes."""
    put_all(faulty_s3, "d/a", "d/b")
    told = []
    fetch(store, "d/", target, progress=told.append)

    assert (2, 6, 0) == (told[-1].files, told[-1].size_bytes, told[-1].skipped)


def test_a_relative_target_is_in_the_working_directory(faulty_s3, store):
    """A file without a folder goes there."""
    put_all(faulty_s3, "d/a")
    fetch(store, "d/a", Path("a"))

    assert {"a": b"d/a"} == tree(Path.cwd())
