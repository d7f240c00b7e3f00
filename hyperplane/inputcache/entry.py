"""One input in one version, as it lies in the cache: its files, what is known of them, and its locks."""

import json
import os
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, Self

from hyperplane.inputcache.contents import Contents, version
from hyperplane.rundir import write_atomic
from hyperplane.transfer.checking import crc64nvme_of

SCHEMA = 1
TRASH_PREFIX = "trash-"
_DIGITS = 32


class Record(NamedTuple):
    """What is known of a file: the object that it is a copy of, its bytes, and how the file was left."""

    version: str
    size_bytes: int
    crc64nvme: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    def was_left_alone(self, found: os.stat_result) -> bool:
        """Say whether nobody has touched the file."""
        left = (self.size_bytes, self.mtime_ns, self.ctime_ns, self.inode)
        return left == (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a look at an entry has shown: the records of its good files by path, and what is wrong.

    `is_touched`: whether a good file is not as it was left, but for its bytes.
    """

    good: Mapping[str, Record]
    wrong: frozenset[str]
    is_touched: bool


class Entry(NamedTuple):
    """A folder of the cache; whole as soon as it has its `entry.json`, which comes last."""

    path: Path

    @classmethod
    def of(cls, cache: Path, source: str, identity: str) -> Self:
        """Return the entry for one version of a source; it need not exist."""
        return cls(cache / f"{source}-{identity[:_DIGITS]}")

    @property
    def source(self) -> str:
        """What this is a version of."""
        return self.path.name.partition("-")[0]

    @property
    def content(self) -> Path:
        """The folder that holds the file or folder that jobs get."""
        return self.path / "content"

    @property
    def use_lock(self) -> Path:
        """Shared by those who use or fetch this; its time is when that was last so."""
        return self.path / "use.lock"

    @property
    def fetch_lock(self) -> Path:
        """Held by the one who fetches or mends this."""
        return self.path / "fetch.lock"

    @property
    def _about(self) -> Path:
        return self.path / "entry.json"

    @property
    def _records(self) -> Path:
        return self.path / "files.json"

    @property
    def is_whole(self) -> bool:
        """Whether it was fetched to its end."""
        return _read(self._about) is not None

    @property
    def fetched(self) -> str | None:
        """When it was fetched, or None where it is not whole."""
        about = _read(self._about)
        return None if about is None else str(about["fetched"])

    @property
    def size_bytes(self) -> int:
        """The size of its files."""
        about = _read(self._about)
        if about is not None:
            return int(about["size_bytes"])
        return sum(found.st_size for _, found in self.files())

    @property
    def used_at(self) -> float:
        """When it was last used, in seconds since 1970."""
        with suppress(FileNotFoundError):
            return self.use_lock.stat().st_mtime
        return 0.0

    def files(self) -> Iterator[tuple[str, os.stat_result]]:
        """Yield the path below `content` of everything there that is no folder."""
        start = len(os.fspath(self.content)) + 1
        for folder, _, _ in os.walk(self.content):
            with suppress(FileNotFoundError), os.scandir(folder) as found:
                for item in found:
                    if not item.is_dir(follow_symlinks=False):
                        yield item.path[start:], item.stat(follow_symlinks=False)

    def examine(self) -> Verdict:
        """Compare the files with what is known of them, by their bytes where somebody has touched them."""
        told = _read(self._records) or {"files": {}}
        records = {path: Record(*row) for path, row in told["files"].items()}
        found = dict(self.files())
        touched = [path for path in found.keys() & records if not records[path].was_left_alone(found[path])]
        sums = self._checksums(path for path in touched if stat.S_ISREG(found[path].st_mode))
        damaged = {path for path in touched if sums.get(path) != records[path].crc64nvme}
        wrong = damaged | (found.keys() ^ records.keys())
        good = {path: record for path, record in records.items() if path not in wrong}
        return Verdict(good, frozenset(wrong), is_touched=len(touched) > len(damaged))

    def reopen(self) -> None:
        """Make it one that is not whole, whose folders can be written."""
        self._about.unlink(missing_ok=True)
        make_writable(self.content)

    def clear(self, wanted: Mapping[str, object], doubtful: Iterable[str]) -> None:
        """Remove what is not wanted, and have doubtful files be replaced when the wanted are fetched."""
        for path, _ in list(self.files()):
            if path not in wanted:
                (self.content / path).unlink()
        for path in doubtful:
            with suppress(FileNotFoundError):  # a time that no object has
                os.utime(self.content / path, (0, 0), follow_symlinks=False)
        for folder, _, _ in os.walk(self.content, topdown=False):
            with suppress(OSError):  # one that is not empty stays
                Path(folder).rmdir()

    def link(self, other: "Entry", paths: Iterable[str]) -> set[str]:
        """Have files of another entry here too, and return which."""
        linked = set()
        for path in paths:
            target = self.content / path
            target.parent.mkdir(parents=True, exist_ok=True)
            with suppress(OSError):  # what cannot be linked is fetched
                os.link(other.content / path, target)
                linked.add(path)
        return linked

    def seal(self, url: str, contents: Contents, known: Mapping[str, int]) -> None:
        """Make the files read-only, note what they are, and have the entry be whole.

        `known`: checksums of files by path, where nobody needs to compute them.
        """
        _make_read_only(self.content)
        found = dict(self.files())
        sums = {**known, **self._checksums(found.keys() - known.keys())}
        versions = {path: version(info) for path, info in contents.objects.items()}
        self._write_records({path: _record(versions[path], sums[path], found[path]) for path in found})
        about = {
            "schema": SCHEMA,
            "url": url,
            "size_bytes": sum(one.st_size for one in found.values()),
            "fetched": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        write_atomic(self._about, json.dumps(about).encode())

    def refresh(self, verdict: Verdict) -> None:
        """Note how good files are now, so that nobody has to read them again."""
        _make_read_only(self.content)
        found = dict(self.files())
        good = {path: record for path, record in verdict.good.items() if path in found}
        self._write_records(
            {path: _record(record.version, record.crc64nvme, found[path]) for path, record in good.items()}
        )

    def remove(self) -> None:
        """Remove it: in one step for everybody who looks, and then its files."""
        trash = self.path.with_name(f"{TRASH_PREFIX}{secrets.token_hex(6)}")
        self.path.rename(trash)
        remove_trash(trash)

    def _write_records(self, records: Mapping[str, Record]) -> None:
        write_atomic(self._records, json.dumps({"schema": SCHEMA, "files": records}).encode())

    def _checksums(self, paths: Iterable[str]) -> dict[str, int]:
        return {path: crc64nvme_of(self.content / path) for path in paths}


def _record(of: str, crc64nvme: int, found: os.stat_result) -> Record:
    return Record(of, found.st_size, crc64nvme, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


def _read(path: Path) -> dict[str, Any] | None:
    """Return what a file of ours says, or None where it is not there, torn, or of another schema."""
    try:
        told = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return told if isinstance(told, dict) and told.get("schema") == SCHEMA else None


def make_writable(folder: Path) -> None:
    """Have the folders of a tree be ones that we can change."""
    if folder.exists():
        folder.chmod(0o700)
    for outer, names, _ in os.walk(folder):
        for name in names:
            inner = Path(outer, name)
            if not inner.is_symlink():
                inner.chmod(0o700)


def _make_read_only(content: Path) -> None:
    for folder, _, names in os.walk(content, topdown=False):
        for name in names:
            Path(folder, name).chmod(0o444)
        Path(folder).chmod(0o555)


def remove_trash(trash: Path) -> None:
    """Remove a folder that others may be removing too; what stays is met again at the next sweep."""
    with suppress(FileNotFoundError, PermissionError):
        make_writable(trash)
    shutil.rmtree(trash, ignore_errors=True)
