"""`JobContext`: how it is built, what can be given to it, and what is left after it has closed."""

import argparse
import dataclasses
import threading
import traceback
import warnings

import pydantic
import pytest
import structlog

import hyperplane
from hyperplane import ContextClosedError, HyperplaneWarning, Job, JobContext, SettingsError
from hyperplane.environment import Environment
from hyperplane.facets.inputs import Inputs
from hyperplane.facets.outputs import Outputs
from hyperplane.facets.secrets import Secrets
from hyperplane.masking import Masker
from hyperplane.secretsources.mapping import MappedSecrets


class Model(pydantic.BaseModel):
    """Typed parameters."""

    lr: float = 0.5


@dataclasses.dataclass
class Data:
    """Typed parameters of the standard library."""

    epochs: int = 3


def test_the_environment_is_read_once(monkeypatch):
    """What changes after a context was made is not seen by it."""
    monkeypatch.setenv("HYPERPLANE_JOB_ID", "before")
    context = JobContext()
    monkeypatch.setenv("HYPERPLANE_JOB_ID", "after")
    monkeypatch.setenv("LATE", "1")
    assert ("before", None) == (context.job.id, context.params.get("LATE"))


def test_a_given_environment_takes_the_place_of_the_process_environment(monkeypatch, tmp_path):
    """With `environ` neither the process environment nor a `.env` file beside it plays a part."""
    monkeypatch.setenv("A", "from the process")
    (tmp_path / "work" / ".env").write_text("B=from the file\n", encoding="utf-8")
    context = JobContext(environ={"C": "given"})
    assert [None, None, "given"] == [context.environment.get(name) for name in "ABC"]


def test_an_env_file_can_be_named_or_refused(tmp_path):
    """`env_file` names the file, and None says that there is none."""
    (tmp_path / "work" / ".env").write_text("A=beside\n", encoding="utf-8")
    (tmp_path / "work" / "other.env").write_text("A=named\n", encoding="utf-8")
    chosen = [JobContext(), JobContext(env_file="other.env"), JobContext(env_file=None)]
    assert ["beside", "named", None] == [context.environment.get("A") for context in chosen]


def test_every_missing_secret_is_named_at_once():
    """`require_secrets` raises one error with all names, before the job begins."""
    with pytest.raises(hyperplane.SecretNotFoundError) as caught:
        JobContext(
            environ={"HYPERPLANE_SECRET_there": "is-in-place"}, require_secrets=("there", "one", "two")
        )
    assert ("one", "two") == caught.value.names


def test_secrets_that_are_required_and_there_are_no_error():
    """A context with all of them is made as any other."""
    context = JobContext(environ={"HYPERPLANE_SECRET_there": "is-in-place"}, require_secrets=["there"])
    assert "is-in-place" == context.secrets["there"]


def test_wrong_settings_are_an_error_at_once():
    """A context with a setting that cannot be is never made."""
    with pytest.raises(hyperplane.SettingsError, match="HYPERPLANE_ATTEMPT"):
        JobContext(environ={"HYPERPLANE_ATTEMPT": "first"})


def test_wrong_parameters_are_an_error_before_the_block():
    """The body of a `with` whose parameters do not fit is never entered, and nothing stays current."""
    with pytest.raises(hyperplane.ParamsError, match="lr"), JobContext(params=Model, environ={"lr": "fast"}):
        pytest.fail("the block was entered")
    with pytest.raises(hyperplane.NoContextError):
        hyperplane.current_context()


@pytest.mark.parametrize(
    "params", [Model, Model(), Data, Data(), argparse.Namespace(lr=0.5), {"LR": "0.5"}, None], ids=repr
)
def test_params_may_be_given_in_many_shapes(params):
    """A class gives an instance of it, an instance or namespace its like, a mapping or nothing `Params`."""
    context = JobContext(params=params, environ={})
    expected = params if isinstance(params, type) else type(params)
    expected = hyperplane.Params if params is None or isinstance(params, dict) else expected
    assert isinstance(context.params, expected)


def test_the_class_may_stand_in_brackets():
    """`JobContext[Model]()` is `JobContext(params=Model)`."""
    assert Model(lr=0.25) == JobContext[Model](environ={"lr": "0.25"}).params


