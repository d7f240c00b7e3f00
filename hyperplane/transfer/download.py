"""Downloads: an object or a folder of them, each whole under its name or not there at all."""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice
from operator import add
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from hyperplane.errors import HyperplaneError, ObjectChangedError, ObjectNotFoundError, StoreError, UsageError
from hyperplane.stores.objects import ObjectInfo, ObjectStore, is_plain_md5
from hyperplane.stores.retrying import PATIENCE, retry
from hyperplane.transfer import checking
from hyperplane.transfer.checking import RangeSums
from hyperplane.transfer.landing import Landing, Part, start_sync, sync_data
from hyperplane.transfer.names import Clashes, local_parts
from hyperplane.transfer.outcome import Derived, Tally, Transfer
from hyperplane.transfer.running import RANGE_THREADS, Options, at_least, finished, raise_fatal, run
from hyperplane.transfer.workers import Cancellation, Workers, ahead

RANGED_BYTES = 48 << 20
SMALLEST_RANGE_BYTES = 16 << 20
LARGEST_RANGE_BYTES = 64 << 20
TOLD_BYTES = 8 << 20
CHANGES_BORNE = 3
SETTLED_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """What to copy where: the objects below `prefix`, or the one of that key, to `target`.

    For a folder (an empty prefix or one with a final slash) `target` is the folder that becomes its
    copy; for one object it is the file. Missing folders are made.
    """

    prefix: str
    target: Path

    @property
    def is_folder(self) -> bool:
        """Whether this is about all objects below a prefix."""
        return not self.prefix or self.prefix.endswith("/")


class _Item(NamedTuple):
    name: str
    parts: tuple[str, ...]
    info: ObjectInfo


def download(store: ObjectStore, what: Download, options: Options) -> Transfer:
    """Copy objects to local files.

    Raises `ObjectNotFoundError` where there is nothing to copy, `TransferError` where some could not be
    copied (the others were) or fewer than `min_files` fit, `StoreError` where the store cannot be used.
    """
    return _Downloading(store, what, options).run()


