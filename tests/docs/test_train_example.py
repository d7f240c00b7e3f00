"""The example that the README shows: it trains, stops in time, and goes on where it was."""

import csv
import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hyperplane.rundir import Home
from hyperplane.runs import record
from hyperplane.testing import FakeJobContext

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "train"
TOKEN = "example-token-that-opens-nothing"
LIMIT_S = 120


@pytest.fixture
def folder(tmp_path):
    """A copy of the example."""
    return shutil.copytree(
        EXAMPLE, tmp_path / "train", ignore=shutil.ignore_patterns(".hyperplane", "__pycache__")
    )


def hyperplane(folder, *words):
    """Run the command in a folder to its end."""
    command = [sys.executable, "-m", "hyperplane", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=LIMIT_S)


def train(folder, *words):
    """Run the example, quickly, and return what became of it."""
    done = hyperplane(folder, "run", "-p", "pause_s=0", *words)
    assert done.returncode == 0, done.stderr
    return done


def stopped_after(epochs, folder):
    """Run the example, ask it to stop once it has reported so many epochs, and return its exit code."""
    command = [sys.executable, "-m", "hyperplane", "run", "-p", "pause_s=0.2", "job.yaml"]
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        for _ in range(epochs):
            assert process.stdout.readline().startswith("epoch ")
        process.send_signal(signal.SIGTERM)
        process.stdout.read()
        return process.wait(timeout=LIMIT_S)


def last_run(folder):
    """Return the newest run of the folder."""
    return Home.of(folder).find("last")


def losses(run):
    """Return the losses that a run left in its table."""
    with (run.outputs / "losses.csv").open() as file:
        return [float(loss) for _, loss in csv.reader(file)]


def test_the_example_trains_and_names_more_than_140_flowers_rightly(folder):
    """A run reports every epoch, and in the end how many of the 150 flowers it names rightly."""
    lines = train(folder, "job.yaml").stdout.splitlines()

    assert [f"epoch {epoch}" for epoch in range(20)] == [line.partition(":")[0] for line in lines[:20]]
    assert int(lines[20].split()[1]) > 140
    assert lines[20].endswith(" of 150 flowers named rightly")


def test_the_outputs_of_the_example_lie_where_its_last_line_says(folder):
    """The folder that is printed in the end holds the table of losses and the checkpoint."""
    last_line = train(folder, "job.yaml").stderr.splitlines()[-1]
    outputs = folder / last_line.rpartition("outputs in ")[2]

    assert ["checkpoint.json", "losses.csv"] == sorted(path.name for path in outputs.iterdir())


def test_the_example_learns(folder):
    """The table holds a loss for each epoch, and each is smaller than the one before it."""
    train(folder, "job.yaml")
    found = losses(last_run(folder))

    assert len(found) == 20
    assert sorted(found, reverse=True) == found


def test_show_tells_of_the_run(folder):
    """`hyperplane show last` shows the outcome, the outputs and the last report."""
    train(folder, "job.yaml")
    shown = hyperplane(folder, "show", "last").stdout

    assert all(word in shown for word in ("succeeded", "losses.csv", "flowers named rightly"))


def test_the_token_of_the_example_is_written_nowhere(folder):
    """The secret that the example logs is in no file of the run folder, and in nothing that is printed."""
    done = train(folder, "job.yaml")
    files = [path for path in (folder / ".hyperplane").rglob("*") if path.is_file()]
    leaks = [path.name for path in files if TOKEN.encode() in path.read_bytes()]

    assert [] == leaks
    assert TOKEN not in done.stdout + done.stderr
    assert "tracker_token=***" in done.stderr


def test_the_example_stops_when_it_is_asked_to(folder):
    """SIGTERM in the middle ends the run as stopped, with 143, and with a checkpoint."""
    exit_code = stopped_after(2, folder)
    run = last_run(folder)

    assert (143, "stopped") == (exit_code, record.read(run).outcome)
    assert 2 <= len(json.loads((run.outputs / "checkpoint.json").read_text())["losses"]) < 20


def test_the_next_attempt_goes_on_and_ends_as_if_nothing_had_happened(folder):
    """After a stop, `--retry last` begins where the checkpoint is, and ends with the same losses."""
    stopped_after(2, folder)
    resumed = train(folder, "--retry", "last").stdout.splitlines()
    interrupted = losses(last_run(folder))
    train(folder, "job.yaml")

    assert not resumed[0].startswith("epoch 0:")
    assert losses(last_run(folder)) == interrupted


def test_the_example_runs_without_the_runner(folder, monkeypatch):
    """The script itself trains too, with its input named by a variable and its secret in `.env`."""
    monkeypatch.setenv("HYPERPLANE_INPUT_irises", "iris.csv")
    command = [sys.executable, "train.py", "--lr", "0.02", "--pause_s", "0"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=LIMIT_S)

    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(" of 150 flowers named rightly\n")
    assert (folder / "losses.csv").is_file()


def test_the_example_can_be_tested_with_a_fake_context():
    """Stopped after three epochs, its next attempt reports the fourth first."""
    script = runpy.run_path(os.fspath(EXAMPLE / "train.py"))
    first = FakeJobContext(
        params=script["Params"](pause_s=0),
        inputs={"irises": EXAMPLE / "iris.csv"},
        secrets={"tracker_token": TOKEN},
        stop_after=3,
    )
    with pytest.raises(SystemExit), first:
        script["train"](first)
    second = first.next_attempt()
    script["train"](second)

    assert ("stopped", 143) == (first.outcome, first.exit_code)
    assert second.reports[0].startswith("epoch 3:")
