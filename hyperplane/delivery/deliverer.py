"""Delivers one run: what it seals while it runs, the rest when it has ended, and last how it ended."""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from hyperplane.delivery import evidence
from hyperplane.delivery.bucket import BucketDestination
from hyperplane.delivery.contents import Outputs
from hyperplane.delivery.index import SealIndex
from hyperplane.delivery.inspection import Inspection
from hyperplane.delivery.ledger import Ledger, Stored, Summary
from hyperplane.delivery.manifest import Final, write_manifest
from hyperplane.delivery.places import LIVE, OUTPUTS, PARTIAL, SEALS, Destination, Source
from hyperplane.delivery.sender import Item, Sender
from hyperplane.delivery.tail import SealTail
from hyperplane.errors import DeliveryError, ObjectExistsError, ObjectNotFoundError, OutputError, StoreError
from hyperplane.masking import Masker
from hyperplane.rundir import RunDir, sync_folder, write_atomic
from hyperplane.sealing.content import read_content
from hyperplane.sealing.tree import Tree
from hyperplane.transfer.workers import each

T = TypeVar("T")

THREADS = 24
TRIES = 3
# of the time, what is sent besides outputs while the job runs may take so much
INDEX_SHARE = 20
INDEX_EVERY_S = 1.0
FIRST_PAUSE_S = 2.0
LONGEST_PAUSE_S = 60.0
_OF_JOB = (OUTPUTS, PARTIAL)


class Ending(NamedTuple):
    """How a run ended, as its deliverer is told: its record, and whether all of its outputs are sealed."""

    record: Mapping[str, Any]
    is_complete: bool


class Done(NamedTuple):
    """What has been delivered, and what could not be as it was sealed, a sentence each."""

    summary: Summary
    problems: tuple[str, ...]


Progress = Callable[[int, int, int, int], object]
"""Is told of files and bytes: done, all, done, all."""


