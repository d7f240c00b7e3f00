"""An S3 account: where its store is, who asks, and the boto3 sessions and clients for it."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyperplane.awssession import first_of, make_session, sealed_session
from hyperplane.environment import Environment
from hyperplane.errors import SettingsError
from hyperplane.settings import JobSettings
from hyperplane.stores.credentials import ChainCredentials, Credentials, CredentialSource, Learn

if TYPE_CHECKING:
    import boto3
    from botocore.config import Config

DEFAULT_REGION = "us-east-1"
CONNECT_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 60.0
CONNECTIONS = 64
# what is given is all there is: no profile changes anything
_NO_FILES = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Where an S3 store is and who asks; `endpoint_url` is None for AWS.

    `ca_file`: certificates to trust instead of the usual ones. `read_timeout_s`: how long a request
    waits for a store that is silent.
    """

    credentials: CredentialSource
    endpoint_url: str | None = None
    region: str = DEFAULT_REGION
    kms_key_id: str | None = None
    ca_file: Path | None = None
    connect_timeout_s: float = CONNECT_TIMEOUT_S
    read_timeout_s: float = READ_TIMEOUT_S

    @property
    def is_aws(self) -> bool:
        """Whether this is AWS itself, not a store that speaks its language."""
        return self.endpoint_url is None

    @property
    def endpoint(self) -> str:
        """The address of the store."""
        domain = "amazonaws.com.cn" if self.region.startswith("cn-") else "amazonaws.com"
        return self.endpoint_url or f"https://s3.{self.region}.{domain}"

    @property
    def encryption(self) -> dict[str, str]:
        """What boto3 is told with everything that is stored, so that the key of KMS encrypts it."""
        if self.kms_key_id is None:
            return {}
        return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": self.kms_key_id}

    def has_host_of_its_own(self, bucket: str) -> bool:
        """Say whether a bucket is part of the name of the host; with dots it would have no certificate."""
        return self.is_aws and "." not in bucket

    def url_of(self, bucket: str) -> str:
        """Return the address of a bucket."""
        if self.has_host_of_its_own(bucket):
            return self.endpoint.replace("https://", f"https://{bucket}.", 1)
        return f"{self.endpoint}/{bucket}"


def account_of(
    environment: Environment, settings: JobSettings, credentials: CredentialSource | None, *, learn: Learn
) -> Account:
    """Return the account that the settings and AWS's own variables tell of.

    `credentials`: those of the secrets, else AWS's chain is asked. The endpoint, region and CA file
    come from `HYPERPLANE_S3_*`, else `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`, `AWS_REGION`,
    `AWS_DEFAULT_REGION`, `AWS_CA_BUNDLE`, else the profile where the chain is asked.

    Raises `SettingsError` for a CA file that is not there, or an endpoint that is no URL.
    """
    chain = None if credentials else ChainCredentials(lambda: make_session(environment), learn)
    told = {} if chain is None else profile_settings(chain)
    endpoint = settings.s3_endpoint_url or first_of(environment, "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
    region = settings.s3_region or first_of(environment, "AWS_REGION", "AWS_DEFAULT_REGION")
    return Account(
        credentials=credentials or chain,  # type: ignore[arg-type]  # one of the two is there
        endpoint_url=checked_endpoint(endpoint or told.get("endpoint_url")),
        region=region or told.get("region") or DEFAULT_REGION,
        kms_key_id=settings.s3_kms_key_id,
        ca_file=_ca_file(environment, told.get("ca_bundle")),
    )


def checked_endpoint(url: str | None) -> str | None:
    """Return the address of a store as it is used. Raises `SettingsError` for what is none."""
    if not url:
        return None
    if not url.startswith(("http://", "https://")):
        raise SettingsError(
            f"the endpoint of S3 is no URL: {url!r}",
            hint="Begin it with https:// (or http://).",
            names=("HYPERPLANE_S3_ENDPOINT_URL",),
        )
    return url.rstrip("/")


def profile_settings(chain: ChainCredentials) -> dict[str, str]:
    """Return what AWS's configuration files say of the store: endpoint_url, region, ca_bundle."""
    session = chain.session._session  # noqa: SLF001 - boto3 has no public way to it
    profile = session.get_scoped_config()
    services = session.full_config.get("services", {}).get(profile.get("services"), {})
    told = {name: profile.get(name) for name in ("endpoint_url", "region", "ca_bundle")}
    told |= {name: value for name, value in services.get("s3", {}).items() if name == "endpoint_url"}
    return {name: value for name, value in told.items() if value}


def with_profile(account: Account, environment: Environment, profile: str, *, learn: Learn) -> Account:
    """Return the same account, asked as another profile of AWS's files."""
    chain = ChainCredentials(lambda: make_session(environment, profile=profile), learn)
    return replace(account, credentials=chain)


def _ca_file(environment: Environment, told: str | None) -> Path | None:
    named = environment.get("AWS_CA_BUNDLE") or told
    if not named:
        return None
    path = environment.folder / named
    if not path.is_file():
        raise SettingsError(
            f"AWS_CA_BUNDLE names a file that is not there: {path}",
            hint="Give a file of PEM certificates.",
            names=("AWS_CA_BUNDLE",),
        )
    return path


def make_client(account: Account, *, config: "Config | None" = None) -> Any:
    """Return a boto3 client of S3 for an account; `config`: instead of boto3's usual retries."""
    from botocore.config import Config

    ours = Config(
        signature_version="s3v4",
        s3={"addressing_style": "auto" if account.is_aws else "path"},
        connect_timeout=account.connect_timeout_s,
        read_timeout=account.read_timeout_s,
        max_pool_connections=CONNECTIONS,
        # some stores do not understand what AWS adds by default
        request_checksum_calculation="when_supported" if account.is_aws else "when_required",
        response_checksum_validation="when_supported",
    )
    return _session_for(account).client(
        "s3",
        endpoint_url=account.endpoint_url,
        region_name=account.region,
        verify=None if account.ca_file is None else str(account.ca_file),
        config=ours if config is None else ours.merge(config),
    )


def _session_for(account: Account) -> "boto3.Session":
    if isinstance(account.credentials, ChainCredentials):
        account.credentials.get()
        return account.credentials.session
    import boto3

    found: Credentials = account.credentials.get()
    return boto3.Session(
        botocore_session=sealed_session(Environment(_NO_FILES)),
        aws_access_key_id=found.access_key_id,
        aws_secret_access_key=found.secret_access_key,
        aws_session_token=found.session_token,
    )
