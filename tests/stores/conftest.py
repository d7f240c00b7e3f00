"""Fixtures for tests of stores."""

import pytest
from storekinds import PATHS, disk_store, memory_store, store_of


@pytest.fixture
def store(request, tmp_path):
    """Give a store of the kind that the test is parametrized with."""
    if request.param == "memory":
        return memory_store()
    if request.param == "disk":
        return disk_store(tmp_path / "store")
    path, _, server = request.param.partition("-")
    return store_of(request.getfixturevalue(server), path)


@pytest.fixture(params=PATHS)
def path(request):
    """Give the name of one of the two paths to S3."""
    return request.param


@pytest.fixture
def faulty_store(faulty_s3, path):
    """Give the store of a scripted server, over each path."""
    return store_of(faulty_s3, path)
