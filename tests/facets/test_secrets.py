"""`ctx.secrets`: what each way of reading gives, what is refused, and that nothing shows a value."""

import copy
import pickle
import traceback
import unicodedata

import pytest

from hyperplane.environment import Environment, Origin
from hyperplane.errors import SecretNameError, SecretNotFoundError, SecretValueError
from hyperplane.explain import Row
from hyperplane.facets.secrets import Secrets
from hyperplane.masking import Masker
from hyperplane.secretsources import standard_sources
from hyperplane.secretsources.mapping import MappedSecrets
from hyperplane.settings import load

VALUE = "open-sesame"


def secrets_of(mapping=(), variables=(), masker=None, **options):
    """Return the secrets of a mapping over those of a process."""
    environment = Environment(dict(variables), **options)
    sources = (MappedSecrets(dict(mapping)), *standard_sources(environment, load(environment)))
    return Secrets(sources, masker=masker or Masker(), environment=environment)


def missing(secrets, *names):
    """Return the error for names that are not there."""
    with pytest.raises(SecretNotFoundError) as caught:
        secrets.require(names)
    return caught.value


@pytest.mark.parametrize(
    "value",
    [
        VALUE,
        "",
        "x",
        "true",
        "a***b",
        "x" * 65536,
        '{"a": 1}',
        "-----BEGIN X-----\nA\n",
        "line\n",
        " x ",
        "größe",
    ],
)
def test_a_secret_is_text_just_as_it_is_stored(value):
    """Nothing is stripped, parsed or thought missing."""
    secrets = secrets_of({"db": value})

    assert (value, value, value.encode()) == (secrets["db"], secrets.get("db"), secrets.bytes("db"))


def test_what_is_not_there_is_the_default():
    """`get` gives None, or whatever else is asked for, and a default is not a secret."""
    secrets = secrets_of()

    assert (None, "", 7) == (secrets.get("db"), secrets.get("db", ""), secrets.get("db", 7))


def test_an_empty_secret_is_there():
    """Empty is a value, and not absence."""
    secrets = secrets_of({"db": ""})

    assert ("", True) == (secrets.get("db", "default"), "db" in secrets)


@pytest.mark.parametrize("name", ["db2", "DB", "", "../db", "..data", "x" * 300, 7, None])
def test_what_is_not_there_is_not_in(name):
    """`in` is an answer for any object, also for what could be no name."""
    assert name not in secrets_of({"db": VALUE})


@pytest.mark.parametrize("name", ["", "../x", "a/b", "..data", "x" * 300, 7, None])
def test_what_could_be_no_name_is_an_error(name):
    """Reading by an impossible name is told from not finding one."""
    secrets = secrets_of({"db": VALUE})
    ways = (secrets.__getitem__, secrets.get, secrets.bytes, secrets.json, secrets.path, secrets.export)

    for way in ways:
        with pytest.raises(SecretNameError):
            way(name)


def test_a_name_is_one_in_either_spelling():
    """The same word in NFC and NFD is the same secret, for every way of reading."""
    composed, decomposed = (unicodedata.normalize(form, "größe") for form in ("NFC", "NFD"))
    secrets = secrets_of({composed: VALUE})

    assert (VALUE, True, secrets.path(composed)) == (
        secrets[decomposed],
        decomposed in secrets,
        secrets.path(decomposed),
    )


def test_bytes_are_what_is_stored():
    """A binary secret, with NUL and all, is read as bytes."""
    assert b"a\0b\xff" == secrets_of({"key": b"a\0b\xff"}).bytes("key")


@pytest.mark.parametrize(
    ("stored", "expected"),
    [('{"user": "ada", "port": 5432}', {"user": "ada", "port": 5432}), ("[1]", [1]), ("7", 7), ('"x"', "x")],
)
def test_a_json_secret_is_parsed_when_asked(stored, expected):
    """`json` gives what the document says, and reading as text still gives the document."""
    secrets = secrets_of({"db": stored})

    assert (expected, stored) == (secrets.json("db"), secrets["db"])


