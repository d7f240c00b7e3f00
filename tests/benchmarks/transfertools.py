"""The command lines that are measured against each other, and what they need in the environment."""

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hyperplane.testing import S3Server

BOTO3 = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

endpoint_url, direction, bucket, folder = sys.argv[1:]
client = boto3.client("s3", endpoint_url=endpoint_url, config=Config(max_pool_connections=32))
config = TransferConfig(max_concurrency=16)
folder = Path(folder)

def download(key):
    path = folder / key
    path.parent.mkdir(parents=True, exist_ok=True)
    client.download_file(bucket, key, str(path), Config=config)

def upload(path):
    client.upload_file(str(path), bucket, path.relative_to(folder).as_posix(), Config=config)

with ThreadPoolExecutor(16) as pool:
    if direction == "download":
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        work = pool.map(download, (found["Key"] for page in pages for found in page["Contents"]))
    else:
        work = pool.map(upload, (path for path in folder.rglob("*") if path.is_file()))
    for _ in work:
        pass
"""
SEED_TOOL = "s5cmd"


@dataclass(frozen=True)
class Place:
    """From where to where: a whole bucket and a folder. `direction`: download, upload or unchanged."""

    direction: str
    bucket: str
    folder: Path


Command = tuple[list[str], dict[str, str]]


def ours(server: S3Server, place: Place, name: str | None) -> Command:
    """Return `hyperplane s3`, for one file or for all."""
    remote, local = f"s3://{place.bucket}/{name or ''}", str(place.folder / (name or ""))
    command = [program("hyperplane"), "s3"]
    if place.direction == "download":
        return [*command, "download", remote, local], variables(server.environ())
    options = ["--skip-unchanged"] if place.direction == "unchanged" else []
    return [*command, "upload", *options, local, remote], variables(server.environ())


def s5cmd(server: S3Server, place: Place, name: str | None) -> Command:
    """Return s5cmd, with as many workers as it takes by itself."""
    command = [program("s5cmd"), "--log", "error", "--endpoint-url", server.endpoint_url]
    local = str(place.folder / name) if name else f"{place.folder}/"
    if place.direction == "download":
        return [*command, "cp", f"s3://{place.bucket}/{name or '*'}", local], of_aws(server)
    verb = "sync" if place.direction == "unchanged" else "cp"
    return [*command, verb, local, f"s3://{place.bucket}/{name or ''}"], of_aws(server)


def boto3(server: S3Server, place: Place, name: str | None) -> Command:
    """Return boto3 with 16 threads; of one file it sends or fetches as many parts at once."""
    words = [server.endpoint_url, place.direction, place.bucket, str(place.folder)]
    return [sys.executable, "-c", BOTO3, *words], of_aws(server)


TOOLS: dict[str, Callable[[S3Server, Place, str | None], Command]] = {
    "hyperplane": ours,
    "s5cmd": s5cmd,
    "boto3": boto3,
}


def program(name: str) -> str:
    """Return the path of a program, of this environment before any other."""
    found = shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if found is None:
        raise SystemExit(f"{name} is not installed: pip install -e '.[benchmarks]'")
    return found


def variables(chosen: dict[str, str]) -> dict[str, str]:
    """Return an environment with these variables and little else."""
    return {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], **chosen}


def of_aws(server: S3Server) -> dict[str, str]:
    """Return the environment of a program that knows the variables of AWS."""
    return variables(
        {
            "AWS_ACCESS_KEY_ID": server.access_key_id,
            "AWS_SECRET_ACCESS_KEY": server.secret_access_key,
            "AWS_REGION": server.region,
            "AWS_DEFAULT_REGION": server.region,
        }
    )
