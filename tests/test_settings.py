"""Settings: where each value comes from, which are refused, and which names look mistyped."""

import traceback
import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hyperplane import settings
from hyperplane.environment import Environment, Origin
from hyperplane.errors import HyperplaneWarning, SettingsError
from hyperplane.settings import JobSettings, is_one_typo, known_variables, load, variables_of

DOCS = Path(__file__).parents[1] / "docs" / "reference" / "settings.md"
SECRET = "open-sesame"
TEXT_FIELDS = (
    "job_id",
    "job_name",
    "user_id",
    "secrets_dir",
    "vault_dir",
    "ssm_prefix",
    "output_dir",
    "home",
    "run_dir",
    "s3_bucket",
    "s3_region",
)
SOURCES = ("process", "file", "platform")


def loaded(**variables):
    """Return the settings of a process with these HYPERPLANE_ variables alone."""
    return load(Environment({f"HYPERPLANE_{name}": value for name, value in variables.items()}))


def error_of(**variables):
    """Return the error that these variables give."""
    with pytest.raises(SettingsError) as caught:
        loaded(**variables)
    return caught.value


def warnings_of(*names):
    """Return what is warned of when variables of these names are set."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        load(Environment(dict.fromkeys(names, "1")))
    assert all(warning.category is HyperplaneWarning for warning in caught)
    return [str(warning.message) for warning in caught]


def test_a_process_that_was_told_nothing_has_the_defaults():
    """Every field has a value on a laptop, and its origin is the default."""
    found = loaded()

    expected = {
        "job_id": None,
        "job_name": None,
        "user_id": None,
        "attempt": 1,
        "secrets_dir": None,
        "secret_env": (),
        "vault_dir": None,
        "vault_key_file": None,
        "secrets_manager_prefix": None,
        "ssm_prefix": None,
        "secret_source": None,
        "output_dir": None,
        "output_url": None,
        "home": None,
        "run_dir": None,
        "cache_dir": None,
        "cache_limit": 50 * 10**9,
        "s3_bucket": None,
        "s3_endpoint_url": None,
        "s3_region": None,
        "s3_kms_key_id": None,
        "log_format": "auto",
        "log_level": "INFO",
        "grace_s": 10.0,
        "stop_signals": (),
    }
    assert (expected, {Origin("default")}) == (found.model_dump(), {found.origin(name) for name in expected})


@pytest.mark.parametrize("field", TEXT_FIELDS)
def test_a_text_is_taken_as_it_is(field):
    """Text fields keep what was set, numbers and blanks included."""
    assert " 007 " == getattr(loaded(**{field.upper(): " 007 "}), field)


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("ATTEMPT", "3", 3),
        ("GRACE_S", "2.5", 2.5),
        ("GRACE_S", "0", 0.0),
        ("SECRET_ENV", "A_URL, B_KEY,,", ("A_URL", "B_KEY")),
        ("SECRET_ENV", "", ()),
        ("LOG_FORMAT", "JSON", "json"),
        ("LOG_LEVEL", "debug", "DEBUG"),
        ("STOP_SIGNALS", "usr1,SIGINT", ("SIGUSR1", "SIGINT")),
        ("OUTPUT_URL", "s3://bucket", "s3://bucket"),
        ("OUTPUT_URL", "s3://bucket/prefix/", "s3://bucket/prefix/"),
        ("OUTPUT_URL", "file:///mnt/runs/", "file:///mnt/runs/"),
        ("OUTPUT_URL", "none", None),
        ("CACHE_LIMIT", "0", 0),
        ("CACHE_LIMIT", "1234", 1234),
        ("CACHE_LIMIT", "200GB", 200 * 10**9),
        ("CACHE_LIMIT", " 1.5 tib ", 3 * 2**39),
        ("CACHE_LIMIT", "7k", 7000),
        ("S3_ENDPOINT_URL", "https://minio.example.com/", "https://minio.example.com"),
        ("S3_ENDPOINT_URL", "http://127.0.0.1:9000", "http://127.0.0.1:9000"),
    ],
)
def test_a_value_is_read_as_its_type(variable, value, expected):
    """Numbers, lists, levels and URLs come as what they are."""
    assert expected == getattr(loaded(**{variable: value}), variable.lower())


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ATTEMPT", "first"),
        ("ATTEMPT", "0"),
        ("ATTEMPT", "-1"),
        ("ATTEMPT", "1.5"),
        ("ATTEMPT", ""),
        ("ATTEMPT", "9" * 5000),
        ("GRACE_S", "-1"),
        ("GRACE_S", "nan"),
        ("GRACE_S", "inf"),
        ("GRACE_S", "1e999"),
        ("GRACE_S", "ten"),
        ("OUTPUT_URL", "s4://bucket/runs/"),
        ("OUTPUT_URL", "S3:/bucket/runs/"),
        ("OUTPUT_URL", "s3:///runs/"),
        ("OUTPUT_URL", "s3://key:secret@bucket/"),
        ("OUTPUT_URL", "file://relative/"),
        ("OUTPUT_URL", "/mnt/runs"),
        ("OUTPUT_URL", "http://[open-sesame]/"),
        ("OUTPUT_URL", "None"),
        ("OUTPUT_URL", ""),
        ("CACHE_LIMIT", ""),
        ("CACHE_LIMIT", "-1"),
        ("CACHE_LIMIT", "GB"),
        ("CACHE_LIMIT", "1XB"),
        ("CACHE_LIMIT", "9" * 5000),
        ("S3_ENDPOINT_URL", "minio.example.com"),
        ("S3_ENDPOINT_URL", "https://key:open-sesame@minio.example.com"),
        ("S3_ENDPOINT_URL", "https://minio.example.com/bucket"),
        ("S3_BUCKET", ""),
        ("LOG_FORMAT", "xml"),
        ("LOG_LEVEL", "LOUD"),
        ("STOP_SIGNALS", "USR1,KILL"),
        ("STOP_SIGNALS", "SIGSTOP"),
        ("STOP_SIGNALS", "OPEN-SESAME"),
        ("STOP_SIGNALS", "_DFL"),
        ("JOB_ID", ""),
        ("JOB_NAME", ""),
        ("OUTPUT_DIR", ""),
        ("HOME", ""),
        ("RUN_DIR", ""),
    ],
)
def test_a_value_that_makes_no_sense_is_an_error_that_names_the_variable(variable, value):
    """The error names where the value came from, what would be right, and not the value."""
    error = error_of(**{variable: value})

    name = f"HYPERPLANE_{variable}"
    assert ((name,), f"Mend or unset {name}.") == (error.names, error.hint)
    assert error.message.startswith(f"environment {name} is not ")


def test_all_wrong_variables_are_named_at_once():
    """One error lists every variable at fault, in the order of the fields."""
    error = error_of(GRACE_S="-1", ATTEMPT="first", OUTPUT_URL="s4://bucket")

    message = (
        "environment HYPERPLANE_ATTEMPT is not a whole number from 1 on; "
        "environment HYPERPLANE_OUTPUT_URL is not s3://bucket/prefix/, file:///folder/ or none; "
        "environment HYPERPLANE_GRACE_S is not a number of seconds, 0 or more"
    )
    names = ("HYPERPLANE_ATTEMPT", "HYPERPLANE_OUTPUT_URL", "HYPERPLANE_GRACE_S")
    assert (message, names) == (error.message, error.names)


@pytest.mark.parametrize(
    "variable", ["ATTEMPT", "GRACE_S", "OUTPUT_URL", "LOG_FORMAT", "LOG_LEVEL", "STOP_SIGNALS"]
)
def test_no_error_shows_a_value(variable):
    """Neither the wrong value nor a secret beside it stands in the traceback."""
    error = error_of(**{variable: f"x://[{SECRET}", "SECRET_db": SECRET, "JOB_NAME": SECRET})

    printed = "".join(traceback.format_exception(error))
    assert (False, True) == (SECRET in printed.lower(), f"HYPERPLANE_{variable}" in printed)


def test_an_error_in_a_file_names_the_file(tmp_path):
    """A wrong line of `.env` is looked for there, and not in the environment."""
    env_file = tmp_path / ".env"
    env_file.write_text("HYPERPLANE_ATTEMPT=first\n")
    with pytest.raises(SettingsError) as caught:
        load(Environment({}, env_file=env_file))

    assert caught.value.message.startswith(f"{env_file} HYPERPLANE_ATTEMPT is not ")


@given(st.sets(st.sampled_from(SOURCES)))
def test_the_first_source_that_has_a_value_wins(tmp_path_factory, present):
    """Whichever have the id: process over file over platform over default, and the rest is shadowed."""
    env_file = tmp_path_factory.mktemp("env") / ".env"
    env_file.write_text("HYPERPLANE_JOB_ID=file\n" if "file" in present else "")
    process = {"HYPERPLANE_JOB_ID": "process"} if "process" in present else {}
    platform = {"SLURM_JOB_ID": "platform"} if "platform" in present else {}
    found = load(Environment(process | platform, env_file=env_file))

    origins = {
        "process": Origin("environment", "HYPERPLANE_JOB_ID"),
        "file": Origin(str(env_file), "HYPERPLANE_JOB_ID"),
        "platform": Origin("platform", "SLURM_JOB_ID"),
    }
    winners = [source for source in SOURCES if source in present]
    expected = [origins[source] for source in winners] or [Origin("default")]
    assert ((winners or [None])[0], expected) == (
        found.job_id,
        [found.origin("job_id"), *found.shadowed("job_id")],
    )


def test_what_a_platform_says_and_cannot_be_used_is_warned_of():
    """A variable of the platform that makes no sense is named, and its value is not shown."""
    with pytest.warns(
        HyperplaneWarning, match="SLURM_PROCID is not a whole number from 0 on: ignored"
    ) as caught:
        load(Environment({"SLURM_JOB_ID": "1", "SLURM_PROCID": SECRET}))

    assert [False] == [SECRET in str(warning.message) for warning in caught]


def test_a_field_without_a_value_shadows_nothing():
    """A default stands alone."""
    assert () == loaded().shadowed("job_id")


def test_facts_of_a_platform_keep_their_types():
    """Attempt, grace and stop signals come from the platform as numbers and names."""
    found = load(Environment({"NOMAD_JOB_ID": "n", "AWS_BATCH_JOB_ID": "b", "AWS_BATCH_JOB_ATTEMPT": "2"}))

    expected = (2, 30.0, ("SIGINT",), Origin("platform", "AWS_BATCH_JOB_ATTEMPT"))
    assert expected == (found.attempt, found.grace_s, found.stop_signals, found.origin("attempt"))


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"HYPERPLANE_USER_OUTPUTS_DIR_ABS": "/b"}, "/b"),
        ({"HYPERPLANE_OUTPUT_DIR": "/a", "HYPERPLANE_USER_OUTPUTS_DIR_ABS": "/b"}, "/a"),
        ({"HYPERPLANE_OUTPUT_DIR": "/a", "TRAINING_JOB_NAME": "t", "SM_OUTPUT_DATA_DIR": "/c"}, "/a"),
    ],
)
def test_the_older_name_of_the_outputs_folder_counts_too(variables, expected):
    """The seed's variable is another name for the same setting, and the shorter one goes first."""
    assert expected == load(Environment(variables)).output_dir


