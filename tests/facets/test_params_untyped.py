"""Untyped parameters: text by exact name, and values of the type of a default."""

from decimal import Decimal
from enum import Enum
from pathlib import Path

import pytest

from hyperplane.environment import Environment, Origin
from hyperplane.errors import ParamNotFoundError, ParamsError
from hyperplane.facets.params import Params, resolve, sources
from hyperplane.settings import PREFIX


class Color(Enum):
    RED = "red"


class Level(Enum):
    LOW = 1


class Opaque:
    pass


def params(given=None, declared=(), **variables):
    """Return untyped parameters over an environment of these variables."""
    return Params(given, Environment(variables), declared=declared)


def test_a_variable_is_read_as_the_text_it_is():
    """A parameter of the environment is its text, unchanged."""
    assert params(NAME="007")["NAME"] == "007"


@pytest.mark.parametrize("text", ["--flag", "a\nb", "x" * 129 * 1024, "a\udc80b", "$(id)", "a=b", "", " "])
def test_awkward_text_arrives_unchanged(text):
    """No text is too odd to be a value: it is neither run nor cut nor folded."""
    assert text == params(NAME=text)["NAME"]


def test_get_without_a_default_is_none_where_nothing_is_set():
    """A parameter that no source has is None when it is asked for with get."""
    assert params().get("NAME") is None


def test_the_argument_wins_over_the_environment():
    """A given value hides the variable of the same name."""
    assert params({"NAME": "given"}, NAME="variable")["NAME"] == "given"


def test_names_are_matched_by_exact_case():
    """A parameter `user` does not read `USER`."""
    assert params(USER="root").get("user") is None


def test_a_given_none_leaves_the_parameter_to_other_sources():
    """A name given with None is declared and has no value of its own."""
    assert params({"NAME": None}, NAME="variable")["NAME"] == "variable"


def test_a_hyperparameter_of_sagemaker_is_read_after_the_environment():
    """What SageMaker tells of a hyperparameter fills in where the environment has nothing."""
    assert params(SM_HP_LR="0.1").get("lr", 0.5) == 0.1


def test_a_dashed_hyperparameter_of_sagemaker_is_read():
    """SageMaker keeps the dashes of a hyperparameter's name, which is read as underscores."""
    assert params(**{"SM_HP_BATCH-SIZE": "32"}).get("batch_size", 1) == 32


def test_a_setting_of_ours_is_never_a_parameter():
    """Names that begin with HYPERPLANE_ are hidden even where they are set."""
    assert params(HYPERPLANE_JOB_ID="7").get("HYPERPLANE_JOB_ID") is None


def test_the_prefix_of_settings_is_the_one_of_the_settings():
    """The names kept out of parameters are those of the settings."""
    assert PREFIX == sources.OWN_PREFIX


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3, "3"),
        (True, "true"),
        (0.1, "0.1"),
        (Path("a/b"), "a/b"),
        ([1, "b"], '[1, "b"]'),
        ({"path": Path("a")}, '{"path": "a"}'),
        ({("a", 1): 1}, "{('a', 1): 1}"),
        (Color.RED, "red"),
    ],
)
def test_a_given_value_is_written_as_text(value, text):
    """A given value that is no text is written as the text that reads back."""
    assert text == params({"x": value})["x"]


@pytest.mark.parametrize(
    ("text", "default", "value"),
    [
        ("3", 1, 3),
        ("-3", 1, -3),
        ("1e-3", 1.0, 0.001),
        ("3", 1.0, 3.0),
        ("yes", False, True),
        ("False", True, False),
        ("007", "x", "007"),
        ("a/b", Path(), Path("a/b")),
        ("1,2, 3", [0], [1, 2, 3]),
        ("[1, 2]", [0.5], [1.0, 2.0]),
        ("a,b", [], ["a", "b"]),
        ("", ["x"], []),
        ("1,x", (0, "a"), (1, "x")),
        ("1,x,2", (0, "a"), ("1", "x", "2")),
        ("1,2", {9}, {1, 2}),
        ('{"a": 1}', {}, {"a": 1}),
        ("0.10", Decimal(0), Decimal("0.10")),
        ("red", Color.RED, Color.RED),
        ("1", Level.LOW, Level.LOW),
        ("LOW", Level.LOW, Level.LOW),
    ],
)
def test_a_value_has_the_type_of_the_default(text, default, value):
    """Text is parsed as the type of the default, lists item by item."""
    found = params(x=text).get("x", default)

    assert (type(value), value) == (type(found), found)


@pytest.mark.parametrize(
    ("given", "default", "value"),
    [
        (3, 1, 3),
        (3, 0.5, 3.0),
        ((1, 2), [0], [1, 2]),
        ([None, [1]], [], [None, [1]]),
        ({"a": 1}, {}, {"a": 1}),
    ],
)
def test_a_given_value_of_the_right_type_is_kept(given, default, value):
    """A given value that fits the default goes through no text."""
    assert value == params({"x": given}).get("x", default)


