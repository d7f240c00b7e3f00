"""Marks that run a test over every kind of store."""

import pytest

PATHS = ("fast", "plain")
SERVERS = ("seaweed_bucket", "moto_bucket", "faulty_s3")
S3_KINDS = [f"{path}-{server}" for path in PATHS for server in SERVERS]


def over(*kinds):
    """Run a test over these kinds."""
    return pytest.mark.parametrize("store", kinds, indirect=True)


S3_STORES = over(*S3_KINDS)
EXACT_STORES = over(*(kind for kind in S3_KINDS if "seaweed" not in kind))
EVERY_STORE = over(*S3_KINDS, "memory", "disk")
