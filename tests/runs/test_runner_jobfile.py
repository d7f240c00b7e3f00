"""`hyperplane run JOB.yaml`: parameters, inputs, the folder, retries and further attempts."""

import json
import sys
from pathlib import Path

import pytest

from hyperplane.rundir import Home
from hyperplane.runs import record

DUMP = f"{sys.executable} -c 'import json, os; print(json.dumps(dict(os.environ)))'"


@pytest.fixture
def job():
    """Return a function that writes a job file and returns its name."""

    def write(text, name="job.yaml"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(text)
        return name

    return write


def test_parameters_come_from_the_command_line_then_the_file_then_the_environment(command, job, variables):
    """`-p` wins over the job file, which wins over what the runner inherited."""
    name = job(f'main: {DUMP}\nenvironment_params:\n  - A: file\n  - B: file\n  - "NO": no\n')
    done = command("run", name, "-p", "A=line", env=variables(A="inherited", B="inherited", C="inherited"))
    told = json.loads(done.stdout)
    assert ("line", "file", "inherited", "no") == (told["A"], told["B"], told["C"], told["NO"])


def test_options_may_follow_the_job_file(command, job, newest):
    """`run JOB.yaml -p A=1` and `run -p A=1 JOB.yaml` are the same."""
    name = job("main: 'true'\n")
    command("run", name, "-p", "A=1")
    command("run", "-p", "A=1", name)
    assert [{"A": "1"}, {"A": "1"}] == [dict(found.parameters) for found in newest()]


def test_job_runs_in_the_folder_of_its_file(command, job):
    """The working folder, `.env` and `.hyperplane` are those of the job file."""
    name = job("main: ./train.py\nname: my-training\n", "project/job.yaml")
    Path("project/train.py").write_text("import os; print(os.getcwd(), os.environ['HYPERPLANE_USER_ID'])")
    Path("project/.env").write_text("HYPERPLANE_USER_ID=ada\n")
    done = command("run", name)
    assert done.stdout == f"{Path.cwd()}/project ada\n"
    (run,) = Home.of(Path("project")).runs()
    assert run.job_folder.name.startswith("my-training-")


def test_job_is_told_who_and_where_it_is(command, job, variables, only_run):
    """Identity, run folder and outputs stand in variables, over anything inherited."""
    name = job(f"main: {DUMP}\nname: training\n")
    done = command(
        "run",
        name,
        env=variables(HYPERPLANE_JOB_ID="j1", HYPERPLANE_RUN_DIR="/nowhere", HYPERPLANE_ATTEMPT="4"),
    )
    told = {name: value for name, value in json.loads(done.stdout).items() if name.startswith("HYPERPLANE_")}
    run = only_run()
    assert told.pop("HYPERPLANE_SECRETS_DIR").startswith("/dev/shm/hyperplane-run-")
    assert told == {
        "HYPERPLANE_JOB_ID": "j1",
        "HYPERPLANE_JOB_NAME": "training",
        "HYPERPLANE_ATTEMPT": "4",
        "HYPERPLANE_RUN_DIR": str(run.path),
        "HYPERPLANE_OUTPUT_DIR": str(run.outputs),
        "HYPERPLANE_USER_OUTPUTS_DIR_ABS": str(run.outputs),
    }


def test_python_is_unbuffered_unless_the_job_says_otherwise(command, job):
    """PYTHONUNBUFFERED is 1 for the job; a parameter of that name wins."""
    name = job("main: sh -c 'echo [$PYTHONUNBUFFERED]'\n")
    assert command("run", name).stdout == "[1]\n"
    assert command("run", name, "-p", "PYTHONUNBUFFERED=").stdout == "[]\n"


def test_inputs_are_absolute_from_the_folder_of_the_job_file(command, job):
    """A relative path is taken from the job file, a URL stays as it is."""
    Path("project").mkdir()
    Path("project/data.csv").write_text("1")
    url = f"file://{Path.cwd()}/project"
    name = job(f"main: {DUMP}\ninputs: {{train: data.csv, all: '{url}'}}\n", "project/job.yaml")
    told = json.loads(command("run", name).stdout)
    assert (f"{Path.cwd()}/project/data.csv", url) == (
        told["HYPERPLANE_INPUT_train"],
        told["HYPERPLANE_INPUT_all"],
    )


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("foo://x", "is a foo:// URL, which this version does not read"),
        ("file://elsewhere/x", "is a file:// URL, which this version does not read"),
        ("s3:///key", "cannot be read: 's3:///key' names no bucket"),
    ],
)
def test_input_that_cannot_be_read_is_refused_before_the_start(command, job, url, problem):
    """Exit code 78 instead of a job that fails when it first reads it."""
    done = command("run", job(f"main: touch started\ninputs: {{a: '{url}'}}\n"))
    assert done.returncode == 78
    assert f"the input 'a' {problem}\n" in done.stderr
    assert not Path("started").exists()


