"""Secrets given in Python: text and bytes by name, and nothing else."""

import traceback
import unicodedata

import pytest

from hyperplane.environment import Origin
from hyperplane.errors import SecretNameError, SecretValueError
from hyperplane.secretsources import FoundSecret
from hyperplane.secretsources.mapping import MappedSecrets


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("open sesame", b"open sesame"),
        ("größe", "größe".encode()),
        ("", b""),
        ("a\udcff", b"a\xff"),
        (b"\0\xff", b"\0\xff"),
        (bytearray(b"ab"), b"ab"),
        (memoryview(b"ab"), b"ab"),
        ("x" * 65536, b"x" * 65536),
    ],
)
def test_text_and_bytes_are_kept_as_bytes(value, expected):
    """Text becomes the bytes that a process would be given, and bytes stay what they are."""
    assert FoundSecret(expected, Origin("argument", "secrets")) == MappedSecrets({"db": value}).find("db")


@pytest.mark.parametrize("value", [5432, None, True, ["a"], {"a": "b"}, "\ud800open-sesame"])
def test_what_is_neither_is_an_error_without_the_value(value):
    """A number is not that many NUL bytes, and no exception carries the value."""
    with pytest.raises(SecretValueError) as caught:
        MappedSecrets({"port": value})

    printed = "".join(traceback.format_exception(caught.value))
    assert ("port", None, False) == (caught.value.name, caught.value.__context__, "sesame" in printed)


def test_a_name_that_nobody_could_ask_for_is_an_error():
    """A mapping with a path in it is refused when it is given, and not when it is missed."""
    with pytest.raises(SecretNameError, match="would be a path"):
        MappedSecrets({"a/b": "x"})


def test_names_are_found_in_one_spelling():
    """A name that was given decomposed is listed and found composed."""
    secrets = MappedSecrets({unicodedata.normalize("NFD", "schlüssel"): "x"})

    assert (["schlüssel"], b"x") == (list(secrets.names()), secrets.find("schlüssel").value)


def test_an_unknown_name_has_no_secret():
    """What was not given is not found."""
    assert None is MappedSecrets({}).find("db")


def test_the_place_of_a_secret_is_the_argument():
    """Errors say where the secret would have been given."""
    assert "argument secrets['db']" == MappedSecrets({}).describe("db")


def test_a_later_change_of_the_mapping_changes_nothing():
    """Secrets are taken when they are given."""
    given = {"db": "open sesame"}
    secrets = MappedSecrets(given)
    given["db"] = "other"

    assert b"open sesame" == secrets.find("db").value


def test_nothing_shows_a_value():
    """Neither the source nor what it finds has the value in its repr."""
    secrets = MappedSecrets({"db": "open sesame"})

    assert "sesame" not in repr([secrets, secrets.find("db")])
