"""Object stores over obstore: any that it has, S3 above all. It must not be used in a forked child."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from hyperplane.locks import ForkSafeLock
from hyperplane.stores.account import Account
from hyperplane.stores.credentials import Credentials
from hyperplane.stores.failures import obstore_errors, truncated
from hyperplane.stores.objects import PART_BYTES, Buffer, Checksums, Chunks, ObjectInfo, Reading

if TYPE_CHECKING:
    from obstore.store import ObjectStore as Obstore

PAGE_OBJECTS = 1000
PARTS_AT_ONCE = 4
# larger pieces are mapped and unmapped by the allocator each time, which costs more than the copying
CHUNK_BYTES = 64 << 10
SMALL_BYTES = 1 << 20
_CREDENTIALS_LAST = timedelta(minutes=10)
_NEVER_BEHIND = frozenset({"", ".", ".."})


def can_name(key: str) -> bool:
    """Say whether obstore takes this key as it is: it normalises or refuses some that S3 allows."""
    return _NEVER_BEHIND.isdisjoint(key.split("/")) and key.isprintable()


# it hangs for ever in a forked child of a process that has used it
_first_pid: int | None = None


def works_here() -> bool:
    """Say whether obstore may be used in this process."""
    return _first_pid in {None, os.getpid()}


class FastStore:
    """One store over obstore; nothing is tried again here but parts of large objects, as `make` says."""

    def __init__(self, url: str, make: "Callable[[], Obstore]") -> None:
        self.url = url
        self._make = make
        self._store: Obstore | None = None
        self._lock = ForkSafeLock()

    def patient(self, sleep: Callable[[float], object]) -> "FastStore":  # noqa: ARG002 - nobody waits
        """Return the same."""
        return self

    def pages(self, prefix: str = "", *, after: str = "") -> Iterator[list[ObjectInfo]]:
        """Yield all objects of a prefix, which is whole or ends in `/`, in pages.

        Not for S3, where some keys would be shown as others: `/a` as `a`.
        """
        import obstore

        with obstore_errors(f"{self.url}/{prefix}"):
            listing = obstore.list(
                self._opened, prefix or None, offset=after or None, chunk_size=PAGE_OBJECTS
            )
            for page in listing:
                yield [_info(meta) for meta in page]

    def head(self, key: str) -> ObjectInfo:
        """Return what the store knows of one object."""
        import obstore

        with obstore_errors(f"{self.url}/{key}"):
            return _info(obstore.head(self._opened, key))

    def checksums(self, key: str) -> Checksums:  # noqa: ARG002 - obstore knows of none
        """Return nothing: obstore does not tell of checksums."""
        return Checksums({}, etag_is_md5=False)

    def read(self, key: str, start: int = 0, stop: int | None = None, *, etag: str | None = None) -> Reading:
        """Read an object, or a range of it."""
        import obstore

        options: dict[str, Any] = {}
        if etag is not None:
            options["if_match"] = etag
        if stop is not None:
            options["range"] = (start, stop)
        elif start:
            options["range"] = {"offset": start}
        with obstore_errors(f"{self.url}/{key}"):
            result = obstore.get(self._opened, key, options=options)  # type: ignore[arg-type]  # built above
            info = _info(result.meta)
            expected = (info.size_bytes if stop is None else stop) - start
            if expected > SMALL_BYTES:
                return Reading(info, self._chunks(key, result, expected))
            data: Any = result.bytes()
        self._check_size(key, expected, len(data))
        return Reading(info, (data,))

    def _chunks(self, key: str, result: Any, expected: int) -> Iterator[Buffer]:
        received = 0
        with obstore_errors(f"{self.url}/{key}"):
            for piece in result.stream(min_chunk_size=CHUNK_BYTES):
                received += len(piece)
                yield piece
        self._check_size(key, expected, received)

    def _check_size(self, key: str, expected: int, received: int) -> None:
        if received != expected:
            raise truncated(f"{self.url}/{key}", expected, received)

    def write(self, key: str, data: Buffer, *, is_new: bool = False) -> str | None:
        """Store one object in one request."""
        import obstore

        with obstore_errors(f"{self.url}/{key}", is_new=is_new):
            mode: Any = "create" if is_new else "overwrite"
            return obstore.put(self._opened, key, data, mode=mode, use_multipart=False)["e_tag"]

    def write_chunks(
        self,
        key: str,
        chunks: Chunks,
        *,
        part_bytes: int = PART_BYTES,
        can_repeat: bool = True,  # noqa: ARG002 - nothing is tried again here
    ) -> str | None:
        """Store one object part by part."""
        import obstore

        watched = _Watched(chunks)
        try:
            with obstore_errors(f"{self.url}/{key}"):
                stored = obstore.put(
                    self._opened, key, iter(watched), chunk_size=part_bytes, max_concurrency=PARTS_AT_ONCE
                )
        except BaseException:
            if watched.error is not None:
                raise watched.error from None  # not a failure of the store
            raise
        return stored["e_tag"]

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects, many in one request."""
        import obstore

        with obstore_errors(self.url):
            try:
                obstore.delete(self._opened, list(keys))
            except FileNotFoundError as error:  # of a disk, which stops there
                if "NoSuchBucket" in str(error):
                    raise
                for key in keys:
                    with suppress(FileNotFoundError):
                        obstore.delete(self._opened, key)

    def reopen(self) -> None:
        """Look credentials up anew the next time."""
        self._store = None

    @property
    def _opened(self) -> "Obstore":
        global _first_pid
        if _first_pid is None:
            _first_pid = os.getpid()
        store = self._store
        if store is None:
            with self._lock:  # each store reads the certificates of the system, which takes 10 ms
                store = self._store = self._store or self._make()
        return store


