"""`Stopping` by itself: requests, time left, ranks, callbacks and whose handlers are in place."""

import math
import os
import signal
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
import scripts

from hyperplane.errors import JobStopped
from hyperplane.stopping import Stopping, reserve_of, working_time_under_runner

PATIENCE_S = 10


def in_seconds(seconds):
    """Return the moment so many seconds from now."""
    return datetime.now(UTC) + timedelta(seconds=seconds)


def stopping_for(**options):
    """Return one with a grace of a minute, half of it for the job."""
    return Stopping(**{"grace_s": 60.0, "working_s": 30.0, **options})


@pytest.fixture
def handlers():
    """Put every handler back, whatever the test leaves."""
    numbers = (signal.SIGTERM, signal.SIGUSR1)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.parametrize(("grace_s", "reserve_s"), [(0, 0), (10, 5), (60, 30), (600, 30)])
def test_half_the_grace_but_no_more_than_half_a_minute_is_reserved(grace_s, reserve_s):
    """R = min(G/2, 30 s)."""
    assert reserve_s == reserve_of(grace_s)


@pytest.mark.parametrize("grace_s", [1, 10, 120])
def test_under_a_runner_a_job_has_time_to_unwind_before_it_is_killed(grace_s):
    """The job is interrupted before the moment at which the runner kills it, G - R."""
    assert 0 < working_time_under_runner(grace_s) < grace_s - reserve_of(grace_s)


def test_nobody_asked():
    """Without a request there is no stop, no reason and no end."""
    stopping = stopping_for()
    assert (False, None, math.inf) == (stopping.poll(), stopping.reason, stopping.seconds_left())


def test_the_first_reason_stays():
    """A later request changes neither the reason nor the time that is left."""
    stopping = stopping_for()
    stopping.request("first")
    stopping.request("second", deadline_s=1)
    assert "first" == stopping.reason
    assert 20 < stopping.seconds_left() <= 30


def test_reading_the_reason_is_no_poll():
    """Only a poll, a callback or `JobStopped` counts as having seen the stop."""
    stopping = stopping_for()
    stopping.request("reason")
    assert ("reason", False) == (stopping.reason, stopping.was_seen)


def test_a_request_may_bring_a_deadline_of_its_own():
    """`deadline_s` takes the place of the working time, and time left never falls below 0."""
    stopping = stopping_for()
    stopping.request("reason", deadline_s=-1)
    assert 0 == stopping.seconds_left()


def test_a_deadline_that_is_near_is_a_request():
    """The stop comes a grace before the platform's deadline."""
    stopping = stopping_for(deadline=in_seconds(59))
    assert (True, "the deadline is near") == (stopping.poll(), stopping.reason)


def test_a_deadline_that_is_far_says_how_much_time_is_left():
    """Time left is counted to the end of the working time, a reserve before the deadline."""
    stopping = stopping_for(deadline=in_seconds(100))
    assert not stopping.poll()
    assert 60 < stopping.seconds_left() <= 70


def test_raising_without_a_request_does_nothing():
    """A job that nobody asked to stop goes on."""
    stopping = stopping_for()
    stopping.raise_if_requested()
    stopping.raise_if_requested(lambda flag: flag)
    assert not stopping.was_seen


def test_raising_after_a_request_says_why():
    """`JobStopped` carries the reason, and the stop counts as seen."""
    stopping = stopping_for()
    stopping.request("because")
    with pytest.raises(JobStopped, match="because"):
        stopping.raise_if_requested()
    assert stopping.was_seen


def test_a_rank_stops_because_another_was_asked():
    """What the all-reduce says holds for the rank that heard nothing itself."""
    stopping = stopping_for()
    with pytest.raises(JobStopped, match="another rank"):
        stopping.raise_if_requested(lambda flag: True)
    assert "another rank was asked to stop" == stopping.reason


