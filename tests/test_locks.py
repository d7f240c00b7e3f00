"""Locks over a fork: the child finds them usable, whoever held them in the parent."""

import gc
import subprocess
import sys
import threading
import weakref

import pytest
from processes import exit_code_of_fork

from hyperplane.locks import ForkSafeLock, renew_after_fork

# what Python 3.12 warns of is what these tests are about
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


def taken(lock):
    """Take a lock and let it go."""
    with lock:
        return True


@pytest.fixture
def held_elsewhere():
    """Give a lock that another thread holds during the test."""
    lock, is_held, is_done = ForkSafeLock(), threading.Event(), threading.Event()

    def hold():
        with lock:
            is_held.set()
            is_done.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    is_held.wait(30)
    yield lock
    is_done.set()
    thread.join()


def test_a_lock_is_exclusive_between_threads(held_elsewhere):
    """While one thread holds the lock, another one does not get it."""
    got_it = threading.Event()
    thread = threading.Thread(target=lambda: taken(held_elsewhere) and got_it.set(), daemon=True)
    thread.start()

    assert not got_it.wait(0.05)


def test_a_lock_can_be_taken_again_by_its_holder():
    """The lock is reentrant."""
    lock = ForkSafeLock()
    with lock:
        assert taken(lock)


def test_a_child_can_take_a_lock_that_a_thread_held_in_the_parent(held_elsewhere):
    """The thread that held it does not exist in the child, and so does not hold it there."""
    assert 0 == exit_code_of_fork(lambda: taken(held_elsewhere))


def test_a_thread_that_forks_holding_a_lock_can_let_it_go_in_both():
    """The child goes on in the block that the parent was in, and leaves it without an error."""
    lock = ForkSafeLock()

    def leave():
        lock.__exit__(None, None, None)
        return taken(lock)

    with lock:
        code = exit_code_of_fork(leave)

    assert 0 == code


def test_what_is_registered_is_renewed_in_a_child_alone():
    """`renew` is called in the child, and not in the parent."""

    class Counter:
        calls = 0

        def renew(self):
            self.calls += 1

    counter = Counter()
    renew_after_fork(counter)
    code = exit_code_of_fork(lambda: counter.calls == 1)

    assert (0, 0) == (code, counter.calls)


def test_a_grandchild_is_renewed_too():
    """The hook works in a child of a child, where it must not have been left locked."""
    lock = ForkSafeLock()

    assert 0 == exit_code_of_fork(
        lambda: exit_code_of_fork(lambda: taken(lock) and taken(ForkSafeLock())) == 0
    )


def test_being_registered_keeps_nothing_alive():
    """A lock that nobody uses any more is collected."""
    lock = ForkSafeLock()
    gone = weakref.ref(lock)
    del lock
    gc.collect()

    assert gone() is None


def test_importing_registers_nothing():
    """Only the first lock that is made hooks into fork."""
    code = (
        "import os, threading, typing, weakref; os.register_at_fork = lambda **hooks: print(*sorted(hooks))\n"
        "from hyperplane.locks import ForkSafeLock; print('imported'); ForkSafeLock(); ForkSafeLock()"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert ["imported", "after_in_child after_in_parent before"] == output.splitlines()


def test_a_system_without_fork_has_locks_too():
    """Where `os` has no register_at_fork, a lock is a lock."""
    code = (
        "import os; del os.register_at_fork\n"
        "from hyperplane.locks import ForkSafeLock\n"
        "with ForkSafeLock(): print('held')"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert "held\n" == output
