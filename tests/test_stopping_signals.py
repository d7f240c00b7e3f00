"""Real signals to real jobs: what each kind of job sees, and how it ends."""

import signal

import pytest
import scripts


def test_a_job_that_neither_polled_nor_registered_is_ended_at_once():
    """`JobStopped` is raised in the main thread, and passes through the `finally` blocks."""
    ended = scripts.signalled(
        """
        import time, hyperplane
        with hyperplane.JobContext():
            try:
                print("ready", flush=True)
                time.sleep(20)
            finally:
                print("finally")
        """
    )
    assert (143, "finally\n") == (ended.code, ended.out)
    assert ended.seconds < 4  # the reserve would begin at 5


def test_job_stopped_passes_through_except_exception():
    """A job that catches every `Exception` is ended all the same."""
    ended = scripts.signalled(
        """
        import time, hyperplane
        with hyperplane.JobContext():
            try:
                print("ready", flush=True)
                time.sleep(20)
            except Exception:
                print("swallowed")
        """
    )
    assert (143, "") == (ended.code, ended.out)


def test_a_job_that_swallows_job_stopped_has_still_not_succeeded():
    """Catching even `JobStopped` and leaving the block normally ends with 143."""
    ended = scripts.signalled(
        """
        import time, hyperplane
        with hyperplane.JobContext():
            try:
                print("ready", flush=True)
                time.sleep(20)
            except BaseException:
                print("swallowed")
        """
    )
    assert (143, "swallowed\n") == (ended.code, ended.out)


def test_leaving_the_block_after_a_poll_said_stop_is_no_success():
    """A job that polls is left alone, sees `stopping`, and ends with 143 however politely it leaves."""
    ended = scripts.signalled(
        """
        import time, hyperplane
        with hyperplane.JobContext() as ctx:
            assert not ctx.stopping
            print("ready", flush=True)
            while not ctx.stopping:
                time.sleep(0.01)
            print("left normally")
        """
    )
    assert (143, "left normally\n") == (ended.code, ended.out)


def test_raise_if_stopping_ends_the_job_where_it_polls():
    """`JobStopped` comes out of the poll, and says which signal it was."""
    ended = scripts.signalled(
        """
        import time, hyperplane
        with hyperplane.JobContext() as ctx:
            ctx.raise_if_stopping()
            print("ready", flush=True)
            try:
                while True:
                    ctx.raise_if_stopping()
                    time.sleep(0.01)
            except hyperplane.JobStopped as stopped:
                print(stopped.code, stopped.reason)
                raise
        """
    )
    assert (143, "143 SIGTERM\n") == (ended.code, ended.out)


@pytest.mark.parametrize("blocking_call", ["time.sleep(20)", "here.recv(1)", "queue.Queue().get()"])
def test_a_job_that_polled_but_goes_on_is_interrupted_when_the_reserve_begins(blocking_call):
    """Half the grace after the signal, `JobStopped` is raised inside whatever blocks the main thread."""
    ended = scripts.signalled(
        f"""
        import queue, socket, time, hyperplane
        here, there = socket.socketpair()
        with hyperplane.JobContext() as ctx:
            ctx.stopping
            try:
                print("ready", flush=True)
                {blocking_call}
            except hyperplane.JobStopped as stopped:
                print(stopped.reason)
                raise
        """,
        HYPERPLANE_GRACE_S="1",
    )
    assert (143, "SIGTERM\n") == (ended.code, ended.out)
    assert 0.4 < ended.seconds < 10


def test_a_second_signal_does_not_disturb_the_unwinding():
    """A job that is being ended runs its `finally` blocks to their end."""
    ended = scripts.signalled(
        """
        import time, hyperplane
        with hyperplane.JobContext():
            try:
                print("ready", flush=True)
                time.sleep(20)
            finally:
                print("ready", flush=True)
                time.sleep(0.3)
                print("unwound")
        """,
        signal.SIGTERM,
        signal.SIGTERM,
    )
    assert (143, "unwound\n") == (ended.code, ended.out)


def test_a_second_signal_does_not_disturb_a_job_that_is_stopping():
    """A job that has seen the stop goes on to its own end."""
    ended = scripts.signalled(
        """
        import time, hyperplane
        with hyperplane.JobContext() as ctx:
            ctx.stopping
            print("ready", flush=True)
            while not ctx.stopping:
                time.sleep(0.01)
            left = ctx.seconds_left
            print("ready", flush=True)
            time.sleep(0.3)
            print("saved", ctx.seconds_left < left)
        """,
        signal.SIGTERM,
        signal.SIGTERM,
    )
    assert (143, "saved True\n") == (ended.code, ended.out)


def test_other_signals_stop_the_job_where_a_setting_says_so():
    """Slurm's USR1, named in HYPERPLANE_STOP_SIGNALS, is a stop like SIGTERM."""
    ended = scripts.signalled(
        """
        import time, hyperplane
        with hyperplane.JobContext() as ctx:
            try:
                print("ready", flush=True)
                time.sleep(20)
            except hyperplane.JobStopped as stopped:
                print(stopped.reason)
                raise
        """,
        signal.SIGUSR1,
        HYPERPLANE_STOP_SIGNALS="USR1",
    )
    assert (143, "SIGUSR1\n") == (ended.code, ended.out)


