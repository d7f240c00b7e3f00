"""The site file: the lowest source of settings, but for what it locks."""

from pathlib import Path

import pytest

from hyperplane import environment as environment_module
from hyperplane.context import JobContext
from hyperplane.environment import Environment, Origin
from hyperplane.errors import HyperplaneWarning, SettingsError
from hyperplane.rundir import Home, Lock
from hyperplane.settings import load


@pytest.fixture
def site(tmp_path):
    """Return a function that writes a site file, and loads the settings of a process that has it."""
    path = tmp_path / "site.env"

    def settings(lines, env_file=None, **variables):
        path.write_text("".join(f"HYPERPLANE_{line}\n" for line in lines))
        if env_file is not None:
            Path(".env").write_text("".join(f"HYPERPLANE_{line}\n" for line in env_file))
        told = {f"HYPERPLANE_{name}": value for name, value in variables.items()}
        told |= {"HYPERPLANE_SITE_FILE": str(path)}
        return load(Environment.capture(told, env_file=None if env_file is None else ".env"))

    settings.path = path
    return settings


def test_it_sets_what_nobody_else_says(site):
    """A default for the machine, with the file as its origin."""
    found = site(["LOG_FORMAT=json", "GRACE_S=3"])
    assert ("json", 3.0) == (found.log_format, found.grace_s)
    assert Origin(str(site.path), "HYPERPLANE_LOG_FORMAT") == found.origin("log_format")
    assert not found.is_locked("log_format")


def test_every_other_source_goes_before_it(site):
    """Environment, `.env` and platform win, and it is named last among what they shadow."""
    lines = ["LOG_FORMAT=json", "LOG_LEVEL=ERROR", "JOB_ID=s"]
    found = site(lines, env_file=["LOG_LEVEL=DEBUG"], LOG_FORMAT="console")
    assert ("console", "DEBUG") == (found.log_format, found.log_level)
    assert (Origin(str(site.path), "HYPERPLANE_LOG_LEVEL"),) == found.shadowed("log_level")
    told = {"SLURM_JOB_ID": "7", "HYPERPLANE_SITE_FILE": str(site.path)}
    assert "7" == load(Environment.capture(told)).job_id


@pytest.mark.parametrize("name", ["SSM_PREFIX", "HYPERPLANE_SSM_PREFIX"])
@pytest.mark.parametrize("where", ["environment", "env_file"])
def test_what_it_locks_nothing_overrides(site, name, where):
    """Neither the environment nor `.env`; both are told, and named as shadowed."""
    lines = ["SSM_PREFIX=/prod/", f"LOCKED=GRACE_S , {name},", "GRACE_S=3"]
    other = {"SSM_PREFIX": "/mine/"} if where == "environment" else {"env_file": ["SSM_PREFIX=/mine/"]}
    with pytest.warns(HyperplaneWarning) as caught:
        found = site(lines, **other)
    place = "environment" if where == "environment" else str(Path(".env").absolute())
    assert ("/prod/", 3.0) == (found.ssm_prefix, found.grace_s)
    assert Origin(f"locked by {site.path}", "HYPERPLANE_SSM_PREFIX") == found.origin("ssm_prefix")
    assert (Origin(place, "HYPERPLANE_SSM_PREFIX"),) == found.shadowed("ssm_prefix")
    assert (True, False) == (found.is_locked("ssm_prefix"), found.is_locked("log_level"))
    assert [
        f"{place} HYPERPLANE_SSM_PREFIX has no effect: HYPERPLANE_SSM_PREFIX is locked by {site.path}"
    ] == [str(warning.message) for warning in caught]


def test_the_same_value_is_no_override(site):
    """Nobody is warned of what changes nothing."""
    found = site(["SSM_PREFIX=/prod/", "LOCKED=SSM_PREFIX"], SSM_PREFIX="/prod/")
    assert "/prod/" == found.ssm_prefix


def test_a_platform_does_not_override_a_lock_either(site):
    """What the platform tells is shadowed, without a warning: nobody set it."""
    site(["GRACE_S=3", "LOCKED=GRACE_S"])
    told = {"NOMAD_ALLOC_ID": "a", "NOMAD_JOB_ID": "b", "HYPERPLANE_SITE_FILE": str(site.path)}
    assert 3.0 == load(Environment.capture(told)).grace_s


