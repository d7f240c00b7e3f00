import os
import subprocess
import sys
import threading
from collections import OrderedDict
from enum import StrEnum
from typing import NamedTuple

import pytest

from hyperplane.masking import Masker, is_secret_name
from hyperplane.masking.records import CYCLE, TOO_DEEP


class Point(NamedTuple):
    name: str
    size: int


class Colour(StrEnum):
    RED = "red"


@pytest.fixture
def masker():
    """Return a masker with a long, a short and an unmaskable secret."""
    made = Masker()
    made.add_all({"db_password": "correct horse", "pin": "pin1", "flag": "true"})
    return made


def test_a_secret_is_masked_as_soon_as_it_is_added():
    """Whatever was masked before, a value is masked from the call on that added it."""
    masker = Masker()
    assert masker.mask("correct horse, battery staple") == "correct horse, battery staple"
    masker.add("one", "correct horse")
    assert masker.mask("correct horse, battery staple") == "***, battery staple"
    masker.add("two", b"battery staple")
    assert masker.mask("correct horse, battery staple") == "***, ***"


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("", "is shorter than 4 bytes: not masked"),
        ("x", "is shorter than 4 bytes: not masked"),
        (" abc \n", "is shorter than 4 bytes: not masked"),
        ("true", "is a common word or a short number: not masked"),
        ("NULL", "is a common word or a short number: not masked"),
        ("yes", "is shorter than 4 bytes: not masked"),
        ("12345", "is a common word or a short number: not masked"),
        ("123456", "is shorter than 8 bytes: masked only where it stands alone"),
        ("abcd", "is shorter than 8 bytes: masked only where it stands alone"),
        ("abcde\nfghij", "is shorter than 8 bytes: masked only where it stands alone"),
        ("longusername1\nhunt2er", "has lines shorter than 8 bytes: masked only where they stand alone"),
    ],
)
def test_weak_secrets_are_named_in_a_warning(value, problem):
    """A secret that is not masked everywhere is said to be so, by its name."""
    masker = Masker()
    masker.add("weak", value)
    assert masker.warnings == (f"secret 'weak' {problem}",)


@pytest.mark.parametrize("value", ["", "x", " abc \n", "true", "12345", "no"])
def test_values_that_would_destroy_the_log_are_not_masked(value):
    """Empty, very short and common values leave every text as it is."""
    masker = Masker()
    masker.add("weak", value)
    assert masker.mask(f"a {value} b 12345 true no x") == f"a {value} b 12345 true no x"
    assert masker.contains_secret(value) is False


def test_short_lines_of_a_secret_are_masked_alone(masker):
    """A value of several short lines is masked line by line, where a line stands alone."""
    masker.add("codes", "abcde\nfghij")
    assert masker.mask("abcde fghij abcdefghij") == "*** *** abcdefghij"


def test_short_lines_beside_long_ones_are_masked_alone(masker):
    """A password below a long user name is masked as a short secret is."""
    masker.add("login", "longusername1\nhunt2er\nno\ntrue")
    text = "longusername1 hunt2er xhunt2er no true"
    assert masker.mask(text) == "*** *** xhunt2er no true"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pin1", "***"),
        ("pin1,pin1", "***,***"),
        ("pin12 xpin1 _pin1", "pin12 xpin1 _pin1"),
        ("épin1é", "é***é"),
        ("\x1b[1mpin1\x1b[0m", "\x1b[1m***\x1b[0m"),
    ],
)
def test_short_secrets_are_masked_at_word_boundaries(masker, text, expected):
    """A secret of 4 to 7 bytes is masked where no letter, digit or underscore touches it."""
    assert masker.mask(text) == expected


