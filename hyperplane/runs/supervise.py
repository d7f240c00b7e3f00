"""Watches one job from its start to its end: its output, its signals, its time."""

import selectors
import signal
import time
from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

from hyperplane.errors import EXIT_STOPPED, EXIT_TIMEOUT
from hyperplane.runs.capture import Pump
from hyperplane.runs.deadlines import Deadlines
from hyperplane.runs.process import STRAGGLER_PATIENCE_S, JobProcess
from hyperplane.runs.record import Outcome
from hyperplane.runs.signals import Signals
from hyperplane.stopping import reserve_of

# after this long without output, half a line is shown
IDLE_S = 0.1
# for output of processes that outlive the job
DRAIN_S = 5.0
# for what was in the pipes when everything was killed
AFTER_KILL_S = 1.0
# lets a busy job fill its pipe: a wake-up for every line would take the job's own processor
GATHER_S = 0.001
GATHER_BYTES = 1 << 16
EXIT_INTERRUPTED = 128 + signal.SIGINT
Cause = Literal["itself", "timeout", "stop"]


class Ending(NamedTuple):
    """How a job ended: its own exit code, and whether it was asked to end.

    A stop without a signal was none of ours: its platform or its deadline told the job alone.
    """

    job_exit_code: int
    cause: Cause = "itself"
    signal: int | None = None

    @property
    def outcome(self) -> Outcome:
        """What the run is recorded as."""
        if self.cause == "stop":
            return "stopped"
        return "succeeded" if self.exit_code == 0 else "failed"

    @property
    def exit_code(self) -> int:
        """What the runner is to end with."""
        if self.cause == "stop":
            return EXIT_INTERRUPTED if self.signal == signal.SIGINT else EXIT_STOPPED
        return EXIT_TIMEOUT if self.cause == "timeout" else self.job_exit_code


