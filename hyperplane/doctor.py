"""What a job would be told here, whether it can work, and what holds only under the runner."""

import os
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyperplane import exposure, secretsources, settings
from hyperplane.environment import Environment, Origin
from hyperplane.errors import HyperplaneError, OutputError, VaultError
from hyperplane.explain import Explanation, Row, setting_rows
from hyperplane.facets.inputs import Inputs
from hyperplane.facets.secrets import Secrets
from hyperplane.masking import Masker
from hyperplane.rundir import Home, new_part_name
from hyperplane.runs import jobfile
from hyperplane.runs.finding import working_folder
from hyperplane.runs.jobfile import JobFile
from hyperplane.runs.plan import output_url_of
from hyperplane.secretsources import FoundSecret
from hyperplane.secretsources.vault import Vault
from hyperplane.secretsources.vault.key import repository_of
from hyperplane.settings import JobSettings

if TYPE_CHECKING:
    from hyperplane.inputcache import InputCache

ONLY_UNDER_THE_RUNNER = (
    "parameters, inputs, retries and the timeout of a job file",
    "stdout and stderr stored, and masked whoever prints them",
    "a run folder with its events, and outputs that the next attempt restores",
    "HYPERPLANE_SECRET_ variables taken out of the job's own environment",
)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is broken, or that works and is probably not meant so."""

    is_broken: bool
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """All that was found out; no secret's value is in it."""

    platform: str
    evidence: tuple[str, ...]
    outputs: str
    explanation: Explanation
    problems: tuple[Problem, ...] = ()
    only_under_runner: tuple[str, ...] = ONLY_UNDER_THE_RUNNER

    @property
    def is_healthy(self) -> bool:
        """Whether nothing is broken."""
        return not any(problem.is_broken for problem in self.problems)

    def as_dict(self) -> dict[str, Any]:
        """Return the diagnosis as plain data."""
        problems = [
            {"broken": problem.is_broken, "message": problem.message, "hint": problem.hint}
            for problem in self.problems
        ]
        return {
            "healthy": self.is_healthy,
            "platform": {"name": self.platform, "evidence": list(self.evidence)},
            "outputs": self.outputs,
            "values": self.explanation.as_dict(),
            "problems": problems,
            "only_under_runner": list(self.only_under_runner),
        }


def examine(job_file: Path | None = None, *, folder: Path | None = None) -> Diagnosis:
    """Look at what a job would be told in this folder, or with this job file, without running it.

    Nothing is changed; a file is made in the outputs folder, where that is there, and removed.
    """
    examination = _Examination(job_file, folder or working_folder())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        examination.examine()
    examination.problems.extend(Problem(False, str(warning.message)) for warning in caught)
    return examination.diagnosis()


