"""The one masker of this process: what any context of it knows, no other one writes."""

from hyperplane.locks import ForkSafeLock
from hyperplane.masking.masker import Masker

_lock = ForkSafeLock()
_masker: Masker | None = None


def process_masker() -> Masker:
    """Return the masker that all contexts of this process share, the testing ones excepted."""
    global _masker
    with _lock:
        if _masker is None:
            _masker = Masker()
        return _masker
