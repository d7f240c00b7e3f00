"""Which context is current: the innermost open one of this task, else the first of the process."""

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from hyperplane.errors import NoContextError

if TYPE_CHECKING:
    from hyperplane.context import JobContext

# a tuple of all contexts entered around this point, innermost last; threads begin with none
_around: ContextVar["tuple[JobContext[Any], ...]"] = ContextVar("hyperplane_contexts", default=())
_entered: "list[JobContext[Any]]" = []


def enter(context: "JobContext[Any]") -> None:
    """Make a context the innermost of this task."""
    _around.set((*_around.get(), context))
    _entered.append(context)


def leave(context: "JobContext[Any]") -> None:
    """Forget a context; in another task than the one it was entered in, that one sees it closed."""
    _around.set(tuple(other for other in _around.get() if other is not context))
    if context in _entered:
        _entered.remove(context)


def find() -> "JobContext[Any] | None":
    """Return the innermost context of this task that is still open, else the first of the process."""
    still_open = [context for context in _around.get() if context in _entered]
    return still_open[-1] if still_open else next(iter(_entered), None)


def current_context() -> "JobContext[Any]":
    """Return the innermost open context of this task, else the first entered and still open of the process.

    Raises `NoContextError` when none is open.
    """
    context = find()
    if context is None:
        raise NoContextError(
            "no context is open",
            hint="Put the job in `with hyperplane.JobContext() as ctx:` or hyperplane.run().",
        )
    return context
