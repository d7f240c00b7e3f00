"""How a `with` block ends: the job's own exception stays, and clean-ups that fail are told."""

import sys

import pytest

from hyperplane import JobContext, JobStopped
from hyperplane.errors import OutputError


class Odd:
    """An exit code that cannot be hashed, and compares to nothing."""

    __hash__ = None

    def __eq__(self, other):
        raise TypeError


def failing(message):
    """Return a clean-up that fails with this message."""

    def clean_up():
        raise OutputError(message)

    return clean_up


@pytest.fixture
def context():
    """A context that writes down which clean-ups have run, and whether its job succeeded."""
    context = JobContext(environ={})
    context.ran = []
    context._parts.closes(lambda: context.ran.append("first made"))
    context._parts.seal_everything = lambda: context.ran.append("sealed")
    return context


def test_a_block_that_is_left_normally_is_a_success(context):
    """What the job left is sealed, then everything is closed, the newest first."""
    context._parts.closes(lambda: context.ran.append("last made"))
    with context:
        pass
    assert ["sealed", "last made", "first made"] == context.ran


@pytest.mark.parametrize("code", [None, 0, False])
def test_exiting_with_zero_is_a_success(context, code):
    """`sys.exit()` and `sys.exit(0)` in the block are a success, and go on."""
    with pytest.raises(SystemExit) as caught, context:
        sys.exit(code)
    assert (["sealed", "first made"], code) == (context.ran, caught.value.code)


@pytest.mark.parametrize("code", [1, "a message", 0.0, [], Odd()], ids=["1", "text", "0.0", "list", "odd"])
def test_exiting_otherwise_is_a_failure(context, code):
    """Any other code fails the job, whatever its type."""
    with pytest.raises(SystemExit) as caught, context:
        sys.exit(code)
    assert ["first made"] == context.ran
    assert caught.value.code is code


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), GeneratorExit()], ids=repr)
def test_an_exception_goes_through_as_it_is(context, error):
    """The very exception that the block raised comes out of it, and nothing is sealed."""
    with pytest.raises(type(error)) as caught, context:
        raise error
    assert caught.value is error
    assert (["first made"], False) == (context.ran, hasattr(error, "__notes__"))


def test_failing_clean_ups_do_not_replace_the_jobs_exception(context, capsys):
    """They become notes, and a line each on stderr; the other clean-ups still run."""
    context._parts.closes(failing("no room"))
    context._parts.closes(failing("no disk"))
    with pytest.raises(ValueError, match="of the job") as caught, context:
        raise ValueError("of the job")
    told = [f"while the context closed: OutputError: {what}" for what in ("no disk", "no room")]
    assert ([f"and then, {each}" for each in told], ["first made"]) == (caught.value.__notes__, context.ran)
    assert [f"hyperplane: {each}" for each in told] == capsys.readouterr().err.splitlines()


def test_a_failing_clean_up_fails_a_job_that_had_succeeded(context, capsys):
    """The first failure is raised, and has those after it as notes."""
    context._parts.closes(failing("no room"))
    context._parts.closes(failing("no disk"))
    with pytest.raises(OutputError, match="no disk") as caught, context:
        pass
    assert ["and then, while the context closed: OutputError: no room"] == caught.value.__notes__
    assert ["sealed", "first made"] == context.ran
    assert "no room" in capsys.readouterr().err


def test_a_failing_clean_up_fails_a_job_that_exited_with_zero(context):
    """`sys.exit(0)` does not hide that what the job left could not be kept."""
    context._parts.closes(failing("no room"))
    with pytest.raises(OutputError, match="no room"), context:
        sys.exit(0)


def test_what_fails_to_be_sealed_is_raised_when_everything_else_has_closed(context):
    """Sealing is the first of the clean-ups, and the others run after it."""
    context._parts.seal_everything = failing("cannot be sealed")
    with pytest.raises(OutputError, match="cannot be sealed"), context:
        pass
    assert ["first made"] == context.ran


def test_closing_without_a_block_raises_the_first_failure(context):
    """`close()` closes everything, seals nothing, and raises."""
    context._parts.closes(failing("no room"))
    context._parts.closes(failing("no disk"))
    with pytest.raises(OutputError, match="no disk") as caught:
        context.close()
    assert (["first made"], 1) == (context.ran, len(caught.value.__notes__))


def test_a_stopped_job_is_not_sealed_and_ends_with_143(context):
    """A job that has seen the stop gets `JobStopped` for leaving the block, whatever failed besides."""
    context._parts.closes(failing("no room"))
    context._parts.stopping.request("because")
    with pytest.raises(JobStopped, match="because") as caught, context:
        assert context.stopping
    assert (["first made"], 143) == (context.ran, caught.value.code)
    assert ["and then, while the context closed: OutputError: no room"] == caught.value.__notes__
    assert caught.value.__suppress_context__


def test_a_job_that_did_not_see_the_stop_has_succeeded(context):
    """A stop that comes when the work is done makes no failure of it."""
    with context:
        assert not context.stopping
        context._parts.stopping.request("too late")
    assert ["sealed", "first made"] == context.ran


def test_secrets_in_what_failed_are_masked(capsys):
    """The line on stderr about a failed clean-up holds no secret."""
    context = JobContext(environ={}, secrets={"db": "opensesame-of-the-ending"})
    context._parts.closes(failing("cannot write opensesame-of-the-ending"))
    with pytest.raises(ValueError, match="x"), context:
        raise ValueError("x")
    assert "cannot write ***" in capsys.readouterr().err


def test_nobody_on_stderr_is_no_failure(context, monkeypatch):
    """A daemon without stderr gets the job's own exception all the same."""
    monkeypatch.setattr(sys, "stderr", None)
    context._parts.closes(failing("no room"))
    with pytest.raises(ValueError, match="of the job"), context:
        raise ValueError("of the job")


def test_a_stop_while_the_block_is_entered_leaves_nothing_behind(context):
    """`JobStopped` out of `__enter__` has closed the context and put the handlers back."""
    installed = context._parts.stopping.install

    def install_and_stop():
        installed()
        raise JobStopped("just now")

    context._parts.stopping.install = install_and_stop
    with pytest.raises(JobStopped, match="just now"), context:
        pytest.fail("the block was entered")
    assert ["first made"] == context.ran
