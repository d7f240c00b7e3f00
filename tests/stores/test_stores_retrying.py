"""What is tried again, how often, and what is not; with the credentials renewed at most once."""

import threading
import time
from dataclasses import replace

import pytest
from faultys3 import (
    FaultyS3,
    Keys,
    answer_headers,
    corrupt,
    drop,
    error,
    hang,
    lose_reply,
    reset,
    stall,
    throttle,
    truncate,
)  # fmt: skip
from storekinds import QUICK, account_of_server, content_of, keys_of, store_of

from hyperplane.errors import (
    CredentialsError,
    ObjectChangedError,
    ObjectExistsError,
    ObjectNotFoundError,
    StoreAccessError,
    StoreError,
)
from hyperplane.stores.credentials import Credentials, GivenCredentials
from hyperplane.stores.failures import PassingError, corrupted
from hyperplane.stores.retrying import Patience, retry
from hyperplane.stores.s3 import S3Store

USES = {
    "GetObject": lambda store: content_of(store, "a"),
    "HeadObject": lambda store: store.head("a"),
    "PutObject": lambda store: store.write("a", b"content" * 1000),
    "ListObjectsV2": keys_of,
    "DeleteObjects": lambda store: store.delete(["a"]),
    "CreateMultipartUpload": lambda store: store.write_chunks("a", lambda: [b"x"]),
    "CompleteMultipartUpload": lambda store: store.write_chunks("a", lambda: [b"x"]),
}
EVERY_USE = pytest.mark.parametrize("operation", USES)


@pytest.fixture(autouse=True)
def an_object(faulty_s3):
    """Put the object that all ask for."""
    faulty_s3.put("a", b"content" * 1000)


@EVERY_USE
@pytest.mark.parametrize("fault", [throttle(), throttle(429), error("InternalError"), drop(), reset(0.5)])
def test_what_may_pass_is_tried_again(faulty_s3, faulty_store, operation, fault):
    """Twice it fails, the third time it does not, and nobody hears of it."""
    fault = drop() if operation == "HeadObject" and fault.name == "reset" else fault  # it has no body
    faulty_s3.add(fault, operation=operation, calls=[1, 2])
    USES[operation](faulty_store)

    assert len(faulty_s3.calls_of(operation)) >= 3


@EVERY_USE
def test_what_does_not_pass_ends(faulty_s3, path, operation):
    """After as many tries as there are, not the square of it, with an error that names the object."""
    faulty_s3.add(error("InternalError"), operation=operation)
    store = store_of(faulty_s3, path, patience=replace(QUICK, tries=3))
    with pytest.raises(StoreError, match=r"s3://test.*500") as caught:
        USES[operation](store)

    assert not isinstance(caught.value, PassingError)
    assert "try again later" in caught.value.hint
    assert len(faulty_s3.calls_of(operation)) <= (18 if "Multipart" in operation else 3)


@EVERY_USE
@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("AccessDenied", StoreAccessError),
        ("InvalidAccessKeyId", CredentialsError),
        ("NoSuchBucket", ObjectNotFoundError),
    ],
)
def test_what_is_refused_is_not_tried_again(faulty_s3, faulty_store, operation, code, kind):
    """One call, one error of its kind."""
    faulty_s3.add(error(code), operation=operation)
    with pytest.raises(StoreError, match="s3://test") as caught:
        USES[operation](faulty_store)

    assert isinstance(caught.value, kind if operation != "HeadObject" else StoreError)
    assert 1 == len(faulty_s3.calls_of(operation))


@pytest.mark.parametrize("operation", ["GetObject", "HeadObject", "PutObject", "ListObjectsV2"])
@pytest.mark.parametrize("fault", [hang(), stall()])
def test_silence_ends_in_an_error(faulty_s3, path, operation, fault):
    """After a few times as long as a reply may take."""
    if operation == "HeadObject" and fault.name == "stall":
        fault = hang()  # its reply has no body
    faulty_s3.add(fault, operation=operation)
    store = store_of(faulty_s3, path, patience=replace(QUICK, tries=2), read_timeout_s=0.2)
    began = time.monotonic()
    with pytest.raises(StoreError, match="s3://test"):
        USES[operation](store)

    assert time.monotonic() - began < 10


def test_a_silent_store_is_given_up_after_a_while(faulty_s3, path):
    """However many tries there would be."""
    faulty_s3.add(hang(), operation="PutObject")
    patience = replace(QUICK, tries=1000, give_up_s=0.5)
    store = store_of(faulty_s3, path, patience=patience, read_timeout_s=0.2)
    with pytest.raises(StoreError):
        store.write("a", b"x")

    assert len(faulty_s3.calls_of("PutObject")) < 8


