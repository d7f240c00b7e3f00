"""What every S3 server does, asked through boto3: the scripted one passes what moto and SeaweedFS pass."""

import base64
import hashlib

import pytest
from botocore.exceptions import ClientError
from s3servers import client_of

PART = 5 * 1024 * 1024
ODD_KEYS = ("a//b", "../a", "a/./b", "a\x01\tb", "a\\b", "dir/", "a%2fb", "．．/x", "/a", ".")
WRONG_KEYS = {
    "InvalidAccessKeyId": {"aws_access_key_id": "unknown"},
    "SignatureDoesNotMatch": {"aws_secret_access_key": "wrong"},
}


@pytest.fixture(params=["faulty_s3", "moto_bucket", "seaweed_bucket"])
def server(request):
    """Give each server in turn, with an empty bucket."""
    return request.getfixturevalue(request.param)


@pytest.fixture(params=["faulty_s3", "moto_bucket"])
def exact_server(request):
    """Give each server that keeps keys as they are."""
    return request.getfixturevalue(request.param)


@pytest.fixture(params=["faulty_s3", "seaweed_bucket"])
def verifying_server(request):
    """Give each server that verifies what it is sent."""
    return request.getfixturevalue(request.param)


class Bucket:
    """A bucket through boto3, with the words that these tests use."""

    def __init__(self, server, **options):
        self.client, self.name = client_of(server, **options), server.bucket

    def __getattr__(self, operation):
        return lambda **words: getattr(self.client, operation)(Bucket=self.name, **words)

    def keys(self, **words):
        """Return the keys of one page of a listing."""
        return [found["Key"] for found in self.list_objects_v2(**words).get("Contents", [])]

    def code(self, operation, **words):
        """Return the code of the error that an operation ends with."""
        with pytest.raises(ClientError) as caught:
            getattr(self, operation)(**words)
        return caught.value.response["Error"]["Code"]

    def upload(self, key, *bodies, **words):
        """Send a multipart upload, and return the answer to its completion."""
        begun = self.create_multipart_upload(Key=key)["UploadId"]
        which = {"Key": key, "UploadId": begun}
        sent = [self.upload_part(**which, PartNumber=n, Body=body) for n, body in enumerate(bodies, 1)]
        parts = [{"PartNumber": n, "ETag": part["ETag"]} for n, part in enumerate(sent, 1)]
        return self.complete_multipart_upload(**which, MultipartUpload={"Parts": parts}, **words)


@pytest.fixture
def bucket(server):
    """Give the bucket of each server."""
    return Bucket(server)


def test_what_is_put_is_got(bucket):
    """Content, size, ETag, type and metadata of an object are those it was put with."""
    put = bucket.put_object(Key="a/b c+d", Body=b"content", ContentType="text/plain", Metadata={"x": "y"})
    got = bucket.get_object(Key="a/b c+d")

    assert b"content" == got["Body"].read()
    assert (7, "text/plain", {"x": "y"}) == (got["ContentLength"], got["ContentType"], got["Metadata"])
    assert {f'"{hashlib.md5(b"content").hexdigest()}"'} == {put["ETag"], got["ETag"]}


def test_what_is_missing_is_said(bucket):
    """Missing keys and buckets have the codes of S3."""
    assert "NoSuchKey" == bucket.code("get_object", Key="a")
    assert "404" == bucket.code("head_object", Key="a")
    bucket.name = "no-such-bucket-here"
    assert ["NoSuchBucket", "404"] == [bucket.code("list_objects_v2"), bucket.code("head_bucket")]


@pytest.mark.parametrize(
    ("asked", "sent", "said"),
    [("0-2", b"abc", "0-2/6"), ("4-", b"ef", "4-5/6"), ("-1", b"f", "5-5/6"), ("3-99", b"def", "3-5/6")],
)
def test_a_range_is_part_of_an_object(bucket, asked, sent, said):
    """A range, open or closed, gives just its bytes, and says which."""
    bucket.put_object(Key="a", Body=b"abcdef")
    got = bucket.get_object(Key="a", Range=f"bytes={asked}")

    assert (sent, f"bytes {said}") == (got["Body"].read(), got["ContentRange"])