class _Watched:
    """The same chunks; it keeps what they raised."""

    def __init__(self, chunks: Chunks) -> None:
        self._chunks = chunks
        self.error: BaseException | None = None

    def __iter__(self) -> Iterator[Buffer]:
        try:
            yield from self._chunks()
        except GeneratorExit:
            raise
        except BaseException as error:
            self.error = error
            raise


def _info(meta: Any) -> ObjectInfo:
    return ObjectInfo(meta["path"], meta["size"], meta["last_modified"], meta["e_tag"])


def s3_config(account: Account) -> dict[str, Any]:
    """Return obstore's settings for an account, all of those that it would else read from variables."""
    config: dict[str, Any] = {
        "region": account.region,
        "checksum_algorithm": "CRC64NVME",
        "skip_signature": False,
        "unsigned_payload": False,
        "s3_express": False,
        "request_payer": False,
    }
    if account.kms_key_id is not None:
        config |= {"server_side_encryption": "aws:kms", "sse_kms_key_id": account.kms_key_id}
    return config


def client_options(account: Account) -> dict[str, Any]:
    """Return what obstore's HTTP client is to do: wait for no answer for ever, use http only where told."""
    options: dict[str, Any] = {
        "allow_http": (account.endpoint_url or "").startswith("http://"),
        "connect_timeout": timedelta(seconds=account.connect_timeout_s),
        "read_timeout": timedelta(seconds=account.read_timeout_s),
        "timeout": timedelta(days=1),
    }
    if account.ca_file is not None:
        options["root_certificate"] = account.ca_file.read_bytes()
    return options


def retry_config(tries: int) -> dict[str, Any]:
    """Return how often obstore itself is to try."""
    backoff = {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=5), "base": 2}
    return {"max_retries": tries - 1, "retry_timeout": timedelta(minutes=2), "backoff": backoff}


def credential_provider(account: Account) -> Callable[[], Any]:
    """Return a function that gives obstore the credentials of an account, for a while."""
    from datetime import UTC, datetime

    first: list[Credentials] = [
        account.credentials.get()
    ]  # an error here is ours; in obstore it would be theirs

    def provide() -> dict[str, Any]:
        found = first.pop() if first else account.credentials.get()
        return {
            "access_key_id": found.access_key_id,
            "secret_access_key": found.secret_access_key,
            "token": found.session_token,
            "expires_at": datetime.now(UTC) + _CREDENTIALS_LAST,
        }

    return provide


def endpoint_config(account: Account) -> dict[str, Any]:
    """Return where obstore finds the buckets of an account, each as the first part of a path."""
    return {
        "endpoint": account.endpoint,
        "aws_endpoint_url_s3": account.endpoint,
        "virtual_hosted_style_request": False,
    }


def open_bucket(account: Account, bucket: str, *, tries: int = 1) -> "Obstore":
    """Return obstore's store for one bucket, which tries every request so often."""
    from obstore.store import S3Store

    config: Any = s3_config(account) | endpoint_config(account)
    if account.has_host_of_its_own(bucket):
        url = account.url_of(bucket)
        config |= {"endpoint": url, "aws_endpoint_url_s3": url, "virtual_hosted_style_request": True}
    options: Any = client_options(account)
    retries: Any = retry_config(tries)
    return S3Store(
        bucket,
        config=config,
        client_options=options,
        retry_config=retries,
        credential_provider=credential_provider(account),
    )
