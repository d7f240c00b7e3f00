"""A store that fails in every way it can: in the end a run is there whole, or said to wait."""

import os
import threading

import pytest
from deliveries import BucketPlace, check_begun, check_invariants, check_there
from faultys3 import (
    FaultyS3,
    Keys,
    corrupt,
    do,
    drop,
    error,
    error_in_200,
    hang_after,
    lose_reply,
    redirect,
    reset,
    stall,
    throttle,
    truncate,
)

from hyperplane.delivery.places import LARGE_BYTES
from hyperplane.errors import HyperplaneError
from hyperplane.runs import record
from hyperplane.stores import account

PART_BYTES = 8 << 20


def deliver(run, place):
    """Deliver a run as `hyperplane deliver` does, and note that it is there; say what stood in the way."""
    try:
        run.deliver(place)
    except HyperplaneError as error:
        return error
    record.read_held(run.run)._replace(delivery="delivered").save(run.run)
    return None


def check(run, place, sealed):
    """Check the invariants of a run that a fault has hit."""
    return check_invariants(
        run.run, place, exit_code=None, sealed=sealed, deliver=lambda: deliver(run, place)
    )


def fill(run, *, is_large=False):
    """Seal a few outputs, and return them."""
    sealed = {f"file-{number}": (f"content {number}".encode(),) for number in range(10)}
    if is_large:
        sealed["big"] = (os.urandom(LARGE_BYTES + (9 << 20)),)
    for name, (data,) in sealed.items():
        run.outputs.write_bytes(name, data)
    return sealed


SMALL_FAULTS = {
    "500 three times": (error(), {"operation": "PutObject", "calls": [1, 2, 3]}),
    "503 three times": (throttle(), {"operation": "PutObject", "calls": [1, 2, 3]}),
    "429 at 10 %": (throttle(429), {"operation": "*", "probability": 0.1, "seed": 1}),
    "429 at 50 %": (throttle(429), {"operation": "*", "probability": 0.5, "seed": 2}),
    "429 at 90 %": (throttle(429), {"operation": "PutObject", "probability": 0.9, "seed": 3}),
    "closed before the answer": (drop(), {"operation": "PutObject", "calls": [1, 4]}),
    "reset in the body": (reset(), {"operation": "PutObject", "calls": [1, 4]}),
    "PUT stored, reply lost": (lose_reply(), {"operation": "PutObject", "calls": [2, 3]}),
    "PUT stored, connection reset": (lose_reply("reset"), {"operation": "PutObject", "calls": [2, 3]}),
    "a flipped bit": (corrupt(), {"operation": "PutObject", "key": "*file-*", "calls": [1, 2]}),
    "a cut listing": (truncate(), {"operation": "ListObjectsV2", "calls": [1]}),
    "the last reply lost": (lose_reply(), {"operation": "PutObject", "key": "*final.json", "calls": [1]}),
    "the manifest's reply lost": (
        lose_reply(),
        {"operation": "PutObject", "key": "*manifest.json", "calls": [1]},
    ),
}


@pytest.mark.parametrize("name", SMALL_FAULTS)
def test_small_files_survive(faulty_place, local_run, name):
    """Whatever happens to a request of a small file, it is there once, whole, and said at the end."""
    fault, when = SMALL_FAULTS[name]
    rule = faulty_place.server.add(fault, **when)
    sealed = fill(local_run)
    deliver(local_run, faulty_place)
    assert rule.hits > 0
    faulty_place.server.clear()
    check(local_run, faulty_place, sealed)


LARGE_FAULTS = {
    "a part answered 500": (error(), {"operation": "UploadPart", "calls": [1, 2, 3]}),
    "a part whose reply is lost": (lose_reply(), {"operation": "UploadPart", "calls": [2]}),
    "a part reset in its body": (reset(), {"operation": "UploadPart", "calls": [2]}),
    "a part with a flipped bit": (corrupt(), {"operation": "UploadPart", "calls": [2]}),
    "the begin's reply lost": (lose_reply(), {"operation": "CreateMultipartUpload", "calls": [1]}),
    "200 with an error in the body": (
        error_in_200(),
        {"operation": "CompleteMultipartUpload", "calls": [1, 2]},
    ),
    "completed, and the reply lost": (lose_reply(), {"operation": "CompleteMultipartUpload", "calls": [1]}),
}


