"""`hyperplane doctor` on secrets: where each is found, what it shadows, and where it lies open."""

import subprocess
from pathlib import Path

import pytest
from processes import public_folder

from hyperplane import exposure
from hyperplane.doctor import examine
from hyperplane.secretsources.vault import NewEntry, Vault

SECRET = "correct-horse-battery"


@pytest.fixture
def job(tmp_path):
    """Return a job file that asks for one secret, with a `.env` that has another."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / ".env").write_text(f"HYPERPLANE_SECRET_api={SECRET}\n")
    file = folder / "job.yaml"
    file.write_text("main: train.py\nsecrets: [db]\n")
    return file


@pytest.fixture
def vault(tmp_path):
    """Return the vault of this test's user, with the secret that the job asks for."""
    home = tmp_path / "home"
    made = Vault(home / ".local/share/hyperplane/vault", home / ".config/hyperplane/vault.key")
    made.put([NewEntry("db", b"staple-of-the-horse"), NewEntry("api", b"another-value")])
    return made


def warnings_of(job):
    """Return what is warned of, with the hints; nothing may be broken."""
    problems = examine(job).problems
    assert not any(problem.is_broken for problem in problems), problems
    return {problem.message: problem.hint for problem in problems}


def test_each_secret_is_shown_with_its_place_and_what_it_shadows(job, vault):
    """The vault's too, and never a value."""
    found = examine(job)
    rows = found.explanation.as_dict()["secret"]
    assert {
        "db": (f"vault {vault.path}", []),
        "api": (f"{job.parent}/.env HYPERPLANE_SECRET_api", [f"vault {vault.path}"]),
    } == {name: (row["origin"], row["shadowed"]) for name, row in rows.items()}
    assert (True, ()) == (found.is_healthy, found.problems)
    assert "horse" not in f"{found.as_dict()} {found.explanation}"


def test_a_missing_secret_hides_no_other(job):
    """What is there is shown, and what is missing is broken."""
    found = examine(job)
    (problem,) = found.problems
    assert (True, True) == (problem.is_broken, problem.message.startswith("no secret 'db'"))
    assert ["api"] == list(found.explanation.as_dict()["secret"])


def test_a_vault_that_a_job_needs_and_cannot_be_used_is_broken(job, vault):
    """It is told once, with the command that mends it."""
    vault.path.chmod(0o640)
    found = examine(job)
    assert [(True, f"Mend it: chmod 600 {vault.path}")] == [(p.is_broken, p.hint) for p in found.problems]
    assert (
        f"unreadable vault entry db in {vault.path}" == found.explanation.as_dict()["secret"]["db"]["origin"]
    )


@pytest.mark.parametrize("what", ["folder", "path", "key_file"])
def test_a_vault_that_is_open_to_others_is_warned_of(job, vault, what):
    """Also where this job does not need it."""
    job.write_text("main: train.py\n")
    path = getattr(vault, what)
    path.chmod(path.stat().st_mode | 0o040)
    ((message, hint),) = warnings_of(job).items()
    assert (True, True) == (
        message.startswith(f"{path} is open to other users"),
        hint.startswith("Mend it: "),
    )


def test_a_key_in_a_repository_is_warned_of(job, vault):
    """One that was put there later, or before the folder became one."""
    (vault.key_file.parent / ".git").mkdir()
    ((message, hint),) = warnings_of(job).items()
    assert f"the key of the vault lies in the git repository {vault.key_file.parent}" in message
    assert "HYPERPLANE_VAULT_KEY_FILE" in hint


def test_short_secrets_of_the_vault_are_warned_of(job, vault):
    """A declared one that cannot be masked is named like those of the environment."""
    vault.put([NewEntry("db", b"abc")])
    assert ["secret 'db' is shorter than 4 bytes: not masked"] == list(warnings_of(job))


def test_a_parameter_with_the_value_of_a_secret_is_warned_of(job, vault):
    """By both names; short values are alike by chance."""
    job.write_text(
        "main: train.py\nsecrets: [db]\n"
        f"environment_params: {{A: staple-of-the-horse, B: {SECRET}, C: '1'}}\n"
    )
    vault.put([NewEntry("db", b"staple-of-the-horse")])
    assert {
        "the parameter 'A' has the value of the secret 'db'",
        "the parameter 'B' has the value of the secret 'api'",
    } == set(warnings_of(job))


