"""From the keys of a store to names below a folder, and only to such."""

import os
import unicodedata

from hyperplane.errors import UsageError

NAME_LIMIT_BYTES = 255


def local_parts(name: str) -> tuple[str, ...]:
    """Return the parts of the path that a key's name stands for, below the target folder.

    Raises `UsageError` for a name that is no path, or one of a place outside.
    """
    parts = tuple(name.split("/"))
    for part in parts:
        if problem := _problem(part):
            raise UsageError(f"{name!r} cannot be a file here: {problem}", hint="Copy it to another name.")
    return parts


def _problem(part: str) -> str:
    if part == "":
        return "a part of its name is empty"
    if part in {".", ".."}:
        return f"a part of its name is `{part}`"
    if "\0" in part:
        return "its name holds a NUL"
    if os.sep != "/" and (os.sep in part or ":" in part):  # pragma: no cover - of Windows
        return f"its name holds what {os.name} takes for a path"
    try:
        size = len(os.fsencode(part))
    except UnicodeEncodeError:
        return "its name is no text"
    return f"a part of its name is longer than {NAME_LIMIT_BYTES} bytes" if size > NAME_LIMIT_BYTES else ""


class Clashes:
    """Finds names in a sorted listing that cannot be files beside those before them.

    `folds_names`: whether names that differ only in case, or in how letters are composed, are one name.
    """

    def __init__(self, *, folds_names: bool = False) -> None:
        self._may_be_folders: list[str] = []
        self._folded: dict[str, str] | None = {} if folds_names else None

    def check(self, name: str) -> None:
        """Take the next name. Raises `UsageError` when one before it is the same file, or one above it."""
        if self._folded is not None:
            self._check_folded(name, self._folded)
        # those that the listing has passed can have nothing below them any more
        self._may_be_folders = [file for file in self._may_be_folders if name < f"{file}0"]
        above = next((file for file in self._may_be_folders if name.startswith(f"{file}/")), None)
        if above is not None:
            raise UsageError(
                f"{name!r} cannot be a file here: {above!r} is one", hint="Copy one of them to another name."
            )
        self._may_be_folders.append(name)

    def _check_folded(self, name: str, before: dict[str, str]) -> None:
        same = before.setdefault(_folded(name), name)
        if same != name:
            raise UsageError(
                f"{name!r} cannot be a file here: it is the same name as {same!r} on this file system",
                hint="Copy one of them to another name.",
            )


def _folded(name: str) -> str:
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())


def key_name(name: str) -> str:
    """Return the name of a local file as part of a key. Raises `UsageError` for what is no UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raise UsageError(f"{name!r} is no UTF-8 text, as keys are", hint="Rename the file.") from None
    return name
