"""`JobContext`: what a job needs, found and given back; the table of contents of the product."""

import os
import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import EllipsisType, TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypedDict, Unpack, cast, overload

from typing_extensions import TypeVar

from hyperplane import current
from hyperplane.environment import Environment, StrPath
from hyperplane.errors import EXIT_STOPPED, ContextClosedError, DeliveryError, JobStopped, UsageError
from hyperplane.given import Given
from hyperplane.job import Job
from hyperplane.parts import Parts
from hyperplane.settings import JobSettings

if TYPE_CHECKING:
    import logging
    from pathlib import Path

    from structlog.typing import FilteringBoundLogger

    from hyperplane.explain import Explanation
    from hyperplane.facets.inputs import Inputs
    from hyperplane.facets.outputs import Outputs
    from hyperplane.facets.params import Params
    from hyperplane.facets.s3 import S3
    from hyperplane.facets.secrets import Secrets
    from hyperplane.runs.record import Outcome
    from hyperplane.secretsources import SecretSource

P = TypeVar("P", default="Params")
M = TypeVar("M")
E = TypeVar("E", bound=BaseException)


class ContextOptions(TypedDict, total=False):
    """The keywords of `JobContext` besides `params`."""

    argv: Sequence[str] | None
    environ: Mapping[str, str] | None
    env_file: StrPath | EllipsisType | None
    require_secrets: Iterable[str]
    job: Job | None
    secrets: "Mapping[str, str | bytes] | SecretSource | Secrets | None"
    inputs: "Mapping[str, StrPath] | Inputs | None"
    outputs: "StrPath | Outputs | None"
    s3: "S3 | None"
    log: "FilteringBoundLogger | None"


