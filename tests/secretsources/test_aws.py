"""AWS Secrets Manager and SSM Parameter Store as sources, over HTTP."""

import json
import traceback

import pytest
from awsserver import REGION, AwsServer
from processes import exit_code_of_fork

from hyperplane.awssession import make_session
from hyperplane.environment import Environment, Origin
from hyperplane.errors import SecretSourceError
from hyperplane.masking import Masker
from hyperplane.secretsources import FoundSecret, RemoteSource, look_up, stored_sources
from hyperplane.secretsources.aws import AwsSource, Clients, ParameterStore, SecretsManager
from hyperplane.settings import load

pytestmark = pytest.mark.xdist_group("aws")


@pytest.fixture(scope="module")
def server():
    """Return a server for the tests of this file."""
    started = AwsServer()
    yield started
    started.stop()


@pytest.fixture
def aws(server, monkeypatch):
    """Return the server, empty."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    server.reset()
    return server


class CountingClients(Clients):
    """The real clients, and a note of each call that they make."""

    def __init__(self, variables):
        super().__init__(Environment(variables), Masker())
        self.calls = []

    def client(self, service):
        """Return the client, which tells what it is about to do."""
        client = super().client(service)
        client.meta.events.register("before-call", self._note, unique_id="counting")
        return client

    def _note(self, model, **_event):
        self.calls.append(model.name)


class Clock:
    """A time that passes when a test says so."""

    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    """Return a clock that stands still."""
    return Clock()


@pytest.fixture
def clients(aws):
    """Return clients with all rights."""
    return CountingClients(aws.variables())


@pytest.fixture
def manager(clients, clock):
    """Return Secrets Manager as a source."""
    return AwsSource(SecretsManager(), "prod/", clients, clock=clock)


@pytest.fixture
def store(clients, clock):
    """Return Parameter Store as a source."""
    return AwsSource(ParameterStore(), "/prod/", clients, clock=clock)


def put_parameter(aws, name, value):
    """Store a parameter, encrypted."""
    aws.client("ssm").put_parameter(Name=name, Value=value, Type="SecureString", Overwrite=True)


def error_of(source, name="db"):
    """Return the error that looking for a secret ends with."""
    with pytest.raises(SecretSourceError) as caught:
        source.find(name)
    return caught.value


def test_a_secret_is_found_below_the_prefix(aws, manager):
    """Its value comes back as text or bytes, with the service and the full name as its origin."""
    secrets = aws.client("secretsmanager")
    secrets.create_secret(Name="prod/db", SecretString="öpen sesame\n")
    secrets.create_secret(Name="prod/key", SecretBinary=b"\xff\0")
    secrets.create_secret(Name="db2", SecretString="outside")
    origin = Origin("AWS Secrets Manager", "prod/db")
    assert FoundSecret("öpen sesame\n".encode(), origin) == manager.find("db")
    assert (b"\xff\0", None) == (manager.find("key").value, manager.find("db2"))


def test_a_parameter_is_found_below_the_prefix(aws, store):
    """It comes back decrypted."""
    put_parameter(aws, "/prod/db", "öpen sesame")
    origin = Origin("AWS SSM Parameter Store", "/prod/db")
    assert FoundSecret("öpen sesame".encode(), origin) == store.find("db")
    assert None is store.find("other")


def test_an_older_version_of_a_secret_is_asked_for_by_stage_or_id(aws, manager):
    """Each version is a secret of its own, also in the cache."""
    secrets = aws.client("secretsmanager")
    first = secrets.create_secret(Name="prod/db", SecretString="first")["VersionId"]
    secrets.put_secret_value(SecretId="prod/db", SecretString="second")
    names = ["db", "db:AWSPREVIOUS", "db:AWSCURRENT", f"db:{first}", "db:NOSUCHSTAGE"]
    found = look_up(names, [manager])
    values = {name: secret.value for name, secret in found.items()}
    assert dict(zip(names, [b"second", b"first", b"second", b"first"], strict=False)) == values
    assert Origin("AWS Secrets Manager", "prod/db:AWSPREVIOUS") == found["db:AWSPREVIOUS"].origin


def test_an_older_version_of_a_parameter_is_asked_for_by_number_or_label(aws, store):
    """Each version is a secret of its own, also in the cache."""
    for value in ("first", "second"):
        put_parameter(aws, "/prod/db", value)
    aws.client("ssm").label_parameter_version(Name="/prod/db", ParameterVersion=1, Labels=["old"])
    values = {
        name: secret.value for name, secret in look_up(["db", "db:1", "db:old", "db:9"], [store]).items()
    }
    assert {"db": b"second", "db:1": b"first", "db:old": b"first"} == values


def test_many_secrets_are_read_in_one_call_for_twenty(aws, manager, clients):
    """What is there and what is not comes back from two calls, and is known from then on."""
    secrets = aws.client("secretsmanager")
    for number in range(24):
        secrets.create_secret(Name=f"prod/s{number}", SecretString=f"value-{number}")
    names = [f"s{number}" for number in range(25)]
    found = look_up(names, [manager])
    assert {f"s{number}": f"value-{number}".encode() for number in range(24)} == {
        name: secret.value for name, secret in found.items()
    }
    assert ["BatchGetSecretValue"] * 2 == clients.calls


def test_many_parameters_are_read_in_one_call_for_ten(aws, store, clients):
    """What is there and what is not comes back from three calls."""
    for number in range(21):
        put_parameter(aws, f"/prod/s{number}", f"value-{number}")
    assert 21 == len(look_up([f"s{number}" for number in range(22)], [store]))
    assert ["GetParameters"] * 3 == clients.calls


@pytest.mark.parametrize("kind", ["manager", "store"])
def test_an_answer_is_kept_for_300_seconds(aws, clients, clock, kind, request):
    """A value, and that there is none, are asked for again when they are old, or after `refresh`."""
    source = request.getfixturevalue(kind)
    seen = [source.find("db"), source.find("db")]
    aws.client("secretsmanager").create_secret(Name="prod/db", SecretString="first")
    put_parameter(aws, "/prod/db", "first")
    seen.append(source.find("db"))
    clock.now += 299.9
    seen.append(source.find("db"))
    assert ([None] * 4, 1) == (seen, len(clients.calls))
    clock.now += 0.2
    assert b"first" == source.find("db").value
    aws.client("secretsmanager").put_secret_value(SecretId="prod/db", SecretString="second")
    put_parameter(aws, "/prod/db", "second")
    assert (b"first", 2) == (source.find("db").value, len(clients.calls))
    source.refresh()
    assert (b"second", 3) == (source.find("db").value, len(clients.calls))


@pytest.mark.parametrize("name", ["ß", "with space", "x" * 2000, "a*b"])
@pytest.mark.parametrize("kind", ["manager", "store"])
def test_a_name_that_the_service_does_not_allow_is_not_asked_for(clients, kind, name, request):
    """It would have the whole batch refused."""
    assert (None, []) == (request.getfixturevalue(kind).find(name), clients.calls)


@pytest.mark.parametrize(
    ("service", "prefix", "where", "permission"),
    [
        (SecretsManager(), "prod/", "AWS Secrets Manager (prod/db)", "secretsmanager:GetSecretValue"),
        (ParameterStore(), "/prod/", "AWS SSM Parameter Store (/prod/db)", "ssm:GetParameters"),
    ],
)
def test_a_missing_permission_is_named(aws, service, prefix, where, permission):
    """With the secret and the source, in the message and as data."""
    with aws.denying(permission):
        error = error_of(AwsSource(service, prefix, Clients(Environment(aws.variables()), Masker())))
    assert f"the secret 'db' cannot be read from {where}: {permission} is not allowed" == error.message
    assert f"Allow {permission} for it to who runs the job." == error.hint
    assert ("db", service.title, permission) == (error.name, error.source, error.permission)


def test_many_are_read_one_by_one_where_only_that_is_allowed(aws, clients):
    """Reading in batches is a permission of its own, which older policies lack."""
    for name in ("a", "b"):
        aws.client("secretsmanager").create_secret(Name=name, SecretString=name)
    with aws.denying("secretsmanager:BatchGetSecretValue"):
        found = look_up(["a", "b", "c"], [AwsSource(SecretsManager(), "", clients)])
    assert {"a": b"a", "b": b"b"} == {name: secret.value for name, secret in found.items()}
    assert ["BatchGetSecretValue", *["GetSecretValue"] * 3] == clients.calls


def test_a_batch_that_fails_otherwise_is_an_error(aws, manager):
    """Only a denial has the secrets read one by one."""
    with (
        aws.denying("secretsmanager:BatchGetSecretValue", code="ExpiredTokenException"),
        pytest.raises(SecretSourceError, match=r"ExpiredTokenException\nRenew the credentials"),
    ):
        look_up(["a", "b"], [manager])


@pytest.mark.parametrize("names", [["db"], ["db", "other"]])
def test_a_secret_that_is_being_deleted_is_an_error(aws, manager, names):
    """It is neither there nor gone: what the service says is told, alone or in a batch."""
    secrets = aws.client("secretsmanager")
    secrets.create_secret(Name="prod/db", SecretString="x")
    secrets.delete_secret(SecretId="prod/db")
    with pytest.raises(SecretSourceError) as caught:
        look_up(names, [manager])
    assert (
        "the secret 'db' cannot be read from AWS Secrets Manager (prod/db): InvalidRequestException",
        "db",
        "",
    ) == (caught.value.message, caught.value.name, caught.value.permission)


@pytest.mark.parametrize(
    ("code", "message", "reason", "hint"),
    [
        ("AccessDeniedException", "Access to KMS is not allowed", "kms:Decrypt is not allowed", "Allow kms:"),
        ("AccessDeniedException", "no", "secretsmanager:GetSecretValue is not allowed", "Allow secretsm"),
        (
            "AccessDeniedException",
            "User x is not authorized to perform: kms:Decrypt on resource y",
            "kms:Decrypt is not allowed",
            "Allow kms:Decrypt",
        ),
        ("ExpiredTokenException", "The security token expired", "ExpiredTokenException", "Renew the cred"),
    ],
)
def test_what_the_service_says_becomes_what_to_do(aws, manager, code, message, reason, hint):
    """Which permission is missing is read from the answer, of which nothing is quoted."""
    with aws.denying("secretsmanager:GetSecretValue", code=code, message=message):
        error = error_of(manager, "db:AWSPREVIOUS")
    assert error.message.endswith(f" (prod/db:AWSPREVIOUS): {reason}")
    assert error.hint.startswith(hint)


def test_without_credentials_it_says_so(aws, monkeypatch):
    """The hint names the ways to get them."""
    variables = {"AWS_REGION": REGION, "AWS_ENDPOINT_URL": aws.url}
    error = error_of(AwsSource(SecretsManager(), "", Clients(Environment(variables), Masker())))
    assert error.message.endswith("(db): there are no credentials")
    assert "aws sso login" in error.hint


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"AWS_REGION": ""}, "no region is named"),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_PROFILE": "nobody"}, "there is no such profile"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "EndpointConnectionError"),
        ({"AWS_ENDPOINT_URL_SECRETSMANAGER": "http://127.0.0.1:9"}, "EndpointConnectionError"),
    ],
)
def test_what_boto3_cannot_do_is_told(aws, change, reason):
    """A region, a profile or a server that is not there is an error of ours."""
    environment = Environment({**aws.variables(), **change})
    assert error_of(AwsSource(SecretsManager(), "", Clients(environment, Masker()))).message.endswith(reason)


@pytest.mark.parametrize("code", ["AccessDeniedException", "ThrottlingException"])
def test_no_error_holds_credentials(aws, code):
    """Not even a traceback that shows the variables of every frame, with what led to the error."""
    with aws.denying("secretsmanager:GetSecretValue", code=code):
        error = error_of(AwsSource(SecretsManager(), "", Clients(Environment(aws.variables()), Masker())))
    error = error.with_traceback(error.__traceback__.tb_next.tb_next)  # our own frames know the key
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    assert (None, None) == (error.__context__, error.__cause__)
    assert "key-of-the-tests" not in "".join(shown.format())


def test_credentials_of_a_profile_are_masked(aws, tmp_path):
    """What boto3 finds by itself is known to the masker before it is used."""
    folder = tmp_path / "home" / ".aws"
    folder.mkdir(parents=True)
    (folder / "credentials").write_text(
        "[ada]\naws_access_key_id=AKIAADA\naws_secret_access_key=key-of-ada-lovelace\n"
        "aws_session_token=token-of-ada-lovelace\n"
    )
    variables = {"AWS_PROFILE": "ada", "AWS_REGION": REGION, "AWS_ENDPOINT_URL": aws.url}
    masker = Masker()
    AwsSource(SecretsManager(), "", Clients(Environment(variables), masker)).find("db")
    assert "*** *** AKIAADA" == masker.mask("key-of-ada-lovelace token-of-ada-lovelace AKIAADA")


@pytest.mark.parametrize(
    ("process", "file", "expected"),
    [
        ({}, {"AWS_ACCESS_KEY_ID": "F", "AWS_SECRET_ACCESS_KEY": "f"}, ("F", "f", None)),
        (
            {"AWS_ACCESS_KEY_ID": "P", "AWS_SECRET_ACCESS_KEY": "p"},
            {"AWS_ACCESS_KEY_ID": "F", "AWS_SECRET_ACCESS_KEY": "f", "AWS_SESSION_TOKEN": "t"},
            ("P", "p", None),
        ),
        (
            {"AWS_PROFILE": "ada"},
            {"AWS_ACCESS_KEY_ID": "F", "AWS_SECRET_ACCESS_KEY": "f"},
            ("AKIAADA", "key-of-ada", None),
        ),
        ({"AWS_DEFAULT_REGION": "r"}, {"AWS_PROFILE": "ada"}, ("AKIAADA", "key-of-ada", None)),
    ],
)
def test_keys_come_whole_from_the_outermost_layer_that_has_any(tmp_path, process, file, expected):
    """The key of one layer never meets the token of another, and a profile counts like a key."""
    folder = tmp_path / "home" / ".aws"
    folder.mkdir(parents=True)
    (folder / "credentials").write_text(
        "[ada]\naws_access_key_id=AKIAADA\naws_secret_access_key=key-of-ada\n"
    )
    env_file = tmp_path / ".env"
    env_file.write_text("".join(f"{name}={value}\n" for name, value in file.items()))
    made = make_session(Environment(process, env_file=env_file))
    keys = made.get_credentials().get_frozen_credentials()
    assert (*expected, process.get("AWS_DEFAULT_REGION")) == (
        keys.access_key,
        keys.secret_key,
        keys.token,
        made.region_name,
    )


@pytest.mark.parametrize(
    ("variables", "described"),
    [
        ({}, []),
        ({"HYPERPLANE_SECRETS_MANAGER_PREFIX": "p/"}, ["AWS Secrets Manager p/db"]),
        ({"HYPERPLANE_SSM_PREFIX": ""}, ["AWS SSM Parameter Store db"]),
        (
            {"HYPERPLANE_SSM_PREFIX": "/p/", "HYPERPLANE_SECRETS_MANAGER_PREFIX": "", "HOME": "/h"},
            [
                "vault entry db in /h/.local/share/hyperplane/vault/secrets.vault",
                "AWS Secrets Manager db",
                "AWS SSM Parameter Store /p/db",
            ],
        ),
    ],
)
def test_settings_say_which_are_asked_and_in_which_order(variables, described):
    """The vault first, then Secrets Manager, then Parameter Store; nothing is loaded or asked before."""
    environment = Environment(variables)
    sources = stored_sources(environment, load(environment), Masker())
    assert described == [source.describe("db") for source in sources]
    remote = [source for source in sources if isinstance(source, RemoteSource)]
    assert [()] * len(remote) == [source.names() for source in remote]


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_has_connections_of_its_own(aws, manager, clients):
    """Parent and child ask at once, and each gets its own answer."""
    aws.client("secretsmanager").create_secret(Name="prod/db", SecretString="open sesame")
    aws.client("secretsmanager").create_secret(Name="prod/api", SecretString="key of the api")
    before = clients.client("secretsmanager")
    assert b"open sesame" == manager.find("db").value
    assert 0 == exit_code_of_fork(
        lambda: (
            clients.client("secretsmanager") is not before and manager.find("api").value == b"key of the api"
        )
    )
    assert (before, b"key of the api") == (clients.client("secretsmanager"), manager.find("api").value)


def test_the_repr_shows_where_it_looks(manager):
    """And nothing of what it has found."""
    assert "<AwsSource AWS Secrets Manager 'prod/'>" == repr(manager)


def test_a_secret_in_json_is_given_as_it_is(aws, manager):
    """What the console stores as pairs is a JSON document, for `ctx.secrets.json`."""
    document = json.dumps({"user": "ada", "password": "open sesame"})
    aws.client("secretsmanager").create_secret(Name="prod/db", SecretString=document)
    assert document.encode() == manager.find("db").value
