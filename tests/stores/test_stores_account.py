"""Which account is asked: from settings, secrets, AWS's variables and files, and nothing else."""

from pathlib import Path

import boto3
import pytest

from hyperplane import settings
from hyperplane.environment import Environment
from hyperplane.errors import CredentialsError, SettingsError, UsageError
from hyperplane.stores.account import make_client
from hyperplane.stores.buckets import AccountBuckets
from hyperplane.stores.location import Location
from hyperplane.stores.s3 import S3Store

KEYS = {"AWS_ACCESS_KEY_ID": "env-id", "AWS_SECRET_ACCESS_KEY": "env-secret"}
TRIPLET = {"s3_access_key_id": "given-id\n", "s3_access_key_secret": "given-secret\n"}


@pytest.fixture
def learned():
    """Give the secrets that have been made known."""
    return {}


@pytest.fixture
def buckets_of(learned, tmp_path):
    """Give a function that makes the buckets of some variables and secrets; no real files are looked at."""

    def make(variables=None, secrets=None, **options):
        told = {
            "AWS_CONFIG_FILE": str(tmp_path / "config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
            "AWS_EC2_METADATA_DISABLED": "true",
            **(variables or {}),
        }
        environment = Environment(told, folder=tmp_path, **options)
        return AccountBuckets.of(
            environment, settings.load(environment), secret=(secrets or {}).get, learn=learned.__setitem__
        )

    return make


def keys_of(buckets):
    """Return what requests are signed with."""
    found = buckets.account.credentials.get()
    return found.access_key_id, found.secret_access_key, found.session_token


def test_the_secrets_come_first(buckets_of):
    """AWS's own variables and files are not looked at then, and a final line end is no part of a secret."""
    assert ("given-id", "given-secret", None) == keys_of(buckets_of(KEYS, TRIPLET))
    assert "tok" == keys_of(buckets_of({}, {**TRIPLET, "s3_session_token": "tok\n"}))[2]


def test_half_of_the_secrets_is_an_error(buckets_of):
    """It names what is missing, and how to set it."""
    with pytest.raises(
        CredentialsError, match=r"(?s)s3_access_key_secret.*HYPERPLANE_SECRET_s3_access"
    ) as caught:
        keys_of(buckets_of(KEYS, {"s3_access_key_id": "hidden"}))
    with pytest.raises(CredentialsError, match="no secret s3_access_key_id"):
        keys_of(buckets_of(KEYS, {"s3_access_key_secret": "hidden"}))

    assert "hidden" not in str(vars(caught.value).values())


def test_variables_come_next(buckets_of, learned):
    """And their secrets are made known before anybody gets them."""
    assert ("env-id", "env-secret", "env-token") == keys_of(
        buckets_of({**KEYS, "AWS_SESSION_TOKEN": "env-token"})
    )
    assert {"AWS_SECRET_ACCESS_KEY": "env-secret", "AWS_SESSION_TOKEN": "env-token"} == learned


def test_an_env_file_counts(buckets_of, tmp_path):
    """As the environment does."""
    (tmp_path / ".env").write_text("AWS_ACCESS_KEY_ID=file-id\nAWS_SECRET_ACCESS_KEY=file-secret\n")

    assert ("file-id", "file-secret", None) == keys_of(buckets_of(env_file=tmp_path / ".env"))


@pytest.fixture
def profiles(tmp_path):
    """Write AWS's files."""
    (tmp_path / "credentials").write_text(
        "[default]\naws_access_key_id=default-id\naws_secret_access_key=default-secret\n"
        "[partner]\naws_access_key_id=partner-id\naws_secret_access_key=partner-secret\n"
    )
    (tmp_path / "config").write_text(
        "[default]\nregion=eu-west-1\nendpoint_url=https://default.example/\nca_bundle=ca.pem\n"
        "[profile partner]\nregion=eu-west-2\nservices=mine\n"
        "[services mine]\ns3=\n  endpoint_url=https://mine.example\n"
    )
    (tmp_path / "ca.pem").write_text("certificates")


def test_files_come_last(buckets_of, profiles, tmp_path):
    """The default profile, with its endpoint, region and authorities."""
    buckets = buckets_of()

    assert ("default-id", "default-secret", None) == keys_of(buckets)
    assert ("https://default.example", "eu-west-1", tmp_path / "ca.pem") == (
        buckets.account.endpoint,
        buckets.account.region,
        buckets.account.ca_file,
    )


def test_a_profile_can_be_named(buckets_of, profiles):
    """By its variable, with what its services say; or in the call, for the keys alone."""
    named = buckets_of({"AWS_PROFILE": "partner"})
    called = buckets_of(secrets=TRIPLET).other(profile="partner")

    assert ("partner-id", "partner-secret", None) == keys_of(named) == keys_of(called)
    assert ("https://mine.example", "eu-west-2") == (named.account.endpoint, named.account.region)


def test_a_profile_that_is_missing_is_an_error(buckets_of, profiles):
    """It is one of credentials."""
    with pytest.raises(CredentialsError, match="ProfileNotFound"):
        buckets_of({"AWS_PROFILE": "none"})
    with pytest.raises(CredentialsError, match="ProfileNotFound"):
        keys_of(buckets_of(KEYS).other(profile="none"))


def test_no_credentials_are_an_error(buckets_of):
    """It says what to set."""
    with pytest.raises(CredentialsError, match=r"(?s)no credentials for S3.*s3_access_key_id"):
        keys_of(buckets_of())


@pytest.mark.parametrize(
    ("variables", "endpoint", "region"),
    [
        ({}, "https://s3.us-east-1.amazonaws.com", "us-east-1"),
        ({"AWS_DEFAULT_REGION": "eu-west-1"}, "https://s3.eu-west-1.amazonaws.com", "eu-west-1"),
        ({"AWS_REGION": "cn-n", "AWS_DEFAULT_REGION": "x"}, "https://s3.cn-n.amazonaws.com.cn", "cn-n"),
        ({"HYPERPLANE_S3_REGION": "r", "AWS_REGION": "x"}, "https://s3.r.amazonaws.com", "r"),
        ({"AWS_ENDPOINT_URL": "http://a:1/"}, "http://a:1", "us-east-1"),
        ({"AWS_ENDPOINT_URL": "http://a:1", "AWS_ENDPOINT_URL_S3": "http://b:1"}, "http://b:1", "us-east-1"),
        (
            {"AWS_ENDPOINT_URL_S3": "http://b:1", "HYPERPLANE_S3_ENDPOINT_URL": "http://c:1"},
            "http://c:1",
            "us-east-1",
        ),
    ],
)
def test_where_the_store_is(buckets_of, variables, endpoint, region):
    """Our settings go before AWS's variables, the special before the general."""
    for secrets in (TRIPLET, None):
        account = buckets_of({**KEYS, **variables}, secrets).account

        assert (endpoint, region) == (account.endpoint, account.region)
        assert account.is_aws == endpoint.startswith("https://s3.")


def test_buckets_have_addresses(buckets_of):
    """On AWS hosts of their own, but for those with dots, which would have no certificate."""
    aws = buckets_of(secrets=TRIPLET).account
    other = buckets_of({"AWS_ENDPOINT_URL": "http://a:1"}, TRIPLET).account

    assert "https://b.s3.us-east-1.amazonaws.com" == aws.url_of("b")
    assert "https://s3.us-east-1.amazonaws.com/b.c" == aws.url_of("b.c")
    assert "http://a:1/b" == other.url_of("b")


def test_an_endpoint_that_is_no_url_is_refused(buckets_of):
    """It is a setting that is wrong."""
    with pytest.raises(SettingsError, match="no URL: 'localhost:9000'"):
        buckets_of({"AWS_ENDPOINT_URL": "localhost:9000"}, TRIPLET)


def test_a_ca_file_that_is_not_there_is_refused(buckets_of, tmp_path):
    """A name is one in the project's folder."""
    with pytest.raises(SettingsError, match="AWS_CA_BUNDLE names a file that is not there"):
        buckets_of({"AWS_CA_BUNDLE": "none.pem"}, TRIPLET)
    (tmp_path / "ca.pem").write_text("")

    assert tmp_path / "ca.pem" == buckets_of({"AWS_CA_BUNDLE": "ca.pem"}, TRIPLET).account.ca_file


def test_another_account_differs_in_what_is_given(buckets_of):
    """The rest stays."""
    secrets = {
        **TRIPLET,
        "x_access_key_id": "x-id",
        "x_access_key_secret": "x-secret",
        "x_session_token": "t",
    }
    usual = buckets_of({"HYPERPLANE_S3_KMS_KEY_ID": "k"}, secrets)
    other = usual.other(endpoint_url="http://a:1/", region="r", secrets="x")

    assert ("x-id", "x-secret", "t") == keys_of(other)
    assert ("http://a:1", "r", "k") == (
        other.account.endpoint,
        other.account.region,
        other.account.kms_key_id,
    )
    assert ("given-id", "k2") == (keys_of(usual)[0], usual.other(kms_key_id="k2").account.kms_key_id)
    assert isinstance(other.open("b"), S3Store)
    with pytest.raises(CredentialsError, match="y_access_key_id nor y_access_key_secret"):
        keys_of(usual.other(secrets="y"))


def test_what_is_injected_hides_the_process(buckets_of, monkeypatch, tmp_path):
    """Keys, tokens, roles, profiles, endpoints and regions of the process are not this job's."""
    (tmp_path / "process").write_text("[default]\naws_access_key_id=p\naws_secret_access_key=p\nregion=p\n")
    for name, value in {
        "AWS_ACCESS_KEY_ID": "process-id",
        "AWS_SECRET_ACCESS_KEY": "process-secret",
        "AWS_SESSION_TOKEN": "process-token",
        "AWS_DEFAULT_REGION": "process-region",
        "AWS_REGION": "process-region",
        "AWS_PROFILE": "process-profile",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_CA_BUNDLE": "/process/ca",
        "AWS_CONFIG_FILE": str(tmp_path / "process"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "process"),
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:1/creds",
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "process"),
        "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/process",
    }.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(CredentialsError, match="no credentials for S3"):
        keys_of(buckets_of())
    account = buckets_of({**KEYS}).account

    assert ("env-id", "env-secret", None) == keys_of(buckets_of(KEYS))
    assert ("https://s3.us-east-1.amazonaws.com", "us-east-1", None) == (
        account.endpoint,
        account.region,
        account.ca_file,
    )
    for each in (account, buckets_of(secrets=TRIPLET).account):
        client = make_client(each)
        assert ("us-east-1", "s3.us-east-1.amazonaws.com") == (
            client.meta.region_name,
            client.meta.endpoint_url.removeprefix("https://").replace(
                "s3.amazonaws.com", "s3.us-east-1.amazonaws.com"
            ),
        )


