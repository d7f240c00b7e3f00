"""A source of a user's own, named by a setting: for contexts, the runner and doctor alike."""

import subprocess
import sys
from pathlib import Path

import pytest

from hyperplane.environment import Environment
from hyperplane.errors import SettingsError
from hyperplane.masking import Masker
from hyperplane.secretsources import stored_sources
from hyperplane.settings import load

MODULE = """
from hyperplane.secretsources import FoundSecret, Origin
class Own:
    def find(self, name):
        return FoundSecret(b"value-of-my-own", Origin("mine", name)) if name == "own" else None
    def names(self):
        return ()
    def describe(self, name):
        return f"mine {name}"
def make():
    return Own()
def make_none():
    return {}
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Put a module with sources on the path, and return its name."""
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "our_secrets_for_tests.py").write_text(MODULE)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    yield "our_secrets_for_tests"
    sys.modules.pop("our_secrets_for_tests", None)


def sources_of(named, **options):
    """Return the stored sources of a process that was told of one."""
    environment = Environment({} if options else {"HYPERPLANE_SECRET_SOURCE": named}, **options)
    return stored_sources(environment, load(environment), Masker())


def test_what_the_function_makes_is_asked(module):
    """It is a source like the others."""
    (source,) = sources_of(f"{module}:make")
    assert (b"value-of-my-own", None) == (source.find("own").value, source.find("other"))


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("no_such_module_here:make", "cannot be loaded: No module named 'no_such_module_here'"),
        ("our_secrets_for_tests:nothing", "cannot be loaded: module .* has no attribute 'nothing'"),
        ("our_secrets_for_tests", "cannot be loaded"),
        (":make", "cannot be loaded"),
        (".x:make", "cannot be loaded"),
        ("our_secrets_for_tests:make_none", "returned a dict: no source of secrets"),
    ],
)
def test_what_makes_no_source_is_an_error(module, named, message):
    """The variable is named, and what a source needs."""
    with pytest.raises(SettingsError, match=message) as caught:
        sources_of(named)
    assert "environment HYPERPLANE_SECRET_SOURCE names " in caught.value.message


def test_a_file_in_a_folder_does_not_say_which_code_runs(module):
    """Looking at a project must not run what somebody put there."""
    Path(".env").write_text(f"HYPERPLANE_SECRET_SOURCE={module}:make\n")
    with pytest.raises(SettingsError, match="HYPERPLANE_SECRET_SOURCE would have code run"):
        sources_of(None, env_file=Path(".env"))


def test_the_runner_hands_its_secrets_to_jobs(module, variables):
    """A declared secret is found there before the job starts; the job itself does not ask."""
    Path("job.yaml").write_text("main: sh -c 'echo ${#OWN} $OWN'\nsecrets: [{own: {env: OWN}}]\n")
    command = [sys.executable, "-m", "hyperplane", "run", "job.yaml"]
    done = subprocess.run(
        command, env=variables(HYPERPLANE_SECRET_SOURCE=f"{module}:make"), capture_output=True, timeout=60
    )
    assert b"15 ***\n" == done.stdout


@pytest.fixture
def variables():
    """Return the environment of the test with some variables set."""
    import os

    return lambda **more: {**os.environ, **more}
