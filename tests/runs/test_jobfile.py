"""The job file: what a good one says, and every way in which a bad one is refused."""

import os
import traceback
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hyperplane.errors import JobFileError
from hyperplane.runs import jobfile
from hyperplane.runs.jobfile import JobFile, SecretRequest

DOCS = Path(__file__).parents[2] / "docs" / "reference" / "job-file.md"
LONGEST_VALUE = 128 * 1024 - len("BIG=\0")
NESTED_ALIASES = "\n".join(
    ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
)
TYPED = "no yes true null ~ 0777 0x1F 12:30:45 1.10 1e3 .nan -.inf 2024-01-02 2024-13-45 = << é✓😀"
FULL = """\
main: ./my_train.py --epochs 3 "two words"
name: my-training
environment_params:
  - SOME_ENVIRONMENT_PARAM: some env param value
inputs: {train: "s3://bucket/data/train/"}
secrets: [db_password, {wandb: {env: WANDB_API_KEY}}]
output_url: s3://bucket/runs/
retries: 2
timeout_s: 3600
secret_scan: block
"""


@pytest.fixture(params=["CBaseLoader", "BaseLoader"])
def loader(request, monkeypatch):
    """Run the test with libyaml, and as where PyYAML was built without it."""
    if request.param == "BaseLoader":
        monkeypatch.delattr(yaml, "CBaseLoader")


def write(text):
    """Write a job file into the working folder, and return its path."""
    path = Path("job.yaml").absolute()
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def read(text):
    """Return the job file that this text makes."""
    return jobfile.read(write(text))


def refusal(text):
    """Return the error with which this text is refused."""
    with pytest.raises(JobFileError) as caught:
        read(text)
    return caught.value


@pytest.mark.usefixtures("loader")
def test_every_key_is_read():
    """A file with all keys gives all values, with the command in words."""
    expected = JobFile(
        path=Path("job.yaml").absolute(),
        main=("./my_train.py", "--epochs", "3", "two words"),
        name="my-training",
        parameters={"SOME_ENVIRONMENT_PARAM": "some env param value"},
        inputs={"train": "s3://bucket/data/train/"},
        secrets=(SecretRequest("db_password"), SecretRequest("wandb", env="WANDB_API_KEY")),
        output_url="s3://bucket/runs/",
        retries=2,
        timeout_s=3600.0,
        secret_scan="block",
    )
    assert expected == read(FULL)


def test_only_main_is_needed():
    """What is left out has a default, and the name is the file's."""
    expected = JobFile(Path("job.yaml").absolute(), ("true",), "job", {}, {}, (), None, 0, None)
    assert expected == read("main: 'true'\n")


def test_a_job_runs_in_the_folder_of_its_file():
    """The folder is the file's, however the file was named."""
    write("main: x\n")

    assert Path.cwd() == jobfile.read(Path("job.yaml")).folder


@pytest.mark.parametrize(
    "text", ["environment_params:\n  A: '1'\n  B: '2'\n", "environment_params: [A: 1, B: 2]\n"]
)
def test_parameters_are_a_list_or_a_map(text):
    """The list of one-key maps and the plain map say the same."""
    expected = {"A": "1", "B": "2"}
    assert expected == read("main: x\n" + text).parameters


@pytest.mark.parametrize("key", ["environment_params", "inputs", "secrets"])
def test_a_collection_with_nothing_below_it_is_empty(key):
    """A key whose lines are all commented out stands for no entries."""
    written = read(f"main: x\n{key}:\n  # - A: 1\n")

    expected = ({}, {}, ())
    assert expected == (written.parameters, written.inputs, written.secrets)


@pytest.mark.usefixtures("loader")
@pytest.mark.parametrize("typed", TYPED.split())
def test_a_scalar_stays_what_was_typed(typed):
    """No value turns into a number, a date or a truth value on its way."""
    expected = {"A": typed}
    assert expected == read(f"main: x\nenvironment_params:\n  A: {typed}\n").parameters


@pytest.mark.usefixtures("loader")
def test_a_number_may_have_any_length():
    """A number longer than Python turns into an integer is text like any other."""
    expected = {"A": "9" * 5000}
    assert expected == read(f"main: x\nenvironment_params: {{A: {expected['A']}}}\n").parameters


def test_keys_that_look_like_numbers_and_truth_are_names():
    """Parameters named 1 and true keep these names."""
    expected = {"1": "a", "true": "b", "no": ""}
    assert expected == read("main: x\nenvironment_params: {1: a, true: b, no: }\n").parameters


