"""Explanations: a table and data of where values came from, without the values of secrets."""

import json

import pytest

from hyperplane.environment import Environment, Origin
from hyperplane.explain import Explanation, Row, setting_rows
from hyperplane.masking import Masker
from hyperplane.settings import JobSettings, load

ENVIRONMENT = Origin("environment", "HYPERPLANE_JOB_ID")
ROWS = (
    Row("setting", "job_id", "nightly", ENVIRONMENT, (Origin("platform", "JOB"), Origin("default"))),
    Row("setting", "home", None, Origin("default")),
    Row("parameter", "url", "postgres://ada:open-sesame@db/", Origin("argument", "url")),
    Row("secret", "db", None, Origin("file", "/run/secrets/db")),
)


@pytest.fixture
def masker():
    """Give a masker that knows one secret."""
    masker = Masker()
    masker.add("db", "open-sesame")
    return masker


def test_an_explanation_is_an_aligned_table():
    """Columns are as wide as their widest cell, and no line ends in blanks."""
    expected = """\
kind       name    value                           from                           shadowed
setting    job_id  nightly                         environment HYPERPLANE_JOB_ID  platform JOB, default
setting    home                                    default
parameter  url     postgres://ada:open-sesame@db/  argument url
secret     db      ***                             file /run/secrets/db"""

    assert expected.splitlines() == str(Explanation(ROWS)).splitlines()


def test_nothing_declared_is_a_table_of_its_header():
    """Without rows, the names of the columns remain."""
    assert "kind  name  value  from  shadowed" == str(Explanation(()))


def test_a_value_that_is_a_secret_is_masked_in_the_table(masker):
    """A secret inside of another value does not show."""
    assert "postgres://ada:***@db/" in str(Explanation(ROWS).masked(masker))


def test_a_value_that_is_a_secret_is_masked_in_the_data(masker):
    """The data holds no secret, whatever they stand in."""
    assert "open-sesame" not in json.dumps(Explanation(ROWS).masked(masker).as_dict())


def test_masking_changes_nothing_else(masker):
    """Rows without a secret, and those without a value, stay as they are."""
    first, second, _, last = Explanation(ROWS).masked(masker).rows

    assert (ROWS[0], ROWS[1], ROWS[3]) == (first, second, last)


def test_the_data_is_sorted_by_kind_and_name():
    """Kind leads to name, and name to value, origin and what was shadowed."""
    expected = {
        "setting": {
            "job_id": {
                "value": "nightly",
                "origin": "environment HYPERPLANE_JOB_ID",
                "shadowed": ["platform JOB", "default"],
            },
            "home": {"value": None, "origin": "default", "shadowed": []},
        },
        "secret": {"db": {"value": None, "origin": "file /run/secrets/db", "shadowed": []}},
    }

    assert expected == Explanation((ROWS[0], ROWS[1], ROWS[3])).as_dict()


@pytest.mark.parametrize("text", ["a\nb", "\x1b[31mred", "a\r\nb", "\x9b31m", "a\tb"])
def test_a_value_cannot_break_the_table(text):
    """Line ends and terminal escapes are shown as Python would write them."""
    table = str(
        Explanation((Row("parameter", text, text, Origin("argument", text), (Origin("default", text),)),))
    )

    assert (2, True) == (len(table.splitlines()), all(line.isprintable() for line in table.splitlines()))


def test_every_setting_has_a_row():
    """Settings are listed in their order, set or not, each with where its value came from."""
    rows = setting_rows(load(Environment({})))

    assert [("setting", name, Origin("default"), ()) for name in JobSettings.model_fields] == [
        (row.kind, row.name, row.origin, row.shadowed) for row in rows
    ]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("ATTEMPT", "3", "3"),
        ("JOB_NAME", "nightly", "nightly"),
        ("SECRET_ENV", "A, B", "A,B"),
        ("SECRET_ENV", "", None),
        ("OUTPUT_URL", "none", None),
    ],
)
def test_a_row_shows_a_setting_as_text(name, value, expected):
    """Numbers and lists are shown as they would be set, and nothing as nothing."""
    rows = {row.name: row for row in setting_rows(load(Environment({f"HYPERPLANE_{name}": value})))}

    row = rows[name.lower()]
    assert (expected, Origin("environment", f"HYPERPLANE_{name}")) == (row.value, row.origin)
