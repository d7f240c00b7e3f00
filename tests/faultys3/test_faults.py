"""What the scripted S3 does wrong, seen by a client that does not try again."""

import time

import pytest
from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
    SSLError,
)
from s3servers import client_of

import faultys3
from faultys3 import FaultyS3

ONCE = {"retries": {"total_max_attempts": 1}, "read_timeout": 1, "connect_timeout": 1}
BROKEN = (ConnectionClosedError, IncompleteReadError, ResponseStreamingError)
DATA = bytes(range(256)) * 4096


def single_of(server, **options):
    """Return a client that tries everything once, and waits for a second."""
    return client_of(server, config=Config(**{**ONCE, **options}))


@pytest.fixture
def client(faulty_s3):
    """Give a client that tries everything once."""
    return single_of(faulty_s3)


def put(client, key="a", data=DATA, **words):
    """Put an object."""
    return client.put_object(Bucket="test", Key=key, Body=data, **words)


def get(client, key="a", **words):
    """Return the content of an object."""
    return client.get_object(Bucket="test", Key=key, **words)["Body"].read()


def code_of(action, *arguments, **words):
    """Return code and status of the error that an action ends with."""
    with pytest.raises(ClientError) as caught:
        action(*arguments, **words)
    return caught.value.response["Error"]["Code"], caught.value.response["ResponseMetadata"]["HTTPStatusCode"]


