"""Destinations and runs as the tests of delivery want them, and what must hold of both after any fault."""

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from s3servers import client_of

from hyperplane import settings
from hyperplane.delivery.brief import Keys, open_destination
from hyperplane.delivery.deliverer import Deliverer, Ending
from hyperplane.delivery.places import prefix_of
from hyperplane.environment import Environment
from hyperplane.facets.outputs import Outputs
from hyperplane.journal import Journal
from hyperplane.masking import Masker
from hyperplane.rundir import Home, Lock, is_locked
from hyperplane.runs import record
from hyperplane.runs.record import RunRecord
from hyperplane.secretsources import standard_sources

COMMAND = (sys.executable, "-m", "hyperplane")
SECRET = "sesame-opens-it"


class FolderPlace:
    """A folder that runs are delivered to."""

    def __init__(self, folder):
        self.folder = folder
        self.url = f"{folder.as_uri()}/"
        self.variables = {}

    def objects(self):
        """Return what lies there, by path; temporary files too."""
        files = (path for path in self.folder.rglob("*") if path.is_file())
        return {path.relative_to(self.folder).as_posix(): path.read_bytes() for path in files}

    def remove(self, path):
        """Have somebody else remove an object."""
        (self.folder / path).unlink()


class BucketPlace:
    """A prefix of a bucket that runs are delivered to."""

    prefix = "some/runs/"

    def __init__(self, server):
        self.server = server
        self.url = f"s3://{server.bucket}/{self.prefix}"
        self.client = client_of(server)
        self.variables = {
            "HYPERPLANE_S3_ENDPOINT_URL": server.endpoint_url,
            "HYPERPLANE_S3_REGION": server.region,
            "HYPERPLANE_S3_BUCKET": server.bucket,
            "HYPERPLANE_SECRET_s3_access_key_id": server.access_key_id,
            "HYPERPLANE_SECRET_s3_access_key_secret": server.secret_access_key,
        }

    def objects(self):
        """Return what lies there, by path."""
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.server.bucket, Prefix=self.prefix
        )
        keys = [found["Key"] for page in pages for found in page.get("Contents", ())]
        return {key.removeprefix(self.prefix): self._read(key) for key in keys}

    def _read(self, key):
        return self.client.get_object(Bucket=self.server.bucket, Key=key)["Body"].read()

    def remove(self, path):
        """Have somebody else remove an object."""
        self.client.delete_object(Bucket=self.server.bucket, Key=self.prefix + path)

    def uploads(self):
        """Return the multipart uploads that were begun and are open."""
        reply = self.client.list_multipart_uploads(Bucket=self.server.bucket, Prefix=self.prefix)
        return reply.get("Uploads", [])


def destination_at(place):
    """Return the destination of a place, as the package opens it."""
    environment = Environment.capture(place.variables, folder=Path.cwd())
    loaded = settings.load(environment)
    keys = Keys({}, standard_sources(environment, loaded))
    return open_destination(place.url, environment, loaded, keys, Masker())


class LocalRun:
    """A run on the disk, as a job and its runner leave one, which the test delivers itself."""

    def __init__(self, home=None, *, folder=None):
        self.run = (home or Home.of(Path.cwd())).claim("job-1")
        self.masker = Masker()
        self.masker.add("door", SECRET)
        self.journal = Journal(self.run.events, self.masker)
        self.folder = folder or self.run.outputs
        self.outputs = Outputs(self.folder, masker=self.masker, journal=self.journal)
        self.outputs.dir.mkdir(exist_ok=True)
        self.lock = Lock.take(self.run.lock)

    def deliverer(self, place):
        """Return who delivers it to a place, as a process of its own would."""
        place = destination_at(place).below(prefix_of(self.run))
        return Deliverer(self.run, place, self.folder, self.masker)

    def ended(self, outcome="succeeded", exit_code=0, **more):
        """Write down how it ended, and return that as its deliverer is told it."""
        told = RunRecord(
            job_id="job-1", run_id=self.run.run_id, outcome=outcome, exit_code=exit_code, delivery="pending"
        )._replace(**more)
        told.save(self.run)
        if outcome == "succeeded":
            self.outputs.seal_all()
        return Ending(told.as_dict(), outcome == "succeeded")

    def deliver(self, place, outcome="succeeded", exit_code=0):
        """Deliver it to its end, and return what was."""
        deliverer = self.deliverer(place)
        try:
            return deliverer.finish(self.ended(outcome, exit_code))
        finally:
            deliverer.close()

    def there(self, place):
        """Return what of it lies at a place, by path below the run."""
        prefix = prefix_of(self.run)
        return {
            path.removeprefix(prefix): data
            for path, data in place.objects().items()
            if path.startswith(prefix)
        }


def run_command(*words, timeout=120, **variables):
    """Run `hyperplane` to its end."""
    return subprocess.run(
        [*COMMAND, *words],
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def only_run(home=None):
    """Return the only run of a home."""
    (run,) = (home or Home.of(Path.cwd())).runs()
    return run


def objects_of(run, objects):
    """Return what of one run lies among the objects of a place, by path below it."""
    prefix = prefix_of(run)
    return {path.removeprefix(prefix): data for path, data in objects.items() if path.startswith(prefix)}


def manifest_of(there):
    """Return the manifest of what lies there, after checking that final and manifest agree."""
    final = json.loads(there["final.json"])
    data = there["manifest.json"]
    assert final["manifest"] == {"size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    return json.loads(data)


def check_begun(there):
    """Check I2 of what may still be on its way: what `final.json` speaks of is there, whole."""
    if "final.json" not in there:
        return
    for row in manifest_of(there)["files"]:
        data = there[row["path"]]
        assert (row["size_bytes"], row["sha256"]) == (len(data), hashlib.sha256(data).hexdigest()), row


def check_there(there):
    """Check I1 and I2 of what has come to its end: what is said to be there is, and nothing else."""
    check_begun(there)
    listed = {row["path"] for row in manifest_of(there)["files"]}
    assert {"final.json", "manifest.json", "run.json"} | listed == there.keys()


def check_no_secret(run, objects, secrets):
    """Check I5: nothing that is written holds a secret, here or there."""
    files = {str(path): path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    for name, data in {**files, **objects}.items():
        for secret in secrets:
            assert secret.encode() not in data, name


def check_invariants(run, place, *, exit_code, sealed, deliver, tries=3, secrets=(SECRET,)):
    """Check I1 to I6 of a run that a fault has hit, after at most three deliveries.

    `sealed`: what was said to be sealed: name -> the contents that it may have. `deliver`: delivers it.
    """
    check_begun(objects_of(run, place.objects()))
    found = record.read(run)
    if found.delivery == "pending" and exit_code is not None:
        assert exit_code != 0  # I4
    for _ in range(tries):
        if record.read(run).delivery == "delivered":
            break
        deliver()
    there = objects_of(run, place.objects())
    assert ("delivered", True) == (record.read(run).delivery, "final.json" in there)
    check_there(there)
    for name, contents in sealed.items():
        assert there[f"outputs/{name}"] in contents, name
        assert (run.outputs / name).read_bytes() in contents  # I6
    deliver()
    assert there == objects_of(run, place.objects())  # I3
    check_no_secret(run, there, secrets)
    return there


def until_free(run, timeout_s=30.0):
    """Wait until nobody holds a run: who delivers it notices the death of its holder."""
    give_up_at = time.monotonic() + timeout_s
    while is_locked(run.lock):
        assert time.monotonic() < give_up_at, "somebody holds the run still"
        time.sleep(0.01)
