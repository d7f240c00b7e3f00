"""`ctx.inputs` over S3: a local path like any other, and errors that say which input it was."""

import json
import subprocess
import sys
from pathlib import Path

import faultys3
import pytest
import scripts
from caching import FOLDER, JOB, cache_of, entries_in, fetched, files_of, variables_of
from processes import exit_code_of_fork
from s3servers import client_of

from hyperplane import HyperplaneError, InputError, JobContext
from hyperplane.doctor import examine
from hyperplane.environment import Environment
from hyperplane.errors import CredentialsError
from hyperplane.facets.inputs import Inputs
from hyperplane.inputcache.place import cache_folder
from hyperplane.settings import JobSettings
from hyperplane.stores.retrying import Patience
from hyperplane.testing import FakeJobContext

WHOLE = {"a.txt": b"aa", "sub/b.txt": b"b"}


@pytest.fixture
def server(faulty_s3):
    """Give a server with a folder of two files."""
    for name, data in WHOLE.items():
        faulty_s3.put(f"data/{name}", data)
    return faulty_s3


@pytest.fixture
def told(server, tmp_path):
    """Give the variables of a job whose input `train` is in the server."""
    return variables_of(server, tmp_path / "cache")


def error_of(context, name="train"):
    """Return the error that an input gives."""
    with pytest.raises(HyperplaneError) as caught:
        context.inputs[name]
    return caught.value


def impatient(server, folder):
    """Return a context whose input is asked for once, and not again."""
    cache = cache_of(folder / "cache", server, patience=Patience(tries=1))
    return JobContext(environ={}, inputs=Inputs({"train": FOLDER}, Environment({}), cache=lambda: cache))


def test_an_input_in_s3_is_a_local_path(told):
    """The job reads files, wherever they came from, in this context and the next."""
    with JobContext(environ=told) as ctx:
        first = ctx.inputs["train"]
        assert files_of(first) == WHOLE
    with JobContext(environ=told) as ctx:
        assert first == ctx.inputs["train"]


def test_a_file_and_a_folder_of_a_real_server(seaweed_bucket, tmp_path):
    """Two inputs of one bucket, given in Python, over a real server."""
    client = client_of(seaweed_bucket)
    for name, data in WHOLE.items():
        client.put_object(Bucket=seaweed_bucket.bucket, Key=f"data/{name}", Body=data)
    environ = {**seaweed_bucket.environ(), "HOME": str(tmp_path)}
    places = {"all": f"s3://{seaweed_bucket.bucket}/data/", "one": f"S3://{seaweed_bucket.bucket}/data/a.txt"}
    with JobContext(environ=environ, inputs=places) as ctx:
        assert (WHOLE, b"aa") == (files_of(ctx.inputs["all"]), ctx.inputs["one"].read_bytes())
    assert 2 == len(entries_in(tmp_path / ".cache" / "hyperplane"))


def test_what_a_context_used_may_go_when_it_has_closed(told):
    """A limit of 0 keeps an input for as long as its context is open."""
    with JobContext(environ={**told, "HYPERPLANE_CACHE_LIMIT": "0"}) as ctx:
        path = ctx.inputs["train"]
        before = path.exists()

    assert (True, False) == (before, path.exists())


@pytest.mark.parametrize("is_first", [True, False])
def test_a_forked_child_fetches_as_its_parent_does(told, is_first):
    """A worker of a pool that asks first, or after its parent, gets the files."""
    with JobContext(environ=told) as ctx:
        if not is_first:
            ctx.inputs["train"]
        assert 0 == exit_code_of_fork(lambda: files_of(ctx.inputs["train"]) == WHOLE)
        assert files_of(ctx.inputs["train"]) == WHOLE


def test_what_is_not_there_names_the_input_and_its_origin(told):
    """The error says which input, which URL, what is wrong, and who named it."""
    error = error_of(JobContext(environ={**told, "HYPERPLANE_INPUT_train": "s3://test/nosuch/"}))

    what = "there is nothing below s3://test/nosuch/"
    hint = "Mend the name of the folder. Its place came from environment HYPERPLANE_INPUT_train."
    assert (InputError, "train", hint) == (type(error), error.name, error.hint)
    assert f"the input 'train' cannot be fetched from s3://test/nosuch/: {what}" == error.message


def test_files_that_may_not_be_read_are_named(server, told):
    """Of a folder that may be listed, the error says which files, and why."""
    server.add(faultys3.error("AccessDenied"), operation="GetObject", key="data/a.txt")
    error = error_of(JobContext(environ=told))

    expected = "Its place came from environment HYPERPLANE_INPUT_train."
    assert ("no permission for s3://test/data/a.txt" in error.message, expected) == (True, error.hint)
    assert ["a.txt"] == list(error.__cause__.failures)


