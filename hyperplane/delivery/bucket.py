"""A destination that is a prefix of an S3 bucket: every reply that did not come is looked up."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from hyperplane.delivery import evidence
from hyperplane.delivery.ledger import Upload
from hyperplane.delivery.multipart import Multipart
from hyperplane.delivery.places import Source
from hyperplane.errors import ObjectExistsError, ObjectNotFoundError, StoreError
from hyperplane.stores.failures import botocore_errors
from hyperplane.stores.location import Location
from hyperplane.stores.objects import Buffer
from hyperplane.stores.s3 import S3Store
from hyperplane.transfer.workers import ahead

_NO_CONDITIONS = frozenset({"NotImplemented", "InvalidArgument", "InvalidRequest"})


class BucketDestination:
    """`s3://bucket/prefix/`, as `Destination` says.

    `uploads`: the uploads that an earlier deliverer of the run began, by path; `note`: told of new ones.
    """

    def __init__(self, url: str, open_store: Callable[[str], S3Store]) -> None:
        place = Location.parse(url)
        self._prefix = place.key if place.is_folder else f"{place.key}/"
        self._bucket = place.bucket
        self.url = f"s3://{place.bucket}/{self._prefix}"
        self._open_store = open_store
        self._store = open_store(place.bucket)
        self.uploads: dict[str, Upload] = {}
        self.note: Callable[[str, Upload], object] = lambda path, upload: None  # noqa: ARG005

    def below(self, folder: str) -> "BucketDestination":
        """Return a folder of this one."""
        return BucketDestination(f"{self.url}{folder}", self._open_store)

    def put(self, path: str, data: Buffer) -> None:
        """Store an object in one request, which the store verifies by the checksum that is sent along."""
        try:
            self._store.write(self._key(path), data)
        except StoreError as error:
            if not self._is_there_all_the_same(error, path, data):
                raise

    def put_large(self, path: str, source: Source) -> None:
        """Store a large file part by part, going on with what an earlier upload of it has left there."""
        upload = Multipart(self._store, self._bucket, self._key(path), source)
        upload.run(self.uploads.pop(path, None), note=lambda made: self.note(path, made))

    def create(self, path: str, data: bytes) -> None:
        """Store a new object, under a condition where the store has those; else it is looked at before."""
        key = self._key(path)
        try:
            self._store.write(key, data, is_new=True)
        except ObjectExistsError:
            raise
        except StoreError as error:
            if error.status == 501 or error.code in _NO_CONDITIONS:
                self._create_unconditionally(path, data)
            elif not self._is_there_all_the_same(error, path, data):
                raise

    def _create_unconditionally(self, path: str, data: bytes) -> None:
        try:
            self._store.head(self._key(path))
        except ObjectNotFoundError:
            self._store.write(self._key(path), data)
            if self.read(path) != data:
                raise StoreError(
                    f"{self.url}{path} is not what was stored",
                    hint="Somebody else writes there, and this store has no conditional writes.",
                    url=f"{self.url}{path}",
                ) from None
            return
        raise ObjectExistsError(f"{self.url}{path} exists already", url=f"{self.url}{path}")

    def read(self, path: str) -> bytes:
        """Return what an object holds."""
        return b"".join(self.chunks(path))

    def chunks(self, path: str) -> Iterator[Buffer]:
        """Yield what an object holds."""
        yield from self._store.read(self._key(path)).chunks

    def sizes(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Yield the paths below a prefix, and their sizes."""
        for page in ahead(self._store.pages(self._key(prefix))):
            yield from ((info.key.removeprefix(self._prefix), info.size_bytes) for info in page)

    def folders(self, prefix: str) -> list[str]:
        """Return the names of the folders right below a folder."""
        start = self._key(prefix)
        return [
            found.removeprefix(start).rstrip("/") for found in self._store.retry(lambda: self._groups(start))
        ]

    def _groups(self, start: str) -> list[str]:
        with botocore_errors(f"{self.url}{start}"):
            paginator = self._store.client.get_paginator("list_objects_v2")
            pages: Any = paginator.paginate(Bucket=self._bucket, Prefix=start, Delimiter="/")
            return [group["Prefix"] for page in pages for group in page.get("CommonPrefixes", ())]

    def delete(self, paths: Sequence[str]) -> None:
        """Delete objects, many in one request."""
        self._store.delete([self._key(path) for path in paths])

    def holds(self, path: str, source: Source) -> bool:
        """Say whether an object is this file: by size and checksum, or by reading it."""
        try:
            reply = self._store.retry(lambda: evidence.head_of(self._store, self._key(path)))
        except ObjectNotFoundError:
            return False
        return evidence.confirms(reply, self._store, self._key(path), source)

    def clean(self) -> None:
        """Abort the uploads below here that were begun and never finished."""
        self._store.retry(self._abort_all)

    def _abort_all(self) -> None:
        client = self._store.client
        with botocore_errors(self.url):
            reply = client.list_multipart_uploads(Bucket=self._bucket, Prefix=self._prefix)
            for found in reply.get("Uploads", ()):
                client.abort_multipart_upload(
                    Bucket=self._bucket, Key=found["Key"], UploadId=found["UploadId"]
                )

    def _key(self, path: str) -> str:
        return self._prefix + path

    def _is_there_all_the_same(self, error: StoreError, path: str, data: Buffer) -> bool:
        """Say whether an object is there as it was to be stored, where even that can be asked."""
        if error.status in {401, 403, 404}:
            return False
        try:
            reply = evidence.head_of(self._store, self._key(path))
        except StoreError:
            return False
        found = evidence.compare_bytes(reply, data)
        return self.read(path) == data if found is None else found
