"""How fast runs are delivered, how much memory that takes, and whether a stop leaves in time.

python tests/benchmarks/delivery.py [small] [sealing] [resume] [grace] [--files N] [--runs N] ...
"""

import argparse
import asyncio
import contextlib
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parents[1]))
from processes import descendants
from s3servers import client_of

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
print("filled", flush=True)
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


def measured(words, **options):
    """Run a command, and return its seconds, and the peak in MiB of the largest process of it."""
    began = time.monotonic()
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, process.returncode
    return time.monotonic() - began, usage.ru_maxrss / 1024


def small(args):
    """Deliver many outputs of 1 KiB, against `hyperplane s3 upload` of the same folder.

    That goes to a place as deep, or to the top of the bucket, where the server makes fewer folders.
    They are sealed while the store is down, so that all of them are left to `hyperplane deliver`.
    """
    with s3_server() as server, tempfile.TemporaryDirectory() as name:
        folder, variables = Path(name), told(server)
        (folder / "fill.py").write_text(FILL)
        ours, peers = [], []
        for number in range(5):
            run = waiting_run(folder, server, args.files)
            seconds, peak = measured([*COMMAND, "deliver"], cwd=folder, env=variables)
            ours.append(round(seconds, 2))
            assert record.read(run).delivery == "delivered"
            place = f"peer-{number}" if args.to_top else f"runs/job/peer-{number}/outputs"
            there = f"s3://{server.bucket}/{place}/"
            upload = [*COMMAND, "s3", "upload", str(run.outputs), there]
            peers.append(round(measured(upload, cwd=folder, env=variables)[0], 2))
            costs = f"{ours[-1]} s against {peers[-1]} s, {peak:.0f} MiB"
            print(f"{args.files} outputs of 1 KiB: {costs}", flush=True)
        print(f"in the median {statistics.median(ours) / statistics.median(peers):.2f} times")


def waiting_run(folder, server, files):
    """Return a run that has sealed its outputs, and could not deliver them."""
    proxy = Proxy(server.endpoint_url)
    process = subprocess.Popen(
        [*COMMAND, "run", sys.executable, "fill.py", str(files)],
        cwd=folder, env=told(server, HYPERPLANE_S3_ENDPOINT_URL=proxy.url),
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    process.stdout.readline()
    proxy.is_down = True
    process.communicate()
    assert process.returncode == 75, process.returncode
    return Home.of(folder).runs()[0]


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


class Proxy:
    """Stands in front of a server, counts the bytes that clients send to it, and can hold them up."""

    def __init__(self, url, *, bytes_per_s=float("inf")):
        self._upstream = urlsplit(url)
        self.bytes_per_s = bytes_per_s
        self._free_at = 0.0
        self.is_down = False
        self.sent = 0
        self._is_ready = threading.Event()
        threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True).start()
        self._is_ready.wait()

    async def _serve(self):
        server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._is_ready.set()
        await server.serve_forever()

    async def _relay(self, reader, writer):
        theirs, ours = await asyncio.open_connection(self._upstream.hostname, self._upstream.port)
        await asyncio.gather(self._pump(reader, ours, self._count), self._pump(theirs, writer, None))

    async def _count(self, size):
        if self.is_down:
            raise ConnectionError
        self.sent += size
        self._free_at = max(self._free_at, time.monotonic()) + size / self.bytes_per_s
        await asyncio.sleep(self._free_at - time.monotonic())

    async def _pump(self, reader, writer, each):
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1 << 20):
                if each is not None:
                    await each(len(data))
                writer.write(data)
                await writer.drain()
        writer.close()