@pytest.mark.parametrize(
    ("value", "default", "expected"),
    [
        ("maybe-hunter2", True, "true or false"),
        ("3.5-hunter2", 1, "an integer"),
        ("hunter2", 0.1, "a number"),
        ("1,hunter2", [0], "a list of which each is an integer"),
        ("[hunter2", [0], "a list: JSON, or values separated by commas"),
        ("[" * 100_000 + "hunter2", [0], "a list: JSON, or values separated by commas"),
        ("[hunter2]", {}, "a JSON object"),
        ("[1]", {}, "a JSON object"),
        ("9" * 5000, 1, "an integer"),
        ("hunter2", Color.RED, "a Color"),
        ("hunter2", Opaque(), "a Opaque"),
        (True, 1, "an integer"),
        (3, [0], "a list: JSON, or values separated by commas"),
    ],
)
def test_a_value_of_the_wrong_type_is_an_error_and_never_the_default(value, default, expected):
    """What cannot be parsed is an error that names the parameter, the type and the source."""
    with pytest.raises(ParamsError) as caught:
        params({"x": value}).get("x", default)

    message = f"the parameter x should be {expected}; its value comes from argument x"
    assert f"{message}\nMend or unset x." == str(caught.value)


def test_the_default_comes_back_where_nothing_is_set():
    """The default is returned as the object it is."""
    default = [1]

    assert params().get("x", default) is default


def test_a_service_variable_of_kubernetes_is_explained():
    """The error for a variable that Kubernetes injected says so."""
    with pytest.raises(ParamsError) as caught:
        params(POSTGRES_PORT="tcp://10.0.4.7:5432").get("POSTGRES_PORT", 5432)

    assert sources.SERVICE_LINK_HINT == caught.value.hint


def test_a_missing_parameter_is_a_key_error():
    """Whoever expects a KeyError of square brackets gets one."""
    with pytest.raises(KeyError):
        params()["x"]


def test_a_missing_parameter_says_where_it_was_looked_for(tmp_path):
    """The error lists the places, the `.env` file by its path."""
    file = tmp_path / ".env"
    file.write_text("other=1\n")
    environment = Environment({}, env_file=file)
    with pytest.raises(ParamNotFoundError) as caught:
        Params(None, environment)["x"]

    assert ("the arguments", "the environment", str(file), "the platform") == caught.value.looked_in


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("epoch", "Did you mean 'epochs'?"),
        ("home", "Names are matched by exact case; 'HOME' is set."),
        ("HYPERPLANE_JOB_ID", "HYPERPLANE_ names are settings, and never parameters."),
        ("a=b", "A parameter's name is not empty and has no `=` in it."),
        ("x", "Set x in the environment or the job file's `environment_params:`, or give it in params=."),
    ],
)
def test_a_missing_parameter_says_what_to_do(name, hint):
    """The hint fits the likeliest mistake."""
    with pytest.raises(ParamNotFoundError) as caught:
        params({"epochs": 3}, HOME="/", HYPERPLANE_JOB_ID="7")[name]

    assert hint == caught.value.hint


@pytest.mark.parametrize("name", ["", "a=b", "a\0b", "HYPERPLANE_X", 3])
def test_a_bad_name_cannot_be_given(name):
    """A name that no parameter can have is refused at once."""
    with pytest.raises(ParamsError, match="cannot be a parameter's name"):
        params({name: "1"})


def test_keys_are_the_declared_names_only():
    """The environment at large is not listed."""
    assert params({"a": 1}, ["b", "a"], HOME="/").keys() == ["a", "b"]


def test_parameters_become_a_dict():
    """Parameters that all have values can be copied into a dict."""
    assert dict(params({"a": 1}, ["b"], b="2")) == {"a": "1", "b": "2"}


def test_listing_gives_the_declared_names():
    """Iterating over parameters gives what `keys` gives."""
    assert list(params({"a": 1}, ["b"])) == ["a", "b"]


@pytest.mark.parametrize(("name", "expected"), [("a", True), ("HOME", True), ("b", False), (3, False)])
def test_membership_asks_every_source(name, expected):
    """A name is in the parameters when any source has a value for it."""
    assert expected is (name in params({"a": 1, "b": None}, HOME="/"))


def test_rows_tell_the_source_and_what_it_hides(tmp_path):
    """A row holds the winning value with its origin, and the origins that lost in their order."""
    file = tmp_path / ".env"
    file.write_text("lr=3\n")
    environment = Environment({"lr": "2", "SM_HP_LR": "4"}, env_file=file)
    (row,) = Params({"lr": 1}, environment).rows()

    expected = (Origin("environment", "lr"), Origin(str(file), "lr"), Origin("platform", "SM_HP_LR"))
    assert ("parameter", "lr", "1", Origin("argument", "lr"), expected) == (
        row.kind, row.name, row.value, row.origin, row.shadowed,
    )  # fmt: skip


def test_a_declared_name_without_a_value_has_a_row():
    """A declared parameter that nothing sets is shown as such."""
    (row,) = params(declared=["x"]).rows()

    assert (None, Origin("not set")) == (row.value, row.origin)


def test_a_row_can_be_printed_whatever_the_bytes():
    """Bytes of the environment that are no UTF-8 are escaped in a row."""
    (row,) = params(declared=["x"], x="a\udc80").rows()

    assert row.value == "a\\udc80"


@pytest.mark.parametrize(("given", "text"), [(None, "<Params>"), ({"a": "hunter2"}, "<Params a>")])
def test_the_representation_shows_names_and_no_values(given, text):
    """A representation in a log gives no value away."""
    assert text == repr(params(given))


def test_a_mapping_resolves_to_untyped_parameters():
    """A mapping, with the names declared elsewhere, becomes untyped parameters and their rows."""
    resolved = resolve({"a": 1}, Environment({"b": "2"}), declared=["b"])

    assert [("a", "1"), ("b", "2")] == [(row.name, row.value) for row in resolved.rows]