def test_a_range_beyond_the_end_is_an_error(bucket):
    """Nothing begins after the end."""
    bucket.put_object(Key="a", Body=b"abc")

    assert bucket.code("get_object", Key="a", Range="bytes=3-5") in {"InvalidRange", "416"}


def test_a_read_can_be_pinned_to_an_etag(bucket):
    """If-Match reads this object or none, If-None-Match any other."""
    etag = bucket.put_object(Key="a", Body=b"first")["ETag"]
    assert b"first" == bucket.get_object(Key="a", IfMatch=etag)["Body"].read()
    assert "304" == bucket.code("get_object", Key="a", IfNoneMatch=etag)
    bucket.put_object(Key="a", Body=b"second")

    assert "PreconditionFailed" == bucket.code("get_object", Key="a", IfMatch=etag)


def test_a_write_can_demand_that_there_is_nothing(bucket):
    """If-None-Match `*` writes once."""
    bucket.put_object(Key="a", Body=b"first", IfNoneMatch="*")

    assert "PreconditionFailed" == bucket.code("put_object", Key="a", Body=b"second", IfNoneMatch="*")
    assert b"first" == bucket.get_object(Key="a")["Body"].read()


def test_a_write_can_demand_what_it_replaces(verifying_server):
    """If-Match writes over this object alone."""
    bucket = Bucket(verifying_server)
    etag = bucket.put_object(Key="a", Body=b"first")["ETag"]
    bucket.put_object(Key="a", Body=b"second", IfMatch=etag)

    assert "PreconditionFailed" == bucket.code("put_object", Key="a", Body=b"third", IfMatch=etag)


def test_a_listing_is_in_order_and_in_pages(bucket):
    """Every key comes once, in the order of its bytes, however small the pages are."""
    for key in ("b", "a/2", "a/1", "ä", "B", "a0"):
        bucket.put_object(Key=key, Body=b"")
    pages = bucket.client.get_paginator("list_objects_v2").paginate(
        Bucket=bucket.name, PaginationConfig={"PageSize": 2}
    )
    keys = [found["Key"] for page in pages for found in page.get("Contents", [])]

    assert ["B", "a/1", "a/2", "a0", "b", "ä"] == sorted(keys, key=str.encode)
    assert 6 == len(keys)


def test_a_listing_has_a_prefix_which_is_no_folder(bucket):
    """A prefix is a beginning of the key, whatever comes after."""
    for key in ("dir-2/a", "dir-20/b", "dir/c"):
        bucket.put_object(Key=key, Body=b"")

    assert ["dir-2/a", "dir-20/b"] == bucket.keys(Prefix="dir-2")
    assert ["dir-20/b"] == bucket.keys(Prefix="dir-20")


def test_a_listing_folds_at_a_delimiter(bucket):
    """What lies below a common prefix is one entry."""
    for key in ("a/1", "a/2", "b/c/3", "top"):
        bucket.put_object(Key=key, Body=b"")
    listing = bucket.list_objects_v2(Delimiter="/")

    assert ["top"] == [found["Key"] for found in listing["Contents"]]
    assert ["a/", "b/"] == [found["Prefix"] for found in listing["CommonPrefixes"]]


def test_a_listing_begins_after_a_key(bucket):
    """`StartAfter` leaves out all up to that key."""
    for key in ("a", "b", "c"):
        bucket.put_object(Key=key, Body=b"")

    assert ["c"] == bucket.keys(StartAfter="b")


def test_what_is_deleted_is_gone(bucket):
    """One object or several; what is not there counts as deleted."""
    for key in ("a", "b", "c"):
        bucket.put_object(Key=key, Body=b"")
    bucket.delete_object(Key="a")
    bucket.delete_object(Key="a")
    deleted = bucket.delete_objects(Delete={"Objects": [{"Key": "b"}, {"Key": "nothing"}]})["Deleted"]

    assert ({"b", "nothing"}, ["c"]) == ({each["Key"] for each in deleted}, bucket.keys())


def test_parts_make_an_object(bucket):
    """A completed upload is one object, whose ETag counts the parts."""
    done = bucket.upload("a", b"x" * PART, b"end")
    got = bucket.get_object(Key="a")
    digests = b"".join(hashlib.md5(each).digest() for each in (b"x" * PART, b"end"))

    assert b"x" * PART + b"end" == got["Body"].read()
    assert {f'"{hashlib.md5(digests).hexdigest()}-2"'} == {done["ETag"], got["ETag"]}


