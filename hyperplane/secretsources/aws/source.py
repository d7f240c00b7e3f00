"""A service of AWS as a source of secrets: a prefix in front of each name, and a cache."""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from hyperplane.environment import Origin
from hyperplane.errors import SecretSourceError
from hyperplane.locks import ForkSafeLock
from hyperplane.secretsources import FoundSecret
from hyperplane.secretsources.aws.clients import Clients
from hyperplane.secretsources.aws.services import Service, Wanted, problem_of

CACHE_S = 300.0


class _Kept(NamedTuple):
    until: float
    secret: FoundSecret | None


class AwsSource:
    """The secrets of one service below a prefix; `name:version` asks for a version, stage or label.

    What was found, and what was not there, is kept for 300 s; each version by itself.
    """

    def __init__(
        self,
        service: Service,
        prefix: str,
        clients: Clients,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._service = service
        self._prefix = prefix
        self._clients = clients
        self._clock = clock
        self._lock = ForkSafeLock()
        self._kept: dict[Wanted, _Kept] = {}

    def find(self, name: str) -> FoundSecret | None:
        """Return the secret of this name. Raises `SecretSourceError` where the service gives no answer."""
        with self._lock:
            self.prefetch([name])
            kept = self._kept.get(self._wanted(name))
            return None if kept is None else kept.secret

    def prefetch(self, names: Iterable[str]) -> None:
        """Ask for all of these names that are not in the cache, in as few calls as can be."""
        with self._lock:
            now = self._clock()
            wanted = dict.fromkeys(map(self._wanted, names))
            stale = [one for one in wanted if self._service.could_have(one) and not self._is_fresh(one, now)]
            if stale:
                self._ask(stale, now)

    def refresh(self) -> None:
        """Forget the cache."""
        with self._lock:
            self._kept.clear()

    def names(self) -> Iterable[str]:
        """Return nothing: listing is a permission that jobs do not need."""
        return ()

    def describe(self, name: str) -> str:
        """Name the service, and the secret as the service knows it."""
        return f"{self._service.title} {self._wanted(name)}"

    def _wanted(self, name: str) -> Wanted:
        # neither service has colons in its names
        base, _, version = name.partition(":")
        return Wanted(self._prefix + base, version)

    def _is_fresh(self, wanted: Wanted, now: float) -> bool:
        kept = self._kept.get(wanted)
        return kept is not None and now < kept.until

    def _ask(self, wanted: Sequence[Wanted], now: float) -> None:
        answer = self._answer(wanted)
        if isinstance(answer, SecretSourceError):
            # raised here: the frames of their errors hold credentials
            raise answer
        for one in wanted:
            self._kept[one] = _Kept(now + CACHE_S, answer.get(one))

    def _answer(self, wanted: Sequence[Wanted]) -> "dict[Wanted, FoundSecret] | SecretSourceError":
        from botocore.exceptions import BotoCoreError, ClientError

        from hyperplane.secretsources.aws.services import Refused

        try:
            client = self._clients.client(self._service.code)
            found = self._service.read(client, wanted)
        except (BotoCoreError, ClientError, Refused) as error:
            return problem_of(self._service, self._name_of, wanted[0], error)
        return {
            one: FoundSecret(value, Origin(self._service.title, str(one))) for one, value in found.items()
        }

    def _name_of(self, wanted: Wanted) -> str:
        return str(wanted).removeprefix(self._prefix)

    def __repr__(self) -> str:
        return f"<AwsSource {self._service.title} {self._prefix!r}>"