def test_a_rank_that_was_asked_gives_its_flag_to_the_others():
    """The all-reduce is given True by the rank that the signal reached, whose own reason stays."""
    stopping = stopping_for()
    stopping.request("SIGTERM")
    flags = []
    with pytest.raises(JobStopped, match="SIGTERM"):
        stopping.raise_if_requested(lambda flag: flags.append(flag) or True)
    assert [True] == flags


def test_a_signal_during_the_all_reduce_waits_for_the_next_one():
    """Ranks agree: one that hears of the stop after it said False goes on with the others."""
    stopping = stopping_for()

    def all_reduce(flag):
        stopping.request("SIGTERM")
        return flag

    stopping.raise_if_requested(all_reduce)
    with pytest.raises(JobStopped, match="SIGTERM"):
        stopping.raise_if_requested(all_reduce)


def test_callbacks_run_once_each_in_a_thread_of_its_own():
    """Two callbacks that wait for each other both come to their end."""
    stopping = stopping_for()
    both = threading.Barrier(3, timeout=PATIENCE_S)
    runs = []
    for name in ("one", "two"):
        stopping.add_callback(lambda name=name: (runs.append(name), both.wait()))
    stopping.request("reason")
    both.wait()
    stopping.request("again")
    assert ["one", "two"] == sorted(runs)
    assert stopping.was_seen


def test_a_callback_registered_after_the_stop_runs_at_once():
    """Nobody waits for a stop that has already come."""
    stopping = stopping_for()
    stopping.request("reason")
    has_run = threading.Event()
    stopping.add_callback(has_run.set)
    assert has_run.wait(PATIENCE_S)


def test_a_failing_callback_is_reported_and_disturbs_nobody(capsys):
    """Its traceback is on stderr, and the next one runs."""
    stopping = stopping_for()
    has_run = threading.Event()
    stopping.add_callback(lambda: 1 / 0)
    stopping.add_callback(has_run.set)
    stopping.request("reason")
    assert has_run.wait(PATIENCE_S)
    said = _said_within(capsys, PATIENCE_S)
    assert said.startswith("hyperplane: a stop callback failed:\nTraceback")
    assert "ZeroDivisionError" in said


def _said_within(capsys, seconds):
    said = ""
    give_up_at = time.monotonic() + seconds
    while "Error" not in said and time.monotonic() < give_up_at:
        time.sleep(0.01)
        said += capsys.readouterr().err
    return said


def test_whoever_notes_the_stop_is_waited_for():
    """The event of the stop is stored when `finish` returns, however quickly the job ends."""
    noted = []
    stopping = stopping_for(on_request=lambda reason: (time.sleep(0.1), noted.append(reason)))
    stopping.request("reason")
    stopping.finish()
    assert ["reason"] == noted


def test_finishing_says_whether_the_job_has_seen_the_stop():
    """What comes later does not make a stop of a success."""
    stopping = stopping_for()
    assert stopping.finish() is False
    stopping.request("late")
    stopping.poll()
    assert stopping.finish() is True


def test_handlers_are_put_back_only_if_still_ours(handlers):
    """A handler that the job installed inside the block stays."""
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    stopping = stopping_for(signals=("SIGUSR1",))
    stopping.install()

    def theirs(number, frame):
        """Do nothing."""

    signal.signal(signal.SIGTERM, theirs)
    stopping.uninstall()
    assert (theirs, signal.SIG_IGN) == (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGUSR1))


def test_a_thread_installs_nothing(handlers):
    """Outside the main thread no handler is taken over, and nothing is raised."""
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def enter_and_leave():
        stopping = stopping_for()
        stopping.install()
        seen.append(signal.getsignal(signal.SIGTERM))
        stopping.finish()
        stopping.uninstall()

    thread = threading.Thread(target=enter_and_leave)
    thread.start()
    thread.join()
    assert [before] == seen


