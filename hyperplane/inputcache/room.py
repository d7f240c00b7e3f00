"""How much the cache may hold: what was used longest ago goes first, and what is in use never."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from hyperplane.errors import InputError
from hyperplane.inputcache.entry import TRASH_PREFIX, Entry, remove_trash
from hyperplane.inputcache.locking import take

_ENTRY_NAME = re.compile(r"[0-9a-f]{32}-[0-9a-f]{32}")
_BLOCK_BYTES = 4096
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


class Room:
    """The folder of all entries, and what they may take together."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self.folder = folder
        self.limit_bytes = limit_bytes

    def entries(self) -> list[Entry]:
        """Return all entries that we may change, those that are not whole too."""
        named = (path for path in self.folder.glob("*-*") if _ENTRY_NAME.fullmatch(path.name))
        # root may have left some here that are none of ours
        return [Entry(path) for path in named if os.access(path, os.W_OK, effective_ids=True)]

    def make(self, sizes: Sequence[int]) -> None:
        """Have room for files of these sizes. Raises `InputError` where the disk has none, whatever goes."""
        self.sweep(reserved_bytes=sum(sizes))
        others = iter(self._oldest_first())
        while self._free_bytes() < _on_disk(sizes):
            if not any(self.evict(entry) for entry in others):
                raise self.is_full(sizes)

    def is_full(self, sizes: Sequence[int]) -> InputError:
        """Return the error for a disk that has no room for files of these sizes."""
        free = size_text(self._free_bytes())
        return InputError(
            f"{size_text(_on_disk(sizes))} are needed in {self.folder}, and its disk has {free} left for it",
            hint="Set HYPERPLANE_CACHE_DIR to a folder on a larger disk, or make room on this one; "
            "a quota, or the number of files, can be at its end too.",
        )

    def sweep(self, *, reserved_bytes: int = 0) -> None:
        """Remove what others left half removed, and what is unused until the rest is within the limit."""
        for trash in self.folder.glob(f"{TRASH_PREFIX}*"):
            remove_trash(trash)
        sizes = {entry: entry.size_bytes for entry in self._oldest_first()}
        total = sum(sizes.values())
        for entry, size_bytes in sizes.items():
            if total + reserved_bytes <= self.limit_bytes:
                return
            if self.evict(entry):
                total -= size_bytes

    def evict(self, entry: Entry) -> bool:
        """Remove an entry that nobody uses, and say whether it went."""
        hold = take(entry.use_lock)
        if hold is None:
            return False
        with hold:
            entry.remove()
        return True

    def _oldest_first(self) -> list[Entry]:
        return sorted(self.entries(), key=lambda entry: entry.used_at)

    def _free_bytes(self) -> int:
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize


def _on_disk(sizes: Sequence[int]) -> int:
    return sum(-(-size_bytes // _BLOCK_BYTES) * _BLOCK_BYTES for size_bytes in sizes)


def size_text(size_bytes: int) -> str:
    """Return a size as people read it."""
    size, unit = float(size_bytes), 0
    while size >= 1000 and unit < len(_UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return f"{size:.3g} {_UNITS[unit]}"
