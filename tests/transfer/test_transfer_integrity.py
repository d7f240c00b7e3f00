"""What arrives is what the store has: whole, of one version, undamaged; or nothing arrives."""

import os
import sys
from dataclasses import replace

import pytest
from copying import fetch, tree
from faultys3 import answer_headers, corrupt, error, hang, replace_object, reset, stall, truncate
from faultys3.checksums import checksum
from storekinds import QUICK, store_of

from hyperplane.errors import ObjectChangedError, ObjectNotFoundError, StoreError, TransferError
from hyperplane.transfer import download

SMALL = os.urandom(200_000)
LARGE = os.urandom(1 << 20)
SIZES = pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "ranged"])


@pytest.fixture(autouse=True)
def small_ranges(monkeypatch):
    """Fetch a MiB in four ranges."""
    module = sys.modules[download.__module__]
    monkeypatch.setattr(module, "RANGED_BYTES", 500_000)
    monkeypatch.setattr(module, "SMALLEST_RANGE_BYTES", 256 << 10)
    monkeypatch.setattr(module, "TOLD_BYTES", 64 << 10)


def error_of(caught):
    """Return the one failure of a transfer."""
    (failure,) = caught.value.failures.values()
    return failure


def test_a_large_object_comes_in_ranges(faulty_s3, store, tmp_path):
    """All of them pinned to its version."""
    etag = faulty_s3.put("a", LARGE).etag
    fetch(store, "a", tmp_path / "a")
    calls = faulty_s3.calls_of("GetObject")

    assert LARGE == (tmp_path / "a").read_bytes()
    assert {f'"{etag}"'} == {call.headers["if-match"] for call in calls}
    assert 4 == len({call.headers["range"] for call in calls})


@SIZES
@pytest.mark.parametrize(
    "fault", [truncate(), reset(), truncate(0), error("SlowDown"), error("InternalError")]
)
def test_a_reply_that_breaks_off_is_followed_by_the_rest(faulty_s3, store, tmp_path, content, fault):
    """The file is whole in the end."""
    faulty_s3.put("a", content)
    faulty_s3.add(fault, operation="GetObject", calls=[1, 2])
    fetch(store, "a", tmp_path / "a")

    assert content == (tmp_path / "a").read_bytes()


@SIZES
def test_a_damaged_body_is_fetched_anew(faulty_s3, store, tmp_path, content):
    """One bit is enough."""
    faulty_s3.put("a", content)
    faulty_s3.add(corrupt(), operation="GetObject", calls=[1])
    fetch(store, "a", tmp_path / "a")

    assert content == (tmp_path / "a").read_bytes()


@SIZES
def test_a_body_that_stays_damaged_is_an_error(faulty_s3, store, tmp_path, content, quick_download):
    """Nothing is there, and the error says what differs."""
    faulty_s3.put("a", content)
    faulty_s3.add(corrupt(), operation="GetObject")
    with pytest.raises(TransferError) as caught:
        fetch(store, "a", tmp_path / "t" / "a")

    assert "does not arrive as it is stored" in str(error_of(caught))
    assert {} == tree(tmp_path / "t")


@pytest.fixture
def quick_download(monkeypatch):
    """Wait for nothing between the tries of a whole file."""
    module = sys.modules[download.__module__]
    monkeypatch.setattr(module, "PATIENCE", QUICK)


@SIZES
@pytest.mark.parametrize("algorithm", ["crc64nvme", "crc32c", "crc32", "sha1", "sha256"])
def test_damage_is_seen_by_any_checksum_that_the_store_has(faulty_s3, store, tmp_path, content, algorithm):
    """Where the ETag is no MD5, as of multipart or encrypted objects."""
    part = content[:100_000]
    whole = part if content is SMALL else content
    stored = faulty_s3.put("a", whole, x_amz_server_side_encryption="aws:kms")
    told = replace(stored, etag="0" * 32, checksums={algorithm: checksum(algorithm, whole)})
    faulty_s3.store.buckets["test"]["a"] = told
    faulty_s3.add(corrupt(), operation="GetObject", calls=[1])
    fetch(store, "a", tmp_path / "a")

    assert whole == (tmp_path / "a").read_bytes()
    assert len(faulty_s3.calls_of("GetObject")) > (1 if whole is part else 4)


@SIZES
@pytest.mark.parametrize("etag", ["0" * 32, f"{'0' * 32}-3"])
def test_an_etag_that_is_no_md5_is_no_damage(faulty_s3, store, tmp_path, content, etag):
    """Objects under a key of KMS, and those that were uploaded in parts, have such ones."""
    stored = faulty_s3.put("a", content, x_amz_server_side_encryption="aws:kms")
    faulty_s3.store.buckets["test"]["a"] = replace(stored, etag=etag)
    fetch(store, "a", tmp_path / "a")

    assert content == (tmp_path / "a").read_bytes()


def test_one_encrypted_object_does_not_hide_damage_of_another(faulty_s3, store, tmp_path):
    """The plain one is still compared with its MD5."""
    stored = faulty_s3.put("d/a", SMALL, x_amz_server_side_encryption="aws:kms")
    faulty_s3.store.buckets["test"]["d/a"] = replace(stored, etag="0" * 32)
    faulty_s3.put("d/b", SMALL)
    faulty_s3.add(corrupt(), operation="GetObject", key="d/b", calls=[1])
    fetch(store, "d/", tmp_path / "t", threads=1)

    assert {"a": SMALL, "b": SMALL} == tree(tmp_path / "t")


