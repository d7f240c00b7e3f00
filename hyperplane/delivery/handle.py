"""The other side of the process that delivers: starts it, orders, waits for its answers, ends it in time."""

import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Self, cast

from hyperplane.delivery.ledger import Summary
from hyperplane.errors import EXIT_MISSING_SETTING, DeliveryError
from hyperplane.locks import renew_after_fork
from hyperplane.rundir import Lock

if TYPE_CHECKING:
    from hyperplane.delivery.brief import Brief

TICK_S = 0.1
BEGIN_PATIENCE_S = 120.0
# it has said its last word, and has only to leave
ENDING_S = 1.0
_READ_BYTES = 1 << 16


class Delivered(NamedTuple):
    """What is at the destination now, and what could not be delivered as it was sealed."""

    summary: Summary
    problems: tuple[str, ...]


class DelivererKilledError(DeliveryError):
    """What delivers a run was killed; another one can go on."""


class DeliveryProcess:
    """A process that delivers one run, and holds the lock of the run as we do."""

    def __init__(self, brief: "Brief", process: "subprocess.Popen[bytes]") -> None:
        self._brief = brief
        self._process = process
        self._pid = os.getpid()
        self._orders = cast("Any", process.stdin).fileno()
        self._answers = cast("Any", process.stdout).fileno()
        self._heard = b""
        renew_after_fork(self)

    @classmethod
    def start(cls, brief: "Brief", lock: Lock) -> Self:
        """Start it. What it sends while a job runs is what was sealed; it ends when we do."""
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "hyperplane.delivery.process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            pass_fds=(lock.descriptor,),
            # Ctrl-C is for the job, and its group is killed
            start_new_session=True,
        )
        made = cls(brief, process)
        made._order(brief.line())
        return made

    def begin(self, deadline: Callable[[], float | None] = lambda: None, *, watch: int | None = None) -> None:
        """Have the run's record written to the destination, and return when it is there.

        Raises `DeliveryError` when it cannot be, which is known before the job has begun.
        """
        give_up_at = time.monotonic() + BEGIN_PATIENCE_S
        self._order(b'{"begin": true}\n')
        self._wait_for("ready", lambda: min(give_up_at, deadline() or give_up_at), watch=watch, begins=True)

    def finish(
        self,
        record: Mapping[str, Any],
        *,
        is_complete: bool,
        deadline: Callable[[], float | None] = lambda: None,
        watch: int | None = None,
        progress: Callable[[Mapping[str, Any]], object] = bool,
    ) -> Delivered:
        """Have everything delivered, and return when it is there and said to be.

        `record`: how the run ended. `is_complete`: the job has succeeded, and all its outputs are sealed.
        `deadline`: the moment, on the monotonic clock, until when to wait; asked again and again, and at
        once when something can be read from `watch`. Raises `DeliveryError`; the run is pending then.
        """
        self._order(json.dumps({"record": dict(record), "is_complete": is_complete}).encode() + b"\n")
        told = self._wait_for("delivered", deadline, watch=watch, progress=progress)
        # all of it is on the disk: it may be killed where there is no time to leave in order
        give_up_at = deadline()
        left_s = ENDING_S if give_up_at is None else give_up_at - time.monotonic()
        self.end(max(0.0, min(ENDING_S, left_s)))
        return Delivered(Summary(*told["summary"]), tuple(told["problems"]))

    def end(self, patience_s: float = 0.0) -> None:
        """End it, where it does not end by itself in time; what it was about to send is sent by the next."""
        if self._process.returncode is None and os.getpid() == self._pid:
            try:
                self._process.wait(patience_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(BrokenPipeError):
                cast("Any", pipe).close()

    def renew(self) -> None:
        """Leave the process to the parent alone: a forked child would keep it alive beyond that."""
        for pipe in (self._process.stdin, self._process.stdout):
            cast("Any", pipe).close()

    def _order(self, line: bytes) -> None:
        rest = memoryview(line)
        # it may have ended already, which its silence tells
        with suppress(BrokenPipeError):
            while rest:
                rest = rest[os.write(self._orders, rest) :]

    def _wait_for(
        self,
        kind: str,
        deadline: Callable[[], float | None],
        *,
        watch: int | None,
        progress: Callable[[Mapping[str, Any]], object] = bool,
        begins: bool = False,
    ) -> dict[str, Any]:
        with selectors.DefaultSelector() as selector:
            selector.register(self._answers, selectors.EVENT_READ)
            if watch is not None:
                selector.register(watch, selectors.EVENT_READ)
            while True:
                for answer in self._read(selector, deadline, begins):
                    if answer["kind"] == kind:
                        return answer
                    if answer["kind"] == "failed":
                        self.end(ENDING_S)
                        raise self._error(answer["message"], answer["hint"], begins)
                    progress(answer)

    def _read(
        self, selector: selectors.BaseSelector, deadline: Callable[[], float | None], begins: bool
    ) -> list[dict[str, Any]]:
        """Return what is answered within a moment. Raises `DeliveryError` when it is too late for that."""
        give_up_at = deadline()
        if give_up_at is not None and time.monotonic() >= give_up_at:
            self.end()
            raise self._error("there was no time to deliver everything", "", begins)
        left_s = TICK_S if give_up_at is None else min(TICK_S, give_up_at - time.monotonic())
        if not any(key.fd == self._answers for key, _ in selector.select(max(0.0, left_s))):
            return []
        data = os.read(self._answers, _READ_BYTES)
        if not data:
            self.end()
            raise self._error("what delivers the run was killed", "", begins, DelivererKilledError)
        *lines, self._heard = (self._heard + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def _error(
        self, message: str, hint: str, begins: bool, kind: type[DeliveryError] = DeliveryError
    ) -> DeliveryError:
        run, url = self._brief.run_dir, self._brief.url
        if begins:
            return DeliveryError(
                f"nothing can be delivered to {url}: {message}",
                hint=hint or "Mend HYPERPLANE_OUTPUT_URL and what it needs.",
                run_id=run.run_id,
                url=url,
                exit_code=EXIT_MISSING_SETTING,
            )
        again = f"hyperplane deliver {run.run_id}"
        return kind(
            f"the run {run.run_id} is not delivered to {url}: {message}",
            hint=f"{hint} Then: {again}" if hint else f"To deliver it: {again}",
            run_id=run.run_id,
            url=url,
        )
