"""Seals outputs: hashed, on the disk, under their name and in the journal; only then is it said."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import MappingProxyType

from hyperplane.errors import OutputError
from hyperplane.journal import Journal, Sealed
from hyperplane.locks import ForkSafeLock
from hyperplane.masking import Masker
from hyperplane.rundir import RunDir, new_part_name
from hyperplane.sealing.content import Content, read_all
from hyperplane.sealing.exchange import replace_folder
from hyperplane.sealing.names import checked
from hyperplane.sealing.tree import Entry, Tree, beside, entry_in, folder_of, leaf_of, not_a_file

_BATCH = 64


class Sealer:
    """Gives finished files and folders their names, and tells the journal; one of them at a time."""

    def __init__(self, tree: Tree, journal: Journal | None, masker: Masker) -> None:
        self._tree = tree
        self._journal = journal
        self._masker = masker
        self._publishing = ForkSafeLock()
        self.folder = None if journal is None else _other_folder(tree, RunDir(journal.path.parent), masker)

    def publish(self, name: str, inner: str) -> None:
        """Give what lies at `inner`, below the folder that the name is in, that name, and seal it.

        Raises `OutputError` where nothing lies there, or neither a file nor a folder of such, and where
        a folder has the name of a file or the other way round.
        """
        source = beside(name, inner)
        found = self._tree.find(source)
        if found is None:
            raise self._nothing_written(name, source)
        if found.is_folder:
            self._publish_folder(name, inner, source)
        else:
            contents = dict(self._contents({name: found}))
            self.publish_file(name, inner, contents[name])

    def publish_file(self, name: str, inner: str, content: Content) -> None:
        """Give a file that is on the disk its name, and seal it."""
        with self._place_of(name, inner, [content.sealed(name, self.folder)]) as (folder, old):
            if old is not None and old.is_folder:
                raise not_a_file(old)
            os.rename(inner, leaf_of(name), src_dir_fd=folder, dst_dir_fd=folder)

    def _publish_folder(self, name: str, inner: str, source: str) -> None:
        entries = list(self._tree.walk(source))
        places = {
            checked(name + entry.name.removeprefix(source), self._masker): entry
            for entry in entries
            if not entry.is_folder
        }
        items = [content.sealed(name, self.folder) for name, content in self._contents(places)]
        # The names in the new folder must be on the disk before it takes the place of one that is.
        for folder in (source, *(entry.name for entry in entries if entry.is_folder)):
            with self._tree.folder(folder) as descriptor:
                os.fsync(descriptor)
        with self._place_of(name, inner, items) as (parent, old):
            if old is None:
                os.rename(inner, leaf_of(name), src_dir_fd=parent, dst_dir_fd=parent)
            elif not old.is_folder:
                raise OutputError(f"the output {name!r} is {old.kind}, and should be a folder", name=name)
            else:
                before = {entry.name for entry in self._tree.walk(name) if entry.is_file}
                replace_folder(inner, leaf_of(name), parent)
                self.forget(before.difference(item.name for item in items))

    def _contents(self, places: Mapping[str, Entry]) -> Iterator[tuple[str, Content]]:
        if odd := next((name for name in places if not places[name].is_file), None):
            raise not_a_file(places[odd]._replace(name=odd))
        for batch in _batches(list(places)):
            for name, content in read_all(self._tree, {name: places[name].name for name in batch}):
                if isinstance(content, OutputError):
                    raise content
                yield name, content

    def _nothing_written(self, name: str, source: str) -> OutputError:
        others = [leaf_of(entry.name) for entry in self._tree.walk(folder_of(source))]
        hint = f"{', '.join(map(repr, others))} was: name the output as it is written." if others else ""
        return OutputError(f"nothing was written to the path of the output {name!r}", hint=hint, name=name)

    @contextmanager
    def _place_of(self, name: str, inner: str, items: Sequence[Sealed]) -> Iterator[tuple[int, Entry | None]]:
        """Yield the open folder of a name and what has the name; what is put there counts as sealed after."""
        # One at a time: the last `sealed` event of a name must be that of the file which is there.
        with self._publishing, self._tree.parent(name) as folder:
            old = entry_in(folder, name)
            if old is not None or len(items) > 1:
                self._begin(name, inner, items)
            yield folder, old
            self._tree.sync(folder_of(name))
            self._note("sealed", (event_of(_renamed(item, name, folder)) for item in items))

    def seal(
        self, names: Sequence[str], known: Mapping[str, Sealed] = MappingProxyType({})
    ) -> tuple[list[Sealed], dict[str, OutputError]]:
        """Seal files where they are and return them, but for those known as they are, and what failed."""
        sealed: list[Sealed] = []
        problems: dict[str, OutputError] = {}
        for batch in _batches(names):
            contents = dict(read_all(self._tree, {name: name for name in batch}))
            problems |= {name: item for name, item in contents.items() if isinstance(item, OutputError)}
            whole = {name: content for name, content in contents.items() if isinstance(content, Content)}
            items = self._on_disk(whole)
            fresh = [item for item in items if item != known.get(item.name)]
            self._note("sealed", map(event_of, fresh))
            sealed += fresh
        return sealed, problems

    def seal_as_one(self, output: str, entries: Sequence[Entry]) -> list[Sealed]:
        """Seal the files of one output where they are: all of them or, with an `OutputError`, none."""
        items = self._on_disk(dict(self._contents({entry.name: entry for entry in entries})))
        if len(items) > 1:
            self._begin(output, new_part_name(), items)
        self._note("sealed", map(event_of, items))
        return items

    def _on_disk(self, contents: Mapping[str, Content]) -> list[Sealed]:
        for folder in sorted({folder_of(name) for name in contents}):
            self._tree.sync(folder)
        return [content.sealed(name, self.folder) for name, content in contents.items()]

    def _begin(self, output: str, part: str, items: Sequence[Sealed]) -> None:
        """Note what is about to be sealed: killed before all of it is, what is there is known by this."""
        self._note("sealing", ({**event_of(item), "output": output, "part": part} for item in items))

    def forget(self, names: Iterable[str]) -> None:
        """Note that outputs are removed."""
        where = _given(folder=self.folder)
        self._note("removed", ({"name": name, **where} for name in sorted(names)))

    def _note(self, kind: str, events: Iterable[Mapping[str, object]]) -> None:
        """Append events, and have all of them on the disk before returning."""
        if self._journal is None:
            return
        listed = list(events)
        # Syncing the last puts all before it on the disk too: they are in the same file.
        for event in listed:
            self._journal.append(kind, durable=event is listed[-1], **event)


def event_of(item: Sealed) -> dict[str, object]:
    """Return what an event says of an output."""
    known = {"name": item.name, "size_bytes": item.size_bytes, "sha256": item.sha256}
    times = _given(mtime_ns=item.mtime_ns, ctime_ns=item.ctime_ns, inode=item.inode)
    return {**known, **times, **_given(folder=item.folder)}


def _given(**fields: object) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}


def _other_folder(tree: Tree, run: RunDir, masker: Masker) -> str | None:
    """Return the outputs folder as it stands in events, or None for the run's own."""
    is_own = os.path.realpath(tree.root) == os.path.realpath(run.outputs)
    return None if is_own else masker.mask(str(tree.root))


def _renamed(item: Sealed, name: str, folder: int) -> Sealed:
    """Return what was sealed with the time at which it was given its name, in an open folder."""
    found = entry_in(folder, name) if item.name == name and item.inode is not None else None
    return item if found is None else replace(item, ctime_ns=found.status.st_ctime_ns)


def _batches(names: Sequence[str]) -> Iterator[Sequence[str]]:
    return (names[start : start + _BATCH] for start in range(0, len(names), _BATCH))
