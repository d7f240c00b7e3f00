"""What seals say, for a run whose disk is lost: it lies at the destination while the job runs."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from hyperplane.delivery.ledger import Stored
from hyperplane.delivery.places import OUTPUTS
from hyperplane.delivery.tail import SealTail, whole_lines
from hyperplane.journal import OF_SEALS, Sealed
from hyperplane.sealing.sealer import event_of
from hyperplane.stores.objects import Buffer

_LONG_BYTES = 1 << 20
_UP_TO_HERE = b'{"kind": "shortened"}\n'


class SealIndex:
    """The lines of the events that say what was sealed, with all versions that may be there.

    It would grow with every version; but of those that were replaced, what was not sent will not be.
    """

    def __init__(self, events: Path) -> None:
        self._events = events
        self._there = b""
        self._position = 0

    def data(self) -> Buffer:
        """Return the index as it is to be sent."""
        found = bytearray(self._there)
        for line in whole_lines(self._events, self._position):
            if OF_SEALS.search(line):
                found += line
        return found

    def shorten(self, tail: SealTail, stored: Mapping[str, Stored]) -> None:
        """Leave out versions that the tail has seen replaced and that are not there, where it is long.

        To be called while nothing is on its way: what is there is `stored`, by path.
        """
        is_long = tail.position - self._position > _LONG_BYTES + 2 * len(self._there)
        if is_long and not tail.unfinished:
            items = (item for name in tail.sealed for item in _versions(tail.sealed[name], stored))
            lines = (json.dumps({"kind": "sealed", **event_of(item)}) for item in items)
            self._there = "".join(f"{line}\n" for line in lines).encode() + _UP_TO_HERE
            self._position = tail.position


def _versions(sealed: Sealed, stored: Mapping[str, Stored]) -> Iterator[Sealed]:
    """Yield what is there of an output, if that is not yet what was sealed last, and what was."""
    there = stored.get(OUTPUTS + sealed.name)
    if there not in {None, Stored.of(sealed)}:
        yield Sealed(sealed.name, *there, folder=sealed.folder)
    yield sealed


def readings_of(index: bytes) -> Iterator[bytes]:
    """Yield what was sealed at last, and what was sealed when it was shortened: that may be there still."""
    yield index
    there, mark, later = index.partition(_UP_TO_HERE)
    if mark and later:
        yield there
