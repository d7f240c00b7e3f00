"""Multipart uploads: begun, filled, listed, completed or aborted."""

from itertools import pairwise

from faultys3.answers import Answer, S3Error, document, tag
from faultys3.checksums import ALGORITHMS, checksum, composite, multipart_etag
from faultys3.objects import checksum_headers, encryption_of, iso, parsed
from faultys3.store import Stored, etag_of, kept_headers

MAX_PARTS = 10_000
MAX_LISTED = 1000
# what S3 makes of these when the client does not say
_TYPES = {"crc64nvme": "FULL_OBJECT"}


def create_upload(store, call, body):
    """CreateMultipartUpload."""
    algorithm = call.headers.get("x-amz-checksum-algorithm", "").lower()
    kind = call.headers.get("x-amz-checksum-type", _TYPES.get(algorithm, "COMPOSITE"))
    upload = store.begin_upload(
        call.bucket,
        call.key,
        headers=kept_headers(call.headers),
        algorithm=algorithm,
        checksum_type=kind if algorithm else "",
    )
    names = [tag("Bucket", call.bucket), tag("Key", call.key), tag("UploadId", upload.upload_id)]
    said = {"x-amz-checksum-algorithm": algorithm.upper(), "x-amz-checksum-type": kind} if algorithm else {}
    return document("InitiateMultipartUploadResult", *names, headers=said)


def upload_part(store, call, body):
    """UploadPart; a number that is sent again replaces what was there."""
    upload = store.upload(call.bucket, call.key, call.query["uploadId"])
    number = call.query.get("partNumber", "")
    if not number.isdecimal() or not 1 <= int(number) <= MAX_PARTS:
        raise S3Error("InvalidArgument", "part numbers are 1 to 10,000")
    part = Stored(body.data, etag_of(body.data, upload.headers), upload.headers, body.checksums)
    if upload.algorithm and upload.algorithm not in part.checksums and upload.checksum_type == "COMPOSITE":
        raise S3Error("InvalidRequest", f"this part has no {upload.algorithm.upper()}")
    upload.parts[int(number)] = part
    return Answer(headers={"ETag": f'"{part.etag}"', **encryption_of(part), **_part_checksums(part)})


def list_parts(store, call, body):
    """ListParts, page by page."""
    upload = store.upload(call.bucket, call.key, call.query["uploadId"])
    marker = int(call.query.get("part-number-marker") or 0)
    numbers = sorted(number for number in upload.parts if number > marker)
    shown = numbers[: min(int(call.query.get("max-parts") or MAX_LISTED), MAX_LISTED)]
    is_truncated = len(shown) < len(numbers)
    return document(
        "ListPartsResult",
        tag("Bucket", call.bucket),
        tag("Key", call.key),
        tag("UploadId", upload.upload_id),
        tag("PartNumberMarker", marker),
        tag("NextPartNumberMarker", shown[-1] if shown else 0),
        tag("IsTruncated", str(is_truncated).lower()),
        *(_part_entry(number, upload.parts[number]) for number in shown),
    )


def complete_upload(store, call, body, *, min_part_bytes):
    """CompleteMultipartUpload; the upload is gone afterwards, and completing it again is an error."""
    upload = store.upload(call.bucket, call.key, call.query["uploadId"])
    parts = _chosen_parts(upload, parsed(body.data))
    if any(len(part.data) < min_part_bytes for part in parts[:-1]):
        raise S3Error("EntityTooSmall", "a part that is not the last is too small")
    data = b"".join(part.data for part in parts)
    if len(data) != int(call.headers.get("x-amz-mp-object-size", len(data))):
        raise S3Error("InvalidRequest", "the object has not the size that x-amz-mp-object-size says")
    etag = multipart_etag([part.etag for part in parts])
    kind = upload.checksum_type or "FULL_OBJECT"
    stored = Stored(data, etag, upload.headers, _checksums(upload, parts, data), kind)
    _check_whole(call.headers, stored)
    store.put(call.bucket, call.key, stored, call.headers)
    del store.uploads[upload.upload_id]
    elements = [tag(_element(name), value) for name, value in stored.checksums.items()]
    names = [tag("Bucket", call.bucket), tag("Key", call.key), tag("ETag", f'"{etag}"')]
    return document("CompleteMultipartUploadResult", *names, *elements, headers=encryption_of(stored))


def abort_upload(store, call, body):
    """AbortMultipartUpload."""
    del store.uploads[store.upload(call.bucket, call.key, call.query["uploadId"]).upload_id]
    return Answer(204)


def _chosen_parts(upload, root):
    chosen = root.findall("{*}Part")
    numbers = [int(each.findtext("{*}PartNumber") or 0) for each in chosen]
    if not numbers:
        raise S3Error("MalformedXML", "no part is named")
    if any(second <= first for first, second in pairwise(numbers)):
        raise S3Error("InvalidPartOrder", "the parts are not in order")
    return [_chosen(upload, number, each) for number, each in zip(numbers, chosen, strict=True)]


def _chosen(upload, number, element):
    part = upload.parts.get(number)
    if part is None or (element.findtext("{*}ETag") or "").strip('"') != part.etag:
        raise S3Error("InvalidPart", f"part {number} was not sent, or is another one")
    for name, value in part.checksums.items():
        if element.findtext(f"{{*}}{_element(name)}") not in {None, value}:
            raise S3Error("InvalidPart", f"part {number} has another checksum")
    return part


def _checksums(upload, parts, data):
    if not upload.algorithm:
        return {}
    if upload.checksum_type == "FULL_OBJECT":
        return {upload.algorithm: checksum(upload.algorithm, data)}
    of_parts = [part.checksums[upload.algorithm] for part in parts]
    return {upload.algorithm: composite(upload.algorithm, of_parts)}


def _check_whole(headers, stored):
    for name in ALGORITHMS:
        said = headers.get(f"x-amz-checksum-{name}")
        if said is not None and stored.checksums.get(name, said) != said:
            raise S3Error("BadDigest", f"the {name.upper()} of the object is another one")


def _element(algorithm):
    return f"Checksum{algorithm.upper()}"


def _part_checksums(part):
    headers = checksum_headers(part)
    headers.pop("x-amz-checksum-type", None)
    return headers


def _part_entry(number, part):
    return tag(
        "Part",
        tag("PartNumber", number),
        tag("LastModified", iso(part.modified)),
        tag("ETag", f'"{part.etag}"'),
        tag("Size", len(part.data)),
        *(tag(_element(name), value) for name, value in part.checksums.items()),
    )