def test_an_input_in_s3_is_the_jobs_to_fetch(command, job):
    """The runner neither fetches nor asks, but hands the URL to the job as it is."""
    told = command("run", job(f"main: {DUMP}\ninputs: {{train: 's3://bucket/data/'}}\n"))
    assert "s3://bucket/data/" == json.loads(told.stdout)["HYPERPLANE_INPUT_train"]


def test_script_that_is_not_there_is_looked_up_in_the_folder_of_the_job_file(command, job):
    """The error says in which, with its path."""
    done = command("run", job("main: x.py\n", "project/job.yaml"))
    assert done.returncode == 127
    assert f"there is no x.py in {Path.cwd()}/project, nor on the PATH\n" in done.stderr


def test_inputs_that_are_missing_are_named_before_the_start(command, job):
    """Exit code 78 and every missing input, and no run is made."""
    name = job("main: touch started\ninputs: {a: gone.csv, b: 'file:///no/such/file', c: job.yaml}\n")
    done = command("run", name)
    assert done.returncode == 78
    assert f"'a' ({Path.cwd()}/gone.csv), 'b' (file:///no/such/file)" in done.stderr
    assert not Path(".hyperplane").exists()


def test_destination_that_is_none_is_refused(command, job):
    """An output URL that nothing can be delivered to is an error before anything is made."""
    done = command("run", job("main: 'true'\noutput_url: ftp://host/k\n"))
    assert done.returncode == 78
    assert "is no destination" in done.stderr
    assert not Path(".hyperplane").exists()


def test_destination_of_the_job_file_counts_for_the_job_too(command, job, tmp_path, variables):
    """The job is told where its outputs go: what the job file says goes before the setting."""
    name = job(f"main: sh -c 'echo $HYPERPLANE_OUTPUT_URL'\noutput_url: file://{tmp_path}/there/\n")
    done = command("run", name, env=variables(HYPERPLANE_OUTPUT_URL=f"file://{tmp_path}/elsewhere/"))
    assert done.stdout == f"file://{tmp_path}/there/\n"
    assert not (tmp_path / "elsewhere").exists()


def test_destination_none_in_the_job_file_overrides_the_setting(command, job, variables):
    """`output_url: none` says on purpose that nothing is delivered, to the job as well."""
    name = job("main: sh -c 'echo $HYPERPLANE_OUTPUT_URL'\noutput_url: none\n")
    assert command("run", name, env=variables(HYPERPLANE_OUTPUT_URL="file:///tmp/x")).stdout == "none\n"


def test_output_folder_of_the_environment_has_no_effect_and_says_so(command, variables, only_run):
    """The job's outputs are always those of its run."""
    done = command(
        "run", "sh", "-c", "echo $HYPERPLANE_OUTPUT_DIR", env=variables(HYPERPLANE_OUTPUT_DIR="elsewhere")
    )
    assert done.stdout == f"{only_run().outputs}\n"
    assert done.stderr.startswith("hyperplane: warning: environment HYPERPLANE_OUTPUT_DIR has no effect here")


def test_failure_is_tried_again_as_a_run_of_its_own(command, job, newest):
    """Each retry is a run of the same job with the next attempt, until one succeeds."""
    name = job("main: sh -c 'echo $HYPERPLANE_ATTEMPT; test $HYPERPLANE_ATTEMPT -eq 3'\nretries: 5\n")
    done = command("run", name)
    assert (0, "1\n2\n3\n") == (done.returncode, done.stdout)
    third, second, first = newest()
    assert [3, 2, 1] == [found.attempt for found in (third, second, first)]
    assert [second.run_id, first.run_id, None] == [found.retry_of for found in (third, second, first)]
    assert {first.job_id} == {found.job_id for found in newest()}
    assert ["succeeded", "failed", "failed"] == [found.outcome for found in newest()]


