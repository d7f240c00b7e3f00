"""One bucket of an S3 account: over obstore where that can, over boto3 where not, and tried again."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from hyperplane.errors import ObjectExistsError, ObjectNotFoundError
from hyperplane.locks import ForkSafeLock
from hyperplane.stores import account as accounts
from hyperplane.stores import fast
from hyperplane.stores.account import Account
from hyperplane.stores.failures import PassingError, upload_gone
from hyperplane.stores.fast import FastStore
from hyperplane.stores.objects import PART_BYTES, Buffer, Checksums, Chunks, ObjectInfo, Reading
from hyperplane.stores.plain import Clients, PlainStore
from hyperplane.stores.retrying import PATIENCE, Failures, Patience, retry, settled
from hyperplane.stores.signed import Asking

T = TypeVar("T")

PART_TRIES = 6


class _Connections:
    """What the copies of a store share: connections, all with the same credentials."""

    def __init__(self, account: Account, bucket: str, *, is_plain: bool) -> None:
        self.account = account
        self.asking = Asking(account, bucket)
        self.clients = Clients(lambda: _single_try_client(account))
        url = f"s3://{bucket}"
        self.fast = FastStore(url, lambda: fast.open_bucket(account, bucket))
        # an object in parts cannot be tried again where its chunks cannot: then each part is
        self.fast_in_parts = FastStore(url, lambda: fast.open_bucket(account, bucket, tries=PART_TRIES))
        self.renewals = 0
        self._lock = ForkSafeLock()
        self._is_plain = is_plain
        self._has_token: bool | None = None

    def are_fast_for(self, key: str) -> bool:
        """Say whether this key is for obstore."""
        return not self._is_plain and fast.can_name(key) and fast.works_here() and not self._redirects_leak

    @property
    def _redirects_leak(self) -> bool:
        """Whether a redirect would take a session token along: obstore follows them; AWS is trusted."""
        if self._has_token is None:
            self._has_token = self.account.credentials.get().session_token is not None
        return self._has_token and not self.account.is_aws

    def renew(self, renewals: int) -> None:
        """Look credentials up anew, unless somebody else has done so since there were this many renewals."""
        with self._lock:
            if self.renewals != renewals:
                return
            self.account.credentials.renew()
            self._has_token = None
            self.fast.reopen()
            self.fast_in_parts.reopen()
            self.clients.reopen()
            self.renewals += 1


class S3Store:
    """One bucket, as `ObjectStore` says.

    `is_plain`: without obstore, in all things. `connections`: those of another one for the same bucket.
    """

    def __init__(
        self,
        account: Account,
        bucket: str,
        *,
        patience: Patience = PATIENCE,
        is_plain: bool = False,
        connections: _Connections | None = None,
    ) -> None:
        connections = connections or _Connections(account, bucket, is_plain=is_plain)
        self.account = account
        self.bucket = bucket
        self.url = f"s3://{bucket}"
        self._patience = patience
        self._connections = connections
        self._plain = PlainStore(
            self.url,
            bucket,
            connections.clients,
            write_options=account.encryption,
            retry=self.retry,
        )

    @property
    def client(self) -> Any:
        """A boto3 client for what is not here; it tries once, and its errors are those of boto3."""
        return self._connections.clients.get()

    def patient(self, sleep: Callable[[float], object]) -> "S3Store":
        """Return the same, with the same connections, and pauses between tries that can be cut short."""
        patience = replace(self._patience, sleep=sleep)
        return S3Store(self.account, self.bucket, patience=patience, connections=self._connections)

    def retry(self, call: Callable[[], T]) -> T:
        """Do what a call does, tried again as all here is."""
        renewals = self._connections.renewals
        return retry(call, renew=lambda: self._connections.renew(renewals), patience=self._patience)

    def pages(self, prefix: str = "", *, after: str = "") -> Iterator[list[ObjectInfo]]:
        """Yield all objects whose keys begin with the prefix, behind the key `after`, in pages."""
        token = None
        while True:
            ask = partial(self._connections.asking.page, prefix, after=after, token=token)
            objects, token = self.retry(ask)
            if objects:
                yield objects
            if token is None:
                return

    def head(self, key: str) -> ObjectInfo:
        """Return what the store knows of one object."""
        return self.retry(lambda: self._connections.asking.head(key))

    def checksums(self, key: str) -> Checksums:
        """Return what the store knows of the bytes of one object."""
        return self.retry(lambda: self._connections.asking.checksums(key))

    def read(self, key: str, start: int = 0, stop: int | None = None, *, etag: str | None = None) -> Reading:
        """Read an object, or a range of it; when a reply breaks off, the rest of the same version follows."""
        first = self.retry(partial(self._read_once, key, start, stop, etag))
        if first.has_arrived:
            return first
        return Reading(first.info, self._resumed(key, first, start, stop))

    def _resumed(self, key: str, reading: Reading, start: int, stop: int | None) -> Iterator[Buffer]:
        info = reading.info
        end = info.size_bytes if stop is None else stop
        failures = Failures(self._patience)
        while True:
            try:
                for chunk in reading.chunks:
                    start += len(chunk)
                    failures.forget()
                    yield chunk
            except PassingError as error:
                # all that came may be wrong, and what follows may be of another version
                if start >= end or info.etag is None:
                    raise
                failures.wait(error)
                reading = self.retry(partial(self._read_once, key, start, end, info.etag))
            else:
                return

    def _read_once(self, key: str, start: int, stop: int | None, etag: str | None) -> Reading:
        return self._for(key).read(key, start, stop, etag=etag)

    def write(self, key: str, data: Buffer, *, is_new: bool = False) -> str | None:
        """Store one object in one request."""
        if is_new:
            return self._write_new(key, data)
        return self.retry(lambda: self._for(key).write(key, data))

    def _write_new(self, key: str, data: Buffer) -> str | None:
        tries = 0

        def send() -> str | None:
            nonlocal tries
            tries += 1
            return self._for(key).write(key, data, is_new=True)

        try:
            return self.retry(send)
        except ObjectExistsError:
            if tries == 1:
                raise
            # an earlier try may have made it, without our having heard
            found = self.read(key)
            if b"".join(found.chunks) != data:
                raise
            return found.info.etag

    def write_chunks(
        self, key: str, chunks: Chunks, *, part_bytes: int = PART_BYTES, can_repeat: bool = True
    ) -> str | None:
        """Store one object part by part; whole or, after an exception of the chunks, not at all."""

        def send() -> str | None:
            is_fast = self._connections.are_fast_for(key)
            store = self._connections.fast_in_parts if is_fast else self._plain
            try:
                return store.write_chunks(key, chunks, part_bytes=part_bytes)
            except ObjectNotFoundError as error:
                if error.code != "NoSuchUpload":
                    raise
                raise upload_gone(error) from None

        if can_repeat:
            return self.retry(send)
        try:
            return send()
        except PassingError as error:
            raise settled(error) from None

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects; those that do not exist are no failure."""
        plain = [key for key in keys if not self._connections.are_fast_for(key)]
        others = [key for key in keys if self._connections.are_fast_for(key)]
        if others:
            self.retry(lambda: self._connections.fast.delete(others))
        if plain:
            self.retry(lambda: self._plain.delete(plain))

    def _for(self, key: str) -> FastStore | PlainStore:
        return self._connections.fast if self._connections.are_fast_for(key) else self._plain


def _single_try_client(account: Account) -> Any:
    from botocore.config import Config

    client = accounts.make_client(account, config=Config(retries={"total_max_attempts": 1}))
    client.meta.events.register_last("before-parameter-build.s3", _stay_here)
    return client


def _stay_here(context: dict[str, Any], **_: Any) -> None:
    # asked about a redirect, botocore asks the store where the bucket is, which may redirect that too
    context["s3_redirect"]["redirected"] = True
