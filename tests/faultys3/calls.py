"""A request as S3 understands it: which operation, on which bucket and key."""

import time
from dataclasses import dataclass, field
from urllib.parse import unquote, unquote_to_bytes

from faultys3.answers import S3Error

_BUCKET_OPERATIONS = {
    ("GET", "list-type"): "ListObjectsV2",
    ("GET", "location"): "GetBucketLocation",
    ("GET", "uploads"): "ListMultipartUploads",
    ("POST", "delete"): "DeleteObjects",
    ("GET", ""): "ListObjects",
    ("HEAD", ""): "HeadBucket",
    ("PUT", ""): "CreateBucket",
    ("DELETE", ""): "DeleteBucket",
}
_OBJECT_OPERATIONS = {
    ("POST", "uploads"): "CreateMultipartUpload",
    ("POST", "uploadId"): "CompleteMultipartUpload",
    ("PUT", "uploadId"): "UploadPart",
    ("GET", "uploadId"): "ListParts",
    ("DELETE", "uploadId"): "AbortMultipartUpload",
    ("GET", ""): "GetObject",
    ("HEAD", ""): "HeadObject",
    ("PUT", ""): "PutObject",
    ("DELETE", ""): "DeleteObject",
}
# of these we know nothing, and say so instead of doing something else
_UNKNOWN = {"acl", "attributes", "partNumber", "policy", "restore", "tagging", "versionId", "versioning"}
_NOT_UTF8 = "InvalidURI"


@dataclass
class Call:
    """One request, as it came in, and what became of it.

    `operation`: S3's name for it. `headers`: by lower-case name. `received_bytes`: of the body, as
    far as it was read. `began_at`: `time.monotonic()`. `faults`: the names of those it met. `status`:
    what was answered, None while it is not, or where the connection broke.
    """

    method: str
    raw_path: str
    raw_query: str
    headers: dict
    operation: str = "Unknown"
    bucket: str = ""
    key: str = ""
    query: dict = field(default_factory=dict)
    received_bytes: int = 0
    began_at: float = field(default_factory=time.monotonic)
    faults: tuple = ()
    status: int | None = None
    error_code: str = ""

    @property
    def has_credentials(self):
        """Say whether anything in the request would let its reader act for the sender."""
        sent = {"authorization", "x-amz-security-token"} & self.headers.keys()
        return bool(sent) or bool({"X-Amz-Signature", "X-Amz-Security-Token"} & self.query.keys())

    @property
    def resource(self):
        """Return the path as errors name it."""
        return f"/{self.bucket}/{self.key}" if self.key else f"/{self.bucket}"


def call_of(method, target, headers):
    """Return the call that a request line and its headers make. Its key is exact, `..` and all."""
    raw_path, _, raw_query = target.partition("?")
    call = Call(method, raw_path, raw_query, headers)
    call.query = {unquote(n): unquote(v) for n, _, v in (e.partition("=") for e in raw_query.split("&") if e)}
    raw_bucket, _, raw_key = raw_path.removeprefix("/").partition("/")
    call.bucket = unquote(raw_bucket)
    try:
        call.key = unquote_to_bytes(raw_key).decode()
    except UnicodeDecodeError:
        call.key, call.operation = unquote(raw_key, errors="backslashreplace"), _NOT_UTF8
        return call
    call.operation = _operation(call)
    return call


def _operation(call):
    if not call.bucket:
        return "ListBuckets" if call.method == "GET" else "Unknown"
    table = _OBJECT_OPERATIONS if call.key else _BUCKET_OPERATIONS
    names = (n for (method, n) in table if method == call.method and n and n in call.query)
    name = next(names, "")
    if not name and _UNKNOWN & call.query.keys():
        return "Unknown"
    found = table.get((call.method, name), "Unknown")
    if "x-amz-copy-source" in call.headers:
        return {"PutObject": "CopyObject"}.get(found, "Unknown")
    return found


def check_understood(call):
    """Raise what is answered to a request that is none of S3's, or none that this server has."""
    if call.operation == _NOT_UTF8:
        raise S3Error("InvalidURI", "the key is not UTF-8")
    if call.operation == "Unknown":
        raise S3Error("NotImplemented", f"{call.method} {call.raw_path}?{call.raw_query} is not known here")
