"""Which calls a fault happens to."""

import random
from collections.abc import Collection
from dataclasses import dataclass
from fnmatch import fnmatchcase

from faultys3.faults import Fault


@dataclass
class Rule:
    """When a fault happens: on which operations and keys, and at which of the calls that match both.

    `operation`, `key`: patterns of `fnmatch`, in exact case. `calls`: numbers from 1, or None for every
    one. `probability`: of each of those, from a generator with this `seed`. `seen`, `hits`: how many
    calls have matched, and how many of them had the fault.
    """

    fault: Fault
    operation: str = "*"
    key: str = "*"
    calls: Collection[int] | None = None
    probability: float = 1.0
    seed: int = 0
    seen: int = 0
    hits: int = 0

    def __post_init__(self):
        self._random = random.Random(self.seed)

    def applies_to(self, call):
        """Say whether the fault happens to this call, and count it."""
        if not fnmatchcase(call.operation, self.operation) or not fnmatchcase(call.key, self.key):
            return False
        self.seen += 1
        is_due = self.calls is None or self.seen in self.calls
        happens = is_due and self._random.random() < self.probability
        self.hits += happens
        return happens