@pytest.mark.parametrize("place", ["s3://", "s3:///key"])
def test_a_url_without_a_bucket_is_an_input_error(told, place):
    """What cannot be asked for is said like what is not there."""
    error = error_of(JobContext(environ={**told, "HYPERPLANE_INPUT_train": place}))

    assert f"the input 'train' cannot be fetched from {place}: '{place}' names no bucket" == error.message


def test_a_store_that_cannot_be_reached_is_an_error_though_a_copy_is_there(server, tmp_path):
    """Nobody gets stale data in silence: the error says that there is a copy, and why it is not used."""
    fetched(tmp_path / "cache", server)
    server.add(faultys3.drop())
    error = error_of(impatient(server, tmp_path))

    assert "the input 'train' cannot be fetched from s3://test/data/: the store failed" in error.message
    (entry,) = entries_in(tmp_path / "cache")
    assert f"The copy of {entry.fetched} is not used: it may be out of date." in error.hint


def test_a_store_that_cannot_be_reached_is_an_error_where_no_copy_is_there(server, tmp_path):
    """There is nothing to be said of a copy then."""
    server.add(faultys3.drop())

    assert "The copy of" not in error_of(impatient(server, tmp_path)).hint


def test_credentials_that_are_not_taken_are_an_error_of_credentials(told):
    """It passes through as it is, without the secret."""
    error = error_of(JobContext(environ={**told, "HYPERPLANE_SECRET_s3_access_key_secret": "not-the-secret"}))

    assert (CredentialsError, False) == (type(error), "not-the-secret" in str(error))


def test_an_error_holds_no_secret(told):
    """Neither the error nor what it was made from shows a secret that stood in the URL."""
    place = "s3://test/open-sesame/x"
    context = JobContext(environ={**told, "HYPERPLANE_INPUT_train": place}, secrets={"word": "open-sesame"})
    error = error_of(context)

    assert ("***" in str(error), False) == (True, "open-sesame" in f"{error}{error.__cause__}")


def test_a_cache_that_cannot_be_made_is_an_input_error(told, tmp_path):
    """The error names the folder, and the setting for another one."""
    (tmp_path / "file").touch()
    error = error_of(JobContext(environ={**told, "HYPERPLANE_CACHE_DIR": str(tmp_path / "file")}))

    folder = tmp_path / "file" / "inputs"
    assert error.message.endswith(f"the cache {folder} cannot be used: Not a directory")
    assert error.hint.startswith("Set HYPERPLANE_CACHE_DIR to a folder on a disk of this machine")


def test_inputs_that_nobody_made_a_cache_for_are_local(tmp_path):
    """Such an object says so instead of guessing a store."""
    inputs = Inputs({"train": "s3://test/x"}, Environment({}))
    with pytest.raises(InputError, match="nothing here can fetch it"):
        inputs["train"]
    assert "" == inputs.rows()[0].note


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"HYPERPLANE_CACHE_DIR": "c", "XDG_CACHE_HOME": "/x", "HOME": "/h"}, "/p/c"),
        ({"HYPERPLANE_CACHE_DIR": "/c"}, "/c"),
        ({"XDG_CACHE_HOME": "/x", "HOME": "/h"}, "/x/hyperplane"),
        ({"XDG_CACHE_HOME": "x", "HOME": "/h"}, "/h/.cache/hyperplane"),
        ({"XDG_CACHE_HOME": "", "HOME": "/h"}, "/h/.cache/hyperplane"),
    ],
)
def test_the_cache_lies_where_the_user_has_caches(tmp_path, variables, expected):
    """Our setting, the one of all programs, the home folder: the first that says a place."""
    environment = Environment(variables, folder=Path("/p"))
    settings = JobSettings(cache_dir=variables.get("HYPERPLANE_CACHE_DIR"))
    assert Path(expected) == cache_folder(environment, settings)


def test_without_any_place_for_a_cache_there_is_an_error(told):
    """The home folder of a process that has none is not guessed."""
    del told["HYPERPLANE_CACHE_DIR"]
    error = error_of(JobContext(environ=told))

    assert "nothing says where the cache of inputs lies" in error.message
    assert error.hint.startswith("Set HYPERPLANE_CACHE_DIR.")


def test_an_explanation_says_whether_an_input_is_cached(server, told, tmp_path):
    """Before the first fetch and after it, without asking the store."""
    with JobContext(environ=told) as ctx:
        before = ctx.explain()
        calls = len(server.calls)
        ctx.inputs["train"]
        after = ctx.explain()
    (entry,) = entries_in(tmp_path / "cache")

    assert ("not cached", 0) == (before.as_dict()["input"]["train"]["note"], calls)
    assert f"cached {entry.fetched}" == after.as_dict()["input"]["train"]["note"]
    assert f"{FOLDER} (cached {entry.fetched})" in str(after)


