"""How fast runs are delivered, how much memory that takes, and whether a stop leaves in time.

python tests/benchmarks/delivery.py [small] [sealing] [grace] [--files N] [--runs N]
"""

import argparse
import os
import random
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hyperplane.delivery.ledger import Known
from hyperplane.rundir import Home
from hyperplane.runs import record
from hyperplane.testing import s3_server

COMMAND = (sys.executable, "-m", "hyperplane")
FILL = """
import os, sys
folder = os.environ["HYPERPLANE_OUTPUT_DIR"]
for number in range(int(sys.argv[1])):
    if number % 1000 == 0:
        os.mkdir(f"{folder}/{number}")
    with open(f"{folder}/{number - number % 1000}/{number}", "wb") as file:
        file.write(os.urandom(1024))
"""
PEER = """
import os, sys
from concurrent.futures import ThreadPoolExecutor
import obstore
from obstore.store import S3Store
url, bucket, key, secret, folder = sys.argv[1:]
config = {
    "aws_endpoint_url": url, "aws_access_key_id": key, "aws_secret_access_key": secret,
    "aws_region": "us-east-1", "aws_virtual_hosted_style_request": False, "checksum_algorithm": "CRC64NVME",
}
store = S3Store(bucket, config=config, client_options={"allow_http": True})
files = [os.path.join(place, name) for place, _, names in os.walk(folder) for name in names]
def put(path):
    with open(path, "rb") as file:
        obstore.put(store, "peer/" + os.path.relpath(path, folder), file.read(), use_multipart=False)
with ThreadPoolExecutor(24) as pool:
    list(pool.map(put, files))
"""


def told(server, **more):
    """Return the variables that point a run at a server."""
    return {
        **os.environ,
        **server.environ(),
        "HYPERPLANE_OUTPUT_URL": f"s3://{server.bucket}/runs/",
        "HYPERPLANE_JOB_ID": "job",
        **more,
    }


def timed(words, **options):
    """Run a command, and return its seconds and the peak memory of its largest process, in MiB."""
    began = time.monotonic()
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, **options)
    _, status, usage = os.wait4(process.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, words
    return time.monotonic() - began, usage.ru_maxrss / 1024


def small(args):
    """Deliver many outputs of 1 KiB, against the same files put by as many threads."""
    with s3_server() as server, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "fill.py").write_text(FILL)
        words = [*COMMAND, "run", sys.executable, "fill.py", str(args.files)]
        ours, peers = [], []
        for _ in range(3):
            process = subprocess.run(
                words, cwd=folder, env=told(server), stderr=subprocess.PIPE, text=True, check=True
            )
            run = Home.of(folder).runs()[0]
            done = Known.read(run.delivery).final
            ours.append(done.seconds)
            keys = (server.endpoint_url, server.bucket, server.access_key_id, server.secret_access_key)
            seconds, _ = timed([sys.executable, "-c", PEER, *keys, str(run.outputs)])
            peers.append(seconds)
            assert "delivered" in process.stderr
        ratio = statistics.median(ours) / statistics.median(peers)
        print(f"{args.files} outputs of 1 KiB: {ours} s against {peers} s, {ratio:.2f} times")
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        print(f"peak memory of any process: {peak:.0f} MiB")


SEAL = """
import os, time
from hyperplane.sealing.content import read_content
began = time.monotonic()
read_content("big", os.open("big", os.O_RDONLY))
print(time.monotonic() - began)
"""


def sealing(args):
    """Seal one large file, against sha256sum and sync of it; each time it was just written."""
    ours, peers = [], []
    with tempfile.TemporaryDirectory() as name:
        for _ in range(3):
            write_large(Path(name) / "big", args.megabytes)
            words = [sys.executable, "-c", SEAL]
            done = subprocess.run(words, cwd=name, capture_output=True, text=True, check=True)
            ours.append(round(float(done.stdout), 2))
            write_large(Path(name) / "big", args.megabytes)
            began = time.monotonic()
            subprocess.run(
                ["sh", "-c", "sha256sum big; sync -d big"], cwd=name, capture_output=True, check=True
            )
            peers.append(round(time.monotonic() - began, 2))
    ratio = statistics.median(ours) / statistics.median(peers)
    print(f"sealing {args.megabytes} MiB: {ours} s against {peers} s, {ratio:.2f} times")


def write_large(path, megabytes):
    """Write a file, which is not on the disk yet."""
    path.unlink(missing_ok=True)
    with path.open("wb") as file:
        for _ in range(megabytes):
            file.write(os.urandom(1 << 20))


STOPPED = """
import hyperplane, os, sys
with hyperplane.JobContext() as ctx:
    for number in range(20):
        ctx.outputs.write_bytes(f"file-{number}", os.urandom(100_000))
    print("ready", flush=True)
    while True:
        ctx.outputs.write_bytes("last.pt", os.urandom(1_000_000))
        ctx.raise_if_stopping()
"""


def grace(args):
    """Stop runs at random moments, and count those that are delivered, or wait, within the grace."""
    counts, longest = {"delivered": 0, "pending": 0}, 0.0
    with s3_server() as server, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "job.py").write_text(STOPPED)
        for _ in range(args.runs):
            process = subprocess.Popen(
                [*COMMAND, "run", sys.executable, "job.py"],
                cwd=folder, env=told(server, HYPERPLANE_GRACE_S=str(args.grace_s)),
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            )  # fmt: skip
            process.stdout.readline()
            time.sleep(random.random() / 2)
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            process.communicate()
            longest = max(longest, time.monotonic() - began)
            assert process.returncode == 143, process.returncode
            counts[record.read(Home.of(folder).runs()[0]).delivery] += 1
    print(f"grace of {args.grace_s} s, {args.runs} runs: {counts}, the longest exit after {longest:.2f} s")


def main():
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="*", choices=["small", "sealing", "grace"])
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--megabytes", type=int, default=1024)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--grace-s", type=float, default=30.0)
    args = parser.parse_args()
    for name in args.what or ("small", "sealing", "grace"):
        globals()[name](args)


if __name__ == "__main__":
    main()