def test_an_open_upload_can_be_found_and_gone_on_with(bucket):
    """Uploads and their parts are listed until they are completed."""
    which = {"Key": "a/b", "UploadId": bucket.create_multipart_upload(Key="a/b")["UploadId"]}
    for number in (2, 1):
        bucket.upload_part(**which, PartNumber=number, Body=bytes([number]) * PART)
    uploads = bucket.list_multipart_uploads(Prefix="a/")["Uploads"]
    parts = bucket.list_parts(**which)["Parts"]

    assert [("a/b", which["UploadId"])] == [(each["Key"], each["UploadId"]) for each in uploads]
    assert [(1, PART), (2, PART)] == [(each["PartNumber"], each["Size"]) for each in parts]
    assert [] == bucket.keys()


def test_an_aborted_upload_leaves_nothing(bucket):
    """After an abort no upload is open, and its id is unknown."""
    which = {"Key": "a", "UploadId": bucket.create_multipart_upload(Key="a")["UploadId"]}
    bucket.upload_part(**which, PartNumber=1, Body=b"x")
    bucket.abort_multipart_upload(**which)

    assert [] == bucket.list_multipart_uploads().get("Uploads", [])
    # moto breaks here
    assert bucket.code("upload_part", **which, PartNumber=2, Body=b"x") in {"NoSuchUpload", "500"}


def test_a_part_that_was_not_sent_fails_the_completion(bucket):
    """A completion that names what is not there changes nothing."""
    which = {"Key": "a", "UploadId": bucket.create_multipart_upload(Key="a")["UploadId"]}
    parts = {"Parts": [{"PartNumber": 1, "ETag": '"' + "0" * 32 + '"'}]}

    # SeaweedFS knows no upload without parts
    code = bucket.code("complete_multipart_upload", **which, MultipartUpload=parts)
    assert code in {"InvalidPart", "NoSuchUpload"}
    assert [] == bucket.keys()


def test_a_copy_is_another_object(bucket):
    """CopyObject needs no content from the client."""
    bucket.put_object(Key="a", Body=b"content", ContentType="text/plain")
    bucket.copy_object(Key="b", CopySource={"Bucket": bucket.name, "Key": "a"})
    got = bucket.get_object(Key="b")

    assert (b"content", "text/plain") == (got["Body"].read(), got["ContentType"])


@pytest.mark.parametrize(
    "key", ["a//b", "../a", "a/./b", "a\x01\tb", "a\\b", "dir/", "a%2fb", "．．/x", "/a", "."]
)
def test_a_key_is_kept_exactly(exact_server, key):
    """No key is normalised, neither in the listing nor on the way to the object."""
    bucket = Bucket(exact_server)
    bucket.put_object(Key=key, Body=b"x")

    assert ([key], b"x") == (bucket.keys(), bucket.get_object(Key=key)["Body"].read())


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ({"ContentMD5": base64.b64encode(hashlib.md5(b"other").digest()).decode()}, "BadDigest"),
        ({"ChecksumCRC32": "AAAAAA=="}, "BadDigest"),
        ({"ChecksumCRC32C": "AAAAAA=="}, "BadDigest"),
        ({"ChecksumCRC64NVME": "AAAAAAAAAAA="}, "BadDigest"),
        ({"ChecksumSHA1": base64.b64encode(bytes(20)).decode()}, "BadDigest"),
        ({"ChecksumSHA256": base64.b64encode(bytes(32)).decode()}, "BadDigest"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else value,
)
def test_a_wrong_checksum_is_refused(verifying_server, words, code):
    """Nothing is stored that is not what the client meant to send."""
    bucket = Bucket(verifying_server)

    assert code == bucket.code("put_object", Key="a", Body=b"content", **words)
    assert [] == bucket.keys()


@pytest.mark.parametrize("code", WRONG_KEYS)
def test_wrong_keys_are_refused(verifying_server, code):
    """A caller with an unknown id, or with another secret, is told so."""
    assert code == Bucket(verifying_server, **WRONG_KEYS[code]).code("list_objects_v2")