@pytest.mark.parametrize("name", LARGE_FAULTS)
def test_large_files_survive(faulty_place, local_run, name):
    """Whatever happens to a part, or to the end of an upload, the file is there once, whole."""
    fault, when = LARGE_FAULTS[name]
    rule = faulty_place.server.add(fault, **when)
    sealed = fill(local_run, is_large=True)
    deliver(local_run, faulty_place)
    assert rule.hits > 0
    faulty_place.server.clear()
    check(local_run, faulty_place, sealed)


def test_a_large_file_completed_by_a_lost_reply_is_looked_up(faulty_place, local_run):
    """The upload is gone when the completion is tried again: the object itself tells that it is there."""
    faulty_place.server.add(lose_reply(), operation="CompleteMultipartUpload", calls=[1])
    sealed = fill(local_run, is_large=True)
    assert deliver(local_run, faulty_place) is None
    assert 1 == len(faulty_place.server.calls_of("CreateMultipartUpload"))
    assert faulty_place.server.calls_of("HeadObject")
    check(local_run, faulty_place, sealed)


def test_a_killed_upload_is_gone_on_with(faulty_place, local_run):
    """What the store has is not sent again, and nothing of it is left behind."""
    server = faulty_place.server
    sealed = fill(local_run, is_large=True)
    rule = server.add(error("AccessDenied"), operation="UploadPart", calls=[3])
    assert deliver(local_run, faulty_place) is not None
    assert rule.hits == 1
    sent = [call for call in server.calls_of("UploadPart") if call.status == 200]
    server.clear()
    # a rest that `clean` would abort is what the next deliverer goes on with
    assert 1 == len(server.uploads)
    assert deliver(local_run, faulty_place) is None
    again = server.calls_of("UploadPart")
    parts = -(-len(sealed["big"][0]) // PART_BYTES)
    assert (parts, 0) == (len(sent) + len(again), len(server.calls_of("CreateMultipartUpload")))
    assert [] == server.uploads
    check(local_run, faulty_place, sealed)


def test_an_upload_of_another_content_is_abandoned(faulty_place, local_run):
    """Sealed again with other bytes, a file begins anew, and the old upload is aborted."""
    server = faulty_place.server
    fill(local_run, is_large=True)
    server.add(error("AccessDenied"), operation="UploadPart", calls=[3])
    assert deliver(local_run, faulty_place) is not None
    server.clear()
    sealed = fill(local_run, is_large=True)
    assert deliver(local_run, faulty_place) is None
    assert [] == server.uploads
    check(local_run, faulty_place, sealed)


def test_an_upload_that_the_store_has_forgotten_begins_anew(faulty_place, local_run):
    """A lifecycle rule may have removed what was begun."""
    server = faulty_place.server
    sealed = fill(local_run, is_large=True)
    server.add(error("AccessDenied"), operation="UploadPart", calls=[3])
    assert deliver(local_run, faulty_place) is not None
    server.clear()
    server.store.uploads.clear()
    assert deliver(local_run, faulty_place) is None
    check(local_run, faulty_place, sealed)


@pytest.mark.parametrize("change", ["grow", "change", "link", "remove"])
def test_a_file_that_changes_while_it_is_sent_is_never_mixed(faulty_place, local_run, tmp_path, change):
    """What arrives under its name is what was sealed, or what it became, and never a part of each."""
    sealed = fill(local_run, is_large=True)
    big = local_run.folder / "big"
    other = os.urandom(len(sealed["big"][0]))

    def act(call):
        if change == "grow":
            with big.open("ab") as file:
                file.write(b"more")
        elif change == "change":
            with big.open("r+b") as file:
                file.seek(len(other) - 100)
                file.write(other[-100:])
        else:
            big.unlink()
            if change == "link":
                big.symlink_to("/etc/passwd")

    faulty_place.server.add(do(act), operation="UploadPart", calls=[1])
    ending = local_run.ended("failed", 1)
    deliverer = local_run.deliverer(faulty_place)
    done = deliverer.finish(ending)
    deliverer.close()
    there = local_run.there(faulty_place)
    check_there(there)
    assert there.get("outputs/big", sealed["big"][0]) == sealed["big"][0]
    assert ("outputs/big" in there) or any("is lost" in problem for problem in done.problems)


def test_expired_keys_wait_and_are_said(faulty_place, local_run):
    """Keys that expire in the middle leave the run pending; with new ones it is delivered."""
    server = faulty_place.server
    sealed = fill(local_run)

    def expire(call):
        server.keys[server.access_key_id].is_expired = True

    server.add(do(expire), operation="PutObject", calls=[4])
    problem = deliver(local_run, faulty_place)
    assert "ExpiredToken" in problem.message
    check_begun(local_run.there(FreeKeys(faulty_place)))
    server.keys[server.access_key_id] = Keys(server.secret_access_key)
    server.clear()
    check(local_run, faulty_place, sealed)


class FreeKeys:
    """A look at the store from the inside, where keys have expired."""

    def __init__(self, place):
        self._place = place

    def objects(self):
        prefix = self._place.prefix
        return {key.removeprefix(prefix): data for key, data in self._place.server.objects.items()}


@pytest.mark.parametrize(
    "fault", [hang_after(), stall()], ids=["accepts and never answers", "stops in the body"]
)
def test_a_store_that_falls_silent_is_given_up(faulty_place, local_run, monkeypatch, fault):
    """Silence ends a request, and is looked into: what arrived is there, whoever said so."""
    monkeypatch.setattr(account, "READ_TIMEOUT_S", 1.0)
    defaults = {"read_timeout_s": 1.0}
    made = account.account_of

    def impatient(*arguments, **options):
        from dataclasses import replace

        return replace(made(*arguments, **options), **defaults)

    monkeypatch.setattr("hyperplane.delivery.brief.account_of", impatient)
    sealed = fill(local_run)
    faulty_place.server.add(fault, operation="PutObject", calls=[3])
    deliver(local_run, faulty_place)
    faulty_place.server.clear()
    check(local_run, faulty_place, sealed)


def test_a_clock_that_is_an_hour_off_is_pending(faulty_place, local_run):
    """A store that refuses our time is said; when the clocks agree again, the run arrives."""
    sealed = fill(local_run)
    faulty_place.server.clock_offset_s = 3600
    problem = deliver(local_run, faulty_place)
    assert "RequestTimeTooSkewed" in problem.message
    faulty_place.server.clock_offset_s = 0
    check(local_run, faulty_place, sealed)


@pytest.mark.parametrize("kind", ["expired", "wrong-host"])
def test_a_certificate_that_cannot_be_trusted_is_refused(local_run, kind):
    """Nothing is sent to whoever shows a certificate that has expired or is somebody else's."""
    with FaultyS3(tls=kind) as server:
        place = BucketPlace.__new__(BucketPlace)
        place.server, place.url = server, f"s3://{server.bucket}/runs/"
        place.variables = {
            "HYPERPLANE_S3_ENDPOINT_URL": server.endpoint_url,
            "HYPERPLANE_S3_BUCKET": server.bucket,
            "HYPERPLANE_SECRET_s3_access_key_id": server.access_key_id,
            "HYPERPLANE_SECRET_s3_access_key_secret": server.secret_access_key,
            "AWS_CA_BUNDLE": str(server.ca_file),
        }
        fill(local_run)
        problem = deliver(local_run, place)
        assert problem is not None
        assert [] == [call for call in server.calls if call.status == 200]


def test_a_redirect_to_another_host_takes_no_credentials_along(faulty_place, local_run):
    """Where the store sends us elsewhere, the run waits, and nobody else learns what we sign with."""
    fill(local_run)
    with FaultyS3() as other:
        faulty_place.server.add(redirect(other.endpoint_url), operation="PutObject")
        assert deliver(local_run, faulty_place) is not None
        assert [] == [call for call in other.calls if call.status == 200]
        assert not any(call.has_credentials for call in other.calls)
        assert {} == other.objects


def test_a_store_without_conditions_is_read_back(faulty_place, local_run):
    """Where `final.json` cannot be written under a condition, it is looked at before and after."""
    refusal = error("NotImplemented", 501)
    faulty_place.server.add(refusal, operation="PutObject", key="*final.json", calls=[1])
    sealed = fill(local_run)
    assert deliver(local_run, faulty_place) is None
    check(local_run, faulty_place, sealed)


def test_two_deliverers_at_once_agree(faulty_place, local_run):
    """Two that send the same run write the same, and both may say so."""
    sealed = fill(local_run)
    ending = local_run.ended()
    problems = []

    def work():
        deliverer = local_run.deliverer(faulty_place)
        try:
            deliverer.finish(ending)
        except HyperplaneError as error:
            problems.append(error)
        deliverer.close()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [] == problems
    check(local_run, faulty_place, sealed)
