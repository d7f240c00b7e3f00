"""`ctx.s3`: objects of the job's bucket, or of any other: copied, listed, read and written."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, Protocol, TextIO, overload

from hyperplane.environment import StrPath
from hyperplane.errors import Mask, ObjectNotFoundError, UsageError, masked_errors, unmasked
from hyperplane.locks import ForkSafeLock
from hyperplane.stores import Location, ObjectInfo, ObjectStore

if TYPE_CHECKING:
    from fsspec.spec import AbstractFileSystem

    from hyperplane.stores.account import Account
    from hyperplane.stores.credentials import Credentials
    from hyperplane.transfer import Options, ProgressCallback, Transfer


class Buckets(Protocol):
    """Where the buckets of an account come from; a fake has some of its own."""

    @property
    def account(self) -> "Account":
        """Who asks which store. Raises `UsageError` where there is no account."""
        ...

    @property
    def endpoint(self) -> str:
        """What tells this store from any other."""
        ...

    def open(self, bucket: str) -> ObjectStore:
        """Return the store of one bucket."""
        ...

    def other(
        self,
        *,
        endpoint_url: str | None = None,
        region: str | None = None,
        kms_key_id: str | None = None,
        secrets: str | None = None,
        profile: str | None = None,
    ) -> "Buckets":
        """Return those of an account that differs in what is given, as `S3.using` says."""
        ...


Watch = Callable[[str], "AbstractContextManager[ProgressCallback | None]"]
Tell = Callable[[str, "Transfer"], object]


class S3:
    """Objects by key in one bucket, or by `s3://bucket/key` in any of the account.

    A key that ends in `/`, and the empty one, is a folder: all objects below it. Any other is exactly
    one object. Errors are `StoreError` and its kinds; each names what it is about.
    """

    def __init__(
        self,
        buckets: Buckets,
        *,
        bucket: Callable[[], str | None],
        mask: Mask = unmasked,
        watch: Watch = lambda what: nullcontext(),  # noqa: ARG005 - nobody watches
        tell: Tell = lambda verb, transfer: None,  # noqa: ARG005 - nobody is told
    ) -> None:
        self._buckets = buckets
        self._find_bucket = bucket
        self._mask = mask
        self._watch = watch
        self._tell = tell
        self._stores: dict[str, ObjectStore] = {}
        self._lock = ForkSafeLock()

    @property
    def bucket(self) -> str:
        """The usual bucket: of `HYPERPLANE_S3_BUCKET`, else of the secret `s3_bucket_name`.

        Raises `UsageError` where neither is set.
        """
        found = self._find_bucket()
        if found is None:
            raise UsageError(
                "there is no usual bucket", hint="Set HYPERPLANE_S3_BUCKET, or write s3://bucket/key."
            )
        return found

    @property
    def credentials(self) -> "Credentials":
        """What requests are signed with now. Raises `CredentialsError`."""
        return self._buckets.account.credentials.get()

    @property
    def client(self) -> Any:
        """A plain boto3 client for the same store, with the same credentials."""
        from hyperplane.stores.account import make_client

        return make_client(self._buckets.account)

    def filesystem(self) -> "AbstractFileSystem":
        """Return an fsspec file system over the same store and credentials, for pandas, pyarrow and others.

        It needs the extra `fsspec`, and must not be used in a forked child. Paths are `bucket/key`.
        """
        from hyperplane.stores.filesystem import open_filesystem

        return open_filesystem(self._buckets.account)

    def using(
        self,
        bucket: str | None = None,
        *,
        endpoint_url: str | None = None,
        region: str | None = None,
        kms_key_id: str | None = None,
        secrets: str | None = None,
        profile: str | None = None,
    ) -> "S3":
        """Return the same over another bucket, store or account; what is left out stays as it is.

        `secrets`: the beginning of the names of the secrets with its credentials; "partner" stands for
        `partner_access_key_id`, `partner_access_key_secret` and, if it is there,
        `partner_session_token`. `profile`: one of AWS's configuration instead.
        """
        others = self._buckets.other(
            endpoint_url=endpoint_url, region=region, kms_key_id=kms_key_id, secrets=secrets, profile=profile
        )
        return S3(
            others,
            bucket=self._find_bucket if bucket is None else lambda: bucket,
            mask=self._mask,
            watch=self._watch,
            tell=self._tell,
        )

    # Copies

    def download(
        self,
        source: str,
        target: StrPath | None = None,
        *,
        glob: str | None = None,
        regex: str | None = None,
        min_files: int = 0,
        skip_unchanged: bool = False,
        progress: "ProgressCallback | None" = None,
    ) -> "Transfer":
        """Copy an object to a file, or a folder of objects to a folder; whole files or none.

        `target`: by default the source's own name in the working directory; a file goes into a target
        that is a folder or ends in `/`. `glob`, `regex`: which files, by their name relative to the
        source folder; the expression is looked for anywhere in it. `skip_unchanged`: leave files alone
        that have the size and time of their object, or its MD5 where the store tells that.

        Raises `ObjectNotFoundError` where there is no such source, `TransferError` where fewer than
        `min_files` fit, or some could not be copied; the others were.
        """
        from hyperplane.transfer import Download, download

        with masked_errors(self._mask):
            location = self._locate(source)
            options = _options(glob, regex, min_files, skip_unchanged)
            what = Download(prefix=location.key, target=_local_target(location, target))
            return self._copy("download", download, location.bucket, what, options, progress)

    def upload(
        self,
        source: StrPath,
        target: str | None = None,
        *,
        glob: str | None = None,
        regex: str | None = None,
        min_files: int = 0,
        skip_unchanged: bool = False,
        progress: "ProgressCallback | None" = None,
    ) -> "Transfer":
        """Copy a file to an object, or a folder to all keys below a key; links are followed.

        `target`: by default the source's own name at the root of the bucket; a file goes below a target
        that ends in `/`. `glob`, `regex` and `min_files` as in `download`. `skip_unchanged`: leave
        objects alone that have the size of their file and are newer, or have its MD5.

        Raises `UsageError` where there is no such source, `TransferError` as `download` does.
        """
        from hyperplane.transfer import Upload, upload

        with masked_errors(self._mask):
            path = _local_source(source)
            location = self._locate(_own_key(path) if target is None else target)
            options = _options(glob, regex, min_files, skip_unchanged)
            what = Upload(source=path, key=_key_for(path, location))
            return self._copy("upload", upload, location.bucket, what, options, progress)

    def _copy(
        self,
        verb: str,
        copy: Callable[..., "Transfer"],
        bucket: str,
        what: Any,
        options: "Options",
        progress: "ProgressCallback | None",
    ) -> "Transfer":
        from dataclasses import replace

        with nullcontext(progress) if progress is not None else self._watch(verb) as callback:
            transfer = copy(self._store(bucket), what, replace(options, progress=callback))
        self._tell(verb, transfer)
        return transfer

    # Single objects

    def list(
        self, source: str = "", *, glob: str | None = None, regex: str | None = None
    ) -> "list[ObjectInfo]":
        """Return the objects of a folder, or the one of that key; none where there is nothing.

        Folder markers (empty objects `a/`) do not count. The filters are those of `download`.
        """
        from hyperplane.transfer import Filter

        with masked_errors(self._mask):
            location = self._locate(source)
            wanted = Filter.of(regex=regex, glob=glob)
            found = self._below(location) if location.is_folder else self._at(location)
            folder = location.key.removesuffix("" if location.is_folder else location.name)
            return [info for info in found if wanted.takes(info.key.removeprefix(folder))]

    def _below(self, folder: Location) -> Iterator[ObjectInfo]:
        for page in self._store(folder.bucket).pages(folder.key):
            yield from (info for info in page if not (info.size_bytes == 0 and info.key.endswith("/")))

    def _at(self, location: Location) -> Iterator[ObjectInfo]:
        with suppress(ObjectNotFoundError):
            yield self._store(location.bucket).head(location.key)

    def exists(self, key: str) -> bool:
        """Say whether there is such an object or, with a final `/`, anything in such a folder."""
        with masked_errors(self._mask):
            location = self._locate(key)
            store = self._store(location.bucket)
            if location.is_folder:
                return next(store.pages(location.key), None) is not None
            return any(self._at(location))

    def read_bytes(self, key: str) -> bytes:
        """Return the content of an object."""
        with masked_errors(self._mask):
            location = self._object(key)
            return b"".join(self._store(location.bucket).read(location.key).chunks)

    def write_bytes(self, key: str, data: bytes) -> str:
        """Make or replace an object, and return its URL."""
        with masked_errors(self._mask):
            location = self._object(key)
            self._store(location.bucket).write(location.key, data)
            return str(location)

    @overload
    def open(self, key: str, mode: Literal["r", "rt", "w", "wt"], *, encoding: str = "utf-8") -> TextIO: ...
    @overload
    def open(self, key: str, mode: Literal["rb", "wb"] = "rb") -> IO[bytes]: ...
    def open(self, key: str, mode: str = "rb", *, encoding: str = "utf-8") -> Any:
        """Open an object as a file, which streams.

        Reading can be sought in, and stays with the version that was opened. Writing makes the object
        when the file is closed, whole; after an exception in its `with` block it is not made at all.
        """
        import io

        from hyperplane.transfer import streams

        if mode not in {"r", "rt", "rb", "w", "wt", "wb"}:
            raise UsageError(f"an object cannot be opened with mode {mode!r}", hint="Use r, rb, w or wb.")
        with masked_errors(self._mask):
            location = self._object(key)
            store = self._store(location.bucket)
            if mode.startswith("w"):
                writer = streams.ObjectWriter(store, location.key)
                return writer if "b" in mode else streams.ObjectTextWriter(writer, encoding)
            reader = streams.open_reader(store, location.key)
            return reader if "b" in mode else io.TextIOWrapper(reader, encoding=encoding)

    def delete(self, key: str) -> int:
        """Delete an object, or with a final `/` all objects of that folder, and return how many.

        An object that does not exist is no failure, and counted. Raises `UsageError` for a whole bucket.
        """
        with masked_errors(self._mask):
            location = self._locate(key)
            if not location.key:
                raise UsageError(f"{location} is a whole bucket", hint="Delete its folders one by one.")
            store = self._store(location.bucket)
            if not location.is_folder:
                store.delete([location.key])
                return 1
            pages = [[info.key for info in page] for page in store.pages(location.key)]
            for page in pages:
                store.delete(page)
            return sum(map(len, pages))

    def __repr__(self) -> str:
        return f"<S3 {self._find_bucket() or 'without a usual bucket'}>"

    def _store(self, bucket: str) -> ObjectStore:
        with self._lock:
            if bucket not in self._stores:
                self._stores[bucket] = self._buckets.open(bucket)
            return self._stores[bucket]

    def _locate(self, text: str) -> Location:
        return Location.parse(text, bucket=None if "://" in text else self.bucket)

    def _object(self, text: str) -> Location:
        location = self._locate(text)
        if location.is_folder:
            raise UsageError(f"{location} is a folder, not an object", hint="Leave out the final slash.")
        return location


def _options(glob: str | None, regex: str | None, min_files: int, skip_unchanged: bool) -> "Options":
    from hyperplane.transfer import Filter, Options

    return Options(
        filter=Filter.of(regex=regex, glob=glob), min_files=min_files, skip_unchanged=skip_unchanged
    )


def _local_target(source: Location, target: StrPath | None) -> Path:
    if target is None:
        return Path(source.name)
    path = Path(target)
    goes_into = os.fspath(target).endswith(("/", os.sep)) or path.is_dir()
    return path / source.name if goes_into and not source.is_folder else path


def _local_source(source: StrPath) -> Path:
    path = Path(source)
    if not path.exists():
        raise UsageError(f"there is no file or folder {path}", hint="Mend the path of what to upload.")
    if str(source).endswith("/") and not path.is_dir():
        raise UsageError(f"{path} is a file, not a folder", hint="Leave out the final slash.")
    return path


def _own_key(path: Path) -> str:
    name = path.resolve().name if path.name in {"", ".."} else path.name
    return f"{name}/" if path.is_dir() and name else name


def _key_for(source: Path, target: Location) -> str:
    if source.is_dir():
        return target.key if target.is_folder else f"{target.key}/"
    return f"{target.key}{source.name}" if target.is_folder else target.key
