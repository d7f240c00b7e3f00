"""Objects of a fake context: in memory, exact, and shared by its attempts."""

import pytest

import hyperplane
from hyperplane.testing import FakeJobContext
from hyperplane.testing.objects import MemoryStore

ACCOUNTLESS = {
    "client": lambda s3: s3.client,
    "credentials": lambda s3: s3.credentials,
    "filesystem": lambda s3: s3.filesystem(),
}


@pytest.mark.parametrize("use", ACCOUNTLESS.values(), ids=ACCOUNTLESS)
def test_what_needs_an_account_is_refused(use):
    """The error names the server that has one."""
    with pytest.raises(hyperplane.UsageError, match="s3_server"):
        use(FakeJobContext().s3)


def test_attempts_share_objects():
    """What one attempt has written, the next one reads."""
    first = FakeJobContext(objects={"a": b"1"})
    first.s3.write_bytes("b", b"2")
    assert {"a": b"1", "b": b"2"} == first.next_attempt().objects


def test_objects_can_be_seen_after_the_end():
    """As everything that the job did."""
    with FakeJobContext() as context:
        context.s3.write_bytes("a", b"1")
    assert {"a": b"1"} == context.objects


def test_buckets_are_told_apart():
    """Objects of other buckets than the usual one go by their URLs."""
    context = FakeJobContext(objects={"s3://other/b": b"2", "a": b"1"})
    assert b"2" == context.s3.using("other").read_bytes("b")
    assert {"a": b"1", "s3://other/b": b"2"} == context.objects


def test_the_usual_bucket_can_be_named():
    """By the setting, as for a real context."""
    context = FakeJobContext(environ={"HYPERPLANE_S3_BUCKET": "mine"})
    assert "s3://mine/a" == context.s3.write_bytes("a", b"1")


def test_another_account_has_the_same_objects():
    """A fake has no accounts to tell apart."""
    context = FakeJobContext(objects={"a": b"1"})
    assert b"1" == context.s3.using(secrets="partner", region="eu-west-1").read_bytes("a")


@pytest.mark.parametrize("key", ["a//b", "/a", "../a", "a/", "\n", "ü", "．．/x"])
def test_keys_are_exact(key):
    """As those of S3 are."""
    store = MemoryStore("s3://fake")
    store.write(key, b"1")
    assert [key] == [info.key for page in store.pages() for info in page]


def test_the_facet_may_be_injected():
    """Then it is the one that is used, and a context with it cannot be pickled."""
    s3 = FakeJobContext(objects={"a": b"1"}).s3
    with hyperplane.JobContext(s3=s3, environ={}) as context:
        assert s3 is context.s3
        with pytest.raises(TypeError, match="s3"):
            __import__("pickle").dumps(context)
