"""`FakeJobContext`: what it remembers, how it is stopped, and that it leaves nothing behind."""

import gc
import math
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel

import hyperplane
from hyperplane.facets.outputs import Outputs
from hyperplane.job import Job
from hyperplane.masking import Masker, process_masker
from hyperplane.testing import FakeJobContext, FakeOutputs, Metric


class Params(BaseModel):
    epochs: int = 20


def folder_of(context):
    """Return the temporary folder that a fake lives in."""
    return context._workplace.home.path.parent


def test_it_is_a_job_context():
    """A fake can be given wherever a context is expected."""
    assert isinstance(FakeJobContext(), hyperplane.JobContext)


def test_it_knows_nothing_of_the_machine(monkeypatch, tmp_path):
    """Neither the process environment, nor a `.env` beside the test, nor a platform is seen."""
    monkeypatch.setenv("EPOCHS", "3")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    Path(".env").write_text("LR=1\n")
    context = FakeJobContext()
    seen = (context.params.get("EPOCHS"), context.params.get("LR"), context.job.platform)
    assert seen == (None, None, "local")


def test_it_reads_no_option_of_the_test_run(monkeypatch):
    """An option of pytest that goes by a parameter's name is none of the job's."""
    monkeypatch.setattr("sys.argv", ["pytest", "--epochs", "3"])
    with FakeJobContext(params=Params) as context:
        assert context.params.epochs == 20


def test_its_class_can_be_said_in_brackets():
    """`FakeJobContext[Class]()` means `params=Class`, in the next attempt too."""
    context = FakeJobContext[Params](environ={"epochs": "3"})
    assert (context.params, context.next_attempt().params) == (Params(epochs=3), Params(epochs=3))


def test_it_has_the_same_identity_each_time():
    """The made-up id and name do not depend on how the tests were started."""
    job = FakeJobContext().job
    assert (job.id, job.name, job.attempt) == ("fake", "fake", 1)


def test_it_writes_nothing_outside_its_folder():
    """The working directory stays as it was."""
    with FakeJobContext() as context:
        context.outputs.append("a.txt", "text")
        context.report("done")
    assert list(Path.cwd().iterdir()) == []


def test_metrics_are_values():
    """A metric is compared as a value, with its step or None."""
    context = FakeJobContext()
    context.metric("loss", 0.5, step=3)
    context.metric("rows", 7)
    assert context.metrics == [Metric("loss", 0.5, 3), Metric("rows", 7.0)]


def test_numbers_that_are_none_come_back_as_such():
    """NaN and infinities of metrics are floats again."""
    context = FakeJobContext()
    for value in (math.nan, math.inf, -math.inf):
        context.metric("loss", value)
    nan, most, least = (metric.value for metric in context.metrics)
    assert (math.isnan(nan), most, least) == (True, math.inf, -math.inf)


def test_reports_are_their_messages():
    """Each report is its masked message, in the order of the calls."""
    context = FakeJobContext(secrets={"token": "sesame-opens-it"})
    context.report("first", loss=0.5)
    context.report("it is sesame-opens-it")
    assert context.reports == ["first", "it is ***"]


def test_log_events_have_their_level_and_fields():
    """What was logged is a dict of the text, the level and the fields."""
    context = FakeJobContext()
    context.log.warning("slow", seconds=7)
    assert context.log_events == [{"event": "slow", "level": "warning", "fields": {"seconds": 7}}]


def test_log_events_have_their_exception():
    """A logged exception is there with its traceback."""
    context = FakeJobContext()
    try:
        raise ZeroDivisionError
    except ZeroDivisionError:
        context.log.exception("failed")
    (event,) = context.log_events
    assert "ZeroDivisionError" in event["exception"]


def test_files_are_the_regular_outputs():
    """`files` has what every regular file holds, in folders too; links and unfinished files are none."""
    outputs = FakeJobContext().outputs
    outputs.write_text("a.txt", "text")
    outputs.path("deep/b.bin").write_bytes(b"\xff")
    (outputs.dir / "link").symlink_to(outputs.dir / "a.txt")
    with outputs.open("c.txt", "w"):
        assert outputs.files == {"a.txt": b"text", "deep/b.bin": b"\xff"}


def test_files_are_named_from_the_top_of_the_folder():
    """Outputs of a further rank are where they will be found, beside the shared ones."""
    outputs = FakeJobContext(job=Job(id="j", run_id="r", name="n", rank=1, world_size=2)).outputs
    outputs.write_text("a.txt", "of rank 1")
    outputs.write_text("b.txt", "of all", shared=True)
    assert outputs.files == {"rank-1/a.txt": b"of rank 1", "b.txt": b"of all"}


def test_no_outputs_are_no_files():
    """A job that wrote nothing has no files."""
    assert FakeJobContext().outputs.files == {}


