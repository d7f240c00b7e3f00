"""An fsspec file system over an S3 account, for libraries that take one."""

from typing import TYPE_CHECKING, Any

from hyperplane.errors import MissingExtraError
from hyperplane.stores import fast
from hyperplane.stores.account import Account

if TYPE_CHECKING:
    from fsspec.spec import AbstractFileSystem  # type: ignore[import-untyped]  # it has no types

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
    config: Any = fast.s3_config(account) | fast.endpoint_config(account)
    options: Any = fast.client_options(account)
    retries: Any = fast.retry_config(TRIES)
    return FsspecStore(
        "s3",
        config=config,
        client_options=options,
        retry_config=retries,
        credential_provider=fast.credential_provider(account),
    )
