"""Open output files: hashed on the way, sealed when they are closed, dropped when a block fails."""

import hashlib
import io
import os
import warnings
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING

from hyperplane.errors import OutputError
from hyperplane.locks import renew_after_fork
from hyperplane.rundir import new_part_name
from hyperplane.sealing.content import Content, digest_of
from hyperplane.sealing.tree import Tree, beside, reported

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_BUFFER_BYTES = 1 << 17


class Part(io.FileIO):
    """The temporary file of one output; unfit to be sealed after a failed write, and in a forked child."""

    def __init__(self, tree: Tree, output: str) -> None:
        self.output = output
        self.inner = new_part_name()
        self.is_dropped = False
        self._tree = tree
        self._digest = hashlib.sha256()
        self._digested_bytes = 0
        self._has_failed = False
        self._is_foreign = False
        with tree.parent(output, make=True) as parent:
            super().__init__(
                str(tree.path(output)), "xb", opener=lambda _, flags: self._create(flags, parent)
            )
        renew_after_fork(self)

    def _create(self, flags: int, parent: int) -> int:
        return os.open(self.inner, flags | os.O_NOFOLLOW, 0o666, dir_fd=parent)

    def renew(self) -> None:
        """Be of no use in a forked child: the file is the parent's, and so is what is buffered."""
        self._is_foreign = True

    def write(self, data: "ReadableBuffer", /) -> int:
        """Write some bytes, as many as fit, and return how many."""
        view = memoryview(data).cast("B")
        if self.is_dropped:
            return len(view)  # what the buffers above still hold has to go somewhere when they close
        self.check()
        start = self.tell()
        try:
            with reported(self.output):
                count = super().write(view)
        except OutputError:
            self._has_failed = True
            raise
        # Once anything is written out of order, the digest comes from reading the file at the end.
        if start == self._digested_bytes:
            self._digest.update(view[:count])
            self._digested_bytes += count
        else:
            self._digested_bytes = -1
        return count

    def truncate(self, size: int | None = None, /) -> int:
        """Change the length."""
        self._digested_bytes = -1
        return super().truncate(size)

    def check(self) -> None:
        """Raise `OutputError` when this file cannot be what it should be any more."""
        if self._is_foreign:
            raise OutputError(f"the output {self.output!r} was opened by another process", name=self.output)
        if self._has_failed:
            raise OutputError(f"the output {self.output!r} could not be written earlier", name=self.output)

    def content(self) -> Content:
        """Have the file on the disk and return what it holds."""
        os.fsync(self.fileno())
        status = os.fstat(self.fileno())
        if self._digested_bytes == status.st_size:
            digest = self._digest.hexdigest()
        else:
            with self._tree.file(beside(self.output, self.inner)) as descriptor:
                digest = digest_of(descriptor)
        return Content.of(status, digest)

    def drop(self) -> None:
        """Remove the file, and let what is written to it from now on vanish."""
        self.is_dropped = True
        if not self._is_foreign:
            with suppress(OSError), self._tree.parent(self.output) as parent:
                os.unlink(self.inner, dir_fd=parent)

    def abandon(self) -> None:
        """Drop what was never closed. Finalizers come in any order, so that each of the three calls this."""
        if not (self.closed or self.is_dropped):
            self.drop()
            message = f"the output {self.output!r} was never closed, and is dropped"
            warnings.warn(message, ResourceWarning, stacklevel=3, source=self)

    def __del__(self) -> None:
        self.abandon()
        self.close()


class BinaryOutput(io.BufferedWriter):
    """An output that is open for bytes; it gets its name, whole, when it is closed."""

    def __init__(self, part: Part, seal: Callable[[Part], None], forget: Callable[[Part], None]) -> None:
        self._part = part
        self._seal = seal
        self._forget = forget
        super().__init__(part, _BUFFER_BYTES)

    def close(self) -> None:
        """Seal the output. Raises `OutputError` where that fails; the file of that name is as it was."""
        if self.closed:
            return
        try:
            if not self._part.is_dropped:
                self.flush()
                self._part.check()
                self._seal(self._part)
        except BaseException:
            self._part.drop()
            raise
        finally:
            self._forget(self._part)
            super().close()

    def drop(self) -> None:
        """Close without sealing: as if it had never been opened."""
        self._part.drop()
        self.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close() if kind is None else self.drop()

    def __del__(self) -> None:
        self._part.abandon()
        self.close()


class TextOutput(io.TextIOWrapper):
    """An output that is open for text; it gets its name, whole, when it is closed."""

    def __init__(self, part: Part, binary: BinaryOutput, encoding: str, newline: str | None) -> None:
        self._part = part
        self._binary = binary
        super().__init__(binary, encoding, newline=newline)

    def drop(self) -> None:
        """Close without sealing: as if it had never been opened."""
        self._binary.drop()
        self.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close() if kind is None else self.drop()

    def __del__(self) -> None:
        if not self.closed:
            self._part.abandon()
            self.drop()
