"""Errors of typed parameters: all at once, with names and sources, and never a value."""

import dataclasses
import traceback
import uuid
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from pydantic import AfterValidator, AnyUrl, BaseModel, Field, SecretStr, model_validator
from pydantic_core import PydanticCustomError

from hyperplane.environment import Environment
from hyperplane.errors import ParamsError
from hyperplane.facets.params import resolve, sources


def quoting(value):
    """Fail with the value in the message."""
    raise ValueError(f"{value} is bad")


def shouting(value):
    """Fail with the value in the message, in other letters."""
    raise PydanticCustomError("shouted", f"{value.upper()} is bad")


def explaining(_):
    """Fail with a message that shows no value."""
    raise ValueError("it must be a colour of the rainbow")


INTEGER = "Input should be a valid integer, unable to parse string as an integer"


class Color(Enum):
    RED = "red"


class Hunter(Enum):
    TWO = "hunter2"


@dataclasses.dataclass
class Secrets:
    value: str


class Holder(BaseModel):
    value: str


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


class Params(BaseModel):
    number: int = 0
    positive: Annotated[int, Field(gt=0)] = 1
    sizes: list[int] = []
    table: dict[str, int] = {}
    color: Color = Color.RED
    mode: Literal["a", "b"] = "a"
    identity: uuid.UUID | None = None
    url: AnyUrl | None = None
    pet: Annotated[Cat | Dog, Field(discriminator="kind")] | None = None
    quoted: Annotated[str, AfterValidator(quoting)] = ""
    shouted: Annotated[str, AfterValidator(shouting)] = ""
    explained: Annotated[str, AfterValidator(explaining)] = ""
    secret: Annotated[SecretStr, AfterValidator(lambda secret: quoting(secret.get_secret_value()))] = (
        SecretStr("")
    )
    either: int | list[int] = 0
    many: Annotated[list[Any], AfterValidator(quoting)] = []


class Required(BaseModel):
    epochs: int
    rate: float
    inner: Cat | None = None


def error(params, argv=None, **variables):
    """Return the error of parameters over an environment of these variables."""
    with pytest.raises(ParamsError) as caught:
        resolve(params, Environment(variables), argv=argv)
    return caught.value


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("number", "hunter2", INTEGER),
        ("number", "9" * 5000, "Unable to parse input string as an integer, exceeded maximum size"),
        ("positive", "0", "Input should be greater than 0"),
        ("sizes", "1,hunter2", INTEGER),
        ("sizes", "[hunter2", "is not valid JSON"),
        ("sizes", "[" * 100_000, "is not valid JSON"),
        ("table", "hunter2", "is not valid JSON"),
        ("table", "[]", "is not a JSON object"),
        (
            "table",
            '{"hunter2": "x"}',
            "Input should be a valid integer, unable to parse string as an integer",
        ),
        ("either", "[hunter2", INTEGER),
        ("color", "hunter2", "Input should be 'red'"),
        ("mode", "hunter2", "Input should be 'a' or 'b'"),
        ("identity", "hunter2", "Input should be a valid UUID"),
        ("url", "hunter2", "Input should be a valid URL"),
        ("pet", '{"kind": "hunter2"}', "'kind' should be one of 'cat', 'dog'"),
        ("quoted", "hunter2", "is not valid"),
        ("quoted", "ab", "is not valid"),
        ("quoted", "a\nb\nc", "is not valid"),
        ("shouted", "hunter2", "is not valid"),
        ("explained", "hunter2", "Value error, it must be a colour of the rainbow"),
        ("explained", "a", "is not valid"),
        ("explained", "ow", "Value error, it must be a colour of the rainbow"),
        ("secret", "hunter2", "is not valid"),
        ("many", '["hunter2", {"a": 1}]', "is not valid"),
    ],
)
def test_an_error_names_the_source_and_not_the_value(name, text, message):
    """Each problem tells the parameter, where its value came from and what it should be."""
    assert f"{name} (environment {name}): {message}" == str(error(Params, **{name: text}))


def test_all_problems_are_in_one_error():
    """Several wrong parameters are told together, each on its line with its own source."""
    caught = error(Params, ["--number", "x", "--mode=c"], sizes="[", positive="0")

    assert caught.message.splitlines() == [
        "4 parameters are wrong:",
        "  sizes (environment sizes): is not valid JSON",
        f"  number (command line --number): {INTEGER}",
        "  positive (environment positive): Input should be greater than 0",
        "  mode (command line --mode): Input should be 'a' or 'b'",
    ]