class Supervisor:
    """One loop over the job's streams, our signals and a few deadlines.

    A stop signal is passed on once. What is still alive when the grace without its reserve is over, is
    killed; a second SIGINT kills at once. At `timeout_s` the job is ended in the same way.
    `on_stop` is called with the reason when the job is first asked to end.
    """

    def __init__(
        self,
        process: JobProcess,
        pumps: tuple[Pump, ...],
        signals: Signals,
        *,
        grace_s: float,
        timeout_s: float | None = None,
        on_stop: Callable[[str], object],
    ) -> None:
        self._process = process
        self._pumps = pumps
        self._signals = signals
        self._kill_after_s = grace_s - reserve_of(grace_s)
        self._on_stop = on_stop
        self._cause: Cause = "itself"
        self._signal: int | None = None
        self._interrupts = 0
        self._has_ended = False
        self._has_given_up = False
        self._is_hurried = False
        self._has_pulled = False
        self._selector = selectors.DefaultSelector()
        self._deadlines = Deadlines()
        self.watch(signals.descriptor, self._take_signals)
        if timeout_s is not None:
            self._deadlines.set("timeout", timeout_s, self._time_out)

    def watch(self, descriptor: int, call: Callable[[], object], event: int = selectors.EVENT_READ) -> None:
        """Have `call` called whenever a descriptor can be read from, or written to."""
        self._selector.register(descriptor, event, call)

    def forget(self, descriptor: int) -> None:
        """Watch a descriptor no longer."""
        self._selector.unregister(descriptor)

    def call_every(self, seconds: float, call: Callable[[], object]) -> None:
        """Have `call` called again and again while the job runs."""

        def again() -> None:
            call()
            self.call_every(seconds, call)

        self._deadlines.set("again", seconds, again)

    def run(self) -> Ending:
        """Carry on until the job has ended and its output has been carried; its group is gone then."""
        self._look_for_end()
        self._loop_until(self._is_over)
        self._process.end_group(self._patience_s(), meanwhile=self._take_signals)
        for pump in self._pumps:
            self._finish(pump)
        self._loop_until(lambda: not self._has_unshown())
        self._selector.close()
        return Ending(self._process.reap(), self._cause, self._signal)

    def _loop_until(self, is_over: Callable[[], bool]) -> None:
        self._balance()
        while not is_over():
            for key, _ in self._selector.select(self._deadlines.seconds_to_next()):
                key.data()
            self._deadlines.run_due()
            self._balance()
            if self._has_pulled:
                # signals wait in their pipe meanwhile
                self._has_pulled = False
                time.sleep(GATHER_S)

    def _is_over(self) -> bool:
        is_carried = not any(pump.is_open for pump in self._pumps) and not self._has_unshown()
        return self._has_ended and (is_carried or self._has_given_up)

    def _has_unshown(self) -> bool:
        return any(pump.live.pending for pump in self._pumps)

    def _balance(self) -> None:
        """Read nothing that its reader does not take, and wait for the reader instead."""
        for pump in self._pumps:
            # who stops a job does not wait for its reader; the log has everything
            if pump.live.pending and self._is_hurried:
                pump.live.abandon()
            is_blocked = bool(pump.live.pending)
            self._watch_while(pump.is_open and not is_blocked, pump.source, partial(self._pull, pump))
            self._watch_while(is_blocked, pump.live.descriptor, pump.live.flush, selectors.EVENT_WRITE)

    def _watch_while(
        self, wanted: bool, descriptor: int, call: Callable[[], object], event: int = selectors.EVENT_READ
    ) -> None:
        is_watched = descriptor in self._selector.get_map()
        if wanted and not is_watched:
            self.watch(descriptor, call, event)
        elif is_watched and not wanted:
            self.forget(descriptor)

    def _pull(self, pump: Pump) -> None:
        size = pump.pull()
        if size == 0:
            self._finish(pump)
            return
        self._has_pulled = 0 < size < GATHER_BYTES
        if pump.has_pending:
            self._deadlines.set(f"idle {pump.source}", IDLE_S, pump.rest)

    def _finish(self, pump: Pump) -> None:
        if pump.is_open:
            self._deadlines.cancel(f"idle {pump.source}")
            self._watch_while(False, pump.source, pump.close)
            pump.close()

    def _take_signals(self) -> None:
        for number in self._signals.read():
            if number == signal.SIGCHLD:
                self._look_for_end()
            else:
                self._stop(number)

    def _look_for_end(self) -> None:
        if self._has_ended or not self._process.has_ended():
            return
        self._has_ended = True
        self._deadlines.cancel("timeout")
        # a job that was asked to end shares the time that is left with its children
        if "kill" not in self._deadlines and "drain" not in self._deadlines:
            self._deadlines.set("drain", DRAIN_S, self._give_up)

    def _stop(self, number: int) -> None:
        self._is_hurried = True
        self._interrupts += number == signal.SIGINT
        if self._interrupts > 1:
            self._kill()
        elif self._has_ended:
            # only its children's output is waited for
            self._has_given_up = True
        elif self._cause == "itself":
            self._ask_to_end("stop", number)

    def _time_out(self) -> None:
        # the signal that tells of the end may still be on its way
        self._look_for_end()
        if not self._has_ended:
            self._ask_to_end("timeout", signal.SIGTERM)

    def _ask_to_end(self, cause: Cause, number: int) -> None:
        self._cause, self._signal = cause, number
        self._deadlines.cancel("timeout")
        self._deadlines.set("kill", self._kill_after_s, self._kill)
        # few jobs listen to SIGHUP, and those that do reload their configuration
        self._process.ask(signal.SIGTERM if number == signal.SIGHUP else number)
        self._on_stop(signal.Signals(number).name if cause == "stop" else "timeout")

    def _kill(self) -> None:
        self._process.kill()
        self._deadlines.cancel("kill")
        self._deadlines.set("drain", AFTER_KILL_S, self._give_up)

    def _patience_s(self) -> float:
        """Return how long what the leader left behind has: as long as the leader itself would have had."""
        return max(STRAGGLER_PATIENCE_S, self._deadlines.seconds_to("kill"))

    def _give_up(self) -> None:
        # a slow reader is waited for; it is the silent grandchild that is given up
        if self._has_unshown():
            self._deadlines.set("drain", DRAIN_S, self._give_up)
        else:
            self._has_given_up = True
