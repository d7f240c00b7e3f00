"""Contexts inside contexts: the job is one, and a stop is one, however many are open."""

import signal

import pytest
import scripts

from hyperplane.stopping import Stopping


def stopping_for(**options):
    """Return one that also takes SIGUSR1."""
    return Stopping(**{"grace_s": 60.0, "working_s": 30.0, "signals": ("SIGUSR1",), **options})


@pytest.fixture
def nested():
    """Two that are installed, the inner one last; both come to their end after the test."""
    before = signal.getsignal(signal.SIGUSR1), signal.getsignal(signal.SIGTERM)
    both = stopping_for(), stopping_for()
    for stopping in both:
        stopping.install()
    yield both
    for stopping in reversed(both):
        stopping.finish()
        stopping.uninstall()
    assert before == (signal.getsignal(signal.SIGUSR1), signal.getsignal(signal.SIGTERM))


@pytest.mark.parametrize("polled", [0, 1])
def test_polling_one_context_is_enough(nested, polled):
    """A job that polls any of its contexts is trusted by all, and all are told."""
    nested[polled].poll()
    signal.raise_signal(signal.SIGUSR1)
    assert ["SIGUSR1"] * 2 == [stopping.reason for stopping in nested]


def test_a_context_opened_after_the_stop_knows_of_it(nested):
    """It has the reason of the one around it, and no more time than that has left."""
    nested[1].poll()
    nested[1].request("SIGTERM", deadline_s=5)
    late = stopping_for()
    late.install()
    assert (True, "SIGTERM") == (late.poll(), late.reason)
    assert 0 < late.seconds_left() <= 5
    late.finish()
    late.uninstall()


def test_closing_the_outer_one_first_puts_back_what_was_there(nested):
    """In whichever order they close, no handler of a closed context stays behind."""
    for stopping in nested:
        stopping.finish()
        stopping.uninstall()
    assert signal.SIG_DFL == signal.getsignal(signal.SIGUSR1)


def test_a_closed_outer_one_hears_of_no_signal(nested):
    """The inner one passes the signal over a context that has closed."""
    outer, inner = nested
    outer.finish()
    outer.uninstall()
    inner.poll()
    signal.raise_signal(signal.SIGUSR1)
    assert (None, "SIGUSR1") == (outer.reason, inner.reason)


def test_a_second_signal_does_not_disturb_the_unwinding_of_either():
    """`JobStopped` is raised once for all contexts, and each unwinds to its end."""
    ended = scripts.signalled(
        """
        import time, hyperplane
        with hyperplane.JobContext():
            try:
                with hyperplane.JobContext():
                    try:
                        print("ready", flush=True)
                        time.sleep(20)
                    finally:
                        print("ready", flush=True)
                        time.sleep(0.3)
                        print("inner")
            finally:
                print("ready", flush=True)
                time.sleep(0.3)
                print("outer")
        """,
        *[signal.SIGTERM] * 3,
    )
    assert (143, "inner\nouter\n") == (ended.code, ended.out)


def test_an_outer_context_does_not_succeed_when_the_stop_was_swallowed_inside():
    """A job that catches what the inner context raised has still been stopped."""
    ended = scripts.signalled(
        """
        import time, hyperplane
        with hyperplane.JobContext():
            try:
                with hyperplane.JobContext():
                    print("ready", flush=True)
                    time.sleep(20)
            except SystemExit:
                print("swallowed")
        """
    )
    assert (143, "swallowed\n") == (ended.code, ended.out)