def test_everything_can_be_read_after_the_block():
    """What the job did is there when the context has closed."""
    with FakeJobContext() as context:
        context.report("done")
        context.metric("loss", 0.5)
        context.log.info("done")
        context.outputs.write_text("a.txt", "text")
    left = (context.reports, len(context.metrics), len(context.log_events), context.outputs.files)
    assert left == (["done"], 1, 1, {"a.txt": b"text"})


def test_closed_outputs_say_what_can_still_be_read():
    """Any other use of the outputs after the block is an error that names `files`."""
    with FakeJobContext() as context:
        pass
    with pytest.raises(hyperplane.ContextClosedError, match=r"outputs\.files"):
        context.outputs.dir  # noqa: B018 - it raises


def test_a_successful_end_seals_what_is_in_the_folder():
    """As for a run of its own, files that were left unsealed are outputs of a job that succeeded."""
    with FakeJobContext() as context:
        context.outputs.path("model.bin").write_bytes(b"weights")
    restored = context.next_attempt().outputs.restore("model.bin")
    assert restored.read_bytes() == b"weights"


def test_a_failed_end_seals_nothing():
    """What a failing job left unsealed is not restored."""
    context = FakeJobContext()
    with pytest.raises(ZeroDivisionError), context:
        context.outputs.path("model.bin").write_bytes(b"half") / 0
    assert context.next_attempt().outputs.restore("model.bin") is None


def test_outputs_can_be_put_elsewhere(tmp_path):
    """A folder that is given is where the outputs lie."""
    context = FakeJobContext(outputs=tmp_path / "out")
    context.outputs.write_text("a.txt", "text")
    assert ((tmp_path / "out" / "a.txt").read_text(), context.outputs.files) == ("text", {"a.txt": b"text"})


def test_an_injected_facet_is_used_as_it_is(tmp_path):
    """Outputs made by the test are the very ones that the job gets."""
    mine = FakeOutputs(tmp_path, masker=Masker(), journal=None, rank=0, earlier=[])
    assert FakeJobContext(outputs=mine).outputs is mine


def test_its_secrets_stay_its_own():
    """The masker of the process learns nothing from a fake, nor the fake from it."""
    process_masker().add("of_the_process", "process-wide-secret")
    context = FakeJobContext(secrets={"token": "sesame-of-one-test"})
    context.report("sesame-of-one-test process-wide-secret")
    assert context.reports == ["*** process-wide-secret"]
    assert not process_masker().contains_secret("sesame-of-one-test")


def test_short_secrets_of_tests_are_no_reason_to_warn():
    """A toy secret that is too short to be masked is read without a warning."""
    assert FakeJobContext(secrets={"token": "abc"}).secrets["token"] == "abc"


def test_its_folder_goes_with_it():
    """When the object is gone so is its folder, without a warning."""
    context = FakeJobContext()
    context.outputs.write_text("a.txt", "text")
    folder = folder_of(context)
    was_there = folder.is_dir()
    del context
    gc.collect()
    assert (was_there, folder.exists()) == (True, False)


def test_its_folder_stays_for_the_next_attempt():
    """The folder lives as long as any attempt in it."""
    first = FakeJobContext()
    first.outputs.write_text("a.txt", "text")
    second = first.next_attempt()
    del first
    gc.collect()
    assert second.outputs.restore("a.txt").read_text() == "text"


def test_an_abandoned_fake_gives_back_what_it_holds():
    """Descriptors and exported secrets of a fake that nobody closed go with it."""
    context = FakeJobContext(secrets={"token": "sesame"})
    context.report("a journal is open now")
    context.secrets.export(TOKEN="token")
    inside = os.environ["TOKEN"]
    del context
    gc.collect()
    assert (inside, "TOKEN" in os.environ) == ("sesame", False)


def test_a_forked_child_leaves_the_folder_alone():
    """A child that ends takes nothing away from its parent, even where it runs its exit handlers."""
    program = """
import os, sys
from hyperplane.testing import FakeJobContext
context = FakeJobContext()
context.outputs.write_text("a.txt", "text")
if os.fork() == 0:
    sys.exit(0)
os.wait()
print(sorted(context.outputs.files))
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "['a.txt']\n", "")


def test_a_process_that_ends_leaves_no_folder(tmp_path):
    """A fake that lives until the process ends is cleaned up then, in silence."""
    program = (
        "from hyperplane.testing import FakeJobContext; c = FakeJobContext(); c.outputs.write_text('a', 'b')"
    )
    environ = {**os.environ, "TMPDIR": str(tmp_path)}
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, env=environ
    )
    left = [path.name for path in tmp_path.glob("hyperplane-*")]
    assert (ended.returncode, ended.stderr, left) == (0, "", [])


def test_it_cannot_be_pickled():
    """A fake belongs to the process of its test."""
    with pytest.raises(TypeError, match="make one over there"):
        pickle.dumps(FakeJobContext())


def test_its_outputs_are_the_real_ones():
    """The fake adds a look at the files, and changes nothing else."""
    assert issubclass(FakeOutputs, Outputs)
