"""Runs at their destination: which there are, and what of them can be trusted."""

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from hyperplane import journal
from hyperplane.delivery.folder import FolderDestination
from hyperplane.delivery.index import readings_of
from hyperplane.delivery.ledger import Stored
from hyperplane.delivery.manifest import Final, Manifest
from hyperplane.delivery.places import OUTPUTS, SEALS, Destination
from hyperplane.errors import DeliveryError, ObjectNotFoundError, RunNotFoundError
from hyperplane.journal import Sealed
from hyperplane.masking import Masker
from hyperplane.rundir import RunDir
from hyperplane.sealing.content import digest_of
from hyperplane.sealing.names import trouble
from hyperplane.sealing.restoring import candidates, copy, is_below
from hyperplane.sealing.tree import Tree, leaf_of
from hyperplane.transfer.workers import each

Tick = Callable[[int, int], object]
"""Is told how many files and bytes are there."""
THREADS = 16
# the layout below a destination is that of a run folder
_LAYOUT = RunDir(Path())


class RemoteRun(NamedTuple):
    """One run below a destination; only what its `final.json` says is delivered."""

    job_folder: str
    run_id: str
    place: Destination

    @property
    def url(self) -> str:
        """Where it lies."""
        return self.place.url

    def final(self) -> Final | None:
        """Return how the run ended, or None where it was not delivered. Raises `DeliveryError`."""
        name = _LAYOUT.final.name
        try:
            data = self.place.read(name)
        except ObjectNotFoundError:
            return None
        return Final.parse(data, f"{self.url}{name}")

    def manifest(self, final: Final) -> Manifest:
        """Return what was delivered. Raises `DeliveryError` where it is not what `final.json` speaks of."""
        name = _LAYOUT.manifest.name
        return Manifest.parse(self.place.read(name), f"{self.url}{name}", final.manifest)

    def record(self) -> bytes | None:
        """Return the record of a run that was begun, or None where there is none."""
        with suppress(ObjectNotFoundError):
            return self.place.read(_LAYOUT.record.name)
        return None

    def restore(self, output: str, scratch: Path, masker: Masker) -> bool:
        """Bring an output, a file or a folder, to its name in an empty folder; say whether it is there.

        Of a run that was not delivered to its end, what had been sealed and sent is taken, if it is whole.
        Raises `DeliveryError` for what is not as it was delivered.
        """
        final = self.final()
        if final is None:
            return self._restore_unfinished(output, scratch, masker)
        files = self.manifest(final).files
        wanted = [path for path in files if _is_of(path, output) and trouble(path, masker) is None]
        leaf = leaf_of(output)
        for path in wanted:
            below = path.removeprefix(OUTPUTS + output)
            self._land(path, files[path], FolderDestination(scratch.as_uri()), leaf + below)
        return bool(wanted)

    def _restore_unfinished(self, output: str, scratch: Path, masker: Masker) -> bool:
        try:
            index = self.place.read(SEALS)
        except ObjectNotFoundError:
            return False
        with tempfile.TemporaryDirectory(dir=scratch) as work:
            tree = Tree(Path(work, "found"))
            landing = FolderDestination(tree.root.as_uri())
            for path, _ in self.place.sizes(OUTPUTS + output):
                name = path.removeprefix(OUTPUTS)
                if is_below(name, output) and trouble(name, masker) is None:
                    landing.put_chunks(name, self.place.chunks(path))
            for number, files in enumerate(_versions(index, output, tree, Path(work, "seals"))):
                attempt = Path(work, str(number))
                if copy(files, output, tree, attempt):
                    attempt.rename(scratch / leaf_of(output))
                    return True
        return False

    def _land(self, path: str, stored: Stored, landing: FolderDestination, name: str) -> None:
        landing.put_chunks(name, _verified(self.place.chunks(path), stored, f"{self.url}{path}"))

    def fetch(self, target: Path, masker: Masker, *, tick: Tick = lambda *_: None) -> Final:
        """Bring everything that was delivered to a folder, verified; what is there already stays.

        Raises `RunNotFoundError` where the run was not delivered, `DeliveryError` for what is not as it was.
        """
        final = self.final()
        if final is None:
            raise RunNotFoundError(
                f"the run {self.run_id} is not delivered: there is no {self.url}{_LAYOUT.final.name}",
                hint="`hyperplane deliver` delivers it, where its run folder is.",
                name=self.run_id,
            )
        there = self.manifest(final).files
        landing = FolderDestination(target.absolute().as_uri())
        sizes: list[int] = []

        def land(path: str) -> None:
            if not _has(Tree(target), path, there[path]):
                self._land(path, there[path], landing, path)
            sizes.append(there[path].size_bytes)

        named = (path for path in there if trouble(path, masker) is None)
        each(land, named, threads=THREADS, tick=lambda: tick(len(sizes), sum(sizes)))
        landing.put(_LAYOUT.manifest.name, self.place.read(_LAYOUT.manifest.name))
        landing.put(_LAYOUT.final.name, final.data())
        return final


def runs_at(destination: Destination, job_folder: str | None = None) -> Iterator[RemoteRun]:
    """Yield the runs below a destination, of one job or of all, the newest of each job first."""
    jobs = destination.folders("") if job_folder is None else [job_folder]
    for job in jobs:
        for run_id in sorted(destination.folders(f"{job}/"), reverse=True):
            yield RemoteRun(job, run_id, destination.below(f"{job}/{run_id}/"))


def _versions(index: bytes, output: str, tree: Tree, told: Path) -> Iterator[dict[str, Sealed]]:
    """Yield the files of an output as an index has them, the likeliest first; none where it is removed."""
    for reading in readings_of(index):
        told.write_bytes(reading)
        seals = journal.seals(told)
        if not any(is_below(name, output) for name in seals.sealed):
            return
        yield from candidates(seals, tree, output)


def _is_of(path: str, output: str) -> bool:
    return path.startswith(OUTPUTS) and is_below(path.removeprefix(OUTPUTS), output)


def _verified(chunks: Iterator[bytes | bytearray | memoryview], stored: Stored, url: str) -> Iterator[bytes]:
    digest, size = hashlib.sha256(), 0
    for chunk in chunks:
        digest.update(chunk)
        size += len(chunk)
        yield bytes(chunk)
    if Stored(size, digest.hexdigest()) != stored:
        raise DeliveryError(
            f"{url} is not as it was delivered",
            hint="Somebody else has written it, or its store has damaged it.",
            url=url,
        )


def _has(tree: Tree, path: str, stored: Stored) -> bool:
    found = tree.find(path)
    if found is None or not found.is_file or found.status.st_size != stored.size_bytes:
        return False
    with tree.file(path) as descriptor:
        return digest_of(descriptor) == stored.sha256
