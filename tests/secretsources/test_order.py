"""All sources together: the order in which they are asked, and what the masker learns of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperplane.environment import Environment, Origin
from hyperplane.errors import HyperplaneWarning
from hyperplane.masking import Masker
from hyperplane.secretsources import find_all, register_all, standard_sources
from hyperplane.settings import load

SOURCES = ("prefixed", "plain", "file", "prefixed in .env", "plain in .env")


def placed(folder, present):
    """Put a secret KEY into the sources that are named, each with the source's name as its value."""
    (folder / "secrets").mkdir()
    if "file" in present:
        (folder / "secrets" / "KEY").write_text("file")
    variables = {"prefixed": "HYPERPLANE_SECRET_KEY", "plain": "KEY"}
    process = {variable: kind for kind, variable in variables.items() if kind in present}
    lines = [
        f"{variable}='{kind} in .env'\n"
        for kind, variable in variables.items()
        if f"{kind} in .env" in present
    ]
    (folder / ".env").write_text("".join(lines))
    settings = {"HYPERPLANE_SECRETS_DIR": str(folder / "secrets"), "HYPERPLANE_SECRET_ENV": "KEY"}
    return Environment(process | settings, env_file=folder / ".env")


def sources_of(environment):
    """Return the sources of a process."""
    return standard_sources(environment, load(environment))


@given(st.sets(st.sampled_from(SOURCES)))
def test_the_first_source_that_has_it_wins(tmp_path_factory, present):
    """Whichever sources have the secret: prefix, plain variable, mounted file, then the same in `.env`."""
    environment = placed(tmp_path_factory.mktemp("project"), present)
    found = find_all(sources_of(environment))

    winners = [source.encode() for source in SOURCES if source in present]
    assert winners[:1] == [secret.value for name, secret in found.items() if name == "KEY"]


@pytest.mark.parametrize("place", ["missing", "file"])
def test_a_folder_that_is_none_is_a_warning(tmp_path, place):
    """A mount that did not happen would look like secrets that nobody gave; the path is named."""
    (tmp_path / "file").touch()
    environment = Environment({"HYPERPLANE_SECRETS_DIR": place}, folder=tmp_path)
    with pytest.warns(HyperplaneWarning, match="HYPERPLANE_SECRETS_DIR") as caught:
        register_all(Masker(), environment, sources_of(environment))
    assert [str(tmp_path / place) in str(warning.message) for warning in caught] == [True]


def test_without_a_folder_only_variables_are_asked():
    """Mounted files are a source only where a folder is named."""
    assert ["environment HYPERPLANE_SECRET_db"] == [
        source.describe("db") for source in sources_of(Environment({}))
    ]


def test_places_are_described_in_their_order(tmp_path):
    """Environment, file and `.env` are named with absolute paths, relative to the project folder."""
    (tmp_path / ".env").touch()
    environment = Environment(
        {"HYPERPLANE_SECRETS_DIR": "mounted"}, env_file=tmp_path / ".env", folder=tmp_path
    )

    assert [
        "environment HYPERPLANE_SECRET_db",
        f"file {tmp_path}/mounted/db",
        f"{tmp_path}/.env HYPERPLANE_SECRET_db",
    ] == [source.describe("db") for source in sources_of(environment)]


def test_everything_that_can_be_listed_is_found(tmp_path):
    """Names of all sources are there, each with the origin that wins."""
    environment = placed(tmp_path, {"file", "plain in .env"})
    (tmp_path / ".env").write_text("HYPERPLANE_SECRET_other=x\nKEY=y\n")
    environment = Environment(environment.process_variables(), env_file=tmp_path / ".env")
    found = find_all(sources_of(environment))

    origins = {name: secret.origin for name, secret in found.items()}
    assert {
        "KEY": Origin("file", str(tmp_path / "secrets" / "KEY")),
        "other": Origin(str(tmp_path / ".env"), "HYPERPLANE_SECRET_other"),
    } == origins