def test_quotes_and_blocks_are_read_as_yaml_says():
    """Quoted text keeps its blanks, and a folded block is one line."""
    written = read("main: >\n  ./train.py\n  --lr 0.1\nenvironment_params: {A: ' a ', B: \"x\\ty\"}\n")

    expected = (("./train.py", "--lr", "0.1"), {"A": " a ", "B": "x\ty"})
    assert expected == (written.main, written.parameters)


def test_the_command_is_not_given_to_a_shell():
    """Pipes, variables, globs and substitutions are words like others."""
    expected = ("echo", "$(id)", "$HOME", "*.csv", "a|b", "cat", "a b")
    assert expected == read("main: echo $(id) $HOME *.csv a|b cat 'a b'\n").main


def test_a_byte_order_mark_is_skipped():
    """A file saved with a BOM is read as one without."""
    expected = ("x",)
    assert expected == read(b"\xef\xbb\xbfmain: x\n").main


def test_a_value_may_fill_the_kernels_limit():
    """The longest value that a variable can hold is accepted."""
    expected = {"BIG": "v" * LONGEST_VALUE}
    assert expected == read(f"main: x\nenvironment_params: {{BIG: {expected['BIG']}}}\n").parameters


WRONG = [
    # what is not plain YAML
    ("", None, "the file is empty"),
    ("# nothing\n", None, "the file is empty"),
    ("just text\n", 1, "this is no list of `key: value` lines"),
    ("- main: x\n", 1, "this is no list of `key: value` lines"),
    ("main: x\n---\nmain: y\n", 2, "a second document begins"),
    ("main: x\ninputs: &a [*a]\n", 2, "anchors (&) and aliases (*) cannot be used"),
    ("main: *a\n", 1, "anchors (&) and aliases (*) cannot be used"),
    (NESTED_ALIASES, 1, "anchors (&) and aliases (*) cannot be used"),
    ("main: !!python/object/apply:os.system ['id']\n", 1, "tags (!) cannot be used"),
    ("main: !!str x\n", 1, "tags (!) cannot be used"),
    ("main: x\ninputs: " + "[" * 3000, 2, "lists and maps are nested deeper than 8 levels"),
    ("main: x\nmain: y\n", 2, "the key 'main' stands here for the second time"),
    ("main: x\ninputs:\n  a: b\n  a: c\n", 4, "the key 'a' stands here for the second time"),
    ("main: x\nsecrets: [{a: {env: B, env: C}}]\n", 2, "the key 'env' stands here for the second time"),
    ("main: x\n? [a]\n: b\n", 2, "a key is a list or a map"),
    ("main: x\n\tname: y\n", 2, "this is not YAML: "),
    ("main: 'x\n", None, "this is not YAML: "),
    ("main: x\nname: a\x07b\n", 2, "the character U+0007 cannot stand in a job file"),
    ("main: x\nname: \ufeff\n", 2, "the character U+FEFF cannot stand in a job file"),
    (b"main: x\nname: \xff\n", 2, "this is not UTF-8"),
    (FULL.encode("utf-16"), 1, "this is not UTF-8"),
    ("main: x # " + "x" * (2 << 20), None, "it is larger than 1 MiB"),
    # keys and the command
    ("name: x\n", 1, "the key main is missing"),
    ("main: x\nenviroment_params: {}\n", 2, "unknown key 'enviroment_params'"),
    ("main: x\n1: a\n", 2, "unknown key '1'"),
    ("main: x\ntrue: a\n", 2, "unknown key 'true'"),
    ("main: x\n<<: {name: y}\n", 2, "unknown key '<<'"),
    ("main:\n", 1, "main is empty"),
    ("main: ' '\n", 1, "main has no command"),
    ("main: \"'' a\"\n", 1, "main has no command"),
    ('main: echo "a\n', 1, "main has a quote that is not closed"),
    ("main: [echo, a]\n", 1, "main is a list or a map, not one value"),
    ('main: "a\\0b"\n', 1, "main holds a NUL character"),
    # names, numbers and the rest
    ("main: x\nname: \n", 2, "name is empty"),
    ('main: x\nname: "a\\nb"\n', 2, "name is not one line of at most 200 characters"),
    (f"main: x\nname: {'n' * 201}\n", 2, "name is not one line of at most 200 characters"),
    ("main: x\noutput_url: {a: b}\n", 2, "output_url is a list or a map"),
    *(
        (f"main: x\nretries: {text}\n", 2, f"retries is {text!r}, not")
        for text in ("1.10", "0777", "yes", "-1")
    ),
    ("main: x\nsecret_scan: of\n", 2, "secret_scan is 'of', not block, warn or off"),
    ("main: x\nsecret_scan: [off]\n", 2, "secret_scan is a list or a map, not one value"),
    ("main: x\nretries: 1e3\n", 2, "retries is '1e3', not a whole number"),
    (f"main: x\nretries: {'9' * 5000}\n", 2, f"retries is '{'9' * 57}...', not"),
    *(
        (f"main: x\ntimeout_s: {text}\n", 2, f"timeout_s is {text!r}, not seconds")
        for text in ("12:30:45", ".nan", ".inf", "1e400", "0", "-5", "07", "1_000", "2024-01-02", "soon")
    ),
    # parameters
    ("main: x\nenvironment_params: a\n", 2, "environment_params is not a map"),
    ("main: x\nenvironment_params:\n  - A=1\n", 3, "an item of environment_params is not one `NAME: value`"),
    ("main: x\nenvironment_params:\n  - A: 1\n    B: 2\n", 3, "an item of environment_params is not one"),
    ("main: x\nenvironment_params:\n  - A: 1\n  - A: 2\n", 4, "the parameter 'A' stands here for the second"),
    ("main: x\nenvironment_params: {A: [1]}\n", 2, "the parameter 'A' is a list or a map, not one value"),
    ("main: x\nenvironment_params: {'': 1}\n", 2, "the name of a parameter is empty"),
    ("main: x\nenvironment_params: {A=B: 1}\n", 2, "the name of a parameter, 'A=B', holds a ="),
    ('main: x\nenvironment_params: {"A\\0": 1}\n', 2, "the name of a parameter holds a NUL character"),
    ("main: x\nenvironment_params: {HYPERPLANE_JOB_ID: 1}\n", 2, "'HYPERPLANE_JOB_ID' cannot be the name of"),
    ('main: x\nenvironment_params: {A: "a\\0b"}\n', 2, "the parameter 'A' holds a NUL character"),
    (
        f"main: x\nenvironment_params: {{BIG: {'v' * (LONGEST_VALUE + 1)}}}\n",
        2,
        "the parameter 'BIG' is 1 bytes",
    ),
    (
        f"main: x\nenvironment_params: {{BIG: {'é' * (LONGEST_VALUE // 2 + 1)}}}\n",
        2,
        "the parameter 'BIG' is 1",
    ),
    # inputs and secrets
    ("main: x\ninputs: [a]\n", 2, "inputs is not a map"),
    ("main: x\ninputs: {a: }\n", 2, "the input 'a' is empty"),
    ("main: x\ninputs: {a: {b: c}}\n", 2, "the input 'a' is a list or a map"),
    ("main: x\nsecrets: {a: b}\n", 2, "secrets is not a list"),
    ("main: x\nsecrets: [[a]]\n", 2, "this is neither a secret's name nor one with its env"),
    ("main: x\nsecrets: [{a: {env: B}, c: {env: D}}]\n", 2, "this is neither a secret's name nor one"),
    ("main: x\nsecrets: ['']\n", 2, "the name of a secret is empty"),
    ("main: x\nsecrets: [{a: B}]\n", 2, "what is said of the secret 'a' is not a map"),
    ("main: x\nsecrets: [{a: {var: B}}]\n", 2, "unknown key 'var' of a secret"),
    ("main: x\nsecrets: [{a: {env: HYPERPLANE_X}}]\n", 2, "'HYPERPLANE_X' cannot be the name of a secret's"),
    ("main: x\nsecrets:\n  - a\n  - a\n", 4, "the secret 'a' stands here for the second time"),
    ("main: x\nsecrets: [{a: {env: B}}, {c: {env: B}}]\n", 2, "the variable 'B' is already a parameter's"),
    ("main: x\nenvironment_params: {B: 1}\nsecrets: [{a: {env: B}}]\n", 3, "the variable 'B' is already a"),
]


