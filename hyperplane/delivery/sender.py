"""Sends one file of a run: read once, compared with what it should be, and noted when it has arrived."""

import hashlib
import os
import threading
from typing import NamedTuple

from hyperplane.delivery.inspection import Inspection
from hyperplane.delivery.ledger import Ledger, Stored
from hyperplane.delivery.places import LARGE_BYTES, Destination, Source
from hyperplane.errors import ObjectChangedError, OutputError
from hyperplane.sealing.content import digest_of
from hyperplane.sealing.tree import Tree
from hyperplane.transfer.workers import Budget, Turns

MEMORY_BYTES = 64 << 20


class Item(NamedTuple):
    """A file that is to be delivered under a path, if it is what is expected; None: whatever it is."""

    path: str
    tree: Tree
    name: str
    expected: Stored | None = None


class Sender:
    """Sends files to the folder of a run, several at once, but one large one at a time."""

    def __init__(self, destination: Destination, ledger: Ledger, inspection: Inspection) -> None:
        self._inspection = inspection
        self._destination = destination
        self._ledger = ledger
        self._memory = Budget(MEMORY_BYTES)
        self._turns = Turns()
        self._large = threading.Lock()
        self._counting = threading.Lock()
        self.sent_files = 0
        self.sent_bytes = 0
        self.handled_bytes = 0
        """How much is there or, of large files, on its way; twice where something was tried again."""

    def send(self, item: Item) -> Stored | None:
        """Have a file there, and return what it is, or None where it is not what it should be (any more).

        Raises `StoreError` where the destination fails.
        """
        if item.expected is not None and self._is_there(item.path, item.expected):
            return item.expected
        try:
            size_bytes = _size_of(item)
            if size_bytes > LARGE_BYTES:
                with item.tree.file(item.name) as descriptor:
                    stored = item.expected or Stored(size_bytes, digest_of(descriptor))
                    return self._send_content(item, stored, descriptor)
            with self._memory.use(size_bytes):
                return self._send_data(item, self._read(item, size_bytes))
        except (OutputError, FileNotFoundError):
            return None

    def _read(self, item: Item, size_bytes: int) -> bytes:
        with self._turns.take():
            return item.tree.read(item.name, size_bytes)

    def _send_data(self, item: Item, data: bytes) -> Stored | None:
        found = Stored(len(data), hashlib.sha256(data).hexdigest())
        stored = item.expected or found
        return self._send_content(item, stored, data) if stored == found else None

    def _send_content(self, item: Item, stored: Stored, content: bytes | int) -> Stored | None:
        """Send what a file holds, or the file that is open; everything that leaves for good passes here."""
        if item.expected is None and self._is_there(item.path, stored):
            return stored
        if not self._inspection.lets_pass(item.path, item.name, content):
            return None
        if not self._has_arrived(item.path, stored, content):
            return None
        self._ledger.note_stored(item.path, stored)
        with self._counting:
            self.sent_files += 1
            self.sent_bytes += stored.size_bytes
        return stored

    def _has_arrived(self, path: str, stored: Stored, content: bytes | int) -> bool:
        if not isinstance(content, int):
            self._destination.put(path, content)
            self._note_handled(len(content))
            return True
        try:
            with self._large:
                self._destination.put_large(path, Source(content, *stored, tell=self._note_handled))
        except ObjectChangedError:
            return False
        return True

    def _is_there(self, path: str, stored: Stored) -> bool:
        is_there = self._ledger.is_stored(path, *stored)
        if is_there:
            self._note_handled(stored.size_bytes)
        return is_there

    def _note_handled(self, size_bytes: int) -> None:
        with self._counting:
            self.handled_bytes += size_bytes


def _size_of(item: Item) -> int:
    if item.expected is not None:
        return item.expected.size_bytes
    with item.tree.file(item.name) as descriptor:
        return os.fstat(descriptor).st_size
