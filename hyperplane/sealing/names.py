"""Which names an output can have: relative, plain, speakable, and free of secrets."""

import unicodedata
from pathlib import PurePath

from hyperplane.errors import OutputNameError
from hyperplane.journal import one_line
from hyperplane.masking import Masker
from hyperplane.rundir import is_part

COMPONENT_LIMIT_BYTES = 255
NAME_LIMIT_BYTES = 1024
_UNSPEAKABLE = frozenset({"Cc", "Zl", "Zp"})


def checked(name: object, masker: Masker) -> str:
    """Return the name in its plain form: `a/b` for `./a//b`.

    Raises `OutputNameError` with a reason of its own for each kind of name that cannot be.
    """
    text = _text(name)
    reason = trouble(text, masker)
    if reason is None:
        return "/".join(_components(text))
    shown = one_line(masker.mask(text))
    shown = shown if len(shown) <= COMPONENT_LIMIT_BYTES else shown[:COMPONENT_LIMIT_BYTES] + "..."
    raise OutputNameError(
        f"{shown!r} cannot name an output: {reason}",
        hint='Give a path below the outputs folder, like "plots/loss.png".',
        name=shown,
    )


def _text(name: object) -> str:
    if isinstance(name, str):
        return name
    if isinstance(name, PurePath):
        return name.as_posix()
    kind = type(name).__name__
    raise OutputNameError(f"an output is named by a str or a path, not by a {kind}", name=repr(kind))


def _components(text: str) -> list[str]:
    return [part for part in text.split("/") if part not in {"", "."}]


def trouble(text: str, masker: Masker) -> str | None:
    """Return why a text cannot be the name of an output, or None."""
    parts = _components(text)
    if text.startswith("/"):
        return "it is absolute"
    if ".." in parts:
        return "`..` would leave the outputs folder"
    if not parts:
        return "it is empty, or the outputs folder itself"
    return _unspeakable(text) or _too_long(parts) or _ours_or_secret(parts, masker)


def _unspeakable(text: str) -> str | None:
    if "\0" in text:
        return "it holds a NUL"
    if not _is_utf8(text):
        return "it is not UTF-8"
    if any(unicodedata.category(letter) in _UNSPEAKABLE for letter in text):
        return "it holds control characters"
    return None


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _too_long(parts: list[str]) -> str | None:
    if any(len(part.encode()) > COMPONENT_LIMIT_BYTES for part in parts):
        return f"a part of it is longer than {COMPONENT_LIMIT_BYTES} bytes"
    if len("/".join(parts).encode()) > NAME_LIMIT_BYTES:
        return f"it is longer than {NAME_LIMIT_BYTES} bytes"
    return None


def _ours_or_secret(parts: list[str], masker: Masker) -> str | None:
    if any(map(is_part, parts)):
        return "names of that form are temporary files of ours"
    if masker.contains_secret("/".join(parts)):
        return "it holds a secret"
    return None
