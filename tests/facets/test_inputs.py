"""`ctx.inputs`: where an input is named, whose word counts, and what is not there."""

from pathlib import Path

import pytest
from processes import public_folder, unprivileged

from hyperplane.environment import Environment, Origin
from hyperplane.errors import InputError, InputNotFoundError
from hyperplane.explain import Row
from hyperplane.facets.inputs import Inputs


@pytest.fixture
def folder(tmp_path):
    """Give a project folder with a file and a folder of data in it."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a b.csv").touch()
    return tmp_path


def inputs_of(folder, variables=(), env_file=None, **given):
    """Return the inputs of a process in a folder."""
    return Inputs(given, Environment(dict(variables), folder=folder, env_file=env_file))


def error_of(inputs, name="train"):
    """Return the error for an input that is named and cannot be used."""
    with pytest.raises(InputError) as caught:
        inputs[name]
    return caught.value


@pytest.mark.parametrize("place", ["data", "data/a b.csv", "./data/../data"])
def test_a_relative_place_lies_in_the_project(folder, place):
    """Files and folders are found from the project folder, and come as absolute paths."""
    assert folder / place == inputs_of(folder, train=place)["train"]


@pytest.mark.parametrize("start", ["file://", "file://localhost", ""])
def test_an_absolute_place_is_taken_as_it_is(folder, start):
    """A path from the root and a file URL mean the same."""
    assert folder / "data" == inputs_of(folder, train=f"{start}{folder}/data")["train"]


def test_a_url_is_unquoted(folder):
    """What a URL has to quote is the file's own name again."""
    assert folder / "data" / "a b.csv" == inputs_of(folder, train=f"file://{folder}/data/a%20b.csv")["train"]


def test_a_path_is_not_unquoted(folder):
    """A percent sign in a path is one."""
    (folder / "a%20b").touch()

    assert folder / "a%20b" == inputs_of(folder, train="a%20b")["train"]


def test_a_path_object_can_be_given(folder):
    """What Python gives need not be text."""
    assert folder / "data" == inputs_of(folder, train=folder / "data")["train"]


def test_the_argument_goes_before_every_variable(folder):
    """Python, our variable and SageMaker's are asked in this order, and what loses is shadowed."""
    variables = {"HYPERPLANE_INPUT_train": "ours", "SM_CHANNEL_TRAIN": "theirs"}
    (row,) = inputs_of(folder, variables, train="data").rows()

    ours = Origin("environment", "HYPERPLANE_INPUT_train")
    theirs = Origin("environment", "SM_CHANNEL_TRAIN")
    assert Row("input", "train", "data", Origin("argument", "inputs['train']"), (ours, theirs)) == row


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"HYPERPLANE_INPUT_train": "data", "SM_CHANNEL_TRAIN": "nosuch"}, "data"),
        ({"SM_CHANNEL_TRAIN": "data"}, "data"),
    ],
)
def test_our_variable_goes_before_sagemakers(folder, variables, expected):
    """HYPERPLANE_INPUT_<name> wins over the channel of the same name."""
    assert folder / expected == inputs_of(folder, variables)["train"]


def test_the_process_goes_before_the_file(folder):
    """A channel of the process wins over our variable in `.env`."""
    (folder / ".env").write_text("HYPERPLANE_INPUT_train=nosuch\n")

    assert folder / "data" == inputs_of(folder, {"SM_CHANNEL_TRAIN": "data"}, folder / ".env")["train"]


def test_an_input_alone_shadows_nothing(folder):
    """A row of an input that is named once has one origin."""
    rows = inputs_of(folder, {"HYPERPLANE_INPUT_a": "1"}, b="2").rows()

    assert [
        Row("input", "a", "1", Origin("environment", "HYPERPLANE_INPUT_a")),
        Row("input", "b", "2", Origin("argument", "inputs['b']")),
    ] == rows


