"""One run delivered: what is there afterwards, and what is said of it."""

import errno
import json
import os
import time

import pytest
from deliveries import FolderPlace, check_there, manifest_of

from hyperplane.delivery import deliverer as module
from hyperplane.delivery import folder
from hyperplane.delivery.places import LARGE_BYTES, prefix_of
from hyperplane.errors import DeliveryError


def paths_of(there):
    """Return the paths of the manifest, and whether they are complete."""
    return {row["path"]: row["complete"] for row in manifest_of(there)["files"]}


def test_a_success_is_there_whole(place, local_run):
    """Logs, events and every file of the outputs folder, then the manifest, then how it ended."""
    local_run.outputs.write_text("a.txt", "a")
    (local_run.folder / "sub").mkdir()
    (local_run.folder / "sub" / "loose").write_text("b")
    local_run.run.stdout_log.write_text("said")
    done = local_run.deliver(place)
    there = local_run.there(place)
    check_there(there)
    assert {"events.jsonl", "stdout.log", "outputs/a.txt", "outputs/sub/loose"} == paths_of(there).keys()
    assert all(paths_of(there).values())
    final = json.loads(there["final.json"])
    assert ("succeeded", 0, 4) == (final["outcome"], final["exit_code"], final["files"])
    assert "delivered" == json.loads(there["run.json"])["delivery"]
    # the manifest is sent too, and is in no manifest
    assert (4, 5) == (done.summary.files, done.summary.sent_files)


def test_what_a_failure_left_unsealed_is_there_as_partial(place, local_run):
    """Sealed outputs are outputs; what nobody calls whole lies apart, and says so."""
    local_run.outputs.write_text("whole.txt", "w")
    (local_run.folder / "half.txt").write_text("h")
    local_run.deliver(place, "failed", 3)
    there = local_run.there(place)
    check_there(there)
    assert {"outputs/whole.txt": True, "partial/half.txt": False} == {
        path: is_whole for path, is_whole in paths_of(there).items() if "/" in path
    }


def test_delivering_again_changes_nothing(place, local_run):
    """A run that is there stays as it is, and nothing is sent."""
    local_run.outputs.write_text("a.txt", "a")
    local_run.deliver(place)
    there = local_run.there(place)
    done = local_run.deliver(place)
    assert there == local_run.there(place)
    assert (0, 0) == (done.summary.sent_files, done.summary.sent_bytes)


def test_sealed_files_are_there_while_the_job_runs(place, local_run):
    """A step sends what was sealed since the last one, and what seals say before it."""
    deliverer = local_run.deliverer(place)
    local_run.outputs.write_text("a.txt", "1")
    deliverer.step()
    there = local_run.there(place)
    assert b"1" == there["outputs/a.txt"]
    assert b'"sealed"' in there["live/seals.jsonl"]
    assert "final.json" not in there
    deliverer.close()
    local_run.outputs.write_text("a.txt", "2")
    local_run.deliver(place)
    there = local_run.there(place)
    check_there(there)
    assert b"2" == there["outputs/a.txt"]


def test_a_disk_that_fails_for_a_moment_ends_no_delivery(folder_place, local_run, monkeypatch):
    """What cannot be read while the job runs is left for its end."""

    def failing(*_arguments):
        raise OSError(errno.EIO, "Input/output error")

    deliverer = local_run.deliverer(folder_place)
    local_run.outputs.write_text("a.txt", "1")
    with monkeypatch.context() as patched:
        patched.setattr(os, "pread", failing)
        deliverer.step()
    deliverer.close()
    assert "outputs/a.txt" not in local_run.there(folder_place)
    local_run.deliver(folder_place)
    assert b"1" == local_run.there(folder_place)["outputs/a.txt"]


def test_live_sending_waits_its_turn(folder_place, local_run):
    """Seals in quick succession are sent together, the latest of each name."""
    deliverer = local_run.deliverer(folder_place)
    for number in "123":
        local_run.outputs.write_text("a.txt", number)
        deliverer.step()
    assert b"1" == local_run.there(folder_place)["outputs/a.txt"]
    deliverer.close()


def test_what_was_removed_is_removed_there_and_listed(place, local_run):
    """An output that the job removes goes from the destination too; the manifest remembers it."""
    deliverer = local_run.deliverer(place)
    for name in ("live.txt", "late.txt", "kept.txt"):
        local_run.outputs.write_text(name, name)
    deliverer.step()
    local_run.outputs.remove("live.txt")
    deliverer._index_at = 0.0
    deliverer.step()
    assert "outputs/live.txt" not in local_run.there(place)
    deliverer.close()
    local_run.outputs.remove("late.txt")
    local_run.deliver(place)
    there = local_run.there(place)
    check_there(there)
    assert ["late.txt", "live.txt"] == manifest_of(there)["removed"]
    assert "outputs/kept.txt" in there


