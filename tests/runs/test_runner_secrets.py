"""Secrets under `hyperplane run`: they reach the job, and nothing that we write."""

import base64
import stat
import sys
from pathlib import Path

import pytest

SECRET = "s3cr3t-value-with-$-in-it"


def everything_written():
    """Return all bytes of all files below the run folders."""
    return b"".join(path.read_bytes() for path in Path(".hyperplane").rglob("*") if path.is_file())


@pytest.fixture
def with_secret(variables):
    """Return an environment with one secret in it."""
    return variables(HYPERPLANE_SECRET_db=SECRET)


def test_secret_is_masked_where_it_is_shown_and_stored(command, with_secret):
    """A job that prints a secret, plain or in base64, prints asterisks, live and in the log."""
    encoded = base64.b64encode(SECRET.encode()).decode()
    reader = f'cat "$HYPERPLANE_SECRETS_DIR/db"; echo; echo {encoded}; cat "$HYPERPLANE_SECRETS_DIR/db" >&2'
    done = command("run", "sh", "-c", reader, env=with_secret)
    assert done.stdout.startswith("***\n***")
    assert done.stderr.startswith("***")
    assert SECRET.encode() not in everything_written()
    assert encoded[:-4].encode() not in everything_written() + done.stdout.encode()


def test_secret_is_masked_across_the_jobs_writes(command, script, with_secret):
    """Halves of a secret that are written one after the other do not slip through."""
    job = f"""
import os, time
os.write(1, b"before {SECRET[:9]}")
time.sleep(0.4)
os.write(1, b"{SECRET[9:]} after\\n")
"""
    assert command("run", script(job), env=with_secret).stdout == "before *** after\n"


def test_secret_in_the_command_or_a_parameter_is_not_recorded(command, newest, with_secret):
    """`run.json` has asterisks in the place of secrets."""
    command(
        "run", "-p", f"dsn=pg://u:{SECRET}@h", "-p", "API_TOKEN=tok-1234567", "true", SECRET, env=with_secret
    )
    (found,) = newest()
    assert ("true", "***") == found.command
    assert {"dsn": "pg://u:***@h", "API_TOKEN": "***"} == dict(found.parameters)


def test_secret_in_any_other_field_is_not_recorded(command, variables, newest):
    """Names of parameters, the user and the paths are masked too, in the file and wherever it is shown."""
    folder = Path(f"in-{SECRET}")
    folder.mkdir()
    (folder / "job.yaml").write_text("main: 'true'\n")
    environment = variables(
        HYPERPLANE_SECRET_db=SECRET, HYPERPLANE_USER_ID=f"u-{SECRET}", HYPERPLANE_HOME=str(Path.cwd())
    )
    command("run", f"{folder}/job.yaml", "-p", f"P-{SECRET}=1", env=environment)
    (found,) = newest()
    assert ("u-***", {"P-***": "1"}, ("P-***",)) == (found.identity.user, dict(found.parameters), found.given)
    assert (f"{Path.cwd()}/in-***", f"{Path.cwd()}/in-***/job.yaml") == (found.folder, found.job_file)
    assert ("folder", "job_file", "parameters.P-***") == found.masked
    assert SECRET.encode() not in everything_written()


@pytest.mark.parametrize("setting", ["HYPERPLANE_JOB_ID", "HYPERPLANE_JOB_NAME"])
def test_secret_in_what_names_folders_is_refused(command, variables, setting):
    """The job's id and name are written down unmasked, so that they must hold no secret."""
    done = command("run", "true", env=variables(HYPERPLANE_SECRET_db=SECRET, **{setting: f"x-{SECRET}"}))
    assert done.returncode == 78
    assert " holds the value of a secret, and would be written down\n" in done.stderr
    assert setting in done.stderr
    assert SECRET not in done.stderr
    assert not Path(".hyperplane").exists()


def test_secret_in_the_name_of_a_job_file_is_refused(command, with_secret):
    """Also one that only the job file's `secrets:` or `.env` makes known."""
    Path("job.yaml").write_text(f"main: 'true'\nname: nm-{SECRET}\n")
    done = command("run", "job.yaml", env=with_secret)
    assert (78, True) == (done.returncode, "the job's name holds the value of a secret" in done.stderr)


def test_masked_parameter_must_be_given_again_and_typed_asterisks_not(command, with_secret):
    """What was masked is known, not guessed from the text."""
    command(
        "run", "-p", "A=***", "-p", f"B={SECRET}", "sh", "-c", 'echo "$A $1"', "sh", "***", env=with_secret
    )
    refused = command("run", "--retry", "last", env=with_secret)
    assert (64, True) == (refused.returncode, "the parameter 'B' of run" in refused.stderr)
    assert command("run", "--retry", "last", "-p", "B=1", env=with_secret).stdout == "*** ***\n"


def test_variables_of_secrets_are_not_inherited(command, with_secret):
    """The job's environment has no HYPERPLANE_SECRET_ variable, and no value of one."""
    done = command("run", "env", env=with_secret)
    assert "HYPERPLANE_SECRET_" not in done.stdout
    assert "***" not in done.stdout