def test_retries_end_with_the_exit_code_of_the_last(command, job, newest):
    """When all attempts fail, the runner fails as the last one did; a timeout counts as a failure."""
    done = command(
        "run",
        job("main: sh -c 'test $HYPERPLANE_ATTEMPT = 2 && exit 9; sleep 60'\nretries: 1\ntimeout_s: 0.3\n"),
    )
    assert (9, [9, 124]) == (done.returncode, [found.exit_code for found in newest()])


def test_further_attempt_repeats_job_command_and_parameters(command, newest):
    """`run --retry RUN` alone is the same job once more, in the same folder, with the same `-p`."""
    command("run", "-p", "A=1", "sh", "-c", "echo $A $HYPERPLANE_ATTEMPT; pwd; exit 1")
    Path("below").mkdir()
    done = command("run", "--retry", "last", cwd="below")
    assert done.stdout == f"1 2\n{Path.cwd()}\n"
    again, first = newest()
    assert (first.job_id, first.command, 2, first.run_id) == (
        again.job_id,
        again.command,
        again.attempt,
        again.retry_of,
    )


def test_further_attempt_reads_the_job_file_as_it_is_now(command, job, newest):
    """What was mended in the job file counts; what was given with `-p` is given again, or overridden."""
    name = job("main: sh -c 'exit 1'\nenvironment_params: {A: old, B: old, C: old}\n")
    command("run", name, "-p", "B=line", "-p", "C=line")
    job("main: sh -c 'echo $A $B $C'\nenvironment_params: {A: new, B: new, C: new}\n")
    done = command("run", "--retry", newest()[0].run_id, "-p", "C=again")
    assert done.stdout == "new line again\n"


def test_further_attempt_with_another_command_keeps_the_job(command, newest):
    """A command after `--retry RUN` replaces the recorded one, not the job."""
    command("run", "sh", "-c", "exit 1")
    done = command("run", "--retry", "last", "echo", "other")
    assert done.stdout == "other\n"
    assert newest()[0].job_id == newest()[1].job_id


def test_further_attempt_of_a_running_run_is_refused(start, command):
    """Two attempts at a job do not run at once by mistake."""
    process = start("run", "sh", "-c", "echo up; sleep 60")
    assert process.stdout.readline() == "up\n"
    done = command("run", "--retry", "last")
    assert done.returncode == 64
    assert " is still running" in done.stderr


def test_further_attempt_restores_what_the_first_one_sealed(command, script):
    """The next attempt finds the checkpoint of the one before."""
    job = """
import hyperplane
with hyperplane.JobContext() as ctx:
    found = ctx.outputs.restore("last.txt")
    print("restored", found.read_text() if found else None)
    ctx.outputs.write_text("last.txt", "checkpoint")
raise SystemExit(1)
"""
    assert command("run", script(job)).stdout == "restored None\n"
    assert command("run", "--retry", "last").stdout == "restored checkpoint\n"


def test_declared_parameters_can_be_read_by_the_job(command, job, script):
    """The context of the job knows the parameters that the job file declares."""
    script(
        "import hyperplane\n"
        "with hyperplane.JobContext() as ctx: print(ctx.params['epochs'], sorted(ctx.params.keys()))"
    )
    done = command("run", job("main: job.py\nenvironment_params: {epochs: 3}\n"))
    assert done.stdout == "3 ['epochs']\n"


def test_bad_job_file_is_exit_code_65_in_two_lines(command, job):
    """The message names file and line, and the hint the right key."""
    done = command("run", job("main: 'true'\nenviroment_params: {}\n"))
    assert done.returncode == 65
    first, second = done.stderr.splitlines()
    assert first.startswith("hyperplane: error: job.yaml, line 2: ")
    assert "environment_params" in second


def test_name_of_a_command_is_that_of_its_script(command, newest):
    """`python train.py` is the job `train`, not `python`."""
    Path("train.py").write_text("")
    command("run", sys.executable, "train.py")
    assert record.read(Home.of(Path.cwd()).runs()[0]).name == "train"
