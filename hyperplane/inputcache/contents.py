"""What an input is in its store at one moment: which objects, in which versions."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from hyperplane.errors import ObjectNotFoundError
from hyperplane.stores import Location, ObjectInfo, ObjectStore
from hyperplane.transfer.names import Clashes, local_parts


@dataclass(frozen=True, slots=True)
class Contents:
    """The objects of an input by the path that each has in the folder of its entry.

    `name`: the first part of all these paths, the name of the file or folder that a job gets.
    """

    name: str
    objects: Mapping[str, ObjectInfo]

    @property
    def identity(self) -> str:
        """A digest that differs whenever a name, a version or a size does."""
        rows = [[path, version(info), info.size_bytes] for path, info in sorted(self.objects.items())]
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def version(info: ObjectInfo) -> str:
    """Return what tells one version of an object from another: its ETag, else its time."""
    return info.etag.strip('"') if info.etag else str(info.modified)


def look(store: ObjectStore, location: Location) -> Contents:
    """Ask the store what an input is now.

    Raises `ObjectNotFoundError` where there is nothing, `UsageError` for a key that cannot be a
    file below the folder.
    """
    name = location.name or location.bucket
    local_parts(name)
    if not location.is_folder:
        return Contents(name, {name: store.head(location.key)})
    clashes = Clashes()
    objects = {}
    for info in _below(store, location):
        path = info.key.removeprefix(location.key)
        local_parts(path)
        clashes.check(path)
        objects[f"{name}/{path}"] = info
    return Contents(name, objects)


def _below(store: ObjectStore, folder: Location) -> Iterator[ObjectInfo]:
    is_empty = True
    for page in store.pages(folder.key):
        is_empty = is_empty and not page
        yield from (info for info in page if not (info.size_bytes == 0 and info.key.endswith("/")))
    if is_empty:
        raise ObjectNotFoundError(
            f"there is nothing below {folder}", hint="Mend the name of the folder.", url=str(folder)
        )


def probe(store: ObjectStore, location: Location) -> None:
    """Ask the store whether there is such an input. Raises `ObjectNotFoundError` where there is none."""
    if location.is_folder:
        next(_below(store, location), None)
    else:
        store.head(location.key)