def test_the_names_at_fault_are_data():
    """A program can tell which parameters were wrong."""
    assert error(Params, number="x", positive="0").names == ("number", "positive")


def test_no_value_is_in_the_traceback():
    """Neither the error nor anything chained to it shows a value, not even one that was right."""
    caught = error(Params, number="hunter2", url="https://hunter3")

    assert "hunter" not in "".join(traceback.format_exception(caught))


def test_nothing_of_pydantic_is_chained():
    """The error holds no reference to one that has the values in it."""
    caught = error(Params, number="hunter2", sizes="[")

    assert (None, None) == (caught.__cause__, caught.__context__)


def test_a_missing_parameter_says_how_to_set_it():
    """What is required and not set is told with the ways to set it."""
    assert str(error(Required)) == (
        "2 parameters are wrong:\n  epochs is required, and not set\n  rate is required, and not set\n"
        "Set epochs, rate in the environment."
    )


def test_the_command_line_is_named_where_it_is_read():
    """The hint speaks of options only where somebody reads them."""
    assert error(Required, []).hint == "Set epochs, rate in the environment or give --epochs, --rate."


def test_a_missing_part_of_a_group_is_named():
    """A required part of a group goes by its dotted name."""
    assert error(Required, epochs="1", rate="1", inner="{}").names == ("inner.kind",)


def test_an_unreadable_parameter_is_not_called_missing_too():
    """A required parameter whose text cannot be read is one problem, not two."""

    class Sizes(BaseModel):
        sizes: list[int]

    assert str(error(Sizes, sizes="[")) == "sizes (environment sizes): is not valid JSON"


def test_a_service_variable_of_kubernetes_is_explained():
    """A number that Kubernetes set to the address of a service is told as such."""

    class Database(BaseModel):
        POSTGRES_PORT: int = 5432

    caught = error(Database, POSTGRES_PORT="tcp://10.0.4.7:5432")

    assert (("POSTGRES_PORT",), sources.SERVICE_LINK_HINT) == (caught.names, caught.hint)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("{secret} does not fit", "is not valid"),
        ("{number} does not fit", "is not valid"),
        ("they do not fit", "Value error, they do not fit"),
    ],
)
def test_what_is_wrong_with_all_together_goes_by_the_class(message, expected):
    """A check over several parameters is told under the class, without their values."""

    class Together(BaseModel):
        secret: str = ""
        number: int = 0

        @model_validator(mode="after")
        def check(self):
            raise ValueError(message.format(secret=self.secret, number=self.number))

    assert f"Together: {expected}" == str(error(Together, secret="hunter2", number="7"))


def test_values_of_an_argument_are_not_shown_either():
    """A check that quotes what an instance was told, whatever holds it, is not repeated."""

    class Whole(BaseModel):
        told: Any = None
        number: int = 0

        @model_validator(mode="after")
        def check(self):
            if self.number:
                raise ValueError("hunter2 does not fit")
            return self

    held = [
        Secrets("hunter2"),
        (SecretStr("hunter2"),),
        Holder(value="hunter2"),
        {1: "hunter2"},
        Hunter.TWO,
        [None, True, "hunter2"],
    ]
    errors = {str(error(Whole(told=value), number="1")) for value in held}

    assert errors == {"Whole: is not valid"}


def test_a_value_beside_the_wrong_one_is_not_shown():
    """A check of one parameter that quotes another shows neither."""

    class Beside(BaseModel):
        secret: str
        number: int

        @model_validator(mode="before")
        @classmethod
        def check(cls, data):
            raise AssertionError(f"{data} does not fit")

    assert str(error(Beside, secret="hunter2", number="12345")) == "Beside: is not valid"


def test_what_is_wrong_with_a_group_names_the_source_of_its_parts():
    """A check over a group points to the parts that were set."""

    class Group(BaseModel):
        low: int = 0
        high: int = 1

        @model_validator(mode="after")
        def check(self):
            raise ValueError("low must be below high")

    class Whole(BaseModel):
        group: Group = Group.model_construct()

    caught = error(Whole, ["--group.high", "-5"])

    assert str(caught) == "group (command line --group.high): Value error, low must be below high"


def test_a_wrong_default_is_told_as_the_default():
    """A default that is checked and wrong is nobody's variable."""

    class Checked(BaseModel):
        number: int = Field(-1, gt=0, validate_default=True)

    assert str(error(Checked)) == "number (default): Input should be greater than 0"
