"""The run of a context that no runner has made one for: its folder, its record, its lock, its delivery."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from hyperplane.delivery.brief import Brief
from hyperplane.environment import Environment
from hyperplane.errors import DeliveryError, HyperplaneError, OutputError
from hyperplane.job import Job
from hyperplane.journal import say
from hyperplane.masking import Masker
from hyperplane.rundir import Home, Lock, RunDir
from hyperplane.runs.book import Book, begun_here, now, place_in_group
from hyperplane.runs.claiming import claim
from hyperplane.runs.delivering import Deadline, RunDelivery, Seal, deliver_waiting, end_of_delivery
from hyperplane.runs.record import Identity, Outcome, RunRecord
from hyperplane.stopping import Stopping


class OwnRun:
    """A run that is alive as long as its context, and delivered when that closes."""

    def __init__(self, book: Book, lock: Lock, delivery: RunDelivery) -> None:
        self.run = book.run
        self._book = book
        self._lock = lock
        self._delivery = delivery

    @classmethod
    def begin(
        cls,
        home: Home,
        job: Job,
        url: str,
        *,
        outputs: Path | None,
        environment: Environment,
        secrets: Mapping[str, bytes],
        masker: Masker,
        seal: Seal,
    ) -> Self:
        """Make the folder of a run, and see that its destination can be written to; what waits goes first.

        Raises `OutputError` where there can be no folder, `DeliveryError` where nothing can be delivered.
        """
        deliver_waiting(
            home,
            seal=seal,
            masker=masker,
            patience=Deadline(),
            environment=environment,
            say=lambda line: say(line, masker),
        )
        run, lock = claim(home, job.id, is_delivered=True, failure=OutputError)
        book = Book(run, _record(run, job, url, environment, masker), masker)
        book.write(durable=True)
        brief = Brief.of(run, url, outputs or run.outputs, environment, secrets)
        own = cls(book, lock, RunDelivery(brief, lock))
        try:
            own._delivery.begin(Deadline())
        except BaseException:
            # nothing of it is there, and nothing will be
            book.note(outcome="failed", delivery="none", ended=now())
            own.close()
            raise
        return own

    def finish(self, outcome: Outcome, exit_code: int, *, is_sealed: bool, stop: Stopping) -> None:
        """Write down how the run ended, and deliver it. Raises `DeliveryError` where that is not possible.

        `is_sealed`: all outputs of a job that has succeeded are. `stop`: leaves as much time as its grace.
        """
        book = self._book
        try:
            book.change(
                outcome=outcome,
                exit_code=exit_code,
                job_exit_code=exit_code,
                is_sealed=is_sealed,
                ended=now(),
            )
            book.write(durable=True)
            if outcome == "succeeded" and not is_sealed:
                raise DeliveryError(
                    f"the run {self.run.run_id} is not delivered: its outputs are not sealed",
                    hint=f"Mend that, then: hyperplane deliver {self.run.run_id}",
                    run_id=self.run.run_id,
                )
            patience = Deadline(lambda: end_of_delivery(stop.requested_at, stop.grace_s))
            delivered = self._delivery.finish(book.record, patience)
            book.change(delivery="delivered", problems=delivered.problems)
            book.write(durable=True)
        except HyperplaneError as error:
            book.add_problem(str(error))
            book.note(exit_code=exit_code or DeliveryError.exit_code)
            raise
        finally:
            self.close()

    def close(self) -> None:
        """Let the run go; what is not delivered waits."""
        self._delivery.close()
        self._lock.close()


def _record(run: RunDir, job: Job, url: str, environment: Environment, masker: Masker) -> RunRecord:
    mask = masker.mask
    words = tuple(map(mask, sys.orig_argv))
    return RunRecord(
        job_id=job.id,
        run_id=run.run_id,
        name=mask(job.name),
        attempt=job.attempt,
        command=words,
        folder=mask(str(environment.folder)),
        masked=("command",) if any(map(masker.contains_secret, sys.orig_argv)) else (),
        identity=Identity(None if job.user is None else mask(job.user), job.platform),
        delivery="pending",
        output_url=mask(url),
        **begun_here(),
        **place_in_group(job),
    )
