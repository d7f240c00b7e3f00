"""Brings back what an earlier run of the job sealed: a copy, verified on the way."""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from hyperplane.errors import OutputError
from hyperplane.journal import Sealed, Seals, Version
from hyperplane.sealing.content import digest_of
from hyperplane.sealing.tree import Tree

_CHUNK_BYTES = 1 << 20


def folders_of(seals: Seals, output: str, own: Path) -> list[Path]:
    """Return the outputs folders that an output was sealed in, `own` for the run's own."""
    began = (item for begun in seals.begun for item in begun.files.values())
    items = [item for item in (*seals.sealed.values(), *began) if is_below(item.name, output)]
    return list(dict.fromkeys(own if item.folder is None else Path(item.folder) for item in items))


def candidates(seals: Seals, tree: Tree, output: str) -> Iterator[dict[str, Sealed]]:
    """Yield the files of an output as a run left them sealed, the likeliest first.

    Where several processes wrote it, the last event may be of another version than the file that
    is there; but what is there as any event says was once whole.
    """
    files = _below(kept(seals, tree), output)
    if not files:
        return
    yield files
    digests: dict[str, str] = {}
    for version in reversed(seals.versions):
        if is_below(output, version.output) and _took_place(version, tree, digests):
            yield _below(version.files, output)


def _below(files: Mapping[str, Sealed], output: str) -> dict[str, Sealed]:
    return {name: item for name, item in files.items() if is_below(name, output)}


def kept(seals: Seals, tree: Tree) -> dict[str, Sealed]:
    """Return what a run left sealed in its outputs folder, by name.

    Where it was killed while it replaced an output, that is the new one if the new one is there.
    """
    files = dict(seals.sealed)
    for begun in seals.begun:
        if _took_place(begun, tree, {}):
            # The new folder may lack files of the old one whose removal was not noted any more.
            files = {name: item for name, item in files.items() if not is_below(name, begun.output)}
            files |= begun.files
    return files


def is_below(name: str, output: str) -> bool:
    """Say whether a file is the output, or in the folder that the output is."""
    return name == output or name.startswith(f"{output}/")


def _took_place(version: Version, tree: Tree, digests: dict[str, str]) -> bool:
    """Say whether a version is what is there; `digests` of files that were read are kept for the next."""
    try:
        found = tree.find(version.output)
        entries = tree.walk(version.output) if found is not None and found.is_folder else [found]
        names = {entry.name for entry in entries if entry is not None and entry.is_file}
        return names == version.files.keys() and all(
            _is_there(item, tree, digests) for item in version.files.values()
        )
    except OutputError:
        return False


def _is_there(item: Sealed, tree: Tree, digests: dict[str, str]) -> bool:
    with tree.file(item.name) as descriptor:
        if os.fstat(descriptor).st_size != item.size_bytes:
            return False
        if item.name not in digests:
            digests[item.name] = digest_of(descriptor)
    return digests[item.name] == item.sha256


def copy(files: Mapping[str, Sealed], output: str, source: Tree, target: Path) -> bool:
    """Copy the files of an output to a path that is free, and say whether they are as they were sealed."""
    for name, item in files.items():
        place = Path(f"{target}{name.removeprefix(output)}")
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            with source.file(name) as descriptor, place.open("wb") as copied:
                if not _copy_verified(descriptor, item, copied.write):
                    return False
        except (FileNotFoundError, OutputError):
            return False
    return True


def _copy_verified(descriptor: int, item: Sealed, write: Callable[[bytes], object]) -> bool:
    """Copy a file up to the length it was sealed with: what was appended after that is no part of it."""
    digest = hashlib.sha256()
    left = item.size_bytes
    while left > 0 and (chunk := os.read(descriptor, min(left, _CHUNK_BYTES))):
        digest.update(chunk)
        write(chunk)
        left -= len(chunk)
    return left == 0 and digest.hexdigest() == item.sha256
