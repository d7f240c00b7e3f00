"""Trying again: with growing, random pauses, and once with new credentials."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from hyperplane.errors import CredentialsError, StoreError
from hyperplane.stores.failures import PassingError, may_have_expired

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a call is tried: more often where the store only asks to slow down.

    The n-th pause is a random part of `base_s` * 2**n, at most of `longest_s`. `give_up_s`: how long
    after the first failure nothing is tried any more, for tries can be long. `sleep`: waits, and may be
    cut short.
    """

    tries: int = 6
    throttled_tries: int = 20
    base_s: float = 0.1
    longest_s: float = 10.0
    give_up_s: float = 120.0
    sleep: Callable[[float], object] = time.sleep

    def pause(self, failures: int) -> None:
        """Wait before the next try."""
        longest = min(self.longest_s, self.base_s * 2**failures)
        self.sleep(random.uniform(longest / 2, longest))  # noqa: S311 - no secret


PATIENCE = Patience()


class Failures:
    """The failures of one thing in a row: whether it is to be tried again."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._count = 0
        self._began = 0.0

    def wait(self, error: PassingError) -> None:
        """Wait until the next try. Raises the error, for good, where there is none."""
        self._began = self._began if self._count else time.monotonic()
        self._count += 1
        tries = self._patience.throttled_tries if error.is_throttling else self._patience.tries
        if self._count >= tries or time.monotonic() - self._began > self._patience.give_up_s:
            raise settled(error) from None
        self._patience.pause(self._count)

    def forget(self) -> None:
        """Begin anew: something went well."""
        self._count = 0


def retry(call: Callable[[], T], *, renew: Callable[[], object], patience: Patience = PATIENCE) -> T:
    """Return what `call` returns, tried again after failures that may pass.

    `renew`: called once, when the store says that the credentials have expired.
    """
    failures = Failures(patience)
    is_renewed = False
    while True:
        try:
            return call()
        except PassingError as error:
            failures.wait(error)
        except CredentialsError as error:
            if is_renewed or not may_have_expired(error):
                raise
            is_renewed = True
            renew()


def settled(error: PassingError) -> StoreError:
    """Return the same as an error for good, which nobody tries again."""
    known = {
        name: value for name, value in vars(error).items() if name not in {"message", "hint", "is_throttling"}
    }
    return StoreError(error.message, hint=error.hint, **known)
