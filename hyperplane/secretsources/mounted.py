"""Secrets in files, one each, as Kubernetes, Docker, Nomad and our runner mount them."""

import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from hyperplane.environment import Origin, read_small_file
from hyperplane.errors import SecretValueError
from hyperplane.secretsources import FoundSecret, without_final_newline


class MountedFiles:
    """The files of a folder; links are followed, for Kubernetes mounts are made of them.

    Read anew at each call, since mounted secrets are rotated in place. Exactly one final newline
    is removed, which `kubectl create secret --from-file` and editors add.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()

    def find(self, name: str) -> FoundSecret | None:
        """Return the secret of the file of this name.

        Raises `SecretValueError` for a file that is there and cannot be read.
        """
        path = self._path(name)
        try:
            data = read_small_file(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SecretValueError(
                f"the secret {name!r} cannot be read from {path}: {error.strerror}",
                hint="Mount it as a readable file of at most 1 MiB.",
                name=name,
            ) from error
        return FoundSecret(without_final_newline(data), Origin("file", str(path)), path)

    def names(self) -> Iterable[str]:
        """Return the names of the files here; Kubernetes' own `..data` entries are none."""
        files = (entry.name for entry in self._entries() if _is_file(entry))
        return sorted(_composed(name) for name in files if not name.startswith("."))

    def describe(self, name: str) -> str:
        """Name the file."""
        return f"file {self._folder / name}"

    def _path(self, name: str) -> Path:
        if name.isascii():
            return self._folder / name
        spelt = (entry.name for entry in self._entries() if _composed(entry.name) == name)
        return self._folder / next(spelt, name)

    def _entries(self) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self._folder) as entries:
                return list(entries)
        except OSError:
            return []


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)
