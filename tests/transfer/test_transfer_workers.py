"""Workers, budgets and what a transfer tells."""

import threading
import time
from pathlib import Path

import pytest

from hyperplane.transfer.outcome import Derived, Progress, Tally, Transfer
from hyperplane.transfer.running import Options, run
from hyperplane.transfer.workers import Budget, Cancellation, Cancelled, Turns, Workers, ahead


def test_everything_is_done_once():
    """However many threads there are."""
    done = []
    Workers(done.append, range(1000), Cancellation()).run(8)

    assert list(range(1000)) == sorted(done)


def test_the_first_error_ends_all():
    """It comes out, and what has not begun does not begin."""
    done = []

    def work(number):
        done.append(number)
        if number == 3:
            raise ZeroDivisionError(number)
        time.sleep(0.01)

    with pytest.raises(ZeroDivisionError):
        Workers(work, range(10_000), Cancellation()).run(4)

    assert len(done) < 100


def test_an_error_of_the_source_comes_out():
    """What lists the work can fail too, and things before it are done."""
    done = []

    def things():
        yield 1
        raise LookupError

    with pytest.raises(LookupError):
        Workers(done.append, things(), Cancellation()).run(3)

    assert [1] == done


def test_more_threads_work_where_they_only_wait():
    """As many as are allowed, and not as long as they keep the processor busy."""
    most = {}
    for name, work in {
        "waits": lambda _: time.sleep(0.05),
        "computes": lambda _: sum(range(100_000)),
    }.items():
        seen = set()

        def watched(number, work=work, seen=seen):
            seen.add(threading.get_ident())
            work(number)

        Workers(watched, range(400), Cancellation()).run(4, most=10)
        most[name] = len(seen)

    assert {"waits": 10, "computes": 4} == most


def test_the_next_thing_is_made_while_one_is_used():
    """All come, in order, and the source is one ahead."""
    made = []
    second = threading.Event()

    def things():
        for number in range(5):
            made.append(number)
            if number == 1:
                second.set()
            yield number

    found = []
    for number in ahead(things()):
        assert second.wait(10)
        found.append(number)

    assert found == made == list(range(5))


def test_an_error_of_the_source_comes_in_its_turn():
    """What was made before it has been used by then."""

    def things():
        yield 1
        raise LookupError

    found = []
    with pytest.raises(LookupError):
        found.extend(ahead(things()))

    assert [1] == found


def test_an_interrupted_caller_has_the_workers_end():
    """They are waited for, and its own exception comes out."""
    cancellation = Cancellation()
    ended = []

    def work(number):
        try:
            cancellation.sleep(60)
        finally:
            ended.append(number)

    def tick():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Workers(work, range(100), cancellation).run(3, tick=tick)

    assert 3 == len(ended)


def test_workers_that_do_not_answer_are_not_waited_for_for_ever():
    """The caller goes on."""
    release = threading.Event()

    def tick():
        raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        Workers(lambda number: release.wait(30), range(2), Cancellation(), patience_s=0.05).run(2, tick=tick)
    release.set()

    assert time.monotonic() - began < 10


def test_a_caller_interrupted_while_it_starts_threads_has_those_end(monkeypatch):
    """The others never begin, and are not waited for for ever."""
    started = []
    start = threading.Thread.start

    def start_two(thread):
        if len(started) == 2:
            raise KeyboardInterrupt
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_two)
    cancellation, began = Cancellation(), time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        Workers(lambda number: cancellation.sleep(60), range(9), cancellation, patience_s=0.5).run(8)

    assert time.monotonic() - began < 30
    assert not any(thread.is_alive() for thread in started)


def test_a_part_ends_with_the_whole():
    """A nested cancellation is set when the outer one is, and not the other way round."""
    whole = Cancellation()
    part, other = Cancellation(whole), Cancellation(whole)
    part.set()
    states = [whole.is_set, part.is_set, other.is_set]
    whole.set()

    assert ([False, True, False], True) == (states, other.is_set)
    with pytest.raises(Cancelled):
        other.check()
    with pytest.raises(Cancelled):
        whole.sleep(60)


def test_a_pause_that_nobody_cuts_short_ends():
    """It takes as long as it should."""
    began = time.monotonic()
    Cancellation().sleep(0.02)

    assert 0.02 <= time.monotonic() - began < 5


def test_a_budget_is_never_overdrawn():
    """Work waits until there is enough, and what needs more than all of it waits for all of it."""
    budget = Budget(10)
    used, most = [0], [0]
    lock = threading.Lock()

    def work(amount):
        taken = budget.take(amount)
        with lock:
            used[0] += taken
            most[0] = max(most[0], used[0])
        time.sleep(0.001)
        with lock:
            used[0] -= taken
        budget.give_back(taken)

    Workers(work, [3, 7, 25, 1, 10, 4] * 20, Cancellation()).run(6)

    assert (0, True) == (used[0], most[0] <= 10)


def test_a_sequence_is_made_of_names():
    """It is one of what the function makes, lazily, and equal to a list of it."""
    paths = Derived(Path("d").joinpath, ["a", "b", "c"])

    assert [Path("d/a"), Path("d/b"), Path("d/c")] == paths == [*paths]
    assert (Path("d/c"), [Path("d/b")], 3) == (paths[-1], paths[1:2], len(paths))
    assert repr([Path("d/a"), Path("d/b"), Path("d/c")]) == repr(paths)
    assert paths != {Path("d/a")}
    assert Path("d/b") in paths


def test_a_transfer_without_time_has_no_rate():
    """Nothing is divided by zero."""
    assert 0.0 == Transfer(files=[], urls=[]).bytes_per_second


def test_progress_is_told_while_work_goes_on():
    """About ten times a second, with what has been done so far, and once in the end."""
    tally, told = Tally(), []

    def work(number):
        time.sleep(0.3)
        tally.add_bytes(5)
        tally.add_done(str(number), 5)

    run(work, range(2), Options(progress=told.append, threads=1), tally, Cancellation())

    assert len(told) >= 3
    assert told[0] == Progress(0, 0, 0, told[0].seconds)
    assert told[-1] == Progress(2, 10, 0, told[-1].seconds)


def test_turns_are_taken_one_after_the_other_while_they_are_short():
    """Nobody else has a turn meanwhile; but who has waited for long goes ahead."""
    turns, at_once, most = Turns(patience_s=10), [], []

    def work(_thing):
        with turns.take():
            at_once.append(1)
            most.append(len(at_once))
            time.sleep(0.001)
            at_once.pop()

    Workers(work, range(40), Cancellation()).run(8)
    assert [1] * 40 == most
    hasty = Turns(patience_s=0.001)
    with hasty.take(), hasty.take():
        pass
    with hasty.take():
        assert hasty._turn.locked()
    assert not hasty._turn.locked()