def test_sigint_stays_pythons():
    """Ctrl-C is a `KeyboardInterrupt`, and no stop."""
    ended = scripts.signalled(
        """
        import time, hyperplane
        with hyperplane.JobContext() as ctx:
            try:
                print("ready", flush=True)
                time.sleep(20)
            except KeyboardInterrupt:
                print("interrupted", ctx.stopping)
        """,
        signal.SIGINT,
    )
    assert (0, "interrupted False\n") == (ended.code, ended.out)


def test_a_handler_that_was_there_before_is_called_too():
    """Whoever had the signal first still hears of it, with the arguments of a handler."""
    ended = scripts.signalled(
        """
        import signal, time, hyperplane
        signal.signal(signal.SIGTERM, lambda number, frame: print("mine", number, frame is not None))
        with hyperplane.JobContext() as ctx:
            ctx.stopping
            print("ready", flush=True)
            while not ctx.stopping:
                time.sleep(0.01)
        """
    )
    assert (143, "mine 15 True\n") == (ended.code, ended.out)


def test_callbacks_cancel_what_blocks_and_the_job_ends_as_stopped():
    """`on_stop` ends a blocking call from another thread at once; leaving the block then is no success."""
    ended = scripts.signalled(
        """
        import socket, hyperplane
        with hyperplane.JobContext() as ctx:
            ours, theirs = socket.socketpair()
            ctx.on_stop(theirs.close)
            print("ready", flush=True)
            print(ours.recv(1))
        """
    )
    assert (143, "b''\n") == (ended.code, ended.out)
    assert ended.seconds < 4


def test_an_error_of_the_jobs_own_stays_what_it_is():
    """A job that saw the stop and then fails by itself has failed: its error is not replaced."""
    ended = scripts.signalled(
        """
        import time, hyperplane
        with hyperplane.JobContext() as ctx:
            ctx.stopping
            print("ready", flush=True)
            while not ctx.stopping:
                time.sleep(0.01)
            raise OSError("disk full")
        """
    )
    assert 1 == ended.code
    assert "OSError: disk full" in ended.err


@pytest.mark.parametrize(("argument", "code"), [("", 143), ("0", 143), ("3", 3)])
def test_exit_codes_of_the_jobs_own_stay_but_for_success(argument, code):
    """`sys.exit(3)` after a stop ends with 3, and `sys.exit(0)` or `sys.exit()` with 143."""
    ended = scripts.signalled(
        f"""
        import sys, time, hyperplane
        with hyperplane.JobContext() as ctx:
            ctx.stopping
            print("ready", flush=True)
            while not ctx.stopping:
                time.sleep(0.01)
            sys.exit({argument})
        """
    )
    assert code == ended.code


def test_a_signal_while_the_context_closes_is_harmless():
    """A job that has done its work succeeds: what is being closed is closed, and nothing is raised."""
    ended = scripts.signalled(
        """
        import time, hyperplane
        with hyperplane.JobContext() as ctx:
            ctx._parts.closes(lambda: print("closed first"))
            ctx._parts.closes(lambda: (print("ready", flush=True), time.sleep(0.3)))
        print("after")
        """
    )
    assert (0, "closed first\nafter\n") == (ended.code, ended.out)


def test_the_signal_is_pythons_again_when_the_context_has_closed():
    """Outside the block SIGTERM kills, as it does in any Python process."""
    ended = scripts.signalled(
        """
        import time, hyperplane
        with hyperplane.JobContext():
            pass
        print("ready", flush=True)
        time.sleep(20)
        """
    )
    assert -signal.SIGTERM == ended.code


def test_without_a_with_block_signals_are_left_alone():
    """A context that was only made takes nothing over."""
    ended = scripts.signalled(
        """
        import time, hyperplane
        ctx = hyperplane.JobContext()
        ctx.stopping
        print("ready", flush=True)
        time.sleep(20)
        """
    )
    assert -signal.SIGTERM == ended.code


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_pool_inside_the_context_ends_at_once(method, tmp_path):
    """Children take the SIGTERM of `Pool.terminate()` as Python does, though the parent had polled."""
    script = tmp_path / "job.py"
    script.write_text(
        "import multiprocessing, sys, time, hyperplane\n"
        "def task(started):\n"
        "    started.set()\n"
        "    time.sleep(20)\n"
        "if __name__ == '__main__':\n"
        "    with hyperplane.JobContext() as ctx:\n"
        "        ctx.stopping\n"
        "        context = multiprocessing.get_context(sys.argv[1])\n"
        "        with context.Manager() as manager:\n"
        "            started = manager.Event()\n"
        "            pool = context.Pool(1)\n"
        "            pool.apply_async(task, (started,))\n"
        "            started.wait(20)\n"
        "            before = time.monotonic()\n"
        "            pool.terminate()\n"
        "            pool.join()\n"
        "            print(time.monotonic() - before < 2)\n",
        encoding="utf-8",
    )
    ended = scripts.run(f"import sys, runpy; runpy.run_path({str(script)!r}, run_name='__main__')", method)
    assert (0, "True\n") == (ended.code, ended.out), ended.err


def test_a_job_that_cannot_start_threads_still_hears_of_the_stop():
    """Where no thread is to be had the signal raises no error of ours, and the next poll says stop."""
    ended = scripts.signalled(
        """
        import threading, time, hyperplane
        with hyperplane.JobContext() as ctx:
            ctx.stopping
            threading.stack_size(1 << 46)
            print("ready", flush=True)
            while not ctx.stopping:
                time.sleep(0.01)
            print("saved")
        """
    )
    assert (143, "saved\n", "") == (ended.code, ended.out, ended.err)
