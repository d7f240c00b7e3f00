"""Fixtures for tests of transfers."""

import pytest
from storekinds import PATHS, store_of


@pytest.fixture(params=PATHS)
def path(request):
    """Give the name of one of the two paths to S3."""
    return request.param


@pytest.fixture
def store(faulty_s3, path):
    """Give the store of a scripted server, over each path."""
    return store_of(faulty_s3, path)
