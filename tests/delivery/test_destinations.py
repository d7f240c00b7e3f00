"""What every destination does: a folder, SeaweedFS and the S3 that fails by script pass the same tests."""

import hashlib
import os

import pytest
from deliveries import BucketPlace, destination_at
from faultys3 import answer_headers, error

from hyperplane import settings
from hyperplane.delivery import evidence
from hyperplane.delivery.brief import Keys, open_destination
from hyperplane.delivery.places import Source
from hyperplane.environment import Environment
from hyperplane.errors import ObjectChangedError, ObjectExistsError, ObjectNotFoundError, StoreError
from hyperplane.masking import Masker
from hyperplane.rundir import is_part, new_part_name
from hyperplane.secretsources import standard_sources


@pytest.fixture
def there(place):
    """Give the destination of each place."""
    return destination_at(place)


def source_of(path, data):
    """Return a file with this content, open."""
    path.write_bytes(data)
    return Source(os.open(path, os.O_RDONLY), len(data), hashlib.sha256(data).hexdigest())


def test_what_is_put_can_be_read(there):
    """In one piece and in pieces; later ones take the place of earlier ones."""
    there.put("a/b", b"1")
    there.put("a/b", b"23")
    assert (b"23", b"23") == (there.read("a/b"), b"".join(bytes(piece) for piece in there.chunks("a/b")))


def test_what_is_not_there_is_an_error_of_its_own(there):
    """Reading it, and its pieces; deleting it is none."""
    for read in (there.read, lambda path: list(there.chunks(path))):
        with pytest.raises(ObjectNotFoundError):
            read("nothing")
    there.delete(["nothing", "no/such/folder"])
    there.clean()
    assert ([], []) == (there.folders(""), list(there.sizes("none/")))


def test_only_what_is_new_is_created(there):
    """The second of two is refused, and changes nothing."""
    there.create("final", b"1")
    with pytest.raises(ObjectExistsError):
        there.create("final", b"2")
    assert b"1" == there.read("final")


def test_listing_and_deleting(there):
    """Sizes below a folder or of one file, folders right below, and what is left after deleting."""
    for path in ("a/x/1", "a/x/22", "a/y/1", "b/1"):
        there.put(path, path.encode())
    assert {"a/x/1": 5, "a/x/22": 6} == dict(there.sizes("a/x/"))
    assert ("a/x/22", 6) in there.sizes("a/x/22")
    assert (["a", "b"], ["x", "y"]) == (there.folders(""), there.folders("a/"))
    there.delete(["a/x/1", "a/x/22"])
    assert {"a/y/1": 5, "b/1": 3} == dict(there.sizes(""))


def test_a_folder_of_it_is_a_destination(there):
    """Names that a URL must quote are taken as they are."""
    below = there.below("job %2E#1/run 1/")
    below.put("a", b"1")
    assert {"job %2E#1/run 1/a": 1} == dict(there.sizes(""))
    assert b"1" == below.read("a")


def test_a_file_that_is_another_is_not_stored(there, tmp_path):
    """What does not come to its sha256 leaves what was there."""
    there.put("big", b"before")
    source = source_of(tmp_path / "file", os.urandom(1000))._replace(sha256="0" * 64)
    with pytest.raises(ObjectChangedError):
        there.put_large("big", source)
    os.close(source.descriptor)
    assert b"before" == there.read("big")


def test_a_file_is_known_by_its_content(there, tmp_path):
    """An object of another size or content, or none, is not the file."""
    source = source_of(tmp_path / "file", b"content")
    assert not there.holds("a", source)
    for data, is_same in ((b"content", True), (b"other!!", False), (b"longer content", False)):
        there.put("a", data)
        assert is_same == there.holds("a", source)
    os.close(source.descriptor)


@pytest.mark.parametrize("etag", ['"0123456789abcdef0123456789abcdef-3"', '"odd"', None])
def test_a_file_is_read_where_nothing_tells(faulty_place, tmp_path, etag):
    """Without checksum or MD5 an object is compared by reading it."""
    there = destination_at(faulty_place)
    there.put("a", b"content")
    told = {"x-amz-checksum-crc64nvme": None, "ETag": etag}
    faulty_place.server.add(answer_headers(told), operation="HeadObject")
    for data, is_same in ((b"content", True), (b"CONTENT", False)):
        source = source_of(tmp_path / "file", data)
        assert is_same == there.holds("a", source)
        os.close(source.descriptor)


def test_an_md5_tells_of_small_and_large_files(faulty_place, tmp_path):
    """An ETag is the MD5 of the content, or of those of its parts."""
    there = destination_at(faulty_place)
    faulty_place.server.add(answer_headers({"x-amz-checksum-crc64nvme": None}), operation="HeadObject")
    for size in (1000, (16 << 20) + 5):
        source = source_of(tmp_path / "file", os.urandom(size))
        there.put_large("big", source)
        assert there.holds("big", source)
        assert [] == faulty_place.server.calls_of("GetObject")
        os.close(source.descriptor)


