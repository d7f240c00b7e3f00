"""Ten thousand hostile keys write nothing outside the target."""

import os
import random
from pathlib import Path

import pytest
from copying import fetch, make_tree, tree
from storekinds import store_of

from hyperplane.errors import TransferError
from hyperplane.transfer.names import local_parts

COUNT = 10_000
PARTS = [
    "..", ".", "", "a", "b", "link", "file", "up", "sub", "．．", "%2e%2e", "..\\", "~", " ", "\t",
    "\n", "\0", "\x01", "\x7f", "..\0", "x" * 255, "x" * 256, "C:", "con", "-rf", "$(id)", "é", "A",
    "\u202e", ".hyperplane-0123456789ab.part", "a\0b", "/", "etc", "tmp", "\ufeff",
]  # fmt: skip


def hostile_keys(outer):
    """Return so many different keys, most of which want to be somewhere else."""
    numbers = random.Random(20_260)
    roots = ["", "", "", "/", "../", "../../", f"{outer}/", f"{outer}/../", "link/", "up/", "./"]
    keys = set()
    while len(keys) < COUNT:
        parts = [numbers.choice(PARTS) for _ in range(numbers.randint(1, 5))]
        parts[-1] += numbers.choice(["", str(len(keys))])
        key = f"d/{numbers.choice(roots)}{'/'.join(parts)}"
        if len(key.encode()) <= 1024:
            keys.add(key)
    return sorted(keys)


def around(outer):
    """Return all there is outside the target: contents, links, times of folders."""
    found = {name: content for name, content in tree(outer).items() if not name.startswith("target/")}
    folders = {
        base: (sorted(inner), Path(base).stat().st_mtime_ns)
        for base, inner, _ in os.walk(outer)
        if not base.startswith(f"{outer}/target")
    }
    return found, folders


def test_hostile_keys_write_nothing_outside(faulty_s3, tmp_path):
    """What surrounds the target is as it was, and each key is a file below it or told as a failure."""
    outer = make_tree(tmp_path / "outer", {"file": b"mine", "secret/a": b"mine", "target/file": b"mine"})
    target = outer / "target"
    (target / "link").symlink_to("../secret")
    (target / "up").symlink_to("..")
    (target / "sub").mkdir()
    (target / "sub" / "link").symlink_to(outer)
    keys = hostile_keys(outer)
    for key in keys:
        faulty_s3.put(key, b"theirs")
    before = around(outer)
    with pytest.raises(TransferError) as caught:
        fetch(store_of(faulty_s3), "d/", target)
    copied = {str(path.relative_to(target)) for path in caught.value.transfer.files}
    failed = set(caught.value.failures)

    assert before == around(outer)
    assert {key.removeprefix("d/") for key in keys} == copied | failed
    assert not copied & failed
    assert all("/".join(local_parts(name)) == name for name in copied)
    assert len(copied) > 100
    assert len(failed) > 1000
