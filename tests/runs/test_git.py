"""The commit of a folder, asked of git."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from hyperplane.runs.git import GitProbe


@pytest.fixture
def repository():
    """Make the working folder a repository with one commit, and return that."""
    Path("a.txt").write_text("one")
    identity = ["-c", "user.name=n", "-c", "user.email=e"]
    for words in (["init", "-q"], ["add", "a.txt"], [*identity, "commit", "-qm", "first"]):
        subprocess.run(["git", *words], check=True)
    told = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    return told.stdout.strip()


def ask(variables=None):
    """Ask git about the working folder."""
    return GitProbe.start(Path.cwd(), os.environ if variables is None else variables)


def test_commit_and_tracked_changes_are_told(repository):
    """A new file that git does not track is no change."""
    Path("untracked.txt").write_text("x")
    assert (repository, False) == ask().finish()
    Path("a.txt").write_text("two")
    assert (repository, True) == ask().finish()


def test_answer_stays_the_same_when_asked_again(repository):
    """Finishing twice is finishing once."""
    probe = ask()
    assert probe.finish() is probe.finish()


def test_repository_without_a_commit_has_none():
    """Before the first commit there is nothing to tell."""
    subprocess.run(["git", "init", "-q"], check=True)
    assert ask().finish() is None


def test_folder_that_git_refuses_has_none():
    """An error of git's is no answer."""
    Path(".git").write_text("nonsense")
    assert ask().finish() is None


def test_system_without_git_has_none():
    """Nothing is asked where there is nobody to ask."""
    assert ask({"PATH": "/no/such/folder"}) is None


def test_git_that_takes_too_long_is_ended():
    """After its time there is no answer, and no process."""
    slow = Path("bin/git")
    slow.parent.mkdir()
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    probe = ask({"PATH": f"{slow.parent.absolute()}:{os.environ['PATH']}"})
    probe._give_up_at = time.monotonic() + 0.1
    assert probe.finish() is None
    assert probe._process.returncode == -9
