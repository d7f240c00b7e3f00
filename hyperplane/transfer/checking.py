"""Whether what arrived is what the store has: by the store's checksums, and by ETags that are an MD5."""

import base64
import hashlib
import os
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hyperplane.stores.failures import corrupted
from hyperplane.stores.objects import Checksums, ObjectInfo, is_plain_md5

# faster than copying, and combined for ranges that arrive in any order
COMBINED = "crc64nvme"
READ_BYTES = 1 << 20


class Etags:
    """Compares files with ETags that look like an MD5, as long as they prove to be one.

    Those of objects that are encrypted with a key of KMS look so and are none: then the store is asked.
    """

    def __init__(self, url: str, checksums: Callable[[str], Checksums]) -> None:
        self._url = url
        self._checksums = checksums
        self._are_md5 = True
        self._lock = threading.Lock()

    def digest(self, info: ObjectInfo) -> Any:
        """Return a new MD5 to feed, or None where the ETag says nothing."""
        if not self._are_md5 or not is_plain_md5(info.etag):
            return None
        return hashlib.md5(usedforsecurity=False)

    def check(self, info: ObjectInfo, digest: Any) -> None:
        """Raise a failure that may pass when the bytes are others than those of the store."""
        if digest is None or digest.hexdigest() == (info.etag or "").strip('"'):
            return
        with self._lock:
            if self._are_md5 and self._checksums(info.key).etag_is_md5:
                raise corrupted(f"{self._url}/{info.key}", "MD5")
            self._are_md5 = False


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


def check_whole(url: str, descriptor: int, info: ObjectInfo, sums: RangeSums, known: Checksums) -> None:
    """Compare a file that arrived in ranges with all that the store knows of it.

    Raises a failure that may pass when a checksum differs.
    """
    for name, expected in known.of_object.items():
        value = sums.value() if name == COMBINED else file_checksum(descriptor, name)
        if value is not None and value != expected:
            raise corrupted(url, name.upper())
    etag_says_all = not known.of_object and known.etag_is_md5 and is_plain_md5(info.etag)
    if etag_says_all and file_md5(descriptor) != (info.etag or "").strip('"'):
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
    if name == "crc32":
        value = 0
        for data in _read(descriptor):
            value = zlib.crc32(data, value)
        return base64.b64encode(value.to_bytes(4, "big")).decode()
    if name == "crc32c":
        from awscrt import checksums

        value = 0
        for data in _read(descriptor):
            value = checksums.crc32c(data, value)
        return base64.b64encode(value.to_bytes(4, "big")).decode()
    if name not in {"sha1", "sha256"}:
        return None
    return base64.b64encode(_digest(descriptor, name).digest()).decode()


def file_md5(descriptor: int) -> str:
    """Return the MD5 of a file, hex."""
    digest: str = _digest(descriptor, "md5").hexdigest()
    return digest


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