def test_nowhere_on_purpose_is_told_from_nothing_said():
    """`none` is a decision, and an output URL that is not set is not."""
    on_purpose, unset = loaded(OUTPUT_URL="none"), loaded()

    assert (True, False) == (on_purpose.delivers_nowhere_on_purpose, unset.delivers_nowhere_on_purpose)


def test_a_somewhere_is_not_nowhere():
    """With a URL, outputs are delivered."""
    assert not loaded(OUTPUT_URL="file:///runs/").delivers_nowhere_on_purpose


def test_settings_cannot_be_changed():
    """Settings are read once."""
    with pytest.raises(ValidationError):
        loaded().job_id = "other"


@pytest.mark.parametrize("name", ["hyperplane_job_id", "Hyperplane_Job_Id", "JOB_ID", "job_id"])
def test_names_have_exact_case(monkeypatch, name):
    """A variable in another case, or without the prefix, sets nothing, not even in the process itself."""
    monkeypatch.setenv(name, "wrong")

    assert None is load(Environment.capture()).job_id


def test_only_the_snapshot_is_read(monkeypatch):
    """With injected variables the process environment counts for nothing."""
    monkeypatch.setenv("HYPERPLANE_JOB_ID", "process")
    Path(".env").write_text("HYPERPLANE_JOB_ID=file\n")

    assert None is load(Environment({})).job_id


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("HYPERPLANE_JOBID", "HYPERPLANE_JOB_ID"),
        ("HYPERPLANE_JOB_IDS", "HYPERPLANE_JOB_ID"),
        ("HYPERPLANE_JOB_DI", "HYPERPLANE_JOB_ID"),
        ("HYPERPLANE_JOB_Id", "HYPERPLANE_JOB_ID"),
        ("HYPERPLANE_OUTPUTS_DIR", "HYPERPLANE_OUTPUT_DIR"),
        ("HYPERPLANE_OUTPUT_URI", "HYPERPLANE_OUTPUT_URL"),
        ("HYPERPLANE_SECRETS_db", "HYPERPLANE_SECRET_db"),
        ("HYPERPLANE_SECRTE_db", "HYPERPLANE_SECRET_db"),
        ("HYPERPLANE_SECRE_db", "HYPERPLANE_SECRET_db"),
        ("HYPERPLANE_SECRETdb", "HYPERPLANE_SECRET_db"),
        ("HYPERPLANE_INPUTS_train", "HYPERPLANE_INPUT_train"),
        ("HYPERPLANE_SECRET_DIR", "HYPERPLANE_SECRETS_DIR"),
        ("HYPERPLANE_SECRETS_ENV", "HYPERPLANE_SECRET_ENV"),
    ],
)
def test_a_name_one_typo_away_is_warned_of(name, meant):
    """The warning names what is set and what was probably meant."""
    assert [f"{name} is set; did you mean {meant}?"] == warnings_of(name)