def test_a_shortened_file_is_read_as_far_as_it_goes(tmp_path):
    """What a file has lost is not waited for."""
    source = source_of(tmp_path / "file", b"content")._replace(size_bytes=100)
    assert ([b"content"], b"tent") == (list(evidence.pieces(source)), evidence.read_at(source, 3, 50))
    os.close(source.descriptor)


def test_an_object_of_another_size_is_another():
    """The size alone tells that a reply speaks of something else."""
    assert evidence.compare_bytes({"ContentLength": 1}, b"") is False


@pytest.mark.parametrize("is_there", [False, True])
def test_without_conditions_a_new_object_is_looked_for(faulty_place, is_there):
    """Where a store has no conditional writes, one that is there stays."""
    there = destination_at(faulty_place)
    if is_there:
        there.put("final", b"1")
    faulty_place.server.add(error("NotImplemented", 501), operation="PutObject", calls=[1])
    if is_there:
        with pytest.raises(ObjectExistsError):
            there.create("final", b"2")
    else:
        there.create("final", b"2")
    assert (b"1" if is_there else b"2") == there.read("final")


def test_without_conditions_another_writer_is_seen(faulty_place):
    """What is read back is not what was written: somebody else was there."""
    from faultys3 import replace_object

    there = destination_at(faulty_place)
    faulty_place.server.add(error("NotImplemented", 501), operation="PutObject", calls=[1])
    faulty_place.server.add(replace_object(b"theirs"), operation="GetObject", calls=[1])
    with pytest.raises(StoreError, match="is not what was stored"):
        there.create("final", b"ours")


def test_a_refusal_is_an_error_at_once(faulty_place):
    """Nobody looks for an object that was not permitted to be there."""
    there = destination_at(faulty_place)
    faulty_place.server.add(error("AccessDenied"), operation="PutObject")
    for act in (there.put, there.create):
        with pytest.raises(PermissionError):
            act("a", b"1")
    assert [] == faulty_place.server.calls_of("HeadObject")


def test_a_failure_that_cannot_be_looked_into_is_an_error(faulty_place):
    """When even HEAD fails, nobody knows, and that is no success."""
    there = destination_at(faulty_place)
    faulty_place.server.add(error("InvalidRequest", 400), operation="PutObject")
    faulty_place.server.add(error("AccessDenied"), operation="HeadObject")
    with pytest.raises(StoreError):
        there.put("a", b"1")


def test_temporary_files_of_killed_deliverers_are_removed(folder_place):
    """What a crash left in a folder is taken away, and nothing else."""
    there = destination_at(folder_place)
    there.put("a/b", b"1")
    (folder_place.folder / "a" / new_part_name()).write_text("torn")
    there.clean()
    assert ["a/b"] == [path for path in folder_place.objects() if not is_part(path)]
    assert 1 == len(folder_place.objects())


def test_a_folder_that_is_in_the_way_is_said(folder_place):
    """A folder where a file should be, and the reverse, are errors in words."""
    there = destination_at(folder_place)
    there.put("a/b", b"1")
    with pytest.raises(StoreError, match="cannot be used"):
        there.put("a/b/c", b"2")
    with pytest.raises(StoreError, match="cannot be used"):
        there.put("a", b"2")
    assert {"a/b": b"1"} == folder_place.objects()


@pytest.mark.parametrize(
    ("own_bucket", "url", "expected"),
    [
        ("test", "s3://test/", "faulty-key-id"),
        ("test", "s3://another/", "chain"),
        (None, "s3://another/", "faulty-key-id"),
    ],
)
def test_keys_are_not_for_another_bucket(faulty_place, own_bucket, url, expected):
    """That is asked with AWS's own chain; where no bucket is named, the secrets may be for any."""
    variables = {
        **faulty_place.variables,
        "AWS_ACCESS_KEY_ID": "chain",
        "AWS_SECRET_ACCESS_KEY": "chain-secret",
    }
    del variables["HYPERPLANE_S3_BUCKET"]
    if own_bucket is not None:
        variables["HYPERPLANE_S3_BUCKET"] = own_bucket
    environment = Environment.capture(variables)
    loaded = settings.load(environment)
    keys = Keys({}, standard_sources(environment, loaded))
    place = open_destination(url, environment, loaded, keys, Masker())
    assert expected == place._store.account.credentials.get().access_key_id


def test_a_key_for_encryption_goes_along_with_large_files(faulty_place, tmp_path):
    """The KMS key of the settings is that of every upload."""
    faulty_place.variables["HYPERPLANE_S3_KMS_KEY_ID"] = "key-1"
    there = destination_at(faulty_place)
    source = source_of(tmp_path / "file", os.urandom(17 << 20))
    there.put_large("big", source)
    os.close(source.descriptor)
    (call,) = faulty_place.server.calls_of("CreateMultipartUpload")
    assert "key-1" == call.headers["x-amz-server-side-encryption-aws-kms-key-id"]


def test_a_place_without_a_final_slash_is_a_folder(faulty_s3):
    """`s3://bucket/runs` and `s3://bucket/runs/` are the same."""
    place = BucketPlace(faulty_s3)
    place.url = place.url.rstrip("/")
    destination_at(place).put("a", b"1")
    assert {"a": b"1"} == place.objects()
