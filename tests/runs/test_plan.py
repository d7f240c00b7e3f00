"""What is to be run, settled from the command line, the job file and an earlier run."""

import os
from pathlib import Path

import pytest

from hyperplane import settings
from hyperplane.environment import Environment
from hyperplane.errors import UsageError
from hyperplane.rundir import RunDir
from hyperplane.runs.plan import Earlier, Request, make_plan, parse_parameter
from hyperplane.runs.record import RunRecord


def plan_of(*words, **variables):
    """Return the plan for a command in the working folder."""
    environment = Environment.capture(variables)
    return make_plan(Request.of(words), environment=environment, settings=settings.load(environment))


def test_parameter_is_split_at_the_first_equals_sign():
    """Everything after it is the value."""
    assert ("A", "b=c") == parse_parameter("A=b=c")


@pytest.mark.parametrize(
    "value", ["--flag", "a\nb", "$(id)", "", "\udcff", "x" * (128 * 1024 - 3)], ids=range(6)
)
def test_parameter_keeps_any_value_that_a_process_can_be_given(value):
    """Nothing is trimmed or expanded, up to the kernel's limit."""
    assert ("P", value) == parse_parameter(f"P={value}")


def test_parameter_over_the_kernels_limit_is_refused_without_its_value():
    """One byte more than fits is an error that names the parameter alone."""
    with pytest.raises(UsageError, match=r"^the parameter 'P' is longer than") as caught:
        parse_parameter("P=" + "x" * (128 * 1024 - 2))
    assert "xxx" not in str(caught.value)


@pytest.mark.parametrize("text", ["A", "=b", ""])
def test_parameter_without_name_or_value_is_refused(text):
    """The hint shows the form."""
    with pytest.raises(UsageError, match="-p takes NAME=VALUE"):
        parse_parameter(text)


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("true",), "true"),
        (("./train.py", "--x"), "train"),
        (("python", "-u", "a b/my train.py"), "my-train"),
        (("/usr/bin/env",), "env"),
        (("...",), "job"),
        (("x" * 300,), "x" * 100),
    ],
)
def test_command_names_its_job(words, name):
    """The script or program gives the name, in characters that a folder can have."""
    assert plan_of(*words).name == name


def test_settings_name_and_identify_the_job():
    """What the environment tells goes before what is made up."""
    plan = plan_of("true", HYPERPLANE_JOB_NAME="n", HYPERPLANE_JOB_ID="j", HYPERPLANE_ATTEMPT="3")
    assert ("n", "j", 3) == (plan.name, plan.job_id, plan.attempt)


def test_job_without_an_id_gets_one_of_its_own():
    """Two jobs of one name are not the same job."""
    first, second = plan_of("true"), plan_of("true")
    assert first.job_id != second.job_id
    assert first.job_id.startswith("true-")


def test_home_is_the_working_folder_unless_set():
    """HYPERPLANE_HOME may be relative to it."""
    here = Path.cwd()
    assert here / ".hyperplane" == plan_of("true").home.path
    assert here / "a/.hyperplane" == plan_of("true", HYPERPLANE_HOME="a").home.path


def test_interpreter_paths_keep_their_bytes():
    """A command of bytes that are no text is planned as it is."""
    word = os.fsdecode(b"caf\xff")
    assert (word,) == plan_of(word).command


def earlier(**fields):
    """Return a run that is to be tried again."""
    run = RunDir(Path.cwd() / ".hyperplane/runs/j/run-1")
    return Earlier(run, RunRecord(job_id="j", run_id="run-1", **fields))


def test_masked_word_of_a_recorded_command_is_not_guessed():
    """A secret in the command must be given again."""
    with pytest.raises(UsageError, match="the command of run run-1 held a secret, which is not recorded"):
        _ = earlier(command=("curl", "-u", "me:***"), masked=("command",)).command


@pytest.mark.parametrize("field", ["job_file", "folder"])
def test_masked_path_of_an_earlier_run_is_not_guessed(field):
    """Where the job lay must be given again when its path held a secret."""
    with pytest.raises(UsageError, match=f"the {field.replace('_', ' ')} of run run-1 held a secret"):
        getattr(earlier(**{field: "/a/***"}, masked=(field,)), field)


def test_asterisks_that_were_typed_are_repeated():
    """Only what was really masked is missing."""
    found = earlier(command=("echo", "***"), parameters={"A": "***"}, given=("A",))
    assert (("echo", "***"), {"A": "***"}) == (found.command, found.parameters([]))


def test_run_without_a_recorded_command_needs_one():
    """What was never written down, or made without the runner, cannot be repeated."""
    with pytest.raises(UsageError, match="the run run-1 has no recorded command"):
        _ = earlier().command


def test_masked_value_of_a_recorded_parameter_is_not_guessed():
    """A secret in a parameter must be given again, and is no trouble when it is."""
    found = earlier(parameters={"A": "1", "B": "***"}, given=("A", "B"), masked=("parameters.B",))
    with pytest.raises(UsageError, match="the parameter 'B' of run run-1 held a secret"):
        found.parameters([])
    assert {"A": "1"} == found.parameters(["B"])


def test_run_that_is_tried_again_keeps_its_home():
    """The next attempt lies beside the one before."""
    assert Path.cwd() / ".hyperplane" == earlier().home.path