@pytest.mark.parametrize(
    ("fault", "status", "retry_after"),
    [
        (faultys3.throttle(), 503, None),
        (faultys3.throttle(429, retry_after_s=3), 429, "3"),
    ],
)
def test_a_throttled_call_says_when_to_come_back(faulty_s3, client, fault, status, retry_after):
    """SlowDown comes with either status, with or without Retry-After, and nothing is stored."""
    faulty_s3.add(fault, operation="PutObject")
    with pytest.raises(ClientError) as caught:
        put(client)
    answer = caught.value.response

    assert ("SlowDown", status) == (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"])
    assert retry_after == answer["ResponseMetadata"]["HTTPHeaders"].get("retry-after")
    assert {} == faulty_s3.objects


@pytest.mark.parametrize(
    ("code", "status"),
    [("InternalError", 500), ("AccessDenied", 403), ("NoSuchKey", 404), ("ExpiredToken", 400)],
)
def test_any_error_can_be_answered(faulty_s3, client, code, status):
    """An error has the status of its code."""
    faulty_s3.add(faultys3.error(code), operation="GetObject")

    assert (code, status) == code_of(get, client)


def test_a_rule_counts_the_calls_that_it_is_about(faulty_s3, client):
    """Only the named calls of this operation and these keys fail, and the rule knows how many."""
    rule = faulty_s3.add(faultys3.error(), operation="Put*", key="a/*", calls=[2, 3])
    ended = []
    for key in ("a/1", "b/1", "a/2", "a/3", "a/4"):
        try:
            put(client, key, b"x")
            ended.append(key)
        except ClientError:
            ended.append(None)

    assert ["a/1", "b/1", None, None, "a/4"] == ended
    assert (4, 2) == (rule.seen, rule.hits)


def test_chance_is_the_same_each_time(faulty_s3, client):
    """With a probability, the seed decides which calls fail."""
    seen = []
    for seed in (1, 1, 2):
        rule = faulty_s3.add(faultys3.answer_headers({"x-bad": "1"}), probability=0.5, seed=seed)
        answers = [client.head_bucket(Bucket="test")["ResponseMetadata"]["HTTPHeaders"] for _ in range(20)]
        seen.append(["x-bad" in headers for headers in answers])
        faulty_s3.rules.remove(rule)

    assert seen[0] == seen[1] != seen[2]
    assert 0 < sum(seen[0]) < 20


def test_a_cleared_server_does_nothing_wrong(faulty_s3, client):
    """After `clear` no rule holds and no call is remembered; the objects stay."""
    put(client)
    faulty_s3.add(faultys3.drop())
    faulty_s3.clear()

    assert DATA == get(client)
    assert ["GetObject"] == [call.operation for call in faulty_s3.calls]


def test_a_dropped_call_was_not_carried_out(faulty_s3, client):
    """The connection closes without an answer, and nothing has happened."""
    faulty_s3.add(faultys3.drop(), operation="PutObject")
    with pytest.raises(ConnectionClosedError):
        put(client)

    assert ({}, None) == (faulty_s3.objects, faulty_s3.calls[-1].status)


@pytest.mark.parametrize("ending", ["close", "reset"])
def test_a_lost_reply_was_carried_out(faulty_s3, client, ending):
    """The connection closes without an answer, but the object is there."""
    faulty_s3.add(faultys3.lose_reply(ending), operation="PutObject")
    with pytest.raises(ConnectionClosedError):
        put(client)

    assert {"a": DATA} == faulty_s3.objects


@pytest.mark.parametrize("after", [0, 7, 0.5])
@pytest.mark.parametrize("fault", [faultys3.reset, faultys3.truncate])
def test_an_answer_breaks_off_in_its_body(faulty_s3, client, fault, after):
    """The promised length does not come."""
    put(client)
    faulty_s3.add(fault(after), operation="GetObject")
    with pytest.raises(BROKEN):
        get(client)


@pytest.mark.parametrize("fault", [faultys3.reset(), faultys3.truncate(1000)])
def test_a_request_breaks_off_in_its_body(faulty_s3, client, fault):
    """The server reads some of the body, and nothing is stored."""
    faulty_s3.add(fault, operation="PutObject")
    with pytest.raises((ConnectionClosedError, EndpointConnectionError)):
        put(client)
    received = faulty_s3.calls[-1].received_bytes

    assert (True, {}) == (0 < received < len(DATA), faulty_s3.objects)


@pytest.mark.parametrize(("fault", "is_stored"), [(faultys3.hang(), False), (faultys3.hang_after(), True)])
def test_a_silent_server_runs_into_the_clients_timeout(faulty_s3, client, fault, is_stored):
    """No answer comes, whether the call was carried out or not."""
    faulty_s3.add(fault, operation="PutObject")
    with pytest.raises((ReadTimeoutError, ConnectionClosedError)):
        put(client, data=b"x")

    assert is_stored == bool(faulty_s3.objects)


def test_a_stalled_answer_runs_into_the_clients_timeout(faulty_s3, client):
    """Half of the body comes, and then nothing."""
    put(client)
    faulty_s3.add(faultys3.stall(), operation="GetObject")
    with pytest.raises(ReadTimeoutError):
        get(client)


def test_a_stalled_request_runs_into_the_clients_timeout(faulty_s3, client):
    """Half of the body is read, and then nothing."""
    faulty_s3.add(faultys3.stall(), operation="PutObject")
    with pytest.raises((ReadTimeoutError, ConnectionClosedError)):
        put(client)

    assert len(DATA) // 2 == faulty_s3.calls[-1].received_bytes


def test_a_flipped_bit_on_the_way_in_is_a_bad_digest(faulty_s3, client):
    """With a signed body or a checksum the damage is seen, and nothing is stored."""
    faulty_s3.add(faultys3.corrupt(), operation="PutObject")

    # over plain HTTP boto3 signs what it sends
    assert ("XAmzContentSHA256Mismatch", 400) == code_of(put, client)
    assert ("BadDigest", 400) == code_of(put, single_of(faulty_s3, s3={"payload_signing_enabled": False}))
    assert {} == faulty_s3.objects


def test_a_flipped_bit_that_nobody_guards_against_is_stored(faulty_s3):
    """Without a checksum the object differs in one bit."""
    signing = {"payload_signing_enabled": False}
    client = single_of(faulty_s3, request_checksum_calculation="when_required", s3=signing)
    faulty_s3.add(faultys3.corrupt(), operation="PutObject")
    put(client)

    assert [1] == [a ^ b for a, b in zip(DATA, faulty_s3.objects["a"], strict=True) if a != b]


def test_a_flipped_bit_on_the_way_out(faulty_s3, client):
    """Length and ETag are right, and the content is not."""
    put(client)
    faulty_s3.add(faultys3.corrupt(), operation="GetObject")
    client.meta.config.response_checksum_validation = "when_required"
    got = client.get_object(Bucket="test", Key="a")

    assert 1 == sum(a != b for a, b in zip(DATA, got["Body"].read(), strict=True))


def test_a_completion_can_fail_in_a_200(faulty_s3, client):
    """The error stands in the body, boto3 sees it, and the upload is still open."""
    upload = client.create_multipart_upload(Bucket="test", Key="a")["UploadId"]
    part = client.upload_part(Bucket="test", Key="a", UploadId=upload, PartNumber=1, Body=b"x")
    faulty_s3.add(faultys3.error_in_200(), operation="CompleteMultipartUpload", calls=[1])
    words = {"Bucket": "test", "Key": "a", "UploadId": upload}
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}

    assert "InternalError" == code_of(client.complete_multipart_upload, **words, MultipartUpload=parts)[0]
    assert ([upload], 200) == ([each.upload_id for each in faulty_s3.uploads], faulty_s3.calls[-1].status)
    client.complete_multipart_upload(**words, MultipartUpload=parts)
    assert ({"a": b"x"}, []) == (faulty_s3.objects, faulty_s3.uploads)


