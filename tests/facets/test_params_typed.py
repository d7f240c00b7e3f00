"""Typed parameters: classes and instances filled from every source, and where each value came from."""

import argparse
import dataclasses
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, NewType, TypeVar

import pytest
from pydantic import AliasChoices, AliasPath, BaseModel, ConfigDict, Field, Json, RootModel, SecretStr
from pydantic.dataclasses import dataclass as pydantic_dataclass
from pydantic_settings import BaseSettings
from typing_extensions import TypeAliasType, TypedDict

from hyperplane.environment import Environment, Origin
from hyperplane.errors import ParamsError
from hyperplane.facets.params import resolve

Steps = NewType("Steps", int)
Sizes = TypeAliasType("Sizes", list[int])


T = TypeVar("T")


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Level(Enum):
    LOW = 1


class Size(TypedDict):
    width: int


class Names(RootModel[list[str]]):
    pass


class Optimizer(BaseModel):
    lr: float = 0.1
    beta: Decimal = Decimal("0.9")


@dataclasses.dataclass(frozen=True, slots=True)
class Schedule:
    steps: int = 10
    warmup: int = dataclasses.field(default=0, metadata={"help": "Steps before."})


class Kitchen(BaseModel):
    """One field of every kind of type."""

    whole: int = 0
    number: float = 0.0
    exact: Decimal = Decimal(0)
    text: str = ""
    path: Path = Path()
    flag: bool = False
    color: Color = Color.BLUE
    level: Level = Level.LOW
    mode: Literal["a", 1] = "a"
    maybe: int | None = 5
    maybe_text: str | None = None
    maybe_choice: Literal["a", "none"] | None = "a"
    moment: timedelta | None = timedelta(1)
    sizes: list[int] = []
    maybe_sizes: list[int] | None = None
    pair: tuple[int, str] = (0, "")
    exacts: list[Decimal] = []
    words: Sequence[str] = ()
    colors: set[Color] = set()
    matrix: list[list[int]] = []
    table: dict[str, Decimal] = {}
    size: Size = {"width": 1}
    anything: Any = None
    number_or_text: int | str = 0
    one_or_many: int | list[int] = 0
    auto_or_number: Literal["auto"] | int = 0
    both: Literal["a"] | Literal["b", 2] = "a"  # noqa: PYI030 - the union is what is tried
    resume: bool | str = False
    steps: Steps = Steps(0)
    alias_type: Sizes = []
    names: Names = Names([])
    raw: Json[list[int]] = "[]"
    bounded: Annotated[int, Field(gt=0)] = 1
    optimizers: list[Optimizer] = []
    unbound: T | None = None
    loose: list = []


def fill(params, argv=None, **variables):
    """Resolve parameters over an environment of these variables, and return the object."""
    return resolve(params, Environment(variables), argv=argv).value


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("whole", "-3", -3),
        ("number", "1e-3", 0.001),
        ("exact", "0.10", Decimal("0.10")),
        ("text", "007", "007"),
        ("text", "1e3", "1e3"),
        ("text", "none", "none"),
        ("path", "a/b", Path("a/b")),
        ("flag", "yes", True),
        ("color", "red", Color.RED),
        ("color", "RED", Color.RED),
        ("level", "1", Level.LOW),
        ("mode", "1", 1),
        ("maybe", "none", None),
        ("maybe", "", None),
        ("maybe", "7", 7),
        ("maybe_text", "none", "none"),
        ("maybe_choice", "none", "none"),
        ("maybe_choice", "null", None),
        ("moment", "null", None),
        ("sizes", "1, 2,3", [1, 2, 3]),
        ("sizes", "[1, 2]", [1, 2]),
        ("sizes", "", []),
        ("maybe_sizes", "none", None),
        ("maybe_sizes", "", []),
        ("pair", "1,x", (1, "x")),
        ("exacts", "[0.10]", [Decimal("0.10")]),
        ("words", "a,b", ["a", "b"]),
        ("colors", '["RED", "blue"]', {Color.RED, Color.BLUE}),
        ("colors", "RED", {Color.RED}),
        ("matrix", "[[1], [2, 3]]", [[1], [2, 3]]),
        ("table", '{"a": 0.10}', {"a": Decimal("0.10")}),
        ("size", '{"width": 3}', {"width": 3}),
        ("anything", "3", "3"),
        ("number_or_text", "3", "3"),
        ("one_or_many", "3", 3),
        ("one_or_many", "[3, 4]", [3, 4]),
        ("auto_or_number", "auto", "auto"),
        ("auto_or_number", "3", 3),
        ("both", "2", 2),
        ("resume", "True", True),
        ("resume", "last.pt", "last.pt"),
        ("steps", "3", 3),
        ("alias_type", "3,4", [3, 4]),
        ("names", "a,b", Names(["a", "b"])),
        ("raw", "[1, 2]", [1, 2]),
        ("bounded", "3", 3),
        ("optimizers", '{"lr": 3}', [Optimizer(lr=3)]),
        ("optimizers", "", []),
        ("loose", "a,b", ["a", "b"]),
        ("unbound", "a,b", "a,b"),
    ],
)
def test_text_of_the_environment_becomes_the_declared_type(name, text, value):
    """A field of any type can be set by a variable."""
    found = getattr(fill(Kitchen, **{name: text}), name)

    assert (type(value), repr(value)) == (type(found), repr(found))