def test_a_chain_is_looked_up_anew_after_an_expiry(buckets_of, profiles, tmp_path):
    """Files that have been renewed are read again."""
    source = buckets_of().account.credentials
    before = source.get().access_key_id
    (tmp_path / "credentials").write_text("[default]\naws_access_key_id=new-id\naws_secret_access_key=new\n")
    kept = source.get().access_key_id
    source.renew()

    assert ("default-id", "default-id", "new-id") == (before, kept, source.get().access_key_id)


def test_credentials_hide_in_a_repr(buckets_of):
    """The id alone is shown."""
    text = repr(buckets_of({**KEYS, "AWS_SESSION_TOKEN": "env-token"}).account.credentials.get())

    assert "env-id" in text
    assert "env-secret" not in text
    assert "env-token" not in text


def test_a_client_is_a_plain_one(buckets_of):
    """Of boto3, with the same credentials, over the chain too."""
    for buckets in (buckets_of(KEYS), buckets_of(secrets=TRIPLET)):
        client = make_client(buckets.account)

        assert isinstance(client, boto3.client("s3", region_name="x").__class__.__mro__[1])
        assert client._request_signer._credentials.access_key == keys_of(buckets)[0]


@pytest.mark.parametrize(
    ("text", "bucket", "expected"),
    [
        ("s3://b/k/x", None, ("b", "k/x")),
        ("S3://b/k", None, ("b", "k")),
        ("s3://b", None, ("b", "")),
        ("s3://b/", None, ("b", "")),
        ("s3://b//k", None, ("b", "/k")),
        ("k/x", "b", ("b", "k/x")),
        ("", "b", ("b", "")),
        ("a b://x", "b", ("b", "a b://x")),
    ],
)
def test_a_location_is_a_bucket_and_a_key(text, bucket, expected):
    """The key is taken as it is written."""
    assert expected == Location.parse(text, bucket=bucket)


