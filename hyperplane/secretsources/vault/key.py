"""The key of a vault: 256 random bits in a file of their own, and the sealing that is done with them.

AES-256-GCM-SIV (RFC 8452) over one whole document: what is swapped, taken out or cut off in it does not
open, and a nonce that comes twice gives nothing away but that the documents are equal.
"""

import contextlib
import os
import time
from hashlib import blake2b
from pathlib import Path
from typing import Self

from hyperplane.errors import VaultError
from hyperplane.rundir import is_part, new_part_name, sync_folder
from hyperplane.secretsources.vault.private import make_folder, mended, new_private_file, read_private

KEY_BYTES = 32
_YOUNG_S = 60.0
_MAGIC = b"hyperplane vault 1\n"
_ID_BYTES = 8
_NONCE_BYTES = 12
_HEADER_BYTES = len(_MAGIC) + _ID_BYTES + _NONCE_BYTES


class Key:
    """A key that was read from its file; it shows nothing of itself."""

    __slots__ = ("_cipher", "_id", "path")

    def __init__(self, bits: bytes, path: Path) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

        self._cipher = AESGCMSIV(bits)
        self._id = blake2b(bits, digest_size=_ID_BYTES, person=b"hyperplane-vault").digest()
        self.path = path

    def __repr__(self) -> str:
        return f"<Key of {self.path}>"

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """Read the key, or return None where there is none. Raises `VaultError` if others could read it."""
        _require_cipher(path)
        bits = read_private(path, path)
        if bits is None:
            return None
        if len(bits) == KEY_BYTES:
            return cls(bits, path)
        del bits  # or the frames of the error would hold them
        raise VaultError(
            f"{path} is not the key of a vault: it does not have {KEY_BYTES} bytes",
            hint="Put the key back from a copy; without it nobody can open the vault.",
            path=path,
        )

    @classmethod
    def make(cls, path: Path) -> Self:
        """Return the key of this file, which is made when it is not there; of two who make it, one does.

        Raises `VaultError` where it would lie in a git repository.
        """
        with mended(path):
            _sweep(path.parent)
        if (key := cls.read(path)) is not None:
            return key
        if (repository := repository_of(path)) is not None:
            raise VaultError(
                f"the vault's key would lie in the git repository {repository}: {path}",
                hint="HYPERPLANE_VAULT_KEY_FILE names another place for it.",
                path=path,
            )
        with mended(path):
            _write_new_key(path)
        if (key := cls.read(path)) is None:
            raise VaultError(f"{path} was removed just now", hint="Try again.", path=path)
        return key

    def seal(self, document: bytes) -> bytes:
        """Return the document, sealed; nothing but this key opens it."""
        header = _MAGIC + self._id + os.urandom(_NONCE_BYTES)
        return header + self._cipher.encrypt(header[-_NONCE_BYTES:], document, header)

    def unseal(self, sealed: bytes, path: Path) -> bytes:
        """Return the document. Raises `VaultError` for another key, and for any byte that was changed."""
        header, body = sealed[:_HEADER_BYTES], sealed[_HEADER_BYTES:]
        if len(header) < _HEADER_BYTES or not header.startswith(_MAGIC):
            raise VaultError(
                f"{path} is no vault that this version can read",
                hint="It was damaged, or written by another version: put it back from a copy.",
                path=path,
            )
        if header[len(_MAGIC) : -_NONCE_BYTES] != self._id:
            raise VaultError(
                f"{path} was sealed with another key than {self.path}, or was changed",
                hint="HYPERPLANE_VAULT_KEY_FILE names the file of its key.",
                path=path,
            )
        from cryptography.exceptions import InvalidTag

        try:
            return self._cipher.decrypt(header[-_NONCE_BYTES:], body, header)
        except InvalidTag:
            raise VaultError(
                f"{path} was changed since hyperplane wrote it, and cannot be trusted",
                hint="Put it back from a copy.",
                path=path,
            ) from None


def _require_cipher(path: Path) -> None:
    # before there is anything to seal: the frames of an error hold what they were given
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

    try:
        AESGCMSIV(bytes(KEY_BYTES))
    except UnsupportedAlgorithm:
        raise VaultError(
            "this build of the package cryptography has no AES-256-GCM-SIV",
            hint="Install a wheel of it, or one that was built with OpenSSL 3.2 or later.",
            path=path,
        ) from None


def _write_new_key(path: Path) -> None:
    make_folder(path.parent)
    part = path.with_name(new_part_name())
    try:
        with new_private_file(part) as file:
            file.write(os.urandom(KEY_BYTES))
        with contextlib.suppress(FileExistsError):
            os.link(part, path)  # unlike a rename, it never takes the place of another key
    finally:
        part.unlink(missing_ok=True)
    sync_folder(path.parent)


def _sweep(folder: Path) -> None:
    """Remove what writers that were killed have left: copies of the key, or keys that nobody uses."""
    for part in folder.glob(".hyperplane-*"):
        status = part.lstat()
        # the writer of a new one may be about to link it
        is_old = time.time() - status.st_mtime > _YOUNG_S
        if is_part(part.name) and is_old and status.st_uid == os.geteuid():
            part.unlink(missing_ok=True)


def repository_of(path: Path) -> Path | None:
    """Return the git repository that a file lies in, or None."""
    return next((folder for folder in path.absolute().parents if os.path.lexists(folder / ".git")), None)
