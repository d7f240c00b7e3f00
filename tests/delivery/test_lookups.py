"""What is asked of a store besides: to delete, to compare, to say again what it did not say."""

import json

import pytest
from faultys3 import answer_headers, error, lose_reply, replace_object
from test_network import check, deliver, fill

from hyperplane.delivery import handle
from hyperplane.delivery.places import prefix_of
from hyperplane.errors import DeliveryError
from hyperplane.stores import account


def test_who_may_not_delete_keeps_what_was_removed(faulty_place, local_run):
    """Without the permission to delete, a removed output stays there, and no manifest lists it."""
    deliverer = local_run.deliverer(faulty_place)
    for name in ("a.txt", "b.txt"):
        local_run.outputs.write_text(name, name)
    deliverer.step()
    faulty_place.server.add(error("AccessDenied"), operation="Delete*")
    for name in ("a.txt", "b.txt"):
        local_run.outputs.remove(name)
        deliverer._index_at = 0.0
        deliverer.step()
    assert "" == deliverer.problem
    deliverer.finish(local_run.ended())
    deliverer.close()
    there = local_run.there(faulty_place)
    assert ["a.txt", "b.txt"] == json.loads(there["manifest.json"])["removed"]
    assert 1 == len([call for call in faulty_place.server.calls if call.operation.startswith("Delete")]) - 1


def test_an_object_that_an_older_request_overtook_is_sent_again(faulty_place, local_run):
    """What was there in two versions is asked for its checksum: a late request may undo the newer."""
    server = faulty_place.server
    key = f"{faulty_place.prefix}{prefix_of(local_run.run)}outputs/a.txt"
    deliverer = local_run.deliverer(faulty_place)
    local_run.outputs.write_text("a.txt", "older")
    deliverer.step()
    deliverer.close()
    server.add(replace_object(b"older"), operation="HeadObject", key=key, calls=[1])
    local_run.outputs.write_text("a.txt", "newer")
    problem = deliver(local_run, faulty_place)
    assert isinstance(problem, DeliveryError)
    server.clear()
    check(local_run, faulty_place, {"a.txt": (b"newer",)})


@pytest.mark.parametrize(
    "headers",
    [
        {"x-amz-checksum-crc64nvme": None},
        {"x-amz-checksum-crc64nvme": None, "ETag": '"no-md5"'},
        {},
    ],
    ids=["by its MD5", "by reading it", "by its checksum"],
)
@pytest.mark.parametrize("is_large", [False, True], ids=["small", "large"])
def test_what_is_in_doubt_is_looked_up(faulty_place, local_run, headers, is_large):
    """A store may know checksums, or MD5s, or nothing; then the object is read back."""
    server = faulty_place.server
    server.add(answer_headers(headers), operation="HeadObject")
    operation = "CompleteMultipartUpload" if is_large else "PutObject"
    key = "*big" if is_large else "*file-3"
    server.add(lose_reply(), operation=operation, key=key)
    sealed = fill(local_run, is_large=is_large)
    assert deliver(local_run, faulty_place) is None
    server.clear()
    check(local_run, faulty_place, sealed)


def test_a_last_word_whose_replies_are_all_lost_is_looked_up(faulty_place, local_run):
    """`final.json` is there, and nobody has said so: its checksum does."""
    faulty_place.server.add(lose_reply(), operation="PutObject", key="*final.json")
    sealed = fill(local_run)
    assert deliver(local_run, faulty_place) is None
    faulty_place.server.clear()
    check(local_run, faulty_place, sealed)


def test_uploads_that_nobody_knows_of_are_aborted(faulty_place, local_run):
    """A deliverer that was killed before it could note an upload leaves it to the next one."""
    local_run.deliverer(faulty_place).close()
    key = f"{faulty_place.prefix}{prefix_of(local_run.run)}outputs/big"
    faulty_place.client.create_multipart_upload(Bucket=faulty_place.server.bucket, Key=key)
    sealed = fill(local_run)
    assert deliver(local_run, faulty_place) is None
    assert [] == faulty_place.uploads()
    check(local_run, faulty_place, sealed)


def test_the_handle_waits_long_enough_to_begin():
    """A slow store is no missing permission."""
    assert handle.BEGIN_PATIENCE_S > account.READ_TIMEOUT_S
