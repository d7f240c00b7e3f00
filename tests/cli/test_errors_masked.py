"""Errors of the command line hold no secret that could be known, however early they come."""

import uuid
from pathlib import Path

import pytest

from hyperplane.cli import main


@pytest.fixture
def secret():
    """Give a value that no other test has made known to the masker of this process."""
    return f"opensesame-{uuid.uuid4().hex}"


@pytest.fixture
def error_of(capsys):
    """Return a function that calls the command line here, and returns what it says on stderr."""

    def run(*words):
        with pytest.raises(SystemExit) as caught:
            main(words)
        assert caught.value.code
        return capsys.readouterr().err

    return run


@pytest.mark.parametrize(
    "words",
    [
        ("run", "job.yaml", "{}"),
        ("run", "--{}", "job.yaml"),
        ("run", "-p", "HYPERPLANE_{}=1", "true"),
        ("{}",),
    ],
    ids=" ".join,
)
def test_a_secret_on_the_command_line_is_masked(monkeypatch, error_of, secret, words):
    """Nothing was run yet, and the masker knows what the process was given all the same."""
    monkeypatch.setenv("HYPERPLANE_SECRET_db", secret)
    Path("job.yaml").write_text("main: [true]\n")
    said = error_of(*(word.format(secret) for word in words))
    assert ("***" in said, secret in said) == (True, False)


def test_a_secret_in_a_job_file_is_masked(monkeypatch, error_of, secret):
    """An error may quote the file."""
    monkeypatch.setenv("HYPERPLANE_SECRET_db", secret)
    Path("job.yaml").write_text(f"{secret}: 1\n")
    said = error_of("run", "job.yaml")
    assert ("***" in said, secret in said) == (True, False)


def test_a_secret_in_place_of_a_setting_is_masked(monkeypatch, error_of, secret):
    """That the settings are wrong keeps nobody from knowing the secrets."""
    monkeypatch.setenv("HYPERPLANE_SECRET_db", secret)
    monkeypatch.setenv("HYPERPLANE_ENV_FILE", secret)
    said = error_of("run", "true")
    assert ("***" in said, secret in said) == (True, False)


@pytest.mark.parametrize("setting", ["HYPERPLANE_GRACE_S", "HYPERPLANE_ENV_FILE"])
def test_secrets_of_the_env_file_are_known_too(monkeypatch, error_of, secret, setting):
    """`.env` of the working folder is read, also where a setting is wrong or names another."""
    monkeypatch.setenv(setting, "nothing")
    Path(".env").write_text(f"HYPERPLANE_SECRET_db={secret}\n")
    assert secret not in error_of("no", secret)


def test_mounted_and_declared_secrets_are_known_too(monkeypatch, error_of, secret):
    """What the settings name as secrets is known, by file and by variable."""
    Path("mounted").mkdir()
    Path("mounted", "db").write_text(f"{secret}-mounted")
    monkeypatch.setenv("HYPERPLANE_SECRETS_DIR", "mounted")
    monkeypatch.setenv("HYPERPLANE_SECRET_ENV", "DATABASE_URL")
    monkeypatch.setenv("DATABASE_URL", f"{secret}-declared")
    said = error_of(f"{secret}-mounted") + error_of(f"{secret}-declared")
    assert secret not in said


def test_nothing_is_said_of_what_is_wrong_besides(monkeypatch, error_of, secret):
    """Looking for secrets gives no errors and no warnings of its own."""
    monkeypatch.setenv("HYPERPLANE_GRACES_S", "1")
    monkeypatch.setenv("HYPERPLANE_SECRETS_DIR", "missing")
    Path(".env").write_text("no pair\n")
    assert 2 == len(error_of(secret).splitlines())


def test_an_error_is_told_from_a_folder_that_is_gone(monkeypatch, error_of, secret):
    """Where even the working folder cannot be asked for, the error is still the first one."""
    monkeypatch.setenv("HYPERPLANE_SECRET_db", secret)
    gone = Path("gone")
    gone.mkdir()
    place = gone.absolute()
    monkeypatch.chdir(gone)
    place.rmdir()
    assert error_of("no-such-command").startswith("hyperplane: error: ")
