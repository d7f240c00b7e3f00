"""A context in another process, forked, spawned or unpickled: a guest that reads and writes."""

import dataclasses
import json
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
from contextlib import closing

import pytest
import structlog

from hyperplane import Job, JobContext, current_context, journal
from hyperplane.environment import Environment
from hyperplane.facets.secrets import Secrets
from hyperplane.masking import Masker
from hyperplane.rundir import Home, Lock


@dataclasses.dataclass
class _Declared:
    lr: float = 0.5


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run whose lock is held and which the environment names, as under a runner."""
    run = Home.of(tmp_path / "project").claim("job-1")
    monkeypatch.setenv("HYPERPLANE_RUN_DIR", str(run.path))
    with closing(Lock.take(run.lock)):
        yield run


def forked(call):
    """Return the exit code of a forked child: 0 when the call returned True there."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if call() else 2
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def write_as_guest(context, name):
    """Write an output and an event, and return the identity as this process sees it."""
    context.outputs.write_text(f"{name}.txt", name)
    context.metric(name, 1.0)
    return context.job


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_write_outputs_and_events_of_the_same_run(run, method):
    """A pool that is given the context writes where the parent does, and is the same job and run."""
    with JobContext() as context:
        context.outputs.write_text("parent.txt", "parent")
        with multiprocessing.get_context(method).Pool(1) as pool:
            job = pool.apply(write_as_guest, (context, "child"))
    assert context.job == job
    assert {"parent.txt", "child.txt"} == {path.name for path in run.outputs.iterdir()}
    events = list(journal.read(run.events))
    assert ["sealed", "sealed", "metric"] == [event["kind"] for event in events if event["kind"] != "sealing"]
    assert 2 == len({event["pid"] for event in events})


def test_a_forked_child_has_the_context_as_it_was(run):
    """In a child the context is current and open, its secrets and files are readable."""

    def look():
        is_same = current_context() is context and context.job.run_id == run.run_id
        return is_same and context.secrets["db"] == path.read_text("utf-8") == "opensesame"

    with JobContext(secrets={"db": "opensesame"}) as context:
        path = context.secrets.path("db")
        assert 0 == forked(look)


def test_a_forked_child_that_leaves_the_block_closes_nothing():
    """What the parent made is still there, and the parent's context still open."""

    def leave():
        context.__exit__(None, None, None)
        context.close()
        return True

    with JobContext(environ={}, secrets={"db": "opensesame"}) as context:
        path = context.secrets.path("db")
        assert 0 == forked(leave)
        assert "opensesame" == path.read_text("utf-8")
        assert current_context() is context


def test_a_forked_child_may_enter_the_context_again():
    """Entering it makes it current in the child, and installs nothing."""

    def enter():
        before = signal.getsignal(signal.SIGTERM)
        with context:
            return current_context() is context and signal.getsignal(signal.SIGTERM) is before

    with JobContext(environ={}) as context:
        assert 0 == forked(enter)


def test_locks_are_renewed_in_a_forked_child():
    """A child forked while another thread builds a facet can build it itself."""
    context = JobContext(environ={})
    is_held, may_go = threading.Event(), threading.Event()

    def build_slowly():
        with context._parts.lock:
            is_held.set()
            may_go.wait()

    def build():
        signal.alarm(10)
        return context.outputs.dir.is_dir()

    thread = threading.Thread(target=build_slowly)
    thread.start()
    is_held.wait()
    code = forked(build)
    may_go.set()
    thread.join()
    assert 0 == code


def test_rank_and_platform_are_detected_anew_where_a_context_is_unpickled():
    """The job and the run are the same; which process of it this is, the other process knows."""
    pickled = pickle.dumps(JobContext(params={"lr": 0.5}, env_file=None))
    script = """
        import json, pickle, sys
        context = pickle.load(sys.stdin.buffer)
        job = context.job
        print(json.dumps([job.id, job.run_id, job.name, job.rank, job.world_size, job.platform]))
        print(context.params.get("lr", 0.0))
    """
    ranked = {"TORCHELASTIC_RUN_ID": "r", "RANK": "2", "WORLD_SIZE": "4", "LOCAL_RANK": "2"}
    out = _answer(script, pickled, ranked).splitlines()
    here = pickle.loads(pickled).job
    assert [here.id, here.run_id, here.name, 2, 4, "torchrun"] == json.loads(out[0])
    assert "0.5" == out[1]


def _answer(script, data, variables):
    command = [sys.executable, "-c", textwrap.dedent(script)]
    return subprocess.run(
        command, input=data, env={**os.environ, **variables}, stdout=subprocess.PIPE, check=True
    ).stdout.decode()


def test_an_unpickled_context_closes_what_it_made_and_installs_nothing(monkeypatch):
    """It has files in memory of its own, which it gives back, and it leaves signals to its parent."""
    monkeypatch.setenv("HYPERPLANE_SECRET_db", "opensesame")
    before = signal.getsignal(signal.SIGTERM)
    with pickle.loads(pickle.dumps(JobContext())) as context:
        assert signal.getsignal(signal.SIGTERM) is before
        assert current_context() is context
        path = context.secrets.path("db")
        assert "opensesame" == path.read_text("utf-8")
    assert not path.exists()


def test_the_class_in_brackets_survives_pickling():
    """`JobContext[Job]` parameters are typed over there as well."""
    context = JobContext[_Declared](argv=["--lr", "0.25"])
    assert _Declared(lr=0.25) == pickle.loads(pickle.dumps(context)).params


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({"environ": {}}, "environ"),
        ({"secrets": {"db": "opensesame"}}, "secrets"),
        ({"secrets": Secrets([], masker=Masker()), "inputs": {}}, "secrets, inputs"),
        ({"outputs": "folder", "log": structlog.get_logger()}, "outputs, log"),
        ({"job": Job(id="j", run_id="r", name="n")}, "job"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_injected_facets_cannot_be_pickled(given, names):
    """The error names them, and shows no value."""
    with pytest.raises(TypeError, match=f"with injected {names} cannot be pickled"):
        pickle.dumps(JobContext(**given))


def test_a_command_line_with_a_secret_cannot_be_pickled(monkeypatch):
    """The words would stand in the pickle as they are; the error does not show them."""
    monkeypatch.setenv("HYPERPLANE_SECRET_db", "opensesame-of-argv")
    context = JobContext(params=_Declared, argv=["--lr=1", "--name=opensesame-of-argv"])
    with pytest.raises(TypeError, match="a JobContext with a secret in argv cannot be pickled"):
        pickle.dumps(context)


def test_a_child_does_not_end_the_exports_of_its_parent():
    """Variables that `export` set stay in the child, and in the parent until its block ends."""
    with JobContext(environ={}, secrets={"db": "opensesame"}) as context:
        context.secrets.export("db")
        assert 0 == forked(lambda: (context.close(), Environment.capture().get("db") == "opensesame")[1])
        assert "opensesame" == Environment.capture().get("db")
