"""The event log: whole lines from threads and processes, masked and bounded, read whatever was torn."""

import multiprocessing
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripts import run

from hyperplane import journal
from hyperplane.errors import OutputError
from hyperplane.journal import Journal
from hyperplane.masking import Masker

SECRET = "sesame-opens-it"


@pytest.fixture
def masker():
    """Give a masker that knows one secret."""
    masker = Masker()
    masker.add("door", SECRET)
    return masker


@pytest.fixture
def events(tmp_path, masker):
    """Give a journal of an empty run."""
    events = Journal(tmp_path / "events.jsonl", masker)
    yield events
    events.close()


def read(events):
    """Return what was stored."""
    return list(journal.read(events.path))


def test_an_event_has_kind_time_process_and_sequence(events):
    """Every line says what it is, when it came, from where and as the how-manieth."""
    events.append("report", message="hello")
    (event,) = read(events)

    assert ["kind", "time", "pid", "seq", "message"] == list(event)
    assert ("report", os.getpid(), 1, "hello") == tuple(
        event[name] for name in ("kind", "pid", "seq", "message")
    )


def test_an_event_may_have_no_fields(events):
    """A kind alone is an event."""
    events.append("ready")

    assert ["ready"] == [event["kind"] for event in read(events)]


def test_fields_cannot_pretend_to_be_stamps(events):
    """A field named like a stamp does not replace it."""
    events.append("report", kind="sealed", seq=99)
    (event,) = read(events)

    assert ("report", 1) == (event["kind"], event["seq"])


def test_threads_write_in_the_order_of_their_sequence(events):
    """However many threads append, the numbers rise from line to line and none is missing."""
    with ThreadPoolExecutor(8) as pool:
        for _ in range(8):
            pool.submit(lambda: [events.append("metric", value=1) for _ in range(200)])

    assert list(range(1, 1601)) == [event["seq"] for event in read(events)]


def write_from_threads(path, count):
    """Append from four threads at once, `count` events each."""
    events = Journal(path, Masker())

    def write(thread):
        for n in range(count):
            events.append("metric", thread=thread, n=n)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_tear_and_lose_nothing(tmp_path, method):
    """Three processes of four threads write into one file, and every event of each is there, in its order."""
    path = tmp_path / "events.jsonl"
    context = multiprocessing.get_context(method)
    processes = [context.Process(target=write_from_threads, args=(path, 100)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    sequences = {}
    for event in journal.read(path):
        sequences.setdefault((event["pid"], event["thread"]), []).append(event["n"])

    assert [list(range(100))] * 12 == list(sequences.values())


def test_a_forked_child_writes_though_another_thread_held_the_lock(tmp_path):
    """A lock that a thread of the parent held does not stop the child."""
    ended = run(
        """
        import os, pathlib, sys, threading
        from hyperplane.journal import Journal
        from hyperplane.masking import Masker
        events = Journal(pathlib.Path(sys.argv[1]), Masker())
        with events._writing:
            taken = threading.Thread(target=events.append, args=("late",))
            taken.start()
            child = os.fork()
            if child == 0:
                events.append("child")
                os._exit(0)
            os.waitpid(child, 0)
        taken.join()
        """,
        str(tmp_path / "events.jsonl"),
    )

    assert (0, "") == (ended.code, ended.err)
    assert ["child", "late"] == [event["kind"] for event in journal.read(tmp_path / "events.jsonl")]


def test_a_closed_journal_opens_again(events):
    """What comes after the end is stored too, and closing twice is no error."""
    events.append("first")
    events.close()
    events.close()
    events.append("second")

    assert ["first", "second"] == [event["kind"] for event in read(events)]


def test_a_full_disk_is_an_error(masker):
    """An event that cannot be written raises, and names the file."""
    with pytest.raises(OutputError, match=r"/dev/full cannot be written: No space left on device"):
        Journal(Path("/dev/full"), masker).append("sealed", durable=True)


def test_a_missing_folder_is_an_error(tmp_path, masker):
    """A journal that cannot be opened raises an error of ours."""
    with pytest.raises(OutputError, match="No such file or directory"):
        Journal(tmp_path / "nowhere" / "events.jsonl", masker).append("report")


def test_a_file_that_cannot_be_synced_is_an_error(masker):
    """What is durable raises when the disk does not confirm it."""
    with pytest.raises(OutputError, match="/dev/null cannot be written"):
        Journal(Path("/dev/null"), masker).append("sealed", durable=True)


def test_an_event_that_does_not_matter_is_counted_and_said_once(masker, capsys):
    """`note` never raises: it counts what is lost and says the first on stderr, masked."""
    events = Journal(Path(f"/nowhere/{SECRET}"), masker)
    for _ in range(3):
        events.note("metric", value=1)

    reason = "/nowhere/*** cannot be written: No such file or directory"
    said = f"hyperplane: events of this job are being lost: {reason}\n"
    assert (3, said) == (events.lost, capsys.readouterr().err)


def test_a_line_that_the_disk_cut_short_is_written_anew(tmp_path):
    """A limit in the middle of a line loses it with an error, and what comes later is read nevertheless."""
    path = tmp_path / "events.jsonl"
    ended = run(
        """
        import pathlib, resource, sys
        from hyperplane.errors import OutputError
        from hyperplane.journal import Journal
        from hyperplane.masking import Masker
        events = Journal(pathlib.Path(sys.argv[1]), Masker())
        events.append("first")
        size = pathlib.Path(sys.argv[1]).stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 50, resource.RLIM_INFINITY))
        try:
            events.append("lost", text="x" * 100)
        except OutputError as error:
            print(error)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        events.append("second")
        """,
        str(path),
    )

    assert f"{path} cannot be written: File too large\n" == ended.out
    assert ["first", "second"] == [event["kind"] for event in journal.read(path)]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"{}\n",
        b"[]\n",
        b'{"kind": 1}\n',
        b'{"kind": "report"}',
        b'{"kind": "report"\n',
        b"\xff\n",
        b"[" * 100_000 + b"\n",
        b'{"kind": "report", "n": ' + b"9" * 5000 + b"}\n",
    ],
)
def test_what_is_no_event_is_passed_over(line):
    """A line that is torn, of another form, or made to break the parser is no event."""
    assert journal.parse_line(line) is None