@pytest.mark.usefixtures("loader")
@pytest.mark.parametrize(("text", "line", "problem"), WRONG, ids=range(len(WRONG)))
def test_a_wrong_file_is_refused_with_its_line_and_what_is_wrong(text, line, problem):
    """The error names the file, the line and the problem, and carries path and line."""
    error = refusal(text)

    where = f"{error.path}, line {error.line}: " if error.line else f"{error.path}: "
    assert error.message.startswith(where + problem)
    assert (Path("job.yaml").absolute(), line or error.line) == (error.path, error.line)


def test_a_mistyped_key_is_put_right():
    """The hint has the nearest known key, and all of them."""
    hint = refusal("main: x\nenviroment_params: {}\n").hint

    assert hint.startswith("Did you mean 'environment_params'? Known keys: main, name, environment_params")


def test_half_a_character_is_refused(monkeypatch):
    """A lone surrogate, which the parser in Python lets through, cannot be given to a process."""
    monkeypatch.delattr(yaml, "CBaseLoader")

    assert "the parameter 'A' holds half a character" in str(
        refusal('main: x\nenvironment_params: {A: "\\ud800"}\n')
    )


@pytest.mark.usefixtures("loader")
@pytest.mark.parametrize("escape", ["\\UFFFFFFFF", "\\U00110000", "\\ud8zz"])
def test_an_escape_that_is_no_character_is_refused(escape):
    """An escape beyond Unicode is an error of the file, not of the parser."""
    assert "this is not YAML" in refusal(f'main: x\nname: "{escape}"\n').message


