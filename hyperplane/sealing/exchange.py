"""Puts a new folder in the place of an old one, in one step where the system has one."""

import errno
import os
import sys
from collections.abc import Callable

_RENAME_EXCHANGE = 2
_CANNOT = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EPERM})


def exchange(first: str, second: str, folder: int) -> None:
    """Have two names, relative to an open folder, change places in one step (Linux, `renameat2`).

    Raises `OSError`: ENOSYS where the system has no such call, EINVAL where the file system has none.
    """
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if not sys.platform.startswith("linux") or not hasattr(libc, "renameat2"):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if libc.renameat2(folder, os.fsencode(first), folder, os.fsencode(second), _RENAME_EXCHANGE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), first)


def replace_folder(
    new: str, old: str, folder: int, *, exchange: Callable[[str, str, int], None] = exchange
) -> None:
    """Give the new folder the place of the old one, which is then where the new one was.

    Where the two cannot change places in one step, there is an instant in which neither has the
    name; killed in it, the old one lies beside the new one.
    """
    try:
        exchange(new, old, folder)
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
        _replace_in_two_steps(new, old, folder)


def _replace_in_two_steps(new: str, old: str, folder: int) -> None:
    aside = f"{new}.old"
    os.rename(old, aside, src_dir_fd=folder, dst_dir_fd=folder)
    try:
        os.rename(new, old, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        os.rename(aside, old, src_dir_fd=folder, dst_dir_fd=folder)
        raise
