"""One bucket of an S3 account: over obstore where that can, over boto3 where not, and tried again."""

import os
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from hyperplane.stores import account as accounts
from hyperplane.stores import fast, signed
from hyperplane.stores.account import Account
from hyperplane.stores.failures import PassingError
from hyperplane.stores.objects import PART_BYTES, Buffer, Checksums, Chunks, ObjectInfo, ObjectStore, Reading
from hyperplane.stores.plain import PlainStore
from hyperplane.stores.retrying import PATIENCE, Patience, retry, settled

T = TypeVar("T")

# obstore hangs for ever in a forked child of a process that has used it
_obstore_pid: int | None = None


def obstore_works_here() -> bool:
    """Say whether obstore may be used in this process, and remember the first that does."""
    global _obstore_pid
    if _obstore_pid is None:
        _obstore_pid = os.getpid()
    return _obstore_pid == os.getpid()


class S3Store:
    """One bucket, as `ObjectStore` says."""

    def __init__(
        self, account: Account, bucket: str, *, patience: Patience = PATIENCE, is_plain: bool = False
    ) -> None:
        self.account = account
        self.bucket = bucket
        self.url = f"s3://{bucket}"
        self._patience = patience
        self._is_plain = is_plain
        self._has_token: bool | None = None
        self._fast = fast.FastStore(self.url, lambda: fast.open_bucket(account, bucket))
        self._plain = PlainStore(
            self.url,
            bucket,
            lambda: _single_try_client(account),
            write_options=_encryption(account),
            retry=self.retry,
        )

    @property
    def plain(self) -> PlainStore:
        """The same over boto3, for what obstore does not have; nothing there is tried again."""
        return self._plain

    def patient(self, sleep: Callable[[float], object]) -> "S3Store":
        """Return the same, with the same connections, and pauses between tries that can be cut short."""
        same = copy(self)
        same._patience = replace(self._patience, sleep=sleep)  # noqa: SLF001 - one of us
        return same

    def retry(self, call: Callable[[], T]) -> T:
        """Do what a call does, tried again as all here is."""
        return retry(call, renew=self._renew, patience=self._patience)

    def pages(self, prefix: str = "", *, after: str = "") -> Iterator[list[ObjectInfo]]:
        """Yield all objects whose keys begin with the prefix, behind the key `after`, in pages."""
        listing = _Listing(self._fast if self._lists_fast(prefix, after) else self._plain, prefix, after)
        while True:
            try:
                page = self.retry(listing.next_page)
            except fast.UnnameableError:
                page = self._relisted(listing)
            if page is None:
                return
            if listing.store is self._fast and any(info.size_bytes == 0 for info in page):
                # an empty `a` may be the folder marker `a/`, and only boto3 shows which
                page = self._relisted(listing)
            if page:
                yield page
                listing.after = page[-1].key

    def _relisted(self, listing: "_Listing") -> list[ObjectInfo] | None:
        listing.change_to(self._plain)
        return self.retry(listing.next_page)

    def head(self, key: str) -> ObjectInfo:
        """Return what the store knows of one object."""
        return self.retry(lambda: self._for(key).head(key))

    def checksums(self, key: str) -> Checksums:
        """Return what the store knows of the bytes of one object."""
        return self.retry(lambda: signed.checksums(self.account, self.bucket, key))

    def read(self, key: str, start: int = 0, stop: int | None = None, *, etag: str | None = None) -> Reading:
        """Read an object, or a range of it; when a reply breaks off, the rest of the same version follows."""
        first = self.retry(partial(self._read_once, key, start, stop, etag))
        return Reading(first.info, self._resumed(key, first, start, stop))

    def _resumed(self, key: str, reading: Reading, start: int, stop: int | None) -> Iterator[Buffer]:
        info = reading.info
        end = info.size_bytes if stop is None else stop
        failures = 0
        while True:
            try:
                for chunk in reading.chunks:
                    start += len(chunk)
                    failures = 0
                    yield chunk
            except PassingError as error:
                failures += 1
                if not self._patience.allows(failures, error):
                    raise settled(error) from None
                self._patience.pause(failures)
                if start < end:
                    rest = partial(self._read_once, key, start, end, info.etag)
                    reading = self.retry(rest)
                    continue
            return

    def _read_once(self, key: str, start: int, stop: int | None, etag: str | None) -> Reading:
        return self._for(key).read(key, start, stop, etag=etag)

    def write(self, key: str, data: Buffer, *, is_new: bool = False) -> str | None:
        """Store one object in one request."""
        return self.retry(lambda: self._for(key).write(key, data, is_new=is_new))

    def write_chunks(
        self, key: str, chunks: Chunks, *, part_bytes: int = PART_BYTES, can_repeat: bool = True
    ) -> str | None:
        """Store one object part by part; whole or, after an exception of the chunks, not at all."""

        def send() -> str | None:
            return self._for(key).write_chunks(key, chunks, part_bytes=part_bytes)

        return self.retry(send) if can_repeat else send()

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects; those that do not exist are no failure."""
        plain = [key for key in keys if not self._is_fast(key)]
        others = [key for key in keys if self._is_fast(key)]
        if others:
            self.retry(lambda: self._fast.delete(others))
        if plain:
            self.retry(lambda: self._plain.delete(plain))

    def _for(self, key: str) -> ObjectStore:
        return self._fast if self._is_fast(key) else self._plain

    def _is_fast(self, key: str) -> bool:
        return not self._is_plain and fast.can_name(key) and obstore_works_here() and not self._redirects_leak

    def _lists_fast(self, prefix: str, after: str) -> bool:
        # obstore lists folders alone
        is_folder = not prefix or prefix.endswith("/")
        return is_folder and self._is_fast(f"{prefix}x") and self._is_fast(after or "x")

    @property
    def _redirects_leak(self) -> bool:
        """Whether a redirect would take a session token along: obstore follows them; AWS is trusted."""
        if self._has_token is None:
            self._has_token = self.account.credentials.get().session_token is not None
        return self._has_token and not self.account.is_aws

    def _renew(self) -> None:
        self.account.credentials.renew()
        self._has_token = None
        self._fast.reopen()
        self._plain.reopen()


class _Listing:
    """A listing that can go on after a failure, and in another way."""

    def __init__(self, store: ObjectStore, prefix: str, after: str) -> None:
        self.store = store
        self.after = after
        self._prefix = prefix
        self._pages: Iterator[list[ObjectInfo]] | None = None

    def next_page(self) -> list[ObjectInfo] | None:
        """Return the next page, or None where there is no more."""
        if self._pages is None:
            self._pages = self.store.pages(self._prefix, after=self.after)
        try:
            return next(self._pages, None)
        except BaseException:
            self._pages = None
            raise

    def change_to(self, store: ObjectStore) -> None:
        """Go on with another store, behind the last page that was used."""
        self.store, self._pages = store, None


def _single_try_client(account: Account) -> Any:
    from botocore.config import Config

    return accounts.make_client(account, config=Config(retries={"total_max_attempts": 1}))


def _encryption(account: Account) -> dict[str, str]:
    if account.kms_key_id is None:
        return {}
    return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": account.kms_key_id}
