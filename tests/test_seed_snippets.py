"""The first seed's snippets run as they are printed."""

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from s3servers import client_of

SEEDS = Path(__file__).parents[2] / "shared" / "seeds"
IN_CI = os.environ.get("CI") == "true"
TITLE = "# hyperplane-client"

SECRETS = "Getting Secrets"
PARAMETERS = "Consuming Environment Parameters"
FILES = "Creating Output Files"
REPORTS = "Send logs and status reports back to the platform"
IDS = "Get your User and Job IDs"
S3 = "aws_s3_utils"

# the seed writes this snippet as a piece of a longer script, which has imported both and made a trainer
PRELUDE = """
import os
import hyperplane
class trainer:
    def save_checkpoint(path):
        with open(path, "wb") as file:
            file.write(b"weights")
"""
FOUND = "my environment includes a parameter called env_param_name with the value some env param value\n"
NOT_FOUND = "could not find value for environment parameter called env_param_name\n"


@pytest.fixture(scope="module")
def snippets():
    """The Python snippets of each section of the seed, in their order."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(SEEDS.glob("*.txt"))]
    seed = next((text for text in texts if text.startswith(f"{TITLE}\n")), None)
    if seed is None:
        reason = f"the seed that begins with {TITLE!r} is not beside the checkout"
        pytest.fail(f"{reason}, and CI must have it") if IN_CI else pytest.skip(reason)
    sections = re.split(r"^## (.+)\n", seed, flags=re.MULTILINE)
    return {
        title: re.findall(r"^ *```python\n(.*?)^ *```", text, flags=re.MULTILINE | re.DOTALL)
        for title, text in zip(sections[1::2], sections[2::2], strict=True)
    }


def printed_by(snippet, **variables):
    """Run a snippet as a script in the working folder, and return what it prints."""
    Path("script.py").write_text(snippet, encoding="utf-8")
    command = [sys.executable, "script.py"]
    done = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True)
    Path("script.py").unlink()
    assert (0, "") == (done.returncode, done.stderr)
    return done.stdout


def test_no_snippet_is_left_out(snippets):
    """Every section that has Python snippets is tested below."""
    counts = {title: len(found) for title, found in snippets.items() if found}
    assert {SECRETS: 1, PARAMETERS: 1, FILES: 2, S3: 7, REPORTS: 1, IDS: 1} == counts


def test_a_secret_is_got(snippets):
    """The value of `HYPERPLANE_SECRET_secret_name` is what `get_secret` returns."""
    printed = printed_by(snippets[SECRETS][0], HYPERPLANE_SECRET_secret_name="my_secret_value")
    assert "my secret value for the key: secret_name is my_secret_value\n" == printed


@pytest.mark.parametrize(
    ("variables", "printed"), [({"env_param_name": "some env param value"}, FOUND), ({}, NOT_FOUND)]
)
def test_an_environment_parameter_is_got(snippets, variables, printed):
    """It is the variable's value, or None where there is none."""
    assert printed == printed_by(snippets[PARAMETERS][0], **variables)


def test_files_are_printed_to(snippets):
    """They lie in the working folder, with the payloads as they are."""
    assert "" == printed_by(snippets[FILES][0])
    files = {path.name: path.read_bytes() for path in Path.cwd().iterdir()}
    assert {"file1.txt": b"some text payload", "file2.csv": b"line 1line 1 cont.\nline 2\n"} == files


