"""How a `FakeJobContext` is stopped, how it ends, and what its next attempt finds."""

import os
import signal
import threading

import pytest
from pydantic import BaseModel

import hyperplane
from hyperplane.job import Job
from hyperplane.testing import FakeJobContext


class Params(BaseModel):
    epochs: int = 20


def train(ctx):
    """Save after each epoch, go on from the last one saved, and stop when asked."""
    last = ctx.outputs.restore("epochs.txt")
    for epoch in range(int(last.read_text()) if last else 0, ctx.params.epochs):
        ctx.outputs.write_text("epochs.txt", str(epoch + 1))
        ctx.raise_if_stopping()


def test_stop_after_counts_polls():
    """The third poll says stop: a job that polls once an epoch has done three."""
    context = FakeJobContext(params=Params(), stop_after=3)
    with pytest.raises(hyperplane.JobStopped, match="stop_after=3"):
        train(context)
    assert context.outputs.files == {"epochs.txt": b"3"}


def test_both_ways_to_poll_count():
    """`stopping` and `raise_if_stopping` count alike, `seconds_left` does not."""
    context = FakeJobContext(stop_after=3)
    context.raise_if_stopping()
    context.seconds_left  # noqa: B018 - to see that it does not count
    assert [context.stopping, context.stopping, context.stopping] == [False, True, True]


@pytest.mark.parametrize("polls", [0, -1])
def test_polls_are_counted_from_one(polls):
    """A `stop_after` that could never come is refused."""
    with pytest.raises(hyperplane.UsageError, match="counted from 1"):
        FakeJobContext(stop_after=polls)


def test_the_next_attempt_goes_on_from_what_was_sealed():
    """It is the same job with the same keywords, one attempt further, in a run of its own."""
    first = FakeJobContext(params=Params(epochs=5), stop_after=3)
    with pytest.raises(hyperplane.JobStopped):
        train(first)
    second = first.next_attempt()
    train(second)
    jobs = (first.job, second.job)
    assert ([job.attempt for job in jobs], jobs[0].id, jobs[0].run_id == jobs[1].run_id) == (
        [1, 2],
        jobs[1].id,
        False,
    )
    assert second.outputs.files == {"epochs.txt": b"5"}


def test_the_next_attempt_can_be_stopped_too():
    """`stop_after` is said anew for each attempt."""
    context = FakeJobContext(params=Params(), stop_after=3)
    for stop_after in (2, 1):
        with pytest.raises(hyperplane.JobStopped):
            train(context)
        context = context.next_attempt(stop_after=stop_after)
    with pytest.raises(hyperplane.JobStopped):
        train(context)
    assert (context.job.attempt, context.outputs.files) == (3, {"epochs.txt": b"6"})


def test_the_next_attempt_of_a_given_job():
    """A job that was given keeps its identity but for the attempt and the run."""
    given = Job(id="j", run_id="r", name="n", attempt=4, rank=1, world_size=2)
    context = FakeJobContext(job=given)
    after = context.next_attempt().job
    assert (context.job, after.id, after.attempt, after.rank, after.run_id == "r") == (
        given,
        "j",
        5,
        1,
        False,
    )


def test_the_next_attempt_of_a_told_job():
    """An id and an attempt of the environment are kept and counted on."""
    context = FakeJobContext(environ={"HYPERPLANE_JOB_ID": "j", "HYPERPLANE_ATTEMPT": "2"})
    job = context.next_attempt().job
    assert (job.id, job.attempt) == ("j", 3)


def test_the_next_attempt_checks_the_same_secrets():
    """What was required of the first attempt is required of the next, however it was listed."""
    context = FakeJobContext(secrets={"token": "sesame"}, require_secrets=iter(["token"]))
    assert context.next_attempt().secrets["token"] == "sesame"


def test_stop_asks_at_once():
    """After `stop()` the next poll says so, and a job in the block ends stopped."""
    context = FakeJobContext()
    with pytest.raises(hyperplane.JobStopped), context:
        stop_and_poll(context)
    assert (context.outcome, context.exit_code) == ("stopped", 143)


def stop_and_poll(context):
    """Ask the job to stop, and have it see that."""
    context.stop()
    assert context.stopping


def test_stop_can_come_from_another_thread():
    """A thread of the test stops the job, whose callbacks are called."""
    context = FakeJobContext()
    is_cancelled = threading.Event()
    context.on_stop(is_cancelled.set)
    thread = threading.Thread(target=context.stop)
    thread.start()
    thread.join()
    assert is_cancelled.wait(10)


def test_stop_sets_the_time_that_is_left():
    """`deadline_s` is what `seconds_left` counts down from."""
    context = FakeJobContext()
    context.stop(deadline_s=300)
    assert 290 < context.seconds_left <= 300


@pytest.mark.parametrize(
    ("error", "outcome", "exit_code"),
    [
        (SystemExit(), "succeeded", 0),
        (SystemExit(0), "succeeded", 0),
        (SystemExit(3), "failed", 3),
        (SystemExit("a text"), "failed", 1),
        (ZeroDivisionError(), "failed", 1),
        (KeyboardInterrupt(), "failed", 130),
        (hyperplane.JobStopped(), "stopped", 143),
    ],
)
def test_the_end_is_told(error, outcome, exit_code):
    """`outcome` and `exit_code` are those of a script that ends as the block did."""
    context = FakeJobContext()
    with pytest.raises(type(error)), context:
        raise error
    assert (context.outcome, context.exit_code) == (outcome, exit_code)


def test_a_job_that_returns_has_succeeded():
    """Leaving the block is success."""
    with FakeJobContext() as context:
        before = (context.outcome, context.exit_code)
    assert (before, context.outcome, context.exit_code) == (("running", None), "succeeded", 0)


def test_a_clean_up_that_fails_is_a_failure():
    """A job whose outputs could not be kept has not succeeded."""
    context = FakeJobContext()
    with pytest.raises(OSError, match="of the test"), context:
        context._parts.closes(_fail)
    assert (context.outcome, context.exit_code) == ("failed", 1)


def _fail():
    raise OSError("of the test")


def test_a_signal_is_the_real_thing():
    """In the block a signal to the process stops the job, and the handler is put back."""
    before = signal.getsignal(signal.SIGTERM)
    context = FakeJobContext()
    with pytest.raises(hyperplane.JobStopped, match="SIGTERM"), context:
        os.kill(os.getpid(), signal.SIGTERM)
    assert (context.outcome, signal.getsignal(signal.SIGTERM) is before) == ("stopped", True)
