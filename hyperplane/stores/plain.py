"""Object stores over boto3: slower, and without the limits of obstore on keys and forks."""

import base64
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from typing import Any

from hyperplane.errors import StoreError
from hyperplane.locks import ForkSafeLock
from hyperplane.stores.failures import botocore_errors, error_of, refused
from hyperplane.stores.objects import PART_BYTES, Buffer, Chunks, ObjectInfo, Reading

CHUNK_BYTES = 64 << 10
DELETED_AT_ONCE = 1000


class Clients:
    """The boto3 client of a store; every process has its own, for connections are not to be shared."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._lock = ForkSafeLock()
        self._client: Any = None
        self._pid = 0

    def get(self) -> Any:
        """Return the client of this process."""
        with self._lock:
            if self._client is None or self._pid != os.getpid():
                self._client, self._pid = self._make(), os.getpid()
            return self._client

    def reopen(self) -> None:
        """Look credentials up anew the next time."""
        with self._lock:
            self._client = None


class PlainStore:
    """Reading, writing and deleting in one bucket over boto3."""

    def __init__(
        self,
        url: str,
        bucket: str,
        clients: Clients,
        *,
        write_options: Mapping[str, str],
        retry: Callable[[Callable[[], Any]], Any],
    ) -> None:
        self.url = url
        self._bucket = bucket
        self._clients = clients
        self._write_options = write_options
        self._retry = retry

    @property
    def client(self) -> Any:
        """The boto3 client of this process."""
        return self._clients.get()

    def read(self, key: str, start: int = 0, stop: int | None = None, *, etag: str | None = None) -> Reading:
        """Read an object, or a range of it; botocore verifies the checksum of a whole one."""
        options: dict[str, Any] = {} if etag is None else {"IfMatch": etag}
        if start or stop is not None:
            options["Range"] = f"bytes={start}-{'' if stop is None else stop - 1}"
        url = f"{self.url}/{key}"
        with botocore_errors(url):
            reply = self.client.get_object(Bucket=self._bucket, Key=key, **options)
        info = _replied(key, reply)
        if reply["ContentLength"] != (info.size_bytes if stop is None else stop) - start:
            reply["Body"].close()
            raise refused(url, "the reply is not the range that was asked for")
        return Reading(info, _chunks(url, reply["Body"]))

    def write(self, key: str, data: Buffer, *, is_new: bool = False) -> str | None:
        """Store one object in one request."""
        content = bytes(data)
        options = {"IfNoneMatch": "*"} if is_new else {}
        with botocore_errors(f"{self.url}/{key}", is_new=is_new):
            reply = self.client.put_object(
                Bucket=self._bucket,
                Key=key,
                Body=content,
                ChecksumSHA256=sha256_of(content),
                **options,
                **self._write_options,
            )
            return _etag(reply)

    def write_chunks(self, key: str, chunks: Chunks, *, part_bytes: int = PART_BYTES) -> str | None:
        """Store one object part by part, each tried again by itself; aborted when anything goes wrong."""
        started = self._asked(
            key,
            lambda client, place: client.create_multipart_upload(
                **place, ChecksumAlgorithm="SHA256", **self._write_options
            ),
        )
        upload = {"UploadId": started["UploadId"]}
        try:
            parts = [
                self._write_part(key, upload, number, part)
                for number, part in enumerate(regrouped(chunks(), part_bytes), 1)
            ]
            return _etag(
                self._asked(
                    key,
                    lambda client, place: client.complete_multipart_upload(
                        **place, **upload, MultipartUpload={"Parts": parts}
                    ),
                )
            )
        except BaseException:
            self._abort(key, upload)
            raise

    def _write_part(self, key: str, upload: dict[str, Any], number: int, part: bytes) -> dict[str, Any]:
        told = {"PartNumber": number, "ChecksumSHA256": sha256_of(part)}
        reply = self._asked(
            key, lambda client, place: client.upload_part(**place, **upload, **told, Body=part)
        )
        return {**told, "ETag": reply["ETag"]}

    def _asked(self, key: str, ask: Callable[[Any, dict[str, str]], Any]) -> Any:
        def once() -> Any:
            with botocore_errors(f"{self.url}/{key}"):
                return ask(self.client, {"Bucket": self._bucket, "Key": key})

        return self._retry(once)

    def _abort(self, key: str, upload: dict[str, Any]) -> None:
        # what went wrong matters more; a store that cannot be reached cannot be told either
        with suppress(StoreError), botocore_errors(f"{self.url}/{key}"):
            self.client.abort_multipart_upload(Bucket=self._bucket, Key=key, **upload)

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects, many in one request; those whose keys XML cannot hold one by one."""
        together = [key for key in keys if key.isprintable()]
        for key in keys:
            if not key.isprintable():
                with botocore_errors(f"{self.url}/{key}"):
                    self.client.delete_object(Bucket=self._bucket, Key=key)
        for first in range(0, len(together), DELETED_AT_ONCE):
            some = [{"Key": key} for key in together[first : first + DELETED_AT_ONCE]]
            with botocore_errors(self.url):
                reply = self.client.delete_objects(
                    Bucket=self._bucket, Delete={"Objects": some, "Quiet": True}
                )
            for failure in reply.get("Errors", ()):
                raise deletion_error(f"{self.url}/{failure['Key']}", failure["Code"])


def deletion_error(url: str, code: str) -> StoreError:
    """Return the error for one object of many that was not deleted."""
    return error_of(url, status=403 if code == "AccessDenied" else 400, code=code)


def _chunks(url: str, body: Any) -> Iterator[Buffer]:
    with botocore_errors(url), closing(body):
        yield from body.iter_chunks(CHUNK_BYTES)


def regrouped(chunks: Any, part_bytes: int) -> Iterator[bytes]:
    """Yield the same bytes in pieces of exactly this size, the last one excepted; at least one."""
    pending = bytearray()
    is_first = True
    for chunk in chunks:
        pending += chunk
        while len(pending) >= part_bytes:
            yield bytes(pending[:part_bytes])
            del pending[:part_bytes]
            is_first = False
    if pending or is_first:
        yield bytes(pending)


def sha256_of(content: bytes) -> str:
    """Return the sha256 of some bytes as S3 writes it (base64)."""
    return base64.b64encode(hashlib.sha256(content).digest()).decode()


def _etag(reply: Any) -> str | None:
    etag: str | None = reply.get("ETag")
    return etag


def _replied(key: str, reply: Any) -> ObjectInfo:
    ranged = reply.get("ContentRange", "")
    size = int(ranged.rpartition("/")[2]) if "/" in ranged else reply["ContentLength"]
    return ObjectInfo(key, size, reply.get("LastModified"), _etag(reply))
