"""Errors about a name that is itself a secret: none of what they carry holds it."""

import dataclasses
import pickle
import traceback

import pytest

from hyperplane import HyperplaneError, JobContext
from hyperplane.testing import FakeJobContext

VALUES = ["opensesame-as-a-name", "sesame7", "x" * 30 + "-opensesame-that-is-long"]


@dataclasses.dataclass
class Settings:
    """Typed parameters."""

    lr: float = 0.5


@pytest.fixture(params=VALUES, ids=["plain", "short", "long"])
def secret(request):
    """Give a value."""
    return request.param


def error_of(action):
    """Return the error of an action."""
    with pytest.raises(HyperplaneError) as caught:
        action()
    return caught.value


def carried(error):
    """Return all that an error carries, as text in small letters."""
    copy = pickle.loads(pickle.dumps(error))
    told = (str(error), repr(error), error.args, vars(error), str(copy), copy.args, vars(copy))
    return repr(told).lower()


@pytest.mark.parametrize(
    "use",
    [
        lambda ctx, name: ctx.secrets[name],
        lambda ctx, name: ctx.secrets[f"{name}/x"],
        lambda ctx, name: ctx.secrets.get(f".{name}"),
        lambda ctx, name: ctx.secrets.bytes(name),
        lambda ctx, name: ctx.secrets.json(name),
        lambda ctx, name: ctx.secrets.path(name),
        lambda ctx, name: ctx.secrets.export(name),
        lambda ctx, name: ctx.secrets.export(**{f"{name}/": "db"}),
        lambda ctx, name: ctx.secrets.require([name, "other"]),
        lambda ctx, name: ctx.secrets[(name,)],
        lambda ctx, name: ctx.inputs[name],
        lambda ctx, name: ctx.inputs["train"],
        lambda ctx, name: ctx.params[f"{name}/"],
        lambda ctx, name: ctx.params[f"HYPERPLANE_-{name}"],
        lambda ctx, name: ctx.params.get("wrong", 3),
    ],
)
def test_an_error_of_a_facet_holds_no_secret(secret, use):
    """Neither as it is nor in upper case, in the message, the arguments, the attributes or a pickle."""
    with FakeJobContext(
        secrets={"db": secret},
        inputs={"train": f"/nowhere/{secret}"},
        params={"wrong": secret},
        environ={secret: "a variable"},
    ) as context:
        error = error_of(lambda: use(context, secret))
    assert secret not in carried(error)


@pytest.mark.parametrize(
    "argv",
    [["{}"], ["--{}"], ["--{}=3"], ["--lr", "1", "{}"], ["--", "{}"], ["--" + 20 * "y" + "={}"]],
    ids=" ".join,
)
def test_an_error_of_a_command_line_holds_no_secret(secret, argv):
    """Words that belong nowhere are quoted without it, also where they are too long to be quoted whole."""
    words = [word.format(secret) for word in argv]
    context = FakeJobContext(params=Settings, secrets={"db": secret}, argv=words)
    error = error_of(lambda: context.params)
    assert carried(error).find(secret[:36]) == -1


@pytest.mark.parametrize(
    "use",
    [
        lambda secrets: secrets["bytes"],
        lambda secrets: secrets.get("bytes"),
        lambda secrets: secrets.json("text"),
        lambda secrets: secrets.export("nul"),
    ],
    ids=["text", "get", "json", "export"],
)
def test_no_frame_of_an_error_holds_the_value(use):
    """Whoever prints the variables of the frames sees none of the secret, in whatever object."""
    values = {"bytes": b"opensesame\xff", "text": "opensesame", "nul": "opensesame\0"}
    secrets = JobContext(environ={}, secrets=values).secrets
    trace = error_of(lambda: use(secrets)).__traceback__
    seen = [value for frame, _ in traceback.walk_tb(trace) for value in frame.f_locals.values()]
    held = [getattr(value, "value", value) for value in seen]
    assert [] == [value for value in held if value in values.values()]


def test_names_of_given_parameters_are_masked():
    """What cannot name a parameter is refused in the same way."""
    secret = "opensesame=as-a-name"
    context = FakeJobContext(params={secret: 1}, secrets={"db": secret})
    assert secret not in carried(error_of(lambda: context.params))


def test_what_is_no_secret_stays_as_it_is():
    """An error names what was asked for, and the nearest name."""
    with JobContext(environ={}, secrets={"db_password": "opensesame-of-names"}) as context:
        error = error_of(lambda: context.secrets["db_pasword"])
    assert (("db_pasword",), "Did you mean 'db_password'?") == (error.names, error.hint)
