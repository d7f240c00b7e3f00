"""Copies as tests make them, and what a folder holds."""

import os
from pathlib import Path

from hyperplane.transfer import Download, Filter, Options, Upload, download, upload


def fetch(store, prefix, target, *, glob=None, regex=None, **options):
    """Download a prefix, and return the transfer."""
    wanted = Filter.of(glob=glob, regex=regex)
    return download(store, Download(prefix=prefix, target=Path(target)), Options(filter=wanted, **options))


def send(store, source, key, *, glob=None, regex=None, **options):
    """Upload a file or folder, and return the transfer."""
    wanted = Filter.of(glob=glob, regex=regex)
    return upload(store, Upload(source=Path(source), key=key), Options(filter=wanted, **options))


def tree(folder):
    """Return the content of every file below a folder by its relative name, links and our own parts too."""
    found = {}
    for base, folders, files in os.walk(folder):
        for name in [*files, *(each for each in folders if Path(base, each).is_symlink())]:
            path = Path(base, name)
            relative = str(path.relative_to(folder))
            found[relative] = f"-> {path.readlink()}" if path.is_symlink() else path.read_bytes()
    return found


def make_tree(folder, files):
    """Make files below a folder, with these contents, and return the folder."""
    for name, content in files.items():
        path = Path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return Path(folder)