@pytest.mark.usefixtures("loader")
@pytest.mark.parametrize(
    "value",
    [
        "[s3cr3t",
        "'s3cr3t",
        "!s3cr3t!x y",
        "!s3cr3t x",
        "&s3cr3t x",
        "*s3cr3t",
        "@s3cr3t",
        '"s3cr3t\\q"',
        "[s3cr3t]",
        "{a: s3cr3t}",
        "s3cr3t: s3cr3t",
        '"s3cr3t\\0"',
        '"s3cr3t' + "x" * (1 << 17) + '"',
    ],
)
def test_no_error_shows_the_value_of_a_parameter(value):
    """A secret pasted as a parameter is in no message, hint or traceback, however broken its quoting."""
    error = refusal(f"main: x\nenvironment_params:\n  PASSWORD: {value}\n")

    assert "s3cr3t" not in "".join(traceback.format_exception(error))


def test_a_missing_file_suggests_its_neighbour():
    """A mistyped file name is answered with the nearest job file beside it."""
    write("main: x\n")

    with pytest.raises(JobFileError) as caught:
        jobfile.read(Path("jbo.yaml"))

    expected = ("Did you mean 'job.yaml'?", None)
    assert expected == (caught.value.hint, caught.value.line)


def below_a_file(path):
    """Return a path whose parent is a file."""
    path.touch()
    return path / "job.yaml"


def made(action):
    """Return a function that puts something other than a readable file at a path."""
    return lambda path: action(path) or path


UNREADABLE = {
    "a folder": made(Path.mkdir),
    "a fifo": made(os.mkfifo),
    "a link to nowhere": made(lambda path: path.symlink_to("nowhere")),
    "a link to itself": made(lambda path: path.symlink_to(path)),
    "below a file": below_a_file,
    "a NUL in its name": lambda path: Path("job\0.yaml"),
    "a failing disk": lambda path: Path("/proc/self/mem"),
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", UNREADABLE)
def test_what_is_no_readable_file_is_refused(kind):
    """Anything but a file with bytes to read is an error at once, never a wait."""
    path = UNREADABLE[kind](Path("job.yaml"))

    with pytest.raises(JobFileError, match="it cannot be read: "):
        jobfile.read(path)


def test_a_file_of_somebody_else_is_refused():
    """A file that this user may not read is an error that says so."""
    path = write("main: x\n")
    path.chmod(0)
    user = os.geteuid()
    os.seteuid(user or 65534)
    try:
        with pytest.raises(JobFileError, match="it cannot be read: Permission denied"):
            jobfile.read(path)
    finally:
        os.seteuid(user)


def test_a_link_to_a_job_file_is_followed():
    """A job file may be a symbolic link."""
    Path("real.yaml").write_text("main: x\n")
    Path("job.yaml").symlink_to("real.yaml")

    expected = ("x",)
    assert expected == jobfile.read(Path("job.yaml")).main


@given(
    st.dictionaries(st.text("AB1_é", min_size=1, max_size=4), st.text("a1: '\"\\#-{}[]&*!%@é\t", max_size=9))
)
def test_whatever_a_yaml_library_writes_is_read_back(parameters):
    """Any parameters that YAML can spell come out as they went in."""
    text = yaml.safe_dump({"main": "x", "environment_params": parameters}, allow_unicode=True)

    assert parameters == read(text).parameters


def test_parsing_is_safe_for_the_files_of_others():
    """The tag that would run a command in an unsafe parser runs nothing."""
    refusal("main: !!python/object/apply:os.mkdir ['owned']\n")

    assert not Path("owned").exists()


def test_the_reference_documents_every_key():
    """Each key of a job file has its own section in the reference."""
    headings = [line.strip("# `") for line in DOCS.read_text().splitlines() if line.startswith("### ")]

    assert list(jobfile.KEYS) == headings
