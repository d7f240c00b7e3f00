"""`hyperplane.run`: whatever ends a job or one of its threads, no secret is shown."""

import subprocess
import sys
import threading

import pytest
import scripts

import hyperplane

SECRET = "opensesame-of-endings"
VARIABLES = {"HYPERPLANE_SECRET_db": SECRET}


class Kept(BaseException):
    """An exception that nobody should swallow."""


def run(main):
    """Run a job whose environment holds the secret, which it need not have read."""
    hyperplane.run(main, argv=[], environ=VARIABLES)


def ending_of(main):
    """Return the exit code that a job comes to."""
    with pytest.raises(SystemExit) as caught:
        run(main)
    return caught.value.code


def failing(error, cause=None):
    """Return a main function that raises this."""

    def main(context):
        raise error from cause

    return main


def threaded(error):
    """Return a main function with a thread that dies of this."""

    def die():
        raise error

    def main(context):
        thread = threading.Thread(target=die, name=f"worker of {SECRET}")
        thread.start()
        thread.join()

    return main


@pytest.fixture
def shown(monkeypatch):
    """Give the list of what the excepthook for threads before ours is called with."""
    calls = []
    monkeypatch.setattr(threading, "excepthook", calls.append)
    return calls


@pytest.mark.parametrize(
    ("error", "code", "last_line"),
    [
        (SystemExit(f"cannot open {SECRET}"), 1, "cannot open ***"),
        (SystemExit([SECRET]), 1, "['***']"),
        (KeyboardInterrupt(SECRET), 130, "KeyboardInterrupt: ***"),
        (Kept(SECRET), 1, "test_running_masked.Kept: ***"),
    ],
    ids=["exit with a text", "exit with a list", "interrupt", "other"],
)
def test_an_ending_that_would_show_a_secret_is_masked(capsys, error, code, last_line):
    """The exit code is Python's own, and the last line of stderr what Python would have said."""
    assert code == ending_of(failing(error))
    said = capsys.readouterr().err
    assert said.endswith(f"{last_line}\n")
    assert SECRET not in said


def test_a_text_to_exit_with_has_no_traceback(capsys):
    """It is the whole of what is said."""
    ending_of(failing(SystemExit(f"cannot open {SECRET}")))
    assert "cannot open ***\n" == capsys.readouterr().err


def test_what_an_interrupt_came_from_is_masked_too(capsys):
    """Python shows the whole chain."""
    assert 130 == ending_of(failing(KeyboardInterrupt(), ValueError(SECRET)))
    said = capsys.readouterr().err
    assert "ValueError: ***\n" in said
    assert SECRET not in said


def test_a_group_of_exceptions_is_masked(capsys):
    """Those within it are shown by Python as well."""
    assert 1 == ending_of(failing(BaseExceptionGroup("many", [Kept(SECRET)])))
    said = capsys.readouterr().err
    assert "Kept: ***\n" in said
    assert SECRET not in said


@pytest.mark.parametrize(
    "error", [SystemExit("of the job"), KeyboardInterrupt(), GeneratorExit(), Kept("of the job")], ids=repr
)
def test_an_ending_without_a_secret_is_the_interpreters(capsys, error):
    """It comes out as it was raised, and nothing is said."""
    with pytest.raises(type(error)) as caught:
        run(failing(error))
    assert (caught.value is error, "") == (True, capsys.readouterr().err)


def test_a_thread_that_would_show_a_secret_is_masked(capsys, shown):
    """Its traceback and its name are printed without the secret, by us alone."""
    assert 0 == ending_of(threaded(ValueError(SECRET)))
    said = capsys.readouterr().err
    assert said.startswith("Exception in thread worker of ***:\nTraceback (most recent call last):\n")
    assert said.endswith("\nValueError: ***\n")
    assert SECRET not in said
    assert [] == shown


def test_any_other_thread_is_for_the_hook_that_was_there(capsys, shown):
    """It is given what Python gave ours."""

    def main(context):
        thread = threading.Thread(target=lambda: 1 / 0)
        thread.start()
        thread.join()

    assert 0 == ending_of(main)
    assert [ZeroDivisionError] == [call.exc_type for call in shown]
    assert "" == capsys.readouterr().err


def test_a_thread_that_exits_has_nothing_to_show(capsys, shown):
    """Python is silent about `sys.exit` in a thread, and so are we."""
    assert 0 == ending_of(threaded(SystemExit(SECRET)))
    assert [SystemExit] == [call.exc_type for call in shown]
    assert "" == capsys.readouterr().err


def test_what_a_hook_is_told_of_no_thread_can_be_shown(capsys, shown):
    """A thread that is no more has no name."""

    def main(context):
        error = ValueError(SECRET)
        threading.excepthook(threading.ExceptHookArgs((ValueError, error, None, None)))

    assert 0 == ending_of(main)
    assert "Exception in thread ?:\nValueError: ***\n" == capsys.readouterr().err


def test_the_hook_for_threads_is_put_back(shown):
    """After the job everything is as it was."""
    before = threading.excepthook
    seen = []
    ending_of(lambda context: seen.append(threading.excepthook))
    assert (True, True) == (threading.excepthook is before, seen[0] is not before)


def test_a_hook_of_the_jobs_own_stays(monkeypatch, shown):
    """Only ours is taken away."""
    own = [].append
    ending_of(lambda context: monkeypatch.setattr(threading, "excepthook", own))
    assert threading.excepthook is own


@pytest.mark.parametrize("ending", ["sys.exit(text)", "raise KeyboardInterrupt(text)", "thread(text)"])
def test_a_script_shows_no_secret(ending):
    """What the interpreter would print when a process ends goes through the masker."""
    ended = scripts.run(
        f"""
        import sys, threading, hyperplane
        def die(text):
            raise ValueError(text)
        def thread(text):
            worker = threading.Thread(target=die, args=(text,))
            worker.start()
            worker.join()
        def main(ctx):
            text = ctx.secrets["db"]
            {ending}
        hyperplane.run(main, secrets={{"db": {SECRET!r}}})
        """
    )
    assert ("***" in ended.err, SECRET in ended.err) == (True, False)


async def asynchronous(context):
    """Give a coroutine."""
    pytest.fail("it ran")


def yielding(context):
    """Give a generator."""
    yield pytest.fail("it ran")


async def yielding_asynchronously(context):
    """Give an asynchronous generator."""
    yield pytest.fail("it ran")


class Callable:
    """A callable without a name that gives something to await."""

    async def __call__(self, context):
        pytest.fail("it ran")


@pytest.mark.parametrize(
    ("main", "name"),
    [
        (asynchronous, "asynchronous"),
        (yielding, "yielding"),
        (yielding_asynchronously, "yielding_asynchronously"),
        (Callable(), "Callable"),
    ],
    ids=["async def", "generator", "async generator", "object"],
)
def test_a_main_function_that_does_not_run_when_it_is_called_is_an_error(capsys, main, name):
    """Nothing has happened then, which is no success: exit code 64, and the function is named."""
    assert 64 == ending_of(main)
    assert capsys.readouterr().err.startswith(f"hyperplane: error: {name} ")


def test_an_async_main_function_ends_a_script_with_64():
    """There is the error, and no warning of a coroutine that was never awaited."""
    code = "import hyperplane\nasync def main(ctx): pass\nhyperplane.run(main)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (64, 2) == (done.returncode, len(done.stderr.splitlines()))
