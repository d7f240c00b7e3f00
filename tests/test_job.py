"""Identity: what a job is called, which process of it this is, and who says so."""

import dataclasses
import pickle
import re
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from hyperplane.environment import Environment
from hyperplane.job import Job, identify, made_up_id, script_name
from hyperplane.rundir import RunDir
from hyperplane.settings import load

SCRIPT = "from hyperplane.job import script_name; print(script_name())"


def identified(variables, run=None):
    """Return the job of a process with these variables."""
    environment = Environment(variables)
    return identify(load(environment), environment.platform, run)


def printed_by(*command, cwd=None, **options):
    """Return what Python prints when it is started with these arguments."""
    command = [sys.executable, *command]
    return subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=cwd, **options
    ).stdout.strip()


def test_a_laptop_is_the_whole_of_a_job():
    """Without a word from anybody, every number has a value, and the ids are made up."""
    job = identified({})

    expected = Job(id=job.id, run_id=job.run_id, name=script_name())
    assert expected == job
    assert re.fullmatch(re.escape(script_name()) + "-[0-9a-f]{6}", job.id)
    assert re.fullmatch(r"\d{8}-\d{6}-[0-9a-f]{6}", job.run_id)


def test_settings_go_before_what_the_platform_says():
    """Id, name, user and attempt are those of the settings where both have them."""
    ours = {"JOB_ID": "nightly", "JOB_NAME": "Nightly", "USER_ID": "ada", "ATTEMPT": "7"}
    slurm = {"SLURM_JOB_ID": "42", "SLURM_JOB_NAME": "x", "SLURM_JOB_USER": "y", "SLURM_RESTART_COUNT": "1"}
    job = identified({f"HYPERPLANE_{name}": value for name, value in ours.items()} | slurm)

    assert ("nightly", "Nightly", "ada", 7, "slurm") == (
        job.id,
        job.name,
        job.user,
        job.attempt,
        job.platform,
    )


def test_the_platform_fills_what_is_unset():
    """Identity and place come from the platform's facts."""
    job = identified(
        {
            "SLURM_JOB_ID": "42",
            "SLURM_JOB_NAME": "train",
            "SLURM_JOB_USER": "ada",
            "SLURM_RESTART_COUNT": "1",
            "SLURM_PROCID": "3",
            "SLURM_NTASKS": "4",
            "SLURM_LOCALID": "1",
            "SLURM_JOB_END_TIME": "86400",
            "SLURM_ARRAY_TASK_ID": "2",
            "SLURM_ARRAY_TASK_COUNT": "5",
        }
    )

    expected = Job(
        id="42",
        run_id=job.run_id,
        name="train",
        user="ada",
        platform="slurm",
        attempt=2,
        rank=3,
        local_rank=1,
        world_size=4,
        index=2,
        count=5,
        deadline=datetime(1970, 1, 2, tzinfo=UTC),
    )
    assert expected == job


def test_a_place_without_a_total_is_the_last_known():
    """Where a platform says which task this is and not of how many, there are at least that many."""
    environment = Environment({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "JOB_COMPLETION_INDEX": "3"})
    job = identify(load(environment), environment.platform)

    assert (3, 4) == (job.index, job.count)


def test_a_name_alone_makes_an_id():
    """A job with a name and no id is called after its name."""
    assert identified({"HYPERPLANE_JOB_NAME": "nightly"}).id.startswith("nightly-")


def test_two_jobs_without_an_id_are_not_the_same():
    """Made up ids differ."""
    assert made_up_id("train") != made_up_id("train")


def test_a_run_gives_its_id(tmp_path):
    """Within a run the run id is the name of its folder."""
    assert "7" == identified({}, RunDir(tmp_path / "train" / "7")).run_id


@pytest.mark.parametrize(("rank", "expected"), [(0, True), (1, False)])
def test_only_rank_zero_is_main(rank, expected):
    """What is done once is done by rank 0."""
    assert expected is Job(id="a", run_id="b", name="c", rank=rank).is_main


def test_an_array_task_is_main_too():
    """An index is no rank: every task of an array does what is done once."""
    assert Job(id="a", run_id="b", name="c", index=3, count=5).is_main


def test_a_job_cannot_be_changed():
    """Identity is frozen."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        Job(id="a", run_id="b", name="c").rank = 1


def test_a_job_can_be_pickled():
    """Identity travels to worker processes."""
    job = Job(id="a", run_id="b", name="c", deadline=datetime(2026, 1, 1, tzinfo=UTC))

    assert job == pickle.loads(pickle.dumps(job))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("train.py", "train"),
        ("my train (2).py", "my-train-2"),
        ("größe.py", "gr-e"),
        (".hidden.py", "hidden"),
        ("---.py", "job"),
        ("über", "ber"),
        ("x" * 200 + ".py", "x" * 100),
        ("/opt/training/__main__.py", "training"),
        ("-c", "job"),
        ("-", "job"),
        ("", "job"),
    ],
)
def test_a_job_is_named_after_its_script(monkeypatch, path, expected):
    """The name is the script's, in letters that every file system and URL can hold."""
    monkeypatch.setattr(sys, "argv", [path, "--epochs", "3"])

    assert expected == script_name()


def test_a_package_that_is_run_gives_its_own_name(tmp_path):
    """`python -m training` is the job "training", not "__main__"."""
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "__main__.py").write_text(SCRIPT)

    assert "training" == printed_by("-m", "training", cwd=tmp_path)


def test_a_script_on_standard_input_is_a_job():
    """What is piped into Python has no name."""
    assert "job" == printed_by(input=SCRIPT)


def test_an_interpreter_without_arguments_is_a_job(monkeypatch):
    """Programs that embed Python may leave sys.argv empty."""
    monkeypatch.setattr(sys, "argv", [])

    assert "job" == script_name()
