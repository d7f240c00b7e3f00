"""Hosts, certificates, redirects and processes: who is talked to, and who is told what."""

import multiprocessing
import os

import pytest
from faultys3 import FaultyS3, Keys, redirect
from processes import exit_code_of_fork, open_descriptors
from storekinds import account_of_server, content_of, keys_of, memory_store, store_of

from hyperplane.errors import StoreError
from hyperplane.stores import fast
from hyperplane.stores.signed import Asking

USES = {
    "read": lambda store: content_of(store, "a"),
    "head": lambda store: store.head("a"),
    "write": lambda store: store.write("a", b"x"),
    "list": keys_of,
    "write_chunks": lambda store: store.write_chunks("a", lambda: [b"x"]),
    "delete": lambda store: store.delete(["a"]),
}
EVERY_USE = pytest.mark.parametrize("use", USES)


@EVERY_USE
def test_a_private_authority_is_trusted_where_it_is_named(seaweed_tls_bucket, path, use):
    """Everything works over HTTPS."""
    store = store_of(seaweed_tls_bucket, path)
    store.write("a", b"x")
    USES[use](store)

    assert seaweed_tls_bucket.endpoint_url.startswith("https://")


@EVERY_USE
@pytest.mark.parametrize("tls", ["expired", "wrong-host", "unknown"])
def test_a_certificate_that_is_not_to_be_trusted_is_refused(path, use, tls):
    """Expired, of another host, of an unknown authority: nothing is asked, once, and the hint helps."""
    with FaultyS3(tls="valid" if tls == "unknown" else tls) as server:
        options = {"ca_file": None} if tls == "unknown" else {}
        with pytest.raises(StoreError, match=r"certificate of the store is not trusted") as caught:
            USES[use](store_of(server, path, **options))

        assert "AWS_CA_BUNDLE" in caught.value.hint
        assert [] == server.calls


@EVERY_USE
@pytest.mark.parametrize("token", [None, "session-token"])
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_takes_no_credentials_along(faulty_s3, path, use, token, status):
    """Whatever another host is asked, it is told neither the signature nor the session token."""
    faulty_s3.keys[faulty_s3.access_key_id] = Keys(faulty_s3.secret_access_key, token)
    with FaultyS3() as other:
        other.put("a", b"theirs")
        elsewhere = other.endpoint_url.replace("127.0.0.1", "localhost")
        faulty_s3.add(redirect(elsewhere, status))
        store = store_of(faulty_s3, path, token=token)
        with pytest.raises(StoreError, match="s3://test"):
            USES[use](store)

        assert [] == [call for call in other.calls if call.has_credentials]
        assert use == "delete" or not any(call.received_bytes for call in other.calls)


@EVERY_USE
def test_a_redirect_from_https_to_http_is_not_followed(faulty_s3, path, use):
    """Nothing is asked there at all."""
    with FaultyS3(tls="valid") as server:
        server.add(redirect(faulty_s3.endpoint_url))
        with pytest.raises(StoreError, match="s3://test"):
            USES[use](store_of(server, path))

    assert [] == faulty_s3.calls


@pytest.mark.parametrize("use", ["read", "write", "list"])
def test_a_store_that_is_not_there_is_named(path, use):
    """The error says that nobody answers."""
    with FaultyS3() as server:
        gone = store_of(server, path)
    with pytest.raises(StoreError, match=r"s3://test.*(refused|no connection|no answer)"):
        USES[use](gone)


def read_in_child(store):
    """Return whether a child gets what the parent wrote, and can write itself."""
    store.write("child", b"written by the child")
    return (
        content_of(store, "a") == b"content" and "child" in keys_of(store) and store.head("a").size_bytes == 7
    )


def test_a_forked_child_of_a_process_that_used_obstore_works(moto_bucket):
    """It takes the other path, and neither hangs nor disturbs its parent."""
    store = store_of(moto_bucket)
    store.write("a", b"content")
    keys_of(store)

    assert 0 == exit_code_of_fork(lambda: read_in_child(store))
    assert 0 == exit_code_of_fork(lambda: read_in_child(store_of(moto_bucket)))
    assert b"written by the child" == content_of(store, "child")


