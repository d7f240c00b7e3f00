"""The runner: prepares a folder and an environment, runs the job in it, and records how it ended."""

import contextlib
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hyperplane import secretsources
from hyperplane import settings as job_settings
from hyperplane.environment import Environment
from hyperplane.errors import (
    EXIT_NOT_DELIVERED,
    EXIT_STOPPED,
    DeliveryError,
    HyperplaneError,
    HyperplaneWarning,
    OutputError,
    RunnerError,
)
from hyperplane.masking import Masker, process_masker
from hyperplane.rundir import Lock, RunDir
from hyperplane.runs.book import Book, now
from hyperplane.runs.claiming import claim
from hyperplane.runs.closing import closing_line
from hyperplane.runs.delivering import Patience, RunDelivery, Undelivered, deliver_waiting
from hyperplane.runs.execute import Execution, Result, execute
from hyperplane.runs.finding import home_near, working_folder
from hyperplane.runs.init import become_init
from hyperplane.runs.plan import Earlier, Plan, Request, make_plan, refuse_secrets
from hyperplane.runs.prepare import (
    FoundSecrets,
    command_for,
    find_secrets,
    register_parameters,
    standard_input,
    variables_for,
)
from hyperplane.runs.process import Guard
from hyperplane.runs.record import RunRecord
from hyperplane.runs.scratch import Scratch, choose_place
from hyperplane.runs.sealing import Seal, seal_outputs
from hyperplane.runs.showing import Advance
from hyperplane.runs.signals import Signals
from hyperplane.runs.telling import show, tell
from hyperplane.settings import JobSettings
from hyperplane.stopping import reserve_of

if TYPE_CHECKING:
    from hyperplane.delivery.handle import Delivered
    from hyperplane.runs.jobfile import JobFile

_STDERR = 2


class Known(NamedTuple):
    """What holds for all attempts at a job."""

    environment: Environment
    settings: JobSettings
    masker: Masker
    secrets: FoundSecrets
    seal: Seal


def run(request: Request, *, seal: Seal, masker: Masker | None = None) -> int:
    """Run what is asked for, with its retries, and return the exit code.

    `seal`: called after a job that succeeded, to seal what it left in its outputs folder.
    `masker`: told of every secret before anything is written; default: the one of this process.
    Needs the main thread. Raises a `HyperplaneError` when nothing could be started.
    """
    if not hasattr(os, "fork"):
        raise RunnerError(
            "hyperplane run needs Linux or macOS", hint="JobContext works here: run the script itself."
        )
    _open_standard_streams()
    become_init()
    plan, known = _settle(request, masker or process_masker(), seal)
    with Signals(known.settings.stop_signals) as signals:
        _deliver_waiting(plan, known, signals)
        while True:
            record, directory = _attempt(plan, known, signals)
            # a stop may have come when the job was over, or over its time
            signals.read()
            # only a failure is worth another try: who stopped the job wants it stopped
            if record.outcome != "failed" or plan.retries == 0 or signals.is_stop_requested:
                return record.exit_code or 0
            plan = plan.further_attempt(directory)


