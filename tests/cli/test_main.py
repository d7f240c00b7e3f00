"""The command line as a whole: usage, errors, exit codes."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import hyperplane
from hyperplane.cli import main
from hyperplane.errors import HyperplaneWarning, RunnerError
from hyperplane.masking import process_masker
from hyperplane.runs import runner


@pytest.fixture
def call(capsys):
    """Return a function that calls the command line here, and returns exit code, stdout and stderr."""

    def run(*words):
        with pytest.raises(SystemExit) as caught:
            main(words)
        printed = capsys.readouterr()
        return caught.value.code, printed.out, printed.err

    return run


@pytest.fixture
def runs_as(monkeypatch):
    """Return a function that has `run` do something else than running a job."""

    def replace(action):
        monkeypatch.setattr(runner, "run", lambda request, **_: action())

    return replace


def raising(error):
    """Return a function that raises an error."""

    def fail():
        raise error

    return fail


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["no-such-command"], 127, "there is no no-such-command on the PATH"),
        (["./no-such.sh"], 127, "there is no ./no-such.sh"),
        (["no-such.py"], 127, "there is no no-such.py in {here}, nor on the PATH"),
        ([""], 127, "there is no  on the PATH"),
        (["./plain.txt"], 126, "./plain.txt cannot be run: it is no executable file"),
        (["./folder"], 126, "./folder cannot be run: it is no executable file"),
        ([], 64, "there is nothing to run"),
        (["--no-such-option"], 64, "No such option: --no-such-option"),
        (["--retry"], 64, "Option '--retry' requires an argument."),
        (["-p", "epochs", "true"], 64, "-p takes NAME=VALUE"),
        (["-p", "=3", "true"], 64, "-p takes NAME=VALUE"),
        (["-p", "HYPERPLANE_RUN_DIR=/", "true"], 64, "HYPERPLANE_RUN_DIR cannot be a parameter"),
        (["job.yaml", "more"], 64, "'more' follows the job file"),
        (["no-such.yaml"], 65, "no-such.yaml: it cannot be read"),
        (["empty.yml"], 65, "empty.yml: "),
        (["--retry", "last"], 64, "there are no runs in "),
    ],
)
def test_command_line_that_cannot_be_run_is_one_clear_error(call, words, code, message):
    """The exit code is the shell's or that of sysexits, and stderr has two lines at most."""
    Path("plain.txt").write_text("text")
    Path("folder").mkdir()
    Path("empty.yml").write_text("")
    found, output, errors = call("run", *words)
    assert (code, "") == (found, output)
    assert errors.startswith(f"hyperplane: error: {message.format(here=Path.cwd())}")
    assert len(errors.splitlines()) <= 2
    assert not Path(".hyperplane").exists()


@pytest.mark.parametrize("words", [["no-such-command"], ["--no-such-option"], ["show", "a", "b"], ["prune"]])
def test_other_usage_errors_are_64(call, words):
    """What the command line does not know is a usage error, and the hint says where help is."""
    code, _, errors = call(*words)
    assert code == 64
    assert errors.splitlines()[1] == "  `hyperplane --help` shows what there is."


def test_version_is_that_of_the_package(call):
    """`--version` needs no command."""
    assert (0, f"hyperplane {hyperplane.__version__}\n", "") == call("--version")


@pytest.mark.parametrize("word", ["--help", "-h"])
def test_help_lists_the_commands(call, word):
    """Every command has its line."""
    code, output, _ = call(word)
    assert code == 0
    for command in ("run", "runs", "show", "logs", "prune", "doctor"):
        assert f"\n  {command} " in output


def test_command_line_without_words_shows_the_help(call):
    """Whoever types the name alone is told what there is."""
    code, output, errors = call()
    assert code in {0, 64}
    assert "prune" in output + errors


def test_exit_code_of_a_run_is_ours(call, runs_as):
    """What the runner returns ends the process."""
    runs_as(lambda: 42)
    assert call("run", "true")[0] == 42


def test_error_is_message_and_hint_with_its_exit_code(call, runs_as):
    """Newlines and control characters in it do not make more lines of it."""
    runs_as(raising(RunnerError("one\ntwo\x1b[2J", hint="do this", exit_code=77)))
    assert (77, "", "hyperplane: error: one two\\x1b[2J\n  do this\n") == call("run", "true")


def test_error_is_masked(call, runs_as):
    """A secret that the process knows is not in it."""
    process_masker().add("known", "a-secret-of-this-test")
    runs_as(raising(RunnerError("cannot use a-secret-of-this-test")))
    assert call("run", "true")[2] == "hyperplane: error: cannot use ***\n"


def test_warning_is_one_line(call, runs_as):
    """A warning of ours is told without its place in our code."""
    runs_as(lambda: warnings.warn("watch out", HyperplaneWarning, stacklevel=1) or 0)
    assert (0, "", "hyperplane: warning: watch out\n") == call("run", "true")


def test_unexpected_error_is_no_traceback(call, runs_as):
    """What nobody foresaw says its kind and place, not its text, which may hold anything."""
    runs_as(raising(ValueError("hunter2")))
    code, _, errors = call("run", "true")
    assert code == 70
    assert errors.startswith("hyperplane: error: ValueError in test_main.py, line ")
    assert "hunter2" not in errors


def test_unexpected_system_error_says_its_reason(call, runs_as):
    """The system's own words are safe to show."""
    runs_as(raising(PermissionError(1, "Operation not permitted", "secret-name")))
    assert "PermissionError: Operation not permitted in test_main.py" in call("run", "true")[2]


def test_interrupt_ends_with_130(call, runs_as):
    """Ctrl-C at a command that waits is no error to explain."""
    runs_as(raising(KeyboardInterrupt()))
    assert (130, "", "") == call("run", "true")


def test_interrupt_while_the_command_line_is_put_together_ends_with_130(call, monkeypatch):
    """Ctrl-C a moment after the start has no traceback either."""
    monkeypatch.setattr("hyperplane.cli.app.make_command", raising(KeyboardInterrupt()))
    assert (130, "", "") == call("run", "true")


def test_reader_that_goes_away_is_no_error():
    """`hyperplane ... | head -1` says nothing on stderr."""
    words = f"{sys.executable} -m hyperplane --help | true"
    done = subprocess.run(["sh", "-c", words], capture_output=True, text=True, timeout=60)
    assert done.stderr == ""


def test_runner_needs_a_system_that_forks(call, monkeypatch):
    """Where there is no fork, the error says what works instead."""
    monkeypatch.delattr(os, "fork")
    code, _, errors = call("run", "true")
    assert code == 1
    assert errors.startswith(
        "hyperplane: error: hyperplane run needs Linux or macOS\n  JobContext works here"
    )


@pytest.mark.parametrize("words", [[], ["s3"], ["secrets"]], ids=["all", "s3", "secrets"])
def test_without_a_command_its_help_is_shown(call, words):
    """As it is meant to be read, on standard error, for nothing was done."""
    code, out, err = call(*words)
    assert (64, "") == (code, out)
    assert err.startswith(f"Usage: {' '.join(['hyperplane', *words])} ")
    assert "\nCommands:\n" in err