def test_a_context_that_closes_in_another_thread_leaves_a_handler_that_gives_way(handlers):
    """Only the main thread can put handlers back; until then ours does what the one before it would do."""
    calls = []
    signal.signal(signal.SIGUSR1, lambda number, frame: calls.append(number))
    stopping = stopping_for(signals=("SIGUSR1",))
    stopping.install()
    thread = threading.Thread(target=lambda: (stopping.finish(), stopping.uninstall()))
    thread.start()
    thread.join()
    signal.raise_signal(signal.SIGUSR1)
    signal.raise_signal(signal.SIGUSR1)
    assert [signal.SIGUSR1] * 2 == calls
    assert stopping.reason is None


def test_a_handler_that_still_calls_ours_reaches_the_one_before(handlers):
    """A job's handler that wrapped ours and outlives the block goes through to what was there before."""
    calls = []
    signal.signal(signal.SIGUSR1, lambda number, frame: calls.append(number))
    stopping = stopping_for(signals=("SIGUSR1",))
    stopping.install()
    ours = signal.getsignal(signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, lambda *arguments: (ours(*arguments), calls.append("mine")))
    stopping.finish()
    stopping.uninstall()
    signal.raise_signal(signal.SIGUSR1)
    assert [signal.SIGUSR1, "mine"] == calls


def test_a_wrapped_handler_with_nothing_before_it_does_nothing(handlers):
    """Where the default action was before ours, a job's handler that still calls ours is not killed by it."""
    signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    stopping = stopping_for(signals=("SIGUSR1",))
    stopping.install()
    ours = signal.getsignal(signal.SIGUSR1)
    calls = []
    signal.signal(signal.SIGUSR1, lambda number, frame: (ours(number, frame), calls.append(number)))
    stopping.finish()
    stopping.uninstall()
    signal.raise_signal(signal.SIGUSR1)
    assert [signal.SIGUSR1] == calls


def test_a_deadline_interrupts_a_job_that_does_not_cooperate(handlers):
    """A job that never polls is ended when the deadline comes near, though no signal came."""
    stopping = stopping_for(deadline=in_seconds(60.2))
    stopping.install()
    try:
        with pytest.raises(JobStopped, match="the deadline is near"):
            time.sleep(PATIENCE_S)
    finally:
        stopping.finish()
        stopping.uninstall()


def test_a_deadline_gives_a_job_that_polls_its_working_time(handlers):
    """A job that polled is told at the deadline, and interrupted when its working time is over."""
    stopping = stopping_for(deadline=in_seconds(60.5), working_s=1.5)
    stopping.install()
    try:
        assert not stopping.poll()
        time.sleep(0.6)
        assert stopping.poll()
        with pytest.raises(JobStopped):
            time.sleep(PATIENCE_S)
    finally:
        stopping.finish()
        stopping.uninstall()


def test_nobody_watches_the_deadline_of_a_job_that_is_over():
    """The thread that watches ends with the context."""
    ended = scripts.run(
        """
        import datetime, pathlib, time
        from hyperplane.stopping import Stopping
        deadline = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=9)
        stopping = Stopping(grace_s=60.0, working_s=30.0, deadline=deadline)
        counts = []
        for step in (lambda: None, stopping.install, stopping.finish, stopping.uninstall):
            step()
            time.sleep(0.3)
            counts.append(len(list(pathlib.Path("/proc/self/task").iterdir())))
        print(counts)
        """
    )
    assert "[1, 2, 1, 1]\n" == ended.out


def test_a_forked_child_leaves_the_signals_alone(handlers):
    """In a child the handlers of before are back, callbacks stay with the parent, polling still works."""
    stopping = stopping_for(on_request=lambda reason: None)
    before = signal.getsignal(signal.SIGTERM)
    stopping.install()
    stopping.add_callback(lambda: os._exit(3))
    child = os.fork()
    if child == 0:
        is_back = signal.getsignal(signal.SIGTERM) is before
        stopping.request("reason")
        os._exit(0 if is_back and stopping.poll() and stopping.finish() else 1)
    stopping.finish()
    stopping.uninstall()
    assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
