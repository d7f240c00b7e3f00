"""Trying again: with growing, random pauses, and once with new credentials."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from hyperplane.errors import CredentialsError, StoreError
from hyperplane.stores.failures import EXPIRED_CODES, PassingError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a call is tried: more often where the store only asks to slow down.

    The n-th pause is a random part of `base_s` * 2**n, at most of `longest_s`.
    `sleep`: waits, and may be cut short.
    """

    tries: int = 6
    throttled_tries: int = 20
    base_s: float = 0.1
    longest_s: float = 10.0
    sleep: Callable[[float], object] = time.sleep

    def allows(self, failures: int, error: PassingError) -> bool:
        """Say whether to try again after so many failures."""
        return failures < (self.throttled_tries if error.is_throttling else self.tries)

    def pause(self, failures: int) -> None:
        """Wait before the next try."""
        longest = min(self.longest_s, self.base_s * 2**failures)
        self.sleep(random.uniform(longest / 2, longest))  # noqa: S311 - no secret


PATIENCE = Patience()


def retry(call: Callable[[], T], *, renew: Callable[[], object], patience: Patience = PATIENCE) -> T:
    """Return what `call` returns, tried again after failures that may pass.

    `renew`: called once, when the store says that the credentials have expired.
    """
    failures = 0
    is_renewed = False
    while True:
        try:
            return call()
        except PassingError as error:
            failures += 1
            if not patience.allows(failures, error):
                raise settled(error) from None
            patience.pause(failures)
        except CredentialsError as error:
            if is_renewed or error.code not in EXPIRED_CODES:
                raise
            is_renewed = True
            renew()


def settled(error: PassingError) -> StoreError:
    """Return the same as an error for good, which nobody tries again."""
    known = {
        name: value for name, value in vars(error).items() if name not in {"message", "hint", "is_throttling"}
    }
    return StoreError(error.message, hint=error.hint, **known)