class _Downloading:
    def __init__(self, store: ObjectStore, what: Download, options: Options) -> None:
        self._cancellation = Cancellation()
        self._patience = replace(PATIENCE, sleep=self._cancellation.sleep)
        self._store = store.patient(self._cancellation.sleep)
        self._what = what
        self._options = options
        self._tally = Tally()
        self._one_large = Lock()
        folder = what.target if what.is_folder else what.target.parent
        # one object alone is asked for by its key; a listing would need a permission more
        found = self._listed() if what.is_folder else self._single()
        items = at_least(found, options.min_files, f"{store.url}/{what.prefix}")
        # where there is nothing to copy, no folder is made
        self._items = chain(list(islice(items, 1)), items)
        self._landing = Landing(folder)
        self._clashes = Clashes(folds_names=self._landing.folds_names)

    def run(self) -> Transfer:
        what = f"{self._store.url}/{self._what.prefix}"
        try:
            run(self._take, self._all(), self._options, self._tally, self._cancellation)
        except OSError as error:
            raise_fatal(error, self._tally, what, self._transfer())
        finally:
            self._landing.close()
        return finished(self._tally, what, self._transfer())

    def _all(self) -> Iterator[_Item]:
        for item in self._items:
            try:
                self._clashes.check(item.name)
            except UsageError as error:
                self._tally.failures[item.name] = error
            else:
                yield item

    def _single(self) -> Iterator[_Item]:
        name = self._what.target.name
        is_wanted = self._options.filter.takes(self._what.prefix.rpartition("/")[2])
        if is_wanted and (parts := self._usable_parts(name)):
            yield _Item(name, parts, self._found(self._what.prefix))

    def _found(self, key: str) -> ObjectInfo:
        try:
            return self._store.head(key)
        except ObjectNotFoundError:
            if self._is_folder(key):
                raise ObjectNotFoundError(
                    f"there is no object {self._store.url}/{key}",
                    hint=f"There is a folder: write {key}/ with a final slash.",
                    url=f"{self._store.url}/{key}",
                ) from None
            raise

    def _is_folder(self, key: str) -> bool:
        with suppress(StoreError):  # to list may be forbidden
            return next(self._store.pages(f"{key}/"), None) is not None
        return False

    def _listed(self) -> Iterator[_Item]:
        prefix = self._what.prefix
        is_empty = True
        for page in ahead(self._store.pages(prefix)):
            is_empty = is_empty and not page
            for info in page:
                name = info.key.removeprefix(prefix)
                is_wanted = not _is_marker(name, info) and self._options.filter.takes(name)
                if is_wanted and (parts := self._usable_parts(name)):
                    yield _Item(name, parts, info)
        if is_empty and prefix:
            url = f"{self._store.url}/{prefix}"
            raise ObjectNotFoundError(
                f"there is nothing below {url}", hint="Mend the name of the folder.", url=url
            )

    def _usable_parts(self, name: str) -> tuple[str, ...]:
        try:
            return local_parts(name)
        except UsageError as error:
            self._tally.failures[name] = error
            return ()

    def _take(self, item: _Item) -> None:
        try:
            if self._options.skip_unchanged and self._is_unchanged(item.parts, item.info):
                self._tally.skipped.append(item.name)
                return
            size_bytes = self._fetch(item.parts, item.info)
        except (HyperplaneError, OSError) as error:
            self._tally.add_failure(item.name, error)
        else:
            self._tally.add_done(item.name, size_bytes)

    def _is_unchanged(self, parts: tuple[str, ...], info: ObjectInfo) -> bool:
        found = self._landing.stat(parts)
        if found is None or not stat.S_ISREG(found.st_mode) or found.st_size != info.size_bytes:
            return False
        if info.modified is not None and _is_settled_copy(found, int(info.modified.timestamp())):
            return True
        if not is_plain_md5(info.etag):
            return False
        descriptor = self._landing.open(parts)
        try:
            return checking.file_md5(descriptor) == (info.etag or "").strip('"')
        finally:
            os.close(descriptor)

    def _fetch(self, parts: tuple[str, ...], info: ObjectInfo) -> int:
        """Fetch one object, and return its size; what changes or is damaged on its way is fetched anew."""
        for _ in range(CHANGES_BORNE):
            with suppress(ObjectChangedError):
                return self._fetch_patiently(parts, info)
            info = self._store.head(info.key)
        return self._fetch_patiently(parts, info)

    def _fetch_patiently(self, parts: tuple[str, ...], info: ObjectInfo) -> int:
        return retry(partial(self._fetch_once, parts, info), renew=_nothing, patience=self._patience)

    def _fetch_once(self, parts: tuple[str, ...], info: ObjectInfo) -> int:
        with self._landing.part(parts) as part:
            if info.size_bytes < RANGED_BYTES or info.etag is None:
                info = self._stream(part, info)
            else:
                self._fetch_ranges(part, info)
            part.finish(info.modified)
            return info.size_bytes

    def _stream(self, part: Part, info: ObjectInfo) -> ObjectInfo:
        position = 0
        with self._store.read(info.key) as reading:
            digest = checking.new_digest(reading.info)
            for chunk in reading.chunks:
                self._cancellation.check()
                part.write(chunk, position)
                position += len(chunk)
                if digest is not None:
                    digest.update(chunk)
                self._tally.add_bytes(len(chunk))
        checking.check_stream(self._store, part.descriptor, reading.info, digest)
        return reading.info

    def _fetch_ranges(self, part: Part, info: ObjectInfo) -> None:
        sums = RangeSums()
        size = min(LARGEST_RANGE_BYTES, max(SMALLEST_RANGE_BYTES, info.size_bytes // 16))
        ranges = ((start, min(start + size, info.size_bytes)) for start in range(0, info.size_bytes, size))
        fetch = partial(self._fetch_range, part, info, sums)
        with self._one_large:
            Workers(fetch, ranges, Cancellation(self._cancellation)).run(RANGE_THREADS)
        self._cancellation.check()
        known = self._store.checksums(info.key)
        checking.check_whole(f"{self._store.url}/{info.key}", part.descriptor, info, known, sums)

    def _fetch_range(self, part: Part, info: ObjectInfo, sums: RangeSums, span: tuple[int, int]) -> None:
        start, stop = span
        position, value, told = start, 0, start
        with self._store.read(info.key, start, stop, etag=info.etag) as reading:
            for chunk in reading.chunks:
                part.write(chunk, position)
                value = sums.update(memoryview(chunk), value)
                position += len(chunk)
                if position - told >= TOLD_BYTES:
                    self._cancellation.check()
                    self._tally.add_bytes(position - told)
                    start_sync(part.descriptor, told, position - told)
                    told = position
        self._tally.add_bytes(position - told)
        sums.add(start, position - start, value)
        # while other ranges are on their way, so that the whole has not to wait for it in the end
        sync_data(part.descriptor)

    def _transfer(self) -> Transfer:
        tally, what = self._tally, self._what
        names = sorted(tally.done)
        files = Derived(what.target.joinpath, names) if what.is_folder else [what.target for _ in names]
        keys = Derived(partial(add, f"{self._store.url}/{what.prefix}"), names)
        return Transfer(
            files=files,
            urls=keys if what.is_folder else [f"{self._store.url}/{what.prefix}" for _ in names],
            skipped=sorted(tally.skipped),
            size_bytes=tally.size_bytes,
            seconds=tally.seconds,
        )


def _is_marker(name: str, info: ObjectInfo) -> bool:
    return info.size_bytes == 0 and (not name or name.endswith("/"))


def _is_settled_copy(found: os.stat_result, modified: int) -> bool:
    """Say whether a file has the object's time, and got it when that could not be another object's too.

    Times of objects are whole seconds: one that was replaced within its second would look the same.
    """
    return int(found.st_mtime) == modified and found.st_ctime > modified + SETTLED_S


def _nothing() -> None:
    """Renew nothing: the store has done it."""