@given(cut=st.integers(0, 150), data=st.text(max_size=30))
def test_the_event_after_a_torn_one_is_found(cut, data, tmp_path_factory):
    """Wherever a killed process left its line, the next event on it is read."""
    events = Journal(tmp_path_factory.mktemp("run") / "events.jsonl", Masker())
    events.append("report", fields={"text": data, "inner": {"kind": "sealed", "time": "2024-01-01T00"}})
    line = events.path.read_bytes()
    events.path.write_bytes(line[: min(cut, len(line) - 1)])
    events.append("sealed", durable=True, name="last.pt")
    events.close()

    assert ["sealed"] == [event["kind"] for event in read(events)]


def test_a_bad_line_does_not_stop_the_rest(events):
    """What is no event is left out, and those around it are read."""
    events.append("first")
    with events.path.open("a") as file:
        file.write("no event\n\n")
    events.append("second")

    assert ["first", "second"] == [event["kind"] for event in read(events)]


def test_a_report_about_sealing_seals_nothing(events):
    """Only the kind of an event decides."""
    events.append("report", message="sealed", name="a")

    assert {} == journal.sealed_outputs(events.path)


def test_a_file_that_is_not_there_has_no_events(tmp_path):
    """A run that never wrote an event has none, and sealed nothing."""
    nowhere = tmp_path / "events.jsonl"

    assert ([], {}) == (list(journal.read(nowhere)), journal.sealed_outputs(nowhere))


def seal(events, name, size_bytes, kind="sealed", **more):
    """Append an event about a file of that size."""
    events.append(kind, name=name, size_bytes=size_bytes, sha256=f"digest-{size_bytes}", **more)


def test_the_latest_seal_wins_and_what_was_removed_is_gone(events):
    """Sealed outputs are those that are sealed now, as they were sealed last."""
    seal(events, "a", 1)
    seal(events, "b", 2)
    seal(events, "a", 3, mtime_ns=7)
    events.append("removed", name="b")
    events.append("removed", name="c")

    sealed = journal.sealed_outputs(events.path)
    assert {"a": journal.Sealed("a", 3, "digest-3")} == sealed
    assert 7 == sealed["a"].mtime_ns


def test_a_seal_that_says_nothing_of_the_file_fits_no_file(events):
    """What somebody else wrote into the events is no reason to fail."""
    events.append("sealed", name="a", size_bytes="big", sha256=None, mtime_ns="now")

    assert {"a": journal.Sealed("a", -1, "")} == journal.sealed_outputs(events.path)


def test_a_replacement_that_was_sealed_is_not_begun(events):
    """Once all files of an output are sealed, nothing of it is left to find out."""
    seal(events, "model/a", 1, "sealing", output="model", part="p1")
    seal(events, "model/b", 2, "sealing", output="model", part="p1")
    seal(events, "model/a", 1)
    seal(events, "model/b", 2)

    assert () == journal.seals(events.path).begun


def test_a_replacement_that_was_not_sealed_throughout_is_begun_as_a_whole(events):
    """Killed between two seals of one folder, all of its files belong to what was begun."""
    seal(events, "model/a", 1, "sealing", output="model", part="p1")
    seal(events, "model/b", 2, "sealing", output="model", part="p1")
    seal(events, "model/a", 1)

    (begun,) = journal.seals(events.path).begun
    assert ("model", {"model/a": 1, "model/b": 2}) == (
        begun.output,
        {name: item.size_bytes for name, item in begun.files.items()},
    )


def test_a_removed_replacement_is_not_begun(events):
    """What the job has removed after that does not come back."""
    seal(events, "a", 1, "sealing", output="a", part="p1")
    events.append("removed", name="a")

    assert () == journal.seals(events.path).begun
