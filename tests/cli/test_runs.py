"""`hyperplane runs`, `show`, `logs` and `prune`."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hyperplane.cli import main
from hyperplane.journal import Journal
from hyperplane.masking import Masker
from hyperplane.rundir import Home, Lock, RunDir
from hyperplane.runs.record import Git, Identity, RunRecord, Versions

STARTED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
FIRST, SECOND = "20260101-000000-000000", "20260102-000000-000000"


@pytest.fixture
def call(capfdbinary):
    """Return a function that calls the command line here, and returns exit code, stdout and stderr."""

    def run(*words):
        with pytest.raises(SystemExit) as caught:
            main(words)
        printed = capfdbinary.readouterr()
        return caught.value.code, printed.out.decode(), printed.err.decode()

    return run


@pytest.fixture
def two_runs():
    """Make a failed run and its successful retry, which said and sealed something."""
    folder = Home.of(Path.cwd()).job_folder("job/1")
    first, second = RunDir(folder / FIRST), RunDir(folder / SECOND)
    for run in (first, second):
        run.outputs.mkdir(parents=True)
    common = {"job_id": "job/1", "name": "train", "started": STARTED, "command": ("train.py", "--x")}
    RunRecord(
        **common, run_id=FIRST, outcome="failed", exit_code=3, ended=STARTED + timedelta(seconds=75)
    ).save(first)
    RunRecord(
        **common,
        run_id=SECOND,
        attempt=2,
        retry_of=FIRST,
        outcome="succeeded",
        exit_code=0,
        ended=STARTED + timedelta(hours=2, minutes=3),
        parameters={"lr": "0.1"},
        identity=Identity("ada", "local"),
        host="node",
        git=Git("c0ffee", True),
        versions=Versions("3.11.7", "0.1.0"),
    ).save(second)
    journal = Journal(second.events, Masker())
    journal.append("report", message="epoch done", fields={"loss": 0.5})
    journal.append("metric", name="loss", value=0.5, step=1)
    journal.append("metric", name="loss", value=0.25, step=2)
    journal.append("metric", name="size", value=7.0, step=None)
    journal.append("progress", done=1, total=2)
    journal.append("sealed", name="model.bin", size_bytes=3 << 20, sha256="ab" * 32)
    journal.append("sealed", name="small.txt", size_bytes=12, sha256="cd" * 32)
    journal.append("sealed", name="huge", size_bytes=3 << 50, sha256="ef" * 32)
    journal.close()
    first.stdout_log.write_bytes(b"out of the first\n")
    first.stderr_log.write_bytes(b"\xffrr of the first\n")
    return first, second


def test_runs_are_listed_newest_first(call, two_runs):
    """One line a run has how it went, when and how long."""
    code, output, _ = call("runs")
    header, second, first = (line.split() for line in output.splitlines())
    assert code == 0
    assert ["run", "job", "attempt", "outcome", "delivery", "started", "duration", "exit", "code"] == header
    assert [SECOND, "job/1", "2", "succeeded", "none"] == second[:5]
    assert ["2", "h", "3", "min", "0"] == second[-5:]
    assert ["1", "min", "15", "s", "3"] == first[-5:]


def test_runs_as_json(call, two_runs):
    """Programs get the records with a version."""
    content = json.loads(call("runs", "--json")[1])
    assert (1, [SECOND, FIRST]) == (content["schema"], [found["run_id"] for found in content["runs"]])
    assert content["runs"][0]["git"] == {"commit": "c0ffee", "is_dirty": True}


def test_run_that_is_running_shows_its_time_so_far(call, two_runs):
    """Its duration grows, and its exit code is not known."""
    first, _ = two_runs
    just_now = datetime.now(UTC) - timedelta(seconds=30)
    RunRecord(job_id="job/1", run_id=FIRST, started=just_now).save(first)
    lock = Lock.take(first.lock)
    line = call("runs")[1].splitlines()[2]
    lock.close()
    assert " running " in line
    assert line.endswith(" s")


def test_runs_are_found_from_a_folder_below(call, two_runs, monkeypatch):
    """The nearest `.hyperplane` upward counts."""
    Path("a/b").mkdir(parents=True)
    monkeypatch.chdir("a/b")
    assert len(call("runs")[1].splitlines()) == 3


def test_home_of_the_environment_counts(call, two_runs, monkeypatch, tmp_path):
    """HYPERPLANE_HOME names the folder to look in."""
    monkeypatch.setenv("HYPERPLANE_HOME", str(Path.cwd()))
    monkeypatch.chdir(tmp_path)
    assert len(call("runs")[1].splitlines()) == 3


@pytest.mark.parametrize("home", [None, "/no/such/folder"])
def test_folder_without_runs_is_a_clear_error(call, monkeypatch, home):
    """The error says where was looked, and what to do."""
    if home:
        monkeypatch.setenv("HYPERPLANE_HOME", home)
    code, _, errors = call("runs")
    assert code == 64
    assert errors.startswith(f"hyperplane: error: there are no runs in {home or Path.cwd()}")


def test_project_without_runs_lists_none(call):
    """An empty home is no error."""
    Path(".hyperplane").mkdir()
    assert (0, 1) == (call("runs")[0], len(call("runs")[1].splitlines()))


def test_run_is_shown_with_all_that_is_known(call, two_runs):
    """Outcome, outputs with their sizes and place, reports, and the last of each metric."""
    output = call("show")[1]
    assert f"run         {SECOND}\n" in output
    assert f"attempt     2 (retry of {FIRST})\n" in output
    assert "outcome     succeeded, exit code 0\n" in output
    assert "parameters  lr=0.1\n" in output
    assert "commit      c0ffee, with changes\n" in output
    assert f"\noutputs in .hyperplane/runs/job%2F1/{SECOND}/outputs\n" in output
    assert "\n  model.bin  3.0 MiB\n  small.txt  12 B\n  huge       3072.0 TiB\n" in output
    assert "\nreports\n  epoch done loss=0.5\n" in output
    assert "\nmetrics\n  loss  0.25  step 2\n  size  7.0\n" in output


def test_run_that_said_nothing_is_shown_so(call, two_runs):
    """An empty section says that it is."""
    output = call("show", FIRST)[1]
    for title in ("reports", "metrics"):
        assert f"\n{title}: none\n" in output


def test_many_reports_are_cut_to_the_last(call, two_runs):
    """The screen gets the end of a long story; JSON gets all of it."""
    journal = Journal(two_runs[0].events, Masker())
    for number in range(30):
        journal.append("report", message=f"report {number}", fields={})
    journal.close()
    output = call("show", FIRST)[1]
    assert "\nreports\n  ... 10 before these\n  report 10\n" in output
    assert len(json.loads(call("show", FIRST, "--json")[1])["reports"]) == 30


def test_run_as_json(call, two_runs):
    """Programs get the record, the outputs with their paths, the reports and metrics."""
    content = json.loads(call("show", "last", "--json")[1])
    assert (1, SECOND, str(two_runs[1].path)) == (
        content["schema"],
        content["run"]["run_id"],
        content["folder"],
    )
    assert content["outputs"][0] == {
        "name": "model.bin",
        "size_bytes": 3 << 20,
        "sha256": "ab" * 32,
        "path": str(two_runs[1].outputs / "model.bin"),
    }
    assert {"value": 0.25, "step": 2} == content["metrics"]["loss"]
    assert {"done": 1, "total": 2} == content["progress"]
    assert {"message": "epoch done", "fields": {"loss": 0.5}} == {
        name: content["reports"][0][name] for name in ("message", "fields")
    }


def test_run_that_nobody_knows_is_a_clear_error(call, two_runs):
    """A mistyped id ends with 64 and says how to list them."""
    code, _, errors = call("show", "nope")
    assert code == 64
    assert errors.startswith("hyperplane: error: no run goes by 'nope'")


def test_events_that_are_no_file_are_a_clear_error(call, two_runs):
    """A job can put anything into its run folder."""
    two_runs[0].events.mkdir()
    code, _, errors = call("show", FIRST)
    assert (1, f"hyperplane: error: {two_runs[0].events} cannot be read: it is not a regular file") == (
        code,
        errors.splitlines()[0],
    )


def test_log_that_cannot_be_read_is_a_clear_error(call, two_runs):
    """The error names the file and the reason."""
    two_runs[1].stdout_log.mkdir()
    code, _, errors = call("logs", SECOND)
    assert (1, f"hyperplane: error: {two_runs[1].stdout_log} cannot be read: Is a directory\n") == (
        code,
        errors,
    )


def test_logs_are_the_standard_output(call, two_runs):
    """Nothing is added, and the standard error is left out."""
    assert (0, "out of the first\n", "") == call("logs", FIRST)


def test_logs_have_the_standard_error_where_asked_for(capfdbinary, two_runs):
    """It comes on our standard error, byte for byte."""
    with pytest.raises(SystemExit):
        main(["logs", FIRST, "--stderr"])
    printed = capfdbinary.readouterr()
    assert (b"out of the first\n", b"\xffrr of the first\n") == (printed.out, printed.err)


def test_following_an_ended_run_ends(call, two_runs):
    """There is nothing to wait for."""
    assert call("logs", FIRST, "-f")[1] == "out of the first\n"


def test_prune_removes_the_oldest_and_says_what_it_freed(call, two_runs):
    """The newest stay, as many as were asked for."""
    output = call("prune", "--keep", "1")[1]
    assert output.splitlines()[0].startswith(f"{FIRST}  job/1  ")
    assert output.splitlines()[1].startswith("1 run removed, ")
    assert [SECOND] == [run.run_id for run in Home.of(Path.cwd()).runs()]


def test_prune_can_be_tried_first(call, two_runs):
    """A dry run removes nothing."""
    assert (
        call("prune", "--keep", "0", "--dry-run")[1].splitlines()[2].startswith("2 runs would be removed, ")
    )
    assert len(Home.of(Path.cwd()).runs()) == 2


def test_prune_with_nothing_to_do_says_so(call, two_runs):
    """No table is printed then."""
    assert call("prune", "--keep", "5")[1] == "0 runs removed, 0 B\n"


def test_control_characters_do_not_reach_the_terminal(call, two_runs):
    """What a job put into its record is shown as escapes."""
    RunRecord(job_id="job/1", run_id=FIRST, name="a\x1b]0;b\x07", outcome="failed").save(two_runs[0])
    assert "\\x1b]0;b\\x07" in call("show", FIRST)[1]