def _open_standard_streams() -> None:
    """Have descriptors 0 to 2 be streams, so that no file of ours gets a number of theirs."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        continue
    os.close(descriptor)


def _settle(request: Request, masker: Masker, seal: Seal) -> tuple[Plan, Known]:
    job, earlier, folder = _find_job(request)
    environment = Environment.capture(folder=folder)
    settings = job_settings.load(environment)
    sources = secretsources.registered_sources(masker, environment, settings)
    plan = make_plan(request, environment=environment, settings=settings, job=job, earlier=earlier)
    register_parameters(plan.parameters, masker)
    stored = secretsources.stored_sources(environment, settings, masker)
    secrets = find_secrets(plan.secrets, sources, stored, masker)
    _warn(masker, settings)
    return plan, Known(environment, settings, masker, secrets, seal)


def _find_job(request: Request) -> tuple["JobFile | None", Earlier | None, Path]:
    """Return the job file, the run that is tried again, and the folder of the project."""
    here = working_folder()
    job = _read_job_file(request.job_file) if request.job_file is not None else None
    here = job.folder if job is not None else here
    if request.retry is None:
        return job, None, here
    earlier = Earlier.find(request.retry, home_near(here))
    # what was mended in the job file since is what a further attempt is for
    if job is None and not request.command and (job_file := earlier.job_file) is not None:
        job = _read_job_file(job_file)
    if job is not None:
        return job, earlier, job.folder
    return None, earlier, here if request.command else earlier.folder or here


def _read_job_file(path: Path) -> "JobFile":
    from hyperplane.runs import jobfile

    return jobfile.read(path)


def _warn(masker: Masker, settings: JobSettings) -> None:
    messages = list(masker.warnings)
    origin = settings.origin("output_dir")
    if settings.output_dir is not None and origin.kind != "platform":
        messages.append(f"{origin} has no effect here: the outputs of a run lie in its folder")
    for message in messages:
        warnings.warn(message, HyperplaneWarning, stacklevel=3)


def _attempt(plan: Plan, known: Known, signals: Signals) -> tuple[RunRecord, RunDir]:
    """Run the job once, in a folder of its own."""
    # looked for before a folder is made: a typing error leaves no run behind
    path = plan.parameters.get("PATH") or known.environment.get("PATH") or os.defpath
    command = command_for(plan.command, folder=plan.folder, path=path)
    refuse_secrets(plan, known.masker)
    with contextlib.ExitStack() as stack:
        directory, lock = claim(
            plan.home, plan.job_id, is_delivered=plan.destination is not None, failure=RunnerError
        )
        stack.callback(lock.close)
        book = Book.begin(plan, directory, known.settings, known.environment.platform, known.masker)
        # the guard comes first: whatever kills us, no secret stays behind
        place = choose_place(known.environment.process_variables(), has_secrets=bool(known.secrets.by_name))
        guard = Guard.start(remove=place)
        stack.callback(guard.dismiss)
        scratch = Scratch.make(place, known.secrets.by_name)
        stack.callback(scratch.remove)
        execution = _execution(plan, directory, known, command, scratch)
        delivery = _begin_delivery(plan, book, lock, known, signals)
        stack.callback(delivery.close)
        try:
            _refuse_to_begin(signals)
            result = execute(
                execution,
                guard=guard,
                masker=known.masker,
                signals=signals,
                on_git=lambda git: book.note(git=git),
                on_stop=lambda reason: _note_stop(book, known.masker, reason),
            )
        except HyperplaneError as error:
            outcome = "stopped" if error.exit_code == EXIT_STOPPED else "failed"
            book.change(outcome=outcome, exit_code=error.exit_code, ended=now())
            book.write(durable=True)
            _deliver(book, delivery, known, signals, [])
            raise
        _finish(book, result, known, signals, delivery)
    return book.record, directory


def _execution(
    plan: Plan, run: RunDir, known: Known, command: tuple[str, ...], scratch: Scratch
) -> Execution:
    stdin, terminal = standard_input(plan.is_interactive)
    return Execution(
        run=run,
        command=command,
        variables=variables_for(
            plan,
            run,
            environment=known.environment,
            settings=known.settings,
            secrets=known.secrets,
            folder=scratch.secrets,
        ),
        folder=plan.folder,
        stdin=stdin,
        terminal=terminal,
        grace_s=known.settings.grace_s,
        timeout_s=plan.timeout_s,
    )


def _note_stop(book: Book, masker: Masker, reason: str) -> None:
    from hyperplane.journal import Journal

    with contextlib.closing(Journal(book.run.events, masker)) as journal:
        try:
            journal.append("stop", reason=reason, by="runner")
        except OutputError as error:
            # said at the end: now, a reader of our stderr who does not read would hold up the stop
            book.add_problem(error.message)


def _finish(
    book: Book, result: Result, known: Known, signals: Signals, delivery: "RunDelivery | Undelivered"
) -> None:
    """Seal what a successful job left, note the end, deliver it all, and say it."""
    ending, ended = result.ending, now()
    lacking: list[str] = []
    for problem in result.problems:
        book.add_problem(problem)
    if ending.outcome == "succeeded":
        lacking += [] if result.is_output_stored else ["its logs are not complete"]
        book.change(is_sealed=_seal(book, known, signals))
        lacking += [] if book.record.is_sealed else ["its outputs are not sealed"]
    book.change(
        git=result.git,
        outcome=ending.outcome,
        exit_code=EXIT_NOT_DELIVERED if lacking else ending.exit_code,
        job_exit_code=ending.job_exit_code,
        ended=ended,
    )
    _write(book, lacking)
    there = _deliver(book, delivery, known, signals, lacking)
    warned = [f"hyperplane: warning: {problem}" for problem in book.record.problems]
    line = closing_line(book.record, book.run, ending, lacking, there)
    tell([*warned, known.masker.mask(line)], signals)


def _write(book: Book, lacking: list[str]) -> None:
    try:
        book.write(durable=True)
    except RunnerError as error:
        # the job's own failure is never hidden by ours, but its success is none without a record
        lacking += ["its record is not written"] if book.record.outcome == "succeeded" else []
        book.change(exit_code=book.record.exit_code or error.exit_code)
        book.add_problem(str(error))


def _deliver(
    book: Book, delivery: "RunDelivery | Undelivered", known: Known, signals: Signals, lacking: list[str]
) -> str:
    """Deliver a run that has ended, and return what is to be said of that; what fails is in `lacking`."""
    if isinstance(delivery, Undelivered):
        return ""
    try:
        if book.record.outcome == "succeeded" and not book.record.is_sealed:
            raise DeliveryError("not delivered: its outputs are not sealed")
        delivered = _finish_delivery(delivery, book, known, signals)
    except DeliveryError as error:
        book.add_problem(str(error))
        if book.record.outcome == "succeeded":
            lacking.append("it is not delivered")
            book.change(exit_code=book.record.exit_code or error.exit_code)
        _write(book, [])
        return ""
    for problem in delivered.problems:
        book.add_problem(problem)
    book.change(delivery="delivered")
    _write(book, lacking)
    return f"; delivered to {book.record.output_url}"


def _finish_delivery(delivery: RunDelivery, book: Book, known: Known, signals: Signals) -> "Delivered":
    advance = Advance("delivering", lambda text: show(text, signals), is_terminal=os.isatty(_STDERR))
    with contextlib.closing(advance):
        patience = Patience(signals, known.settings.grace_s)
        return delivery.finish(book.record, patience, progress=advance.show)


def _begin_delivery(
    plan: Plan, book: Book, lock: Lock, known: Known, signals: Signals
) -> "RunDelivery | Undelivered":
    """Begin to deliver, where there is a destination. Raises `DeliveryError` where it cannot be written."""
    if plan.destination is None:
        return Undelivered()
    from hyperplane.delivery.brief import Brief

    run = book.run
    brief = Brief.of(run, plan.destination, run.outputs, known.environment, known.secrets.by_name)
    delivery = RunDelivery(brief, lock)
    try:
        delivery.begin(Patience(signals, known.settings.grace_s))
    except DeliveryError as error:
        delivery.close()
        # nothing of it is there, and nothing will be
        book.change(outcome="failed", delivery="none", exit_code=error.exit_code, ended=now())
        book.write(durable=True)
        raise
    return delivery


def _refuse_to_begin(signals: Signals) -> None:
    """Raise where a stop was asked for before there was a job to be told of it."""
    signals.read()
    if signals.is_stop_requested:
        raise RunnerError(
            "a stop came before the job began",
            hint="`hyperplane run --retry last` runs it.",
            exit_code=EXIT_STOPPED,
        )


def _deliver_waiting(plan: Plan, known: Known, signals: Signals) -> None:
    """Deliver earlier runs of this project that wait for it, where this one is to be delivered too."""
    if plan.destination is None:
        return
    deliver_waiting(
        plan.home,
        seal=known.seal,
        masker=known.masker,
        patience=Patience(signals, known.settings.grace_s),
        environment=known.environment,
        say=lambda line: tell([known.masker.mask(line)], signals),
    )


def _seal(book: Book, known: Known, signals: Signals) -> bool:
    """Seal what a successful job left in its outputs folder; return whether all of it is."""
    patience_s = reserve_of(known.settings.grace_s)
    sealing = seal_outputs(book.run, known.masker, seal=known.seal, signals=signals, patience_s=patience_s)
    for problem in sealing.problems:
        book.add_problem(problem)
    return sealing.is_complete
