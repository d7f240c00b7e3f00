"""Words of `main` that would mean something to a shell, which there is none of."""

from pathlib import Path

import pytest

from hyperplane.errors import JobFileError
from hyperplane.runs import jobfile


def read(main):
    """Return the job file with this `main`, in a block so that YAML changes nothing of it."""
    Path("job.yaml").write_text(f"main: |-\n  {main}\n")
    return jobfile.read(Path("job.yaml"))


@pytest.mark.parametrize("operator", ["&&", "||", "|", ";", "&", ">", "<", ">>", "2>&1"])
def test_operator_of_a_shell_is_refused(operator):
    """The command would be given it as a word, and the hint says how to have a shell."""
    with pytest.raises(JobFileError, match=r"job\.yaml, line 1: main has a ") as caught:
        read(f'true "a b" {operator} false')
    assert caught.value.hint.startswith('Write `main: sh -c "..."`')
    assert f" {operator}, and no shell runs it" in caught.value.message


@pytest.mark.parametrize(
    ("main", "words"),
    [
        ("grep '|' \"&&\" \\; x", ("grep", "|", "&&", ";", "x")),
        ('sh -c "a && b | c"', ("sh", "-c", "a && b | c")),
        (r'sh -c "a \" && b"', ("sh", "-c", 'a " && b')),
        ("a 'b'\" ; \"c>", ("a", "b ; c>")),
        ("pip install >=1 a;b", ("pip", "install", ">=1", "a;b")),
    ],
)
def test_word_that_is_quoted_or_only_holds_an_operator_is_a_word(main, words):
    """What was typed for the command reaches it."""
    assert words == read(main).main
