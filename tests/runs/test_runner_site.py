"""A platform team's locks under `hyperplane run`: a job file does not override them."""

from pathlib import Path

import pytest


@pytest.fixture
def locked(variables):
    """Return an environment whose site file locks where outputs go."""
    Path("site.env").write_text("HYPERPLANE_OUTPUT_URL=none\nHYPERPLANE_LOCKED=OUTPUT_URL\n")
    return variables(HYPERPLANE_SITE_FILE=str(Path("site.env").absolute()))


def test_a_job_file_does_not_override_a_lock(command, locked):
    """Its output URL has no effect, and a warning says so; the job runs."""
    Path("job.yaml").write_text("main: echo ran\noutput_url: s3://elsewhere/\n")
    done = command("run", "job.yaml", env=locked)
    assert (0, "ran\n") == (done.returncode, done.stdout)
    file, place = Path("job.yaml").absolute(), Path("site.env").absolute()
    assert f"output_url in {file} has no effect: it is locked by {place}\n" in done.stderr


def test_the_environment_does_not_override_a_lock(command, locked):
    """Where a variable would send outputs elsewhere, they stay where the site says."""
    done = command("run", "echo", "ran", env={**locked, "HYPERPLANE_OUTPUT_URL": "s3://elsewhere/"})
    assert (0, "ran\n") == (done.returncode, done.stdout)
    assert "environment HYPERPLANE_OUTPUT_URL has no effect" in done.stderr


def test_a_lock_has_no_word_for_what_the_job_file_leaves_open(command, locked):
    """Without an override nobody is warned."""
    Path("job.yaml").write_text("main: echo ran\n")
    done = command("run", "job.yaml", env=locked)
    assert (0, "ran\n", False) == (done.returncode, done.stdout, "has no effect" in done.stderr)
