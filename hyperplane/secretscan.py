"""Looks for secrets in what a run is about to give away: its outputs, their names, and its events."""

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

from hyperplane.errors import OutputError
from hyperplane.masking import Masker
from hyperplane.masking.search import Search

CHUNK_BYTES = 1 << 20


class Finding(NamedTuple):
    """The first place of one secret in one file, or in its name; no value is in it.

    `file`: the output's name, masked. `line`: from 1, or None where the name itself holds the secret.
    """

    file: str
    line: int | None
    secret: str

    def __str__(self) -> str:
        if self.line is None:
            return f"the name of {self.file} holds the secret {self.secret!r}"
        return f"{self.file}, line {self.line}: here stands the secret {self.secret!r}"


def scan(masker: Masker, outputs: Iterable[tuple[str, Path]], *, events: Path | None = None) -> list[Finding]:
    """Return where secrets that the masker knows stand in these files, in any form that it masks.

    `outputs`: names and the files that they stand for. A file is read once, a piece at a time, whatever
    its size. What is compressed or encrypted is not looked into.
    Raises `OutputError` for a file that cannot be read.
    """
    search = Search(masker)
    named = [*outputs, *([] if events is None else [(events.name, events)])]
    return [finding for name, path in named for finding in _findings(search, masker, name, path)]


def scan_open(masker: Masker, name: str, descriptor: int) -> list[Finding]:
    """Do the same for one file that is open for reading; its position changes.

    Raises `OutputError` where it cannot be read.
    """
    search = Search(masker)
    with _read_errors(masker.mask(name)), open(descriptor, "rb", buffering=0, closefd=False) as file:
        file.seek(0)
        return list(_findings_in(search, masker, name, file))


def _findings(search: Search, masker: Masker, name: str, path: Path) -> Iterator[Finding]:
    with _read_errors(masker.mask(name)), _opened(path) as file:
        yield from _findings_in(search, masker, name, file)


def _findings_in(search: Search, masker: Masker, name: str, file: BinaryIO) -> Iterator[Finding]:
    shown = masker.mask(name)
    for secret, _ in search.names_in([os.fsencode(name)]):
        yield Finding(shown, None, secret)
    for secret, line in search.names_in(_chunks(file)):
        yield Finding(shown, line, secret)


@contextmanager
def _read_errors(shown: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{shown} cannot be looked through for secrets: {error.strerror or error}",
            hint="Make it readable, or say `secret_scan: off` in the job file.",
            name=shown,
        ) from error


def _opened(path: Path) -> BinaryIO:
    # a FIFO would be waited for
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(None, "it is no regular file")
    return os.fdopen(descriptor, "rb", buffering=0)


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    """Yield what was written to a file; a hole in it, which may be of terabytes, is one zero byte."""
    while True:
        try:
            start = os.lseek(file.fileno(), position := file.tell(), os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:  # nothing but a hole follows
                raise
            return
        if start > position:
            yield b"\0"
        yield file.read(CHUNK_BYTES)
