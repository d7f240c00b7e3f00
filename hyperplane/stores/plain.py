"""Object stores over boto3: slower, and without the limits of obstore on keys and forks."""

import base64
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

from hyperplane.errors import StoreError
from hyperplane.locks import ForkSafeLock
from hyperplane.stores.failures import botocore_errors, truncated
from hyperplane.stores.objects import PART_BYTES, Buffer, Checksums, Chunks, ObjectInfo, Reading, checksums_in

CHUNK_BYTES = 64 << 10
DELETED_AT_ONCE = 1000


class PlainStore:
    """One bucket over boto3; in a forked child it makes itself a client of its own."""

    def __init__(
        self,
        url: str,
        bucket: str,
        make_client: Callable[[], Any],
        *,
        write_options: Mapping[str, str],
        retry: Callable[[Callable[[], Any]], Any],
    ) -> None:
        self.url = url
        self._bucket = bucket
        self._make_client = make_client
        self._write_options = dict(write_options)
        self._retry = retry
        self._lock = ForkSafeLock()
        self._client: Any = None
        self._pid = 0

    @property
    def client(self) -> Any:
        """The boto3 client of this process; connections of a parent are not to be shared."""
        with self._lock:
            if self._client is None or self._pid != os.getpid():
                self._client, self._pid = self._make_client(), os.getpid()
            return self._client

    def reopen(self) -> None:
        """Look credentials up anew the next time."""
        with self._lock:
            self._client = None

    def patient(self, sleep: Callable[[float], object]) -> "PlainStore":  # noqa: ARG002 - nobody waits
        """Return the same: nothing is tried again here."""
        return self

    def pages(self, prefix: str = "", *, after: str = "") -> Iterator[list[ObjectInfo]]:
        """Yield all objects whose keys begin with the prefix, in pages."""
        with botocore_errors(f"{self.url}/{prefix}"):
            paginator = self.client.get_paginator("list_objects_v2")
            for page in paginator.paginate(Bucket=self._bucket, Prefix=prefix, StartAfter=after):
                yield [_listed(found) for found in page.get("Contents", ())]

    def head(self, key: str) -> ObjectInfo:
        """Return what the store knows of one object."""
        return _replied(key, self.head_reply(key))

    def head_reply(self, key: str) -> dict[str, Any]:
        """Return the reply of HeadObject, with the checksums that the store has."""
        with botocore_errors(f"{self.url}/{key}"):
            reply: dict[str, Any] = self.client.head_object(
                Bucket=self._bucket, Key=key, ChecksumMode="ENABLED"
            )
            return reply

    def checksums(self, key: str) -> Checksums:
        """Return what the store knows of the bytes of one object."""
        return checksums_in(self.head_reply(key)["ResponseMetadata"]["HTTPHeaders"])

    def read(self, key: str, start: int = 0, stop: int | None = None, *, etag: str | None = None) -> Reading:
        """Read an object, or a range of it; botocore verifies the checksum of a whole one."""
        options: dict[str, Any] = {} if etag is None else {"IfMatch": etag}
        if start or stop is not None:
            options["Range"] = f"bytes={start}-{'' if stop is None else stop - 1}"
        with botocore_errors(f"{self.url}/{key}"):
            reply = self.client.get_object(Bucket=self._bucket, Key=key, **options)
        return Reading(_replied(key, reply), self._chunks(key, reply))

    def _chunks(self, key: str, reply: Any) -> Iterator[Buffer]:
        url = f"{self.url}/{key}"
        expected, received = reply["ContentLength"], 0
        with botocore_errors(url), closing(reply["Body"]) as body:
            for piece in body.iter_chunks(CHUNK_BYTES):
                received += len(piece)
                yield piece
        if received != expected:
            raise truncated(url, expected, received)

    def write(self, key: str, data: Buffer, *, is_new: bool = False) -> str | None:
        """Store one object in one request."""
        content = bytes(data)
        options = {"IfNoneMatch": "*"} if is_new else {}
        with botocore_errors(f"{self.url}/{key}", is_new=is_new):
            reply = self.client.put_object(
                Bucket=self._bucket,
                Key=key,
                Body=content,
                ChecksumSHA256=_sha256(content),
                **options,
                **self._write_options,
            )
            return _etag(reply)

    def write_chunks(
        self,
        key: str,
        chunks: Chunks,
        *,
        part_bytes: int = PART_BYTES,
        can_repeat: bool = True,  # noqa: ARG002 - the parts alone are tried again here
    ) -> str | None:
        """Store one object part by part; it is aborted when anything goes wrong."""
        url = f"{self.url}/{key}"
        with botocore_errors(url):
            started = self.client.create_multipart_upload(
                Bucket=self._bucket, Key=key, ChecksumAlgorithm="SHA256", **self._write_options
            )
        upload = {"Bucket": self._bucket, "Key": key, "UploadId": started["UploadId"]}
        try:
            parts = [
                self._write_part(upload, number, part)
                for number, part in enumerate(regrouped(chunks(), part_bytes), 1)
            ]
            with botocore_errors(url):
                reply = self.client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
                return _etag(reply)
        except BaseException:
            self._abort(upload)
            raise

    def _write_part(self, upload: dict[str, Any], number: int, part: bytes) -> dict[str, Any]:
        digest = _sha256(part)

        def send() -> Any:
            with botocore_errors(f"{self.url}/{upload['Key']}"):
                return self.client.upload_part(**upload, PartNumber=number, Body=part, ChecksumSHA256=digest)

        return {"PartNumber": number, "ETag": self._retry(send)["ETag"], "ChecksumSHA256": digest}

    def _abort(self, upload: dict[str, Any]) -> None:
        from hyperplane.errors import ObjectNotFoundError

        try:
            with botocore_errors(f"{self.url}/{upload['Key']}"):
                self.client.abort_multipart_upload(**upload)
        except ObjectNotFoundError:
            return  # it was completed, or is gone
        except StoreError as error:
            raise StoreError(
                f"{error.message}, and parts of it stay in the store",
                hint="A lifecycle rule for incomplete multipart uploads removes them.",
                url=error.url,
            ) from None

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects, many in one request."""
        for first in range(0, len(keys), DELETED_AT_ONCE):
            some = [{"Key": key} for key in keys[first : first + DELETED_AT_ONCE]]
            with botocore_errors(self.url):
                reply = self.client.delete_objects(
                    Bucket=self._bucket, Delete={"Objects": some, "Quiet": True}
                )
            for failure in reply.get("Errors", ()):
                url = f"{self.url}/{failure.get('Key')}"
                raise StoreError(
                    f"{url} was not deleted: {failure.get('Code')}", url=url, code=failure.get("Code", "")
                )


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


def _sha256(content: bytes) -> str:
    return base64.b64encode(hashlib.sha256(content).digest()).decode()


def _etag(reply: Any) -> str | None:
    etag: str | None = reply.get("ETag")
    return etag


def _listed(found: Any) -> ObjectInfo:
    return ObjectInfo(found["Key"], found["Size"], found["LastModified"], found.get("ETag"))


def _replied(key: str, reply: Any) -> ObjectInfo:
    ranged = reply.get("ContentRange", "")
    size = int(ranged.rpartition("/")[2]) if "/" in ranged else reply["ContentLength"]
    return ObjectInfo(key, size, reply.get("LastModified"), _etag(reply))