def test_an_env_file_that_others_can_read_is_warned_of():
    """With the command that mends it, and only where the folders above let others in."""
    with public_folder() as folder:
        env_file = folder / ".env"
        env_file.write_text(f"HYPERPLANE_SECRET_api={SECRET}\n")
        (folder / "job.yaml").write_text("main: train.py\n")
        env_file.chmod(0o640)
        warned = warnings_of(folder / "job.yaml")
        assert {f"other users can read the secrets in {env_file}": f"chmod 600 {env_file}"} == warned
        folder.chmod(0o700)
        assert {} == warnings_of(folder / "job.yaml")
        folder.chmod(0o755)
        env_file.write_text("DEPLOY_TOKEN=a-secret-by-its-name\n")
        assert warned == warnings_of(folder / "job.yaml")
        env_file.write_text("HYPERPLANE_JOB_NAME=none-is-here\n")
        assert {} == warnings_of(folder / "job.yaml")


def test_an_env_file_in_git_is_warned_of(job, vault):
    """Once it is tracked, and not while it is only there."""
    subprocess.run(["git", "init", "-q", job.parent], check=True)
    assert {} == warnings_of(job)
    subprocess.run(["git", "-C", job.parent, "add", "-f", ".env"], check=True)
    ((message, hint),) = warnings_of(job).items()
    assert f"git tracks {job.parent}/.env, and with it the secrets in it" == message
    assert hint.startswith(
        f"git rm --cached {job.parent}/.env, name it in .gitignore, and replace the secrets"
    )


@pytest.mark.parametrize("path", ["/nowhere", "slow"])
def test_without_git_nothing_is_said_of_it(job, vault, monkeypatch, path):
    """Nobody waits for a git that does not answer either."""
    if path == "slow":
        Path("git").write_text("#!/bin/sh\nexec /bin/sleep 60\n")
        Path("git").chmod(0o755)
        monkeypatch.setattr(exposure, "GIT_TIMEOUT_S", 0.2)
    monkeypatch.setenv("PATH", str(Path.cwd()) if path == "slow" else path)
    assert {} == warnings_of(job)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("Dockerfile", "FROM python\nCOPY . /app\n"),
        ("Dockerfile", "FROM python\ncopy --chown=1 --link \\\n  train.py \\\n  ./ /app/\n"),
        ("Dockerfile.gpu", "ADD .env /app/.env\n"),
        ("train.Dockerfile", 'COPY ["train.py", ".env", "/app/"]\n'),
        ("Containerfile", "COPY .* /app\n"),
    ],
)
def test_an_env_file_that_goes_into_an_image_is_warned_of(job, vault, name, content):
    """Until `.dockerignore` names it, whichever way the image is described."""
    (job.parent / name).write_text(content)
    expected = {
        f"{job.parent}/{name} copies {job.parent}/.env into an image, with the secrets in it": (
            f"Add .env to {job.parent}/.dockerignore."
        )
    }
    assert expected == warnings_of(job)
    (job.parent / ".dockerignore").write_text("# .env\n*.pyc\n!.env\n")
    assert expected == warnings_of(job)
    for line in (".env", "/.env", "**/.env", ".env*", "*"):
        (job.parent / ".dockerignore").write_text(f"# ours\n!x\n{line}\n")
        assert {} == warnings_of(job)
    (job.parent / f"{name}.dockerignore").write_text("*.pyc\n")
    assert expected == warnings_of(job)


@pytest.mark.parametrize(
    "content",
    [
        "FROM python\n# COPY . /app\nCOPY train.py /app/\n",
        "COPY --from=build . /app\n",
        "RUN cp . /app\nADD https://example.org/.env.txt /app/\n",
        "COPY [broken\nCOPY\n",
        "COPY src/ /app\n",
    ],
)
def test_an_image_without_the_env_file_is_not_warned_of(job, vault, content):
    """Comments, other stages and other files are no reason."""
    (job.parent / "Dockerfile").write_text(content)
    (job.parent / "Dockerfile.d").mkdir()
    assert {} == warnings_of(job)


def test_a_dockerfile_that_nobody_can_read_is_passed_over(job, vault, monkeypatch):
    """It may have gone since it was listed."""
    (job.parent / "Dockerfile").write_text("COPY . /app\n")
    monkeypatch.setattr(Path, "read_text", lambda *_a, **_k: (_ for _ in ()).throw(PermissionError()))
    assert [] == exposure.images_with(job.parent / ".env")


def test_a_locked_output_url_of_a_job_file_is_warned_of(job, vault, monkeypatch):
    """A job file that would send outputs elsewhere learns that it has no say."""
    Path("site.env").write_text("HYPERPLANE_OUTPUT_URL=none\nHYPERPLANE_LOCKED=OUTPUT_URL\n")
    monkeypatch.setenv("HYPERPLANE_SITE_FILE", str(Path("site.env").absolute()))
    job.write_text("main: train.py\noutput_url: s3://elsewhere/\n")
    message = f"output_url in {job} has no effect: it is locked by {Path('site.env').absolute()}"
    assert message in [problem.message for problem in examine(job).problems]
