"""The delivery of runs as those see it who hold them: the runner, and whoever delivers what was left."""

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hyperplane import secretsources
from hyperplane import settings as job_settings
from hyperplane.delivery.handle import Delivered, DelivererKilledError, DeliveryProcess
from hyperplane.delivery.ledger import Begun, begun_of
from hyperplane.environment import Environment
from hyperplane.errors import DeliveryError, HyperplaneError, UsageError
from hyperplane.masking import Masker
from hyperplane.masking.automaton import MASK
from hyperplane.rundir import Home, Lock, RunDir
from hyperplane.runs import record
from hyperplane.runs.record import RunRecord
from hyperplane.stopping import reserve_of

if TYPE_CHECKING:
    from hyperplane.delivery.brief import Brief
    from hyperplane.runs.signals import Signals

LONGEST_MARGIN_S = 2.0
Seal = Callable[[RunDir, Masker], object]
Progress = Callable[[Mapping[str, Any]], object]


def end_of_delivery(requested_at: float | None, grace_s: float) -> float | None:
    """Return the moment from which no time is left to deliver, after a stop was asked for, if it was."""
    if requested_at is None:
        return None
    return requested_at + grace_s - min(LONGEST_MARGIN_S, reserve_of(grace_s) / 4)


class Patience:
    """How long a delivery is waited for: for ever, until a stop is asked for, then as the grace allows."""

    def __init__(self, signals: "Signals", grace_s: float) -> None:
        self._signals = signals
        self._grace_s = grace_s

    def deadline(self) -> float | None:
        """Return the moment, on the monotonic clock, until when to wait."""
        signals = self._signals
        signals.read()
        if signals.is_hurried:
            return time.monotonic()
        return end_of_delivery(signals.stop_requested_at, self._grace_s)

    @property
    def watch(self) -> int:
        """The descriptor that can be read from when something is to be looked at."""
        return self._signals.descriptor


class RunDelivery:
    """The delivery of one run while it is held: begun before the job, gone on with until the end."""

    def __init__(self, brief: "Brief", lock: Lock) -> None:
        self._brief = brief
        self._lock = lock
        self._process = DeliveryProcess.start(brief, lock)

    def begin(self, patience: "Patience | Deadline") -> None:
        """Raise `DeliveryError` where nothing can be written to the destination."""
        self._process.begin(patience.deadline, watch=patience.watch)

    def finish(
        self, found: RunRecord, patience: "Patience | Deadline", *, progress: Progress = bool
    ) -> Delivered:
        """Deliver the rest, and say how the run ended. Raises `DeliveryError`."""
        try:
            return self._finish(found, patience, progress)
        except DelivererKilledError:
            # while the job ran, perhaps; what it sent is noted, and another one goes on
            self._process = DeliveryProcess.start(self._brief, self._lock)
            return self._finish(found, patience, progress)

    def _finish(self, found: RunRecord, patience: "Patience | Deadline", progress: Progress) -> Delivered:
        return self._process.finish(
            found.as_dict(),
            is_complete=found.outcome == "succeeded",
            deadline=patience.deadline,
            watch=patience.watch,
            progress=progress,
        )

    def close(self) -> None:
        """End the process, whatever it does."""
        self._process.end()


class Undelivered:
    """The delivery of a run that goes nowhere."""

    def close(self) -> None:
        """Nothing was begun."""


class Deadline:
    """The patience of one who hears of no signals: `moment` says until when, or None for ever."""

    watch: int | None = None

    def __init__(self, moment: Callable[[], float | None] = lambda: None) -> None:
        self.deadline = moment


class Told(NamedTuple):
    """What became of one run that was to be delivered; `problem`: why it is not."""

    run: RunDir
    record: RunRecord
    delivered: Delivered | None = None
    problem: HyperplaneError | None = None


def waiting_runs(home: Home) -> list[RunDir]:
    """Return the runs that are not delivered though they should be, and that nobody holds; oldest first."""
    return [run for run in reversed(home.runs()) if run.delivery.exists() and _is_waiting(run)]


def _is_waiting(run: RunDir) -> bool:
    found = record.read(run)
    return (found.delivery == "pending" and found.outcome != "running") or record.is_lost(run, found)


def deliver(
    run: RunDir,
    *,
    seal: Seal,
    masker: Masker,
    patience: Patience | Deadline | None = None,
    progress: Progress = bool,
    environment: Environment | None = None,
) -> Told:
    """Deliver a run that has ended, with what the environment says now; one that is delivered stays so.

    `seal`: seals what a job that succeeded has left. Raises `UsageError` where it still runs, or goes
    nowhere. Whatever else is wrong is told.
    """
    lock = Lock.take(run.lock)
    if lock is None:
        raise UsageError(f"the run {run.run_id} is still running", hint="It is delivered when it ends.")
    with contextlib.closing(lock):
        found = record.read_held(run)
        if found.delivery == "delivered":
            return Told(run, found)
        begun = begun_of(run.delivery) or _planned(run, found)
        if begun is None or (found.delivery == "none" and found.started is not None):
            raise UsageError(
                f"the run {run.run_id} has no destination",
                hint="HYPERPLANE_OUTPUT_URL or `output_url` in the job file gives runs one.",
            )
        try:
            if found.outcome == "succeeded" and not found.is_sealed and Path(begun.outputs) == run.outputs:
                seal(run, masker)
                found = found._replace(is_sealed=True)
            brief = _brief_of(run, begun, masker, environment)
            with contextlib.closing(RunDelivery(brief, lock)) as delivery:
                delivered = delivery.finish(found, patience or Deadline(), progress=progress)
        except HyperplaneError as error:
            return Told(run, found, problem=error)
        found = found._replace(delivery="delivered")
        found.save(run)
        return Told(run, found, delivered)


def _planned(run: RunDir, found: RunRecord) -> Begun | None:
    """Return where a run goes that died before anything was sent, if no secret is masked in that."""
    url = found.output_url
    if found.delivery != "pending" or url is None or MASK.decode() in url:
        return None
    return Begun(url, str(run.outputs))


def _brief_of(run: RunDir, begun: Begun, masker: Masker, environment: Environment | None) -> "Brief":
    from hyperplane.delivery.brief import Brief

    environment = environment or Environment.capture()
    settings = job_settings.load(environment)
    sources = secretsources.registered_sources(masker, environment, settings)
    secrets = {name: found.value for name, found in secretsources.find_all(sources).items()}
    return Brief.of(run, begun.url, Path(begun.outputs), environment, secrets)


def deliver_waiting(
    home: Home,
    *,
    seal: Seal,
    masker: Masker,
    patience: Patience | Deadline,
    environment: Environment,
    say: Callable[[str], object],
) -> None:
    """Deliver the runs that wait for it, before another one begins; the first failure ends it."""
    for run in waiting_runs(home):
        say(f"hyperplane: delivering run {run.run_id}, which waits for it")
        try:
            told = deliver(run, seal=seal, masker=masker, patience=patience, environment=environment)
        except UsageError:  # somebody else is at it
            continue
        if told.problem is not None:
            say(f"hyperplane: warning: {told.problem.message}; it waits on")
            return


def all_delivered(told: Iterable[Told]) -> None:
    """Raise `DeliveryError` where some run could not be delivered."""
    problems = [run for run in told if run.problem is not None]
    if problems:
        names = ", ".join(run.run.run_id for run in problems)
        raise DeliveryError(f"{len(problems)} not delivered: {names}", hint="What stood in the way is above.")
