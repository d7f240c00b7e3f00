"""`ctx.outputs`: files that are kept, whole or not at all."""

import io
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Literal, overload

from hyperplane.errors import (
    DeliveryError,
    HyperplaneWarning,
    OutputError,
    OutputNameError,
    UsageError,
    did_you_mean,
)
from hyperplane.facets.outputs.files import BinaryOutput, Part, TextOutput
from hyperplane.journal import Journal, Sealed, one_line, seals
from hyperplane.masking import Masker
from hyperplane.rundir import RunDir, new_part_name
from hyperplane.sealing.names import checked, trouble
from hyperplane.sealing.restoring import candidates, copy, folders_of, is_below
from hyperplane.sealing.sealer import Sealer
from hyperplane.sealing.sweeping import raise_any, sweep
from hyperplane.sealing.tree import Entry, Tree, entry_in, leaf_of, not_a_file, reported

if TYPE_CHECKING:
    from hyperplane.delivery.remote import RemoteRun

_NAMED_AT_MOST = 10
Name = str | PurePath
Payload = str | bytes | bytearray | memoryview


class Outputs:
    """The outputs of one process of a job, in a folder that is made when it is first written to.

    A name is relative to the folder. In rank n > 0 it stands for `rank-n/<name>` unless `shared`.
    `journal`: None without a run; then everything is written in the same way, and recorded nowhere.
    `earlier`: the runs of this job that `restore` looks in, `delivered`: returns those at its destination.
    `keep_out`: places below the folder where no outputs are.
    """

    def __init__(
        self,
        folder: Path,
        *,
        masker: Masker,
        journal: Journal | None = None,
        rank: int = 0,
        earlier: Sequence[RunDir] = (),
        delivered: "Callable[[], Iterable[RemoteRun]]" = tuple,
        keep_out: Sequence[Path] = (),
    ) -> None:
        # A folder that somebody chose may be a link; nobody makes one of the run's own.
        run = None if journal is None else RunDir(journal.path.parent)
        self._tree = Tree(folder, can_be_link=run is None or folder != run.outputs)
        self._masker = masker
        self._journal = journal
        self._prefix = f"rank-{rank}/" if rank else ""
        self._earlier = {found.run_id: found for found in earlier}
        self._delivered = delivered
        self._own_id = None if run is None else run.run_id
        self._kept_out = frozenset(_below(self._tree.root, keep_out))
        self._sealer = Sealer(self._tree, journal, masker)
        self._open: dict[str, BinaryOutput | TextOutput] = {}
        self._scratch: list[Path] = []

    @property
    def dir(self) -> Path:
        """The folder for the outputs of this rank; it exists."""
        name = self._prefix.rstrip("/")
        with reported(name or "."), self._tree.folder(name, make=True):
            return self._tree.path(name)

    def path(self, name: Name, *, shared: bool = False) -> Path:
        """Return the path of an output, in a folder that exists.

        Raises `OutputNameError` for a name that would leave the folder, `OutputError` where a link is.
        """
        target = self._target(name, shared=shared)
        with reported(target), self._tree.parent(target, make=True) as parent:
            _refuse(entry_in(parent, target), folders=True, links=False)
        return self._tree.path(target)

    @contextmanager
    def saving(self, name: Name, *, shared: bool = False) -> Iterator[Path]:
        """Yield a path to write a file or a folder to, which becomes the output, sealed, after the block.

        The path ends in the name. An exception in the block leaves the output as it was.
        Raises `OutputError` when nothing was written there, or nothing that can be kept.
        """
        target, owner = self._target(name, shared=shared), os.getpid()
        # A folder, so that the path can end in the name: libraries look at suffixes, or add them.
        part = new_part_name()
        with reported(target), self._tree.parent(target, make=True) as parent:
            _refuse(entry_in(parent, target), folders=True)
            os.mkdir(part, 0o700, dir_fd=parent)
        try:
            yield self._tree.path(target).parent / part / leaf_of(target)
            # A forked child that leaves the block too has only a copy of what happens here.
            if os.getpid() == owner:
                with reported(target):
                    self._sealer.publish(target, f"{part}/{leaf_of(target)}")
        finally:
            if os.getpid() == owner:
                shutil.rmtree(self._tree.path(target).parent / part, ignore_errors=True)

    @overload
    def open(
        self,
        name: Name,
        mode: Literal["w", "wt"] = "w",
        *,
        encoding: str = "utf-8",
        newline: str | None = None,
        shared: bool = False,
    ) -> TextOutput: ...
    @overload
    def open(self, name: Name, mode: Literal["wb"], *, shared: bool = False) -> BinaryOutput: ...
    def open(
        self,
        name: Name,
        mode: str = "w",
        *,
        encoding: str = "utf-8",
        newline: str | None = None,
        shared: bool = False,
    ) -> TextOutput | BinaryOutput:
        """Open an output to write it anew; closing it seals it.

        An exception in its `with` block leaves the output as it was. `encoding` and `newline` are those
        of the builtin `open`. Raises `UsageError` for other modes.
        """
        target = self._target(name, shared=shared)
        if mode not in {"w", "wt", "wb"}:
            raise UsageError(
                f"the output {target!r} cannot be opened with mode {mode!r}, only with 'w' or 'wb'",
                hint="append() adds to an output, path() is for everything else.",
            )
        # Tried on nothing first: a text layer that fails to be made would close what is below it.
        try:
            io.TextIOWrapper(io.BytesIO(), encoding, newline=newline)
        except (LookupError, ValueError) as error:
            raise UsageError(f"the output {target!r} cannot be opened: {error}") from error
        with reported(target), self._tree.parent(target, make=True) as parent:
            _refuse(entry_in(parent, target))
            part = Part(self._tree, target)
        binary = BinaryOutput(part, self._seal_part, self._forget)
        file = binary if mode == "wb" else TextOutput(part, binary, encoding, newline)
        self._open[part.inner] = file
        return file

    def append(self, name: Name, *payloads: Payload, shared: bool = False) -> None:
        """Add texts (as UTF-8) and bytes to the end of an output, with nothing between or after them.

        The output is sealed at the end of the job, or by `seal`.
        """
        target = self._target(name, shared=shared)
        data = memoryview(b"".join(_encoded(target, payload) for payload in payloads))
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        with reported(target), self._tree.file(target, flags) as descriptor:
            if os.fstat(descriptor).st_nlink > 1:
                raise OutputError(
                    f"the output {target!r} is a hard link: appending would change another file too",
                    name=target,
                )
            while data:
                data = data[os.write(descriptor, data) :]

    def write_text(self, name: Name, text: str, *, shared: bool = False) -> None:
        """Write an output that is this text, as UTF-8, and seal it."""
        data = _encoded(self._target(name, shared=shared), text)
        self.write_bytes(name, data, shared=shared)

    def write_bytes(self, name: Name, data: bytes | bytearray | memoryview, *, shared: bool = False) -> None:
        """Write an output that is these bytes, and seal it."""
        with self.open(name, "wb", shared=shared) as file:
            file.write(data)

    def write_json(self, name: Name, value: object, *, shared: bool = False) -> None:
        """Write an output that is this value as JSON, indented, and seal it.

        Raises `UsageError` for what JSON has no word for, NaN and infinities among it.
        """
        target = self._target(name, shared=shared)
        try:
            text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise UsageError(f"the output {target!r} cannot be written as JSON: {error}") from error
        self.write_text(name, text + "\n", shared=shared)

    def seal(self, name: Name, *, shared: bool = False) -> tuple[Sealed, ...]:
        """Seal a file, or every file in a folder, where it is: it survives a crash once this has returned."""
        target = self._target(name, shared=shared)
        with reported(target, "sealed"):
            return tuple(self._sealer.seal_as_one(target, self._files_of(target)))

    def remove(self, name: Name, *, shared: bool = False) -> None:
        """Remove an output, a file or a folder. Raises `OutputError` when there is none."""
        target = self._target(name, shared=shared)
        with reported(target, "removed"):
            entry = self._existing(target)
            entries = self._tree.walk(target) if entry.is_folder else [entry]
            # First the event: killed in between, a file that nobody lists is better than the reverse.
            self._sealer.forget(found.name for found in entries if not found.is_folder)
            with self._tree.parent(target) as parent:
                if entry.is_folder:
                    shutil.rmtree(leaf_of(target), dir_fd=parent)
                else:
                    os.unlink(leaf_of(target), dir_fd=parent)
                os.fsync(parent)

    def restore(self, name: Name, *, shared: bool = False) -> Path | None:
        """Return a copy of the newest version that an earlier run of this job sealed, or None.

        It is looked for here and at the destination, and verified. The copy is yours to change, and gone
        when the context closes. A version that is not as it was sealed is passed over with a
        `HyperplaneWarning`.
        """
        target = self._target(name, shared=shared)
        with reported(target, "restored"):
            there = {run.run_id: run for run in self._delivered() if run.run_id != self._own_id}
            for run_id in sorted({*self._earlier, *there}, reverse=True):
                here = self._earlier.get(run_id)
                found = self._restore_from(here, target) if here is not None else None
                if found is None and run_id in there:
                    found = self._restore_delivered(there[run_id], target)
                if found is not None:
                    return found
        return None

    def _restore_delivered(self, run: "RemoteRun", target: str) -> Path | None:
        scratch = self._make_scratch()
        try:
            return scratch / leaf_of(target) if run.restore(target, scratch, self._masker) else None
        except DeliveryError as error:
            self._warn(f"the output {target!r} of run {run.run_id} is passed over: {error.message}")
            return None

    def _restore_from(self, run: RunDir, target: str) -> Path | None:
        of_run = seals(run.events)
        # Where HYPERPLANE_OUTPUT_DIR is set for all attempts, they share one folder.
        recorded = folders_of(of_run, target, run.outputs)
        for folder in dict.fromkeys((*recorded, run.outputs, self._tree.root)):
            tree = Tree(folder, can_be_link=folder != run.outputs)
            for found in candidates(of_run, tree, target):
                files = {name: item for name, item in found.items() if trouble(name, self._masker) is None}
                scratch = self._make_scratch() if files else None
                if scratch is not None and copy(files, target, tree, scratch / leaf_of(target)):
                    return scratch / leaf_of(target)
        if any(is_below(name, target) for name in of_run.sealed):
            self._warn(f"the output {target!r} of run {run.run_id} is not as it was sealed: passed over")
        return None

    def _make_scratch(self) -> Path:
        """Make a folder for a copy: in the run, or among the system's temporary files without one."""
        parent = None
        if self._journal is not None:
            parent = RunDir(self._journal.path.parent).restored
            parent.mkdir(parents=True, exist_ok=True)
        self._scratch.append(Path(tempfile.mkdtemp(prefix="hyperplane-", dir=parent)))
        return self._scratch[-1]

    def seal_all(self) -> tuple[Sealed, ...]:
        """Seal every regular file in the folder that is not, or that has changed since, and return these.

        For the end of a job that succeeded. Files still open are closed first. Links, pipes and the like
        are passed over with a warning. Without a journal there is nothing to say which files are the
        job's, and nothing is sealed.
        Raises `OutputError` in the end, when some file could not be sealed, for its name perhaps.
        """
        self._close_open()
        if self._journal is None:
            return ()
        swept = sweep(self._tree, self._sealer, self._journal, self._masker, self._kept_out)
        if swept.passed_over:
            more = len(swept.passed_over) - _NAMED_AT_MOST
            named = ", ".join(swept.passed_over[:_NAMED_AT_MOST]) + (f" and {more} more" if more > 0 else "")
            self._warn(f"no outputs, and passed over: {named}")
        raise_any(swept.problems)
        return swept.sealed

    def close(self, *, is_success: bool = False) -> None:
        """Remove what was restored, and drop the files still open; after a success seal them."""
        try:
            if is_success:
                self._close_open()
        finally:
            for file in list(self._open.values()):
                file.drop()
            while self._scratch:
                shutil.rmtree(self._scratch.pop(), ignore_errors=True)

    def _close_open(self) -> None:
        for file in list(self._open.values()):
            file.close()
            self._warn(f"the output {file.name!r} was still open, and is sealed as it stands")

    def _target(self, name: object, *, shared: bool) -> str:
        plain = checked(name, self._masker)
        if any(is_below(plain, kept_out) for kept_out in self._kept_out):
            raise OutputNameError(
                f"{plain!r} cannot name an output: that place is not for outputs", name=plain
            )
        return plain if shared else self._prefix + plain

    def _seal_part(self, part: Part) -> None:
        with reported(part.output):
            self._sealer.publish_file(part.output, part.inner, part.content())

    def _forget(self, part: Part) -> None:
        self._open.pop(part.inner, None)

    def _existing(self, target: str) -> Entry:
        entry = self._tree.find(target)
        if entry is None:
            names = [found.name for found in self._tree.walk(left_out=self._kept_out)]
            raise OutputError(f"there is no output {target!r}", hint=did_you_mean(target, names), name=target)
        return entry

    def _files_of(self, target: str) -> list[Entry]:
        """Return what an output consists of besides folders. Raises `OutputNameError` for odd names in it."""
        entry = self._existing(target)
        entries = self._tree.walk(target) if entry.is_folder else [entry]
        files = [found for found in entries if not found.is_folder]
        for file in files:
            checked(file.name, self._masker)
        return files

    def _warn(self, message: str) -> None:
        message = one_line(self._masker.mask(message))
        if self._journal is not None:
            self._journal.note("warning", message=message)
        warnings.warn(message, HyperplaneWarning, stacklevel=3)


def seal_run(run: RunDir, masker: Masker) -> None:
    """Seal what a job that has succeeded left in the outputs folder of its run."""
    with closing(Journal(run.events, masker)) as journal:
        Outputs(run.outputs, masker=masker, journal=journal).seal_all()


def _refuse(entry: Entry | None, *, folders: bool = False, links: bool = True) -> None:
    """Raise `OutputError` for an entry that cannot be, or be replaced by, what is about to be written."""
    if entry is None or entry.is_file or (entry.is_folder and folders) or (entry.is_link and links):
        return
    raise not_a_file(entry)


def _encoded(name: str, payload: object) -> bytes | bytearray | memoryview:
    if isinstance(payload, bytes | bytearray | memoryview):
        return payload
    if not isinstance(payload, str):
        raise UsageError(f"the output {name!r} takes str and bytes, not {type(payload).__name__}")
    try:
        return payload.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"the output {name!r} cannot be written as UTF-8: {error}") from error


def _below(root: Path, places: Sequence[Path]) -> Iterator[str]:
    real = Path(os.path.realpath(root))
    for place in places:
        with suppress(ValueError):
            yield Path(os.path.realpath(place)).relative_to(real).as_posix()
