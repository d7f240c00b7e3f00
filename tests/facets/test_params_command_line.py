"""The command line of typed parameters: every form it accepts, and what it refuses."""

from enum import Enum
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from hyperplane.environment import Environment
from hyperplane.errors import EXIT_USAGE, ParamsError
from hyperplane.facets.params import resolve, unread_options


class Color(Enum):
    RED = "red"


class Optimizer(BaseModel):
    lr: float = 0.1
    nesterov: bool = True


class Params(BaseModel):
    lr: float = 0.1
    batch_size: int = 1
    amp: bool = False
    shift: float = 0.0
    name: str = ""
    x: int = 0
    sizes: list[int] = []
    maybe_sizes: list[int] | None = [9]
    color: Color = Color.RED
    mode: Literal["a", "b"] = "a"
    resume: bool | str = False
    table: dict[str, int] = {}
    optimizer: Optimizer = Optimizer()
    seed: int | None = Field(1, alias="random-seed")


def parse(*argv):
    """Return the parameters of a command line."""
    return resolve(Params, Environment({}), argv=argv).value


def changed(*argv):
    """Return the parameters that a command line gives another value than their default."""
    defaults = dict(Params())
    return {name: value for name, value in dict(parse(*argv)).items() if value != defaults[name]}


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ("", {}),
        ("--lr 0.5", {"lr": 0.5}),
        ("--lr=0.5", {"lr": 0.5}),
        ("--batch-size 3", {"batch_size": 3}),
        ("--batch_size 3", {"batch_size": 3}),
        ("-x 3", {"x": 3}),
        ("-x=3", {"x": 3}),
        ("--amp", {"amp": True}),
        ("--amp true", {"amp": True}),
        ("--amp=true", {"amp": True}),
        ("--amp Off", {}),
        ("--no-amp", {}),
        ("--no_amp", {}),
        ("--amp --lr 0.5", {"amp": True, "lr": 0.5}),
        ("--shift -3", {"shift": -3.0}),
        ("--shift -.5", {"shift": -0.5}),
        ("--shift -1e3", {"shift": -1000.0}),
        ("--shift -inf", {"shift": float("-inf")}),
        ("--name -", {"name": "-"}),
        ("--name=--flag", {"name": "--flag"}),
        ("--name=a=b", {"name": "a=b"}),
        ("--name 007", {"name": "007"}),
        ("--sizes 1 2 3", {"sizes": [1, 2, 3]}),
        ("--sizes 1,2,3", {"sizes": [1, 2, 3]}),
        ("--sizes=1,2", {"sizes": [1, 2]}),
        ("--sizes [1,2,3]", {"sizes": [1, 2, 3]}),
        ("--sizes 1 --sizes 2 3", {"sizes": [1, 2, 3]}),
        ("--sizes -1 -2 --lr 0.5", {"sizes": [-1, -2], "lr": 0.5}),
        ("--sizes=", {}),
        ("--maybe-sizes none", {"maybe_sizes": None}),
        ("--color RED", {}),
        ("--mode b", {"mode": "b"}),
        ("--resume", {"resume": True}),
        ("--resume last.pt", {"resume": "last.pt"}),
        ("--resume --amp", {"resume": True, "amp": True}),
        ("--no-resume", {}),
        ('--table {"a":1}', {"table": {"a": 1}}),
        ("--optimizer.lr 0.5", {"optimizer": Optimizer(lr=0.5)}),
        ("--no-optimizer.nesterov", {"optimizer": Optimizer(nesterov=False)}),
        ("--optimizer.no-nesterov", {"optimizer": Optimizer(nesterov=False)}),
        ('--optimizer {"lr":0.5}', {"optimizer": Optimizer(lr=0.5)}),
        ("--random-seed none", {"seed": None}),
        ("--seed 3", {"seed": 3}),
        ("--lr 0.5 --", {"lr": 0.5}),
    ],
)
def test_forms_of_the_command_line(argv, expected):
    """Every usual way to write an option is understood."""
    assert expected == changed(*argv.split())


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        ("--batchsize 3", "unknown option --batchsize, did you mean --batch_size?"),
        ("-lr 3", "unknown option -lr, did you mean --lr?"),
        ("--qqq=hunter2", "unknown option --qqq"),
        ("-q", "unknown option -q"),
        ("--no-lr", "unknown option --no-lr"),
        ("--no-amp=true", "--no-amp takes no value"),
        ("--no-amp true", "'true' belongs to no option"),
        ("--amp maybe", "'maybe' belongs to no option"),
        ("train --lr 3", "'train' belongs to no option"),
        ("-3", "'-3' belongs to no option"),
        ("-- --lr 3", "'--lr' belongs to no option; '3' belongs to no option"),
        ("--lr 1 2", "'2' belongs to no option"),
        ("--lr", "--lr needs a value (--lr=VALUE when it begins with a dash)"),
        ("--sizes", "--sizes needs a value (--sizes=VALUE when it begins with a dash)"),
        ("--lr 1 --lr 2", "--lr is given twice"),
        ("--amp --no-amp", "--no-amp is given twice"),
        ("--seed 1 --random-seed 1", "--random-seed is given twice"),
    ],
)
def test_a_wrong_command_line_is_one_error(argv, problem):
    """What cannot be understood is named, with the option that was probably meant."""
    with pytest.raises(ParamsError) as caught:
        parse(*argv.split())

    assert f"the command line is wrong: {problem}\n--help lists the options." == str(caught.value)


