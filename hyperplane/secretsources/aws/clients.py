"""The clients of AWS's stores of secrets, made when they are first needed."""

from typing import TYPE_CHECKING, Any

from hyperplane.awssession import make_session
from hyperplane.environment import Environment
from hyperplane.locks import ForkSafeLock, renew_after_fork
from hyperplane.masking import Masker

if TYPE_CHECKING:
    import boto3

_CONNECT_S = 5
_READ_S = 10
_ATTEMPTS = 3


class Clients:
    """The clients of one process, made when they are first needed; their credentials are masked."""

    def __init__(self, environment: Environment, masker: Masker) -> None:
        self._environment = environment
        self._masker = masker
        self._lock = ForkSafeLock()
        self._session: boto3.Session | None = None
        self._clients: dict[str, Any] = {}
        renew_after_fork(self)

    def renew(self) -> None:
        """Leave open connections to the parent: who shares one may read the other's answer."""
        self._session = None
        self._clients = {}

    def client(self, service: str) -> Any:
        """Return the client of a service. Raises what boto3 raises, as for a region that nobody said."""
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._make(service)
            return self._clients[service]

    def _make(self, service: str) -> Any:
        from botocore.config import Config

        if self._session is None:
            self._session = make_session(self._environment)
            self._mask_credentials(self._session)
        own = f"AWS_ENDPOINT_URL_{service.upper()}"
        return self._session.client(
            service,
            endpoint_url=self._environment.get(own) or self._environment.get("AWS_ENDPOINT_URL"),
            config=Config(
                connect_timeout=_CONNECT_S,
                read_timeout=_READ_S,
                retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
            ),
        )

    def _mask_credentials(self, session: "boto3.Session") -> None:
        credentials = session.get_credentials()
        if credentials is None:
            return
        frozen = credentials.get_frozen_credentials()
        pairs = {"AWS_SECRET_ACCESS_KEY": frozen.secret_key, "AWS_SESSION_TOKEN": frozen.token}
        self._masker.add_all(((name, value) for name, value in pairs.items() if value), quietly=True)
