"""Groups of parameters: nested models and dataclasses, as JSON and by dotted names."""

import dataclasses
from decimal import Decimal

import pytest
from pydantic import BaseModel, Field

from hyperplane.environment import Environment
from hyperplane.facets.params import resolve


class Optimizer(BaseModel):
    lr: float = Field(0.1, alias="rate", validation_alias="rate")
    beta: float = 0.9


@dataclasses.dataclass
class Schedule:
    steps: int = 10
    warmup: int = 0


class Inner(BaseModel):
    schedule: Schedule = Field(default_factory=Schedule)
    exact: Decimal = Decimal(0)


class Params(BaseModel):
    optimizer: Optimizer = Optimizer(rate=0.5, beta=0.7)
    inner: Inner = Inner(schedule=Schedule(steps=5))
    maybe: Schedule | None = None
    required: Schedule = Field(default_factory=Schedule)


class Node(BaseModel):
    value: int = 0
    child: "Node | None" = None


class Dependent(BaseModel):
    steps: int = 3
    schedule: Schedule = Field(default_factory=lambda data: Schedule(steps=data["steps"]))


def fill(params, argv=None, **variables):
    """Resolve parameters over an environment of these variables, and return the object."""
    return resolve(params, Environment(variables), argv=argv).value


def origins(params, argv=None, **variables):
    """Return where every parameter came from, but for those left to their defaults."""
    rows = resolve(params, Environment(variables), argv=argv).rows
    return {row.name: str(row.origin) for row in rows if row.origin.kind != "default"}


def test_one_part_of_a_group_is_set_by_its_dotted_name():
    """Setting one part keeps the others as in the default of the group."""
    assert Optimizer(rate=0.5, beta=0.1) == fill(Params, ["--optimizer.beta", "0.1"]).optimizer


def test_a_dotted_name_may_use_an_alias():
    """A part of a group goes by its alias too."""
    assert Optimizer(rate=0.2, beta=0.7) == fill(Params, ["--optimizer.rate", "0.2"]).optimizer


def test_a_part_deep_inside_is_set_by_its_dotted_name():
    """Groups within groups keep their other parts."""
    found = fill(Params, ["--inner.schedule.warmup", "2"]).inner

    assert Inner(schedule=Schedule(5, 2)) == found


def test_a_group_is_replaced_by_json():
    """A JSON object replaces the group; what it leaves out has the default of its class."""
    assert Optimizer(rate=0.2) == fill(Params, optimizer='{"rate": 0.2}').optimizer


def test_a_dotted_name_refines_the_json_of_its_source():
    """A part is set over the group as its JSON gives it."""
    argv = ["--optimizer", '{"rate": 1, "beta": 2}', "--optimizer.lr=3"]

    assert Optimizer(rate=3, beta=2) == fill(Params, argv).optimizer


def test_json_replaces_the_parts_that_lower_sources_set():
    """A group given on the command line hides a part set in the environment."""
    variables = {"optimizer.beta": "0.1"}

    assert Optimizer(rate=0.2) == fill(Params, ["--optimizer", '{"rate": 0.2}'], **variables).optimizer


def test_json_within_a_group_is_refined_in_depth():
    """A deep part is set over the JSON of the group around it, and makes the groups that it lacks."""
    argv = ["--inner.schedule.steps", "7"]

    assert Inner(schedule=Schedule(7), exact=Decimal(1)) == fill(Params, argv, inner='{"exact": 1}').inner


def test_an_optional_group_is_made_by_one_of_its_parts():
    """A group that is None comes to be when a part of it is set."""
    assert Schedule(3) == fill(Params, ["--maybe.steps", "3"]).maybe


def test_an_optional_group_can_be_none():
    """The word none stands for no group."""
    assert fill(Params, maybe="none").maybe is None


def test_a_group_of_a_dataclass_is_made_by_its_factory():
    """The default of a group that a factory makes is refined as well."""
    assert Schedule(10, 3) == fill(Params, ["--required.warmup", "3"]).required


def test_a_group_whose_default_depends_on_others_starts_from_its_class():
    """A factory that wants the other parameters cannot be asked before they are known."""
    assert Schedule(10, 2) == fill(Dependent, ["--schedule.warmup", "2"]).schedule


def test_a_default_that_is_a_mapping_is_refined():
    """A default written as a dict is a group like any other."""

    class Loose(BaseModel):
        schedule: Schedule = Field({"steps": 4}, validate_default=True)

    assert Schedule(4, 2) == fill(Loose, ["--schedule.warmup", "2"]).schedule


def test_fractions_in_the_json_of_a_group_are_exact():
    """A Decimal in a group is what the JSON says, digit by digit."""
    found = fill(Params, inner='{"exact": 0.10}').inner.exact

    assert str(found) == "0.10"


def test_a_class_within_itself_is_read_as_json():
    """A recursive class has options for its first level, and JSON below."""
    found = fill(Node, ["--value", "1", "--child", '{"value": 2, "child": {"value": 3}}'])

    assert Node(value=1, child=Node(value=2, child=Node(value=3))) == found


def test_an_instance_of_a_group_given_as_an_argument_wins_whole():
    """An explicit group is not refined by other sources."""
    told = Params(optimizer=Optimizer(rate=1))

    assert told.optimizer is fill(told, ["--optimizer.beta", "2", "--maybe.steps", "1"]).optimizer


def test_every_part_knows_its_source():
    """Parts that come from different sources say so; those left alone are defaults."""
    variables = {"optimizer": '{"rate": 1}', "inner.exact": "2"}

    assert origins(Params, ["--maybe.steps", "3"], **variables) == {
        "optimizer.lr": "environment optimizer",
        "inner.exact": "environment inner.exact",
        "maybe.steps": "command line --maybe.steps",
    }


def test_a_part_that_lost_is_shown_as_shadowed():
    """A part set below a group of a higher source is told as hidden."""
    environment = Environment({"optimizer.lr": "3", "optimizer": '{"rate": 4}'})
    rows = resolve(Params, environment, argv=["--optimizer", '{"rate": 5}']).rows

    assert ["environment optimizer.lr", "environment optimizer"] == [str(lost) for lost in rows[0].shadowed]


@pytest.mark.parametrize("text", ["[1]", "3", "{", "{]"])
def test_a_group_wants_a_json_object(text):
    """Anything but an object cannot be a group."""
    with pytest.raises(ValueError, match=r"optimizer \(environment optimizer\): is not"):
        fill(Params, optimizer=text)