@pytest.mark.parametrize(
    "name",
    [
        "HYPERPLANE_SOMETHING_ELSE",
        "HYPERPLANE_",
        "HYPERPLANE_SECRET_db",
        "HYPERPLANE_INPUT_train",
        "HYPERPLANE_ENV_FILE",
        "JOB_ID",
        "HYPERPLAN_JOB_ID",
    ],
)
def test_other_names_are_not_warned_of(name):
    """Names with a meaning, names far from any, and names of others are no typos."""
    assert [] == warnings_of(name)


def test_no_setting_is_taken_for_a_typo_of_another():
    """With everything set, nothing is warned of but the values."""
    texts = dict.fromkeys(known_variables(), "1")
    fixed = {
        "OUTPUT_URL": "none",
        "S3_ENDPOINT_URL": "http://127.0.0.1:9000",
        "LOG_FORMAT": "auto",
        "LOG_LEVEL": "INFO",
        "STOP_SIGNALS": "USR1",
    }
    variables = texts | {f"HYPERPLANE_{name}": value for name, value in fixed.items()}

    assert "1" == load(Environment(variables)).job_id


def edits(word):
    """Return all that one letter added, left out, changed or swapped makes of a word."""
    cuts = [(word[:at], word[at:]) for at in range(len(word) + 1)]
    swapped = {a + b[1] + b[0] + b[2:] for a, b in cuts if len(b) > 1}
    added = {a + letter + b for a, b in cuts for letter in "ABC"}
    changed = {a + letter + b[1:] for a, b in cuts if b for letter in "ABC"}
    return (swapped | added | changed | {a + b[1:] for a, b in cuts if b}) - {word}


