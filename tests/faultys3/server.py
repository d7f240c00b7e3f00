"""`FaultyS3`: an S3 server in a thread, which keeps its objects in memory and fails by script."""

import asyncio
import functools
import tempfile
import threading
import time
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path

from aiohttp import web

from faultys3 import certificates, connection, listings, multipart, objects, signatures
from faultys3.answers import S3Error, error_document
from faultys3.bodies import understood
from faultys3.calls import call_of, check_understood
from faultys3.faults import Dropped, Hung, cut_of
from faultys3.rules import Rule
from faultys3.store import Store, Stored, etag_of, kept_headers

ADDRESS = "127.0.0.1"
START_PATIENCE_S = 10
REGION = "us-east-1"
MIN_PART_BYTES = 5 * 1024 * 1024
_NEEDS_LENGTH = {"PutObject", "UploadPart"}
_OPERATIONS = {
    "AbortMultipartUpload": multipart.abort_upload,
    "CopyObject": objects.copy_object,
    "CreateBucket": objects.create_bucket,
    "CreateMultipartUpload": multipart.create_upload,
    "DeleteBucket": objects.delete_bucket,
    "DeleteObject": objects.delete_object,
    "DeleteObjects": objects.delete_objects,
    "GetBucketLocation": objects.bucket_location,
    "GetObject": objects.get_object,
    "HeadBucket": objects.head_bucket,
    "HeadObject": objects.head_object,
    "ListBuckets": objects.list_buckets,
    "ListMultipartUploads": listings.list_multipart_uploads,
    "ListObjects": listings.list_objects,
    "ListObjectsV2": listings.list_objects_v2,
    "ListParts": multipart.list_parts,
    "PutObject": objects.put_object,
    "UploadPart": multipart.upload_part,
}


class FaultyS3:
    """A server for one test; use it in a `with` block.

    `tls`: None, or "valid", "expired" or "wrong-host"; `ca_file` is the authority then.
    `bytes_per_s`: over all connections. `min_part_bytes`: of all parts but the last, 5 MiB as on S3.
    `clock_offset_s`: how far its clock is ahead; it can be changed at any time.

    `calls` are all requests so far, `keys` the keys that it knows, by id.
    """

    region = REGION

    def __init__(
        self, *, bucket="test", tls=None, bytes_per_s=None, min_part_bytes=MIN_PART_BYTES, clock_offset_s=0.0
    ):
        self.bucket = bucket
        self.access_key_id, self.secret_access_key = "faulty-key-id", "faulty-secret-key"
        self.keys = {self.access_key_id: signatures.Keys(self.secret_access_key)}
        self.store = Store()
        self.store.buckets[bucket] = {}
        self.rules, self.calls = [], []
        self.pace = connection.Pace(bytes_per_s)
        self.clock_offset_s = clock_offset_s
        self.endpoint_url, self.ca_file = "", None
        complete = functools.partial(multipart.complete_upload, min_part_bytes=min_part_bytes)
        self._operations = {**_OPERATIONS, "CompleteMultipartUpload": complete}
        self._tls = tls

    def __enter__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="faulty-s3-")
        self._context = None
        if self._tls is not None:
            self._context, self.ca_file = certificates.context_of(self._tls, Path(self._folder.name))
        self._is_ready = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve()), name="faulty-s3", daemon=True
        )
        self._thread.start()
        if not self._is_ready.wait(START_PATIENCE_S):
            raise TimeoutError("the scripted S3 did not start")
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join()
        self._folder.cleanup()

    def add(self, fault, **when):
        """Have a fault happen to calls; the keywords are those of `Rule`, which is returned."""
        rule = Rule(fault, **when)
        self.rules.append(rule)
        return rule

    def clear(self):
        """Let nothing go wrong any more, and forget the calls; the objects stay."""
        self.rules.clear()
        self.calls.clear()

    def put(self, key, data, *, bucket=None, **headers):
        """Put an object into its place; headers are named like `content_type`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        stored = Stored(data, etag_of(data, {}), kept_headers(named))
        self.store.put(bucket or self.bucket, key, stored)
        return stored

    @property
    def objects(self):
        """The content of every object of the first bucket, by key."""
        return {key: stored.data for key, stored in self.store.buckets[self.bucket].items()}

    @property
    def uploads(self):
        """The multipart uploads that are open."""
        return list(self.store.uploads.values())

    def calls_of(self, operation, key=None):
        """Return the calls of one operation so far, of all keys or of one."""
        return [c for c in self.calls if c.operation == operation and key in {None, c.key}]

    def _run(self):
        asyncio.run(self._serve())

    async def _serve(self):
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        server = web.Server(self._handle, access_log=None, auto_decompress=False)
        runner = web.ServerRunner(server, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, ADDRESS, 0, ssl_context=self._context).start()
        port = runner.addresses[0][1]
        self.endpoint_url = f"{'http' if self._context is None else 'https'}://{ADDRESS}:{port}"
        self._is_ready.set()
        await self._stopped.wait()
        await runner.cleanup()

    async def _handle(self, request):
        headers = {name.lower(): value for name, value in request.headers.items()}
        call = call_of(request.method, request.raw_path, headers)
        self.calls.append(call)
        faults = [rule.fault for rule in list(self.rules) if rule.applies_to(call)]
        call.faults = tuple(fault.name for fault in faults)
        try:
            answer = await self._answered(request, call, faults)
            call.status = answer.status
            return await connection.send(request, call, answer, self.pace, cut_of(faults))
        except Hung:
            call.status = None
            await self._stopped.wait()
            connection.end(request.transport, "close")
        except Dropped as dropped:
            call.status = None
            connection.end(request.transport, dropped.ending)
        except ConnectionError:
            call.status = None
        return web.Response(status=500)

    async def _answered(self, request, call, faults):
        try:
            answer = await self._carried_out(request, call, faults)
        except S3Error as error:
            call.error_code = error.code
            answer = error_document(error, resource=call.resource, is_head=call.method == "HEAD")
        for fault in faults:
            answer = fault.answered(call, answer)
        usual = {"Date": formatdate(self._now(), usegmt=True), "x-amz-request-id": "0000000000000001"}
        return replace(answer, headers={**usual, **answer.headers})

    async def _carried_out(self, request, call, faults):
        for fault in faults:
            await asyncio.to_thread(fault.arrive, call)
        raw = await connection.read_body(request, call, self.pace, cut_of(faults))
        check_understood(call)
        signatures.check(call, self.keys, self._now())
        if call.operation in _NEEDS_LENGTH and "content-length" not in call.headers:
            raise S3Error("MissingContentLength")
        for fault in faults:
            raw = fault.receive(raw)
        for fault in faults:
            if (answer := fault.instead(call, self.store)) is not None:
                return answer
        body = understood(call.headers, raw)
        return self._operations[call.operation](self.store, call, body)

    def _now(self):
        return time.time() + self.clock_offset_s