def test_short_secrets_that_end_in_other_characters_are_found_within_words():
    """Where a short secret ends in punctuation, every neighbour is a boundary."""
    masker = Masker()
    masker.add("pin", "$pi!")
    assert masker.mask("x$pi!x") == "x***x"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("correct\x1b[0m ho\x1b]8;;u\x07rse", "***"),
        ("\x1b]0;correct horse\x07", "\x1b]0;***\x07"),
        ("correct\x9b1m horse", "***"),
    ],
)
def test_terminal_escapes_do_not_hide_a_secret(masker, text, expected):
    """A secret is found with escapes in it, and in them."""
    assert masker.mask(text) == expected


@pytest.mark.parametrize("start", ["\x1b", "\x1b["])
@pytest.mark.parametrize("inside", ["\x1b[0m", "\x1b[m", "\x1b[K", "\x1b]8;;u\x1b\\", "\x1b(B"])
@pytest.mark.parametrize("secret", ["sup3rsecretvalue42Q", "Passw0rd-for-all"])
def test_an_unfinished_escape_before_a_secret_does_not_hide_it(start, inside, secret):
    """Where an escape would take the first letter of a secret, it is found with escapes in it as well."""
    masker = Masker()
    masker.add("secret", secret)
    text = f"x {start}{secret[:5]}{inside}{secret[5:]} y"
    assert masker.mask(text) == f"x {start}*** y"


def test_escapes_of_any_length_do_not_make_a_secret_of_distant_texts(masker):
    """Texts with more than 4,096 bytes of escapes between them are not read as one."""
    text = "correct" + "\x1b[m" * 1400 + " horse"
    assert masker.mask(text) is text


def test_a_single_byte_control_in_a_secret_does_not_hide_it(masker):
    """An 8-bit control is seen as one where it is no part of a character."""
    assert masker.mask_bytes(b"correct\x9b1m horse \xe9") == b"*** \xe9"


def test_text_without_secrets_is_given_back_itself(masker):
    """Nothing is copied where nothing is masked."""
    text, data = "nothing to see", b"nothing to see"
    assert masker.mask(text) is text
    assert masker.mask_bytes(data) is data


def test_half_a_character_beside_a_mask_stays_text():
    """Where a match begins or ends within a character, what is left can still be written."""
    masker = Masker()
    masker.add("blob", b"\xa9correct horse\xc3")
    masker.mask("écorrect horseé").encode()
    assert masker.mask("écorrect horseé") == "\ufffd***\ufffd"


@pytest.mark.parametrize("surrogate", [chr(0xDCFF), chr(0xD800), chr(0xDFFF)], ids=["byte", "high", "low"])
def test_surrogates_neither_fail_nor_hide_a_secret(masker, surrogate):
    """Text that is no UTF-8 is masked, and stays what it was otherwise."""
    text = f"{surrogate}correct horse{surrogate}"
    assert masker.mask(text) == f"{surrogate}***{surrogate}"
    assert masker.contains_secret(text) is True


def test_a_secret_with_a_surrogate_is_masked_around_it():
    """A value that no UTF-8 text can hold is masked in the parts that it can."""
    masker = Masker()
    masker.add("odd", "correct horse\ud800battery staple")
    assert masker.mask("correct horse, battery staple") == "***, ***"


def test_names_are_shown_and_values_never(masker):
    """The names of the secrets are known in order; no public text holds a value."""
    assert masker.names == ("db_password", "pin", "flag")
    shown = f"{masker!r} {masker} {masker.warnings}"
    assert not any(value in shown for value in ("correct horse", "pin1", "true"))
    assert repr(masker).startswith("<Masker: 3 secrets, ")


def test_a_value_known_under_another_name_is_warned_about_again(masker):
    """Both names of a weak value are named, and its patterns are not made twice."""
    before = masker.automaton
    masker.add_all([("other", "pin1"), ("again", "correct horse")])
    assert "secret 'other' is shorter than 8 bytes: masked only where it stands alone" in masker.warnings
    assert masker.names == ("db_password", "pin", "flag", "other", "again")
    assert masker.automaton is before


def test_names_of_outputs_with_a_secret_are_found(masker):
    """A name that holds a secret, short ones included, can be told from one that does not."""
    assert [masker.contains_secret(name) for name in ("a/correct horse.txt", b"pin1.csv", "pin12.csv")] == [
        True,
        True,
        False,
    ]


