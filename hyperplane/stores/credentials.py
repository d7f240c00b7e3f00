"""Credentials of an S3 account: from secrets, or from wherever boto3 finds those of AWS."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from hyperplane.errors import CredentialsError
from hyperplane.locks import ForkSafeLock

if TYPE_CHECKING:
    import boto3
    from botocore.credentials import ReadOnlyCredentials

Learn = Callable[[str, str], object]
"""Is told the name and value of every secret before anybody else gets it: `Masker.add`."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What requests are signed with; its `repr` shows the id of the key alone."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


class CredentialSource(Protocol):
    """Where credentials come from."""

    def get(self) -> Credentials:
        """Return credentials that are valid now. Raises `CredentialsError`."""
        ...

    def renew(self) -> None:
        """Look them up anew the next time: the store has said that they have expired."""
        ...


class GivenCredentials:
    """Credentials that a function looks up, as those in secrets are; asked again when they expired."""

    def __init__(self, look_up: Callable[[], Credentials]) -> None:
        self._look_up = look_up

    def get(self) -> Credentials:
        """Return what the function says now."""
        return self._look_up()

    def renew(self) -> None:
        """Nothing is kept."""


class ChainCredentials:
    """Credentials of a boto3 session: profile, environment, role; refreshed as boto3 does."""

    def __init__(self, make_session: "Callable[[], boto3.Session]", learn: Learn) -> None:
        self._make_session = make_session
        self._learn = learn
        self._lock = ForkSafeLock()
        self._session: boto3.Session | None = None

    @property
    def session(self) -> "boto3.Session":
        """The session that they come from."""
        with self._lock, _botocore_errors():
            if self._session is None:
                self._session = self._make_session()
            return self._session

    def get(self) -> Credentials:
        """Return the credentials of the session."""
        frozen = self._frozen()
        if frozen is None or not frozen.access_key or not frozen.secret_key:
            raise CredentialsError(
                "there are no credentials for S3",
                hint="Set the secrets s3_access_key_id and s3_access_key_secret, or AWS credentials "
                "(a profile, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a role).",
            )
        self._learn("AWS_SECRET_ACCESS_KEY", frozen.secret_key)
        if frozen.token:
            self._learn("AWS_SESSION_TOKEN", frozen.token)
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token or None)

    def renew(self) -> None:
        """Forget the session."""
        with self._lock:
            self._session = None

    def _frozen(self) -> "ReadOnlyCredentials | None":
        session = self.session
        with _botocore_errors():
            found = session.get_credentials()
            return None if found is None else found.get_frozen_credentials()


@contextmanager
def _botocore_errors() -> Iterator[None]:
    from botocore.exceptions import BotoCoreError

    try:
        yield
    except BotoCoreError as error:
        raise CredentialsError(
            f"the AWS credentials cannot be had: {type(error).__name__}",
            hint="`aws sts get-caller-identity` shows what AWS's own tools make of them.",
        ) from None
