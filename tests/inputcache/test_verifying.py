"""What lies in the cache is looked at before it is used: who changes it harms nobody else."""

import json
import os
import shutil

import pytest
from caching import FOLDER, cache_of, entries_in, fetched, files_of, mode_of
from processes import NOBODY, public_folder, unprivileged

from hyperplane.stores import Location

WHOLE = {"a.txt": b"aa", "b.txt": b"bb", "sub/c.txt": b"cc"}
DAMAGED = "an input in the cache was damaged, and is fetched anew"


@pytest.fixture
def server(faulty_s3):
    """Give a server with a folder of three files."""
    for name, data in WHOLE.items():
        faulty_s3.put(f"data/{name}", data)
    return faulty_s3


def overwrite(path):
    """Change a byte as root can, and hide it."""
    before = path.stat()
    path.chmod(0o600)
    path.write_bytes(b"xx")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def cut(path):
    """Take a byte away."""
    path.chmod(0o600)
    path.write_bytes(b"a")


def link_away(path):
    """Have a link to other bytes in a file's place."""
    path.unlink()
    path.symlink_to("b.txt")


def make_folder(path):
    """Have a folder with something in it in a file's place."""
    path.unlink()
    path.mkdir()
    (path / "x").write_bytes(b"x")


def add(path):
    """Put a file beside it."""
    path.with_name("d.txt").write_bytes(b"dd")


def add_folder(path):
    """Put a folder with a file beside it."""
    path.with_name("more").mkdir()
    add(path.with_name("more") / "x")


def add_link(path):
    """Put a link to a folder beside it."""
    path.with_name("elsewhere").symlink_to("sub")


def remove_folder(path):
    """Remove a whole folder, and put a file there."""
    folder = path.with_name("sub")
    shutil.rmtree(folder)
    folder.write_bytes(b"x")


def remove(path):
    """Remove a file."""
    path.unlink()


DAMAGES = [overwrite, cut, link_away, make_folder, remove, add, add_folder, add_link, remove_folder]


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_root_has_damaged_is_mended_and_said(tmp_path, server, damage):
    """The next run has the object's own bytes, and only what was damaged is fetched."""
    path = fetched(tmp_path, server)
    for folder in (path, path / "sub"):
        folder.chmod(0o700)
    damage(path / "a.txt")
    server.clear()
    cache = cache_of(tmp_path, server)
    mended = cache.fetch(Location.parse(FOLDER))

    assert (WHOLE, path, True) == (files_of(mended), mended, DAMAGED in cache.told)
    assert (0o444, 0o555) == (mode_of(path / "a.txt"), mode_of(path))
    assert len(server.calls_of("GetObject")) <= 1
    assert not any(file.is_symlink() for file in path.rglob("*"))


def test_a_folder_that_root_has_removed_is_there_again(tmp_path, server):
    """An empty folder has no file that could be missed."""
    server.put("empty/", b"")
    path = fetched(tmp_path, server, "s3://test/empty/")
    path.parent.chmod(0o700)
    path.rmdir()

    assert fetched(tmp_path, server, "s3://test/empty/").is_dir()


def test_what_was_only_touched_is_read_and_not_fetched(tmp_path, server):
    """Other times, owners and inodes with the same bytes cost a look at them, once."""
    path = fetched(tmp_path, server)
    copy = tmp_path / "copy"
    shutil.copytree(tmp_path / "inputs", copy / "inputs")
    (copy / "inputs" / path.relative_to(tmp_path / "inputs") / "a.txt").chmod(0o640)
    server.clear()
    moved = fetched(copy, server)
    (entry,) = entries_in(copy)

    assert (WHOLE, []) == (files_of(moved), server.calls_of("GetObject"))
    assert (0o444, False) == (mode_of(moved / "a.txt"), entry.examine().is_touched)


@pytest.mark.parametrize("name", ["entry.json", "files.json"])
@pytest.mark.parametrize("text", ["", "[]", "{torn", '{"schema": 0}', None])
def test_an_entry_whose_notes_are_lost_is_mended(tmp_path, server, name, text):
    """What is not known for sure is looked at anew, in its place."""
    path = fetched(tmp_path, server)
    (entry,) = entries_in(tmp_path)
    if text is None:
        (entry.path / name).unlink()
    else:
        (entry.path / name).write_text(text)

    assert (path, WHOLE) == (fetched(tmp_path, server), files_of(path))
    assert {"url", "fetched"} < json.loads((entry.path / "entry.json").read_text()).keys()


def test_a_damaged_file_is_not_lent_to_another_version(tmp_path, server):
    """A new version takes over only what is good in the one before."""
    path = fetched(tmp_path, server)
    overwrite(path / "a.txt")
    server.put("data/b.txt", b"new")
    server.clear()

    assert {**WHOLE, "b.txt": b"new"} == files_of(fetched(tmp_path, server))
    assert {"data/a.txt", "data/b.txt"} == {call.key for call in server.calls_of("GetObject")}


def test_a_file_that_is_used_while_it_is_mended_is_always_there(tmp_path, server):
    """A run that has the damaged file meets the old bytes or the right ones."""
    cache = cache_of(tmp_path, server)
    path = cache.fetch(Location.parse(FOLDER)) / "a.txt"
    overwrite(path)
    with path.open("rb") as before:
        fetched(tmp_path, server)
        assert (b"xx", b"aa") == (before.read(), path.read_bytes())


def test_an_ordinary_job_cannot_change_its_input(server):
    """It may neither write, nor remove, nor add."""
    with public_folder() as folder, unprivileged_owner(folder), unprivileged():
        path = fetched(folder, server)
        for attempt in (
            lambda: (path / "a.txt").open("ab"),
            (path / "a.txt").unlink,
            (path / "new.txt").touch,
            lambda: path.rename(path.with_name("other")),
        ):
            with pytest.raises(PermissionError):
                attempt()
        # and it can still be removed by the cache
        fetched(folder, server, limit_bytes=0)
        assert [] == entries_in(folder)


class unprivileged_owner:  # noqa: N801 - it reads as a function
    """Have the folder belong to the ordinary user of the block."""

    def __init__(self, folder):
        self._folder = folder

    def __enter__(self):
        if os.geteuid() == 0:
            os.chown(self._folder, NOBODY, NOBODY)

    def __exit__(self, *_):
        """Leave it so: it is removed by root."""
