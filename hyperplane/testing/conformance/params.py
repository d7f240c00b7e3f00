"""How `ctx.params`, `ctx.inputs` and `ctx.job` behave: what the job was told."""

import argparse
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

import hyperplane
from hyperplane.context import JobContext

MakeContext = Callable[..., JobContext[Any]]


class Model(BaseModel):
    """Parameters of a small training."""

    lr: float = 0.1
    epochs: int = 20


@dataclasses.dataclass(frozen=True)
class Declared:
    """The same as a dataclass."""

    lr: float = 0.1
    epochs: int = 20


class ParamsConformance:
    """Fixture `make_context`: returns a context made with the keywords that it is given."""

    def test_a_given_parameter_is_text(self, make_context: MakeContext) -> None:
        """Untyped parameters are text, whatever they were given as."""
        params = make_context(params={"EPOCHS": 3}).params
        assert (params["EPOCHS"], params.get("EPOCHS")) == ("3", "3")

    def test_a_parameter_has_the_type_of_its_default(self, make_context: MakeContext) -> None:
        """`get` with a default parses what is there as the default's type."""
        params = make_context(environ={"EPOCHS": "3", "LR": "1e-3"}).params
        assert (params.get("EPOCHS", 20), params.get("LR", 0.1), params.get("MOMENTUM", 0.9)) == (
            3,
            1e-3,
            0.9,
        )

    def test_a_missing_parameter_is_an_error(self, make_context: MakeContext) -> None:
        """`[]` raises a KeyError that names the nearest parameter."""
        with pytest.raises(hyperplane.ParamNotFoundError, match="Did you mean 'EPOCHS'") as caught:
            make_context(params={"EPOCHS": 3}).params["EPOCH"]
        assert isinstance(caught.value, KeyError)

    def test_an_absent_parameter_is_none(self, make_context: MakeContext) -> None:
        """`get` without a default gives None."""
        assert make_context().params.get("EPOCHS") is None

    def test_only_declared_names_are_listed(self, make_context: MakeContext) -> None:
        """`keys()` does not list the environment at large."""
        context = make_context(params={"EPOCHS": 3}, environ={"LR": "1"})
        assert list(context.params.keys()) == ["EPOCHS"]

    @pytest.mark.parametrize("declared", [Model, Declared])
    def test_a_class_is_filled(self, make_context: MakeContext, declared: type) -> None:
        """A model or dataclass is filled from the environment by exact case, and checked."""
        context = make_context(params=declared, environ={"epochs": "3", "LR": "9"})
        assert context.params == declared(epochs=3)

    def test_an_instance_wins(self, make_context: MakeContext) -> None:
        """What an instance was told hides the environment; what it was not is filled."""
        context = make_context(params=Model(epochs=3), environ={"epochs": "4", "lr": "0.5"})
        assert context.params == Model(epochs=3, lr=0.5)

    def test_the_command_line_is_read_where_given(self, make_context: MakeContext) -> None:
        """`argv` fills a class, and hides the environment."""
        context = make_context(params=Model, argv=["--epochs", "3"], environ={"epochs": "4"})
        assert context.params.epochs == 3

    def test_a_namespace_is_taken_as_it_is(self, make_context: MakeContext) -> None:
        """A parsed `argparse.Namespace` is the parameters."""
        namespace = argparse.Namespace(epochs=3)
        assert make_context(params=namespace).params is namespace

    def test_wrong_values_are_one_error_without_them(self, make_context: MakeContext) -> None:
        """Everything that is wrong is named at once on entering, and no value is shown."""
        context = make_context(params=Model, environ={"epochs": "dozens", "lr": "slow"})
        with pytest.raises(hyperplane.ParamsError) as caught, context:
            pytest.fail("the block must not begin")  # pragma: no cover - reached where the suite fails
        named = ["epochs" in str(caught.value), "lr" in str(caught.value)]
        assert (named, "dozens" in str(caught.value)) == ([True, True], False)

    def test_an_input_is_a_path(self, make_context: MakeContext, tmp_path: Path) -> None:
        """Inputs come from the mapping first, then from the environment."""
        context = make_context(
            inputs={"train": tmp_path},
            environ={"HYPERPLANE_INPUT_train": "/nowhere", "HYPERPLANE_INPUT_test": str(tmp_path)},
        )
        assert (context.inputs["train"], context.inputs["test"]) == (tmp_path, tmp_path)

    def test_a_missing_input_is_an_error(self, make_context: MakeContext, tmp_path: Path) -> None:
        """An unknown name is a KeyError, an absent file an OSError."""
        context = make_context(inputs={"train": tmp_path / "absent"})
        with pytest.raises(hyperplane.InputNotFoundError, match="Did you mean 'train'"):
            context.inputs["trian"]
        with pytest.raises(hyperplane.InputError, match="absent"):
            context.inputs["train"]

    def test_identity_has_values_everywhere(self, make_context: MakeContext) -> None:
        """Outside any platform the job is attempt 1, rank 0 of 1, task 0 of 1."""
        job = make_context().job
        numbers = (job.attempt, job.rank, job.world_size, job.index, job.count)
        assert (bool(job.id), bool(job.run_id), numbers, job.is_main) == (True, True, (1, 0, 1, 0, 1), True)

    def test_identity_can_be_told(self, make_context: MakeContext) -> None:
        """The settings name the job, its user and its attempt."""
        told = {"HYPERPLANE_JOB_ID": "j-7", "HYPERPLANE_USER_ID": "ada", "HYPERPLANE_ATTEMPT": "2"}
        job = make_context(environ=told).job
        assert (job.id, job.user, job.attempt) == ("j-7", "ada", 2)

    def test_explain_says_where_values_came_from(self, make_context: MakeContext) -> None:
        """Every declared parameter has a row with its origin and what it shadowed."""
        explained = make_context(params=Model(epochs=3), environ={"epochs": "4"}).explain().as_dict()
        row = explained["parameter"]["epochs"]
        assert (row["value"], row["shadowed"]) == ("3", ["environment epochs"])
