"""What the scripted S3 shares with S3, and neither moto nor SeaweedFS have in full."""

import base64
import hashlib
import http.client
import xml.etree.ElementTree as ElementTree

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.handlers import set_list_objects_encoding_type_url
from s3servers import client_of

from faultys3 import FaultyS3, checksums

BUCKET = {"Bucket": "test"}


@pytest.fixture
def client(faulty_s3):
    """Give a client."""
    return client_of(faulty_s3)


@pytest.fixture
def small_parts():
    """Give a server that takes parts of any size, and a client."""
    with FaultyS3(min_part_bytes=0) as server:
        yield client_of(server)


def code_of(action, **words):
    """Return the code of the error that an action ends with."""
    with pytest.raises(ClientError) as caught:
        action(**words)
    return caught.value.response["Error"]["Code"]


def upload(client, *bodies, complete=None, part=None, **begin):
    """Send a multipart upload `a`, with words for each of its steps."""
    begun = client.create_multipart_upload(**BUCKET, Key="a", **begin)["UploadId"]
    which = {**BUCKET, "Key": "a", "UploadId": begun}
    sent = [
        client.upload_part(**which, PartNumber=number, Body=body, **(part or {}))
        for number, body in enumerate(bodies, 1)
    ]
    parts = [{"PartNumber": number, "ETag": each["ETag"]} for number, each in enumerate(sent, 1)]
    return client.complete_multipart_upload(**which, MultipartUpload={"Parts": parts}, **(complete or {}))


@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [
        ("crc32", "cbf43926"),
        ("crc32c", "e3069283"),
        ("crc64nvme", "ae8b14860a799888"),
        ("sha1", hashlib.sha1(b"123456789").hexdigest()),
        ("sha256", hashlib.sha256(b"123456789").hexdigest()),
    ],
)
def test_checksums_have_their_published_values(algorithm, expected):
    """The digits 1 to 9 give the check value of each algorithm."""
    assert expected == base64.b64decode(checksums.checksum(algorithm, b"123456789")).hex()


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256"])
def test_a_checksum_is_given_back(client, algorithm):
    """HEAD with ChecksumMode has the checksum that the object came with; a range has none."""
    client.put_object(**BUCKET, Key="a", Body=b"content", ChecksumAlgorithm=algorithm)
    head = client.head_object(**BUCKET, Key="a", ChecksumMode="ENABLED")
    part = client.get_object(**BUCKET, Key="a", ChecksumMode="ENABLED", Range="bytes=0-1")

    assert checksums.checksum(algorithm.lower(), b"content") == head[f"Checksum{algorithm}"]
    assert ("FULL_OBJECT", False) == (head["ChecksumType"], f"Checksum{algorithm}" in part)
    assert f"Checksum{algorithm}" not in client.head_object(**BUCKET, Key="a")


def test_a_composite_checksum_is_that_of_the_parts(small_parts):
    """An upload in parts has the checksum of their checksums, and their number."""
    upload(small_parts, b"one", b"two", ChecksumAlgorithm="SHA256", part={"ChecksumAlgorithm": "SHA256"})
    head = small_parts.head_object(**BUCKET, Key="a", ChecksumMode="ENABLED")
    joined = hashlib.sha256(b"one").digest() + hashlib.sha256(b"two").digest()

    assert f"{base64.b64encode(hashlib.sha256(joined).digest()).decode()}-2" == head["ChecksumSHA256"]
    assert "COMPOSITE" == head["ChecksumType"]


def test_a_full_checksum_is_that_of_the_object(small_parts):
    """With the type FULL_OBJECT the parts make no difference, and a wrong one is refused."""
    whole = {"ChecksumAlgorithm": "CRC32", "ChecksumType": "FULL_OBJECT"}
    upload(small_parts, b"one", b"two", part={"ChecksumAlgorithm": "CRC32"}, **whole)
    head = small_parts.head_object(**BUCKET, Key="a", ChecksumMode="ENABLED")
    wrong = {"ChecksumCRC32": "AAAAAA==", "ChecksumType": "FULL_OBJECT"}

    assert checksums.checksum("crc32", b"onetwo") == head["ChecksumCRC32"]
    assert "BadDigest" == code_of(lambda: upload(small_parts, b"one", complete=wrong, **whole))


def test_an_upload_with_checksums_wants_one_for_each_part(small_parts):
    """A part without the algorithm that the upload was begun with is refused."""
    assert "InvalidRequest" == code_of(lambda: upload(small_parts, b"one", ChecksumAlgorithm="SHA256"))


def test_parts_are_large_but_for_the_last(client):
    """A part below 5 MiB that another one follows fails the completion."""
    assert "EntityTooSmall" == code_of(lambda: upload(client, b"one", b"two"))


