"""What is to happen later in a loop: named callbacks, each at a time of its own."""

import time
from collections.abc import Callable


class Deadlines:
    """Callbacks by name; setting a name again moves it."""

    def __init__(self) -> None:
        self._due: dict[str, tuple[float, Callable[[], object]]] = {}

    def set(self, name: str, in_s: float, call: Callable[[], object]) -> None:
        """Have `call` called once, this many seconds from now."""
        self._due[name] = time.monotonic() + in_s, call

    def cancel(self, name: str) -> None:
        """Forget a callback, where there is one."""
        self._due.pop(name, None)

    def __contains__(self, name: object) -> bool:
        return name in self._due

    def seconds_to_next(self) -> float | None:
        """Return the seconds until the next callback is due, or None when there is none."""
        if not self._due:
            return None
        return max(0.0, min(at for at, _ in self._due.values()) - time.monotonic())

    def seconds_to(self, name: str) -> float:
        """Return the seconds until a callback is due, 0 when it is not set."""
        return max(0.0, self._due[name][0] - time.monotonic()) if name in self._due else 0.0

    def run_due(self) -> None:
        """Call what is due."""
        now = time.monotonic()
        for name, (at, call) in list(self._due.items()):
            if at <= now and self._due.get(name) == (at, call):
                del self._due[name]
                call()