def test_records_are_masked_leaf_by_leaf(masker):
    """Texts, bytes and keys are masked at every depth; other leaves and all types stay."""
    record = {
        "correct horse": ["correct horse", 12345678, None, b"pin1"],
        "point": Point("pin1", 3),
        ("pin1", 1): {"correct horse"},
        "frozen": frozenset({"pin1"}),
        "plain": OrderedDict(colour=Colour.RED),
    }
    assert masker.mask_record(record) == {
        "***": ["***", 12345678, None, b"***"],
        "point": Point("***", 3),
        ("***", 1): {"***"},
        "frozen": frozenset({"***"}),
        "plain": {"colour": Colour.RED},
    }


def test_keys_that_become_one_stay_apart(masker):
    """Two keys that are masked alike keep both their values."""
    assert masker.mask_record({"pin1": 1, "correct horse": 2}) == {"***": 1, "****": 2}


def test_a_record_that_contains_itself_ends_in_a_marker(masker):
    """A cycle is cut where it closes."""
    record = {"secret": "pin1"}
    record["self"] = [record]
    assert masker.mask_record(record) == {"secret": "***", "self": [CYCLE]}


def test_a_deep_record_ends_in_a_marker(masker):
    """What is nested 100,000 levels deep is cut, and no recursion error."""
    record = "pin1"
    for _ in range(100_000):
        record = [record]
    masked = masker.mask_record(record)
    depth = 0
    while isinstance(masked, list):
        masked, depth = masked[0], depth + 1
    assert (masked, depth) == (TOO_DEEP, 64)


def test_shared_parts_of_a_record_are_masked_once(masker):
    """A record whose parts refer to each other many times takes no exponential time."""
    record = ["pin1"]
    for _ in range(50):
        record = [record, record]
    masked = masker.mask_record(record)
    assert masked[0] is masked[1]


@pytest.mark.parametrize(
    ("variable", "is_secret"),
    [
        ("GITHUB_TOKEN", True),
        ("pgpassword", True),
        ("MYSQL_PASSWD", True),
        ("CLIENT_SECRET_1", True),
        ("WANDB_API_KEY", True),
        ("SSH_PRIVATE_KEY", True),
        ("HOME", False),
        ("AWS_ACCESS_KEY_ID", False),
    ],
)
def test_variables_that_are_secrets_are_known_by_their_names(variable, is_secret):
    """A variable's name says whether its value counts as a secret."""
    assert is_secret_name(variable) is is_secret


def test_secrets_can_be_added_and_masked_in_many_threads():
    """Every thread finds its own secret masked right after adding it."""
    masker = Masker()
    leaks = []

    def work(number):
        for step in range(20):
            secret = f"secret-{number}-{step}-value"
            masker.add(secret, secret)
            if masker.mask(secret) != "***":
                leaks.append(secret)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert leaks == []
    assert len(masker.names) == 80


def test_a_forked_child_masks_though_another_thread_held_the_lock():
    """A child forked while a secret is being added can add and mask its own."""
    masker = Masker()
    masker.add("one", "correct horse")
    script = threading.Event(), threading.Event()

    def hold():
        with masker._lock:
            script[0].set()
            script[1].wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    script[0].wait(10)
    child = os.fork()
    if child == 0:  # pragma: no cover - measured in the parent only
        masker.add("two", "battery staple")
        os._exit(0 if masker.mask("correct horse battery staple") == "*** ***" else 1)
    script[1].set()
    thread.join()
    assert os.waitpid(child, 0)[1] == 0


def test_importing_loads_no_automaton_before_it_is_needed():
    """A process that knows a secret and writes nothing does not load the matching library."""
    code = (
        "import sys; from hyperplane.masking import Masker\n"
        "masker = Masker(); masker.mask('x'); masker.add('a', 'correct horse')\n"
        "print([name for name in ('ahocorasick_rs', 'pydantic', 'structlog') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
