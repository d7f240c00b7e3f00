"""The buckets of an account, and of others that differ from it in something."""

from collections.abc import Callable
from dataclasses import replace

from hyperplane.environment import Environment
from hyperplane.errors import CredentialsError
from hyperplane.settings import JobSettings
from hyperplane.stores.account import Account, account_of, checked_endpoint, with_profile
from hyperplane.stores.credentials import Credentials, GivenCredentials, Learn
from hyperplane.stores.objects import ObjectStore
from hyperplane.stores.retrying import PATIENCE, Patience
from hyperplane.stores.s3 import S3Store

LookUp = Callable[[str], str | None]
"""Returns the secret of a name, or None."""

USUAL_SECRETS = "s3"
HASTY_CONNECT_TIMEOUT_S = 3.0
HASTY_READ_TIMEOUT_S = 10.0


class AccountBuckets:
    """The buckets that one account can reach."""

    def __init__(
        self,
        account: Account,
        environment: Environment,
        *,
        secret: LookUp,
        learn: Learn,
        patience: Patience = PATIENCE,
    ) -> None:
        self.account = account
        self._patience = patience
        self._environment = environment
        self._secret = secret
        self._learn = learn

    @classmethod
    def of(
        cls, environment: Environment, settings: JobSettings, *, secret: LookUp, learn: Learn
    ) -> "AccountBuckets":
        """Return the buckets of the account that secrets and settings, else AWS's own variables, tell of."""
        is_given = any(secret(name) is not None for name in _key_names(USUAL_SECRETS))
        given = credentials_in(secret, USUAL_SECRETS) if is_given else None
        account = account_of(environment, settings, given, learn=learn)
        return cls(account, environment, secret=secret, learn=learn)

    def open(self, bucket: str) -> ObjectStore:
        """Return the store of one bucket."""
        return S3Store(self.account, bucket, patience=self._patience)

    @property
    def endpoint(self) -> str:
        """The address of the store that they are in."""
        return self.account.endpoint

    def hasty(self) -> "AccountBuckets":
        """Return the same, asked once and not waited for long."""
        account = replace(
            self.account, connect_timeout_s=HASTY_CONNECT_TIMEOUT_S, read_timeout_s=HASTY_READ_TIMEOUT_S
        )
        once = Patience(tries=1, throttled_tries=1)
        return AccountBuckets(
            account, self._environment, secret=self._secret, learn=self._learn, patience=once
        )

    def other(
        self,
        *,
        endpoint_url: str | None = None,
        region: str | None = None,
        kms_key_id: str | None = None,
        secrets: str | None = None,
        profile: str | None = None,
    ) -> "AccountBuckets":
        """Return the buckets of an account that differs in what is given."""
        account = self.account
        if secrets is not None:
            account = replace(account, credentials=credentials_in(self._secret, secrets))
        if profile is not None:
            account = with_profile(account, self._environment, profile, learn=self._learn)
        account = replace(
            account,
            endpoint_url=account.endpoint_url if endpoint_url is None else checked_endpoint(endpoint_url),
            region=region or account.region,
            kms_key_id=kms_key_id or account.kms_key_id,
        )
        return AccountBuckets(
            account, self._environment, secret=self._secret, learn=self._learn, patience=self._patience
        )


def credentials_in(secret: LookUp, prefix: str) -> GivenCredentials:
    """Return the credentials in the secrets `<prefix>_access_key_id` and `<prefix>_access_key_secret`.

    `<prefix>_session_token` goes with them where it is there. They are looked up each time, so that a
    mounted file that changes is seen; a missing one is a `CredentialsError`.
    """

    def look_up() -> Credentials:
        names = _key_names(prefix)
        key_id, key_secret = map(secret, names)
        if key_id is None or key_secret is None:
            missing = [name for name in names if secret(name) is None]
            raise CredentialsError(
                f"the credentials for S3 are not complete: there is no secret {' nor '.join(missing)}",
                hint=" ".join(f"Set HYPERPLANE_SECRET_{name}." for name in missing),
            )
        token = (secret(f"{prefix}_session_token") or "").strip()
        return Credentials(key_id.strip(), key_secret.strip(), token or None)

    return GivenCredentials(look_up)


def _key_names(prefix: str) -> tuple[str, str]:
    return f"{prefix}_access_key_id", f"{prefix}_access_key_secret"
