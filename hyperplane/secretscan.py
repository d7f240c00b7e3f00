"""Looks for secrets in what a run is about to give away: its outputs, their names, and its events."""

import errno
import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

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


def scan(masker: Masker, name: str, data: bytes) -> list[Finding]:
    """Return where secrets that the masker knows stand in a file, in any form that it masks.

    `name`: that of the output, which is looked through as well. What is compressed or encrypted is not
    looked into.
    """
    # most often there is nothing, which one look at both tells
    if len(data) <= CHUNK_BYTES and not any(Search(masker).names_in([os.fsencode(name) + b"\n" + data])):
        return []
    starts = range(0, len(data), CHUNK_BYTES)
    return _findings(masker, name, (data[start : start + CHUNK_BYTES] for start in starts))


def scan_open(masker: Masker, name: str, descriptor: int) -> list[Finding]:
    """Do the same for a file that is open for reading, a piece at a time, whatever its size.

    Raises `OutputError` where it cannot be read.
    """
    try:
        return _findings(masker, name, _chunks(descriptor))
    except OSError as error:
        shown = masker.mask(name)
        raise OutputError(
            f"{shown} cannot be looked through for secrets: {error.strerror or error}",
            hint="Make it readable, or say `secret_scan: off` in the job file.",
            name=shown,
        ) from error


def _findings(masker: Masker, name: str, chunks: Iterable[bytes]) -> list[Finding]:
    search = Search(masker)
    in_name = [secret for secret, _ in search.names_in([os.fsencode(name)])]
    in_content = list(search.names_in(chunks))
    if not in_name and not in_content:
        return []
    shown = masker.mask(name)
    found = [Finding(shown, None, secret) for secret in in_name]
    return [*found, *(Finding(shown, line, secret) for secret, line in in_content)]


def _chunks(descriptor: int) -> Iterator[bytes]:
    """Yield what was written to a file; a hole in it, which may be of terabytes, is one zero byte."""
    position = 0
    while True:
        try:
            start = os.lseek(descriptor, position, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:  # nothing but a hole follows
                raise
            return
        if start > position:
            yield b"\0"
        chunk = os.pread(descriptor, CHUNK_BYTES, start)
        position = start + len(chunk)
        yield chunk