def test_what_is_damaged_on_its_way_there_is_sent_again(faulty_s3, faulty_store):
    """The store verifies what it gets."""
    faulty_s3.add(corrupt(), operation="PutObject", calls=[1])
    faulty_store.write("a", b"right")

    assert ({"a": b"right"}, 2) == (faulty_s3.objects, len(faulty_s3.calls_of("PutObject")))


def test_what_is_damaged_on_its_way_here_is_seen_over_boto3(faulty_s3):
    """It verifies the checksum that was stored, and the error is not swallowed at the end of the body."""
    store = store_of(faulty_s3, "plain")
    store.write("a", b"x" * 300_000)
    faulty_s3.add(corrupt(), operation="GetObject")
    with pytest.raises(PassingError, match="does not arrive as it is stored"):
        content_of(store, "a")


@pytest.mark.parametrize("fault", [truncate(0.5), truncate(0), reset(0.9)])
def test_a_body_that_breaks_off_goes_on(faulty_s3, faulty_store, fault):
    """With the rest of the same version."""
    content = bytes(range(256)) * 8000
    etag = faulty_s3.put("a", content).etag
    faulty_s3.add(fault, operation="GetObject", calls=[1, 2])
    read = content_of(faulty_store, "a", 1000, 2_000_000)

    assert content[1000:2_000_000] == read
    assert {f'"{etag}"'} == {call.headers["if-match"] for call in faulty_s3.calls_of("GetObject")[1:]}


def test_the_rest_of_an_object_without_a_version_is_not_asked_for(faulty_s3, faulty_store):
    """It could be of another."""
    faulty_s3.put("a", bytes(2_000_000))
    faulty_s3.add(answer_headers({"ETag": None}))
    faulty_s3.add(truncate(), operation="GetObject", calls=[1])
    with pytest.raises(PassingError):
        content_of(faulty_store, "a")


def test_a_body_that_breaks_off_again_and_again_ends(faulty_s3, path):
    """Where nothing new arrives."""
    faulty_s3.put("a", bytes(2_000_000))
    faulty_s3.add(truncate(0), operation="GetObject")
    store = store_of(faulty_s3, path, patience=replace(QUICK, tries=3))
    with pytest.raises(StoreError) as caught:
        content_of(store, "a")

    assert not isinstance(caught.value, PassingError)
    assert 3 == len(faulty_s3.calls_of("GetObject"))


def test_a_reply_that_got_lost_is_no_conflict(faulty_s3, faulty_store):
    """The new object is there, and is ours."""
    faulty_s3.add(lose_reply(), operation="PutObject", calls=[1])
    etag = faulty_store.write("new", b"ours", is_new=True)

    assert (b"ours", etag) == (faulty_s3.objects["new"], faulty_store.head("new").etag)


def test_an_object_of_somebody_else_is_a_conflict(faulty_s3, faulty_store):
    """Even where a first try failed, and the other was quicker."""
    faulty_s3.add(error("InternalError"), operation="PutObject", calls=[1])
    faulty_s3.put("new", b"theirs")
    with pytest.raises(ObjectExistsError, match="s3://test/new exists already"):
        faulty_store.write("new", b"ours", is_new=True)

    assert b"theirs" == faulty_s3.objects["new"]


def test_two_that_make_a_new_object_at_once_are_told_apart(faulty_s3, faulty_store):
    """The store asks one of them to try again."""
    faulty_s3.add(error("ConditionalRequestConflict", 409), operation="PutObject", calls=[1])
    faulty_store.write("new", b"x", is_new=True)

    assert 2 == len(faulty_s3.calls_of("PutObject"))


@pytest.mark.parametrize("can_repeat", [True, False])
def test_an_upload_that_is_gone_is_sent_again_where_it_can_be(faulty_s3, faulty_store, can_repeat):
    """The reply to its completion got lost; where it cannot be, the error says to look."""
    faulty_s3.add(lose_reply(), operation="CompleteMultipartUpload", calls=[1])
    if can_repeat:
        faulty_store.write_chunks("b", lambda: [b"x"])
    else:
        with pytest.raises(StoreError, match="look whether the object is there") as caught:
            faulty_store.write_chunks("b", lambda: [b"x"], can_repeat=False)
        assert not isinstance(caught.value, PassingError)

    assert (b"x", []) == (faulty_s3.objects["b"], faulty_s3.uploads)