class JobContext(Generic[P]):
    """What a job was told and what it gives back, wherever it runs.

    Use it as a context manager, or pass it on and `close()` it. Everything comes in by keyword, with
    a working default:

    `params`: a mapping, a pydantic model or dataclass type, an instance of one, an `argparse.Namespace`.
    `argv`: a command line for typed parameters; not read unless given.
    `environ`: variables instead of the process environment; then no `.env` is looked for.
    `env_file`: another `.env` file, or None for none.
    `require_secrets`: secrets that must be there; every missing one is named in one error.
    `job`, `secrets`, `inputs`, `outputs`, `s3`, `log`: instead of what would be built; a mapping will do for
    `secrets` and `inputs`, a folder for `outputs`, a source of your own for `secrets`. What is given is
    not closed.

    Raises `SettingsError`, `ParamsError` or `SecretNotFoundError` at once rather than hours later.
    """

    @overload
    def __init__(self, **options: Unpack[ContextOptions]) -> None: ...
    @overload
    def __init__(
        self: "JobContext[Params]",
        *,
        params: Mapping[str, object] | None,
        **options: Unpack[ContextOptions],
    ) -> None: ...
    @overload
    def __init__(self: "JobContext[M]", *, params: type[M], **options: Unpack[ContextOptions]) -> None: ...
    @overload
    def __init__(self: "JobContext[M]", *, params: M, **options: Unpack[ContextOptions]) -> None: ...
    def __init__(
        self,
        *,
        params: Any = None,
        argv: Sequence[str] | None = None,
        environ: Mapping[str, str] | None = None,
        env_file: StrPath | EllipsisType | None = ...,
        require_secrets: Iterable[str] = (),
        job: Job | None = None,
        secrets: "Mapping[str, str | bytes] | SecretSource | Secrets | None" = None,
        inputs: "Mapping[str, StrPath] | Inputs | None" = None,
        outputs: "StrPath | Outputs | None" = None,
        s3: "S3 | None" = None,
        log: "FilteringBoundLogger | None" = None,
    ) -> None:
        given = Given(
            params=params, argv=argv, environ=environ, env_file=env_file,
            job=job, secrets=secrets, inputs=inputs, outputs=outputs, s3=s3, log=log,
        )  # fmt: skip
        self._parts = self._make_parts(given)
        self._pid = os.getpid()
        self._is_copy = False
        self._is_entered = False
        self._is_closed = False
        if names := tuple(require_secrets):
            self.secrets.require(names)

    # What the job was told

    @property
    def job(self) -> Job:
        """Who this job is, and which process of it this is."""
        return self._parts.job

    @property
    def settings(self) -> JobSettings:
        """What the variables that begin with `HYPERPLANE_` say."""
        return self._parts.settings

    @property
    def environment(self) -> Environment:
        """The snapshot that everything here was read from."""
        return self._parts.environment

    @property
    def secrets(self) -> "Secrets":
        """Secrets by name."""
        return self._open("secrets").secrets

    @property
    def params(self) -> P:
        """The parameters, typed when they were declared so."""
        return cast("P", self._open("params").params.value)

    @property
    def inputs(self) -> "Inputs":
        """Inputs by name, as local paths."""
        return self._open("inputs").inputs

    def explain(self) -> "Explanation":
        """Say where every declared value came from and what it shadowed."""
        from hyperplane.explain import Explanation, setting_rows

        parts = self._open("explain()")
        told = (*setting_rows(parts.settings), *parts.params.rows)
        return Explanation((*told, *parts.inputs.rows(), *parts.secrets.rows())).masked(parts.masker)

    # What the job gives back

    @property
    def outputs(self) -> "Outputs":
        """Files that are kept: whole or not at all."""
        return self._open("outputs").outputs

    @property
    def s3(self) -> "S3":
        """Objects in S3: copied, listed, read and written."""
        return self._open("s3").s3

    @property
    def log(self) -> "FilteringBoundLogger":
        """A structlog logger that knows job, run and rank; it still works after the context closed."""
        return self._parts.log

    def log_handler(self) -> "logging.Handler":
        """Return a standard-library handler that writes as `log` does, to attach where you want it."""
        from hyperplane.facets import log

        return log.make_handler(**self._parts.log_options())

    def report(self, message: object, **fields: object) -> None:
        """Report something important: one line on stdout, and an event."""
        self._open("report()").events.report(message, **fields)

    def metric(self, name: str, value: float, *, step: int | None = None) -> None:
        """Record a number; NaN and infinities are kept."""
        self._open("metric()").events.metric(name, value, step=step)

    def progress(self, done: float, total: float = 1.0) -> None:
        """Say how much is done, of how much."""
        self._open("progress()").events.progress(done, total)

    # Being asked to stop

    @property
    def stopping(self) -> bool:
        """Whether the job was asked to stop. A job that has seen it ends with exit code 143."""
        return self._parts.stopping.poll()

    @property
    def seconds_left(self) -> float:
        """Seconds until the job must have ended its own work; infinite while nobody has set an end."""
        return self._parts.stopping.seconds_left()

    def raise_if_stopping(self, any_rank: Callable[[bool], object] | None = None) -> None:
        """Raise `JobStopped` when the job was asked to stop.

        `any_rank`: given the flag of this rank, returns whether any rank has one (an all-reduce); its
        answer alone decides, so that all ranks stop at the same place.
        """
        self._parts.stopping.raise_if_requested(any_rank)

    def on_stop(self, cancel: Callable[[], object]) -> None:
        """Have `cancel` called once, in a thread of its own, the moment the job is asked to stop.

        It is for what blocks (`ctx.on_stop(connection.cancel)`); checkpoints belong where the job polls.
        """
        self._parts.stopping.add_callback(cancel)

    # Its life

    def __enter__(self) -> Self:
        parts = self._open("the `with` block")
        if self._is_entered and not self._is_forked:
            raise UsageError("this context is entered already", hint="current_context() returns it.")
        try:
            parts.begin(is_guest=self._is_copy or self._is_forked)
        except DeliveryError as error:
            self._said(error)
            raise
        self._is_entered = True
        current.enter(self)
        try:
            if not (self._is_copy or self._is_forked):
                parts.stopping.install()
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        stopping = self._parts.stopping
        was_stopped = stopping.finish()
        current.leave(self)
        if self._is_forked:
            return
        is_failure = error is not None and not _is_success(error)
        self._parts.ending = _ending_of(error, was_stopped)
        failures = self._close(is_success=not (is_failure or was_stopped))
        stopping.uninstall()
        if is_failure:
            self._note(cast("BaseException", error), failures)
        elif was_stopped:
            raise self._note(JobStopped(stopping.reason or ""), failures) from None
        elif failures:
            raise self._first(failures) from error

    def close(self) -> None:
        """Close what the context has made, and only that. Leaving the `with` block does it too."""
        failures = [] if self._is_forked else self._close(is_success=False)
        if failures:
            raise self._note(failures[0], failures[1:])

    def __reduce__(self) -> tuple[Any, ...]:
        given = self._parts.given
        if injected := given.injected():
            raise TypeError(
                f"a JobContext with injected {', '.join(injected)} cannot be pickled: make one over there"
            )
        if any(map(self._parts.masker.contains_secret, given.argv or ())):
            raise TypeError("a JobContext with a secret in argv cannot be pickled: make one over there")
        known = {"params": self._parts.declared_params, "argv": given.argv, "env_file": given.env_file}
        run = self._parts.run
        return _unpickled, (type(self), known, self.job, None if run is None else run.path)

    def __repr__(self) -> str:
        # a traceback may show a context that could not be made
        if "_parts" not in vars(self):
            return f"<{type(self).__name__}>"
        return f"<{type(self).__name__} {self.job.id} on {self.job.platform}>"

    def _make_parts(self, given: Given) -> Parts:
        return Parts(given, subscript=self._subscript)

    def _subscript(self) -> Any:
        """Return the class of `JobContext[Class]()`, which typing notes on the finished instance."""
        arguments = getattr(self.__dict__.get("__orig_class__"), "__args__", (None,))
        if not isinstance(arguments[0], type):
            return None
        from hyperplane.facets.params import Params

        return None if arguments[0] is Params else arguments[0]

    def _open(self, name: str) -> Parts:
        if self._is_closed:
            raise ContextClosedError(
                f"ctx: {name} was used after the context had closed", hint="Use it inside the `with` block."
            )
        return self._parts

    @property
    def _is_forked(self) -> bool:
        return os.getpid() != self._pid

    def _close(self, *, is_success: bool) -> list[Exception]:
        if self._is_closed:
            return []
        self._is_closed = True
        return self._parts.close(is_success=is_success)

    def _first(self, failures: Sequence[Exception]) -> Exception:
        """Return the first failure, with the others noted."""
        first = self._note(failures[0], failures[1:])
        return self._said(first) if isinstance(first, DeliveryError) else first

    def _said(self, error: DeliveryError) -> DeliveryError:
        """Return an error that is told on stderr: Python says nothing of a `SystemExit`."""
        from hyperplane.journal import say_error

        error.is_said = True
        say_error(error, self._parts.masker)
        return error

    def _note(self, error: E, failures: Sequence[Exception]) -> E:
        for failure in failures:
            from hyperplane.journal import say

            told = f"{type(failure).__name__}: {' '.join(str(failure).split())}"
            error.add_note(f"and then, while the context closed: {told}")
            say(f"hyperplane: while the context closed: {told}", self._parts.masker)
        return error


def _is_success(error: BaseException) -> bool:
    is_zero = isinstance(error, SystemExit) and isinstance(error.code, int) and error.code == 0
    return is_zero or (isinstance(error, SystemExit) and error.code is None)


def _ending_of(error: BaseException | None, was_stopped: bool) -> "tuple[Outcome, int]":
    """Return how a block ended, and the exit code of a script that ends with it."""
    if isinstance(error, JobStopped) or (was_stopped and (error is None or _is_success(error))):
        return "stopped", EXIT_STOPPED
    match error:
        case None:
            return "succeeded", 0
        case _ if _is_success(error):
            return "succeeded", 0
        case SystemExit(code=int(code)):
            return "failed", code & 0xFF
        case KeyboardInterrupt():
            return "failed", 128 + signal.SIGINT
    return "failed", 1


def _unpickled(
    kind: type[JobContext[Any]], known: dict[str, Any], job: Job, run: "Path | None"
) -> JobContext[Any]:
    context = kind(**known)
    context._parts.adopt(job, run)  # noqa: SLF001 - the other half of __reduce__
    context._is_copy = True  # noqa: SLF001
    return context