def test_everything_wrong_is_told_at_once():
    """All problems of a command line are in one error, with the names at fault."""
    with pytest.raises(ParamsError) as caught:
        parse("--epoch", "3", "4", "--name", "--flag", "--lr", "1", "--lr", "2")

    assert ("--epoch", "name", "--flag", "lr") == caught.value.names


def test_a_wrong_command_line_is_a_matter_of_usage():
    """The exit code of such an error is the one for usage."""
    with pytest.raises(ParamsError) as caught:
        parse("--epoch", "3")

    assert EXIT_USAGE == caught.value.exit_code


def test_a_mistyped_option_does_not_show_its_value():
    """The value of an unknown option may be a secret that was meant for a known one."""
    with pytest.raises(ParamsError) as caught:
        parse("--nane=hunter2", "--nmae", "hunter2")

    assert "hunter2" not in str(caught.value)


def test_a_long_and_odd_option_is_cut_and_escaped():
    """An error about an option of any length and any characters can be printed."""
    with pytest.raises(ParamsError) as caught:
        parse("--" + "\udc80" * 1000)

    expected = "unknown option --" + "\\udc80" * 38 + "..."
    assert expected == caught.value.message.removeprefix("the command line is wrong: ")


def test_a_command_line_given_as_one_text_is_refused():
    """A text would be read letter by letter."""
    with pytest.raises(ParamsError, match="argv is one text"):
        resolve(Params, Environment({}), argv="--lr 0.1")


def test_a_field_whose_name_begins_with_no_is_itself():
    """An option that names a field exactly is never the denial of another."""

    class Both(BaseModel):
        amp: bool = True
        no_amp: bool = False

    assert Both(no_amp=True) == resolve(Both, Environment({}), argv=["--no-amp"]).value


def test_the_name_of_a_field_goes_before_the_alias_of_another():
    """An alias does not take an option away from the field of that name."""

    class Both(BaseModel):
        rate: int = 0
        other: int = Field(0, validation_alias="rate_")
        rate_: int = 0

    assert resolve(Both, Environment({}), argv=["--rate-", "3"]).value.rate_ == 3


@given(text=st.text(st.characters(exclude_characters="\0")))
def test_any_text_after_the_equals_sign_arrives_unchanged(text):
    """The value of a field of text is what stands after `=`."""
    assert text == parse(f"--name={text}").name


@given(
    numbers=st.lists(st.integers(), min_size=1),
    style=st.sampled_from(["words", "commas", "json", "repeated"]),
)
def test_every_way_to_write_a_list_means_the_same(numbers, style):
    """Lists of numbers, negative ones too, read the same in every form."""
    words = [str(number) for number in numbers]
    argv = {
        "words": ["--sizes", *words],
        "commas": ["--sizes", ",".join(words)],
        "json": ["--sizes", str(numbers)],
        "repeated": [part for word in words for part in ("--sizes", word)],
    }

    assert numbers == parse(*argv[style]).sizes


@pytest.mark.parametrize(
    ("params", "argv", "expected"),
    [
        (Params, ["--lr", "0.1", "-x=3", "--no-amp", "--lr=2", "--other"], ["--lr", "-x", "--no-amp"]),
        (Params(), ["--lr", "0.1"], ["--lr"]),
        (Params, ["--", "--lr"], []),
        (Params, ["lr"], []),
        (None, ["--lr"], []),
        ({"lr": 1}, ["--lr"], []),
    ],
)
def test_options_that_nobody_reads_are_known(params, argv, expected):
    """Only what typed parameters would have taken counts as unread."""
    assert expected == unread_options(params, argv)