def test_errors_hold_nothing_of_the_reply(faulty_s3, faulty_store):
    """It may quote the request, with its session token."""
    secret = Keys("other-secret")
    faulty_s3.keys[faulty_s3.access_key_id] = secret
    for use in USES.values():
        with pytest.raises(StoreError) as caught:
            use(faulty_store)
        assert "says the scripted server" not in repr(vars(caught.value)) + str(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__ or caught.value.__context__ is None


class Renewable:
    """Credentials that expire, and count how often they are renewed."""

    def __init__(self, server, *, is_helped=True):
        self.renewals, self._server, self._is_helped = 0, server, is_helped
        server.keys["old"] = Keys("old-secret", is_expired=True)

    def get(self):
        is_new = self.renewals and self._is_helped
        server = self._server
        return (
            Credentials(server.access_key_id, server.secret_access_key)
            if is_new
            else Credentials("old", "old-secret")
        )

    def renew(self):
        self.renewals += 1


@EVERY_USE
def test_expired_credentials_are_renewed_once(faulty_s3, path, operation):
    """Then all goes well."""
    source = Renewable(faulty_s3)
    account = replace(account_of_server(faulty_s3), credentials=source)
    USES[operation](S3Store(account, "test", patience=QUICK, is_plain=path == "plain"))

    assert 1 == source.renewals


@EVERY_USE
def test_credentials_that_stay_expired_are_an_error(faulty_s3, path, operation):
    """After one renewal, and another one where a large upload is begun anew."""
    source = Renewable(faulty_s3, is_helped=False)
    account = replace(account_of_server(faulty_s3), credentials=source)
    with pytest.raises(CredentialsError, match="does not take the credentials for s3://test"):
        USES[operation](S3Store(account, "test", patience=QUICK, is_plain=path == "plain"))

    assert source.renewals == 1 + (path == "plain" and "Multipart" in operation)


def test_many_threads_renew_once(faulty_s3, path):
    """Each meets the expiry, one renews."""
    source = Renewable(faulty_s3)
    account = replace(account_of_server(faulty_s3), credentials=source)
    store = S3Store(account, "test", patience=QUICK, is_plain=path == "plain")
    threads = [threading.Thread(target=store.write, args=(f"k{n}", b"x")) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (1, 13) == (source.renewals, len(faulty_s3.objects))


def test_a_clock_that_is_wrong_is_named(path):
    """The hint says which."""
    with FaultyS3(clock_offset_s=3600) as server, pytest.raises(StoreError, match="Set the clock"):
        store_of(server, path).write("a", b"x")


def test_pauses_grow_and_differ():
    """Each is a random part of twice the one before, up to a limit."""
    slept = []
    patience = Patience(base_s=1, longest_s=20, tries=8, sleep=slept.append)

    def fail():
        raise corrupted("s3://b/k", "MD5")

    with pytest.raises(StoreError):
        retry(fail, renew=lambda: None, patience=patience)

    limits = [2, 4, 8, 16, 20, 20, 20]
    assert all(limit / 2 <= pause <= limit for limit, pause in zip(limits, slept, strict=True))
    assert len(set(slept)) == 7


def test_throttling_is_borne_longer():
    """The store only asks to slow down."""
    calls = []

    def fail():
        calls.append(1)
        raise PassingError("busy", is_throttling=True)

    with pytest.raises(StoreError):
        retry(fail, renew=lambda: None, patience=QUICK)

    assert 20 == len(calls)


@pytest.mark.parametrize("status", [301, 307])
def test_a_bucket_elsewhere_is_told(faulty_s3, faulty_store, status):
    """The hint names the settings."""
    faulty_s3.add(error("PermanentRedirect", status), operation="ListObjectsV2")
    with pytest.raises(StoreError, match="HYPERPLANE_S3_REGION"):
        keys_of(faulty_store)


@pytest.mark.parametrize("secret", [None, "changed"])
def test_given_credentials_are_looked_up_again(faulty_s3, path, secret):
    """A mounted secret that has changed is seen after an expiry."""
    found = [
        Credentials("old", "old-secret"),
        Credentials(faulty_s3.access_key_id, faulty_s3.secret_access_key),
    ]
    faulty_s3.keys["old"] = Keys("old-secret", is_expired=True)
    source = GivenCredentials(lambda: found[bool(faulty_s3.calls)])
    account = replace(account_of_server(faulty_s3), credentials=source)
    S3Store(account, "test", patience=QUICK, is_plain=path == "plain").write("k", b"x")

    assert b"x" == faulty_s3.objects["k"]


def test_a_version_that_is_gone_is_not_tried_again(faulty_s3, faulty_store):
    """It will not come back."""
    with pytest.raises(ObjectChangedError):
        content_of(faulty_store, "a", etag='"0"')

    assert 1 == len(faulty_s3.calls)
