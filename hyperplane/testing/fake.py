"""`FakeJobContext`: a real context over a temporary folder of its own, to hand to a job under test."""

import itertools
import signal
import weakref
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, Unpack, cast, overload

from hyperplane import secretsources
from hyperplane.context import ContextOptions, JobContext, P
from hyperplane.errors import EXIT_STOPPED, JobStopped, UsageError
from hyperplane.facets.outputs import Outputs
from hyperplane.facets.params import Params
from hyperplane.given import Given, part
from hyperplane.job import Job, identify
from hyperplane.masking import Masker
from hyperplane.parts import Parts
from hyperplane.rundir import Lock, RunDir
from hyperplane.stopping import Stopping
from hyperplane.testing import recorded
from hyperplane.testing.objects import BUCKET, MemoryBuckets
from hyperplane.testing.outputs import ClosedOutputs, FakeOutputs
from hyperplane.testing.recorded import Metric
from hyperplane.testing.workplace import Workplace

if TYPE_CHECKING:
    from hyperplane.inputcache import InputCache

M = TypeVar("M")
Outcome = Literal["running", "succeeded", "failed", "stopped"]
NAME = "fake"


class FakeParts(Parts):
    """The parts of a fake: the real ones over an empty environment and a run of its own."""

    owns_run = True

    def __init__(
        self,
        given: Given,
        *,
        subscript: Callable[[], Any],
        workplace: Workplace,
        attempts_before: int,
        objects: MemoryBuckets,
    ) -> None:
        super().__init__(given, subscript=subscript)
        self._objects = objects
        self._workplace = workplace
        self._attempts_before = attempts_before

    @part
    def run(self) -> RunDir:
        """A run claimed in the temporary folder, its lock held until the context closes."""
        job_id = self.settings.job_id if self.given.job is None else self.given.job.id
        run = self._workplace.home.claim(job_id or NAME)
        # the run is new, and its lock free
        self.closes(cast("Lock", Lock.take(run.lock)).close)
        return run

    @part
    def job(self) -> Job:
        """Who this job is, with the same made-up id each time."""
        known = self.given.job or self._made_up()
        if not self._attempts_before:
            return known
        return replace(known, attempt=known.attempt + self._attempts_before, run_id=self.run.run_id)

    def _made_up(self) -> Job:
        found = identify(self.settings, self.environment.platform, self.run)
        return replace(found, id=self.settings.job_id or NAME, name=self.settings.job_name or NAME)

    @part
    def masker(self) -> Masker:
        """A masker that knows the secrets of this context alone, and does not warn of short ones."""
        masker = Masker()
        secretsources.register_all(masker, self.environment, self.listed_secret_sources)
        return masker

    @part
    def stopping(self) -> Stopping:
        """Whether the job was asked to stop; nothing waits for the end of a job that is closed."""
        stopping = super().stopping
        self.closes(stopping.finish)
        return stopping

    @part
    def input_cache(self) -> "InputCache":
        """A cache of this test's own, of which nothing is kept when the context closes."""
        from hyperplane.inputcache import InputCache

        folder = self._workplace.home.path.parent / "cache"
        cache = InputCache(folder, lambda: self.buckets, limit_bytes=0, log=lambda: self.log)
        self.closes(cache.close)
        return cache

    @part
    def outputs(self) -> FakeOutputs:
        """The outputs, in the run's own folder unless another was given."""
        given = self.given.outputs
        if isinstance(given, Outputs):
            return cast("FakeOutputs", given)
        outputs = FakeOutputs(
            self.run.outputs if given is None else self.environment.folder / Path(given),
            masker=self.masker,
            journal=self.journal,
            rank=self.job.rank,
            earlier=self.run.earlier_runs(),
        )
        outputs.workplace = self._workplace
        self.closes(outputs.close)
        return outputs

    @part
    def buckets(self) -> MemoryBuckets:
        """Buckets in memory."""
        return self._objects

    def _usual_bucket(self) -> str:
        return self.settings.s3_bucket or BUCKET


class FakeOptions(ContextOptions, total=False):
    """The keywords of `FakeJobContext` besides `params`."""

    objects: Mapping[str, bytes]
    stop_after: int | None


