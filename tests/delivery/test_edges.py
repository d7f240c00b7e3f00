"""What happens seldom: a run that somebody holds, a file that changes, an upload that was left."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest
import scripts
from deliveries import (
    BucketPlace,
    LocalRun,
    check_there,
    destination_at,
    objects_of,
    only_run,
    run_command,
)
from faultys3 import error, hang
from test_destinations import source_of

from hyperplane import DeliveryError, JobContext, OutputError
from hyperplane.delivery.multipart import Multipart
from hyperplane.delivery.sender import Sender
from hyperplane.environment import Environment
from hyperplane.errors import StoreError
from hyperplane.rundir import Home, Lock
from hyperplane.runs import claiming, delivering, record
from hyperplane.runs.showing import Advance, rate_text, size_text


def test_a_large_file_that_was_overwritten_is_lost_and_said(place, local_run):
    """What is not what was sealed is not stored, in parts or in one piece."""
    from hyperplane.delivery.places import LARGE_BYTES

    local_run.outputs.write_bytes("big", os.urandom(LARGE_BYTES + 1))
    (local_run.folder / "big").write_bytes(os.urandom(LARGE_BYTES + 1))
    done = local_run.deliver(place, "failed", 1)
    check_there(local_run.there(place))
    assert ("'big' was changed or removed after it was sealed, and is lost",) == done.problems


def test_a_run_that_somebody_holds_is_passed_over(folder_place, local_run, monkeypatch):
    """Between the look and the lock somebody else may have begun to deliver it."""
    local_run.ended(started=None)
    deliverer = local_run.deliverer(folder_place)
    deliverer.ledger.note_begun(folder_place.url, str(local_run.folder))
    deliverer.close()
    monkeypatch.setattr(delivering, "_is_waiting", lambda run: True)
    said = []
    delivering.deliver_waiting(
        Home.of(Path.cwd()),
        seal=lambda run, masker: None,
        masker=local_run.masker,
        patience=delivering.Deadline(),
        environment=Environment.capture({}),
        say=said.append,
    )
    assert 1 == len(said)


@pytest.mark.parametrize("server", ["faulty_s3", "seaweed_bucket"])
def test_an_upload_that_was_left_is_gone_on_with(request, tmp_path, monkeypatch, server):
    """A store that knows checksums of parts, and one that knows MD5s, say which parts they have."""
    place = BucketPlace(request.getfixturevalue(server))
    there = destination_at(place)
    noted = {}
    there.note = noted.__setitem__
    source = source_of(tmp_path / "big", os.urandom(20 << 20))

    def killed(upload, upload_id):
        raise StoreError("killed here")

    with monkeypatch.context() as patched:
        patched.setattr(Multipart, "_complete", killed)
        with pytest.raises(StoreError, match="killed here"):
            there.put_large("big", source)
    sent = []
    send = Multipart._send
    monkeypatch.setattr(Multipart, "_send", lambda *words: (sent.append(words[-1].number), send(*words)))
    there.uploads = noted
    there.put_large("big", source)
    os.close(source.descriptor)
    assert ([], (tmp_path / "big").read_bytes()) == (sent, place.objects()["big"])


def test_an_upload_that_cannot_be_looked_into_fails(faulty_place, tmp_path):
    """Neither completed nor seen: nobody says that it is there."""
    there = destination_at(faulty_place)
    source = source_of(tmp_path / "big", os.urandom(17 << 20))
    for operation in ("CompleteMultipartUpload", "HeadObject"):
        faulty_place.server.add(error("AccessDenied"), operation=operation)
    with pytest.raises(PermissionError):
        there.put_large("big", source)
    os.close(source.descriptor)
    assert {} == {path: data for path, data in faulty_place.server.objects.items() if data}


def test_a_changed_file_whose_upload_is_gone_is_a_change(faulty_place, tmp_path):
    """Aborting what the store has forgotten is no failure of its own."""
    from faultys3 import do

    there = destination_at(faulty_place)
    source = source_of(tmp_path / "big", os.urandom(17 << 20))._replace(sha256="0" * 64)
    faulty_place.server.add(
        do(lambda call: faulty_place.server.store.uploads.clear()), operation="AbortMultipartUpload"
    )
    with pytest.raises(StoreError, match="has changed meanwhile"):
        there.put_large("big", source)
    os.close(source.descriptor)


@pytest.mark.parametrize("is_gone", [False, True])
def test_an_older_version_there_is_kept_after_two(place, local_run, is_gone):
    """What was sent twice, and then overwritten here, is looked at there, and stays."""
    deliverer = local_run.deliverer(place)
    for text in ("first", "other"):
        local_run.outputs.write_text("a.txt", text)
        deliverer._index_at = 0.0
        deliverer.step()
    deliverer.close()
    (local_run.folder / "a.txt").write_text("wrong")
    if is_gone:
        (local_run.folder / "a.txt").unlink()
    local_run.outputs.write_text("b.txt", "b")
    local_run.deliver(place, "failed", 1)
    there = local_run.there(place)
    check_there(there)
    assert b"other" == there["outputs/a.txt"]


def test_a_partial_file_that_goes_meanwhile_is_said(folder_place, local_run, monkeypatch):
    """What was there a moment ago and cannot be read is a problem, and no error."""
    (local_run.folder / "loose").write_text("x")
    send = Sender.send
    monkeypatch.setattr(
        Sender, "send", lambda self, item: None if item.path.startswith("partial/") else send(self, item)
    )
    done = local_run.deliver(folder_place, "failed", 1)
    assert ("'loose' was not complete, and could not be read",) == done.problems


def test_a_manifest_that_somebody_changes_is_not_sent(folder_place, local_run, monkeypatch):
    """Our own file is compared as any other."""
    send = Sender.send
    monkeypatch.setattr(
        Sender, "send", lambda self, item: None if item.path == "manifest.json" else send(self, item)
    )
    with pytest.raises(DeliveryError, match="was changed while it was delivered"):
        local_run.deliver(folder_place)


def test_outputs_that_cannot_be_sealed_wait(folder_place):
    """A success that the runner cannot seal is not delivered, and says both."""
    words = ["sh", "-c", 'printf x >"$HYPERPLANE_OUTPUT_DIR/$(printf "bell\\007")"']
    done = run_command("run", *words, HYPERPLANE_OUTPUT_URL=folder_place.url)
    assert 75 == done.returncode
    assert "its outputs are not sealed and it is not delivered" in done.stderr
    assert "pending" == record.read(only_run()).delivery
    (output,) = only_run().outputs.iterdir()
    output.rename(output.with_name("named"))
    assert 0 == run_command("deliver", **folder_place.variables).returncode
    assert ("delivered", True) == (record.read(only_run()).delivery, record.read(only_run()).is_sealed)
    assert b"x" == objects_of(only_run(), folder_place.objects())["outputs/named"]


def test_what_comes_after_the_end_is_no_output(folder_place):
    """A run that waits is delivered as its job has left it."""
    folder = folder_place.folder
    fill = f'echo a >"$HYPERPLANE_OUTPUT_DIR/a"; mv {folder} aside; touch {folder}'
    assert 75 == run_command("run", "sh", "-c", fill, HYPERPLANE_OUTPUT_URL=folder_place.url).returncode
    (only_run().outputs / "later").write_text("later")
    folder.unlink()
    assert 0 == run_command("deliver", **folder_place.variables).returncode
    there = objects_of(only_run(), folder_place.objects())
    assert b"a\n" == there["outputs/a"]
    assert "outputs/later" not in there


def test_problems_of_a_delivery_are_warnings_of_the_run(folder_place):
    """What could not be delivered as it was sealed is told with the end of the run."""
    Path("job.py").write_text(
        "import hyperplane\nwith hyperplane.JobContext() as ctx:\n"
        "    ctx.outputs.write_text('a', 'a')\n    (ctx.outputs.dir / 'a').write_text('b')\n    1 / 0\n"
    )
    done = run_command("run", "job.py", HYPERPLANE_OUTPUT_URL=folder_place.url)
    assert 1 == done.returncode
    assert "hyperplane: warning: 'a' " in done.stderr


def test_a_home_that_cannot_be_made_is_said(folder_place):
    """A context that is to make a run needs a place for it."""
    Path(".hyperplane").write_text("in the way")
    with pytest.raises(OutputError, match="no run folder can be made"):
        JobContext(environ={"HYPERPLANE_OUTPUT_URL": folder_place.url}).__enter__()


def test_a_run_that_somebody_else_holds_is_said(folder_place, monkeypatch):
    """A lock that cannot be had is no run of ours."""
    monkeypatch.setattr(claiming, "Lock", type("Taken", (), {"take": staticmethod(lambda path: None)}))
    with pytest.raises(OutputError, match="is held by another process"):
        JobContext(environ={"HYPERPLANE_OUTPUT_URL": folder_place.url}).__enter__()
    assert Lock is not claiming.Lock


def test_an_interrupt_of_a_delivery_leaves_it_waiting(faulty_place):
    """Ctrl-C while a context delivers ends it at once; the run waits."""
    script = """
        import hyperplane
        with hyperplane.JobContext() as ctx:
            ctx.outputs.write_text("a.txt", "a")
        print("never")
    """
    faulty_place.server.add(hang(), operation="PutObject", key="*events.jsonl")
    process = scripts.start(script, HYPERPLANE_OUTPUT_URL=faulty_place.url, **faulty_place.variables)
    give_up_at = time.monotonic() + 30
    while not faulty_place.server.calls_of("PutObject", None) or not any(
        call.key.endswith("events.jsonl") for call in faulty_place.server.calls
    ):
        assert time.monotonic() < give_up_at
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=10)
    assert ("", -signal.SIGINT, "pending") == (out, process.returncode, record.read(only_run()).delivery)


def test_the_first_process_passes_on_what_it_is_sent_and_ends_like_its_child():
    """What the kernel itself sends stays where it came; the child's code becomes its own."""
    script = """
        import os, signal, time
        from hyperplane.runs import init
        init._FIRST = os.getpid()
        before = os.getpid()
        init.become_init()
        assert os.getpid() != before
        got = []
        signal.signal(signal.SIGTERM, lambda number, frame: got.append(number))
        signal.signal(signal.SIGALRM, lambda number, frame: got.append(number))
        os.system("sleep 0.05 &")
        print("ready", flush=True)
        while not got:
            time.sleep(0.01)
        os._exit(7 if got == [signal.SIGTERM] else 8)
    """
    ended = scripts.signalled(script)
    assert 7 == ended.code, ended.err


