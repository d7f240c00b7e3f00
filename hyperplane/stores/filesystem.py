"""An fsspec file system over an S3 account, for libraries that take one."""

from typing import TYPE_CHECKING, Any

from hyperplane.errors import MissingExtraError
from hyperplane.stores import fast
from hyperplane.stores.account import Account

if TYPE_CHECKING:
    from fsspec.spec import AbstractFileSystem

TRIES = 6


def open_filesystem(account: Account) -> "AbstractFileSystem":
    """Return a file system whose paths are `bucket/key`. Raises `MissingExtraError` without `fsspec`."""
    try:
        from obstore.fsspec import FsspecStore
    except ImportError:
        raise MissingExtraError(
            "a file system over S3 needs fsspec",
            hint="pip install 'hyperplane-job[fsspec]'",
            extra="fsspec",
            name="fsspec",
        ) from None

    class Filesystem(FsspecStore):
        cachable = False

        def _construct_store(self, bucket: str) -> Any:
            return fast.open_bucket(account, bucket, tries=TRIES)

    return Filesystem("s3")