def test_a_redirect_names_the_same_place_elsewhere(faulty_s3, client):
    """Path and query are kept, and the record of the other server shows who came with credentials."""
    with FaultyS3() as other:
        faulty_s3.add(faultys3.redirect(other.endpoint_url, 301), operation="GetObject")
        with pytest.raises(ClientError) as caught:
            get(client, "a b")
        location = caught.value.response["ResponseMetadata"]["HTTPHeaders"]["location"]

    assert f"{other.endpoint_url}/test/a%20b" == location
    assert ({True}, []) == ({call.has_credentials for call in faulty_s3.calls}, other.calls)


def test_an_object_can_change_between_two_ranges(faulty_s3, client):
    """The second range belongs to another object, and whoever pins it is told."""
    etag = put(client, data=b"first")["ETag"]
    faulty_s3.add(faultys3.replace_object(b"other"), operation="GetObject", calls=[2])
    assert b"fi" == get(client, Range="bytes=0-1", IfMatch=etag)
    assert ("PreconditionFailed", 412) == code_of(get, client, Range="bytes=2-4", IfMatch=etag)
    assert {"a": b"other"} == faulty_s3.objects


def test_an_object_can_vanish(faulty_s3, client):
    """Somebody else deletes it just before the call."""
    put(client)
    faulty_s3.add(faultys3.replace_object(None), operation="GetObject")

    assert ("NoSuchKey", 404) == code_of(get, client)


def test_headers_of_an_answer_can_lie(faulty_s3, client):
    """An ETag can be another one, and a header can be missing."""
    faulty_s3.add(faultys3.answer_headers({"etag": '"0"', "x-amz-request-id": None}), operation="PutObject")
    answer = put(client)

    assert '"0"' == answer["ETag"]
    assert "x-amz-request-id" not in answer["ResponseMetadata"]["HTTPHeaders"]


def test_a_test_can_act_in_the_middle_of_a_call(faulty_s3, client):
    """The function is called with the call, before the body is read."""
    seen = []
    action = faultys3.do(lambda call: seen.append((call.key, call.received_bytes)))
    faulty_s3.add(action, operation="PutObject")
    put(client)

    assert ([("a", 0)], {"a": DATA}) == (seen, faulty_s3.objects)


def test_faults_can_be_combined(faulty_s3, client):
    """Every rule that applies acts: here a wrong ETag on an answer that breaks off."""
    put(client)
    faulty_s3.add(faultys3.answer_headers({"ETag": '"0"'}), operation="GetObject")
    faulty_s3.add(faultys3.truncate(), operation="GetObject")
    got = client.get_object(Bucket="test", Key="a")
    with pytest.raises(BROKEN):
        got["Body"].read()

    assert ('"0"', ("answer_headers", "truncate")) == (got["ETag"], faulty_s3.calls[-1].faults)


