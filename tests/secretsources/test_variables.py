"""Secrets in variables: by prefix, and plain ones that are said to be secrets."""

import unicodedata

import pytest

from hyperplane.environment import Environment, Layer, Origin
from hyperplane.errors import SecretValueError
from hyperplane.secretsources import FoundSecret
from hyperplane.secretsources.variables import Variables


def secrets_in(variables, *plain):
    """Return the secrets of a process with these variables."""
    return Variables(Layer("environment", variables), plain)


def test_a_prefixed_variable_is_a_secret():
    """The name is what comes after the prefix, and the origin the whole variable."""
    found = secrets_in({"HYPERPLANE_SECRET_db": "open sesame"}).find("db")

    assert FoundSecret(b"open sesame", Origin("environment", "HYPERPLANE_SECRET_db")) == found


@pytest.mark.parametrize("name", ["DB", "Db", "db "])
def test_names_have_exact_case(name):
    """Another case is another secret."""
    assert None is secrets_in({"HYPERPLANE_SECRET_db": "x"}).find(name)


def test_a_plain_variable_counts_when_it_is_said_to():
    """A variable that HYPERPLANE_SECRET_ENV names is a secret of its own name, and others are none."""
    secrets = secrets_in({"DATABASE_URL": "x", "LANG": "C"}, "DATABASE_URL", "NOSUCH")

    expected = (["DATABASE_URL"], Origin("environment", "DATABASE_URL"))
    assert expected == (list(secrets.names()), secrets.find("DATABASE_URL").origin)


def test_the_prefix_goes_before_a_plain_variable():
    """Of two secrets of one name in the same place, the one with the prefix wins."""
    secrets = secrets_in(
        {"DATABASE_URL": "plain", "HYPERPLANE_SECRET_DATABASE_URL": "prefixed"}, "DATABASE_URL"
    )

    assert b"prefixed" == secrets.find("DATABASE_URL").value


def test_the_list_of_plain_variables_is_no_secret():
    """HYPERPLANE_SECRET_ENV is a setting, and not a secret called ENV."""
    secrets = secrets_in({"HYPERPLANE_SECRET_ENV": "A", "HYPERPLANE_SECRETS_DIR": "/x"})

    assert ([], None) == (list(secrets.names()), secrets.find("ENV"))


def test_names_are_found_in_one_spelling():
    """A decomposed variable is listed and found composed, with or without the prefix."""
    word = unicodedata.normalize("NFD", "größe")
    secrets = secrets_in({f"HYPERPLANE_SECRET_{word}": "a", f"{word}2": "b"}, f"{word}2")

    found = {name: secrets.find(name).value for name in secrets.names()}
    assert {"größe2": b"b", "größe": b"a"} == found


@pytest.mark.parametrize(
    "value", ["", "true", "x" * 65536, "line\n", '{"a": 1}', "a***b", "-----BEGIN X-----\n"]
)
def test_a_value_is_kept_as_it_is(value):
    """Nothing is stripped, parsed or thought missing."""
    assert value.encode() == secrets_in({"HYPERPLANE_SECRET_db": value}).find("db").value


def test_bytes_that_are_no_text_are_kept(monkeypatch):
    """What the process was given comes out byte for byte."""
    import os

    monkeypatch.setitem(os.environb, b"HYPERPLANE_SECRET_db", b"a\xff")
    (layer,) = Environment.capture().layers

    assert b"a\xff" == Variables(layer, ()).find("db").value


def test_text_that_no_bytes_stand_for_is_an_error():
    """Half a surrogate pair cannot have come from a process, and is refused without being shown."""
    with pytest.raises(SecretValueError, match="'db' is neither text nor bytes"):
        secrets_in({"HYPERPLANE_SECRET_db": "\ud800"}).find("db")


def test_the_place_of_a_secret_is_the_variable():
    """Errors say which variable would have been read, and where."""
    assert "/project/.env HYPERPLANE_SECRET_db" == Variables(Layer("/project/.env", {}), ()).describe("db")
