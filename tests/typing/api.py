"""What a type checker must understand of the public names; checked by mypy, never run."""

# ruff: noqa: D103 - the names of these functions only order the checks

import argparse
from dataclasses import dataclass
from typing import Any, NoReturn, assert_type

from pydantic import BaseModel

import hyperplane
from hyperplane import JobContext, Params
from hyperplane.testing import FakeJobContext, Metric, S3Server, s3_server


class Model(BaseModel):
    epochs: int = 3


@dataclass
class Declared:
    epochs: int = 3


def untyped() -> None:
    assert_type(JobContext(), JobContext[Params])
    assert_type(JobContext(params=None), JobContext[Params])
    assert_type(JobContext(params={"EPOCHS": 3}), JobContext[Params])
    assert_type(JobContext().params["EPOCHS"], str)
    assert_type(JobContext().params.get("EPOCHS"), str | None)
    assert_type(JobContext().params.get("EPOCHS", 3), int)


def typed(namespace: argparse.Namespace) -> None:
    assert_type(JobContext(params=Model), JobContext[Model])
    assert_type(JobContext(params=Model()), JobContext[Model])
    assert_type(JobContext(params=Declared), JobContext[Declared])
    assert_type(JobContext(params=Declared()), JobContext[Declared])
    assert_type(JobContext(params=namespace), JobContext[argparse.Namespace])
    assert_type(JobContext[Model](), JobContext[Model])
    assert_type(JobContext[Model](argv=["--epochs", "3"]).params.epochs, int)


def entered() -> None:
    with JobContext(params=Model, require_secrets=["token"], inputs={"train": "data"}) as ctx:
        assert_type(ctx, JobContext[Model])
        assert_type(ctx.params, Model)
        assert_type(ctx.secrets["token"], str)
        assert_type(ctx.secrets.get("token"), str | None)
        assert_type(ctx.stopping, bool)


def fakes() -> None:
    assert_type(FakeJobContext(), FakeJobContext[Params])
    assert_type(FakeJobContext(params={"EPOCHS": 3}, stop_after=3), FakeJobContext[Params])
    assert_type(FakeJobContext(params=Model), FakeJobContext[Model])
    assert_type(FakeJobContext(params=Model(), secrets={"token": "x"}), FakeJobContext[Model])
    assert_type(FakeJobContext[Model](), FakeJobContext[Model])
    assert_type(FakeJobContext(params=Model).next_attempt(), FakeJobContext[Model])
    assert_type(FakeJobContext().metrics, list[Metric])
    assert_type(FakeJobContext().reports, list[str])
    assert_type(FakeJobContext().log_events, list[dict[str, Any]])
    assert_type(FakeJobContext().outputs.files, dict[str, bytes])
    assert_type(FakeJobContext().exit_code, int | None)


def train(ctx: JobContext[Model]) -> None:
    assert_type(ctx.params.epochs, int)


def plain(ctx: JobContext) -> None:
    assert_type(ctx, JobContext[Params])


def passed_on() -> None:
    train(FakeJobContext(params=Model))
    train(FakeJobContext(params=Model()))
    plain(FakeJobContext())
    assert_type(hyperplane.current_context(), JobContext[Any])


def started(which: int) -> None:
    if which == 1:
        assert_type(hyperplane.run(train, params=Model), NoReturn)
    if which == 2:
        assert_type(hyperplane.run(train, params=Model()), NoReturn)
    if which == 3:
        assert_type(hyperplane.run(plain), NoReturn)
    assert_type(hyperplane.run(plain, params={"EPOCHS": 3}, argv=[]), NoReturn)


def wrong() -> None:
    JobContext(param=Model)  # type: ignore[call-overload]  # misspelt
    JobContext(secrets=3)  # type: ignore[call-overload]  # not a mapping
    FakeJobContext(stopafter=3)  # type: ignore[call-overload]  # misspelt
    hyperplane.JobContex  # type: ignore[attr-defined]  # noqa: B018 - misspelt
    JobContext().secret  # type: ignore[attr-defined]  # noqa: B018 - misspelt
    JobContext(params=Model).params.epoch  # type: ignore[attr-defined]  # noqa: B018 - misspelt
    ctx = JobContext()
    ctx.params = ctx.params  # type: ignore[misc]  # read-only
    train(ctx)  # type: ignore[arg-type]  # other parameters


def s3() -> None:
    with s3_server(bucket="b", tls=True, timeout_s=3) as server:
        assert_type(server, S3Server)
        assert_type(server.environ(), dict[str, str])