@pytest.mark.parametrize("checksums", [{"md9": "x"}, {"crc32": "wrong-3"}])
def test_a_checksum_that_is_not_known_here_decides_nothing(faulty_s3, store, tmp_path, checksums):
    """The MD5 does then."""
    stored = faulty_s3.put("a", LARGE)
    faulty_s3.store.buckets["test"]["a"] = replace(stored, checksums=checksums)
    faulty_s3.add(corrupt(), operation="GetObject", calls=[2])
    fetch(store, "a", tmp_path / "a")

    assert LARGE == (tmp_path / "a").read_bytes()


@SIZES
@pytest.mark.parametrize("call", [2, 3])
def test_an_object_replaced_on_its_way_is_never_a_mixture(faulty_s3, store, tmp_path, content, call):
    """It breaks off, and another version is there when the rest is asked for: the new one arrives, whole."""
    new = os.urandom(len(content))
    faulty_s3.put("a", content)
    faulty_s3.add(truncate(0.3), operation="GetObject", calls=[1])
    faulty_s3.add(replace_object(new), operation="GetObject", calls=[call])
    fetch(store, "a", tmp_path / "a")

    assert (tmp_path / "a").read_bytes() in ({new} if content is LARGE or call == 2 else {content})


def test_a_listing_that_is_old_is_no_failure(faulty_s3, store, tmp_path):
    """The object was replaced by a smaller or larger one after it was listed."""
    for old, new in ((LARGE, b"small"), (b"small", LARGE), (LARGE, LARGE[::-1])):
        faulty_s3.put("d/a", old)
        rule = faulty_s3.add(replace_object(new), operation="GetObject", calls=[1])
        fetch(store, "d/", tmp_path / "t")
        faulty_s3.rules.remove(rule)

        assert new == (tmp_path / "t" / "a").read_bytes()


def test_an_object_that_always_changes_is_an_error(faulty_s3, store, tmp_path):
    """It is not tried for ever."""
    faulty_s3.put("a", LARGE)
    for number in range(1, 60):
        faulty_s3.add(replace_object(os.urandom(len(LARGE))), operation="GetObject", calls=[number])
    with pytest.raises(TransferError) as caught:
        fetch(store, "a", tmp_path / "t" / "a")

    assert isinstance(error_of(caught), ObjectChangedError)
    assert {} == tree(tmp_path / "t")


@SIZES
def test_an_object_deleted_on_its_way_is_not_found(faulty_s3, store, tmp_path, content):
    """What had come of it is gone too."""
    faulty_s3.put("d/a", content)
    faulty_s3.add(truncate(0.3), operation="GetObject", calls=[1])
    faulty_s3.add(replace_object(None), operation="GetObject", calls=[2])
    with pytest.raises(TransferError) as caught:
        fetch(store, "d/", tmp_path / "t")

    assert isinstance(error_of(caught), ObjectNotFoundError)
    assert {} == tree(tmp_path / "t")


@SIZES
@pytest.mark.parametrize("fault", [hang(), stall()])
def test_a_store_that_is_silent_is_an_error_in_the_end(faulty_s3, path, tmp_path, content, fault):
    """After a few tries, each as long as a reply may take."""
    faulty_s3.put("a", content)
    faulty_s3.add(fault, operation="GetObject")
    store = store_of(faulty_s3, path, patience=replace(QUICK, tries=2), read_timeout_s=0.3)
    with pytest.raises(TransferError) as caught:
        fetch(store, "a", tmp_path / "t" / "a")

    assert type(error_of(caught)) is StoreError
    assert {} == tree(tmp_path / "t")


def test_a_store_that_is_down_is_not_asked_for_every_file(faulty_s3, path, tmp_path):
    """After some failures in a row the transfer ends."""
    for number in range(200):
        faulty_s3.put(f"d/{number}", b"x")
    faulty_s3.add(error("InternalError"), operation="GetObject")
    store = store_of(faulty_s3, path, patience=replace(QUICK, tries=1))
    with pytest.raises(StoreError, match="the store failed for s3://test/d/"):
        fetch(store, "d/", tmp_path / "t")

    assert len(faulty_s3.calls_of("GetObject")) < 60


def test_files_that_fail_now_and_then_do_not_end_it(faulty_s3, path, tmp_path):
    """As long as others arrive in between."""
    for number in range(100):
        faulty_s3.put(f"d/{number:02}", b"x")
    faulty_s3.add(error("InternalError"), operation="GetObject", key="d/?[02468]")
    store = store_of(faulty_s3, path, patience=replace(QUICK, tries=1))
    with pytest.raises(TransferError) as caught:
        fetch(store, "d/", tmp_path / "t", threads=2)

    assert (50, 50) == (len(caught.value.failures), len(tree(tmp_path / "t")))


def test_without_an_etag_an_object_comes_in_one_piece(faulty_s3, store, tmp_path):
    """Ranges of it could be of two versions, and what breaks off begins anew."""
    faulty_s3.put("a", LARGE)
    faulty_s3.add(answer_headers({"ETag": None}))
    faulty_s3.add(truncate(), operation="GetObject", calls=[1])
    fetch(store, "a", tmp_path / "a")

    assert LARGE == (tmp_path / "a").read_bytes()
    assert not any("range" in call.headers for call in faulty_s3.calls_of("GetObject"))
