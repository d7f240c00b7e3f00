import json

import pytest

from hyperplane.masking import Masker


def masker_of(secret):
    """Return a masker that knows one secret."""
    masker = Masker()
    masker.add("secret", secret)
    return masker


def test_texts_in_a_json_secret_are_masked_one_by_one():
    """Every JSON text of 8 bytes or more is a secret of its own, at any depth."""
    secret = json.dumps({"user": "ann", "keys": [{"id": "key-number-1"}, "another-key"], "port": 12345678})
    assert masker_of(secret).mask("ann key-number-1 another-key 12345678") == "ann *** *** 12345678"


def test_braces_of_an_indented_json_secret_are_not_masked():
    """The short lines of a JSON document stay, so that other JSON can still be read."""
    secret = json.dumps({"password": "correct horse"}, indent=2)
    assert masker_of(secret).mask('{\n  "other": 1\n}') == '{\n  "other": 1\n}'


@pytest.mark.parametrize("line_end", ["\n", "\\n", "\\r\\n"])
def test_escaped_line_ends_in_json_texts_are_undone(line_end):
    """A key inside JSON is masked line by line, whether its line ends were escaped once or twice."""
    secret = json.dumps({"private_key": line_end.join(["first line", "second line"])})
    assert masker_of(secret).mask("first line\nsecond line") == "***\n***"


@pytest.mark.parametrize(
    "secret", ['{"broken": 1234567890', '[{"ab":' * 5_000, '"just text"', "[1, 2, 3, null]"]
)
def test_what_looks_like_json_is_masked_as_it_is(secret):
    """Broken or endlessly nested JSON, and JSON without texts, is a secret like any other."""
    assert masker_of(secret).mask(f"<{secret}>") == "<***>"


@pytest.mark.parametrize(
    ("url", "password"),
    [
        ("postgres://ann:correct-horse@db/x", "correct-horse"),
        ("postgres://ann:correct%20horse@db/x", "correct horse"),
        ("redis://:correct-horse@db:6379", "correct-horse"),
        ("amqp://ann:correct@horse@mq", "correct@horse"),
        ("amqp://ann:correct/horse@mq", "correct/horse"),
        ("one http://a:b-first-b@h and s3+http://c:d-second-d@h", "d-second-d"),
        (json.dumps({"url": "https://ann:correct-horse@host/path"}), "correct-horse"),
    ],
)
def test_the_password_of_a_url_is_masked_alone(url, password):
    """The password inside a URL is masked where it stands without it, raw and decoded."""
    assert masker_of(url).mask(f"password {password}.") == "password ***."


@pytest.mark.parametrize("url", ["https://host/path@home", "ann:correct-horse@host", "https://ann@host:443/"])
def test_a_url_without_a_password_gives_no_other_secret(url):
    """Only `scheme://user:password@` holds a password."""
    assert (
        masker_of(url).mask("correct-horse host 443 home path ann") == "correct-horse host 443 home path ann"
    )


def test_a_short_password_in_a_url_is_masked_alone_and_said():
    """A password of 4 to 7 bytes is masked where it stands alone, with a warning."""
    masker = masker_of("postgres://ann:s3cr@db/x")
    assert masker.mask("s3cr s3cret") == "*** s3cret"
    assert masker.warnings == (
        "secret 'secret' holds a password that is shorter than 8 bytes: masked only where it stands alone",
    )


def test_spelled_out_line_ends_do_not_make_short_secrets():
    """A backslash-n inside a value does not make common words of its halves."""
    masker = masker_of("pass\\nword")
    assert masker.mask("pass word pass\\nword") == "pass word ***"
    assert masker.warnings == ()