def test_the_size_of_an_upload_can_be_demanded(small_parts):
    """With another size than was promised nothing is made."""
    assert "InvalidRequest" == code_of(lambda: upload(small_parts, b"one", complete={"MpuObjectSize": 4}))
    assert upload(small_parts, b"one", complete={"MpuObjectSize": 3})["ETag"]


@pytest.mark.parametrize(
    ("numbers", "code"), [([2, 1], "InvalidPartOrder"), ([1, 1], "InvalidPartOrder"), ([], "MalformedXML")]
)
def test_parts_are_named_in_order(small_parts, numbers, code):
    """A completion names at least one part, and each once."""
    begun = small_parts.create_multipart_upload(**BUCKET, Key="a")["UploadId"]
    which = {**BUCKET, "Key": "a", "UploadId": begun}
    etags = {n: small_parts.upload_part(**which, PartNumber=n, Body=b"x")["ETag"] for n in (1, 2)}
    parts = {"Parts": [{"PartNumber": n, "ETag": etags[n]} for n in numbers]}

    assert code == code_of(small_parts.complete_multipart_upload, **which, MultipartUpload=parts)


def test_a_completion_can_be_conditional(small_parts):
    """If-None-Match `*` and If-Match hold for uploads in parts too; afterwards the upload is still open."""
    etag = upload(small_parts, b"one", complete={"IfNoneMatch": "*"})["ETag"]
    upload(small_parts, b"two", complete={"IfMatch": etag})

    assert "PreconditionFailed" == code_of(lambda: upload(small_parts, b"x", complete={"IfNoneMatch": "*"}))
    assert "PreconditionFailed" == code_of(lambda: upload(small_parts, b"x", complete={"IfMatch": etag}))
    assert 2 == len(small_parts.list_multipart_uploads(**BUCKET)["Uploads"])


def test_a_completed_upload_is_unknown(small_parts):
    """Whoever completes twice, after a lost reply, has to look whether the object is there."""
    begun = small_parts.create_multipart_upload(**BUCKET, Key="a")["UploadId"]
    which = {**BUCKET, "Key": "a", "UploadId": begun}
    part = small_parts.upload_part(**which, PartNumber=1, Body=b"x")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    small_parts.complete_multipart_upload(**which, MultipartUpload=parts)

    assert "NoSuchUpload" == code_of(small_parts.complete_multipart_upload, **which, MultipartUpload=parts)


def test_parts_and_uploads_come_in_pages(small_parts):
    """No entry is lost or doubled between two pages."""
    keys = ["a", "a", "b/1", "c"]
    ids = [small_parts.create_multipart_upload(**BUCKET, Key=key)["UploadId"] for key in keys]
    for number in (1, 2, 3):
        small_parts.upload_part(**BUCKET, Key="a", UploadId=ids[0], PartNumber=number, Body=b"x")
    uploads = small_parts.get_paginator("list_multipart_uploads").paginate(
        **BUCKET, PaginationConfig={"PageSize": 1}
    )
    parts = small_parts.get_paginator("list_parts").paginate(
        **BUCKET, Key="a", UploadId=ids[0], PaginationConfig={"PageSize": 2}
    )

    assert list(zip(keys, ids, strict=True)) == [
        (each["Key"], each["UploadId"]) for page in uploads for each in page["Uploads"]
    ]
    assert [1, 2, 3] == [each["PartNumber"] for page in parts for each in page["Parts"]]


def test_deleting_several_needs_a_checksum(faulty_s3, client):
    """S3 takes no DeleteObjects without Content-MD5 or a checksum."""
    client.meta.events.register("before-sign.s3.DeleteObjects", _without_checksums)

    assert "InvalidRequest" == code_of(client.delete_objects, **BUCKET, Delete={"Objects": [{"Key": "a"}]})


def _without_checksums(request, **_):
    for name in [name for name in request.headers if name.lower().startswith("x-amz-checksum-")]:
        del request.headers[name]


def test_deleting_several_can_be_quiet(client):
    """A quiet answer names no deleted key."""
    words = {"Objects": [{"Key": "a"}], "Quiet": True}

    assert "Deleted" not in client.delete_objects(**BUCKET, Delete=words)


def test_a_delete_can_be_pinned(client):
    """If-Match deletes this object alone."""
    etag = client.put_object(**BUCKET, Key="a", Body=b"first")["ETag"]
    client.put_object(**BUCKET, Key="a", Body=b"second")

    assert "PreconditionFailed" == code_of(client.delete_object, **BUCKET, Key="a", IfMatch=etag)


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_pages_of_a_folded_listing_lose_nothing(faulty_s3, client, size):
    """Common prefixes count like keys, and come once, wherever a page ends."""
    for key in ("a/1", "a/2", "a/3", "b", "c/1", "c0"):
        faulty_s3.put(key, b"")
    pages = client.get_paginator("list_objects_v2").paginate(
        **BUCKET, Delimiter="/", PaginationConfig={"PageSize": size}
    )
    found = [
        each.get("Key") or each["Prefix"]
        for page in pages
        for each in (*page.get("Contents", []), *page.get("CommonPrefixes", []))
    ]

    assert ["a/", "b", "c/", "c0"] == sorted(found)


