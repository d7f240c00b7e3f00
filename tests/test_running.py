"""`hyperplane.run`: from the command line to the exit code, and what is said on the way."""

import dataclasses
import signal

import pytest
import scripts

import hyperplane


@dataclasses.dataclass
class Settings:
    """Typed parameters."""

    lr: float = 0.5


def exit_code_of(main, **options):
    """Return the code that `run` exits with."""
    with pytest.raises(SystemExit) as caught:
        hyperplane.run(main, **{"argv": [], "environ": {}, **options})
    return caught.value.code


def failing(error):
    """Return a main function that raises this."""

    def main(context):
        raise error

    return main


def test_the_main_function_gets_the_open_context():
    """It is called once, with the context that is current then, and closed afterwards."""
    seen = []
    code = exit_code_of(lambda context: seen.append((context, hyperplane.current_context() is context)))
    assert (0, True) == (code, seen[0][1])
    with pytest.raises(hyperplane.ContextClosedError):
        seen[0][0].secrets  # noqa: B018 - reading it is the point


def test_what_the_main_function_returns_is_no_exit_code():
    """A function that returns 3 has succeeded, for it has not said that it failed."""
    assert 0 == exit_code_of(lambda context: 3)


def test_the_command_line_fills_the_parameters(monkeypatch):
    """Without `argv` it is that of the process."""
    monkeypatch.setattr("sys.argv", ["train.py", "--lr", "0.25"])
    seen = []
    assert 0 == exit_code_of(lambda context: seen.append(context.params), params=Settings, argv=None)
    assert [Settings(0.25)] == seen


def test_a_command_line_may_be_given():
    """`argv` takes the place of the process's."""
    seen = []
    exit_code_of(lambda context: seen.append(context.params), params=Settings, argv=["--lr", "0.125"])
    assert [Settings(0.125)] == seen


@pytest.mark.parametrize(("code", "expected"), [(3, 3), (0, 0), (None, None)])
def test_exit_codes_of_the_jobs_own_stay(code, expected):
    """`sys.exit` in the main function ends the process as it says."""
    assert expected == exit_code_of(failing(SystemExit(code)))


def test_a_stopped_job_ends_with_143():
    """`JobStopped` comes out of the main function, or of leaving it."""

    def main(context):
        context._parts.stopping.request("because")
        return context.stopping

    assert 143 == exit_code_of(main)
    assert 143 == exit_code_of(failing(hyperplane.JobStopped("because")))


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        ({"params": Settings, "argv": ["--lr", "fast"]}, 64, "lr"),
        ({"params": Settings, "argv": ["--rl", "1"]}, 64, "--rl"),
        ({"require_secrets": ("db",)}, 78, "no secret 'db'"),
        ({"environ": {"HYPERPLANE_GRACE_S": "-1"}}, 78, "HYPERPLANE_GRACE_S"),
    ],
    ids=["parameter", "option", "secret", "setting"],
)
def test_what_is_wrong_before_the_job_has_a_code_and_two_lines_at_most(capsys, options, code, said):
    """The first line says what is wrong, a second what to do; the main function is not called."""
    assert code == exit_code_of(lambda context: pytest.fail("the job began"), **options)
    error, *hint = capsys.readouterr().err.splitlines()
    assert error.startswith("hyperplane: error: ")
    assert said in error
    assert [] == hint[1:]
    assert all(line.startswith("  ") for line in hint)


def test_an_error_of_ours_in_the_job_has_two_lines_too(capsys):
    """A secret that nobody asked for in advance is missing in the same words."""
    assert 78 == exit_code_of(lambda context: context.secrets["db"])
    assert 2 == len(capsys.readouterr().err.splitlines())


def test_an_error_without_a_hint_has_one_line(capsys):
    """Nothing is said where there is nothing to say."""
    assert 1 == exit_code_of(failing(hyperplane.HyperplaneError("it is so")))
    assert "hyperplane: error: it is so\n" == capsys.readouterr().err


def test_secrets_in_an_error_of_ours_are_masked(capsys):
    """Whatever a message was made of, no secret is in it."""
    error = hyperplane.HyperplaneError("cannot open opensesame-of-running")
    exit_code_of(failing(error), secrets={"db": "opensesame-of-running"})
    assert "hyperplane: error: cannot open ***\n" == capsys.readouterr().err


def test_any_other_exception_is_the_interpreters():
    """What the job raises comes out as it was raised, to be shown as Python shows it."""
    error = ValueError("of the job")
    with pytest.raises(ValueError, match="of the job") as caught:
        hyperplane.run(failing(error), argv=[], environ={})
    assert caught.value is error


def test_a_traceback_that_shows_a_secret_is_masked(capsys):
    """It is printed once, without the secret, and the exit code is 1; nobody need have read the secret."""
    variables = {"HYPERPLANE_SECRET_db": "opensesame-unread"}
    assert 1 == exit_code_of(failing(ValueError("bad opensesame-unread")), environ=variables)
    said = capsys.readouterr().err
    assert said.startswith("Traceback (most recent call last):\n")
    assert said.endswith("\nValueError: bad ***\n")
    assert "opensesame" not in said


def test_help_is_no_error(capsys):
    """`--help` prints what the job takes, and ends with 0."""
    assert 0 == exit_code_of(lambda context: pytest.fail("the job began"), params=Settings, argv=["--help"])
    assert "--lr" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("body", "code", "last_line"),
    [
        ("pass", 0, ""),
        ("sys.exit(3)", 3, ""),
        ("raise ValueError('of the job')", 1, "ValueError: of the job"),
        ("ctx.secrets['db']", 78, "  Set HYPERPLANE_SECRET_db, in the environment or in .env."),
    ],
    ids=["ok", "exit", "error", "secret"],
)
def test_a_script_ends_as_its_job_did(body, code, last_line):
    """The exit code of the process says how the job ended, and stderr ends with why."""
    ended = scripts.run(
        f"""
        import sys, hyperplane
        def main(ctx):
            {body}
        if __name__ == "__main__":
            hyperplane.run(main)
        """
    )
    assert (code, [last_line] if last_line else []) == (ended.code, ended.err.splitlines()[-1:])


def test_a_script_that_is_stopped_ends_with_143():
    """SIGTERM ends a job under `run` as in a `with` block, with nothing on stderr."""
    ended = scripts.signalled(
        """
        import time, hyperplane
        def main(ctx):
            print("ready", flush=True)
            time.sleep(20)
        hyperplane.run(main)
        """,
        signal.SIGTERM,
    )
    assert (143, "", "") == (ended.code, ended.out, ended.err)
