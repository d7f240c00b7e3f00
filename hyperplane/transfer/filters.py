"""Which files of a folder are meant: all, those that fit a glob, those in which an expression is found."""

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Self

from hyperplane.errors import UsageError


@dataclass(frozen=True, slots=True)
class Filter:
    """Says which names are meant; a name is relative to the folder, with `/` between its parts."""

    regex: re.Pattern[str] | None = None
    glob: tuple[str, ...] | None = None

    @classmethod
    def of(cls, *, regex: str | None = None, glob: str | None = None) -> Self:
        """Return a filter; an expression is looked for anywhere in the name, a glob must fit all of it.

        `*` and `?` stay within a part of the name, and `**` is any number of parts.
        Raises `UsageError` for an empty or invalid one.
        """
        if glob == "" or regex == "":
            raise UsageError(
                "an empty filter fits everything or nothing", hint="Leave it out to take all files."
            )
        return cls(
            None if regex is None else _compiled(regex), None if glob is None else tuple(glob.split("/"))
        )

    def takes(self, name: str) -> bool:
        """Say whether a name is meant."""
        if self.regex is not None and self.regex.search(name) is None:
            return False
        return self.glob is None or _fits(name.split("/"), self.glob)


def _compiled(regex: str) -> re.Pattern[str]:
    try:
        return re.compile(regex)
    except (re.error, RecursionError, OverflowError) as error:
        looks_like_glob = regex.startswith(("*", "?"))
        hint = (
            f"This looks like a glob: say glob={regex!r}."
            if looks_like_glob
            else "See the `re` module's syntax."
        )
        raise UsageError(f"{regex!r} is no regular expression: {error}", hint=hint) from None


def _fits(parts: list[str], glob: tuple[str, ...]) -> bool:
    """Say whether all parts fit all of a glob: how much of it may be used up, after each of them."""
    used = _beyond_stars({0}, glob)
    for part in parts:
        stay = {at for at in used if glob[at : at + 1] == ("**",)}
        go_on = {at + 1 for at in used - stay if at < len(glob) and fnmatchcase(part, glob[at])}
        used = _beyond_stars(stay | go_on, glob)
    return len(glob) in used


def _beyond_stars(used: set[int], glob: tuple[str, ...]) -> set[int]:
    for at in sorted(used):
        beyond = at
        while glob[beyond : beyond + 1] == ("**",):
            beyond += 1
            used.add(beyond)
    return used