@pytest.fixture
def half_readable(tmp_path):
    """Give a process with one mounted secret, and one that is too large to be one."""
    environment = placed(tmp_path, {"file"})
    (tmp_path / "secrets" / "big").write_bytes(b"x" * (1024 * 1024 + 1))
    return environment


def test_what_cannot_be_read_does_not_hide_the_others(half_readable):
    """An unreadable file is passed over when everything is listed."""
    assert ["KEY"] == list(find_all(sources_of(half_readable)))


def registered(environment):
    """Return a masker that knows the secrets of a process."""
    masker = Masker()
    register_all(masker, environment, sources_of(environment))
    return masker


def test_every_secret_is_masked_read_or_not(tmp_path):
    """Values of all sources are masked, also those that another one shadows."""
    environment = placed(tmp_path, SOURCES)
    (tmp_path / "secrets" / "KEY").write_text("mounted-value")
    text = "prefixed, <plain in .env>, <prefixed in .env>, mounted-value"

    assert "***, <***>, <***>, ***" == registered(environment).mask(text)


@pytest.mark.parametrize(
    "name", ["GITHUB_TOKEN", "PGPASSWORD", "MYSQL_PASSWD", "my_api_key", "SSH_PRIVATE_KEY"]
)
def test_plain_variables_that_sound_like_secrets_are_masked(name):
    """A telling name is enough for the value not to be written."""
    assert "is ***" == registered(Environment({name: "open-sesame"})).mask("is open-sesame")


@pytest.mark.parametrize("value", ["false", "true", "0", "", "443", "yes"])
def test_a_telling_name_with_a_harmless_value_is_no_secret(value):
    """A switch such as TOKENIZERS_PARALLELISM is neither masked nor warned about."""
    masker = registered(Environment({"TOKENIZERS_PARALLELISM": value}))

    assert (f"is {value}", ()) == (masker.mask(f"is {value}"), masker.warnings)


@pytest.mark.parametrize("name", ["AWS_WEB_IDENTITY_TOKEN_FILE", "NOMAD_SECRETS_DIR", "PASSWORD_PATH"])
def test_the_place_of_a_secret_is_no_secret(name):
    """A path under a telling name may be written; anything else under such a name may not."""
    path, value = "/var/run/secrets/token", "open-sesame"

    assert path == registered(Environment({name: path})).mask(path)
    assert "***" == registered(Environment({name: value})).mask(value)


def test_a_declared_secret_that_cannot_be_masked_is_warned_about():
    """Who says that a variable is a secret learns that its value is too short."""
    masker = registered(Environment({"HYPERPLANE_SECRET_ENV": "DEBUG", "DEBUG": "1"}))

    assert ("secret 'DEBUG' is shorter than 4 bytes: not masked",) == masker.warnings


def test_a_plain_secret_is_masked_in_both_of_its_values(tmp_path):
    """What stands in `.env` under a telling name is masked, even where the process has another value."""
    (tmp_path / ".env").write_text("GITHUB_TOKEN=file-value\n")
    environment = Environment({"GITHUB_TOKEN": "process-value"}, env_file=tmp_path / ".env")

    assert "*** ***" == registered(environment).mask("file-value process-value")


def test_settings_of_ours_are_not_masked(tmp_path):
    """The folder of secrets and the list of plain ones sound like secrets, and are none."""
    environment = Environment(
        {"HYPERPLANE_SECRETS_DIR": str(tmp_path), "HYPERPLANE_SECRET_ENV": "DATABASE_URL,PGPASS"}
    )
    text = f"{tmp_path} DATABASE_URL,PGPASS"

    assert text == registered(environment).mask(text)


def test_a_secret_has_one_name_for_the_masker():
    """A secret is known by its name, and not by that of its variable too."""
    environment = Environment(
        {"HYPERPLANE_SECRET_db": "open-sesame", "HYPERPLANE_SECRETS_typo": "sesame-open"}
    )
    with pytest.warns(UserWarning, match="HYPERPLANE_SECRETS_typo is set"):
        masker = registered(environment)

    assert ("db", "HYPERPLANE_SECRETS_typo") == masker.names