@pytest.mark.parametrize("text", ["--flag", "a\nb", "x" * 129 * 1024, "a\udc80b", "$(id)", "a=b"])
def test_awkward_text_arrives_unchanged(text):
    """No text is too odd for a field of text."""
    assert text == fill(Kitchen, text=text).text


def test_common_variables_of_a_shell_are_not_read():
    """Fields `user`, `home`, `path` and `lang` do not take what every shell exports in capitals."""

    class Params(BaseModel):
        user: str = "-"
        home: str = "-"
        path: str = "-"
        lang: str = "-"

    assert Params() == fill(Params, USER="root", HOME="/home/ada", PATH="/bin", LANG="C")


def test_a_field_of_the_name_of_a_setting_reads_no_variable():
    """A variable of ours is never a parameter, whatever a class declares."""

    class Params(BaseModel):
        HYPERPLANE_JOB_ID: str = "-"

    assert Params() == fill(Params, HYPERPLANE_JOB_ID="7")


def test_every_source_in_its_order(tmp_path):
    """The command line wins over the environment, over `.env`, over the platform, over the default."""
    file = tmp_path / ".env"
    file.write_text("a=file\nb=file\nc=file\n")
    variables = {"a": "variable", "b": "variable", **{f"SM_HP_{name}": "platform" for name in "ABCD"}}

    class Params(BaseModel):
        a: str = ""
        b: str = ""
        c: str = ""
        d: str = ""
        e: str = ""

    resolved = resolve(Params, Environment(variables, env_file=file), argv=["-a", "option"])

    found = {
        row.name: (row.value, str(row.origin), [str(origin) for origin in row.shadowed])
        for row in resolved.rows
    }
    assert found == {
        "a": ("option", "command line -a", ["environment a", f"{file} a", "platform SM_HP_A"]),
        "b": ("variable", "environment b", [f"{file} b", "platform SM_HP_B"]),
        "c": ("file", f"{file} c", ["platform SM_HP_C"]),
        "d": ("platform", "platform SM_HP_D", []),
        "e": ("", "default", []),
    }


def test_an_alias_is_read_as_well_as_the_name():
    """A field is set by its name, and by any of its aliases."""

    class Params(BaseModel):
        rate: float = Field(alias="learning-rate")
        epochs: int = Field(validation_alias=AliasChoices("EPOCHS", "rounds"))

    assert (0.5, 3) == dataclasses.astuple(_pair(fill(Params, rate="0.5", rounds="3")))


def _pair(params):
    return dataclasses.make_dataclass("Pair", ["rate", "epochs"])(params.rate, params.epochs)


def test_a_class_that_refuses_aliases_is_filled_by_name():
    """A class may switch its aliases off for input."""

    class Params(BaseModel):
        model_config = ConfigDict(validate_by_alias=False, validate_by_name=True)
        rate: float = Field(0.1, alias="lr")

    assert fill(Params, lr="0.5").rate == 0.5


def test_a_strict_class_takes_text():
    """Text becomes a number in a strict class too: a variable has no other type."""

    class Params(BaseModel, strict=True):
        epochs: int

    assert fill(Params, epochs="3").epochs == 3