def test_a_sealed_file_that_grew_is_there_as_it_was_sealed(place, local_run):
    """Of a file appended to after its seal, the sealed length is the output, and all of it partial."""
    local_run.outputs.append("log.txt", "sealed,")
    local_run.outputs.seal("log.txt")
    local_run.outputs.append("log.txt", "not sealed")
    local_run.deliver(place, "failed", 1)
    there = local_run.there(place)
    check_there(there)
    assert (b"sealed,", b"sealed,not sealed") == (there["outputs/log.txt"], there["partial/log.txt"])


def test_a_sealed_file_that_was_overwritten_is_said_to_be_lost(folder_place, local_run):
    """What the job destroyed itself after sealing it is no output, and a problem says so."""
    local_run.outputs.write_text("a.txt", "sealed")
    (local_run.folder / "a.txt").write_text("other!")
    done = local_run.deliver(folder_place, "failed", 1)
    there = local_run.there(folder_place)
    check_there(there)
    assert ("'a.txt' was changed or removed after it was sealed, and is lost",) == done.problems
    assert ("outputs/a.txt" in there, there["partial/a.txt"]) == (False, b"other!")


def test_a_version_that_had_been_sent_outlives_an_overwriting(folder_place, local_run):
    """What was sent before the job destroyed it is the output, as the older version that it is."""
    deliverer = local_run.deliverer(folder_place)
    local_run.outputs.write_text("a.txt", "first")
    deliverer.step()
    deliverer.close()
    local_run.outputs.write_text("a.txt", "second")
    (local_run.folder / "a.txt").unlink()
    done = local_run.deliver(folder_place, "failed", 1)
    there = local_run.there(folder_place)
    check_there(there)
    assert b"first" == there["outputs/a.txt"]
    assert ("'a.txt' is an earlier version: the job changed it after sealing it",) == done.problems


def test_a_success_is_sent_as_it_is_in_the_end(folder_place, local_run):
    """A file that somebody still wrote to after the sweep is sent again, whole."""
    ending = local_run.ended()
    local_run.outputs.write_text("a.txt", "sealed")
    (local_run.folder / "a.txt").write_text("later")
    deliverer = local_run.deliverer(folder_place)
    deliverer.finish(ending)
    deliverer.close()
    there = local_run.there(folder_place)
    check_there(there)
    assert b"later" == there["outputs/a.txt"]


def test_a_success_whose_file_is_gone_is_not_delivered(folder_place, local_run):
    """What cannot be read any more is no success: it waits, and says why."""
    ending = local_run.ended()
    local_run.outputs.write_text("a.txt", "sealed")
    (local_run.folder / "a.txt").unlink()
    deliverer = local_run.deliverer(folder_place)
    with pytest.raises(DeliveryError, match=r"'a.txt' changes while it is delivered"):
        deliverer.finish(ending)
    deliverer.close()
    assert "final.json" not in local_run.there(folder_place)


def test_partial_files_that_cannot_be_named_are_said(folder_place, local_run):
    """A name that holds a secret, or control characters, is not sent, and the problem does not hold it."""
    (local_run.folder / "sesame-opens-it.txt").write_text("x")
    (local_run.folder / "bell\a").write_text("x")
    done = local_run.deliver(folder_place, "failed", 1)
    assert ["'***.txt' is not delivered: it holds a secret"] == [
        problem for problem in done.problems if "***" in problem
    ]
    assert 2 == len(done.problems)


def test_only_young_files_of_a_shared_folder_are_partial(folder_place, tmp_path):
    """In a folder that was there before the run, what the run cannot have written is not its."""
    from deliveries import LocalRun

    folder = tmp_path / "shared"
    folder.mkdir()
    (folder / "old").write_text("x")
    os.utime(folder / "old", (1, 1))
    run = LocalRun(folder=folder)
    (folder / "new").write_text("y")
    run.outputs.write_text("sealed", "z")
    run.deliver(folder_place, "failed", 1)
    there = run.there(folder_place)
    check_there(there)
    assert {"outputs/sealed", "partial/new"} == {path for path in there if "/" in path}
    for thing in (run.outputs, run.journal, run.lock):
        thing.close()


def test_an_outputs_folder_that_is_none_is_said(folder_place, local_run):
    """A failed job that replaced its outputs folder is delivered without, and says so."""
    local_run.folder.rmdir()
    local_run.folder.write_text("a file")
    done = local_run.deliver(folder_place, "failed", 1)
    assert "cannot be used" in done.problems[0]


