"""The functions of hyperplane-client: over the open context, or over a default one made for them."""

import argparse
import gc
import signal
from contextlib import closing
from pathlib import Path

import pytest
import scripts

import hyperplane
import hyperplane.testing
from hyperplane import JobContext, journal
from hyperplane.rundir import Home, Lock


def test_a_secret_comes_from_the_environment(monkeypatch):
    """`HYPERPLANE_SECRET_<name>` is what a local run needs."""
    monkeypatch.setenv("HYPERPLANE_SECRET_db", "opensesame")
    assert "opensesame" == hyperplane.get_secret("db")


def test_a_missing_secret_is_a_key_error_that_says_what_to_do():
    """It names the variable to set."""
    with pytest.raises(KeyError, match="Set HYPERPLANE_SECRET_db"):
        hyperplane.get_secret("db")


def test_a_parameter_comes_from_the_environment(monkeypatch):
    """The exact name counts, and nothing is converted."""
    monkeypatch.setenv("SOME_PARAM", "some value")
    assert ("some value", None) == (
        hyperplane.get_env_param("SOME_PARAM"),
        hyperplane.get_env_param("some_param"),
    )


def test_a_parameter_comes_from_the_open_context_first(monkeypatch):
    """What a context was given in Python is seen too, over its own environment alone."""
    monkeypatch.setenv("OUTSIDE", "1")
    given = {"params": {"GIVEN": 3}, "environ": {"TOLD": "2"}}
    with hyperplane.testing.FakeJobContext(**given):
        told = [hyperplane.get_env_param(name) for name in ("OUTSIDE", "TOLD", "GIVEN", "HYPERPLANE_JOB_ID")]
    assert [None, "2", "3", None] == told


def test_typed_parameters_leave_the_environment_to_be_asked():
    """A declared class has names of its own; the variables are there all the same."""
    with JobContext(params=argparse.Namespace(lr=1), environ={"TOLD": "2"}):
        assert (None, "2") == (hyperplane.get_env_param("lr"), hyperplane.get_env_param("TOLD"))


@pytest.mark.parametrize("name", ["HYPERPLANE_JOB_ID", "HYPERPLANE_SECRET_db", "HYPERPLANE_ANYTHING"])
def test_settings_and_secrets_are_no_parameters(monkeypatch, name):
    """A name of ours is None, set or not: no secret leaves through the parameters."""
    monkeypatch.setenv(name, "value-of-ours")
    assert hyperplane.get_env_param(name) is None


def test_ids_are_none_on_a_laptop():
    """Where nobody gave the job an id or a user, there is none; `ctx.job.id` makes one up."""
    assert (None, None) == (hyperplane.get_job_id(), hyperplane.get_user_id())


def test_ids_are_those_of_the_settings_or_the_platform(monkeypatch):
    """Our variables come first, then what the platform tells."""
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.setenv("HYPERPLANE_USER_ID", "ada")
    assert ("17", "ada") == (hyperplane.get_job_id(), hyperplane.get_user_id())


def test_printing_to_a_file_adds_to_it_as_it_is(tmp_path):
    """Nothing is put between the payloads, after them, or between calls."""
    hyperplane.print_to_file("file.csv", "a", "b\n")
    hyperplane.print_to_file("file.csv", "c")
    assert b"ab\nc" == (tmp_path / "work" / "file.csv").read_bytes()


def test_a_report_is_a_line_on_stdout(capsys):
    """Whatever is reported is shown as text."""
    hyperplane.report({"epoch": 3})
    assert "{'epoch': 3}\n" == capsys.readouterr().out


def test_the_outputs_folder_is_an_absolute_path(monkeypatch, tmp_path):
    """It exists, is a str, and follows the setting."""
    assert str(tmp_path / "work") == hyperplane.OUTPUT_FILES_DIR_ABS
    monkeypatch.setenv("HYPERPLANE_OUTPUT_DIR", "out")
    assert str(tmp_path / "work" / "out") == hyperplane.OUTPUT_FILES_DIR_ABS
    assert Path(hyperplane.OUTPUT_FILES_DIR_ABS).is_dir()


def test_the_module_of_the_functions_has_no_other_names():
    """A typo in `hyperplane.shortcuts` is an error too."""
    with pytest.raises(AttributeError, match="no attribute 'get_secrets'"):
        hyperplane.shortcuts.get_secrets  # noqa: B018 - reading it is the point


def test_the_open_context_is_used(tmp_path, capsys):
    """Inside a block the functions are over that context, not over the environment."""
    variables = {"HYPERPLANE_JOB_ID": "j", "HYPERPLANE_USER_ID": "ada", "LR": "0.5"}
    with JobContext(environ=variables, secrets={"db": "opensesame"}, outputs=tmp_path / "out"):
        found = (hyperplane.get_secret("db"), hyperplane.get_env_param("LR"))
        ids = (hyperplane.get_job_id(), hyperplane.get_user_id())
        hyperplane.print_to_file("a.txt", "x")
        folder = hyperplane.OUTPUT_FILES_DIR_ABS
    assert (("opensesame", "0.5"), ("j", "ada"), str(tmp_path / "out")) == (found, ids, folder)
    assert "x" == (tmp_path / "out" / "a.txt").read_text("utf-8")


def test_the_default_context_follows_the_environment(monkeypatch):
    """What a script sets before it asks is found, as `os.environ` would have it."""
    assert hyperplane.get_env_param("LATE") is None
    monkeypatch.setenv("LATE", "1")
    assert "1" == hyperplane.get_env_param("LATE")


def test_the_default_context_is_made_once_while_nothing_changes():
    """Calls share it."""
    hyperplane.get_job_id()
    made = hyperplane.shortcuts._default
    hyperplane.get_user_id()
    assert hyperplane.shortcuts._default is made


def test_the_default_context_installs_nothing():
    """It is not current, and takes no signal."""
    before = signal.getsignal(signal.SIGTERM)
    hyperplane.get_job_id()
    assert signal.getsignal(signal.SIGTERM) is before
    with pytest.raises(hyperplane.NoContextError):
        hyperplane.current_context()


def test_default_contexts_that_are_replaced_keep_no_file_open(monkeypatch, tmp_path, capsys):
    """A job that changes its environment at each step does not run out of descriptors."""
    run = Home.of(tmp_path).claim("j")
    monkeypatch.setenv("HYPERPLANE_RUN_DIR", str(run.path))
    with closing(Lock.take(run.lock)):
        for step in range(30):
            monkeypatch.setenv("STEP", str(step))
            hyperplane.report("step")
        gc.collect()
        still_open = [link for link in Path("/proc/self/fd").iterdir() if _target(link) == run.events]
    assert 1 == len(still_open)
    assert 30 == sum(event["kind"] == "report" for event in journal.read(run.events))


def _target(link):
    try:
        return link.readlink()
    except FileNotFoundError:
        return None


def test_scripts_that_use_only_functions_need_nothing_else():
    """The functions work at the top of a script, in threads, and while the interpreter ends."""
    ended = scripts.run(
        """
        import atexit, threading, hyperplane
        atexit.register(lambda: hyperplane.report("at exit"))
        threading.Thread(target=hyperplane.report, args=("in a thread",)).start()
        hyperplane.report("at the top")
        """
    )
    assert (0, ["at exit", "at the top", "in a thread"], "") == (
        ended.code,
        sorted(ended.out.splitlines()),
        ended.err,
    )