def test_the_command_line_is_read_where_it_is_given():
    """`argv` fills typed parameters."""
    assert 0.125 == JobContext(params=Model, argv=["--lr", "0.125"], environ={}).params.lr


def test_options_that_nobody_reads_are_warned_about(monkeypatch):
    """A `with` over typed parameters says which options of the command line it leaves unread."""
    monkeypatch.setattr("sys.argv", ["train.py", "--lr", "0.1", "--other"])
    with pytest.warns(HyperplaneWarning, match="nobody reads --lr of the command line") as caught:  # noqa: SIM117
        with JobContext(params=Model, environ={}):
            pass
    assert [__file__] == [warning.filename for warning in caught]


def test_options_are_warned_about_once(monkeypatch):
    """Python's own filter shows the same warning once, for it comes from the line of the `with`."""
    monkeypatch.setattr("sys.argv", ["train.py", "--lr", "0.1"])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(2):
            with JobContext(params=Model, environ={}):
                pass
    assert 1 == len(caught)


def test_facets_are_built_once_however_many_threads_ask():
    """Eight threads that use a facet for the first time get the same object."""
    context = JobContext(environ={"HYPERPLANE_SECRET_one": "first-of-all"})
    names = ("secrets", "params", "inputs", "outputs", "log", "job")
    start = threading.Barrier(8)
    seen = []

    def use_all():
        start.wait()
        seen.append([id(getattr(context, name)) for name in names])

    threads = [threading.Thread(target=use_all) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [seen[0]] * 8 == seen


def test_facets_are_read_only():
    """Nobody replaces a facet of a context that others use."""
    context = JobContext(environ={})
    with pytest.raises(AttributeError):
        context.secrets = {}


def test_simple_values_can_be_given_for_facets(tmp_path):
    """A mapping will do for secrets and inputs, and a folder for outputs."""
    (tmp_path / "work" / "train").mkdir()
    context = JobContext(
        environ={}, secrets={"db": "opensesame"}, inputs={"train": "train"}, outputs=tmp_path / "results"
    )
    found = (context.secrets["db"], context.inputs["train"], context.outputs.dir)
    assert ("opensesame", tmp_path / "work" / "train", tmp_path / "results") == found


def test_whole_facets_can_be_given(tmp_path):
    """What is given is what the context has, itself."""
    masker = Masker()
    given = {
        "job": Job(id="j", run_id="r", name="n"),
        "secrets": Secrets([MappedSecrets({})], masker=masker),
        "inputs": Inputs({}, Environment({})),
        "outputs": Outputs(tmp_path / "results", masker=masker),
        "log": structlog.get_logger(),
    }
    context = JobContext(environ={}, **given)
    assert given == {name: getattr(context, name) for name in given}


def test_what_is_given_is_not_closed(tmp_path):
    """Facets that came from outside go on working when the context has closed."""
    secrets = Secrets([MappedSecrets({"db": b"opensesame"})], masker=Masker())
    outputs = Outputs(tmp_path / "results", masker=Masker())
    with JobContext(environ={}, secrets=secrets, outputs=outputs) as context:
        path = context.secrets.path("db")
        file = context.outputs.open("log.txt")
    file.write("still open")
    file.close()
    assert (b"opensesame", "still open") == (path.read_bytes(), (outputs.dir / "log.txt").read_text("utf-8"))
    secrets.close()


def test_what_the_context_made_is_closed():
    """Files in memory and exported variables are gone after the block."""
    with JobContext(environ={}, secrets={"db": "opensesame"}) as context:
        path = context.secrets.path("db")
        context.secrets.export("db")
        assert "opensesame" == path.read_text("utf-8")
        assert "opensesame" == Environment.capture().get("db")
    assert (False, None) == (path.exists(), Environment.capture().get("db"))


def test_a_context_can_be_closed_without_a_block():
    """`close()` gives back what was made, and a second time does nothing."""
    context = JobContext(environ={}, secrets={"db": "opensesame"})
    path = context.secrets.path("db")
    context.close()
    context.close()
    assert not path.exists()


@pytest.mark.parametrize(
    "use",
    [
        lambda context: context.secrets,
        lambda context: context.params,
        lambda context: context.inputs,
        lambda context: context.outputs,
        lambda context: context.report("x"),
        lambda context: context.metric("x", 1),
        lambda context: context.progress(1),
        lambda context: context.explain(),
        lambda context: context.__enter__(),
    ],
    ids=["secrets", "params", "inputs", "outputs", "report", "metric", "progress", "explain", "with"],
)
def test_facets_of_a_closed_context_raise(use):
    """The error says that the context has closed, whatever was used before."""
    context = JobContext(environ={})
    context.close()
    with pytest.raises(ContextClosedError, match="after the context had closed"):
        use(context)


def test_the_log_and_the_identity_outlive_the_context(capsys):
    """The last lines of a script may still log, and say which job it was."""
    with JobContext(environ={"HYPERPLANE_JOB_ID": "j"}) as context:
        pass
    context.log.info("after the end")
    assert "after the end" in capsys.readouterr().err
    assert ("j", False) == (context.job.id, context.stopping)


def test_a_context_is_entered_once():
    """Entering an open context again would have two ends for one thing."""
    with JobContext(environ={}) as context, pytest.raises(hyperplane.UsageError, match="entered already"):
        context.__enter__()


def test_its_repr_shows_who_it_is_and_no_value():
    """The job's id and the platform are shown, and that is all."""
    context = JobContext(environ={"HYPERPLANE_JOB_ID": "j7", "HYPERPLANE_SECRET_db": "opensesame"})
    assert "<JobContext j7 on local>" == repr(context)


def test_explain_covers_settings_parameters_inputs_and_secrets():
    """Every declared value is there with its origin, and a secret in a value is masked."""
    variables = {
        "HYPERPLANE_SECRET_db": "opensesame",
        "HYPERPLANE_INPUT_train": "/data/opensesame",
        "HYPERPLANE_JOB_NAME": "night",
        "lr": "0.25",
    }
    with JobContext(params=Model, environ=variables) as context:
        told = context.explain().as_dict()
    assert {"value": "night", "origin": "environment HYPERPLANE_JOB_NAME", "shadowed": []} == told["setting"][
        "job_name"
    ]
    assert ("0.25", "environment lr") == (told["parameter"]["lr"]["value"], told["parameter"]["lr"]["origin"])
    assert ("/data/***", None) == (told["input"]["train"]["value"], told["secret"]["db"]["value"])


def test_a_standard_library_handler_writes_as_the_log_does(capsys):
    """`log_handler()` masks what libraries log, and is attached by whoever wants it."""
    import logging

    logger = logging.getLogger("some.library")
    with JobContext(environ={}, secrets={"db": "opensesame"}) as context:
        handler = context.log_handler()
        logger.addHandler(handler)
        logger.warning("connecting with opensesame")
        logger.removeHandler(handler)
    assert "connecting with ***" in capsys.readouterr().err


def test_a_context_that_could_not_be_made_is_shown_all_the_same():
    """A traceback with local variables shows the error, not one of its own."""
    with pytest.raises(SettingsError) as caught:
        JobContext(environ={"HYPERPLANE_GRACE_S": "-1"})
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert "self = <JobContext>\n" in "".join(shown.format())


def test_what_a_context_was_given_is_shown_by_name_alone():
    """Neither a secret nor a variable stands in the `repr` of what is behind a context."""
    context = JobContext(environ={"VARIABLE": "value"}, secrets={"db": "opensesame"})
    assert "<Given: environ, secrets>" == repr(context._parts.given)


def test_short_secrets_are_warned_about_once_a_process():
    """A second context does not repeat what the first has said."""
    variables = {"HYPERPLANE_SECRET_tiny_one": "qz7"}
    with pytest.warns(HyperplaneWarning, match="tiny_one"), JobContext(environ=variables):
        pass
    with JobContext(environ=variables) as context:
        assert "qz7" == context.secrets["tiny_one"]


def test_reports_metrics_and_progress_work_without_a_run(capsys):
    """Without a runner a report is a line on stdout, and the rest costs nothing."""
    with JobContext(environ={}) as context:
        context.report("half", done=1)
        context.metric("loss", 0.5, step=1)
        context.progress(1, 2)
    assert "half done=1\n" == capsys.readouterr().out