def test_explain_says_so(site):
    """The row of a locked setting names the file, and what it shadows."""
    site(["GRACE_S=3", "LOCKED=GRACE_S"])
    told = {"HYPERPLANE_SITE_FILE": str(site.path), "HYPERPLANE_GRACE_S": "5"}
    with pytest.warns(HyperplaneWarning, match="has no effect"):
        ctx = JobContext(environ=told)
    row = ctx.explain().as_dict()["setting"]["grace_s"]
    assert f"  locked by {site.path} HYPERPLANE_GRACE_S  " in str(ctx.explain())
    assert {
        "value": "3.0",
        "origin": f"locked by {site.path} HYPERPLANE_GRACE_S",
        "shadowed": ["environment HYPERPLANE_GRACE_S"],
    } == row


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["LOCKED=SSM_PREFIX"], "locks HYPERPLANE_SSM_PREFIX, and does not set it"),
        (["LOCKED=OUTPUT_DIR", "OUTPUT_DIR=/x"], "locks HYPERPLANE_OUTPUT_DIR, which cannot be locked"),
        (["LOCKED=ENV_FILE", "ENV_FILE=/x"], "locks HYPERPLANE_ENV_FILE, which cannot be locked"),
        (["GRACE_S=-1"], "HYPERPLANE_GRACE_S is not a number of seconds"),
        (["LOG_FORMAT='json"], "line 1: this is not a NAME=value line"),
    ],
)
def test_a_wrong_site_file_is_an_error(site, lines, message):
    """No job runs past a policy that nobody can read."""
    with pytest.raises(SettingsError, match=message) as caught:
        site(lines)
    assert str(site.path) in str(caught.value)


def test_a_site_file_that_everybody_can_change_is_an_error(site):
    """It has a say in where the outputs and secrets of others go."""
    site(["LOG_FORMAT=json"])
    site.path.chmod(0o666)
    with pytest.raises(SettingsError, match="every user of the machine can change") as caught:
        site(["LOG_FORMAT=json"])
    assert f"chmod o-w {site.path}" == caught.value.hint


def test_a_site_file_that_is_named_and_missing_is_an_error():
    """The default one need not be there; one that is named must."""
    with pytest.raises(SettingsError, match=r"nowhere\.env cannot be read: No such file"):
        load(Environment.capture({"HYPERPLANE_SITE_FILE": "nowhere.env"}))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ["NEW_SETTING=1", "LOCKED=NEW_SETTING"],
            "locks HYPERPLANE_NEW_SETTING, which is no setting of this",
        ),
        (["GRACES_S=1"], "HYPERPLANE_GRACES_S is set; did you mean HYPERPLANE_GRACE_S?"),
    ],
)
def test_what_this_version_does_not_know_is_a_warning(site, lines, message):
    """A site has jobs of several versions."""
    with pytest.warns(HyperplaneWarning, match=message):
        site(lines)


@pytest.fixture
def default(tmp_path, monkeypatch):
    """Return the default site file, in a place where a test may write."""
    path = tmp_path / "etc" / "site.env"
    path.parent.mkdir()
    monkeypatch.setattr(environment_module, "DEFAULT_SITE_FILE", path)
    return path


def test_the_default_file_counts_for_the_processes_of_the_machine(default):
    """Where it is there, and the environment is the process's own."""
    assert "auto" == load(Environment.capture()).log_format
    default.write_text("HYPERPLANE_LOG_FORMAT=json\n")
    assert ("json", "auto") == (
        load(Environment.capture()).log_format,
        load(Environment.capture({})).log_format,
    )


def test_another_file_can_be_named_unless_the_default_one_locks(default, site, monkeypatch):
    """A lock would be none if a variable could take the file away."""
    site(["LOG_FORMAT=console"])
    monkeypatch.setenv("HYPERPLANE_SITE_FILE", str(site.path))
    default.write_text("HYPERPLANE_LOG_FORMAT=json\n")
    assert "console" == load(Environment.capture()).log_format
    default.write_text("HYPERPLANE_LOG_FORMAT=json\nHYPERPLANE_LOCKED=LOG_FORMAT\n")
    with pytest.warns(HyperplaneWarning, match=f"HYPERPLANE_SITE_FILE has no effect: {default} locks"):
        assert "json" == load(Environment.capture()).log_format


def test_under_the_runner_the_job_keeps_what_it_was_told_of_delivery(site, tmp_path):
    """The runner has kept to the lock, and tells its job to deliver nothing itself."""
    run = Home.of(tmp_path).claim("j")
    lines = ["OUTPUT_URL=file:///out/", "LOCKED=OUTPUT_URL"]
    lock = Lock.take(run.lock)
    told = site(lines, RUN_DIR=str(run.path), OUTPUT_URL="none")
    lock.close()
    assert told.output_url is None
    with pytest.warns(HyperplaneWarning, match="HYPERPLANE_OUTPUT_URL has no effect"):
        assert "file:///out/" == site(lines, RUN_DIR=str(run.path), OUTPUT_URL="none").output_url