@pytest.mark.parametrize(
    ("text", "bucket"),
    [
        *(
            (text, None)
            for text in ("s3://", "s3:///k", "k", "s3://../k", "s3://a?b/k", "s3://a b/k", "s3://a#/k")
        ),
        *((text, "b") for text in ("gs://b/k", "file:///x", "\ud800")),
        ("k", "../x"),
    ],
)
def test_what_is_no_location_is_refused(text, bucket):
    """Another scheme, no bucket, or one that would change the address of the store."""
    with pytest.raises(UsageError):
        Location.parse(text, bucket=bucket)


def test_a_location_knows_what_it_stands_for():
    """A folder ends in a slash."""
    folder, file, whole = (Location.parse(f"s3://b/{key}") for key in ("d/e/", "d/e", ""))

    assert (True, False, True) == (folder.is_folder, file.is_folder, whole.is_folder)
    assert ("e", "e", "") == (folder.name, file.name, whole.name)
    assert ("s3://b/d/e/", "s3://b/") == (str(folder), str(whole))
    assert Path("e").name == file.name


def test_what_is_a_url_of_s3_is_told():
    """In either case, and whatever follows."""
    assert [True, True, False] == [Location.is_url(text) for text in ("s3://b/k", "S3://", "s3/k")]


def test_in_a_hurry_nothing_is_tried_again(buckets_of):
    """Nor is a store waited for long."""
    usual = buckets_of(secrets=TRIPLET)
    hasty = usual.hasty()

    assert hasty.account.read_timeout_s < usual.account.read_timeout_s
    assert hasty.endpoint == usual.endpoint
    assert 1 == hasty.open("b")._patience.tries
