"""Listings: keys by prefix, folded at a delimiter, page by page."""

import base64
from dataclasses import dataclass
from urllib.parse import quote_plus

from faultys3.answers import S3Error, document, tag
from faultys3.objects import iso

MAX_KEYS = 1000


@dataclass(frozen=True)
class Page:
    """Part of a listing: keys and common prefixes in order; `last` is where the next page begins after."""

    keys: list
    prefixes: list
    last: str
    is_truncated: bool


def page_of(names, *, prefix="", delimiter="", after="", limit=MAX_KEYS):
    """Return the next page of names in the order of their bytes. Common prefixes count like keys."""
    keys, prefixes, last = [], [], after
    for name in sorted(names, key=str.encode):
        if not name.startswith(prefix):
            continue
        folder = _folded(name, prefix, delimiter)
        entry = folder or name
        if entry.encode() <= after.encode() or entry == last:
            continue
        if len(keys) + len(prefixes) == limit:
            return Page(keys, prefixes, last, True)
        (prefixes if folder else keys).append(entry)
        last = entry
    return Page(keys, prefixes, last, False)


def _folded(name, prefix, delimiter):
    if not delimiter or (at := name.find(delimiter, len(prefix))) < 0:
        return ""
    return name[: at + len(delimiter)]


def list_objects_v2(store, call, body):
    """ListObjectsV2."""
    objects, query = store.bucket(call.bucket), call.query
    token = query.get("continuation-token")
    after = _unsealed(token) if token is not None else query.get("start-after", "")
    page = _page(objects, query, after)
    count = len(page.keys) + len(page.prefixes)
    return _listing(
        call,
        objects,
        page,
        tag("KeyCount", count),
        token and tag("ContinuationToken", token),
        tag("NextContinuationToken", _sealed(page.last)) if page.is_truncated else None,
    )


def list_objects(store, call, body):
    """ListObjects, the first version."""
    objects = store.bucket(call.bucket)
    page = _page(objects, call.query, call.query.get("marker", ""))
    write = _writer(call.query)
    return _listing(
        call,
        objects,
        page,
        tag("Marker", write(call.query.get("marker", ""))),
        tag("NextMarker", write(page.last)) if page.is_truncated else None,
    )


def _page(objects, query, after):
    folded = {name: query.get(name, "") for name in ("prefix", "delimiter")}
    return page_of(objects, after=after, limit=_limit(query, "max-keys"), **folded)


def _listing(call, objects, page, *parts):
    query, write = call.query, _writer(call.query)
    return document(
        "ListBucketResult",
        tag("Name", call.bucket),
        tag("Prefix", write(query.get("prefix", ""))),
        tag("Delimiter", write(query["delimiter"])) if query.get("delimiter") else None,
        tag("MaxKeys", query.get("max-keys", MAX_KEYS)),
        tag("EncodingType", query["encoding-type"]) if "encoding-type" in query else None,
        tag("IsTruncated", str(page.is_truncated).lower()),
        *parts,
        *(_entry(write(key), objects[key]) for key in page.keys),
        *(tag("CommonPrefixes", tag("Prefix", write(prefix))) for prefix in page.prefixes),
    )


def _entry(name, stored):
    return tag(
        "Contents",
        tag("Key", name),
        tag("LastModified", iso(stored.modified)),
        tag("ETag", f'"{stored.etag}"'),
        *(tag("ChecksumAlgorithm", algorithm.upper()) for algorithm in stored.checksums),
        tag("Size", len(stored.data)),
        tag("StorageClass", "STANDARD"),
    )


def _writer(query):
    if query.get("encoding-type") == "url":
        return lambda text: quote_plus(text, safe="/")
    return str


def _limit(query, name):
    text = query.get(name, str(MAX_KEYS))
    if not text.isdecimal():
        raise S3Error("InvalidArgument", f"{name} is {text!r}, which is no number")
    return min(int(text), MAX_KEYS)


def _sealed(key):
    return base64.urlsafe_b64encode(key.encode()).decode()


def _unsealed(token):
    try:
        return base64.urlsafe_b64decode(token).decode()
    except ValueError:
        raise S3Error("InvalidArgument", "the continuation token is incorrect") from None


def list_multipart_uploads(store, call, body):
    """ListMultipartUploads, ordered by key, and by age where keys are equal."""
    store.bucket(call.bucket)
    query, write = call.query, _writer(call.query)
    prefix, marker = query.get("prefix", ""), (query.get("key-marker", ""), query.get("upload-id-marker"))
    open_ones = [u for u in store.uploads.values() if u.bucket == call.bucket and u.key.startswith(prefix)]
    ordered = sorted(open_ones, key=lambda upload: upload.key.encode())
    left = _after(ordered, *marker)
    shown = left[: _limit(query, "max-uploads")]
    is_truncated = len(shown) < len(left)
    return document(
        "ListMultipartUploadsResult",
        tag("Bucket", call.bucket),
        tag("Prefix", write(prefix)),
        tag("EncodingType", query["encoding-type"]) if "encoding-type" in query else None,
        tag("IsTruncated", str(is_truncated).lower()),
        tag("NextKeyMarker", write(shown[-1].key)) if is_truncated else None,
        tag("NextUploadIdMarker", shown[-1].upload_id) if is_truncated else None,
        *(_upload_entry(write(upload.key), upload) for upload in shown),
    )


def _after(uploads, key, upload_id):
    ids = [upload.upload_id for upload in uploads]
    if upload_id in ids:
        return uploads[ids.index(upload_id) + 1 :]
    return [upload for upload in uploads if upload.key.encode() > key.encode() or not key]


def _upload_entry(name, upload):
    return tag(
        "Upload",
        tag("Key", name),
        tag("UploadId", upload.upload_id),
        tag("Initiated", iso(upload.initiated)),
        tag("StorageClass", "STANDARD"),
        tag("ChecksumAlgorithm", upload.algorithm.upper()) if upload.algorithm else None,
    )