@pytest.mark.parametrize("variables", [{}, {"HYPERPLANE_USER_OUTPUTS_DIR_ABS": "out"}], ids=["unset", "set"])
def test_files_are_dumped_into_the_outputs_folder(snippets, variables):
    """Whoever writes files by other means puts them under `OUTPUT_FILES_DIR_ABS`."""
    assert "" == printed_by(PRELUDE + snippets[FILES][1], **variables)
    folder = Path.cwd().joinpath(*variables.values())
    assert {"model.ckpt": b"weights"} == {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_report_is_printed(snippets):
    """Locally it is a line on stdout."""
    assert "something important happened\n" == printed_by(snippets[REPORTS][0])


@pytest.mark.parametrize(
    ("variables", "printed"),
    [
        (
            {"HYPERPLANE_JOB_ID": "7", "HYPERPLANE_USER_ID": "ada"},
            "Hi, I'm job 7 and I was created by user ada\n",
        ),
        ({}, "Hi, I'm job None and I was created by user None\n"),
    ],
    ids=["set", "unset"],
)
def test_ids_are_got(snippets, variables, printed):
    """They come from our variables, and are None where those are not set."""
    assert printed == printed_by(snippets[IDS][0], **variables)


@pytest.fixture
def triplet(moto_bucket):
    """The variables of the seed, the store they are for, and its client."""
    variables = moto_bucket.environ()
    variables["HYPERPLANE_SECRET_s3_bucket_name"] = variables.pop("HYPERPLANE_S3_BUCKET")
    return variables | {"HYPERPLANE_LOG_LEVEL": "WARNING"}


@pytest.fixture
def objects(moto_bucket):
    """A function that puts objects, and returns all that there are."""

    def put(**contents):
        client = client_of(moto_bucket)
        for key, content in contents.items():
            client.put_object(Bucket=moto_bucket.bucket, Key=key, Body=content)
        listed = client.list_objects_v2(Bucket=moto_bucket.bucket).get("Contents", [])
        return {
            found["Key"]: client.get_object(Bucket=moto_bucket.bucket, Key=found["Key"])["Body"].read()
            for found in listed
        }

    return put


def local_files():
    """Return every file below the working folder, by name."""
    paths = (path for path in Path().rglob("*") if path.is_file())
    return {path.as_posix(): path.read_bytes() for path in paths}


def make_files(**contents):
    """Write files below the working folder."""
    for name, content in contents.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(content)


def test_a_single_file_is_downloaded(snippets, triplet, objects):
    """To the working folder, and to a path that is made."""
    objects(**{"my-bucket-dir-1/file-name-in-s3-1.data": b"data"})
    assert "" == printed_by(snippets[S3][0], **triplet)
    expected = {
        "file-name-in-s3-1.data": b"data",
        "my-local-dir-1/file-name-in-my-computer-1.data": b"data",
    }
    assert expected == local_files()


def test_a_single_file_is_uploaded(snippets, triplet, objects):
    """To the root of the bucket, and to a key; what it returns is where."""
    make_files(**{"my-local-dir-1/file-name-in-my-computer-1.data": b"data"})
    assert "" == printed_by(snippets[S3][1], **triplet)
    expected = {
        "file-name-in-my-computer-1.data": b"data",
        "my-bucket-dir-1/file-name-in-s3-1.data": b"data",
    }
    assert expected == objects()


@pytest.mark.parametrize(
    ("number", "target", "names"),
    [
        (2, "my-local-dir-2", ["file_prefix_100", "sub/file_prefix_754"]),
        (3, "my-server-dir-2", ["file_prefix_100", "other", "sub/file_prefix_754"]),
    ],
    ids=["filtered", "complete"],
)
def test_a_folder_is_downloaded(snippets, triplet, objects, number, target, names):
    """The files that fit the filter, or all of them."""
    contents = {"file_prefix_100": b"1", "sub/file_prefix_754": b"2", "other": b"3"}
    objects(**{f"my-bucket-dir-2/{name}": content for name, content in contents.items()})
    assert "" == printed_by(snippets[S3][number], **triplet)
    assert {f"{target}/{name}": contents[name] for name in names} == local_files()


@pytest.mark.parametrize(
    ("number", "names"),
    [
        (4, ["file_prefix_100", "sub/file_prefix_754"]),
        (5, ["file_prefix_100", "other", "sub/file_prefix_754"]),
    ],
    ids=["filtered", "complete"],
)
def test_a_folder_is_uploaded(snippets, triplet, objects, number, names):
    """The files that fit the filter, or all of them."""
    contents = {"file_prefix_100": b"1", "sub/file_prefix_754": b"2", "other": b"3"}
    make_files(**{f"my-server-dir-2/{name}": content for name, content in contents.items()})
    assert "" == printed_by(snippets[S3][number], **triplet)
    assert {f"my-bucket-dir-2/{name}": contents[name] for name in names} == objects()


def test_the_triplet_is_a_dictionary(snippets, monkeypatch):
    """The session of an interpreter, with what it prints."""
    for name, value in {
        "s3_bucket_name": "my_aws_bucket_name",
        "s3_access_key_secret": "my_aws_access_key_secret",
        "s3_access_key_id": "my_aws_access_key_id",
    }.items():
        monkeypatch.setenv(f"HYPERPLANE_SECRET_{name}", value)
    first, second = doctest.DocTestParser().get_examples(snippets[S3][6])
    names = {}
    exec(first.source, names)
    assert eval(second.want) == eval(second.source, names)
