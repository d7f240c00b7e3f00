"""From a store into the cache: what is there is used, the rest is fetched, by one process at a time."""

import errno
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

from hyperplane.errors import InputError, TransferError
from hyperplane.inputcache.contents import Contents, look, version
from hyperplane.inputcache.entry import Entry, Verdict
from hyperplane.inputcache.locking import Hold, share, share_new, take
from hyperplane.inputcache.room import Room, size_text
from hyperplane.stores import Location, ObjectStore
from hyperplane.transfer import Download, Options, ProgressCallback, download

Tell = Callable[..., object]
"""Is told what happens: a level of `logging`, an event, and fields by keyword, as loggers are."""
Watch = Callable[[str], AbstractContextManager[ProgressCallback | None]]

CHANGES_BORNE = 5
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class Source(NamedTuple):
    """Where an input comes from; `key` is a digest that no other source has."""

    store: ObjectStore
    location: Location
    key: str


class Offer(NamedTuple):
    """A file that another entry could lend: a copy of this version of an object."""

    version: str
    size_bytes: int
    crc64nvme: int | None


class Fetching:
    """One visit to the cache, for one input."""

    def __init__(self, source: Source, room: Room, *, tell: Tell, watch: Watch) -> None:
        self._store = source.store
        self._location = source.location
        self._key = source.key
        self._room = room
        self._tell = tell
        self._watch = watch

    def run(self) -> tuple[Path, Hold]:
        """Return the path of the input as it is in the store now, and the lock that keeps it there.

        Raises `InputError` where there is no room, or the input never stays the same.
        """
        contents = self._look()
        earlier: tuple[Entry, Contents] | None = None
        for _ in range(CHANGES_BORNE):
            entry = Entry.of(self._room.folder, self._key, contents.identity)
            hold = share_new(entry.use_lock)
            try:
                found = self._have(entry, contents, earlier)
            except BaseException as error:
                hold.close()
                self._give_up(entry, contents, error)
                raise
            if found is contents:
                hold.touch()
                return entry.content / contents.name, hold
            hold.close()
            earlier, contents = (entry, contents), found
        raise InputError(
            f"it changed each of the {CHANGES_BORNE} times that it was fetched",
            hint="Start the job when nobody writes there any more.",
        )

    def _look(self) -> Contents:
        return look(self._store, self._location)

    def _give_up(self, entry: Entry, contents: Contents, error: BaseException) -> None:
        # what has arrived is for the next try, unless the disk is full of it
        cause = error.__cause__ if isinstance(error, TransferError) else error
        if isinstance(cause, OSError) and cause.errno in _FULL:
            self._room.evict(entry)
            raise self._room.is_full(self._missing_sizes(entry, contents)) from error

    def _have(self, entry: Entry, contents: Contents, earlier: tuple[Entry, Contents] | None) -> Contents:
        """Have the entry be whole, and return what it should hold: something newer when it is not."""
        if self._is_good(entry, contents):
            self._tell(logging.DEBUG, "an input is in the cache", url=str(self._location))
            return contents
        alone = take(entry.fetch_lock, waiting=self._say_waiting)
        if alone is None:  # somebody has removed the cache
            return self._look()
        with alone:
            if self._is_good(entry, contents):
                return contents
            return self._fetch(entry, contents, earlier)

    def _say_waiting(self) -> None:
        self._tell(logging.INFO, "waiting for another process that fetches an input", url=str(self._location))

    def _is_good(self, entry: Entry, contents: Contents) -> bool:
        if not entry.is_whole:
            return False
        verdict = entry.examine()
        if verdict.wrong or not (entry.content / contents.name).exists():
            return False
        if verdict.is_touched:
            entry.refresh(verdict)
        return True

    def _fetch(self, entry: Entry, contents: Contents, earlier: tuple[Entry, Contents] | None) -> Contents:
        known = self._reopen(entry, contents)
        for donor, offers in self._donors(entry, earlier):
            known |= self._borrow(entry, contents, donor, offers)
        self._warn_of_size(contents)
        self._room.make(self._missing_sizes(entry, contents))
        kept = self._download(entry, contents)
        found = self._look()
        arrived = {path: one.st_size for path, one in entry.files()}
        expected = {path: info.size_bytes for path, info in contents.objects.items()}
        if found.identity != contents.identity or arrived != expected:
            return found
        # first, for a file that loses a link is touched, and would be read again the next time
        self._remove_superseded(entry)
        entry.seal(str(self._location), contents, {path: known[path] for path in known.keys() & kept})
        return contents

    def _reopen(self, entry: Entry, contents: Contents) -> dict[str, int]:
        """Prepare an entry that is not whole or damaged, and return the checksums of its good files."""
        verdict = entry.examine() if entry.is_whole else Verdict({}, frozenset(), is_touched=False)
        if entry.is_whole:
            self._tell(
                logging.WARNING,
                "an input in the cache was damaged, and is fetched anew",
                url=str(self._location),
                files=len(verdict.wrong),
            )
        entry.reopen()
        entry.clear(contents.objects, verdict.wrong)
        return {path: record.crc64nvme for path, record in verdict.good.items()}

    def _donors(
        self, entry: Entry, earlier: tuple[Entry, Contents] | None
    ) -> Iterator[tuple[Entry, Mapping[str, Offer]]]:
        """Yield other versions of the same input, with what they have."""
        if earlier is not None:
            donor, contents = earlier
            sizes = {path: found.st_size for path, found in donor.files()}
            arrived = {
                path: one for path, one in contents.objects.items() if sizes.get(path) == one.size_bytes
            }
            yield donor, {path: Offer(version(one), one.size_bytes, None) for path, one in arrived.items()}
        for donor in self._others(entry):
            if donor.is_whole and (hold := share(donor.use_lock)) is not None:
                with hold:
                    good = donor.examine().good
                    yield donor, {path: Offer(*record[:3]) for path, record in good.items()}

    def _borrow(
        self, entry: Entry, contents: Contents, donor: Entry, offers: Mapping[str, Offer]
    ) -> dict[str, int]:
        """Link what is the same in both versions, and return the checksums that are known of it."""
        absent = contents.objects.keys() - dict(entry.files()).keys()
        same = [
            path
            for path in absent & offers.keys()
            if offers[path][:2] == (version(contents.objects[path]), contents.objects[path].size_bytes)
        ]
        linked = entry.link(donor, same)
        return {path: known for path in linked if (known := offers[path].crc64nvme) is not None}

    def _others(self, entry: Entry) -> Iterable[Entry]:
        same_source = (other for other in self._room.entries() if other.source == entry.source)
        return [other for other in same_source if other != entry]

    def _missing_sizes(self, entry: Entry, contents: Contents) -> list[int]:
        there = {path: found.st_size for path, found in entry.files() if found.st_mtime_ns}
        sizes = {path: info.size_bytes for path, info in contents.objects.items()}
        return [size_bytes for path, size_bytes in sizes.items() if there.get(path) != size_bytes]

    def _warn_of_size(self, contents: Contents) -> None:
        size_bytes = sum(info.size_bytes for info in contents.objects.values())
        if 0 < self._room.limit_bytes < size_bytes:
            self._tell(
                logging.WARNING,
                "an input is larger than HYPERPLANE_CACHE_LIMIT, and is fetched by every run",
                url=str(self._location),
                size=size_text(size_bytes),
                limit=size_text(self._room.limit_bytes),
            )

    def _download(self, entry: Entry, contents: Contents) -> set[str]:
        """Fetch what is missing, and return the paths of what was there."""
        what = Download(prefix=self._location.key, target=entry.content / contents.name)
        with self._watch("download") as progress:
            transfer = download(self._store, what, Options(skip_unchanged=True, progress=progress))
        self._tell(
            logging.INFO,
            "fetched an input",
            url=str(self._location),
            files=len(transfer.files),
            size_bytes=transfer.size_bytes,
            seconds=round(transfer.seconds, 3),
        )
        start = f"{contents.name}/" if what.is_folder else ""
        return {f"{start}{name}" for name in transfer.skipped}

    def _remove_superseded(self, entry: Entry) -> None:
        for other in self._others(entry):
            self._room.evict(other)
