"""`run.json`: round trips, and what is read from one that is torn, old or new."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hyperplane.errors import RunnerError
from hyperplane.rundir import Lock, RunDir
from hyperplane.runs import record
from hyperplane.runs.record import Git, Identity, RunRecord, Versions

FULL = RunRecord(
    job_id="job",
    run_id="20260101-000000-abcdef",
    name="train",
    attempt=2,
    retry_of="20251231-000000-abcdef",
    command=("python", "train.py"),
    folder="/project",
    job_file="/project/job.yaml",
    parameters={"a": "1"},
    given=("a",),
    masked=("command",),
    identity=Identity("ada", "slurm"),
    host="node1",
    pid=12,
    git=Git("c0ffee", True),
    versions=Versions("3.11.7", "0.1.0"),
    outcome="succeeded",
    exit_code=0,
    job_exit_code=0,
    started=datetime(2026, 1, 1, tzinfo=UTC),
    ended=datetime(2026, 1, 1, 0, 0, 3, tzinfo=UTC),
    problems=("a disk was full",),
)


@pytest.fixture
def run(tmp_path):
    """Return the folder of a run of the job `job`."""
    folder = RunDir(tmp_path / "job" / "20260101-000000-abcdef")
    folder.path.mkdir(parents=True)
    return folder


@pytest.mark.parametrize("durable", [True, False])
def test_record_reads_back_as_it_was_written(run, durable):
    """Every field survives the file."""
    FULL.save(run, durable=durable)
    assert record.read(run) == FULL


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(
    command=st.lists(st.text(st.characters(exclude_categories=())), max_size=4),
    parameters=st.dictionaries(
        st.text(min_size=1), st.text(st.characters(exclude_categories=())), max_size=4
    ),
)
def test_any_command_and_parameters_read_back(run, command, parameters):
    """No character, lone surrogates among them, is lost or stops the writing."""
    FULL._replace(command=tuple(command), parameters=parameters).save(run)
    found = record.read(run)
    assert (tuple(command), parameters) == (found.command, dict(found.parameters))


def test_file_has_the_version_of_its_shape(run):
    """`schema` is 1, and times are UTC with a Z."""
    FULL.save(run)
    content = json.loads(run.record.read_text())
    assert (1, "2026-01-01T00:00:00Z") == (content["schema"], content["started"])


def test_nothing_is_left_beside_the_record(run):
    """Rewriting leaves one file, whole."""
    FULL.save(run)
    FULL.save(run, durable=False)
    assert [run.record] == list(run.path.iterdir())


def test_running_record_with_a_free_lock_was_interrupted(run):
    """Nobody alive holds the run, so it did not end by itself."""
    FULL._replace(outcome="running").save(run)
    assert record.read(run).outcome == "interrupted"


def test_running_record_with_a_held_lock_is_running(run):
    """Its runner is alive."""
    FULL._replace(outcome="running").save(run)
    lock = Lock.take(run.lock)
    assert record.read(run).outcome == "running"
    lock.close()


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff", b"[" * 100_000, None], ids=range(6))
def test_run_without_a_readable_record_was_interrupted(run, content):
    """Only what its folder tells is known of it."""
    if content is not None:
        run.record.write_bytes(content)
    assert RunRecord(job_id="job", run_id=run.run_id, outcome="interrupted") == record.read(run)


def test_values_of_another_type_count_as_not_there(run):
    """What a newer version writes differently does not hide the rest."""
    content = {**FULL.as_dict(), "schema": 2, "new": [], "command": "x", "pid": "y", "git": {"commit": 3}}
    content |= {"outcome": "exploded", "delivery": 7, "started": "yesterday", "ended": "2026-01-01T00:00:00"}
    run.record.write_text(json.dumps(content))
    found = record.read(run)
    assert ((), None, None, None, None) == (found.command, found.pid, found.git, found.started, found.ended)
    assert ("interrupted", "none", "train", 2) == (found.outcome, found.delivery, found.name, found.attempt)


def test_duration_is_known_when_both_ends_are(run):
    """A run that has not ended has no duration yet."""
    assert (3.0, None) == (FULL.duration_s, FULL._replace(ended=None).duration_s)


@pytest.mark.parametrize("durable", [True, False])
def test_record_that_cannot_be_written_is_a_runner_error(run, durable):
    """The error names the file."""
    run.record.mkdir()
    with pytest.raises(RunnerError, match=r"run\.json cannot be written: Is a directory"):
        FULL.save(run, durable=durable)
    assert [run.record] == list(run.path.iterdir())
