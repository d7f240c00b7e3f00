"""Secrets that are kept elsewhere: the vault, what is asked over a network, and sources of a user's own."""

import pickle

import pytest

import hyperplane
from hyperplane.environment import Environment, Origin
from hyperplane.errors import SecretNotFoundError, SecretSourceError, VaultError
from hyperplane.facets.secrets import Secrets
from hyperplane.masking import Masker
from hyperplane.secretsources import FoundSecret
from hyperplane.secretsources.mapping import MappedSecrets
from hyperplane.secretsources.vault import NewEntry, Vault

VALUE = "correct-horse-battery"


class Remote:
    """A source that keeps its answers, and notes what it was asked."""

    def __init__(self, **secrets):
        self.secrets = secrets
        self.questions = []
        self._answers = {}

    def find(self, name):
        """Return a secret, from the cache where it is there."""
        self.prefetch([name])
        value = self._answers[name]
        return None if value is None else FoundSecret(value, Origin("remote", name))

    def names(self):
        """Return nothing, as those do that may not list."""
        return ()

    def describe(self, name):
        """Name the secret."""
        return f"remote {name}"

    def prefetch(self, names):
        """Ask for what is not in the cache."""
        asked = [name for name in names if name not in self._answers]
        self.questions += [asked] if asked else []
        self._answers |= {name: self.secrets.get(name) for name in asked}

    def refresh(self):
        """Forget the cache."""
        self._answers.clear()


class Broken(Remote):
    """A source that gives no answer."""

    def prefetch(self, names):
        """Fail as a network does."""
        raise SecretSourceError("remote cannot be reached", hint="Try again.", name=next(iter(names)))

    def names(self):
        """Fail too."""
        raise SecretSourceError("remote cannot be reached")


def secrets_of(*sources, **options):
    """Return secrets from these sources alone, and their masker."""
    masker = Masker()
    return Secrets(sources, masker=masker, **options), masker


@pytest.fixture
def vault(tmp_path):
    """Return the vault of this test's user, with one secret."""
    home = tmp_path / "home"
    made = Vault(home / ".local/share/hyperplane/vault", home / ".config/hyperplane/vault.key")
    made.put([NewEntry("db", VALUE.encode())])
    return made


def test_a_secret_of_the_vault_is_found_and_masked(vault):
    """A context on a laptop asks it last; where it came from can be explained."""
    with hyperplane.JobContext() as ctx:
        assert (VALUE, True) == (ctx.secrets["db"], "db" in ctx.secrets.names())
        row = ctx.explain().as_dict()["secret"]["db"]
        assert f"vault {vault.path}" == row["origin"]
        assert "is ***" == ctx._parts.mask(f"is {VALUE}")


def test_what_the_process_was_given_goes_before_the_vault(vault, monkeypatch):
    """A variable wins, and the vault is named as what it shadows."""
    monkeypatch.setenv("HYPERPLANE_SECRET_db", "from-the-environment")
    with hyperplane.JobContext() as ctx:
        assert "from-the-environment" == ctx.secrets["db"]
        assert [f"vault {vault.path}"] == ctx.explain().as_dict()["secret"]["db"]["shadowed"]


def test_a_vault_that_nobody_needs_is_not_opened(vault):
    """A context whose secrets lie elsewhere works beside a broken vault, and says what it is when asked."""
    vault.path.write_bytes(b"broken")
    with hyperplane.JobContext(secrets={"api": "key-of-the-api"}) as ctx:
        assert ("key-of-the-api", ["api"]) == (
            ctx.secrets["api"],
            list(ctx.explain().as_dict()["secret"]),
        )
        with pytest.raises(VaultError, match="is no vault"):
            ctx.secrets["db"]
        told = ctx.explain().as_dict()["secret"]["db"]["origin"]
        assert f"unreadable vault entry db in {vault.path}" == told


def test_a_source_of_ones_own_goes_before_all_others(vault, monkeypatch):
    """It is an argument, and arguments win."""
    monkeypatch.setenv("HYPERPLANE_SECRET_db", "from-the-environment")
    with hyperplane.JobContext(secrets=Remote(db=b"from-my-source")) as ctx:
        assert "from-my-source" == ctx.secrets["db"]
        shadowed = ctx.explain().as_dict()["secret"]["db"]["shadowed"]
        assert ["environment HYPERPLANE_SECRET_db", f"vault {vault.path}"] == shadowed


def test_a_source_of_ones_own_is_not_pickled():
    """Another process makes its own, as with everything that is injected."""
    with hyperplane.JobContext(secrets=Remote()) as ctx, pytest.raises(TypeError, match="injected secrets"):
        pickle.dumps(ctx)


def test_many_names_are_one_question():
    """`require` asks a source for all names at once that those before it do not have."""
    remote = Remote(b=b"value-of-b", c=b"value-of-c")
    secrets, masker = secrets_of(MappedSecrets({"a": "value-of-a"}), remote)
    with pytest.raises(SecretNotFoundError) as caught:
        secrets.require(["a", "b", "c", "d"])
    assert (("d",), [["b", "c", "d"]]) == (caught.value.names, remote.questions)
    assert "*** *** ***" == masker.mask("value-of-a value-of-b value-of-c")


def test_refresh_asks_anew():
    """A secret that was rotated has its new value from then on, in its file too, and both are masked."""
    remote = Remote(db=b"first-value")
    secrets, masker = secrets_of(MappedSecrets({}), remote)
    before = secrets.path("db")
    remote.secrets["db"] = b"second-value"
    assert ("first-value", before) == (secrets["db"], secrets.path("db"))
    secrets.refresh()
    assert ("second-value", b"second-value", b"first-value") == (
        secrets["db"],
        secrets.path("db").read_bytes(),
        before.read_bytes(),
    )
    assert "*** ***" == masker.mask("first-value second-value")
    secrets.close()


def test_what_nobody_asked_for_is_not_asked_for_to_be_explained():
    """Each question costs, and is noted by who keeps the secrets."""
    remote = Remote(a=b"value-of-a", b=b"value-of-b")
    secrets, _ = secrets_of(MappedSecrets({"a": "mine", "b": "mine-too"}), remote)
    secrets.get("b")
    secrets.get("c")
    secrets.get("nowhere")
    rows = {row.name: (row.origin.kind, [str(one) for one in row.shadowed]) for row in secrets.rows()}
    assert {"a": ("argument", []), "b": ("argument", ["remote b"])} == rows


def test_a_source_without_an_answer_hides_no_other():
    """Names are explained as far as they can be, and who reads one is told."""
    secrets, _ = secrets_of(MappedSecrets({"a": "mine"}), Broken())
    with pytest.raises(SecretSourceError, match="cannot be reached"):
        secrets["b"]
    with pytest.raises(SecretSourceError, match="cannot be reached"):
        secrets.require(["a", "b"])
    rows = {row.name: str(row.origin) for row in secrets.rows()}
    assert {"a": "argument secrets", "b": "unreadable remote b"} == rows


def test_under_the_runner_the_job_file_is_where_to_add_it():
    """Nothing but what stands there is handed to a job."""
    secrets, _ = secrets_of(MappedSecrets({}), environment=Environment({}), is_under_runner=True)
    with pytest.raises(SecretNotFoundError) as caught:
        secrets["db"]
    assert "Add it to `secrets:` of the job file" in caught.value.hint