@pytest.mark.parametrize("version", ["list_objects", "list_objects_v2"])
def test_both_listings_have_control_characters(faulty_s3, client, version):
    """With `encoding-type=url`, which boto3 asks for, every key comes back as it is."""
    keys = ["a\x01b", "a\nb", "a b+c", "ä&<>\"'"]
    for key in keys:
        faulty_s3.put(key, b"")
    pages = client.get_paginator(version).paginate(**BUCKET, PaginationConfig={"PageSize": 1})

    assert sorted(keys) == [each["Key"] for page in pages for each in page["Contents"]]


def test_without_the_encoding_no_parser_takes_control_characters(faulty_s3):
    """As on S3, a listing in plain XML breaks on such a key."""
    faulty_s3.put("a\x01b", b"")
    client = client_of(faulty_s3, config=Config(signature_version="s3v4"))
    client.meta.events.unregister(
        "before-parameter-build.s3.ListObjectsV2", set_list_objects_encoding_type_url
    )
    url = client.generate_presigned_url("list_objects_v2", Params={**BUCKET})
    address, _, target = url.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(address)
    connection.request("GET", f"/{target}")
    answer = connection.getresponse()
    body = answer.read()
    connection.close()

    assert 200 == answer.status, body
    with pytest.raises(ElementTree.ParseError):
        ElementTree.fromstring(body)


def test_a_request_that_nobody_signed_is_denied(faulty_s3):
    """Without credentials nothing is read."""
    connection = http.client.HTTPConnection(faulty_s3.endpoint_url.removeprefix("http://"))
    connection.request("GET", "/test/a")
    status = connection.getresponse().status
    connection.close()

    assert (403, False) == (status, faulty_s3.calls[0].has_credentials)


@pytest.mark.parametrize(("key", "code"), [("k" * 1025, "KeyTooLongError"), ("ä" * 513, "KeyTooLongError")])
def test_a_key_has_at_most_1024_bytes(client, key, code):
    """Longer keys are refused, and it is the bytes that count."""
    client.put_object(**BUCKET, Key="k" * 1024, Body=b"")

    assert code == code_of(client.put_object, **BUCKET, Key=key, Body=b"")


def test_a_kms_key_is_kept_and_hides_the_md5(client):
    """With KMS the ETag says nothing about the content."""
    words = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "the-key"}
    put = client.put_object(**BUCKET, Key="a", Body=b"content", **words)
    head = client.head_object(**BUCKET, Key="a")

    assert ("aws:kms", "the-key") == (head["ServerSideEncryption"], head["SSEKMSKeyId"])
    assert put["ETag"] == head["ETag"] != f'"{hashlib.md5(b"content").hexdigest()}"'


def test_content_encoding_is_the_clients_own(faulty_s3):
    """A stored encoding is neither undone on the way in, nor mixed with the one of the transport."""
    with FaultyS3(tls="valid") as server:
        client = client_of(server)
        client.put_object(**BUCKET, Key="a", Body=b"not really gzip", ContentEncoding="gzip")

        assert ("gzip", b"not really gzip") == (
            client.head_object(**BUCKET, Key="a")["ContentEncoding"],
            server.objects["a"],
        )


def test_a_wrong_payload_hash_is_refused(faulty_s3):
    """What was signed is what must have come."""
    client = client_of(faulty_s3, config=Config(s3={"payload_signing_enabled": True}))
    client.meta.events.register("before-send.s3.PutObject", _with_another_body)

    assert "XAmzContentSHA256Mismatch" == code_of(client.put_object, **BUCKET, Key="a", Body=b"content")


def _with_another_body(request, **_):
    request.body = b"CONTENT"


def test_an_md5_that_is_none_is_refused(client):
    """Content-MD5 is 16 bytes in base64."""
    assert "InvalidDigest" == code_of(client.put_object, **BUCKET, Key="a", Body=b"", ContentMD5="AAAA")


def test_buckets_come_and_go(client):
    """A bucket can be made once, and removed when it is empty."""
    client.create_bucket(Bucket="other")
    assert ["other", "test"] == [each["Name"] for each in client.list_buckets()["Buckets"]]
    client.put_object(Bucket="other", Key="a", Body=b"")
    assert "BucketNotEmpty" == code_of(client.delete_bucket, Bucket="other")
    client.delete_object(Bucket="other", Key="a")
    client.delete_bucket(Bucket="other")

    assert "BucketAlreadyOwnedByYou" == code_of(client.create_bucket, **BUCKET)
    assert None is client.get_bucket_location(**BUCKET)["LocationConstraint"]
    assert ["test"] == [each["Name"] for each in client.list_buckets()["Buckets"]]