def test_a_forked_child_works_after_any_use_of_obstore(moto_bucket):
    """A store in memory is one, too."""
    memory_store().write("a", b"x")
    store_of(moto_bucket).write("a", b"content")

    assert fast.works_here()
    assert 0 == exit_code_of_fork(lambda: not fast.works_here() and read_in_child(store_of(moto_bucket)))


def _read(server):
    return content_of(store_of(server), "a")


def test_a_pool_of_forked_processes_works(moto_bucket):
    """As multiprocessing makes them where nothing else is asked for."""
    store_of(moto_bucket).write("a", b"content")
    content_of(store_of(moto_bucket), "a")
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert [b"content"] * 4 == pool.map_async(_read, [moto_bucket] * 4).get(timeout=60)


def test_the_process_environment_does_not_change_what_is_asked(faulty_s3, path, monkeypatch):
    """An account is all that counts: not the variables that the libraries would read themselves."""
    for name, value in {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1",
        "AWS_ENDPOINT": "http://127.0.0.1:1",
        "AWS_ACCESS_KEY_ID": "other",
        "AWS_SECRET_ACCESS_KEY": "other",
        "AWS_SESSION_TOKEN": "other",
        "AWS_REGION": "eu-north-1",
        "AWS_DEFAULT_REGION": "eu-north-1",
        "AWS_PROFILE": "missing",
        "AWS_CA_BUNDLE": "/nowhere",
        "AWS_SKIP_SIGNATURE": "true",
        "AWS_UNSIGNED_PAYLOAD": "true",
        "AWS_S3_EXPRESS": "true",
        "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "true",
        "AWS_CHECKSUM_ALGORITHM": "sha256",
        "AWS_REQUEST_PAYER": "true",
        "AWS_MAX_ATTEMPTS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    store = store_of(faulty_s3, path)
    store.write("a", b"x" * 10)
    for use in USES.values():
        use(store)
    sent = {name for call in faulty_s3.calls for name in call.headers if name.startswith("x-amz-")}

    assert {200, 204} >= {call.status for call in faulty_s3.calls}
    assert not {"x-amz-request-payer", "x-amz-security-token"} & sent


@pytest.mark.parametrize("use", ["write", "write_chunks"])
def test_the_kms_key_is_sent(faulty_s3, path, use):
    """With every object that is made."""
    USES[use](store_of(faulty_s3, path, kms_key_id="key-1"))
    made = next(c for c in faulty_s3.calls if c.operation in {"PutObject", "CreateMultipartUpload"})

    assert ("aws:kms", "key-1") == (
        made.headers["x-amz-server-side-encryption"],
        made.headers["x-amz-server-side-encryption-aws-kms-key-id"],
    )


def test_a_session_token_is_sent(faulty_s3, path):
    """With every request."""
    faulty_s3.keys[faulty_s3.access_key_id] = Keys(faulty_s3.secret_access_key, "the-token")
    store = store_of(faulty_s3, path, token="the-token")
    store.write("a", b"x")
    for use in USES.values():
        use(store)

    assert {"the-token"} == {call.headers["x-amz-security-token"] for call in faulty_s3.calls}


def test_connections_are_used_again(faulty_s3, path):
    """A hundred requests need few of them, and nothing is left open."""
    store = store_of(faulty_s3, path)
    store.write("a", b"x")
    keys_of(store), store.head("a"), content_of(store, "a")
    before = open_descriptors()
    for _ in range(30):
        keys_of(store), store.head("a"), content_of(store, "a"), store.write("a", b"x")

    assert open_descriptors() - before < 8


def test_a_proxy_is_asked(faulty_s3, monkeypatch):
    """Where the process has one, and the host is not left out."""
    monkeypatch.setenv("http_proxy", faulty_s3.endpoint_url)
    account = account_of_server(faulty_s3, endpoint_url="http://store.invalid")
    asked = Asking(account, "test")
    with pytest.raises(StoreError):
        asked.page("", after="", token=None)
    monkeypatch.setenv("no_proxy", "store.invalid")
    with pytest.raises(StoreError, match=r"s3://test"):
        Asking(account, "test").page("", after="", token=None)

    assert [f"{account.endpoint}/test/"] == [call.raw_path for call in faulty_s3.calls]
    assert os.environ["no_proxy"]
