"""Fixtures with S3 servers: SeaweedFS, the same over TLS, and moto's, one each for a worker's whole session.

`seaweed` and `seaweed_tls` are throughput, TLS and the protocol; SeaweedFS normalises keys (`a//b`), and
refuses `..`. `moto_server` keeps every key exactly (but knows none with a line feed), and verifies no
checksum and no signature.
`seaweed_bucket`, `seaweed_tls_bucket` and `moto_bucket` are the same with an empty bucket of the test's own.
"""

import secrets
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace

import pytest
from faultys3 import FaultyS3

from hyperplane.testing import S3Server, s3_server

# it ends when its stdin does, and so with us, however we end
_MOTO = """
import logging, sys
from moto.server import ThreadedMotoServer

logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(*server.get_host_and_port(), flush=True)
sys.stdin.read()
"""


def client_of(server, **options):
    """Return a boto3 client with everything that the server's value says, or other options."""
    import boto3

    told = {
        "endpoint_url": server.endpoint_url,
        "region_name": server.region,
        "aws_access_key_id": server.access_key_id,
        "aws_secret_access_key": server.secret_access_key,
        "verify": None if server.ca_file is None else str(server.ca_file),
    }
    return boto3.session.Session().client("s3", **{**told, **options})


def with_new_bucket(server):
    """Return the server's value with an empty bucket that nobody else uses."""
    bucket = f"bucket-{secrets.token_hex(6)}"
    client_of(server).create_bucket(Bucket=bucket)
    return replace(server, bucket=bucket)


@contextmanager
def running_moto():
    """Run moto's server in a process of its own, out of reach of what a test does to this one."""
    command = [sys.executable, "-W", "ignore", "-c", _MOTO]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        host, port = process.stdout.readline().split()
        yield S3Server(f"http://{host}:{port}", "test", "moto-key-id", "moto-secret-key")
        process.stdin.close()


@pytest.fixture(scope="session")
def seaweed():
    """Give the SeaweedFS of this session."""
    with s3_server() as server:
        yield server


@pytest.fixture(scope="session")
def seaweed_tls():
    """Give a SeaweedFS over TLS, with a private authority."""
    with s3_server(tls=True) as server:
        yield server


@pytest.fixture(scope="session")
def moto_server():
    """Give moto's server."""
    with running_moto() as server:
        yield server


@pytest.fixture
def seaweed_bucket(seaweed):
    """Give SeaweedFS with an empty bucket of the test's own."""
    return with_new_bucket(seaweed)


@pytest.fixture
def seaweed_tls_bucket(seaweed_tls):
    """Give SeaweedFS over TLS with an empty bucket of the test's own."""
    return with_new_bucket(seaweed_tls)


@pytest.fixture
def moto_bucket(moto_server):
    """Give moto's server with an empty bucket of the test's own."""
    return with_new_bucket(moto_server)


@pytest.fixture
def faulty_s3():
    """Give a scripted S3 of the test's own, which does nothing wrong until it is told to."""
    with FaultyS3() as server:
        yield server
