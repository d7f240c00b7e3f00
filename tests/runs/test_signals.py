"""Signals taken as data."""

import os
import select
import signal
import threading

import pytest

from hyperplane.errors import RunnerError
from hyperplane.runs.signals import Signals


def test_signals_are_read_in_their_order():
    """Each comes once, when the descriptor says that there is something."""
    with Signals(["SIGUSR1"]) as signals:
        assert signals.read() == []
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGUSR1)
        assert select.select([signals.descriptor], [], [], 1)[0]
        assert [signal.SIGTERM, signal.SIGUSR1] == signals.read()
        assert signals.read() == []


def test_handlers_are_put_back():
    """After the block, the process is as it was."""
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)]
    with Signals():
        pass
    after = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)]
    assert before == after


def test_ignored_signal_stays_ignored():
    """What the parent had us ignore is not taken."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Signals() as signals:
            os.kill(os.getpid(), signal.SIGHUP)
            assert signals.read() == []
    finally:
        signal.signal(signal.SIGHUP, before)


def test_stop_is_remembered_and_the_end_of_a_child_is_none():
    """Who asks later still learns of a stop that was read."""
    with Signals() as signals:
        os.kill(os.getpid(), signal.SIGCHLD)
        assert ([signal.SIGCHLD], False) == (signals.read(), signals.is_stop_requested)
        os.kill(os.getpid(), signal.SIGINT)
        assert ([signal.SIGINT], True) == (signals.read(), signals.is_stop_requested)
        assert ([], True) == (signals.read(), signals.is_stop_requested)


def test_blocked_signal_is_taken_nevertheless():
    """A parent that blocked the signals it waits for has blocked them for us too."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        with Signals() as signals:
            os.kill(os.getpid(), signal.SIGTERM)
            assert signals.read() == [signal.SIGTERM]
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def test_another_thread_is_refused():
    """Only the main thread receives signals, so the runner needs it."""
    caught = []

    def enter():
        with pytest.raises(RunnerError, match="needs the main thread") as error, Signals():
            pass
        caught.append(error)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert len(caught) == 1
