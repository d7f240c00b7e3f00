"""Operations on buckets and single objects."""

import re
from datetime import UTC
from email.utils import format_datetime
from urllib.parse import unquote
from xml.etree import ElementTree

from faultys3.answers import Answer, S3Error, document, tag
from faultys3.store import Stored, check_conditions, etag_of, kept_headers

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
MAX_DELETED = 1000


def list_buckets(store, call, body):
    """ListBuckets."""
    buckets = [tag("Bucket", tag("Name", name)) for name in sorted(store.buckets)]
    return document("ListAllMyBucketsResult", tag("Buckets", *buckets))


def create_bucket(store, call, body):
    """CreateBucket."""
    if call.bucket in store.buckets:
        raise S3Error("BucketAlreadyOwnedByYou")
    store.buckets[call.bucket] = {}
    return Answer(headers={"Location": f"/{call.bucket}"})


def head_bucket(store, call, body):
    """HeadBucket."""
    store.bucket(call.bucket)
    return Answer(headers={"x-amz-bucket-region": "us-east-1"})


def bucket_location(store, call, body):
    """GetBucketLocation."""
    store.bucket(call.bucket)
    return document("LocationConstraint")


def delete_bucket(store, call, body):
    """DeleteBucket."""
    if store.bucket(call.bucket):
        raise S3Error("BucketNotEmpty")
    del store.buckets[call.bucket]
    return Answer(204)


def put_object(store, call, body):
    """PutObject, with conditions and checksums."""
    headers = kept_headers(call.headers)
    stored = Stored(body.data, etag_of(body.data, headers), headers, body.checksums)
    store.put(call.bucket, call.key, stored, call.headers)
    return Answer(headers={"ETag": f'"{stored.etag}"', **encryption_of(stored), **checksum_headers(stored)})


def get_object(store, call, body):
    """GetObject, with ranges and conditions."""
    stored = store.object(call.bucket, call.key)
    _check_read(call.headers, stored)
    headers = _headers_of(stored, call)
    wanted = _range_of(call.headers.get("range"), len(stored.data))
    if wanted is None:
        return Answer(200, headers, stored.data)
    first, last = wanted
    # the checksum is that of the whole object
    headers = {name: value for name, value in headers.items() if not name.startswith("x-amz-checksum-")}
    headers["Content-Range"] = f"bytes {first}-{last}/{len(stored.data)}"
    return Answer(206, headers, stored.data[first : last + 1])


def head_object(store, call, body):
    """HeadObject; the body says how long it would be, and is not sent."""
    return get_object(store, call, body)


def delete_object(store, call, body):
    """DeleteObject, which succeeds without an object too."""
    objects = store.bucket(call.bucket)
    if "if-match" in call.headers:
        check_conditions({"if-match": call.headers["if-match"]}, objects.get(call.key))
    objects.pop(call.key, None)
    return Answer(204)


def delete_objects(store, call, body):
    """DeleteObjects, which demands a checksum."""
    if "content-md5" not in call.headers and not body.checksums:
        raise S3Error("InvalidRequest", "missing required header: Content-MD5 or x-amz-checksum-*")
    objects = store.bucket(call.bucket)
    root = parsed(body.data)
    keys = [found.text or "" for found in root.iterfind("{*}Object/{*}Key")]
    if not 0 < len(keys) <= MAX_DELETED:
        raise S3Error("MalformedXML", "between 1 and 1,000 keys can be deleted at once")
    for key in keys:
        objects.pop(key, None)
    is_quiet = (root.findtext("{*}Quiet") or "").lower() == "true"
    return document("DeleteResult", *(tag("Deleted", tag("Key", key)) for key in keys if not is_quiet))


def copy_object(store, call, body):
    """CopyObject within this server."""
    bucket, _, key = unquote(call.headers["x-amz-copy-source"]).removeprefix("/").partition("/")
    source = store.object(bucket, key)
    is_replaced = call.headers.get("x-amz-metadata-directive") == "REPLACE"
    headers = kept_headers(call.headers) if is_replaced else source.headers
    copied = Stored(source.data, etag_of(source.data, headers), headers, source.checksums)
    store.put(call.bucket, call.key, copied, call.headers)
    modified = tag("LastModified", iso(copied.modified))
    return document("CopyObjectResult", tag("ETag", f'"{copied.etag}"'), modified)


def parsed(data):
    """Return the root of an XML body."""
    try:
        return ElementTree.fromstring(data)
    except ElementTree.ParseError as error:
        raise S3Error("MalformedXML") from error


def iso(moment):
    """Return a time as it stands in XML."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def encryption_of(stored):
    """Return the headers that say how an object is encrypted."""
    return {n: v for n, v in stored.headers.items() if n.startswith("x-amz-server-side-encryption")}


def checksum_headers(stored):
    """Return the headers with an object's checksums."""
    headers = {f"x-amz-checksum-{name}": value for name, value in stored.checksums.items()}
    return {**headers, "x-amz-checksum-type": stored.checksum_type} if headers else {}


def _headers_of(stored, call):
    headers = {
        **stored.headers,
        "ETag": f'"{stored.etag}"',
        "Last-Modified": format_datetime(stored.modified.astimezone(UTC), usegmt=True),
        "Accept-Ranges": "bytes",
    }
    if call.headers.get("x-amz-checksum-mode", "").upper() == "ENABLED":
        headers |= checksum_headers(stored)
    for name in ("content-type", "content-disposition", "content-encoding", "cache-control"):
        if (override := call.query.get(f"response-{name}")) is not None:
            headers[name] = override
    return headers


def _check_read(headers, stored):
    wanted, unwanted = headers.get("if-match"), headers.get("if-none-match")
    if wanted is not None and wanted != "*" and wanted.strip('"') != stored.etag:
        raise S3Error("PreconditionFailed", "the object is another one")
    if unwanted is not None and unwanted.strip('"') in {"*", stored.etag}:
        raise S3Error("NotModified", status=304, headers={"ETag": f'"{stored.etag}"'})


def _range_of(header, size):
    if (match := _RANGE.fullmatch(header or "")) is None or match[0] == "bytes=-":
        return None
    if match[1]:
        first, last = int(match[1]), min(int(match[2] or size), size - 1)
    else:
        first, last = max(size - int(match[2]), 0), size - 1
    if first >= size or first > last:
        raise S3Error("InvalidRange", headers={"Content-Range": f"bytes */{size}"})
    return first, last