class _Examination:
    """One visit: every step adds rows and problems, and a failing one does not end the others."""

    def __init__(self, job_file: Path | None, folder: Path) -> None:
        self._job_file = None if job_file is None else folder.absolute() / job_file
        self._folder = folder.absolute() if self._job_file is None else self._job_file.parent
        self._job: JobFile | None = None
        self._environment = Environment({})
        self._settings = JobSettings()
        self._masker = Masker()
        self._outputs = self._folder
        self._rows: list[Row] = []
        self._found: dict[str, FoundSecret] = {}
        self.problems: list[Problem] = []

    def examine(self) -> None:
        steps = (
            self._read_job_file,
            self._take_snapshot,
            self._see_settings,
            self._see_parameters,
            self._see_inputs,
            self._see_secrets,
            self._see_vault,
            self._see_exposures,
            self._try_outputs,
        )
        for step in steps:
            try:
                step()
            except HyperplaneError as error:
                self.problems.append(Problem(True, error.message, error.hint))

    def diagnosis(self) -> Diagnosis:
        platform = self._environment.platform
        mask = self._masker.mask
        return Diagnosis(
            platform=platform.name,
            evidence=tuple(f"{name}: {variable}" for name, variable in platform.evidence.items()),
            outputs=mask(str(self._outputs)),
            explanation=Explanation(tuple(self._rows)).masked(self._masker),
            problems=tuple(Problem(p.is_broken, mask(p.message), mask(p.hint)) for p in self.problems),
        )

    def _read_job_file(self) -> None:
        if self._job_file is not None:
            self._job = jobfile.read(self._job_file)

    def _take_snapshot(self) -> None:
        self._environment = Environment.capture(folder=self._folder)
        secretsources.registered_sources(self._masker, self._environment, self._settings)

    def _see_settings(self) -> None:
        self._settings = settings.load(self._environment)
        self._rows.extend(setting_rows(self._settings))
        secretsources.registered_sources(self._masker, self._environment, self._settings)
        self.problems.extend(Problem(False, warning) for warning in self._masker.warnings)
        output_url_of(self._job, self._settings)

    def _see_parameters(self) -> None:
        declared = {} if self._job is None else self._job.parameters
        for name, value in declared.items():
            inherited = self._environment.find(name)
            shadowed = () if inherited is None else (inherited.origin, *inherited.shadowed)
            self._rows.append(
                Row("parameter", name, value, Origin("job file", str(self._job_file)), shadowed)
            )

    def _see_inputs(self) -> None:
        declared = {} if self._job is None else self._job.inputs
        inputs = Inputs(declared, self._environment, cache=lambda: self._input_cache)
        job_file = Origin("job file", str(self._job_file))
        for row in inputs.rows():
            self._rows.append(row._replace(origin=job_file) if row.name in declared else row)
        for name in inputs.names():
            try:
                inputs.check(name)
            except HyperplaneError as error:
                self.problems.append(Problem(True, error.message, error.hint))

    @cached_property
    def _input_cache(self) -> "InputCache":
        """Return the cache that the job would use, over stores that nobody waits for long."""
        from hyperplane.inputcache import InputCache
        from hyperplane.stores.buckets import AccountBuckets

        buckets = AccountBuckets.of(
            self._environment, self._settings, secret=self._all_secrets().get, learn=self._masker.add
        )
        return InputCache.of(self._environment, self._settings, buckets.hasty)

    def _all_secrets(self) -> Secrets:
        given = secretsources.standard_sources(self._environment, self._settings)
        stored = secretsources.stored_sources(self._environment, self._settings, self._masker)
        return Secrets((*given, *stored), masker=self._masker, environment=self._environment)

    def _see_secrets(self) -> None:
        given = secretsources.standard_sources(self._environment, self._settings)
        stored = secretsources.stored_sources(self._environment, self._settings, self._masker)
        secrets = Secrets((*given, *stored), masker=self._masker, environment=self._environment)
        self._found = secretsources.find_all(given)
        told = len(self._masker.warnings)
        try:
            names = [] if self._job is None else [request.name for request in self._job.secrets]
            secrets.require(names)
            checked = map(secretsources.checked_name, names)
            self._found |= secretsources.look_up(checked, (*given, *stored))
        finally:
            self._rows.extend(secrets.rows())
            self.problems.extend(Problem(False, warning) for warning in self._masker.warnings[told:])

    def _see_vault(self) -> None:
        vault = Vault.of(self._environment, self._settings)
        if vault is None:
            return
        if os.path.lexists(vault.path) and (repository := repository_of(vault.key_file)) is not None:
            message = f"the key of the vault lies in the git repository {repository}: {vault.key_file}"
            self.problems.append(Problem(False, message, "Move it, and set HYPERPLANE_VAULT_KEY_FILE."))
        try:
            vault.read()
        except VaultError as error:
            # where a declared secret needs it, it is said already
            if error.message not in [problem.message for problem in self.problems]:
                self.problems.append(Problem(False, error.message, error.hint))

    def _see_exposures(self) -> None:
        parameters = {} if self._job is None else self._job.parameters
        for exposed in (
            *exposure.of_env_file(self._environment, self._settings),
            *exposure.of_parameters(parameters, self._found),
        ):
            self.problems.append(Problem(False, *exposed))

    def _try_outputs(self) -> None:
        chosen = self._settings.output_dir
        runs = Home.of(self._folder / (self._settings.home or "")).path
        self._outputs = self._folder / chosen if chosen else self._folder if self._job is None else runs
        existing = next(path for path in (self._outputs, *self._outputs.parents) if os.path.lexists(path))
        probe = existing / new_part_name()
        try:
            probe.touch(exist_ok=False)
            probe.unlink()
        except OSError as error:
            raise OutputError(
                f"the outputs folder {self._outputs} cannot be written: {error.strerror}",
                hint="Set HYPERPLANE_OUTPUT_DIR, or HYPERPLANE_HOME under the runner, to a folder that can.",
            ) from None