@pytest.mark.parametrize("value", [VALUE, "", '{"a": "open-sesame"', "[" * 100_000, "9" * 5000, "{'a': 1}"])
def test_what_is_not_json_is_an_error_without_the_value(value):
    """Neither message, traceback, cause nor context of the error has anything of the secret."""
    with pytest.raises(SecretValueError) as caught:
        secrets_of({"db": value}).json("db")

    error, printed = caught.value, "".join(traceback.format_exception(caught.value))
    assert ("the secret 'db' is not JSON", "db", None, None) == (
        error.message,
        error.name,
        error.__cause__,
        error.__context__,
    )
    assert VALUE not in printed


@pytest.mark.parametrize("way", ["__getitem__", "get", "json", "export"])
def test_bytes_that_are_no_text_are_an_error_without_the_value(way):
    """Reading a binary secret as text says how to read it, and carries nothing of it."""
    secrets = secrets_of({"key": b"open-sesame\xff"})
    with pytest.raises(SecretValueError) as caught:
        getattr(secrets, way)("key")

    error, printed = caught.value, "".join(traceback.format_exception(caught.value))
    assert ("the secret 'key' is not UTF-8 text", "key", None, None, False) == (
        error.message,
        error.name,
        error.__cause__,
        error.__context__,
        VALUE in printed,
    )


@pytest.mark.parametrize("way", ["__getitem__", "bytes", "json", "path", "export", "require"])
def test_every_way_of_reading_misses_a_secret_alike(way):
    """What is not there is a SecretNotFoundError, and so a KeyError, wherever it is asked for."""
    with pytest.raises(KeyError, match="no secret 'db'") as caught:
        getattr(secrets_of(), way)("db")

    assert (SecretNotFoundError, ("db",)) == (type(caught.value), caught.value.names)


def test_the_error_says_where_it_looked(tmp_path):
    """Every place is listed in the order of asking, with absolute paths."""
    (tmp_path / ".env").touch()
    variables = {"HYPERPLANE_SECRETS_DIR": "mounted"}
    error = missing(secrets_of({}, variables, env_file=tmp_path / ".env", folder=tmp_path), "db")

    places = (
        "argument secrets['db']",
        "environment HYPERPLANE_SECRET_db",
        f"file {tmp_path}/mounted/db",
        f"{tmp_path}/.env HYPERPLANE_SECRET_db",
    )
    assert (places, f"no secret 'db'; looked in: {', '.join(places)}") == (error.looked_in, error.message)


def test_without_a_place_to_look_nothing_is_listed():
    """Secrets without any source say no more than that they have none."""
    assert "no secret 'db'" == missing(Secrets((), masker=Masker()), "db").message


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, "Set HYPERPLANE_SECRET_db_password, in the environment or in .env."),
        ({"HYPERPLANE_SECRET_db_pasword": "x"}, "Did you mean 'db_pasword'?"),
        ({"HYPERPLANE_SECRET_DB_PASSWORD": "x"}, "Did you mean 'DB_PASSWORD'?"),
        (
            {"db_password": "x", "HYPERPLANE_SECRET_db_pasword": "x"},
            "A variable db_password exists: HYPERPLANE_SECRET_ENV=db_password says that it is a secret.",
        ),
    ],
)
def test_the_error_says_what_to_do(variables, expected):
    """A plain variable of that name is pointed at, else the nearest name, else how to set it."""
    assert expected == missing(secrets_of({}, variables), "db_password").hint


def test_all_that_is_missing_is_one_error():
    """Several names at once are named together, each once and with its own advice."""
    error = missing(secrets_of({"db": VALUE}), "a", "db", "wandb", "a")

    hint = (
        "Set HYPERPLANE_SECRET_a, in the environment or in .env. "
        "Set HYPERPLANE_SECRET_wandb, in the environment or in .env."
    )
    assert (("a", "wandb"), hint) == (error.names, error.hint)
    assert error.message.startswith("no secrets 'a', 'wandb'; looked in: argument secrets['a'], ")


def test_what_is_there_is_not_missed():
    """Requiring secrets that are there does nothing."""
    assert None is secrets_of({"db": VALUE}).require(["db", "db"])


def test_a_single_name_is_not_taken_apart():
    """A text where a list is expected is one name, and not its letters."""
    with pytest.raises(SecretNotFoundError) as caught:
        secrets_of().require("db")

    assert ("db",) == caught.value.names


