"""The shape of the repository: sizes, names, and what may stand in which file."""

import ast
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "hyperplane"
FILE_LIMIT = 400
FUNCTION_LIMIT = 30
SMALL_SHARE = 0.95
VAGUE_NAMES = {"base", "common", "core", "helper", "helpers", "manager", "misc", "util", "utils"}
RUN_FILES = {
    "run.json",
    "run.lock",
    "stdout.log",
    "stderr.log",
    "events.jsonl",
    "delivery.jsonl",
    ".hyperplane",
}
# written in halves, so that this file does not hold them itself
INDEX_HOSTS = [
    f"{name}.{domain}" for name, domain in (("pypi", "org"), ("pythonhosted", "org"), ("anaconda", "org"))
]


def python_files(*folders):
    """Return every Python file below these folders of the repository."""
    found = (path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return [path for path in found if "_build" not in path.parts]


def relative(path):
    """Return a path as it is written in the repository."""
    return path.relative_to(ROOT).as_posix()


def tree_of(path):
    """Return the syntax tree of a Python file."""
    return ast.parse(path.read_text(encoding="utf-8"))


def lengths_of_functions(path):
    """Return the number of lines of each function in a file."""
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return [node.end_lineno - node.lineno + 1 for node in ast.walk(tree_of(path)) if isinstance(node, kinds)]


def texts_of(tree):
    """Return the text constants of a module that are no docstrings."""
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    constants = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in docs)
    return {node.value for node in constants if isinstance(node.value, str)}


@pytest.fixture(scope="module")
def repository():
    """Return the text of every file that is, or would be, in the repository, by its path there."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("this is no git checkout: nobody can say which files are in the repository")
    listing = ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, capture_output=True, text=True, check=True).stdout.split("\0")
    paths = [ROOT / name for name in names if name and (ROOT / name).is_file()]
    return {relative(path): path.read_text(encoding="utf-8", errors="replace") for path in paths}


def test_no_file_is_longer_than_a_reader_can_hold():
    """No Python file has more than 400 lines."""
    lengths = {
        relative(path): len(path.read_bytes().splitlines())
        for path in python_files("hyperplane", "tests", "docs")
    }
    assert {} == {name: length for name, length in lengths.items() if length > FILE_LIMIT}


def test_functions_are_short():
    """At least 95 % of the functions of the package have fewer than 30 lines."""
    lengths = [length for path in python_files("hyperplane") for length in lengths_of_functions(path)]
    assert sum(length < FUNCTION_LIMIT for length in lengths) >= SMALL_SHARE * len(lengths)


def test_modules_are_named_after_what_they_give():
    """No module is a drawer for everything."""
    names = {path.stem for path in python_files("hyperplane")} | {
        path.parent.name for path in python_files("hyperplane")
    }
    assert set() == names & VAGUE_NAMES


def test_the_environment_is_read_in_one_place():
    """`os.environ` and its like stand in `environment.py` alone."""
    environ = re.compile(r"os\.(environ|environb|getenv|getenvb|putenv|unsetenv)\b|from os import .*environ")
    files = {
        relative(path)
        for path in python_files("hyperplane")
        if environ.search(path.read_text(encoding="utf-8"))
    }
    assert {"hyperplane/environment.py"} == files


def test_the_files_of_a_run_are_named_in_one_place():
    """What lies where in `.hyperplane` stands in `rundir.py` alone."""
    files = {relative(path) for path in python_files("hyperplane") if texts_of(tree_of(path)) & RUN_FILES}
    assert {"hyperplane/rundir.py"} == files


def test_ci_runs_the_test_command_of_the_readme():
    """README and `.ci/run` cannot drift apart: CI takes the one line from the README."""
    commands = re.findall(
        r"^.*-m pytest$", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    steps = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert 1 == len(commands)
    assert ["eval \"$(grep -m1 -x '.*-m pytest' README.md)\""] == re.findall(
        r"^.*pytest.*$", steps, flags=re.MULTILINE
    )


def test_nothing_names_this_machine(repository):
    """No file holds the path of a checkout."""
    places = (str(ROOT), str(ROOT.parent / "shared"))
    assert set() == {name for name, text in repository.items() if any(place in text for place in places)}


def test_nothing_names_a_package_index(repository):
    """Where packages come from is for whoever installs them to say."""
    assert set() == {name for name, text in repository.items() if any(host in text for host in INDEX_HOSTS)}
