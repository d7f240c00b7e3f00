"""Replies that no S3 should give, and what the libraries below raise: told in words of ours."""

from types import SimpleNamespace

import pytest
from botocore.exceptions import BotoCoreError, ParamValidationError
from botocore.parsers import ResponseParserError
from faultys3 import Fault, answer_headers, error, truncate
from faultys3.answers import Answer
from storekinds import QUICK, account_of_server, content_of, keys_of, memory_store, store_of

from hyperplane.errors import CredentialsError, MissingExtraError, StoreAccessError, StoreError
from hyperplane.stores import Reading, fast
from hyperplane.stores.credentials import ChainCredentials
from hyperplane.stores.failures import PassingError, botocore_errors, error_of, obstore_errors
from hyperplane.stores.fast import FastStore
from hyperplane.stores.filesystem import open_filesystem
from hyperplane.stores.plain import regrouped


def answering(body, status=200):
    """Return the fault of answering with this body."""
    return Fault("answering", instead=lambda call, store: Answer(status, {}, body))


LISTING = b"<ListBucketResult><IsTruncated>%b</IsTruncated>%b</ListBucketResult>"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html><body>Sign in</body>", "no listing of S3"),
        (b"<html></html>", "no listing of S3"),
        (b"", "no listing of S3"),
        (b"<Error><Code>AccessDenied</Code></Error>", "no permission"),
        (LISTING % (b"true", b""), "ends in the middle"),
    ],
)
def test_a_reply_that_is_no_listing_is_an_error(faulty_s3, faulty_store, body, words):
    """Never an empty or shorter one."""
    faulty_s3.add(answering(body), operation="ListObjectsV2")
    with pytest.raises(StoreError, match=words):
        keys_of(faulty_store)


def test_a_listing_that_breaks_off_is_asked_for_again(faulty_s3, faulty_store):
    """No key is lost."""
    for number in range(50):
        faulty_s3.put(f"{number:02}", b"x")
    faulty_s3.add(truncate(), operation="ListObjectsV2", calls=[1])

    assert 50 == len(keys_of(faulty_store))


def test_a_listing_whose_keys_are_not_quoted_is_read(faulty_s3, faulty_store):
    """Some stores do not know how to, and a plus is a plus then."""
    found = (
        b"<Contents><Key>a+b</Key><Size>1</Size><LastModified>2026-01-01T00:00:00Z</LastModified></Contents>"
    )
    faulty_s3.add(answering(LISTING % (b"false", found)), operation="ListObjectsV2")

    assert ["a+b"] == keys_of(faulty_store)


def test_head_without_a_time_is_borne(faulty_s3, faulty_store):
    """There is none then."""
    faulty_s3.put("a", b"x")
    faulty_s3.add(answer_headers({"Last-Modified": None}), operation="HeadObject")

    assert (1, None) == faulty_store.head("a")[1:3]


@pytest.mark.parametrize(
    ("code", "kind"), [("AccessDenied", StoreAccessError), ("InternalError", StoreError)]
)
def test_an_object_that_is_not_deleted_is_told(faulty_s3, faulty_store, code, kind):
    """The reply says 200, and has it inside."""
    told = f"<DeleteResult><Error><Key>a</Key><Code>{code}</Code><Message>m</Message></Error></DeleteResult>"
    faulty_s3.add(answering(told.encode()), operation="DeleteObjects")
    with pytest.raises(kind):
        faulty_store.delete(["a", "b"])


def test_a_part_of_a_lost_multipart_upload_is_told(faulty_s3, faulty_store):
    """Somebody has aborted it, again and again."""
    faulty_s3.add(error("NoSuchUpload"), operation="CompleteMultipartUpload")
    with pytest.raises(StoreError, match="does not know the upload") as caught:
        faulty_store.write_chunks("a", lambda: [b"x"])

    assert not isinstance(caught.value, PassingError)


def test_a_bucket_that_is_gone_is_told_of_parts(faulty_s3, faulty_store):
    """It is no upload that could be sent again."""
    faulty_s3.add(error("NoSuchBucket"), operation="CreateMultipartUpload")
    with pytest.raises(StoreError, match="there is no bucket"):
        faulty_store.write_chunks("a", lambda: [b"x"])

    assert 1 == len(faulty_s3.calls_of("CreateMultipartUpload"))


@pytest.mark.parametrize(
    ("raised", "is_passing"),
    [
        (ParamValidationError(report="r"), False),
        (BotoCoreError(), False),
        (ResponseParserError("cut"), True),
        (OSError(9, "bad"), True),
    ],
)
def test_what_botocore_raises_is_told(raised, is_passing):
    """What will never work is not tried again."""
    with pytest.raises(StoreError, match="s3://b/k") as caught, botocore_errors("s3://b/k"):
        raise raised

    assert is_passing == isinstance(caught.value, PassingError)


def test_what_obstore_refuses_is_not_tried_again():
    """A key that it cannot name, for instance."""
    with pytest.raises(StoreError, match="was refused") as caught:
        memory_store().write("a//b", b"")

    assert not isinstance(caught.value, PassingError)


def test_errors_of_ours_pass_through():
    """They are not wrapped again."""
    with pytest.raises(CredentialsError, match="mine"), obstore_errors("s3://b/k"):
        raise CredentialsError("mine")


@pytest.mark.parametrize(
    ("status", "kind"), [(401, CredentialsError), (400, CredentialsError), (403, StoreAccessError)]
)
def test_a_status_without_a_code_is_told(status, kind):
    """The reply to a HEAD has none."""
    assert type(error_of("s3://b/k", status=status, code="")) is kind