class FakeJobContext(JobContext[P]):
    """A `JobContext` for tests: it knows what it is given, and keeps what the job does.

    The keywords are those of `JobContext`. Unless given, `environ` and `argv` are empty: no variable,
    `.env`, option or platform of the machine plays a part. Its run lies in a temporary folder of its
    own, which goes with the object, its `outputs` and what `next_attempt()` made from it.

    `objects`: what `ctx.s3` finds, by key or `s3://bucket/key`, and as bytes; attempts share them.
    `stop_after`: the poll of `ctx.stopping` or `ctx.raise_if_stopping()` that says stop, from 1.

    Pass it to the job as it is, or open it in a `with` block, which also makes it the current
    context, installs signal handlers, and settles `outcome` and `exit_code`. What the job did can be
    read at any time, after the block too.
    """

    @overload
    def __init__(self, **options: Unpack[FakeOptions]) -> None: ...
    @overload
    def __init__(
        self: "FakeJobContext[Params]",
        *,
        params: Mapping[str, object] | None,
        **options: Unpack[FakeOptions],
    ) -> None: ...
    @overload
    def __init__(self: "FakeJobContext[M]", *, params: type[M], **options: Unpack[FakeOptions]) -> None: ...
    @overload
    def __init__(self: "FakeJobContext[M]", *, params: M, **options: Unpack[FakeOptions]) -> None: ...
    def __init__(
        self,
        *,
        params: Any = None,
        objects: Mapping[str, bytes] = MappingProxyType({}),
        stop_after: int | None = None,
        **options: Unpack[ContextOptions],
    ) -> None:
        self._buckets = MemoryBuckets(objects)
        keywords: dict[str, Any] = {"params": params, **options}
        keywords["environ"] = options.get("environ") or {}
        keywords["argv"] = options.get("argv") or ()
        keywords["require_secrets"] = tuple(options.get("require_secrets", ()))
        self._begin(keywords, stop_after, Workplace(), attempts_before=0)

    def next_attempt(self, *, stop_after: int | None = None) -> Self:
        """Return the next attempt at the same job: what this one sealed, `outputs.restore` finds.

        It is made with the same keywords, `stop_after` excepted.
        """
        keywords = {**self._keywords, "params": self._parts.declared_params}
        following = type(self).__new__(type(self))
        following._buckets = self._buckets  # noqa: SLF001 - as below
        following._begin(  # noqa: SLF001 - the other half of __init__
            keywords, stop_after, self._workplace, attempts_before=self._attempts_before + 1
        )
        return following

    def _begin(
        self,
        keywords: Mapping[str, Any],
        stop_after: int | None,
        workplace: Workplace,
        attempts_before: int,
    ) -> None:
        if stop_after is not None and stop_after < 1:
            raise UsageError(f"stop_after={stop_after}: polls are counted from 1", hint="Give 1 or more.")
        self._keywords = keywords
        self._workplace = workplace
        self._attempts_before = attempts_before
        self._stop_after = stop_after
        self._polls = itertools.count(1)
        self._ending: tuple[Outcome, int | None] = "running", None
        initialise: Callable[..., None] = super().__init__
        initialise(**keywords)
        # a fake that is passed on without `with` is rarely closed, and descriptors do not close themselves
        weakref.finalize(self, self._parts.close, is_success=False)

    # What the test asks of it

    def stop(self, *, deadline_s: float | None = None) -> None:
        """Ask the job to stop, as a signal would; `deadline_s`: how long it is given, in seconds."""
        self._parts.stopping.request("FakeJobContext.stop()", deadline_s=deadline_s)

    @property
    def reports(self) -> list[str]:
        """The messages of all reports so far."""
        return recorded.reports(self._run.events)

    @property
    def metrics(self) -> list[Metric]:
        """All metrics so far."""
        return recorded.metrics(self._run.events)

    @property
    def log_events(self) -> list[dict[str, Any]]:
        """What was logged so far: `event`, `level`, `fields`, and `exception` where there was one."""
        return recorded.log_events(self._run.events)

    @property
    def objects(self) -> dict[str, bytes]:
        """What there is in S3 now, by key; in other buckets than the usual one by `s3://bucket/key`."""
        return self._buckets.contents()

    @property
    def outcome(self) -> Outcome:
        """How the `with` block ended: "running" before that."""
        return self._ending[0]

    @property
    def exit_code(self) -> int | None:
        """The exit code of a script that ends as the `with` block did; None before that."""
        return self._ending[1]

    # What differs from the real one

    @property
    def outputs(self) -> FakeOutputs:
        """The outputs; when the context has closed, their `files` can still be looked at."""
        outputs = self._fake_parts.outputs
        return ClosedOutputs(outputs) if self._is_closed else outputs

    @property
    def stopping(self) -> bool:
        """Whether the job was asked to stop; this is a poll that `stop_after` counts."""
        self._count_poll()
        return super().stopping

    def raise_if_stopping(self, any_rank: Callable[[bool], object] | None = None) -> None:
        """Raise `JobStopped` when the job was asked to stop; this is a poll that `stop_after` counts."""
        self._count_poll()
        super().raise_if_stopping(any_rank)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            super().__exit__(kind, error, trace)
        except BaseException as raised:
            self._ending = _ending_of(raised)
            raise
        self._ending = _ending_of(error)

    def _count_poll(self) -> None:
        if next(self._polls) == self._stop_after:
            self._parts.stopping.request(f"stop_after={self._stop_after}")

    @property
    def _fake_parts(self) -> FakeParts:
        return cast("FakeParts", self._parts)

    @property
    def _run(self) -> RunDir:
        return self._fake_parts.run

    def _make_parts(self, given: Given) -> Parts:
        # weak, or the finalizer would keep the context alive through its parts
        weakly = weakref.WeakMethod(self._subscript)

        def subscript() -> Any:
            read = weakly()
            return None if read is None else read()

        return FakeParts(
            given,
            subscript=subscript,
            workplace=self._workplace,
            attempts_before=self._attempts_before,
            objects=self._buckets,
        )


def _ending_of(error: BaseException | None) -> tuple[Outcome, int]:
    match error:
        case None:
            return "succeeded", 0
        case JobStopped():
            return "stopped", EXIT_STOPPED
        case SystemExit(code=None | 0):
            return "succeeded", 0
        case SystemExit(code=int(code)):
            return "failed", code
        case KeyboardInterrupt():
            return "failed", 128 + signal.SIGINT
        case _:
            return "failed", 1
