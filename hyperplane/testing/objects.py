"""Objects in memory, for fake contexts: a store like S3, without a server, a network or credentials."""

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NoReturn

from hyperplane.errors import ObjectChangedError, ObjectExistsError, ObjectNotFoundError, UsageError
from hyperplane.stores import Location, ObjectInfo, Reading
from hyperplane.stores.objects import PART_BYTES, Buffer, Checksums, Chunks

if TYPE_CHECKING:
    from hyperplane.stores.account import Account

BUCKET = "fake"
PAGE_OBJECTS = 1000


@dataclass(frozen=True, slots=True)
class _Object:
    content: bytes
    modified: datetime = field(default_factory=lambda: datetime.now(UTC))

    def info(self, key: str) -> ObjectInfo:
        etag = hashlib.md5(self.content, usedforsecurity=False).hexdigest()
        return ObjectInfo(key, len(self.content), self.modified, f'"{etag}"')


class MemoryStore:
    """One bucket in memory; keys are exact, as those of S3 are."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._objects: dict[str, _Object] = {}
        self._lock = threading.Lock()

    def patient(self, sleep: Callable[[float], object]) -> "MemoryStore":  # noqa: ARG002 - nothing fails here
        """Return the same."""
        return self

    def pages(self, prefix: str = "", *, after: str = "") -> Iterator[list[ObjectInfo]]:
        """Yield the objects of a prefix, behind a key, in pages."""
        found = sorted(key for key in self._objects if key.startswith(prefix) and key > after)
        for first in range(0, len(found), PAGE_OBJECTS):
            yield [self._objects[key].info(key) for key in found[first : first + PAGE_OBJECTS]]

    def head(self, key: str) -> ObjectInfo:
        """Return what is known of one object."""
        return self._find(key).info(key)

    def checksums(self, key: str) -> Checksums:
        """Return that the ETag is an MD5."""
        self._find(key)
        return Checksums({}, etag_is_md5=True)

    def read(self, key: str, start: int = 0, stop: int | None = None, *, etag: str | None = None) -> Reading:
        """Read an object, or a range of it."""
        found = self._find(key)
        info = found.info(key)
        if etag not in (None, info.etag):
            raise ObjectChangedError(f"{self.url}/{key} has changed meanwhile", url=f"{self.url}/{key}")
        return Reading(info, (found.content[start:stop],))

    def write(self, key: str, data: Buffer, *, is_new: bool = False) -> str | None:
        """Store one object."""
        stored = _Object(bytes(data))
        with self._lock:
            if is_new and key in self._objects:
                raise ObjectExistsError(f"{self.url}/{key} exists already", url=f"{self.url}/{key}")
            self._objects[key] = stored
        return stored.info(key).etag

    def write_chunks(
        self,
        key: str,
        chunks: Chunks,
        *,
        part_bytes: int = PART_BYTES,  # noqa: ARG002 - there are no parts
        can_repeat: bool = True,  # noqa: ARG002 - nothing is tried again
    ) -> str | None:
        """Store one object, once all of it is there."""
        return self.write(key, b"".join(chunks()))

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects."""
        with self._lock:
            for key in keys:
                self._objects.pop(key, None)

    def contents(self) -> dict[str, bytes]:
        """Return all that is here, by key."""
        return {key: self._objects[key].content for key in sorted(self._objects)}

    def _find(self, key: str) -> _Object:
        found = self._objects.get(key)
        if found is None:
            raise ObjectNotFoundError(
                f"there is no {self.url}/{key}",
                hint="A folder ends in `/`.",
                url=f"{self.url}/{key}",
                status=404,
            )
        return found


class MemoryBuckets:
    """Buckets in memory, made when they are first asked for; there is no account behind them."""

    def __init__(self, objects: Mapping[str, bytes]) -> None:
        self._stores: dict[str, MemoryStore] = {}
        for name, content in objects.items():
            location = Location.parse(name, bucket=BUCKET)
            self.open(location.bucket).write(location.key, content)

    @property
    def account(self) -> "Account":
        """Raise `UsageError`: what needs an account needs a server."""
        _refuse()

    @property
    def endpoint(self) -> str:
        """Return what no server is called."""
        return "memory"

    def open(self, bucket: str) -> MemoryStore:
        """Return the store of one bucket."""
        return self._stores.setdefault(bucket, MemoryStore(f"s3://{bucket}"))

    def other(self, **changes: str | None) -> "MemoryBuckets":  # noqa: ARG002 - there is no account to change
        """Return the same buckets."""
        return self

    def contents(self) -> dict[str, bytes]:
        """Return all that is here: by key in the usual bucket, by URL in others."""
        found = self.open(BUCKET).contents()
        for bucket, store in sorted(self._stores.items()):
            if bucket != BUCKET:
                found |= {f"{store.url}/{key}": content for key, content in store.contents().items()}
        return found


def _refuse() -> NoReturn:
    raise UsageError(
        "a fake context has objects, but no S3 account: no client, credentials or file system",
        hint="Start a real one with hyperplane.testing.s3_server(), and give its environ to a JobContext.",
    )
