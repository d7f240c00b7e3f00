"""Places that runs are delivered to: a folder, SeaweedFS, and the S3 that fails by script."""

import pytest
from deliveries import BucketPlace, FolderPlace, LocalRun


@pytest.fixture
def folder_place(tmp_path):
    """Give a folder."""
    return FolderPlace(tmp_path / "there")


@pytest.fixture
def faulty_place(faulty_s3):
    """Give a prefix of the S3 that fails by script."""
    return BucketPlace(faulty_s3)


@pytest.fixture(params=["folder", "seaweed", "faulty"])
def place(request, tmp_path):
    """Give each kind of destination in turn."""
    if request.param == "folder":
        return FolderPlace(tmp_path / "there")
    name = "seaweed_bucket" if request.param == "seaweed" else "faulty_s3"
    return BucketPlace(request.getfixturevalue(name))


@pytest.fixture
def local_run():
    """Give a run with nothing in it."""
    made = LocalRun()
    yield made
    made.outputs.close()
    made.journal.close()
    made.lock.close()
