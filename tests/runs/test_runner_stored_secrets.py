"""Secrets of the vault and of AWS under `hyperplane run`: the declared ones reach the job, no others."""

import os
import signal
from pathlib import Path

import pytest
from awsserver import AwsServer

from hyperplane.secretsources.vault import NewEntry, Vault

VALUE = "correct-horse-battery"
pytestmark = pytest.mark.xdist_group("aws")


@pytest.fixture
def vault(tmp_path):
    """Return the vault of this test's user, with two secrets."""
    home = tmp_path / "home"
    made = Vault(home / ".local/share/hyperplane/vault", home / ".config/hyperplane/vault.key")
    made.put([NewEntry("db", VALUE.encode()), NewEntry("other", b"of-another-job")])
    return made


@pytest.fixture
def aws():
    """Return a server of AWS's protocols, empty."""
    server = AwsServer()
    server.reset()
    yield server
    server.stop()


def test_declared_secrets_of_the_vault_reach_the_job(command, vault):
    """In its folder, and in the variable that it wants; what it did not ask for stays where it is."""
    Path("job.yaml").write_text(
        "main: sh -c 'ls $HYPERPLANE_SECRETS_DIR; echo ${#PGPASSWORD} $PGPASSWORD'\n"
        "secrets: [{db: {env: PGPASSWORD}}]\n"
    )
    assert "db\n21 ***\n" == command("run", "job.yaml").stdout


def test_a_context_of_the_job_has_the_declared_ones_alone(command, script, vault):
    """Another one raises, and says where to add it, although the vault has it."""
    read = "print(len(ctx.secrets['db'])); ctx.secrets['other']"
    job = f"import hyperplane\nwith hyperplane.JobContext() as ctx: {read}"
    Path("job.yaml").write_text(f"main: {script(job)}\nsecrets: [db]\n")
    done = command("run", "job.yaml")
    assert (1, "21\n") == (done.returncode, done.stdout)
    assert "no secret 'other'" in done.stderr
    assert "Add it to `secrets:` of the job file" in done.stderr


def test_secrets_of_aws_reach_the_job(command, aws, variables):
    """They are looked up below the prefixes in as few calls as can be, before the job starts."""
    aws.client("secretsmanager").create_secret(Name="prod/db", SecretString=VALUE)
    aws.client("ssm").put_parameter(Name="/prod/api", Value="key-of-the-api", Type="SecureString")
    Path("job.yaml").write_text("main: sh -c 'cd $HYPERPLANE_SECRETS_DIR && wc -c *'\nsecrets: [db, api]\n")
    done = command(
        "run",
        "job.yaml",
        env=variables(
            **aws.variables(), HYPERPLANE_SECRETS_MANAGER_PREFIX="prod/", HYPERPLANE_SSM_PREFIX="/prod/"
        ),
    )
    assert (["14", "api", "21", "db"], 0) == (done.stdout.split()[:4], done.returncode)


def test_all_that_are_missing_are_named_with_every_place(command, vault, aws, variables):
    """One error before the start, with exit code 78."""
    Path("job.yaml").write_text("main: touch started\nsecrets: [db, gone_one, gone_two]\n")
    done = command(
        "run", "job.yaml", env=variables(**aws.variables(), HYPERPLANE_SECRETS_MANAGER_PREFIX="prod/")
    )
    assert (78, False) == (done.returncode, Path("started").exists() or Path(".hyperplane").exists())
    assert "the secrets 'gone_one', 'gone_two' are asked for" in done.stderr
    for name in ("gone_one", "gone_two"):
        assert f"vault entry {name} in {vault.path}, AWS Secrets Manager prod/{name}" in done.stderr


@pytest.mark.parametrize("what", ["vault", "aws"])
def test_a_source_that_cannot_be_asked_ends_the_run_before_it_starts(command, vault, aws, variables, what):
    """With exit code 78, and what to do."""
    vault.path.chmod(0o644 if what == "vault" else 0o600)
    Path("job.yaml").write_text("main: touch started\nsecrets: [db, gone]\n")
    with aws.denying("secretsmanager:GetSecretValue"):
        done = command(
            "run", "job.yaml", env=variables(**aws.variables(), HYPERPLANE_SECRETS_MANAGER_PREFIX="prod/")
        )
    assert (78, False) == (done.returncode, Path("started").exists() or Path(".hyperplane").exists())
    hint = {"vault": f"chmod 600 {vault.path}", "aws": "Allow secretsmanager:GetSecretValue"}[what]
    assert hint in done.stderr


def test_a_vault_that_no_job_asks_is_not_opened(command, vault):
    """A run without `secrets:` works beside a broken vault."""
    vault.path.write_bytes(b"broken")
    assert (0, "") == (command("run", "true").returncode, command("run", "true").stdout)


@pytest.mark.parametrize("is_guard_killed", [False, True])
def test_the_folder_in_memory_is_gone_after_a_kill(start, command, vault, until, is_guard_killed):
    """The guard removes it when the runner is killed; killed both, the next run does."""
    Path("job.yaml").write_text(
        "main: sh -c 'echo $$ $HYPERPLANE_SECRETS_DIR; exec sleep 60'\nsecrets: [db]\n"
    )
    runner = start("run", "job.yaml")
    job, folder = runner.stdout.readline().split()
    assert VALUE == Path(folder, "db").read_text()
    if is_guard_killed:
        children = Path(f"/proc/{runner.pid}/task/{runner.pid}/children").read_text().split()
        (guard,) = set(children) - {job}
        os.kill(int(guard), signal.SIGKILL)
    os.kill(runner.pid, signal.SIGKILL)
    runner.wait()
    if is_guard_killed:
        assert Path(folder).exists()
        command("run", "true")
    until(lambda: not Path(folder).parent.exists())


def test_what_a_found_secret_comes_to_is_recorded(command, newest):
    """Delivery reads it from the record, that of a later attempt without a job file too."""
    Path("job.yaml").write_text("main: 'true'\nsecret_scan: block\n")
    command("run", "job.yaml")
    command("run", "--retry", "last", "true")
    command("run", "true")
    assert ["warn", "block", "block"] == [found.secret_scan for found in newest()]
