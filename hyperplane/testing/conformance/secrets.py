"""How `ctx.secrets` behaves."""

import stat
from collections.abc import Callable
from typing import Any

import pytest

import hyperplane
from hyperplane.context import JobContext

MakeContext = Callable[..., JobContext[Any]]
SECRETS = {"db_password": "sesame-opens-it", "login": '{"user": "ada"}', "blob": b"\xff\x00\xfe-bytes"}


class SecretsConformance:
    """Fixture `make_context`: returns a context made with the keywords that it is given."""

    def test_a_secret_is_text(self, make_context: MakeContext) -> None:
        """A secret is read by its name."""
        assert make_context(secrets=SECRETS).secrets["db_password"] == "sesame-opens-it"

    def test_a_variable_is_a_secret(self, make_context: MakeContext) -> None:
        """`HYPERPLANE_SECRET_<name>` of the environment is a secret."""
        context = make_context(environ={"HYPERPLANE_SECRET_token": "from-the-environment"})
        assert context.secrets["token"] == "from-the-environment"

    def test_what_was_given_comes_first(self, make_context: MakeContext) -> None:
        """A secret of the mapping hides one of the environment."""
        environ = {"HYPERPLANE_SECRET_db_password": "from-the-environment"}
        assert make_context(secrets=SECRETS, environ=environ).secrets["db_password"] == "sesame-opens-it"

    def test_a_missing_one_is_an_error_with_advice(self, make_context: MakeContext) -> None:
        """The error is a KeyError that names the nearest secret."""
        with pytest.raises(hyperplane.SecretNotFoundError, match="Did you mean 'db_password'") as caught:
            make_context(secrets=SECRETS).secrets["db_pasword"]
        assert isinstance(caught.value, KeyError)

    def test_a_missing_one_has_a_default(self, make_context: MakeContext) -> None:
        """`get` gives None or the default."""
        secrets = make_context(secrets=SECRETS).secrets
        assert (secrets.get("absent"), secrets.get("absent", "default")) == (None, "default")

    def test_presence_can_be_asked(self, make_context: MakeContext) -> None:
        """`in` says whether there is one; what is no name is not there."""
        secrets = make_context(secrets=SECRETS).secrets
        assert ["login" in secrets, "absent" in secrets, "../login" in secrets] == [True, False, False]

    @pytest.mark.parametrize("name", ["", "../x", "a/b", "..data", "x" * 300])
    def test_what_is_no_name_is_refused(self, make_context: MakeContext, name: str) -> None:
        """A name that no source could hold is an error of its own."""
        with pytest.raises(hyperplane.SecretNameError):
            make_context(secrets=SECRETS).secrets[name]

    def test_bytes_are_as_stored(self, make_context: MakeContext) -> None:
        """`bytes` gives what is no text."""
        assert make_context(secrets=SECRETS).secrets.bytes("blob") == SECRETS["blob"]

    def test_bytes_are_no_text(self, make_context: MakeContext) -> None:
        """Reading them as text is an error that does not show them."""
        with pytest.raises(hyperplane.SecretValueError) as caught:
            make_context(secrets=SECRETS).secrets["blob"]
        assert "-bytes" not in str(caught.value)

    def test_json_is_parsed(self, make_context: MakeContext) -> None:
        """`json` gives the parsed document."""
        assert make_context(secrets=SECRETS).secrets.json("login") == {"user": "ada"}

    def test_what_is_no_json_is_an_error(self, make_context: MakeContext) -> None:
        """The error does not show the value."""
        with pytest.raises(hyperplane.SecretValueError) as caught:
            make_context(secrets=SECRETS).secrets.json("db_password")
        assert "sesame-opens-it" not in str(caught.value)

    def test_a_secret_has_a_file_for_this_user_alone(self, make_context: MakeContext) -> None:
        """`path` gives a file with mode 0600 that holds the secret."""
        with make_context(secrets=SECRETS) as context:
            path = context.secrets.path("db_password")
            assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("sesame-opens-it", 0o600)

    def test_the_file_goes_with_the_context(self, make_context: MakeContext) -> None:
        """After the block nothing is left to read."""
        with make_context(secrets=SECRETS) as context:
            path = context.secrets.path("db_password")
        assert not path.exists()

    def test_names_are_listed_and_values_are_not(self, make_context: MakeContext) -> None:
        """`names()` lists the names; no loop gets at the values."""
        secrets = make_context(secrets=SECRETS).secrets
        with pytest.raises(TypeError):
            list(secrets)  # type: ignore[call-overload]  # that is the point
        assert secrets.names() == sorted(SECRETS)

    def test_required_ones_are_named_at_once(self, make_context: MakeContext) -> None:
        """`require_secrets` names every missing one in one error, as the context is made."""
        with pytest.raises(hyperplane.SecretNotFoundError) as caught:
            make_context(secrets=SECRETS, require_secrets=["login", "absent", "missing"])
        assert caught.value.names == ("absent", "missing")

    def test_no_value_is_shown(self, make_context: MakeContext) -> None:
        """Neither `repr` nor `explain` shows the value of a secret, only its name."""
        context = make_context(secrets=SECRETS, params={"url": "https://u:sesame-opens-it@host"})
        shown = f"{context!r} {context.secrets!r} {context.explain()} {context.explain().as_dict()}"
        assert ("sesame-opens-it" in shown, "db_password" in shown) == (False, True)