def test_an_explanation_says_why_it_cannot_say(told):
    """A store or a cache that nobody can name is no reason to explain nothing."""
    context = JobContext(environ={**told, "AWS_CA_BUNDLE": "nosuch.pem"})

    assert (
        "AWS_CA_BUNDLE names a file that is not there"
        in context.explain().as_dict()["input"]["train"]["note"]
    )


def test_doctor_asks_for_an_input_without_fetching_it(server, told, monkeypatch):
    """It shows the URL and whether it is cached, and what is there is no problem."""
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    found = examine()

    row = found.explanation.as_dict()["input"]["train"]
    assert ([], FOLDER, "not cached") == (
        [p for p in found.problems if p.is_broken],
        row["value"],
        row["note"],
    )
    assert ([], False) == (server.calls_of("GetObject"), entries_in(told["HYPERPLANE_CACHE_DIR"]) != [])


@pytest.mark.parametrize(
    ("place", "fault", "problem"),
    [
        ("s3://test/nosuch", None, "there is no s3://test/nosuch"),
        (
            "s3://test/data/",
            faultys3.error("AccessDenied"),
            "no permission for s3://test/data/: AccessDenied",
        ),
        ("s3://test/data/", faultys3.drop(), "the store failed for s3://test/data/: no answer"),
    ],
)
def test_doctor_says_what_is_wrong_with_an_input(server, told, monkeypatch, place, fault, problem):
    """Missing objects, permissions and servers are found before the job starts, and soon."""
    for name, value in {**told, "HYPERPLANE_INPUT_train": place}.items():
        monkeypatch.setenv(name, value)
    if fault is not None:
        server.add(fault)
    (broken,) = [problem for problem in examine().problems if problem.is_broken]

    assert f"the input 'train' cannot be fetched from {place}: {problem}" == broken.message


def test_the_job_file_names_an_input_in_s3(server, told, tmp_path):
    """`hyperplane run` hands the URL on, and the job fetches it with the run's own secrets."""
    del told["HYPERPLANE_INPUT_train"]
    script = tmp_path / "work" / "job.py"
    script.write_text(
        "import hyperplane\nwith hyperplane.JobContext() as ctx:\n    print(ctx.inputs['train'])\n"
    )
    job = tmp_path / "work" / "job.yaml"
    job.write_text("main: job.py\ninputs: {train: 's3://test/data/'}\n")
    command = [sys.executable, "-m", "hyperplane", "run", str(job)]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**scripts.os.environ, **told}, timeout=60
    )

    (entry,) = entries_in(told["HYPERPLANE_CACHE_DIR"])
    assert (0, f"{entry.content}/data") == (done.returncode, done.stdout.splitlines()[0])


def test_a_fake_fetches_the_objects_that_it_was_given(tmp_path):
    """Nothing of a test stays, and nothing of the machine's cache plays a part."""
    objects = {"data/a.txt": b"aa", "data/sub/b.txt": b"b"}
    inputs = {"train": "s3://fake/data/", "one": "s3://fake/data/a.txt"}
    environ = {"HYPERPLANE_CACHE_DIR": str(tmp_path / "cache")}
    with FakeJobContext(environ=environ, objects=objects, inputs=inputs) as ctx:
        path = ctx.inputs["train"]
        assert (WHOLE, b"aa") == (files_of(path), ctx.inputs["one"].read_bytes())
    assert (False, False) == (path.exists(), (tmp_path / "cache").exists())


def test_the_next_attempt_of_a_fake_has_what_the_store_has_then():
    """Attempts share their objects, and each looks anew."""
    first = FakeJobContext(objects={"a": b"1"}, inputs={"train": "s3://fake/a"})
    before = first.inputs["train"].read_bytes()
    first.s3.write_bytes("a", b"2")
    first.close()

    assert (b"1", b"2") == (before, first.next_attempt().inputs["train"].read_bytes())


def test_local_inputs_load_nothing_of_s3(tmp_path):
    """A job without an input in S3 does not pay for it."""
    (tmp_path / "x").touch()
    script = f"""
        import json, sys, hyperplane
        with hyperplane.JobContext(inputs={{"a": {str(tmp_path / "x")!r}}}) as ctx:
            ctx.inputs["a"], str(ctx.explain())
        print(json.dumps(sorted({{"boto3", "obstore", "hyperplane.inputcache"}} & sys.modules.keys())))
    """
    assert [] == json.loads(scripts.run(script).out)


def test_what_is_fetched_is_in_the_log(told):
    """A job's log says what was fetched, and how much."""
    done = scripts.run(JOB, **told, HYPERPLANE_LOG_FORMAT="json")
    (line,) = [json.loads(line) for line in done.err.splitlines()]

    assert ("fetched an input", FOLDER, 2, 3) == tuple(
        line[key] for key in ("event", "url", "files", "size_bytes")
    )
