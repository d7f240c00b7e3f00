"""The real context and the fake one pass the same suites, and so do all sources of secrets."""

import os

import pytest

from hyperplane import journal
from hyperplane.context import JobContext
from hyperplane.environment import Layer
from hyperplane.rundir import Home, Lock, RunDir
from hyperplane.secretsources.mapping import MappedSecrets
from hyperplane.secretsources.mounted import MountedFiles
from hyperplane.secretsources.variables import Variables
from hyperplane.testing import FakeJobContext
from hyperplane.testing.conformance import (
    EventsConformance,
    LifeConformance,
    OutputsConformance,
    ParamsConformance,
    SecretsConformance,
    SecretSourceConformance,
    StoppingConformance,
)


class RealContexts:
    """Contexts in runs that a runner holds, as far as they can tell."""

    def __init__(self, home):
        self.home = home
        self.locks = []
        self.made = []

    def make(self, *, environ=None, **keywords):
        run = self.home.claim("job")
        self.locks.append(Lock.take(run.lock))
        environ = {"HYPERPLANE_RUN_DIR": str(run.path), "HYPERPLANE_JOB_ID": "job", **(environ or {})}
        self.made.append(JobContext(environ=environ, **keywords))
        return self.made[-1]

    def next_attempt(self, context):
        return self.make()

    def events_of(self, context):
        run = RunDir(self.home.job_folder("job") / context.job.run_id)
        return list(journal.read(run.events))

    def close(self):
        for context in self.made:
            context.close()
        for lock in self.locks:
            lock.close()


class FakeContexts:
    """Contexts for tests."""

    def make(self, **keywords):
        return FakeJobContext(**keywords)

    def next_attempt(self, context):
        return context.next_attempt()

    def events_of(self, context):
        return list(journal.read(context._run.events))

    def close(self):
        """Leave them to themselves, as tests do."""


@pytest.fixture(params=["real", "fake"])
def contexts(request, tmp_path):
    """Give contexts of one kind, and close them after the test."""
    made = FakeContexts() if request.param == "fake" else RealContexts(Home.of(tmp_path))
    yield made
    made.close()


@pytest.fixture
def make_context(contexts):
    """Make contexts of this kind."""
    return contexts.make


@pytest.fixture
def next_attempt(contexts):
    """Make the context of a further run."""
    return contexts.next_attempt


@pytest.fixture
def read_events(contexts):
    """Read the events of a context's run."""
    return contexts.events_of


class TestSecrets(SecretsConformance):
    """`ctx.secrets`."""


class TestParams(ParamsConformance):
    """`ctx.params`, `ctx.inputs`, `ctx.job`."""


class TestOutputs(OutputsConformance):
    """`ctx.outputs`."""


class TestEvents(EventsConformance):
    """Reports, metrics, progress, logs."""


class TestStopping(StoppingConformance):
    """Being asked to stop."""


class TestLife(LifeConformance):
    """Beginning and ending."""


class TestVariables(SecretSourceConformance):
    """Secrets in variables."""

    @pytest.fixture
    def make_source(self):
        def make(secrets):
            variables = {f"HYPERPLANE_SECRET_{name}": os.fsdecode(value) for name, value in secrets.items()}
            return Variables(Layer("environment", variables), ())

        return make


class TestMountedFiles(SecretSourceConformance):
    """Secrets in files."""

    @pytest.fixture
    def make_source(self, tmp_path):
        def make(secrets):
            folder = tmp_path / "mounted"
            folder.mkdir()
            for name, value in secrets.items():
                (folder / name).write_bytes(value)
            return MountedFiles(folder)

        return make


class TestMappedSecrets(SecretSourceConformance):
    """Secrets of a mapping."""

    @pytest.fixture
    def make_source(self):
        return MappedSecrets