def resume(args):
    """Kill the delivery of one file when half of it is there, and count what the next one sends again."""
    size = args.megabytes << 20
    with s3_server() as server, tempfile.TemporaryDirectory() as name:
        proxy = Proxy(server.endpoint_url)
        told_of_it = told(server, HYPERPLANE_S3_ENDPOINT_URL=proxy.url)
        fill = f'seq 1 9999999999 | head -c {size} > "$HYPERPLANE_OUTPUT_DIR/big"'
        process = subprocess.Popen([*COMMAND, "run", "sh", "-c", fill], cwd=name, env=told_of_it)
        while proxy.sent < size / 2:
            time.sleep(0.01)
        for pid in (*descendants(process.pid), process.pid):
            os.kill(pid, signal.SIGKILL)
        process.wait()
        time.sleep(2)  # until the server has seen that they are gone
        before = proxy.sent
        seconds, _ = measured([*COMMAND, "deliver"], cwd=name, env=told_of_it)
        run = Home.of(Path(name)).runs()[0]
        assert record.read(run).delivery == "delivered"
    print(
        f"{args.megabytes} MiB, killed after {before >> 20} MiB: the next delivery took {seconds:.1f} s"
        f" and sent {proxy.sent - before >> 20} MiB, {(proxy.sent - size) / (1 << 20):.1f} MiB again"
    )


STOPPED = """
import hyperplane, os, sys
with hyperplane.JobContext() as ctx:
    piece = os.urandom(1 << 20)
    for number in range(int(sys.argv[1])):
        ctx.outputs.write_bytes(f"file-{number}", number.to_bytes(4, "big") + piece * 8)
    print("ready", flush=True)
    while True:
        ctx.outputs.write_bytes("last.pt", os.urandom(1_000_000))
        ctx.raise_if_stopping()
"""


def grace(args):
    """Stop runs at random moments, and count those that are delivered, or wait, within the grace.

    The store takes 100 MB/s; what waits is delivered afterwards.
    """
    counts, longest = {"delivered": 0, "pending": 0}, 0.0
    with s3_server() as server, tempfile.TemporaryDirectory() as name:
        proxy, folder = Proxy(server.endpoint_url), Path(name)
        (folder / "job.py").write_text(STOPPED)
        client = client_of(server)
        for number in range(args.runs):
            bucket = f"grace-{number}"
            client.create_bucket(Bucket=bucket)
            variables = told(
                server,
                HYPERPLANE_S3_ENDPOINT_URL=proxy.url,
                HYPERPLANE_S3_BUCKET=bucket,
                HYPERPLANE_OUTPUT_URL=f"s3://{bucket}/runs/",
                HYPERPLANE_GRACE_S=str(args.grace_s),
            )
            proxy.bytes_per_s = 100e6
            files = random.randrange(args.backlog_files)
            run, seconds = stopped_run(folder, variables, files, args.grace_s)
            longest = max(longest, seconds)
            delivery = record.read(run).delivery
            counts[delivery] += 1
            proxy.bytes_per_s = float("inf")
            if delivery == "pending":
                measured([*COMMAND, "deliver"], cwd=folder, env=variables)
            check_delivered(run, files)
            shutil.rmtree(run.path)
            client.delete_bucket(Bucket=bucket)  # SeaweedFS deletes what is in it, too
            print(f"{number + 1} runs: {counts}, the longest exit after {longest:.2f} s", flush=True)


def stopped_run(folder, variables, files, grace_s):
    """Stop a run that has sealed so many files of 8 MiB, and return it, and how long it took to be gone."""
    process = subprocess.Popen(
        [*COMMAND, "run", sys.executable, "job.py", str(files)],
        cwd=folder, env=variables,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    process.stdout.readline()
    time.sleep(random.random() / 2)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.communicate()
    seconds = time.monotonic() - began
    assert process.returncode == 143, process.returncode
    assert seconds < grace_s, seconds
    return Home.of(folder).runs()[0], seconds


def check_delivered(run, files):
    """Raise unless a run is delivered with all that was sealed."""
    assert record.read(run).delivery == "delivered"
    stored = Known.read(run.delivery).stored
    for number in range(files):
        assert f"outputs/file-{number}" in stored, number


KINDS = ("small", "sealing", "resume", "grace")


def main():
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="*", choices=KINDS)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--to-top", action="store_true", help="upload to the top of the bucket")
    parser.add_argument("--megabytes", type=int, default=1024)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--grace-s", type=float, default=30.0)
    parser.add_argument("--backlog-files", type=int, default=50, help="of 8 MiB each, at most")
    args = parser.parse_args()
    for name in args.what or KINDS:
        globals()[name](args)


if __name__ == "__main__":
    main()
