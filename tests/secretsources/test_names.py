"""Names of secrets: what is one, in which form it is asked for, and what the error says."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperplane.errors import SecretNameError
from hyperplane.secretsources import checked_name, is_name

COMPOSED = unicodedata.normalize("NFC", "schlüssel")
DECOMPOSED = unicodedata.normalize("NFD", "schlüssel")


@pytest.mark.parametrize(
    "name",
    ["db", "db_password", "tls.key", "WANDB-API-KEY", "__class__", "a b", "schlüssel", "x" * 255, "7", "@:+"],
)
def test_names_that_variables_and_files_can_have_are_kept(name):
    """Letters of any script, digits and ordinary signs make a name, also one of Python's own."""
    assert (name, True) == (checked_name(name), is_name(name))


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "it is empty"),
        ("../x", "it would be a path"),
        ("a/b", "it would be a path"),
        ("/etc/passwd", "it would be a path"),
        ("a\\b", "it would be a path"),
        (".", "it would be a path"),
        ("..data", "it would be a path"),
        (".hidden", "it would be a path"),
        ("a\0b", "it has a character that no variable or file name should have"),
        ("a\nb", "it has a character that no variable or file name should have"),
        ("a\x1b[31m", "it has a character that no variable or file name should have"),
        ("\udcff", "it has a character that no variable or file name should have"),
        ("a=b", "it has a character that no variable or file name should have"),
        ("x" * 256, "it is longer than 255 bytes"),
        ("x" * 300, "it is longer than 255 bytes"),
        ("ö" * 128, "it is longer than 255 bytes"),
        ("\u0958" * 50, "it is longer than 255 bytes"),
        (7, "it is not a str"),
        (None, "it is not a str"),
        (b"db", "it is not a str"),
    ],
)
def test_what_no_source_could_hold_is_an_error(name, problem):
    """The error says what was asked for and why it is no name, whatever it is."""
    with pytest.raises(SecretNameError) as caught:
        checked_name(name)

    assert (f"{name!r} is no name for a secret: {problem}", name) == (caught.value.message, caught.value.name)


def test_a_word_has_one_name_in_both_spellings():
    """NFC and NFD of a word are the same name."""
    assert (COMPOSED, COMPOSED) == (checked_name(COMPOSED), checked_name(DECOMPOSED))


@given(st.text(st.characters(codec=None)))
def test_every_text_is_a_name_or_an_error(name):
    """A checked name stays itself when it is checked again, and is one part of a path."""
    if not is_name(name):
        with pytest.raises(SecretNameError):
            checked_name(name)
        return
    checked = checked_name(name)

    assert (checked, False, True) == (checked_name(checked), "/" in checked, len(checked.encode()) <= 255)
