"""Bodies of requests: unwrapped from `aws-chunked`, and held against every checksum sent with them."""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass, field

from faultys3.answers import S3Error
from faultys3.checksums import ALGORITHMS, checksum

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Body:
    """The content of a request, and the checksums that came with it and hold."""

    data: bytes
    checksums: dict = field(default_factory=dict)


def understood(headers, raw):
    """Return the verified body of a request, or raise the error that S3 would answer."""
    is_chunked = headers.get("x-amz-content-sha256", "").startswith("STREAMING-")
    data, trailers = _unwrapped(headers, raw) if is_chunked else (raw, {})
    _verify_sha256(headers, data)
    _verify_md5(headers, data)
    return Body(data, _verified_checksums({**headers, **trailers}, data))


def _unwrapped(headers, raw):
    chunks, position = [], 0
    while True:
        end = raw.find(b"\r\n", position)
        if end < 0:
            raise S3Error("IncompleteBody", "the last chunk is missing")
        size = int(raw[position:end].partition(b";")[0], 16)
        if size == 0:
            break
        chunks.append(raw[end + 2 : end + 2 + size])
        position = end + 2 + size + 2
    data = b"".join(chunks)
    if len(data) != int(headers.get("x-amz-decoded-content-length", len(data))):
        raise S3Error("IncompleteBody", "fewer bytes than x-amz-decoded-content-length")
    return data, _trailers(raw[end + 2 :])


def _trailers(raw):
    lines = (line.partition(":") for line in raw.decode().splitlines() if line)
    return {name.strip().lower(): value.strip() for name, _, value in lines}


def _verify_sha256(headers, data):
    said = headers.get("x-amz-content-sha256", "")
    if _SHA256.fullmatch(said) and hashlib.sha256(data).hexdigest() != said:
        raise S3Error("XAmzContentSHA256Mismatch", "x-amz-content-sha256 does not match what was computed")


def _verify_md5(headers, data):
    if (said := headers.get("content-md5")) is None:
        return
    try:
        digest = base64.b64decode(said, validate=True)
    except binascii.Error:
        digest = b""
    if len(digest) != hashlib.md5().digest_size:
        raise S3Error("InvalidDigest", "the Content-MD5 is no MD5")
    if digest != hashlib.md5(data).digest():
        raise S3Error("BadDigest", "the Content-MD5 did not match what we received")


def _verified_checksums(headers, data):
    sent = {name: headers.get(f"x-amz-checksum-{name}") for name in ALGORITHMS}
    said = {name: value for name, value in sent.items() if value is not None}
    promised = headers.get("x-amz-trailer", "")
    if promised and promised not in headers:
        raise S3Error("MalformedXML", f"the trailer {promised} is missing")
    for name, value in said.items():
        if checksum(name, data) != value:
            raise S3Error("BadDigest", f"the {name.upper()} you specified did not match what we computed")
    return said