def test_a_dataclass_is_filled_and_stays_the_users_own():
    """A standard dataclass is made by its own class, with its `__post_init__`."""

    @dataclasses.dataclass(frozen=True, slots=True)
    class Params:
        lr: Annotated[float, Field(gt=0)]
        sizes: list[int] = dataclasses.field(default_factory=list)
        total: int = dataclasses.field(init=False, default=0)

        def __post_init__(self):
            object.__setattr__(self, "total", sum(self.sizes))

    found = fill(Params, lr="0.5", sizes="1,2")

    assert (Params, 0.5, [1, 2], 3) == (type(found), found.lr, found.sizes, found.total)


def test_a_pydantic_dataclass_is_filled():
    """A pydantic dataclass works like a model."""

    @pydantic_dataclass
    class Params:
        lr: float = 0.1
        later: int = Field(3, init=False)

    assert Params(lr=0.5) == fill(Params, lr="0.5")


def test_a_dataclass_over_a_pydantic_one_has_its_own_fields():
    """Fields added by a standard dataclass to a pydantic one are parameters too."""

    @pydantic_dataclass
    class Base:
        lr: float = 0.1

    @dataclasses.dataclass
    class Params(Base):
        epochs: int = 1

    assert (0.5, 3) == dataclasses.astuple(fill(Params, lr="0.5", epochs="3"))


@pytest.mark.parametrize("params", [Names, BaseSettings, int, object(), "text"])
def test_what_cannot_declare_parameters_is_refused(params):
    """Only classes with named fields of their own, and instances of them, declare parameters."""
    with pytest.raises(ParamsError, match="cannot declare parameters"):
        fill(params)


def test_a_field_named_by_a_path_is_refused():
    """An alias that is a path into other data cannot be set by a name."""

    class Params(BaseModel):
        x: int = Field(0, validation_alias=AliasPath("a", 0))

    with pytest.raises(ParamsError, match=r"Params\.x cannot be a parameter"):
        fill(Params)


def test_a_type_that_cannot_be_found_is_refused():
    """A class whose types are not defined where it can see them says so."""
    params = dataclasses.make_dataclass("Params", [("x", "Nowhere")])

    with pytest.raises(ParamsError, match="Nowhere"):
        fill(params)


def test_explicit_values_of_an_instance_win_and_others_are_filled():
    """What an instance was told stays; what it was not comes from the other sources."""
    told = Kitchen(whole=1)

    found = fill(told, ["--whole", "2"], whole="3", text="variable")

    assert (1, "variable") == (found.whole, found.text)


def test_arguments_are_the_very_objects_given():
    """An argument goes through no validation a second time."""
    sizes = [1, 2]
    told = Kitchen.model_construct(anything=sizes)

    assert fill(told, text="variable").anything is sizes


def test_an_instance_that_nothing_fills_is_returned_itself():
    """Where no other source says anything, the instance comes back as it is."""
    told = Kitchen(whole=1)

    assert told is fill(told, whole="3")


def test_an_instance_of_a_dataclass_is_all_arguments():
    """A dataclass does not know what was left to its defaults, so all of it wins."""
    told = Schedule(steps=3)
    resolved = resolve(told, Environment({"warmup": "5"}))

    assert (told, Origin("environment", "warmup")) == (resolved.value, resolved.rows[1].shadowed[0])


def test_an_instance_of_settings_is_all_arguments():
    """Settings that read the environment by their own rules are taken as they are."""

    class Settings(BaseSettings):
        lr: float = 0.1

    told = Settings()

    assert told is fill(told, lr="0.5")


def test_a_namespace_is_taken_as_it_is():
    """What argparse parsed is all arguments, and its command line is not read again."""
    told = argparse.Namespace(lr=0.1, name=None)
    resolved = resolve(told, Environment({"lr": "0.5"}), argv=["--lr", "0.7"])

    rows = [(row.name, row.value, str(row.origin)) for row in resolved.rows]
    assert (told, [("lr", "0.1", "argument lr"), ("name", None, "argument name")]) == (resolved.value, rows)


def test_hidden_values_are_not_in_rows():
    """A secret type and a field kept out of the representation show no value."""

    class Params(BaseModel):
        token: SecretStr = SecretStr("")
        key: str = Field("", repr=False)

    rows = resolve(Params, Environment({"token": "hunter2", "key": "hunter2"})).rows

    assert [row.value for row in rows] == ["**********", "***"]


def test_a_deprecated_field_warns_nobody_who_did_not_use_it():
    """Telling where values came from does not count as use."""

    class Params(BaseModel):
        old: int = Field(0, deprecated="gone soon")

    assert [row.value for row in resolve(Params, Environment({"old": "3"})).rows] == ["3"]