def test_what_a_timer_sends_the_first_process_is_its_own():
    """A signal of the kernel, as of a terminal, reaches the child by itself where it should."""
    script = """
        import os, signal, time
        from hyperplane.runs import init
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        init._FIRST = os.getpid()
        init.become_init()
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    assert 137 == scripts.run(script).code


def test_progress_is_drawn_on_a_terminal_and_said_elsewhere(monkeypatch):
    """One line that is drawn anew, or a line now and then."""
    drawn, said = [], []
    told = {"files": 1, "all_files": 3, "bytes": 2048, "all_bytes": 4096}
    bar = Advance("delivering", drawn.append, is_terminal=True)
    bar.show(told)
    bar.close()
    assert ["\rhyperplane: delivering: 1 of 3 files, 2.0 KiB of 4.0 KiB\x1b[K", "\r\x1b[K"] == drawn
    lines = Advance("fetching", said.append, is_terminal=False)
    lines.show(told)
    lines._next_at = 0.0
    lines.show({"files": 1, "bytes": 3})
    lines.show(told)
    lines.close()
    assert ["hyperplane: fetching: 1 files, 3 B\n"] == said


def test_progress_on_stderr_is_no_failure_when_nobody_hears_it(monkeypatch, capsys):
    """A closed stream takes nothing."""
    advance = Advance.on_stderr("delivering")
    advance._next_at = 0.0
    advance.show({"files": 1, "bytes": 3})
    assert "hyperplane: delivering: 1 files, 3 B\n" == capsys.readouterr().err
    with Path(os.devnull).open("w") as closed:
        pass
    monkeypatch.setattr(sys, "stderr", closed)
    advance._next_at = 0.0
    advance.show({"files": 1, "bytes": 3})


def test_sizes_and_rates_are_said_as_people_do():
    """Two units at most, and no rate of nothing."""
    assert ("3 B", "1.5 KiB", "2.0 TiB") == (size_text(3), size_text(1536), size_text(2 << 40))
    assert (", 10.0 KiB/s", "", "") == (rate_text(10240, 1.0), rate_text(0, 1.0), rate_text(10, 0.01))


def test_a_run_of_another_home_is_delivered_from_where_it_is(tmp_path, folder_place, monkeypatch):
    """HYPERPLANE_HOME names where the runs of a command are."""
    monkeypatch.setenv("HYPERPLANE_HOME", str(tmp_path / "project"))
    (tmp_path / "project").mkdir()
    run = LocalRun(Home.of(tmp_path / "project"))
    run.outputs.write_text("a", "a")
    deliverer = run.deliverer(folder_place)
    deliverer.ledger.note_begun(folder_place.url, str(run.folder))
    deliverer.close()
    run.ended()
    run.lock.close()
    assert 0 == run_command("deliver", HYPERPLANE_HOME=str(tmp_path / "project")).returncode
    check_there(run.there(folder_place))