def test_names_are_of_all_sources(folder):
    """Every input is listed once, sorted, channels in lower case."""
    variables = {
        "HYPERPLANE_INPUT_b": "1",
        "HYPERPLANE_INPUT_": "1",
        "SM_CHANNEL_TRAIN": "1",
        "SM_CHANNELS": "1",
    }

    assert ["a", "b", "train"] == inputs_of(folder, variables, a="1", b="2").names()


@pytest.mark.parametrize(
    ("name", "expected"), [("a", True), ("A", False), ("b", True), ("c", False), (7, False)]
)
def test_an_input_is_in_when_somebody_names_it(folder, name, expected):
    """`in` asks whether there is a name, by exact case, and not whether the data is there."""
    assert expected is (name in inputs_of(folder, {"HYPERPLANE_INPUT_b": "nosuch"}, a="nosuch"))


@pytest.mark.parametrize(
    ("variables", "hint"),
    [
        ({}, "Set HYPERPLANE_INPUT_train, or `inputs:` of the job file."),
        ({"HYPERPLANE_INPUT_trian": "data"}, "Did you mean 'trian'?"),
        ({"HYPERPLANE_INPUT_Train": "data"}, "Did you mean 'Train'?"),
    ],
)
def test_an_input_that_nobody_names_is_a_key_error(folder, variables, hint):
    """The error says where it looked, and the nearest name or how to name one."""
    with pytest.raises(KeyError) as caught:
        inputs_of(folder, variables)["train"]

    places = "inputs['train'], HYPERPLANE_INPUT_train, SM_CHANNEL_TRAIN"
    expected = (InputNotFoundError, f"no input 'train'; looked in: {places}", hint, "train")
    assert expected == (type(caught.value), caught.value.message, caught.value.hint, caught.value.name)


@pytest.mark.parametrize("place", ["nosuch", "data/a b.csv/x", "a\0b", "x" * 5000])
def test_a_place_where_nothing_is_is_an_os_error(folder, place):
    """The error names the path, and its hint where the path came from."""
    error = error_of(inputs_of(folder, {"HYPERPLANE_INPUT_train": place}))

    expected = (True, "Its place came from environment HYPERPLANE_INPUT_train.", "train")
    assert expected == (isinstance(error, OSError), error.hint, error.name)
    assert error.message.startswith(f"the input 'train' cannot be read from {folder / place}: ")


def test_a_link_to_nothing_is_an_error(folder):
    """What a link leads to must be there."""
    (folder / "link").symlink_to("nosuch")

    assert error_of(inputs_of(folder, train="link")).message.endswith("No such file or directory")


def test_a_place_that_may_not_be_entered_is_an_error():
    """A missing permission is said, and not taken for missing data."""
    with public_folder() as folder:
        (folder / "closed").mkdir(mode=0o000)
        with unprivileged():
            error = error_of(inputs_of(folder, train="closed/data"))

    assert f"the input 'train' cannot be read from {folder}/closed/data: Permission denied" == error.message


@pytest.mark.parametrize(
    "place", ["s4://bucket/data/", "http://[x/", "file://host/data", "file://data", "://"]
)
def test_other_urls_are_refused(folder, place):
    """A URL that is not of this machine is named by its scheme, without the rest."""
    error = error_of(inputs_of(folder, {"HYPERPLANE_INPUT_train": place}))

    scheme = place.partition("://")[0]
    assert f"the input 'train' is a {scheme}:// URL, which this version does not read" == error.message


def test_an_empty_place_is_an_error(folder):
    """A variable that is set to nothing is not the working folder."""
    error = error_of(inputs_of(folder, {"HYPERPLANE_INPUT_train": ""}))

    hint = (
        "Give a path, a file:/// URL or s3://bucket/key; this came from environment HYPERPLANE_INPUT_train."
    )
    assert ("the input 'train' is named, but empty", hint) == (error.message, error.hint)


def test_the_project_is_the_working_folder():
    """Without a word about it, places are relative to where the job was started."""
    Path("data").mkdir()

    assert Path.cwd() / "data" == Inputs({"train": "data"}, Environment({}))["train"]
