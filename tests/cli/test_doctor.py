"""`hyperplane doctor`: what it shows, what it keeps to itself, and when it says that something is broken."""

import json
import subprocess
import sys

import pytest

from hyperplane.doctor import examine

SECRET = "correct-horse-battery"


def doctor(*words, env=None):
    """Run the command."""
    command = [sys.executable, "-m", "hyperplane", "doctor", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=env, timeout=60)


def row(found, kind, name):
    """Return one value of a diagnosis as plain data."""
    return found.explanation.as_dict()[kind][name]


@pytest.fixture
def job(tmp_path):
    """Return a job file that can run, in a project of its own."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "data.csv").write_text("1,2\n")
    (folder / ".env").write_text(f"HYPERPLANE_SECRET_db={SECRET}\n")
    file = folder / "job.yaml"
    file.write_text(
        "main: train.py\nenvironment_params: {lr: 0.1}\ninputs: {data: data.csv}\nsecrets: [db]\n"
    )
    return file


def test_healthy_job_ends_with_0(job):
    """A job file that can run has no problem, and the exit code says so."""
    done = doctor(job)
    assert (0, "", "nothing is broken") == (done.returncode, done.stderr, done.stdout.splitlines()[-1])


def test_every_declared_value_is_shown_with_its_origin(job):
    """Settings, parameters, inputs and secrets come with the place that they were found in."""
    found = examine(job)
    assert f"job file {job}" == row(found, "parameter", "lr")["origin"]
    assert f"job file {job}" == row(found, "input", "data")["origin"]
    assert f"{job.parent}/.env HYPERPLANE_SECRET_db" == row(found, "secret", "db")["origin"]
    assert "default" == row(found, "setting", "grace_s")["origin"]


def test_what_was_shadowed_is_named(job, monkeypatch):
    """A value that lost against another is named with the one that won."""
    monkeypatch.setenv("lr", "0.2")
    monkeypatch.setenv("HYPERPLANE_SECRET_db", "another-password-entirely")
    found = examine(job)
    assert ["environment lr"] == row(found, "parameter", "lr")["shadowed"]
    assert [f"{job.parent}/.env HYPERPLANE_SECRET_db"] == row(found, "secret", "db")["shadowed"]


def test_no_value_of_a_secret_is_printed(job, monkeypatch):
    """Not even a parameter or a setting that repeats a secret shows it."""
    job.write_text(f"main: train.py\nenvironment_params: {{copy: {SECRET}}}\n")
    monkeypatch.setenv("HYPERPLANE_USER_ID", SECRET)
    printed = [doctor(job), doctor(job, "--json")]
    assert ["***", "***"] == [
        row(examine(job), "parameter", "copy")["value"],
        row(examine(job), "setting", "user_id")["value"],
    ]
    assert not any(SECRET in done.stdout + done.stderr for done in printed)


def test_the_environment_at_large_stays_unsaid(job, monkeypatch):
    """Variables that nobody declared are not printed."""
    monkeypatch.setenv("UNRELATED_VARIABLE", "unrelated value")
    assert "UNRELATED" not in doctor(job).stdout.upper()


def test_json_is_for_programs(job):
    """`--json` prints the whole diagnosis with the version of its shape."""
    printed = json.loads(doctor(job, "--json").stdout)
    assert (1, True, "local", []) == (
        printed["schema"],
        printed["healthy"],
        printed["platform"]["name"],
        printed["problems"],
    )
    assert 4 == len(printed["only_under_runner"])


def test_platform_is_named_with_its_evidence(job, monkeypatch):
    """The platform stands with the variable that gave it away."""
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    found = examine(job)
    assert ("slurm", ("slurm: SLURM_JOB_ID",)) == (found.platform, found.evidence)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("HYPERPLANE_GRACE_S", "-1", "HYPERPLANE_GRACE_S"),
        ("HYPERPLANE_OUTPUT_URL", "s4://bucket/", "HYPERPLANE_OUTPUT_URL"),
        ("HYPERPLANE_ENV_FILE", "nowhere.env", "nowhere.env"),
        ("HYPERPLANE_INPUT_data2", "nowhere.csv", "nowhere.csv"),
    ],
)
def test_broken_setting_ends_with_1(job, monkeypatch, name, value, message):
    """What would stop the job is named, and the exit code is 1."""
    monkeypatch.setenv(name, value)
    done = doctor(job)
    assert (1, "something is broken: see above") == (done.returncode, done.stdout.splitlines()[-1])
    assert message in done.stdout


def test_one_broken_thing_does_not_hide_another(job, monkeypatch):
    """A missing secret and a missing input are both found in one visit."""
    (job.parent / "data.csv").unlink()
    job.write_text(job.read_text().replace("[db]", "[db, api_key]"))
    messages = [problem.message for problem in examine(job).problems if problem.is_broken]
    assert 2 == len(messages)
    assert "data.csv" in messages[0]
    assert "'api_key'" in messages[1]


def test_bad_job_file_is_broken(job):
    """A job file that cannot be run is named, and the place is looked at all the same."""
    job.write_text("mian: train.py\n")
    found = examine(job)
    assert not found.is_healthy
    assert "secret" in found.explanation.as_dict()


def test_output_url_of_a_job_file_that_is_none_is_broken(job):
    """What nothing can be delivered to is found before the job runs."""
    job.write_text("main: train.py\noutput_url: ftp://host/runs/\n")
    (problem,) = examine(job).problems
    assert "is no destination" in problem.message


def test_outputs_folder_that_is_a_file_is_broken(job, monkeypatch):
    """A folder for outputs that cannot be written is found before the job runs."""
    monkeypatch.setenv("HYPERPLANE_OUTPUT_DIR", "data.csv")
    (problem,) = examine(job).problems
    assert f"the outputs folder {job.parent}/data.csv cannot be written: Not a directory" == problem.message


def test_nothing_is_left_in_the_outputs_folder(job, monkeypatch):
    """The file that tries the folder is gone afterwards, and a missing folder is not made."""
    monkeypatch.setenv("HYPERPLANE_OUTPUT_DIR", "results")
    before = sorted(job.parent.iterdir())
    assert examine(job).is_healthy
    assert before == sorted(job.parent.iterdir())


def test_warnings_leave_it_healthy(job, monkeypatch):
    """A short secret and a mistyped setting are said, and break nothing."""
    monkeypatch.setenv("HYPERPLANE_SECRET_pin", "123")
    monkeypatch.setenv("HYPERPLANE_JOB_IDD", "x")
    done = doctor(job)
    assert 0 == done.returncode
    assert "'pin'" in done.stdout
    assert "did you mean HYPERPLANE_JOB_ID?" in done.stdout


def test_without_a_job_file_this_folder_is_looked_at(job, monkeypatch):
    """In a folder it shows what a context made there would be told."""
    monkeypatch.chdir(job.parent)
    found = examine()
    assert str(job.parent) == found.outputs
    assert "db" in found.explanation.as_dict()["secret"]
