"""Marks that run a test over every kind of store."""

import pytest

PATHS = ("fast", "plain")
SERVERS = ("seaweed_bucket", "moto_bucket", "faulty_s3")
EXACT_SERVERS = ("moto_bucket", "faulty_s3")


def _over(kinds):
    return pytest.mark.parametrize("store", kinds, indirect=True)


S3_STORES = _over([f"{path}-{server}" for path in PATHS for server in SERVERS])
EXACT_STORES = _over([f"{path}-{server}" for path in PATHS for server in EXACT_SERVERS])
EVERY_STORE = _over([*(f"{path}-{server}" for path in PATHS for server in SERVERS), "memory", "disk"])
