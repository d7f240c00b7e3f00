"""What a store's own words prove about an object: its size, its checksums, its ETag."""

import base64
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from hyperplane.delivery.places import Source
from hyperplane.stores.failures import botocore_errors
from hyperplane.stores.objects import Buffer, is_plain_md5, part_bytes_of
from hyperplane.stores.s3 import S3Store

_CHUNK_BYTES = 1 << 20
_PLAIN_ENCRYPTION = frozenset({None, "AES256"})


def head_of(store: S3Store, key: str) -> Mapping[str, Any]:
    """Return the reply of HeadObject, with the checksums that the store has; nothing is tried again."""
    with botocore_errors(f"{store.url}/{key}"):
        reply: Mapping[str, Any] = store.client.head_object(
            Bucket=store.bucket, Key=key, ChecksumMode="ENABLED"
        )
        return reply


def compare_bytes(reply: Mapping[str, Any], data: Buffer) -> bool | None:
    """Say whether the object of a HeadObject reply is this, or None where the reply does not tell."""
    if reply["ContentLength"] != len(data):
        return False
    if (told := reply.get("ChecksumCRC64NVME")) is not None:
        return bool(told == _crc64((data,)))
    if _etag_is_md5(reply):
        return _plain(reply) == hashlib.md5(data, usedforsecurity=False).hexdigest()
    return None


def compare(reply: Mapping[str, Any], source: Source) -> bool | None:
    """Say the same about a file."""
    if reply["ContentLength"] != source.size_bytes:
        return False
    if (told := reply.get("ChecksumCRC64NVME")) is not None:
        return bool(told == _crc64(pieces(source)))
    if _etag_is_md5(reply):
        digest = hashlib.md5(usedforsecurity=False)
        for piece in pieces(source):
            digest.update(piece)
        return _plain(reply) == digest.hexdigest()
    if reply.get("ServerSideEncryption") in _PLAIN_ENCRYPTION and "-" in _plain(reply):
        # no is no proof: whoever stored it may have cut it into other parts
        return True if _plain(reply) == multipart_etag(source) else None
    return None


def confirms(reply: Mapping[str, Any], store: S3Store, key: str, source: Source) -> bool:
    """Say whether the object of a HeadObject reply is the file, reading it where the reply does not tell."""
    found = compare(reply, source)
    return is_read_as(store.read(key).chunks, source) if found is None else found


def is_read_as(chunks: Iterable[Buffer], source: Source) -> bool:
    """Say whether what is read is the file."""
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest() == source.sha256


def multipart_etag(source: Source) -> str:
    """Return the ETag of a file that was uploaded in parts of our size, where nothing encrypts it."""
    digests = [
        hashlib.md5(piece, usedforsecurity=False).digest()
        for piece in pieces(source, part_bytes_of(source.size_bytes))
    ]
    return f"{hashlib.md5(b''.join(digests), usedforsecurity=False).hexdigest()}-{len(digests)}"


def pieces(source: Source, piece_bytes: int = _CHUNK_BYTES) -> Iterator[bytes]:
    """Yield the file in pieces of this size, the last one excepted."""
    position = 0
    while position < source.size_bytes:
        piece = read_at(source, position, piece_bytes)
        if not piece:
            return
        position += len(piece)
        source.tell(len(piece))
        yield piece


def read_at(source: Source, position: int, size_bytes: int) -> bytes:
    """Return so many bytes of a file, or what there are."""
    return os.pread(source.descriptor, min(size_bytes, source.size_bytes - position), position)


def _etag_is_md5(reply: Mapping[str, Any]) -> bool:
    return is_plain_md5(reply.get("ETag")) and reply.get("ServerSideEncryption") in _PLAIN_ENCRYPTION


def _plain(reply: Mapping[str, Any]) -> str:
    return str(reply.get("ETag") or "").strip('"')


def _crc64(data: Iterable[Buffer]) -> str:
    from awscrt import checksums

    value = 0
    for piece in data:
        value = checksums.crc64nvme(piece, value)
    return base64.b64encode(value.to_bytes(8, "big")).decode()
