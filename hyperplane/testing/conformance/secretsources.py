"""How every source of secrets behaves, a user's own too."""

import unicodedata
from collections.abc import Callable, Mapping

import pytest

from hyperplane.secretsources import SecretSource

SECRETS = {"db_password": b"sesame-opens-it", "api.key-2": b"key-of-the-api-2"}
MakeSource = Callable[[Mapping[str, bytes]], SecretSource]


class SecretSourceConformance:
    """Fixture `make_source`: given a mapping from names to values, returns a source that has just those."""

    def test_what_it_has_is_found_by_name(self, make_source: MakeSource) -> None:
        """Every secret is found with its own value."""
        source = make_source(SECRETS)
        found = {name: secret.value for name in SECRETS if (secret := source.find(name)) is not None}
        assert found == SECRETS

    def test_what_it_has_not_is_none(self, make_source: MakeSource) -> None:
        """A name that is not there is None, for the next source to be asked."""
        assert make_source(SECRETS).find("db_passwort") is None

    def test_an_empty_source_has_nothing(self, make_source: MakeSource) -> None:
        """A source without secrets can be asked, and lists none."""
        source = make_source({})
        assert (source.find("db_password"), list(source.names())) == (None, [])

    def test_names_are_matched_by_case(self, make_source: MakeSource) -> None:
        """A name in other letters is another name."""
        assert make_source(SECRETS).find("DB_PASSWORD") is None

    def test_it_lists_all_names_or_none(self, make_source: MakeSource) -> None:
        """A source that can list its secrets lists all of them, each once."""
        names = list(make_source(SECRETS).names())
        assert sorted(names) in ([], sorted(SECRETS))

    def test_a_name_is_found_in_its_composed_form(self, make_source: MakeSource) -> None:
        """A secret that was stored under a decomposed name (NFD) is found under the composed one (NFC)."""
        name = "clé"
        source = make_source({unicodedata.normalize("NFD", name): b"composed-or-not"})
        found = source.find(unicodedata.normalize("NFC", name))
        assert found is not None
        assert found.value == b"composed-or-not"

    @pytest.mark.parametrize(
        "value", [b"", b"two\nlines", "süß".encode(), b"\xff\xfe bytes that are no text", b" spaces "]
    )
    def test_a_value_comes_back_byte_for_byte(self, make_source: MakeSource, value: bytes) -> None:
        """Nothing is stripped, decoded or replaced."""
        found = make_source({"name": value}).find("name")
        assert found is not None
        assert found.value == value

    def test_asking_again_gives_the_same(self, make_source: MakeSource) -> None:
        """Reading a secret does not use it up."""
        source = make_source(SECRETS)
        assert source.find("db_password") == source.find("db_password")

    def test_it_says_where_a_secret_would_be(self, make_source: MakeSource) -> None:
        """The words for an error name the secret, whether it is there or not."""
        source = make_source(SECRETS)
        assert [name in source.describe(name) for name in ("db_password", "absent")] == [True, True]

    def test_it_shows_no_value(self, make_source: MakeSource) -> None:
        """No value stands in what is printed by accident or in an error."""
        source = make_source(SECRETS)
        found = source.find("db_password")
        shown = f"{source!r} {found!r} {source.describe('db_password')}"
        assert "sesame-opens-it" not in shown
