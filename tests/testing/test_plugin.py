"""The pytest plugin: found by itself, light, and configured by its marker."""

import subprocess
import sys

import pytest

from hyperplane.testing import FakeJobContext

STRICT = ("-q", "-p", "no:cacheprovider", "--strict-markers", "-W", "error")


def run_pytest(folder, source, *options):
    """Run the tests of a source file in a pytest of its own, and return how it ended."""
    (folder / "test_of_a_user.py").write_text(source)
    command = [sys.executable, "-m", "pytest", *STRICT, *options, "test_of_a_user.py"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_the_fixture_is_a_fake(job_context):
    """Without a marker it is a fake that nobody has configured or entered."""
    assert (type(job_context), job_context.outcome) == (FakeJobContext, "running")


@pytest.mark.job_context(params={"EPOCHS": 3}, secrets={"token": "sesame"}, stop_after=1)
def test_the_marker_says_what_it_is_made_with(job_context):
    """Every keyword of the marker reaches the context."""
    assert (job_context.params["EPOCHS"], job_context.secrets["token"], job_context.stopping) == (
        "3",
        "sesame",
        True,
    )


@pytest.mark.job_context(params={"EPOCHS": 3}, secrets={"token": "of-the-class"})
class TestMarkersOfAClass:
    @pytest.mark.job_context(secrets={"token": "of-the-test"})
    def test_the_nearest_marker_wins(self, job_context):
        """A keyword of the test hides that of the class, and the others stay."""
        assert (job_context.params["EPOCHS"], job_context.secrets["token"]) == ("3", "of-the-test")


def test_a_users_tests_find_it(tmp_path):
    """In a project that is strict about markers and warnings it works without a line of set-up."""
    source = """
import pytest

@pytest.mark.job_context(params={"EPOCHS": 3})
def test_epochs(job_context):
    assert job_context.params["EPOCHS"] == "3"

def test_the_context_of_another_test_is_closed(job_context):
    job_context.report("open")
"""
    ended = run_pytest(tmp_path, source)
    assert (ended.returncode, "2 passed" in ended.stdout) == (0, True), ended.stdout


def test_a_misspelt_keyword_is_an_error(tmp_path):
    """A keyword that no context takes is named."""
    source = """
import pytest

@pytest.mark.job_context(secret={})
def test_it(job_context):
    pass
"""
    ended = run_pytest(tmp_path, source)
    assert (ended.returncode, "unexpected keyword argument 'secret'" in ended.stdout) == (1, True)


def test_positional_arguments_of_the_marker_are_refused(tmp_path):
    """What the marker could only pass over is an error."""
    source = """
import pytest

@pytest.mark.job_context({"EPOCHS": 3})
def test_it(job_context):
    pass
"""
    ended = run_pytest(tmp_path, source)
    assert (ended.returncode, "takes keywords alone" in ended.stdout) == (1, True), ended.stdout


def test_it_loads_nothing_heavy_before_it_is_used(tmp_path):
    """A project whose tests do not use the fixture does not pay for it."""
    source = """
import sys

def test_it():
    heavy = {"pydantic", "pydantic_settings", "structlog", "hyperplane.context", "hyperplane.testing.fake"}
    assert heavy & set(sys.modules) == set()
"""
    ended = run_pytest(tmp_path, source)
    assert ended.returncode == 0, ended.stdout


def test_the_package_needs_no_pytest():
    """`hyperplane.testing` and its fake work where pytest is not installed."""
    program = """
import sys
import hyperplane.testing
hyperplane.testing.FakeJobContext().report("done")
assert "pytest" not in sys.modules
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (0, "done\n"), ended.stderr


def test_a_misspelt_name_of_the_package_is_an_error():
    """The lazy package answers for its own names alone."""
    import hyperplane.testing

    with pytest.raises(AttributeError, match="FakeJobContex"):
        hyperplane.testing.FakeJobContex  # noqa: B018 - it raises


def test_the_names_of_the_package_are_listed():
    """`dir` shows the names before they are loaded."""
    import hyperplane.testing

    assert set(hyperplane.testing.__all__) <= set(dir(hyperplane.testing))