class Deliverer:
    """The delivery of one run to its folder at a destination; whoever holds the run's lock makes one."""

    def __init__(self, run: RunDir, destination: Destination, outputs: Path, masker: Masker) -> None:
        self.run = run
        self.destination = destination
        self.ledger = Ledger(run.delivery)
        self._outputs = Outputs(run, outputs, masker)
        self._tail = SealTail(run.events)
        self._index = SealIndex(run.events)
        self._inspection = Inspection(run, masker)
        self._sender = Sender(destination, self.ledger, self._inspection)
        self._waiting: set[str] = set()
        self._index_at = self._retry_at = 0.0
        self._pause_s = FIRST_PAUSE_S
        self._keeps_removed = False
        self.problem = ""
        if isinstance(destination, BucketDestination):
            destination.uploads = self.ledger.uploads
            destination.note = self.ledger.note_upload

    def begin(self, url: str, record: bytes) -> None:
        """Write the run's record to the destination, which shows that it can be written to.

        Raises `StoreError` where it cannot.
        """
        self.ledger.note_begun(url, str(self._outputs.chosen))
        # after a power cut the run must be found, to be delivered
        for folder in self.run.folders_above():
            sync_folder(folder)
        self.destination.put(self.run.record.name, record)

    def close(self) -> None:
        """Write the rest of the ledger, and close it."""
        self.ledger.close()

    # While the job runs

    def step(self) -> None:
        """Send what was sealed since the last time. A failure of the store is tried again later."""
        self._waiting |= self._tail.read_on()
        now = time.monotonic()
        if not self._waiting or now < max(self._index_at, self._retry_at):
            return
        names, self._waiting = self._waiting, set()
        try:
            self._send_index(now)
            self._send_sealed(names)
            self._delete_removed(names)
            self._index.shorten(self._tail, self.ledger.stored)
        except StoreError as error:
            self._waiting |= names
            self.problem = error.message
            self._retry_at = time.monotonic() + self._pause_s
            self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
        else:
            self.problem, self._pause_s = "", FIRST_PAUSE_S

    def _send_index(self, began: float) -> None:
        """Send what seals say first: should this disk be lost, it tells whoever comes what is whole."""
        self.destination.put(SEALS, self._index.data())
        took_s = time.monotonic() - began
        self._index_at = began + max(INDEX_EVERY_S, INDEX_SHARE * took_s)

    def _send_sealed(self, names: Iterable[str]) -> None:
        sealed = [self._tail.sealed[name] for name in names if name in self._tail.sealed]
        # what is not as it was sealed was replaced meanwhile, which the events will say, or at the end
        self._each(self._sender.send, map(self._outputs.item_of, sealed), len(sealed))

    def _each(
        self,
        work: Callable[[T], object],
        things: Iterable[T],
        count: int,
        tick: Callable[[], object] = lambda: None,
    ) -> None:
        """Have so many things done at once, as `each` does; what is noted is written on each tick."""

        def tick_and_write() -> None:
            self.ledger.flush()
            tick()

        try:
            each(work, things, threads=min(THREADS, max(1, count)), tick=tick_and_write)
        finally:
            self.ledger.flush()

    def _delete_removed(self, names: Iterable[str]) -> None:
        gone = [OUTPUTS + name for name in names if name in self._tail.removed]
        self._delete([path for path in gone if path in self.ledger.stored])

    def _delete(self, paths: Sequence[str]) -> None:
        if self._keeps_removed or not paths:
            return
        try:
            self.destination.delete(paths)
        except PermissionError:
            # who may add and not delete keeps what was removed; the manifest says so
            self._keeps_removed = True
            return
        for path in paths:
            self.ledger.note_deleted(path)

    # When it has ended

    def finish(self, ending: Ending, progress: Progress = lambda *_: None) -> Done:
        """Deliver everything, and last of all say how the run ended; doing it again changes nothing.

        Raises `DeliveryError` or `StoreError` where it is not all there; what is there, stays.
        """
        began = time.monotonic()
        final = self._known_final() or self._deliver(ending, progress)
        self._tidy()
        sent = self._sender
        took_s = round(time.monotonic() - began, 3)
        summary = Summary(final.files, final.size_bytes, sent.sent_files, sent.sent_bytes, took_s)
        self.ledger.note_final(summary)
        return Done(summary, final.problems)

    def _deliver(self, ending: Ending, progress: Progress) -> Final:
        self._tail.read_on()
        there, problems = self._send_all(ending, progress)
        self._inspection.check()
        final = self._write_down(there, [*problems, *self._inspection.sentences], ending)
        self._look_over(there)
        self._say_final(final)
        return final

    def _tidy(self) -> None:
        """Remove what nobody reads any more, and what deliverers that were killed have left."""
        with suppress(StoreError):
            self.destination.delete([path for path, _ in self.destination.sizes(LIVE)])
        if self.ledger.is_resumed:
            with suppress(StoreError):  # the store may not allow to look: its own rules clean up then
                self.destination.clean()

    def _known_final(self) -> Final | None:
        """Return what an earlier delivery has said last, where it did get there."""
        if not self.run.final.exists():
            return None
        ours, url = self.run.final.read_bytes(), f"{self.destination.url}{self.run.final.name}"
        try:
            theirs = self.destination.read(self.run.final.name)
        except ObjectNotFoundError:
            return None
        return self._agreed(Final.parse(ours, str(self.run.final)), Final.parse(theirs, url))

    def _agreed(self, ours: Final, theirs: Final) -> Final:
        if (ours.run_id, ours.manifest) == (theirs.run_id, theirs.manifest):
            return theirs
        raise DeliveryError(
            f"{self.destination.url} holds another run: somebody else has delivered there",
            hint="Move what is there, or give HYPERPLANE_OUTPUT_URL another prefix, and deliver again.",
            run_id=self.run.run_id,
            url=self.destination.url,
        )

    def _send_all(self, ending: Ending, progress: Progress) -> tuple[dict[str, Stored], list[str]]:
        """Return what is there then, by path, and what could not be sent as it was sealed."""
        items, problems = self._outputs.contents(self._tail, is_complete=ending.is_complete)
        there: dict[str, Stored] = {}
        changed: list[Item] = []
        sizes = [item.expected.size_bytes if item.expected else 0 for item in items]
        all_files, all_bytes = len(sizes), sum(sizes)

        def send(item: Item) -> None:
            stored = self._sender.send(item)
            if stored is not None:
                there[item.path] = stored
            elif not self._inspection.is_kept_back(item.path):
                changed.append(item)

        before = self._sender.handled_bytes

        def tick() -> None:
            handled = self._sender.handled_bytes - before
            progress(len(there), all_files, min(handled, all_bytes), all_bytes)

        self._each(send, items, all_files, tick)
        for item in changed:
            stored = self._send_changed(item) if ending.is_complete else self._earlier(item, problems)
            if stored is not None:
                there[item.path] = stored
        return there, problems

    def _send_changed(self, item: Item) -> Stored:
        """Send a file of a job that has succeeded as it is now: somebody still writes to it."""
        for _ in range(TRIES):
            stored = self._sender.send(_as_it_is(item))
            if stored is not None:
                return stored
        raise DeliveryError(
            f"the output {item.name!r} changes while it is delivered",
            hint="End what writes to it, and deliver again.",
            run_id=self.run.run_id,
        )

    def _earlier(self, item: Item, problems: list[str]) -> Stored | None:
        """Return the version of an output that was sent before the job changed it without sealing it."""
        stored = self.ledger.stored.get(item.path)
        if item.path.startswith(PARTIAL):
            problems.append(f"{item.name!r} was not complete, and could not be read")
        elif stored is None:
            problems.append(f"{item.name!r} was changed or removed after it was sealed, and is lost")
        else:
            problems.append(f"{item.name!r} is an earlier version: the job changed it after sealing it")
        return stored

    def _write_down(self, there: Mapping[str, Stored], problems: Sequence[str], ending: Ending) -> Final:
        """Write manifest and final to the run folder, and the manifest to the destination."""
        run, record = self.run, ending.record
        removed = sorted(name for name in self._tail.removed if OUTPUTS + name not in there)
        with self._written(run.manifest):
            manifest = write_manifest(run.manifest, there, removed)
        tree = Tree(run.path, can_be_link=False)
        if self._sender.send(Item(run.manifest.name, tree, run.manifest.name, manifest)) is None:
            raise DeliveryError(f"{run.manifest} was changed while it was delivered", run_id=run.run_id)
        self.destination.put(run.record.name, json.dumps({**record, "delivery": "delivered"}).encode())
        return Final(
            job_id=str(record.get("job_id", "")),
            run_id=run.run_id,
            outcome=str(record.get("outcome", "")),
            exit_code=record.get("exit_code"),
            manifest=manifest,
            files=len(there),
            size_bytes=sum(stored.size_bytes for stored in there.values()),
            group=record.get("group"),
            rank=record.get("rank") or 0,
            problems=tuple(problems),
            record={**record, "delivery": "delivered"},
        )

    def _look_over(self, there: Mapping[str, Stored]) -> None:
        """See that everything is there, and nothing else, before saying so: by listing it.

        What was there with other contents before is asked for its own: a request that was given up
        may have overtaken the one that came after it.
        """
        strays, missing = [], set(there)
        for path, size_bytes in self.destination.sizes(""):
            if path in there and there[path].size_bytes == size_bytes:
                missing.discard(path)
            if path not in there and path.startswith(_OF_JOB):
                strays.append(path)
        self._delete(strays)
        missing.update(self._overtaken({path: there[path] for path in self.ledger.rewritten & there.keys()}))
        if not missing:
            return
        for path in missing:
            self.ledger.note_deleted(path)
        raise DeliveryError(
            f"{len(missing)} of {len(there)} files are not there as they were sent, such as {min(missing)}",
            hint="Something else removes or replaces them; deliver again.",
            run_id=self.run.run_id,
            url=self.destination.url,
        )

    def _overtaken(self, rewritten: Mapping[str, Stored]) -> list[str]:
        found: list[str] = []

        def look(path: str) -> None:
            if not self._is_as_sent(path, rewritten[path]):
                found.append(path)

        self._each(look, rewritten, len(rewritten))
        return found

    def _is_as_sent(self, path: str, stored: Stored) -> bool:
        """Compare an object with our file, where that is still what was sent, else read it back."""
        item = self._item_at(path)
        try:
            with item.tree.file(item.name) as descriptor:
                source = Source(descriptor, *stored)
                if evidence.is_read_as(evidence.pieces(source), source):
                    return self.destination.holds(path, source)
        except (OutputError, FileNotFoundError):  # the job has removed or replaced it since
            pass
        return evidence.is_read_as(self.destination.chunks(path), Source(-1, *stored))

    def _item_at(self, path: str) -> Item:
        if path.startswith(OUTPUTS) and (sealed := self._tail.sealed.get(path.removeprefix(OUTPUTS))):
            return self._outputs.item_of(sealed)
        return Item(path, Tree(self.run.path, can_be_link=False), path)

    def _say_final(self, final: Final) -> None:
        data = final.data()
        with self._written(self.run.final):
            write_atomic(self.run.final, data)
        try:
            self.destination.create(self.run.final.name, data)
        except ObjectExistsError:
            url = f"{self.destination.url}{self.run.final.name}"
            self._agreed(final, Final.parse(self.destination.read(self.run.final.name), url))

    @contextmanager
    def _written(self, path: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DeliveryError(
                f"{path} cannot be written: {error.strerror or error}",
                hint="Make room on the disk, and deliver again.",
                run_id=self.run.run_id,
            ) from error


def _as_it_is(item: Item) -> Item:
    try:
        with item.tree.file(item.name) as descriptor:
            content = read_content(item.name, descriptor)
    except (OutputError, FileNotFoundError):
        return item
    return item._replace(expected=Stored.of(content))
