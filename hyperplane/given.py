"""What a context was made with, and how a part of it is made: on first use, once."""

from collections.abc import Callable, Mapping, Sequence
from types import EllipsisType
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from hyperplane.environment import StrPath
from hyperplane.job import Job

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from hyperplane.facets.inputs import Inputs
    from hyperplane.facets.outputs import Outputs
    from hyperplane.facets.s3 import S3
    from hyperplane.facets.secrets import Secrets
    from hyperplane.parts import Parts
    from hyperplane.secretsources import SecretSource

T = TypeVar("T")


class Given(NamedTuple):
    """What a context was made with; None where a part is to be built."""

    params: Any = None
    argv: Sequence[str] | None = None
    environ: Mapping[str, str] | None = None
    env_file: StrPath | EllipsisType | None = ...
    job: Job | None = None
    secrets: "Mapping[str, str | bytes] | SecretSource | Secrets | None" = None
    inputs: "Mapping[str, StrPath] | Inputs | None" = None
    outputs: "StrPath | Outputs | None" = None
    s3: "S3 | None" = None
    log: "FilteringBoundLogger | None" = None

    def __repr__(self) -> str:
        given = (name for name in self._fields if getattr(self, name) not in (None, ...))
        return f"<Given: {', '.join(given)}>"

    def injected(self) -> list[str]:
        """Return the names of what another process could not be given."""
        parts = ("environ", "job", "secrets", "inputs", "outputs", "s3", "log")
        return [name for name in parts if getattr(self, name) is not None]


class part(Generic[T]):  # noqa: N801 - it reads as a decorator, like property
    """A property that is computed on first use, once, under the lock of its owner."""

    def __init__(self, build: "Callable[[Any], T]") -> None:
        self._build = build
        self._name = build.__name__
        self.__doc__ = build.__doc__

    def __get__(self, owner: "Parts", kind: type | None = None) -> T:
        if self._name not in owner.built:
            with owner.lock:
                if self._name not in owner.built:
                    owner.built[self._name] = self._build(owner)
        value: T = owner.built[self._name]
        return value
