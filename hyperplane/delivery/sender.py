"""Sends one file of a run: read once, compared with what it should be, and noted when it has arrived."""

import hashlib
import os
import threading
from typing import NamedTuple

from hyperplane.delivery.evidence import read_at
from hyperplane.delivery.inspection import Inspection
from hyperplane.delivery.ledger import Ledger, Stored
from hyperplane.delivery.places import LARGE_BYTES, Destination, Source
from hyperplane.errors import ObjectChangedError, OutputError
from hyperplane.sealing.content import digest_of
from hyperplane.sealing.tree import Tree
from hyperplane.transfer.workers import Budget

MEMORY_BYTES = 64 << 20


class Item(NamedTuple):
    """A file that is to be delivered under a path: the first `size_bytes` of it, which have this sha256.

    `size_bytes` -1: all that it holds, whatever that is. `is_complete`: it was sealed, or is ours.
    """

    path: str
    tree: Tree
    name: str
    size_bytes: int = -1
    sha256: str = ""
    is_complete: bool = True


class Sender:
    """Sends files to the folder of a run, several at once, but one large one at a time."""

    def __init__(self, destination: Destination, ledger: Ledger, inspection: Inspection) -> None:
        self._inspection = inspection
        self._destination = destination
        self._ledger = ledger
        self._memory = Budget(MEMORY_BYTES)
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
        if self._ledger.is_stored(item.path, item.size_bytes, item.sha256):
            self._note_handled(item.size_bytes)
            return Stored(item.size_bytes, item.sha256)
        try:
            with item.tree.file(item.name) as descriptor:
                return self._send_open(item, descriptor)
        except (OutputError, FileNotFoundError):
            return None

    def _send_open(self, item: Item, descriptor: int) -> Stored | None:
        if item.size_bytes >= 0:
            stored = Stored(item.size_bytes, item.sha256)
        else:
            stored = Stored(os.fstat(descriptor).st_size, digest_of(descriptor))
            if self._ledger.is_stored(item.path, *stored):
                self._note_handled(stored.size_bytes)
                return stored
        if not self._inspection.lets_pass(item.path, item.name, descriptor):
            return None
        if not self._has_arrived(item.path, Source(descriptor, *stored, tell=self._note_handled)):
            return None
        self._ledger.note_stored(item.path, stored)
        with self._counting:
            self.sent_files += 1
            self.sent_bytes += stored.size_bytes
        return stored

    def _note_handled(self, size_bytes: int) -> None:
        with self._counting:
            self.handled_bytes += size_bytes

    def _has_arrived(self, path: str, source: Source) -> bool:
        """Send the content; this is where everything that leaves the run folder for good passes."""
        if source.size_bytes > LARGE_BYTES:
            try:
                with self._large:
                    self._destination.put_large(path, source)
            except ObjectChangedError:
                return False
            return True
        with self._memory.use(source.size_bytes):
            data = read_at(source, 0, source.size_bytes)
            if len(data) != source.size_bytes or hashlib.sha256(data).hexdigest() != source.sha256:
                return False
            self._destination.put(path, data)
        source.tell(source.size_bytes)
        return True
