"""The help text that `--help` prints."""

import dataclasses

import pytest
from pydantic import BaseModel, Field, SecretStr

from hyperplane.environment import Environment
from hyperplane.facets.params import resolve


class Optimizer(BaseModel):
    lr: float = Field(0.1, description="Step size.")


class Params(BaseModel):
    """Train a model.

    Not shown.
    """

    epochs: int = Field(description="How often to go over the data." + " How often to go over the data." * 3)
    amp: bool = False
    sizes: list[int] = Field([1, 2], alias="widths")
    a_name_longer_than_the_column_of_names: str | None = None
    token: SecretStr = SecretStr("hunter2")
    key: str = Field("hunter2", repr=False)
    optimizer: Optimizer = Optimizer(lr=0.5)
    maybe: Optimizer | None = None


@dataclasses.dataclass
class Plain:
    rate: float = dataclasses.field(default=0.1, metadata={"help": "Step size."})


HELP = """\
usage: train.py [OPTIONS]

Train a model.

  --epochs INT                How often to go over the data. How often to go over the data. How
                              often to go over the data. How often to go over the data. (required)
  --amp, --no-amp             (default: false)
  --sizes, --widths INT ...   (default: [1, 2])
  --a_name_longer_than_the_column_of_names TEXT
                              (default: none)
  --token SECRETSTR           (default: **********)
  --key TEXT
  --optimizer JSON
  --optimizer.lr FLOAT        Step size. (default: 0.5)
  --maybe JSON                (default: none)
  --maybe.lr FLOAT            Step size. (default: 0.1)
  --help                      Print this and exit.

Each can be set in the environment too, under this name without the dashes in front.
"""


def printed(params, capsys, *argv, program="train.py"):
    """Return what a command line makes the parameters print before they exit."""
    with pytest.raises(SystemExit) as caught:
        resolve(params, Environment({}), argv=argv, program=program)
    assert caught.value.code == 0
    return capsys.readouterr().out


def test_help_lists_every_option_with_type_default_and_description(capsys):
    """The help text is made from the class, and shows no hidden default."""
    assert printed(Params, capsys, "--help") == HELP


@pytest.mark.parametrize("argv", [["-h"], ["--epoch", "3", "--help"], ["--epochs", "--help"]])
def test_help_wins_over_whatever_else_is_wrong(capsys, argv):
    """Who asks for help gets it, wherever the option stands."""
    assert printed(Params, capsys, *argv) == HELP


def test_help_of_a_dataclass_takes_its_metadata(capsys):
    """The `help` of a dataclass field is its description; its generated docstring is not shown."""
    text = printed(Plain, capsys, "--help")

    assert text.splitlines()[:3] == [
        "usage: train.py [OPTIONS]",
        "",
        "  --rate FLOAT                Step size. (default: 0.1)",
    ]


def test_help_names_the_program_that_runs(capsys, monkeypatch):
    """Without a name the running script's is shown."""
    monkeypatch.setattr("sys.argv", ["/somewhere/job.py"])

    assert printed(Params, capsys, "--help", program=None).startswith("usage: job.py ")


def test_a_parameter_called_help_is_a_parameter():
    """A class may have a field `help`, which then prints nothing."""

    class Helpful(BaseModel):
        help: str = ""

    assert resolve(Helpful, Environment({}), argv=["--help", "me"]).value.help == "me"
