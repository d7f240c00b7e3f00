"""Whether what arrived is what the store has: by the store's checksums, and by ETags that are an MD5."""

import base64
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hyperplane.stores.failures import corrupted
from hyperplane.stores.objects import Checksums, ObjectInfo, ObjectStore, is_plain_md5

# faster than copying, and combined for ranges that arrive in any order
COMBINED = "crc64nvme"
_CRC_BYTES = {COMBINED: 8, "crc32c": 4, "crc32": 4}
READ_BYTES = 1 << 20


def new_digest(info: ObjectInfo) -> Any:
    """Return a new MD5 to feed with an object, or None where its ETag has not the shape of one."""
    return hashlib.md5(usedforsecurity=False) if is_plain_md5(info.etag) else None


def check_stream(store: ObjectStore, descriptor: int, info: ObjectInfo, digest: Any) -> None:
    """Compare a file that arrived in one piece with its ETag, or with all that the store knows of it.

    The ETags of objects that are encrypted with a key of KMS look like an MD5 and are none: then, and for
    those that are no MD5 at all, the store is asked. Raises a failure that may pass when something differs.
    """
    if digest is None or digest.hexdigest() != _bare(info.etag):
        check_whole(f"{store.url}/{info.key}", descriptor, info, store.checksums(info.key))


class RangeSums:
    """The CRC-64 of an object that arrives in ranges; each range is summed up in the order of its bytes."""

    def __init__(self) -> None:
        from awscrt import checksums

        self.update: Callable[[memoryview, int], int] = checksums.crc64nvme
        self._combine = checksums.combine_crc64nvme
        self._ranges: dict[int, tuple[int, int]] = {}

    def add(self, start: int, size: int, value: int) -> None:
        """Take the checksum of the range that begins at `start`."""
        self._ranges[start] = size, value

    def value(self) -> str:
        """Return the checksum of the whole object, base64."""
        total = 0
        for start in sorted(self._ranges):
            size, value = self._ranges[start]
            total = self._combine(total, value, size)
        return base64.b64encode(total.to_bytes(8, "big")).decode()


def check_whole(
    url: str, descriptor: int, info: ObjectInfo, known: Checksums, sums: RangeSums | None = None
) -> None:
    """Compare a file with all that the store knows of it; `sums`: what is known of the file already.

    Raises a failure that may pass when a checksum differs.
    """
    is_checked = False
    for name, expected in known.of_object.items():
        value = sums.value() if sums is not None and name == COMBINED else file_checksum(descriptor, name)
        if value is not None and value != expected:
            raise corrupted(url, name.upper())
        is_checked = is_checked or value is not None
    if not is_checked and known.etag_is_md5 and file_md5(descriptor) != _bare(info.etag):
        raise corrupted(url, "MD5")


def crc64nvme_of(path: Path) -> int:
    """Return the CRC-64/NVME of a file, which takes little more time than reading it."""
    from awscrt import checksums

    value = 0
    with path.open("rb", buffering=0) as file:
        for data in _read(file.fileno()):
            value = checksums.crc64nvme(data, value)
    return value


def file_checksum(descriptor: int, name: str) -> str | None:
    """Return a checksum of a file as S3 writes it (base64), or None for one that is not known here."""
    if name in {"sha1", "sha256"}:
        return base64.b64encode(_digest(descriptor, name).digest()).decode()
    if name not in _CRC_BYTES:
        return None
    from awscrt import checksums

    value = 0
    for data in _read(descriptor):
        value = getattr(checksums, name)(data, value)
    return base64.b64encode(value.to_bytes(_CRC_BYTES[name], "big")).decode()


def file_md5(descriptor: int) -> str:
    """Return the MD5 of a file, hex."""
    digest: str = _digest(descriptor, "md5").hexdigest()
    return digest


def _bare(etag: str | None) -> str:
    return (etag or "").strip('"')


def _digest(descriptor: int, name: str) -> Any:
    digest = hashlib.new(name, usedforsecurity=False)
    for data in _read(descriptor):
        digest.update(data)
    return digest


def _read(descriptor: int) -> Iterator[bytes]:
    position = 0
    while data := os.pread(descriptor, READ_BYTES, position):
        yield data
        position += len(data)