def test_folder_of_secrets_is_private_in_memory_and_gone_afterwards(command, with_secret):
    """It is 0700 with files of 0600 on a memory file system, and does not outlive the run."""
    asked = 'cd "$HYPERPLANE_SECRETS_DIR"; pwd; stat -c %a . db; stat -f -c %T .; ls -A'
    done = command("run", "sh", "-c", asked, env=with_secret)
    folder, mode, file_mode, system, *names = done.stdout.split()
    assert (["700", "600", "tmpfs"], ["db"]) == ([mode, file_mode, system], names)
    assert not Path(folder).parent.exists()


def test_secrets_of_all_sources_reach_the_job(command, variables):
    """Environment, mounted files and `.env` end up in one folder, the first of them winning."""
    Path("mounts").mkdir()
    Path("mounts/mounted").write_text("from-mount\n")
    Path("mounts/both").write_text("loses")
    Path(".env").write_text("HYPERPLANE_SECRET_filed=from-env-file\n")
    found = command(
        "run",
        sys.executable,
        "-c",
        "import os, pathlib\n"
        "folder = pathlib.Path(os.environ['HYPERPLANE_SECRETS_DIR'])\n"
        "for path in sorted(folder.iterdir()): print(path.name, len(path.read_bytes()))",
        env=variables(HYPERPLANE_SECRETS_DIR="mounts", HYPERPLANE_SECRET_both="environment"),
    )
    assert found.stdout == "both 11\nfiled 13\nmounted 10\n"


def test_context_of_the_job_reads_the_same_value(command, script, variables):
    """A value that ends in a newline is the same under the runner as without it."""
    job = "import hyperplane\nwith hyperplane.JobContext() as ctx: print(len(ctx.secrets['pem']))"
    done = command("run", script(job), env=variables(HYPERPLANE_SECRET_pem="line one\nline two\n"))
    assert done.stdout == "18\n"


def test_declared_secret_is_put_into_its_variable(command, variables):
    """`{name: {env: NAME}}` gives the job the value under NAME, masked where it prints it."""
    Path("job.yaml").write_text(
        "main: sh -c 'echo ${#WANDB_API_KEY} $WANDB_API_KEY'\nsecrets: [{wandb: {env: WANDB_API_KEY}}]\n"
    )
    done = command("run", "job.yaml", env=variables(HYPERPLANE_SECRET_wandb="0123456789ab"))
    assert done.stdout == "12 ***\n"


def test_declared_secret_that_is_empty_is_an_empty_variable(command, variables):
    """Empty is not absent."""
    Path("job.yaml").write_text("main: sh -c 'echo [${KEY-unset}]'\nsecrets: [{key: {env: KEY}}]\n")
    assert command("run", "job.yaml", env=variables(HYPERPLANE_SECRET_key="")).stdout == "[]\n"


def test_declared_secrets_that_are_missing_are_all_named_before_the_start(command, variables):
    """One error with exit code 78 names every missing secret, and nothing has run."""
    Path("job.yaml").write_text("main: touch started\nsecrets: [here, gone_one, {gone_two: {env: X}}]\n")
    done = command("run", "job.yaml", env=variables(HYPERPLANE_SECRET_here="abcdefgh"))
    assert done.returncode == 78
    assert done.stderr.startswith("hyperplane: error: the secrets 'gone_one', 'gone_two' are asked for")
    assert not Path("started").exists()
    assert not Path(".hyperplane").exists()


def test_declared_secret_that_no_variable_can_hold_is_refused(command, variables):
    """A value with a NUL byte cannot go into the environment, and the error says how to read it."""
    Path("mounts").mkdir()
    Path("mounts/key").write_bytes(b"a\0b-is-binary")
    Path("job.yaml").write_text("main: 'true'\nsecrets: [{key: {env: KEY}}]\n")
    done = command("run", "job.yaml", env=variables(HYPERPLANE_SECRETS_DIR="mounts"))
    assert done.returncode == 78
    assert done.stderr.startswith(
        "hyperplane: error: the secret 'key' holds a NUL byte or is too long for KEY"
    )


def test_secret_with_an_impossible_name_is_left_out_with_a_warning(command, variables):
    """A name that would leave the folder is never written, and the others still are."""
    done = command(
        "run",
        "sh",
        "-c",
        "ls $HYPERPLANE_SECRETS_DIR",
        env=variables(**{"HYPERPLANE_SECRET_../x": "abcdefgh", "HYPERPLANE_SECRET_a": "abcdefgh"}),
    )
    assert done.stdout == "a\n"
    assert done.stderr.startswith("hyperplane: warning: a secret is left out: '../x' is no name for a secret")


def test_secret_too_short_to_mask_is_warned_of_by_name(command, variables):
    """A one-character secret is not masked everywhere, and a warning names it without its value."""
    done = command("run", "echo", "zebra", env=variables(HYPERPLANE_SECRET_tiny="z"))
    assert done.stdout == "zebra\n"
    assert done.stderr.startswith("hyperplane: warning: secret 'tiny' ")


def test_secret_is_masked_in_errors(command, with_secret):
    """An error that quotes what was typed does not quote a secret."""
    done = command("run", SECRET, env=with_secret)
    assert done.returncode == 127
    assert done.stderr.startswith("hyperplane: error: there is no *** on the PATH")


def test_files_of_secrets_are_owned_by_us_alone(command, with_secret):
    """No other user can list the folder that holds the secrets."""
    done = command("run", "sh", "-c", "stat -c %a $HYPERPLANE_SECRETS_DIR/..", env=with_secret)
    assert stat.filemode(int(done.stdout, 8) | stat.S_IFDIR) == "drwx------"
