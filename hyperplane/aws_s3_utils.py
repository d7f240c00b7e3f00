"""The S3 functions of hyperplane-client, over the open context or a default one."""

import os
from pathlib import Path

from hyperplane.errors import UsageError
from hyperplane.shortcuts import current_or_default
from hyperplane.transfer import Transfer


def download_from_s3(
    source_path: str,
    target_path: str | os.PathLike[str] | None = None,
    regex_filter: str | None = None,
    create_target_path: bool = True,
) -> str | list[str]:
    """Copy an object, or with a final `/` a folder of objects, from S3 to this machine.

    `target_path`: by default its own name in the working directory. `regex_filter`: only files in whose
    name below the source this is found. Returns the `s3://bucket/key` of the object, or a list of them.

    Raises `ObjectNotFoundError` where there is no such source, `UsageError` where the folder of the
    target is missing and must not be made, `TransferError` where some files could not be copied.
    """
    if target_path is not None and not create_target_path:
        _require_folder(target_path)
    copied = current_or_default().s3.download(source_path, target_path, regex=regex_filter)
    return _urls(copied, is_folder=not source_path or source_path.endswith("/"), what=source_path)


def upload_to_s3(
    source_path: str | os.PathLike[str], target_path: str | None = None, regex_filter: str | None = None
) -> str | list[str]:
    """Copy a file or a folder from this machine to S3.

    `target_path`: by default its own name at the root of the bucket; a file goes below one that ends in
    `/`. `regex_filter`: only files in whose name below the source this is found. Returns the
    `s3://bucket/key` of the object, or a list of them.

    Raises `UsageError` where there is no such source, `TransferError` where some files could not be
    copied.
    """
    copied = current_or_default().s3.upload(source_path, target_path, regex=regex_filter)
    return _urls(copied, is_folder=Path(source_path).is_dir(), what=os.fspath(source_path))


def _require_folder(target_path: str | os.PathLike[str]) -> None:
    path = Path(target_path)
    folder = path if os.fspath(target_path).endswith("/") else path.parent
    if not folder.is_dir():
        raise UsageError(
            f"the target folder {folder} is not there", hint="Make it, or leave out create_target_path=False."
        )


def _urls(copied: Transfer, *, is_folder: bool, what: str) -> str | list[str]:
    urls = list(copied.urls)
    if not urls:
        current_or_default().log.warning("no file was copied", source=what)
    return urls[0] if urls and not is_folder else urls