def test_names_are_those_that_can_be_listed_and_read(monkeypatch):
    """All sources' names come sorted, once, and without those that nobody can ask for."""
    variables = {"HYPERPLANE_SECRET_b": "1", "HYPERPLANE_SECRET_a": "1", "HYPERPLANE_SECRET_": "1"}
    secrets = secrets_of({"b": "2"}, variables | {"HYPERPLANE_SECRET_a/b": "1"})

    assert ["a", "b"] == secrets.names()


def test_rows_say_where_a_secret_is_and_what_it_shadows():
    """Each row has the origins in their order, and no value."""
    rows = secrets_of({"db": "1"}, {"HYPERPLANE_SECRET_db": "2", "HYPERPLANE_SECRET_other": "3"}).rows()

    variable = Origin("environment", "HYPERPLANE_SECRET_db")
    assert [
        Row("secret", "db", None, Origin("argument", "secrets"), (variable,)),
        Row("secret", "other", None, Origin("environment", "HYPERPLANE_SECRET_other")),
    ] == rows


def test_a_row_says_that_a_secret_cannot_be_read(tmp_path):
    """One secret that is broken does not hide where the others come from."""
    (tmp_path / "big").write_bytes(b"x" * (1024 * 1024 + 1))
    rows = secrets_of({}, {"HYPERPLANE_SECRETS_DIR": str(tmp_path)}).rows()

    assert [Row("secret", "big", None, Origin("unreadable", f"file {tmp_path / 'big'}"))] == rows


class Vanishing:
    """A source whose secret is removed between being listed and being read."""

    def find(self, name):
        return None

    def names(self):
        return ["gone"]


def test_a_secret_that_vanishes_has_no_row():
    """A file that is removed meanwhile is simply not there."""
    assert [] == Secrets([Vanishing()], masker=Masker()).rows()


@pytest.mark.parametrize("use", [list, iter, dict, set, sorted, lambda secrets: [*secrets], len, vars])
def test_secrets_cannot_be_iterated(use):
    """No loop, and nothing that loops, gets at all secrets at once."""
    with pytest.raises(TypeError):
        use(secrets_of({"db": VALUE}))


@pytest.mark.parametrize("name", ["values", "items", "keys", "pop", "__dict__", "__reversed__"])
def test_secrets_have_nothing_that_hands_out_all_values(name):
    """What a mapping would have, secrets do not."""
    assert not hasattr(secrets_of(), name)


@pytest.mark.parametrize("use", [pickle.dumps, copy.deepcopy])
def test_secrets_cannot_be_taken_along(use):
    """Secrets are not pickled with what holds them."""
    with pytest.raises(TypeError):
        use(secrets_of({"db": VALUE}))


def test_the_repr_is_a_count():
    """Printing secrets shows how many sources there are, and asks none of them."""
    assert "<Secrets of 2 sources>" == repr(secrets_of({"db": VALUE}))


@pytest.mark.parametrize(
    "read",
    [
        lambda secrets: secrets["db"],
        lambda secrets: secrets.get("db"),
        lambda secrets: secrets.bytes("db"),
        lambda secrets: secrets.path("db"),
        lambda secrets: secrets.require(["db"]),
        lambda secrets: "db" in secrets,
    ],
)
def test_a_secret_is_masked_before_anybody_has_it(read):
    """However a secret is read, the masker knows it from then on."""
    masker = Masker()
    secrets = secrets_of({"db": VALUE}, masker=masker)
    before = masker.mask(VALUE)
    read(secrets)

    assert (VALUE, "***") == (before, masker.mask(VALUE))


def test_a_secret_that_the_masker_refuses_is_not_given_out():
    """When it cannot be masked, it is not read either."""

    class FullError(Exception):
        pass

    class Full(Masker):
        def add(self, name, value):
            raise FullError

    with pytest.raises(FullError):
        secrets_of({"db": VALUE}, masker=Full())["db"]


def test_text_and_json_of_a_secret_are_masked_too():
    """The text, and each text inside of a JSON secret, are known to the masker after reading."""
    masker = Masker()
    secrets_of({"db": '{"password": "open-sesame"}'}, masker=masker).json("db")

    assert "it is ***" == masker.mask("it is open-sesame")