def test_credentials_can_expire_and_be_renewed(faulty_s3):
    """An expired session token is told, and another one accepted."""
    faulty_s3.keys["temporary"] = faultys3.Keys("secret", token="first")
    words = {"aws_access_key_id": "temporary", "aws_secret_access_key": "secret"}
    first = client_of(faulty_s3, **words, aws_session_token="first")
    put(first)
    faulty_s3.keys["temporary"].is_expired = True
    assert ("ExpiredToken", 400) == code_of(put, first)
    faulty_s3.keys["temporary"] = faultys3.Keys("secret", token="second")

    assert ("InvalidToken", 400) == code_of(put, first)
    put(client_of(faulty_s3, **words, aws_session_token="second"))


def test_clocks_that_disagree_are_told(faulty_s3, client):
    """An hour is too much, a minute is not."""
    faulty_s3.clock_offset_s = 60
    put(client)
    faulty_s3.clock_offset_s = 3600

    assert ("RequestTimeTooSkewed", 403) == code_of(put, client)


def test_the_rate_can_be_limited():
    """Bodies pass at so many bytes a second, both ways."""
    with FaultyS3(bytes_per_s=len(DATA) * 4) as server:
        client = client_of(server)
        begun = time.monotonic()
        put(client)
        assert DATA == get(client)

    assert time.monotonic() - begun >= 0.4


@pytest.mark.parametrize("kind", ["expired", "wrong-host"])
def test_a_bad_certificate_is_refused_by_who_looks(kind):
    """The authority is trusted, and still the certificate is not; no request is made."""
    with FaultyS3(tls=kind) as server:
        with pytest.raises(SSLError):
            put(single_of(server))
        assert [] == server.calls


def test_a_good_certificate_needs_its_authority():
    """Over TLS all works for whoever knows the authority, uploads with trailing checksums too."""
    with FaultyS3(tls="valid") as server:
        put(client_of(server))
        with pytest.raises(SSLError):
            put(client_of(server, verify=True))
        (call,) = server.calls

    assert ("STREAMING-UNSIGNED-PAYLOAD-TRAILER", {"a": DATA}) == (
        call.headers["x-amz-content-sha256"],
        server.objects,
    )


def test_a_trailing_checksum_is_verified():
    """What `aws-chunked` carries at its end is held against the content."""
    with FaultyS3(tls="valid") as server:
        server.add(faultys3.corrupt(), operation="PutObject")
        assert ("BadDigest", 400) == code_of(put, client_of(server))


def test_every_call_is_recorded(faulty_s3, client):
    """Operation, key, headers, size, status and time of each request can be asserted."""
    put(client)
    code_of(get, client, "missing")
    first, second = faulty_s3.calls

    assert ("PutObject", "test", "a", len(DATA), 200) == (
        *(first.operation, first.bucket, first.key),
        *(first.received_bytes, first.status),
    )
    assert ("GetObject", "missing", 404, "NoSuchKey") == (
        *(second.operation, second.key),
        *(second.status, second.error_code),
    )
    assert first.began_at <= second.began_at
    assert [first] == faulty_s3.calls_of("PutObject", "a")


def test_a_server_that_cannot_start_says_so(monkeypatch):
    """A start that fails is an error of the test, and no endless wait."""
    monkeypatch.setattr("faultys3.server.ADDRESS", "203.0.113.1")  # of documentation, and nobody's
    with pytest.raises(OSError, match=r"203\.0\.113\.1"), FaultyS3():
        pass


def test_an_unknown_kind_of_certificate_is_said():
    """A misspelt kind is an error, and no plain server."""
    with pytest.raises(ValueError, match="valid, expired, wrong-host"), FaultyS3(tls="self-signed"):
        pass


def test_anything_else_is_said_to_be_unknown(faulty_s3, client):
    """An operation that the server does not have is refused, and not taken for another."""
    assert ("NotImplemented", 501) == code_of(client.get_object_acl, Bucket="test", Key="a")
