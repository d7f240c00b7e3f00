"""What the server keeps: buckets, objects and multipart uploads, in memory."""

import itertools
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime

from faultys3.answers import S3Error
from faultys3.checksums import md5

MAX_KEY_BYTES = 1024
# what is kept with an object and sent back with it
_KEPT = ("content-type", "content-disposition", "content-language", "cache-control", "expires")
_KEPT_PREFIXES = ("x-amz-meta-", "x-amz-server-side-encryption", "x-amz-storage-class", "x-amz-tagging")


@dataclass(frozen=True)
class Stored:
    """An object. `etag` is without quotes; `checksums` by algorithm, as in headers."""

    data: bytes
    etag: str
    headers: dict = field(default_factory=dict)
    checksums: dict = field(default_factory=dict)
    checksum_type: str = "FULL_OBJECT"
    modified: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass
class Upload:
    """An open multipart upload. `parts`: by number."""

    bucket: str
    key: str
    upload_id: str
    headers: dict
    algorithm: str = ""
    checksum_type: str = ""
    parts: dict = field(default_factory=dict)
    initiated: datetime = field(default_factory=lambda: datetime.now(UTC))


def kept_headers(headers):
    """Return what of a request's headers belongs to the object."""
    kept = {n: v for n, v in headers.items() if n in _KEPT or n.startswith(_KEPT_PREFIXES)}
    encodings = [each.strip() for each in headers.get("content-encoding", "").split(",")]
    if encoding := ",".join(each for each in encodings if each and each != "aws-chunked"):
        kept["content-encoding"] = encoding
    return {"content-type": "binary/octet-stream", **kept}


def etag_of(data, headers):
    """Return the ETag of an object: its MD5, but for one that is encrypted with a KMS key."""
    is_kms = headers.get("x-amz-server-side-encryption") == "aws:kms"
    return secrets.token_hex(16) if is_kms else md5(data)


def check_conditions(headers, current):
    """Raise what S3 answers when If-Match or If-None-Match of a write does not hold."""
    wanted, unwanted = headers.get("if-match"), headers.get("if-none-match")
    if unwanted == "*" and current is not None:
        raise S3Error("PreconditionFailed", "the object exists")
    if wanted is not None and current is None:
        raise S3Error("NoSuchKey")
    if wanted is not None and wanted != "*" and wanted.strip('"') != current.etag:
        raise S3Error("PreconditionFailed", "the object is another one")


class Store:
    """All buckets. Test code and the server's thread both use it, one call at a time."""

    def __init__(self):
        self.buckets = {}
        self.uploads = {}
        self._numbers = itertools.count(1)

    def bucket(self, name):
        """Return the objects of a bucket by key."""
        if name not in self.buckets:
            raise S3Error("NoSuchBucket", f"the bucket {name} does not exist")
        return self.buckets[name]

    def object(self, bucket, key):
        """Return an object."""
        objects = self.bucket(bucket)
        if key not in objects:
            raise S3Error("NoSuchKey", "the key does not exist")
        return objects[key]

    def put(self, bucket, key, stored, conditions=None):
        """Put an object in its place, if the conditions hold."""
        if len(key.encode()) > MAX_KEY_BYTES:
            raise S3Error("KeyTooLongError")
        objects = self.bucket(bucket)
        check_conditions(conditions or {}, objects.get(key))
        objects[key] = stored

    def begin_upload(self, bucket, key, **details):
        """Open a multipart upload."""
        self.bucket(bucket)
        upload = Upload(bucket, key, f"upload-{next(self._numbers)}-{secrets.token_hex(8)}", **details)
        self.uploads[upload.upload_id] = upload
        return upload

    def upload(self, bucket, key, upload_id):
        """Return an open upload of this key."""
        upload = self.uploads.get(upload_id)
        if upload is None or (upload.bucket, upload.key) != (bucket, key):
            raise S3Error("NoSuchUpload", "the upload does not exist: it was aborted or completed")
        return upload
