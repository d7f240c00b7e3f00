"""A large file sent in parts: what has arrived is known to the store, and is not sent again after a crash."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

from hyperplane.delivery import evidence
from hyperplane.delivery.ledger import Upload
from hyperplane.delivery.places import Source
from hyperplane.errors import ObjectChangedError, ObjectNotFoundError, StoreError
from hyperplane.stores.failures import botocore_errors
from hyperplane.stores.objects import part_bytes_of
from hyperplane.stores.plain import sha256_of
from hyperplane.stores.s3 import S3Store
from hyperplane.transfer.workers import each

PARTS_AT_ONCE = 4


class Part(NamedTuple):
    """One part of a file, and its number, from 1."""

    number: int
    data: bytes


class Multipart:
    """The upload of one file to one key."""

    def __init__(self, store: S3Store, bucket: str, key: str, source: Source) -> None:
        self._store = store
        self._where = {"Bucket": bucket, "Key": key}
        self._url = f"s3://{bucket}/{key}"
        self._source = source
        self._digest = hashlib.sha256()
        self._lock = threading.Lock()
        self._sent: dict[int, dict[str, Any]] = {}

    def run(self, begun: Upload | None, *, note: Callable[[Upload], object]) -> None:
        """Send what is not there yet, and complete the object.

        `begun`: an upload to go on with, where it is of the same file; `note`: told of a new one.
        Raises `ObjectChangedError` where the file is not what it should be; nothing is stored then.
        """
        known = self._resumed(begun)
        upload_id = begun.upload_id if begun is not None and known is not None else self._begin(note)
        each(partial(self._send, upload_id), self._missing(known or {}), threads=PARTS_AT_ONCE)
        if self._digest.hexdigest() != self._source.sha256:
            self._abort(upload_id)
            raise ObjectChangedError(f"what was to become {self._url} has changed meanwhile", url=self._url)
        self._complete(upload_id)

    def _resumed(self, begun: Upload | None) -> dict[int, dict[str, Any]] | None:
        """Return the parts of an earlier upload that the store has, None where there is none of use."""
        if begun is None:
            return None
        if begun[1:] != (self._source.size_bytes, self._source.sha256):
            self._abort(begun.upload_id)
            return None
        try:
            return self._store.retry(lambda: self._list(begun.upload_id))
        except ObjectNotFoundError:
            return None

    def _list(self, upload_id: str) -> dict[int, dict[str, Any]]:
        with botocore_errors(self._url):
            pages = self._store.client.get_paginator("list_parts").paginate(**self._where, UploadId=upload_id)
            return {part["PartNumber"]: part for page in pages for part in page.get("Parts", ())}

    def _begin(self, note: Callable[[Upload], object]) -> str:
        client, encryption = self._store.client, self._store.account.encryption

        def create() -> str:
            with botocore_errors(self._url):
                reply = client.create_multipart_upload(
                    **self._where, ChecksumAlgorithm="SHA256", **encryption
                )
                return str(reply["UploadId"])

        upload_id = self._store.retry(create)
        note(Upload(upload_id, self._source.size_bytes, self._source.sha256))
        return upload_id

    def _missing(self, known: dict[int, dict[str, Any]]) -> Iterator[Part]:
        """Yield the parts that are to be sent; all of them are hashed, in their order."""
        part_bytes = part_bytes_of(self._source.size_bytes)
        for number, data in enumerate(evidence.pieces(self._source, part_bytes), 1):
            self._digest.update(data)
            if not _is_there(known.get(number), data):
                yield Part(number, data)
            else:
                self._sent[number] = _noted(number, known[number]["ETag"], sha256_of(data))

    def _send(self, upload_id: str, part: Part) -> None:
        client, digest = self._store.client, sha256_of(part.data)

        def send() -> Any:
            with botocore_errors(self._url):
                return client.upload_part(
                    **self._where,
                    UploadId=upload_id,
                    PartNumber=part.number,
                    Body=part.data,
                    ChecksumSHA256=digest,
                )

        reply = self._store.retry(send)
        with self._lock:
            self._sent[part.number] = _noted(part.number, reply["ETag"], digest)

    def _complete(self, upload_id: str) -> None:
        parts = [self._sent[number] for number in sorted(self._sent)]
        client = self._store.client

        def complete() -> None:
            with botocore_errors(self._url):
                client.complete_multipart_upload(
                    **self._where, UploadId=upload_id, MultipartUpload={"Parts": parts}
                )

        try:
            self._store.retry(complete)
        except StoreError:
            # it may be there all the same: the first reply was lost, and the upload is gone
            if not self._is_complete():
                raise

    def _is_complete(self) -> bool:
        try:
            reply = self._store.retry(lambda: evidence.head_of(self._store, self._where["Key"]))
        except StoreError:
            return False
        return evidence.confirms(reply, self._store, self._where["Key"], self._source)

    def _abort(self, upload_id: str) -> None:
        def abort() -> None:
            with botocore_errors(self._url):
                self._store.client.abort_multipart_upload(**self._where, UploadId=upload_id)

        try:
            self._store.retry(abort)
        except ObjectNotFoundError:
            return


def _is_there(known: dict[str, Any] | None, data: bytes) -> bool:
    if known is None or known["Size"] != len(data):
        return False
    if known.get("ChecksumSHA256") is not None:
        return bool(known["ChecksumSHA256"] == sha256_of(data))
    return bool(known["ETag"].strip('"') == hashlib.md5(data, usedforsecurity=False).hexdigest())


def _noted(number: int, etag: str, digest: str) -> dict[str, Any]:
    return {"PartNumber": number, "ETag": etag, "ChecksumSHA256": digest}
