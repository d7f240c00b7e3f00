"""How a context behaves when the job is asked to stop."""

import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import hyperplane
from hyperplane.context import JobContext

MakeContext = Callable[..., JobContext[Any]]
PATIENCE_S = 10.0


class StoppingConformance:
    """The signals are real ones, sent to this process.

    Fixture `make_context`: returns a context made with the keywords that it is given.
    """

    @pytest.fixture(autouse=True)
    def _no_signal_ends_the_tests(self) -> Iterator[None]:
        before = signal.signal(signal.SIGTERM, lambda *_: None)
        yield
        signal.signal(signal.SIGTERM, before)

    def test_nobody_has_asked(self, make_context: MakeContext) -> None:
        """A job that was left alone may go on for ever."""
        with make_context() as context:
            assert (context.stopping, context.seconds_left) == (False, math.inf)

    def test_a_signal_is_seen_at_the_poll(self, make_context: MakeContext) -> None:
        """A job that polls sees the signal, and has the rest of its grace left."""
        seen: list[bool] = []

        def job(context: JobContext[Any]) -> None:
            seen.append(context.stopping)
            _ask_to_stop()
            seen.extend([context.stopping, 0 < context.seconds_left < PATIENCE_S])

        with pytest.raises(hyperplane.JobStopped), make_context() as context:
            job(context)
        assert seen == [False, True, True]

    def test_a_job_that_has_seen_it_ends_stopped(self, make_context: MakeContext) -> None:
        """Leaving the block is not success: it ends with 143, naming the signal."""
        with pytest.raises(hyperplane.JobStopped, match="SIGTERM") as caught, make_context() as context:
            _ask_while_it_polls(context)
        assert caught.value.code == 143

    def test_the_poll_can_raise(self, make_context: MakeContext) -> None:
        """`raise_if_stopping` ends the job where it stands."""
        reached = []

        def job(context: JobContext[Any]) -> None:
            while True:
                reached.append("an epoch")
                context.raise_if_stopping()
                _ask_to_stop()

        with pytest.raises(hyperplane.JobStopped), make_context() as context:
            job(context)
        assert reached == ["an epoch"] * 2

    def test_a_job_that_never_polls_is_ended_at_once(self, make_context: MakeContext) -> None:
        """A signal raises `JobStopped` in the main thread of a job that could not see it otherwise."""
        began = time.monotonic()
        with pytest.raises(hyperplane.JobStopped), make_context():
            _ask_to_stop(then_wait_s=PATIENCE_S)
        assert time.monotonic() - began < PATIENCE_S

    def test_what_blocks_is_cancelled(self, make_context: MakeContext) -> None:
        """`on_stop` calls back in a thread of its own, so that a blocking call can end."""
        is_cancelled = threading.Event()

        def job(context: JobContext[Any]) -> None:
            context.on_stop(is_cancelled.set)
            _ask_to_stop()
            assert is_cancelled.wait(PATIENCE_S)

        with pytest.raises(hyperplane.JobStopped), make_context() as context:
            job(context)

    def test_ranks_agree(self, make_context: MakeContext) -> None:
        """A rank that was not asked stops when another one was."""
        with pytest.raises(hyperplane.JobStopped, match="another rank"), make_context() as context:
            context.raise_if_stopping(any_rank=lambda _mine: True)

    def test_a_failure_stays_itself(self, make_context: MakeContext) -> None:
        """A job that fails after it was asked to stop has failed."""

        def job(context: JobContext[Any]) -> None:
            _ask_while_it_polls(context)
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError), make_context() as context:
            job(context)

    def test_the_handler_is_put_back(self, make_context: MakeContext) -> None:
        """After the block the signal is whosever it was."""
        before = signal.getsignal(signal.SIGTERM)
        with make_context():
            inside = signal.getsignal(signal.SIGTERM)
        assert (inside is before, signal.getsignal(signal.SIGTERM) is before) == (False, True)


def _ask_while_it_polls(context: JobContext[Any]) -> None:
    context.raise_if_stopping()
    _ask_to_stop()
    assert context.stopping


def _ask_to_stop(then_wait_s: float = 0) -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(then_wait_s)
