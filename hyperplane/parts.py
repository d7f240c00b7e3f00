"""How the parts of a context are made: each on first use, once, and closed in the reverse order."""

import contextlib
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyperplane import outputplaces, secretsources, settings
from hyperplane.environment import Environment
from hyperplane.errors import HyperplaneWarning
from hyperplane.given import Given, part
from hyperplane.job import Job, identify
from hyperplane.locks import ForkSafeLock
from hyperplane.masking import Masker, process_masker
from hyperplane.rundir import Home, RunDir, is_locked
from hyperplane.stopping import Stopping, reserve_of, working_time_under_runner

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from hyperplane.delivery.remote import RemoteRun
    from hyperplane.facets.events import Events
    from hyperplane.facets.inputs import Inputs
    from hyperplane.facets.outputs import Outputs
    from hyperplane.facets.params import TypedParams
    from hyperplane.facets.s3 import S3, Buckets
    from hyperplane.facets.secrets import Secrets
    from hyperplane.inputcache import InputCache
    from hyperplane.journal import Journal
    from hyperplane.runs.own import OwnRun
    from hyperplane.runs.record import Outcome
    from hyperplane.transfer import Transfer


class Parts:
    """The parts of one context, over one snapshot of the environment."""

    owns_run = False

    def __init__(self, given: Given, *, subscript: Callable[[], Any] = lambda: None) -> None:
        self.given = given
        self.subscript = subscript
        self.lock = ForkSafeLock()
        self.built: dict[str, Any] = {}
        self._clean_ups: list[Callable[[], object]] = []
        self._is_success = self._is_sealed = False
        self.environment = Environment.capture(given.environ, env_file=given.env_file)
        self.settings = settings.load(self.environment)
        self.ending: tuple[Outcome, int] = "failed", 1
        self._own_run: OwnRun | None = None

    @part
    def run(self) -> RunDir | None:
        """The run that this process belongs to, where a living runner holds it."""
        if self.settings.run_dir is None:
            return None
        run = RunDir(self.environment.folder / self.settings.run_dir)
        with contextlib.suppress(OSError):
            if is_locked(run.lock):
                return run
        warnings.warn(
            f"HYPERPLANE_RUN_DIR is ignored: no runner is alive that holds {run.path}",
            HyperplaneWarning,
            stacklevel=2,
        )
        return None

    @part
    def job(self) -> Job:
        """Who this job is."""
        return self.given.job or identify(self.settings, self.environment.platform, self.run)

    @part
    def masker(self) -> Masker:
        """The masker of this process, which knows every secret that this context can list."""
        masker = process_masker()
        known = len(masker.warnings)
        secretsources.register_all(masker, self.environment, self.listed_secret_sources)
        for message in masker.warnings[known:]:
            warnings.warn(message, HyperplaneWarning, stacklevel=2)
        return masker

    def mask(self, record: Any) -> Any:
        """Return a record without secrets; which there are is found out only when somebody asks."""
        return self.masker.mask_record(record)

    @part
    def listed_secret_sources(self) -> tuple[secretsources.SecretSource, ...]:
        """The sources of what this process was given: all that they have is masked, read or not."""
        sources = secretsources.standard_sources(self.environment, self.settings)
        if not isinstance(self.given.secrets, Mapping):
            return sources
        from hyperplane.secretsources.mapping import MappedSecrets

        return (MappedSecrets(self.given.secrets), *sources)

    @part
    def secret_sources(self) -> tuple[secretsources.SecretSource, ...]:
        """Where secrets are looked for, in this order; under the runner, it has asked the vault and AWS."""
        given, listed = self.given.secrets, self.listed_secret_sources
        if isinstance(given, secretsources.SecretSource):
            listed = (given, *listed)
        if self._is_under_runner:
            return listed
        return (*listed, *secretsources.stored_sources(self.environment, self.settings, self.masker))

    @part
    def secrets(self) -> "Secrets":
        """Secrets by name."""
        from hyperplane.facets.secrets import Secrets

        if isinstance(self.given.secrets, Secrets):
            return self.given.secrets
        secrets = Secrets(
            self.secret_sources,
            masker=self.masker,
            environment=self.environment,
            is_under_runner=self._is_under_runner,
        )
        self.closes(secrets.close)
        return secrets

    @property
    def _is_under_runner(self) -> bool:
        return self.run is not None and not self.owns_run

    @part
    def params(self) -> "TypedParams[Any]":
        """The parameters, and where each came from."""
        from hyperplane.facets import params

        declared = self.declared_params
        return params.resolve(
            declared,
            self.environment,
            argv=self.given.argv,
            declared=self._names_in_run(declared),
            mask=self.mask,
        )

    @property
    def declared_params(self) -> Any:
        """What the parameters were declared as: the argument, else the class of `JobContext[Class]()`."""
        return self.subscript() if self.given.params is None else self.given.params

    def _names_in_run(self, declared: object) -> tuple[str, ...]:
        if self.run is None or not (declared is None or isinstance(declared, Mapping)):
            return ()
        from hyperplane.runs import record

        return tuple(record.read(self.run).parameters)

    @part
    def inputs(self) -> "Inputs":
        """Inputs by name."""
        from hyperplane.facets.inputs import Inputs

        given = self.given.inputs
        if isinstance(given, Inputs):
            return given
        return Inputs(given or {}, self.environment, cache=lambda: self.input_cache, mask=self.mask)

    @part
    def input_cache(self) -> "InputCache":
        """What fetches inputs; asked for by one that is not on this machine."""
        from hyperplane.inputcache import InputCache

        cache = InputCache.of(self.environment, self.settings, lambda: self.buckets, log=lambda: self.log)
        self.closes(cache.close)
        return cache

    @part
    def journal(self) -> "Journal | None":
        """The event log of the run, where there is one."""
        if self.run is None:
            return None
        from hyperplane.journal import Journal

        journal = Journal(self.run.events, self.masker)
        self.closes(journal.close)
        return journal

    @part
    def events(self) -> "Events":
        """Reports, metrics and progress."""
        from hyperplane.facets.events import Events

        events = Events(self.journal, masker=self.masker, rank=self.job.rank)
        self.closes(events.close)
        return events

    @part
    def outputs(self) -> "Outputs":
        """The outputs folder."""
        from hyperplane.facets.outputs import Outputs

        if isinstance(self.given.outputs, Outputs):
            return self.given.outputs
        outputs = Outputs(
            outputplaces.outputs_folder(self.given.outputs, self.environment, self.settings, self.run),
            masker=self.masker,
            journal=self.journal,
            rank=self.job.rank,
            earlier=outputplaces.earlier_runs(self._home, self.settings, self.run),
            delivered=self._delivered_runs,
            keep_out=[self._home.path],
        )
        self._warn_of_no_delivery()
        self.closes(lambda: outputs.close(is_success=self._is_success))
        return outputs

    def _warn_of_no_delivery(self) -> None:
        if self.settings.output_url is not None and self.run is None:
            warnings.warn(
                "what is written here is not delivered to HYPERPLANE_OUTPUT_URL: nobody knows when the job"
                " ends; use `with hyperplane.JobContext()` or `hyperplane run`",
                HyperplaneWarning,
                stacklevel=5,
            )

    def _delivered_runs(self) -> "Iterable[RemoteRun]":
        from hyperplane.delivery.brief import Keys

        keys = Keys({}, self.secret_sources)
        return outputplaces.delivered_runs(self.environment, self.settings, self.run, keys, self.masker)

    @property
    def _home(self) -> Home:
        return outputplaces.home_of(self.environment, self.settings, self.run)

    @part
    def s3(self) -> "S3":
        """Objects in S3; what is copied is logged."""
        return self.given.s3 or self.make_s3(tell=self._tell_copied)

    def make_s3(self, **options: Any) -> "S3":
        """Return the objects in S3; `tell` is told of every copy."""
        from hyperplane.facets.s3 import S3
        from hyperplane.transfer.bar import watch

        return S3(self.buckets, bucket=self._usual_bucket, mask=self.mask, watch=watch, **options)

    @part
    def buckets(self) -> "Buckets":
        """The buckets that the job can reach."""
        from hyperplane.stores.buckets import AccountBuckets

        return AccountBuckets.of(
            self.environment, self.settings, secret=self.secrets.get, learn=self.masker.add
        )

    def _usual_bucket(self) -> str | None:
        return self.settings.s3_bucket or self.secrets.get(secretsources.BUCKET_NAME)

    def _tell_copied(self, verb: str, transfer: "Transfer") -> None:
        self.log.info(
            f"{verb}ed",
            files=len(transfer.files),
            skipped=len(transfer.skipped),
            size_bytes=transfer.size_bytes,
            seconds=round(transfer.seconds, 3),
        )

    @part
    def log(self) -> "FilteringBoundLogger":
        """The logger."""
        from hyperplane.facets import log

        return log.make_logger(**self.log_options()) if self.given.log is None else self.given.log

    def log_options(self) -> dict[str, Any]:
        """Return what the logger and the standard-library handler are made with."""
        job = self.job
        return {
            "job_fields": {"job": job.id, "run": job.run_id, "rank": job.rank},
            "masker": self.masker,
            "journal": self.journal,
            "log_format": self.settings.log_format,
            "level": self.settings.log_level,
            "is_local": not self.environment.platform.names,
            "has_colors": False if self.environment.get("NO_COLOR") else None,
        }

    @part
    def stopping(self) -> Stopping:
        """Whether the job was asked to stop."""
        grace_s = self.settings.grace_s
        has_runner = self.run is not None and self._own_run is None
        working_s = working_time_under_runner(grace_s) if has_runner else grace_s - reserve_of(grace_s)
        return Stopping(
            grace_s=grace_s,
            working_s=working_s,
            signals=self.settings.stop_signals,
            deadline=self.job.deadline,
            on_request=self._note_stop,
        )

    def _note_stop(self, reason: str) -> None:
        if self.journal is not None:
            self.journal.note("stop", reason=reason)

    def seal_everything(self) -> None:
        """Seal what the job left in the outputs folder, where the run is ours; a runner seals its own."""
        if self.owns_run:
            self.outputs.seal_all()
        self._is_sealed = True

    def closes(self, close: Callable[[], object]) -> None:
        """Have `close` called when the context closes, before what was registered earlier."""
        self._clean_ups.append(close)

    def begin(self, *, is_guest: bool = False) -> None:
        """Know every secret, have wrong parameters be an error now, and make the run where nobody else has.

        `is_guest`: another process looks after the run.
        """
        self.masker  # noqa: B018 - what is known from here on is in no traceback either
        self._check_params()
        if not is_guest and self.settings.output_url is not None and self.run is None:
            self._begin_own_run(self.settings.output_url)

    def _begin_own_run(self, url: str) -> None:
        from hyperplane.facets.outputs import seal_run
        from hyperplane.runs.own import OwnRun

        given = self.given.outputs or self.settings.output_dir
        folder = given if isinstance(given, str | os.PathLike) else None
        found = secretsources.find_all(self.secret_sources)
        own = OwnRun.begin(
            self._home,
            self.job,
            url,
            outputs=None if folder is None else self.environment.folder / os.fspath(folder),
            environment=self.environment,
            secrets={name: secret.value for name, secret in found.items()},
            masker=self.masker,
            seal=seal_run,
        )
        job = replace(self.job, run_id=own.run.run_id)
        # what was made before there was a run is made anew
        for name in ("journal", "events", "outputs", "log"):
            self.built.pop(name, None)
        self.built |= {"run": own.run, "job": job}
        self.owns_run, self._own_run = True, own
        # the last of all: every event is written then
        self._clean_ups.insert(0, lambda: self._finish_own_run(own))

    def _finish_own_run(self, own: "OwnRun") -> None:
        outcome, exit_code = self.ending
        own.finish(outcome, exit_code, is_sealed=self._is_sealed, stop=self.stopping)

    def _check_params(self) -> None:
        if self.declared_params is None:
            return
        from hyperplane.facets import params

        self.params  # noqa: B018 - it raises what is wrong
        if self.given.argv is None and (unread := params.unread_options(self.declared_params, sys.argv[1:])):
            warnings.warn(
                f"nobody reads {', '.join(unread)} of the command line: give JobContext argv=sys.argv[1:]",
                HyperplaneWarning,
                stacklevel=4,
            )

    def adopt(self, job: Job, run: Path | None) -> None:
        """Be the same job and run as the context that was pickled; rank and platform are detected anew."""
        if run is not None and is_locked(RunDir(run).lock):
            self.built["run"] = RunDir(run)
        here = self.job
        self.built["job"] = replace(here, id=job.id, run_id=job.run_id, name=job.name)

    def close(self, *, is_success: bool) -> list[Exception]:
        """Close what was built, all of it, and return what failed."""
        failures: list[Exception] = []
        self._is_success = is_success
        if is_success:
            self._clean_ups.append(self.seal_everything)
        while self._clean_ups:
            try:
                self._clean_ups.pop()()
            except Exception as error:  # noqa: BLE001 - the others must still be closed; the context reports it
                failures.append(error)
        return failures