def test_a_folder_output_cut_in_its_replacement_is_whole(folder_place, local_run):
    """Killed between the exchange and its note, a folder is there in the version that is on the disk."""
    for number in "12":
        with local_run.outputs.saving("model") as path:
            path.mkdir()
            (path / "a").write_text(number)
    lines = local_run.run.events.read_bytes().splitlines(keepends=True)
    assert b'"sealed"' in lines[-1]
    local_run.run.events.write_bytes(b"".join(lines[:-1]))
    local_run.deliver(folder_place, "interrupted", None)
    there = local_run.there(folder_place)
    check_there(there)
    assert b"2" == there["outputs/model/a"]


def test_large_files_go_in_parts(place, local_run):
    """A file above the limit is there whole."""
    data = os.urandom(LARGE_BYTES + 1000)
    local_run.outputs.write_bytes("big", data)
    local_run.deliver(place)
    there = local_run.there(place)
    check_there(there)
    assert data == there["outputs/big"]


def test_how_far_it_is_grows_within_a_large_file(folder_place, local_run, monkeypatch):
    """Files are counted when they are there, bytes as they go."""
    told = []
    data = os.urandom(LARGE_BYTES + 1000)
    local_run.outputs.write_bytes("big", data)
    real = folder.pieces

    def slow_pieces(source):
        for piece in real(source):
            time.sleep(0.05)
            yield piece

    monkeypatch.setattr(folder, "pieces", slow_pieces)
    deliverer = local_run.deliverer(folder_place)
    deliverer.finish(local_run.ended(), lambda *numbers: told.append(numbers))
    deliverer.close()
    sizes = [size_bytes for _, _, size_bytes, _ in told]

    assert sorted(sizes) == sizes
    assert 2 < len([size for size in sizes if 0 < size < len(data)])
    assert all(size <= all_bytes and files <= all_files for files, all_files, size, all_bytes in told)


def test_an_object_that_somebody_removed_is_missed(place, local_run):
    """Nothing is said to be there without a look: what is gone is sent again by the next delivery."""
    deliverer = local_run.deliverer(place)
    local_run.outputs.write_text("a.txt", "a")
    deliverer.step()
    place.remove(f"{prefix_of(local_run.run)}outputs/a.txt")
    ending = local_run.ended()
    with pytest.raises(
        DeliveryError, match=r"1 of 2 files are not there as they were sent, such as outputs/a\.txt"
    ):
        deliverer.finish(ending)
    assert "final.json" not in local_run.there(place)
    deliverer.finish(ending)
    deliverer.close()
    check_there(local_run.there(place))
    assert b"a" == local_run.there(place)["outputs/a.txt"]


def test_another_run_under_the_same_name_is_a_conflict(place, local_run):
    """A `final.json` that is not ours is left as it is, and said."""
    local_run.outputs.write_text("a.txt", "a")
    local_run.deliver(place)
    theirs = local_run.there(place)
    local_run.run.delivery.unlink()
    local_run.run.final.unlink()
    local_run.outputs.write_text("a.txt", "b")
    with pytest.raises(DeliveryError, match="holds another run"):
        local_run.deliver(place)
    assert theirs["final.json"] == local_run.there(place)["final.json"]
    with pytest.raises(DeliveryError, match="holds another run"):
        local_run.deliver(place)


def test_a_final_that_did_not_arrive_is_written_anew(folder_place, local_run):
    """Killed between writing the end down and sending it, the next delivery does it all again."""
    local_run.outputs.write_text("a.txt", "a")
    local_run.deliver(folder_place)
    there = local_run.there(folder_place)
    folder_place.remove(f"{prefix_of(local_run.run)}final.json")
    local_run.deliver(folder_place)
    assert there.keys() == local_run.there(folder_place).keys()
    check_there(local_run.there(folder_place))


def test_a_failed_step_is_tried_again(tmp_path, local_run):
    """A store that is away while the job runs is asked again, later each time."""
    place = FolderPlace(tmp_path / "there")
    deliverer = local_run.deliverer(place)
    local_run.outputs.write_text("a.txt", "a")
    (tmp_path / "there").write_text("a file in the way")
    deliverer.step()
    assert "cannot be used" in deliverer.problem
    (tmp_path / "there").unlink()
    deliverer.step()
    assert "cannot be used" in deliverer.problem, "it waits"
    deliverer._retry_at = 0.0
    deliverer.step()
    assert ("", b"a") == (deliverer.problem, local_run.there(place)["outputs/a.txt"])
    deliverer.close()


@pytest.mark.parametrize("name", ["write_manifest", "write_atomic"])
def test_a_run_folder_that_cannot_be_written_is_pending(folder_place, local_run, monkeypatch, name):
    """Without room for what is said last, nothing is said, and the error says what to do."""
    ending = local_run.ended()

    def full(*words):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, name, full)
    deliverer = local_run.deliverer(folder_place)
    with pytest.raises(DeliveryError, match=r"\.json cannot be written: No space left on device"):
        deliverer.finish(ending)
    deliverer.close()
    assert "final.json" not in local_run.there(folder_place)
