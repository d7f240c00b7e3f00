"""Seals what a job that succeeded left in its outputs folder, and says what cannot be sealed."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from hyperplane.errors import OutputError, OutputNameError
from hyperplane.journal import Journal, Sealed, one_line, seals_in
from hyperplane.masking import Masker
from hyperplane.sealing.names import checked
from hyperplane.sealing.sealer import Sealer
from hyperplane.sealing.tree import Entry, Tree

_NAMED_AT_MOST = 10


class Swept(NamedTuple):
    """What was sealed, what failed to be, and what is no file, in words."""

    sealed: tuple[Sealed, ...]
    problems: tuple[OutputError, ...]
    passed_over: tuple[str, ...]


def sweep(
    tree: Tree, sealer: Sealer, journal: Journal, masker: Masker, left_out: Collection[str] = ()
) -> Swept:
    """Seal every regular file that is not, or has changed since; note those that are gone as removed."""
    known = seals_in(journal.path, sealer.folder).sealed
    entries = [entry for entry in tree.walk(left_out=left_out) if not entry.is_folder]
    misnamed = {entry.name: error for entry in entries if (error := _name_problem(entry, masker))}
    files = [entry for entry in entries if entry.is_file and entry.name not in misnamed]
    changed = [entry.name for entry in files if not _is_as_sealed(entry, known.get(entry.name))]
    sealed, problems = sealer.seal(changed, known)
    sealer.forget(known.keys() - {entry.name for entry in files})
    unsealed = [problem for name, problem in problems.items() if tree.find(name) is not None]
    return Swept(
        tuple(sealed),
        (*unsealed, *misnamed.values()),
        tuple(f"{_shown(entry, masker)} (it is {entry.kind})" for entry in entries if not entry.is_file),
    )


def _name_problem(entry: Entry, masker: Masker) -> OutputError | None:
    try:
        if entry.is_file:
            checked(entry.name, masker)
    except OutputNameError as error:
        return error
    return None


def _shown(entry: Entry, masker: Masker) -> str:
    return repr(one_line(masker.mask(entry.name)))


def _is_as_sealed(entry: Entry, known: Sealed | None) -> bool:
    status = entry.status
    seen = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
    return known is not None and seen == (known.size_bytes, known.mtime_ns, known.ctime_ns, known.inode)


def raise_any(problems: Sequence[OutputError]) -> None:
    """Raise what went wrong: one problem as it is, several in one error."""
    if len(problems) > 1:
        reasons = "; ".join(problem.message for problem in problems[:_NAMED_AT_MOST])
        more = len(problems) - _NAMED_AT_MOST
        reasons += f"; and {more} more" if more > 0 else ""
        names = tuple(problem.name for problem in problems)
        raise OutputError(f"{len(problems)} outputs cannot be sealed: {reasons}", names=names)
    for problem in problems:
        raise problem