@given(st.text("ABC", max_size=5), st.text("ABC", max_size=5))
def test_one_typo_is_one_edit(name, known):
    """Two words are one typo apart exactly when trying every single edit makes one of the other."""
    assert (name in edits(known)) == is_one_typo(name, known)


@given(st.text("ABC", max_size=5), st.data())
def test_every_edit_is_one_typo(known, data):
    """Whatever one edit makes of a word is recognised, from either side."""
    name = data.draw(st.sampled_from(sorted(edits(known))))

    assert (True, True) == (is_one_typo(name, known), is_one_typo(known, name))


@pytest.mark.parametrize("field", JobSettings.model_fields)
def test_every_field_is_documented(field):
    """The reference has a heading for the variable of each field."""
    assert f"### `{variables_of(field)[0]}`\n" in DOCS.read_text()


@pytest.mark.parametrize("variable", [*known_variables(), settings.SECRET_PREFIX, settings.INPUT_PREFIX])
def test_every_variable_is_documented(variable):
    """The reference names each variable, and each prefix of variables."""
    assert f"`{variable}" in DOCS.read_text()


def test_every_field_says_what_it_is():
    """Each field has a description, which ends as a sentence does."""
    fields = JobSettings.model_fields.items()

    assert [] == [name for name, field in fields if not (field.description or "").endswith(".")]