@pytest.mark.parametrize("name", ["UnauthenticatedError", "NotModifiedError", "PermissionDeniedError"])
def test_kinds_of_obstore_are_told(name):
    """Those that it has no status for."""
    from obstore import exceptions

    expected = {"UnauthenticatedError": 401, "NotModifiedError": 412, "PermissionDeniedError": 403}
    with pytest.raises(StoreError) as caught, obstore_errors("s3://b/k"):
        raise getattr(exceptions, name)("what")

    assert expected[name] == caught.value.status


def test_chunks_are_regrouped():
    """Whatever comes, pieces have the size, but the last; there is one at least."""
    assert [b"abc", b"def", b"g"] == list(regrouped([b"ab", b"", b"cdefg"], 3))
    assert [b"abc"] == list(regrouped([b"abc"], 3))
    assert [b""] == list(regrouped([], 3))


def test_a_file_system_reads_and_writes(faulty_s3):
    """The same store, with the same credentials."""
    files = open_filesystem(account_of_server(faulty_s3))
    files.pipe_file("test/d/a", b"content")

    assert (b"content", {"d/a": b"content"}) == (files.cat_file("test/d/a"), faulty_s3.objects)


def test_a_file_system_needs_its_extra(faulty_s3, monkeypatch):
    """The error names it."""
    monkeypatch.setitem(__import__("sys").modules, "obstore.fsspec", None)
    with pytest.raises(MissingExtraError, match=r"hyperplane-job\[fsspec\]") as caught:
        open_filesystem(account_of_server(faulty_s3))

    assert ("fsspec", "fsspec") == (caught.value.extra, caught.value.name)


def test_a_session_that_cannot_be_made_is_told():
    """In words of ours, without the rest."""

    def fail():
        raise BotoCoreError

    with pytest.raises(CredentialsError, match="cannot be had: BotoCoreError"):
        ChainCredentials(fail, print).get()


def test_a_first_use_is_remembered(monkeypatch):
    """By the process that it was in."""
    monkeypatch.setattr(fast, "_first_pid", None)
    before = fast.works_here()
    memory_store().write("a", b"x")
    during = fast.works_here()
    monkeypatch.setattr(fast, "_first_pid", 1)

    assert (True, True, False) == (before, during, fast.works_here())


def test_patience_of_a_store_over_obstore_changes_nothing():
    """Nothing waits there."""
    store = memory_store()

    assert store is store.patient(QUICK.sleep)
    assert isinstance(store, FastStore)


def test_credentials_of_obstore_are_asked_for_again(faulty_s3):
    """When the time has come, the source is asked, not the first ones."""
    provide = fast.credential_provider(account_of_server(faulty_s3))
    first, second = provide(), provide()

    assert first["access_key_id"] == second["access_key_id"] == faulty_s3.access_key_id
    assert content_of(store_put(faulty_s3), "a") == b"x"


def store_put(server):
    """Return a store with an object."""
    store = store_of(server)
    store.write("a", b"x")
    return store


@pytest.mark.parametrize("span", [(2, 5), (2, None), (0, 5)])
def test_a_store_that_ignores_ranges_is_refused(faulty_s3, faulty_store, span):
    """The whole object is not taken for a part of it."""
    faulty_s3.put("a", b"0123456789")

    def ignore(call):
        call.headers.pop("range")

    faulty_s3.add(Fault("ignore", instead=lambda call, store: ignore(call)), operation="GetObject")
    with pytest.raises(StoreError, match="s3://test/a"):
        content_of(faulty_store, "a", *span)


def test_less_than_was_asked_for_is_an_error():
    """Even where a store does not say so."""
    store = memory_store()
    store.write("a", b"0123456789")
    with pytest.raises(PassingError, match="broke off after 10 of 100 bytes"):
        content_of(store, "a", 0, 100)


def test_head_without_a_size_is_refused(faulty_s3, faulty_store):
    """There is nothing to go by."""
    faulty_s3.put("a", b"x")
    asking = faulty_store._connections.asking
    asking._head = lambda key: SimpleNamespace(headers={})
    with pytest.raises(StoreError, match="does not tell its size"):
        faulty_store.head("a")


def test_chunks_that_are_not_wanted_any_more_have_not_failed():
    """Their end is no error of theirs."""
    watched = fast._Watched(lambda: iter([b"a", b"b"]))
    chunks = iter(watched)
    first = next(chunks)
    chunks.close()

    assert (b"a", None) == (first, watched.error)


def test_a_reading_can_be_left(faulty_s3, faulty_store):
    """Its chunks end there; others than a generator are left alone."""
    faulty_s3.put("a", bytes(2_000_000))
    with faulty_store.read("a") as reading:
        pass
    with Reading(reading.info, iter([b"x"])) as kept:
        pass

    assert ([], [b"x"]) == (list(reading.chunks), list(kept.chunks))


@pytest.mark.parametrize(("bucket", "host"), [("b", "b.s3.us-east-1."), ("b.c", "s3.us-east-1.")])
def test_a_bucket_of_aws_is_found_at_its_host(faulty_s3, bucket, host):
    """Where it has one."""
    account = account_of_server(faulty_s3, endpoint_url=None, ca_file=None)
    config = fast.open_bucket(account, bucket).config

    assert config["endpoint"].startswith(f"https://{host}amazonaws.com")
