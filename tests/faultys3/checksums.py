"""The checksums of S3, whole and composite."""

import base64
import functools
import hashlib
import zlib


@functools.cache
def _table(polynomial):
    entries = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (polynomial if value & 1 else 0)
        entries.append(value)
    return tuple(entries)


def _crc(data, *, polynomial, size_bytes):
    table, ones = _table(polynomial), (1 << 8 * size_bytes) - 1
    value = ones
    for byte in data:
        value = table[(value ^ byte) & 255] ^ (value >> 8)
    return (value ^ ones).to_bytes(size_bytes, "big")


_DIGESTS = {
    "crc32": lambda data: zlib.crc32(data).to_bytes(4, "big"),
    # in Python, so slow: some 10 MB a second
    "crc32c": functools.partial(_crc, polynomial=0x82F63B78, size_bytes=4),
    "crc64nvme": functools.partial(_crc, polynomial=0x9A6C9329AC4BC9B5, size_bytes=8),
    "sha1": lambda data: hashlib.sha1(data).digest(),
    "sha256": lambda data: hashlib.sha256(data).digest(),
}
ALGORITHMS = tuple(_DIGESTS)


def checksum(algorithm, data):
    """Return a checksum as it stands in a header."""
    return base64.b64encode(_DIGESTS[algorithm](data)).decode()


def composite(algorithm, checksums):
    """Return the checksum over the checksums of parts, with their number."""
    joined = b"".join(base64.b64decode(each) for each in checksums)
    return f"{checksum(algorithm, joined)}-{len(checksums)}"


def md5(data):
    """Return the MD5 digest in hexadecimal digits, which is the ETag of a plain object."""
    return hashlib.md5(data).hexdigest()


def multipart_etag(etags):
    """Return the ETag of an object that was sent in parts."""
    return f"{md5(b''.join(bytes.fromhex(etag) for etag in etags))}-{len(etags)}"
