"""What of a run is to be delivered when it has ended: its logs, what was sealed, and what was not."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from hyperplane import journal
from hyperplane.delivery.ledger import Stored
from hyperplane.delivery.places import OUTPUTS, PARTIAL
from hyperplane.delivery.sender import Item
from hyperplane.delivery.tail import SealTail
from hyperplane.errors import OutputError
from hyperplane.journal import Sealed, one_line
from hyperplane.masking import Masker
from hyperplane.rundir import RunDir
from hyperplane.sealing.content import digest_of
from hyperplane.sealing.names import trouble
from hyperplane.sealing.restoring import kept
from hyperplane.sealing.tree import Entry, Tree

# a file written in the second in which the run began
_CLOCK_STEP_S = 1.0


class Contents(NamedTuple):
    """What is to be delivered, in this order, and what cannot be, a sentence each."""

    items: list[Item]
    problems: list[str]


class Outputs:
    """The outputs folders of a run: its own or the one that was chosen for it, and any that a seal names."""

    def __init__(self, run: RunDir, chosen: Path, masker: Masker) -> None:
        self.run = run
        self.chosen = chosen
        self.masker = masker
        self._trees: dict[str | None, Tree] = {}

    def tree_of(self, folder: str | None) -> Tree:
        """Return the folder that a seal names; None is the run's own."""
        if folder not in self._trees:
            path = self.run.outputs if folder is None else Path(folder)
            self._trees[folder] = Tree(path, can_be_link=path != self.run.outputs)
        return self._trees[folder]

    def item_of(self, sealed: Sealed) -> Item:
        """Return what a sealed output is to be delivered as."""
        tree = self.tree_of(sealed.folder)
        return Item(OUTPUTS + sealed.name, tree, sealed.name, Stored.of(sealed))

    def sealed_at_last(self, tail: SealTail) -> dict[str, Sealed]:
        """Return what is sealed, where a replacement may have been cut short: what is there, counts."""
        if not tail.unfinished:
            return dict(tail.sealed)
        seals = journal.seals(self.run.events)
        folders = dict.fromkeys(item.folder for begun in seals.begun for item in begun.files.values())
        sealed = dict(tail.sealed)
        for folder in folders:
            sealed = kept(replace(seals, sealed=sealed), self.tree_of(folder))
        return sealed

    def contents(self, tail: SealTail, *, is_complete: bool) -> Contents:
        """Return everything: logs first, then what was sealed since the stop, then the smallest.

        `is_complete`: the job has succeeded, and every file of its outputs was sealed.
        """
        sealed = self.sealed_at_last(tail)
        whole = sorted(
            sealed.values(), key=lambda item: (item.name not in tail.since_stop, item.size_bytes, item.name)
        )
        problems: list[str] = []
        left = [] if is_complete else list(self._partial(sealed, problems))
        return Contents([*self._logs(), *map(self.item_of, whole), *left], problems)

    def _logs(self) -> Iterator[Item]:
        run = self.run
        tree = Tree(run.path, can_be_link=False)
        for path in (run.events, run.stdout_log, run.stderr_log):
            if path.is_file():
                yield Item(path.name, tree, path.name)

    def _partial(self, sealed: dict[str, Sealed], problems: list[str]) -> Iterator[Item]:
        chosen = None if self.chosen == self.run.outputs else str(self.chosen)
        tree = self.tree_of(chosen)
        try:
            for entry in tree.walk():
                if entry.is_file and self._is_of_run(entry, chosen) and not _is_sealed(entry, sealed, tree):
                    if reason := trouble(entry.name, self.masker):
                        shown = one_line(self.masker.mask(entry.name))
                        problems.append(f"{shown!r} is not delivered: {reason}")
                    else:
                        yield Item(PARTIAL + entry.name, tree, entry.name)
        except OutputError as error:
            problems.append(error.message)

    def _is_of_run(self, entry: Entry, chosen: str | None) -> bool:
        """Say whether a file may be of this run: in a folder that others use too, it must be young."""
        if chosen is None:
            return True
        return entry.status.st_mtime >= os.stat(self.run.lock).st_mtime - _CLOCK_STEP_S  # noqa: PTH116


def _is_sealed(entry: Entry, sealed: dict[str, Sealed], tree: Tree) -> bool:
    known = sealed.get(entry.name)
    if known is None or known.size_bytes != entry.status.st_size:
        return False
    if (known.mtime_ns, known.ctime_ns) == (entry.status.st_mtime_ns, entry.status.st_ctime_ns):
        return True
    with tree.file(entry.name) as descriptor:
        return digest_of(descriptor) == known.sha256
