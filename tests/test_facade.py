"""`import hyperplane`: which names it has, and what it loads for them."""

import functools
import importlib
import inspect
import pkgutil

import pytest
import scripts

import hyperplane
from hyperplane import errors

HEAVY = {
    *(
        "pydantic",
        "pydantic_settings",
        "structlog",
        "boto3",
        "botocore",
        "cryptography",
        "obstore",
        "typer",
        "rich",
        "yaml",
        "ahocorasick_rs",
        "dotenv",
    ),
    *("asyncio", "subprocess", "multiprocessing", "logging", "argparse", "difflib"),
}


@functools.cache
def loaded_by(code):
    """Return the heavy modules that the code loads in a fresh interpreter, beyond those that were there."""
    ended = scripts.run(
        f"import sys\nbefore = set(sys.modules)\n{code}\nprint(*({HEAVY!r} & (set(sys.modules) - before)))"
    )
    assert 0 == ended.code, ended.err
    return set(ended.out.split())


@pytest.mark.parametrize("name", hyperplane.__all__)
def test_every_public_name_can_be_imported(name):
    """What `__all__` lists is there."""
    assert getattr(hyperplane, name) is not None


def test_every_error_is_public():
    """Whoever wants to catch an error of ours finds it at the top."""
    ours = {
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and value.__module__ == errors.__name__
    }
    assert set() == ours - set(hyperplane.__all__)


def test_the_public_names_are_listed_once_and_in_order():
    """`__all__` is sorted as the linter sorts it, without duplicates."""
    assert len(hyperplane.__all__) == len(set(hyperplane.__all__))


def test_dir_lists_the_public_names():
    """A completing editor sees names that nobody has used yet."""
    assert set(hyperplane.__all__) <= set(dir(hyperplane))


def test_an_unknown_name_is_an_attribute_error():
    """A typo is told as in any module."""
    with pytest.raises(AttributeError, match="module 'hyperplane' has no attribute 'JobContex'"):
        hyperplane.JobContex  # noqa: B018 - reading it is the point


def test_a_star_import_gives_the_public_names():
    """`from hyperplane import *` gives what `__all__` lists, and nothing else."""
    names = {}
    exec("from hyperplane import *", names)
    assert set(hyperplane.__all__) == names.keys() - {"__builtins__"}


@pytest.mark.parametrize("name", sorted(module.name for module in pkgutil.iter_modules(hyperplane.__path__)))
def test_no_module_hides_behind_a_public_name(name):
    """A submodule, once imported, does not take the place of a public name."""
    if name != "__main__":
        importlib.import_module(f"hyperplane.{name}")
    assert name not in hyperplane.__all__


def test_importing_the_package_loads_nothing_heavy():
    """A script that imports us and does something else pays nothing."""
    assert set() == loaded_by("import hyperplane")


def test_asking_for_an_error_loads_nothing_heavy():
    """`except hyperplane.SecretError` costs no more than the file it stands in."""
    assert set() == loaded_by("import hyperplane; hyperplane.SecretError; hyperplane.current_context")


def test_a_context_and_a_secret_load_settings_and_nothing_else():
    """Beyond what pydantic-settings loads by itself, only the masker comes in."""
    settings = loaded_by("import pydantic_settings")
    secrets = {"db": "opensesame"}
    job = f"import hyperplane\nwith hyperplane.JobContext(secrets={secrets}) as ctx: ctx.secrets['db']"
    assert {"ahocorasick_rs"} >= loaded_by(job) - settings


@pytest.mark.parametrize(
    ("use", "allowed"),
    [
        ("ctx.params", set()),
        ("ctx.metric('x', 1)", set()),
        ("ctx.outputs.write_text('a', 'b')", set()),
        ("ctx.inputs", set()),
        ("ctx.log", {"structlog", "logging", "rich"}),
    ],
)
def test_each_facet_loads_its_libraries_when_it_is_used(use, allowed):
    """No facet pays for the libraries of another."""
    settings = loaded_by("import pydantic_settings")
    loaded = loaded_by(f"import hyperplane\nwith hyperplane.JobContext() as ctx: {use}")
    assert set() == loaded - settings - allowed - {"ahocorasick_rs"}
