"""Names, clashes and filters."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperplane.errors import UsageError
from hyperplane.transfer.filters import Filter
from hyperplane.transfer.names import Clashes, key_name, local_parts


@given(st.text())
def test_a_name_is_below_the_target_or_refused(name):
    """Put together again it is the same, and no part of it leads anywhere else."""
    with suppress(UsageError):
        parts = local_parts(name)
        assert name == "/".join(parts)
        assert not {"", ".", ".."} & set(parts)
        assert not any("\0" in part or len(part.encode()) > 255 for part in parts)


def test_a_name_that_is_no_text_is_refused():
    """A lone surrogate cannot be a key, nor a file."""
    with pytest.raises(UsageError, match="no text"):
        local_parts("\ud800")
    with pytest.raises(UsageError, match="no UTF-8 text"):
        key_name("caf\udce9")


def test_a_name_of_a_file_is_that_of_its_object():
    """Whatever is UTF-8 is taken as it is."""
    assert "ä b/\n" == key_name("ä b/\n")


@given(st.lists(st.text("ab/!0", min_size=1, max_size=6), unique=True))
def test_every_clash_is_found(names):
    """In a sorted listing a name clashes if and only if a taken one is a folder of it."""
    clashes, taken = Clashes(), []
    for name in sorted(names):
        expected = any(name.startswith(f"{file}/") for file in taken)
        try:
            clashes.check(name)
        except UsageError:
            assert expected
        else:
            assert not expected
            taken.append(name)


@pytest.mark.parametrize("other", ["a/READ", "A/read", "a/re\u0041d", "a/rea\u0044"])
def test_names_that_are_one_on_some_file_systems_are_told(other):
    """Where they are: in case, or in how a letter is composed."""
    for names in (["a/read", other], ["caf\u00e9", "cafe\u0301"]):
        clashes = Clashes(folds_names=True)
        clashes.check(names[0])
        with pytest.raises(UsageError, match="the same name as"):
            clashes.check(names[1])
        for name in names:
            Clashes().check(name)


@pytest.mark.parametrize(
    ("glob", "name", "expected"),
    [
        ("*.csv", "a.csv", True),
        ("*.csv", "s/a.csv", False),
        ("**/*.csv", "a.csv", True),
        ("**/*.csv", "s/t/a.csv", True),
        ("s/**", "s/t/a", True),
        ("s/**", "s", True),
        ("s/**/a", "s/a", True),
        ("**", "s/t", True),
        ("a?c", "abc", True),
        ("a?c", "a/c", False),
        ("[ab]", "a", True),
        ("[ab]", "c", False),
        ("A", "a", False),
        ("a", "a/b", False),
    ],
)
def test_a_glob_fits_whole_names(glob, name, expected):
    """`*` and `?` stay within a part, and `**` is any number of parts."""
    assert expected == Filter.of(glob=glob).takes(name)


def test_many_stars_take_no_time():
    """A glob that could be tried in a million ways is not."""
    assert not Filter.of(glob="/".join(["**"] * 12) + "/x").takes("/".join("a" * 40))


@pytest.mark.parametrize("wrong", [{"glob": ""}, {"regex": ""}])
def test_an_empty_filter_is_refused(wrong):
    """It is a variable that was not set, most likely."""
    with pytest.raises(UsageError, match="an empty filter"):
        Filter.of(**wrong)


@pytest.mark.parametrize(
    ("regex", "hint"),
    [("*.csv", r"glob='\*\.csv'"), ("(", "`re` module"), ("a{1,99999999999}", "`re` module")],
)
def test_an_invalid_expression_is_refused(regex, hint):
    """The hint says what may have been meant."""
    with pytest.raises(UsageError, match=hint):
        Filter.of(regex=regex)


def test_no_filter_takes_all():
    """Any name is meant."""
    assert Filter().takes("any/thing")
