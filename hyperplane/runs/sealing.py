"""Seals what a successful job left, in a process of its own: a stop must be able to end it."""

import json
import os
import selectors
import signal
import stat
import time
import warnings
from collections.abc import Callable
from typing import NamedTuple, NoReturn

from hyperplane.errors import HyperplaneWarning, OutputError
from hyperplane.masking import Masker
from hyperplane.rundir import RunDir
from hyperplane.runs.process import close_all_but, die_with
from hyperplane.runs.signals import Signals

Seal = Callable[[RunDir, Masker], object]
_READ_BYTES = 1 << 16


class Sealing(NamedTuple):
    """Whether everything was sealed, and what was wrong, a sentence each."""

    is_complete: bool
    problems: tuple[str, ...] = ()


def seal_outputs(run: RunDir, masker: Masker, *, seal: Seal, signals: Signals, patience_s: float) -> Sealing:
    """Call `seal` for what a successful job left in its outputs folder, where it left anything.

    `patience_s`: how long it goes on after a stop was asked for; a second SIGINT ends it at once.
    """
    try:
        if not _has_outputs(run):
            return Sealing(True)
    except OSError as error:
        return Sealing(False, (_sentence(run, error),))
    pid, reader = _fork(run, masker, seal)
    told = _listen(reader, signals, patience_s)
    os.close(reader)
    if told is None:
        os.kill(pid, signal.SIGKILL)
    # one that waits for its disk cannot even be killed: not waited for, it is the system's when we are gone
    os.waitpid(pid, os.WNOHANG if told is None else 0)
    if told is None:
        return Sealing(False, (f"a stop came before the outputs in {run.outputs} were sealed",))
    if not told:
        return Sealing(False, (f"what seals the outputs in {run.outputs} was killed",))
    problem, *warned = json.loads(told)
    return Sealing(not problem, (*([problem] if problem else []), *warned))


def _has_outputs(run: RunDir) -> bool:
    """Say whether there may be something to seal. Raises OSError when the folder is none any more."""
    try:
        is_folder = stat.S_ISDIR(run.outputs.lstat().st_mode)
    except FileNotFoundError:
        raise OutputError(f"the outputs folder {run.outputs} was removed, with all that was in it") from None
    if not is_folder:
        raise OutputError(f"the outputs folder {run.outputs} was replaced by something that is no folder")
    return run.events.exists() or any(run.outputs.iterdir())


def _fork(run: RunDir, masker: Masker, seal: Seal) -> tuple[int, int]:
    """Begin to seal; return the process that does, and the descriptor on which it tells how that went."""
    reader, writer = os.pipe()
    runner = os.getpid()
    # a signal between the fork and the next lines would be noted in the pipe that is the runner's
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    pid = os.fork()
    if pid == 0:
        _work(run, masker, seal, runner, writer)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    os.close(writer)
    return pid, reader


def _work(run: RunDir, masker: Masker, seal: Seal, runner: int, writer: int) -> NoReturn:
    # signals stay blocked: Ctrl-C reaches the whole group, and only the runner decides
    signal.set_wakeup_fd(-1)
    try:
        die_with(runner)
        close_all_but(0, 1, 2, writer)
        told = _told(run, masker, seal)
        with open(writer, "wb") as file:
            file.write(json.dumps(told).encode())
    finally:
        os._exit(0)


def _told(run: RunDir, masker: Masker, seal: Seal) -> list[str]:
    """Seal; return what went wrong, or nothing, and after it what was warned of."""
    problem = ""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", HyperplaneWarning)
        try:
            seal(run, masker)
        except Exception as error:  # noqa: BLE001 - the job has succeeded: whatever it is, that is told
            problem = _sentence(run, error)
    return [problem, *(str(warning.message) for warning in caught)]


def _sentence(run: RunDir, error: Exception) -> str:
    if isinstance(error, OutputError):
        return str(error)
    reason = error.strerror if isinstance(error, OSError) else None
    return f"the outputs in {run.outputs} cannot be sealed: {reason or type(error).__name__}"


def _listen(reader: int, signals: Signals, patience_s: float) -> bytes | None:
    """Return all that is told, or None where a stop leaves no time for it."""
    told = b""
    interrupts = 0
    give_up_at = None
    with selectors.DefaultSelector() as selector:
        selector.register(reader, selectors.EVENT_READ)
        selector.register(signals.descriptor, selectors.EVENT_READ)
        while True:
            interrupts += signals.read().count(signal.SIGINT)
            if signals.is_stop_requested and give_up_at is None:
                give_up_at = time.monotonic() + patience_s
            seconds_left = None if give_up_at is None else give_up_at - time.monotonic()
            if interrupts > 1 or (seconds_left is not None and seconds_left <= 0):
                return None
            if any(key.fd == reader for key, _ in selector.select(seconds_left)):
                data = os.read(reader, _READ_BYTES)
                told += data
                if not data:
                    return told
