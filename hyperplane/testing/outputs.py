"""The outputs of a fake context: the real ones, and a look at what lies in their folder."""

from typing import Any

from hyperplane.errors import ContextClosedError
from hyperplane.facets.outputs import Outputs
from hyperplane.testing.workplace import Workplace


class FakeOutputs(Outputs):
    """The real `Outputs`; `files` shows what a test wants to know.

    `workplace`: the temporary folder around them, which stays as long as they do.
    """

    workplace: Workplace | None = None

    @property
    def files(self) -> dict[str, bytes]:
        """Every regular file in the outputs folder: its name there, and what it holds."""
        names = sorted(entry.name for entry in self._tree.walk() if entry.is_file)
        return {name: self._tree.path(name).read_bytes() for name in names}


class ClosedOutputs(FakeOutputs):
    """What is left of the outputs when the context has closed: `files` to look at, and nothing else."""

    def __init__(self, outputs: Outputs) -> None:  # the folder alone: the facet is closed
        self._tree = outputs._tree  # noqa: SLF001 - it is a view of them

    def __getattribute__(self, name: str) -> Any:
        if name == "files" or name.startswith("_"):
            return super().__getattribute__(name)
        raise ContextClosedError(
            f"ctx: outputs.{name} was used after the context had closed",
            hint="Use it inside the `with` block; `outputs.files` of a fake can be read at any time.",
        )
