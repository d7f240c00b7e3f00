"""Errors: what they say, carry and end a process with, and that they travel between processes."""

import copy
import inspect
import multiprocessing
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperplane import errors
from hyperplane.errors import HyperplaneError, JobStopped, did_you_mean, nearest

DOCS = Path(__file__).parents[1] / "docs" / "reference" / "errors.md"
PUBLIC = [
    kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__
]
OURS = [kind for kind in PUBLIC if issubclass(kind, HyperplaneError)]
EXPECTED_BUILTINS = {
    "NoContextError": RuntimeError,
    "ContextClosedError": RuntimeError,
    "SettingsError": ValueError,
    "SecretNotFoundError": KeyError,
    "SecretNameError": ValueError,
    "SecretValueError": ValueError,
    "ParamsError": ValueError,
    "ParamNotFoundError": KeyError,
    "InputError": OSError,
    "InputNotFoundError": KeyError,
    "OutputError": OSError,
    "OutputNameError": ValueError,
    "JobFileError": ValueError,
    "RunNotFoundError": LookupError,
    "RunnerError": OSError,
    "MissingExtraError": ImportError,
    "S3ServerError": OSError,
    "UsageError": ValueError,
    "JobStopped": SystemExit,
}


def name_of(kind):
    """Return the name that a class goes by in the ids of the tests."""
    return kind.__name__


def full(kind):
    """Return an error with everything that an error can carry."""
    error = kind("it failed", hint="do this", name="db", names=("db",), line=3)
    error.add_note("and a note")
    return error


def seen_over_there(error):
    """Return what another process finds in an error that it was sent."""
    return type(error).__name__, str(error), error.args, dict(vars(error))


def raise_it(error):
    """Raise, so that a pool sends the error back."""
    raise error


@pytest.mark.parametrize("kind", OURS, ids=name_of)
def test_the_text_of_an_error_is_its_message_and_its_hint(kind):
    """str() gives message and hint on lines of their own, also where the class is a KeyError."""
    assert "it failed\ndo this" == str(kind("it failed", hint="do this"))


@pytest.mark.parametrize("kind", OURS, ids=name_of)
def test_without_a_hint_the_text_is_the_message_alone(kind):
    """str() is the message and not its repr, which KeyError would give."""
    assert "it's 'gone'" == str(kind("it's 'gone'"))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("kind", OURS, ids=name_of)
def test_pickling_keeps_message_hint_attributes_and_notes(kind, protocol):
    """An unpickled error equals the first one in everything that it carries."""
    error = full(kind)

    assert seen_over_there(error) == seen_over_there(pickle.loads(pickle.dumps(error, protocol)))


@pytest.mark.parametrize("kind", OURS, ids=name_of)
def test_copying_keeps_what_an_error_carries(kind):
    """copy() goes the way of pickling, and so keeps the attributes too."""
    error = full(kind)

    assert seen_over_there(error) == seen_over_there(copy.copy(error))


def test_a_spawned_process_sees_and_sends_back_every_error_whole():
    """Through a spawned worker, in and out, no error loses a thing."""
    sent = [full(kind) for kind in OURS]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        there = pool.map(seen_over_there, sent)
        back = [pool.apply_async(raise_it, (error,)) for error in sent]
        for result in back:
            result.wait()
    returned = [result._value for result in back]

    expected = [seen_over_there(error) for error in sent]
    assert (expected, expected) == (there, [seen_over_there(error) for error in returned])


def test_a_stop_survives_pickling():
    """JobStopped keeps its reason, its exit code and its notes."""
    stopped = JobStopped("SIGTERM")
    stopped.add_note("and then")
    loaded = pickle.loads(pickle.dumps(stopped))

    expected = ("SIGTERM", 143, ["and then"])
    assert expected == (str(loaded), loaded.code, loaded.__notes__)


@pytest.mark.parametrize("kind", PUBLIC, ids=name_of)
def test_an_error_is_also_the_builtin_that_a_caller_expects(kind):
    """`except KeyError` and its like catch the errors that stand for them."""
    assert issubclass(kind, EXPECTED_BUILTINS.get(kind.__name__, Exception))


@pytest.mark.parametrize("kind", OURS, ids=name_of)
def test_what_an_error_documents_can_be_asked_of_it(kind):
    """Every attribute that a docstring names has a value on an error that was given none."""
    documented = [
        word
        for word in ("name", "names", "looked_in", "path", "line", "extra")
        if f"`{word}`" in kind.__doc__
    ]

    assert [] == [word for word in documented if not hasattr(kind("it failed"), word)]


def test_a_stop_passes_through_a_broad_handler():
    """`except Exception` in a job does not swallow JobStopped, which ends the process with 143."""
    code = (
        "from hyperplane.errors import JobStopped\n"
        "try:\n    raise JobStopped('SIGTERM')\nexcept Exception:\n    print('swallowed')\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert (143, "", "") == (result.returncode, result.stdout, result.stderr)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("NoContextError", 1),
        ("OutputError", 1),
        ("MissingExtraError", 1),
        ("UsageError", 64),
        ("ParamNotFoundError", 64),
        ("RunNotFoundError", 64),
        ("JobFileError", 65),
        ("SettingsError", 78),
        ("SecretNotFoundError", 78),
        ("SecretNameError", 78),
        ("SecretValueError", 78),
        ("InputNotFoundError", 78),
    ],
)
def test_an_error_knows_its_exit_code(name, expected):
    """The exit code says usage, a bad job file, or a missing secret or setting."""
    assert expected == getattr(errors, name).exit_code


def test_the_tree_at_the_top_of_the_module_names_every_error():
    """The drawing is complete, so that it can be believed."""
    drawn = [kind.__name__ for kind in PUBLIC if kind.__name__ not in errors.__doc__]

    assert ["HyperplaneWarning"] == drawn


@pytest.mark.parametrize("kind", PUBLIC, ids=name_of)
def test_every_error_is_documented_with_its_exit_code(kind):
    """The reference has one row for each class, which ends with the code it exits with."""
    rows = [line for line in DOCS.read_text().splitlines() if line.startswith(f"| `{kind.__name__}` |")]
    code = {"JobStopped": 143, "HyperplaneWarning": "-"}.get(kind.__name__) or kind.exit_code

    assert [f"{code} |"] == [row.rsplit("| ", 1)[-1] for row in rows]


@pytest.mark.parametrize(
    ("name", "known", "expected"),
    [
        ("db_pasword", ["db_password", "other"], "db_password"),
        ("db_password", ["DB_PASSWORD"], "DB_PASSWORD"),
        ("zebra", ["db_password"], None),
        ("x", [], None),
    ],
)
def test_the_nearest_name_is_found_over_letters_and_case(name, known, expected):
    """A letter or the case may be wrong; something else altogether is no suggestion."""
    assert expected == nearest(name, known)


def test_a_suggestion_is_a_question():
    """The closest name is offered in words for a hint."""
    assert "Did you mean 'lr'?" == did_you_mean("LR", ["lr", "epochs"])


def test_without_a_close_name_there_is_no_suggestion():
    """Nothing close gives an empty hint."""
    assert "" == did_you_mean("zebra", ["lr"])


@given(st.text(max_size=12), st.lists(st.text(max_size=12), max_size=6))
def test_whatever_is_suggested_is_a_known_name(name, known):
    """Any text may be asked for, and only what is known is ever offered."""
    assert nearest(name, known) in [None, *known]
