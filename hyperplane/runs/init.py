"""What the first process of a container owes to all others: their ends noticed, its signals passed on."""

import os
import signal
from typing import NoReturn

_FIRST = 1
# nobody outside can answer these for us
_OWN = frozenset({signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD})


def become_init() -> None:
    """Where this is process 1, go on in a child, and stay behind to reap what falls to process 1."""
    if os.getpid() != _FIRST:
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return
    _attend(child)


def _attend(child: int) -> NoReturn:
    """Pass signals on to the child, and reap whatever ends; its own end is ours."""
    while True:
        told = signal.sigwaitinfo(signal.valid_signals())
        if told.si_signo == signal.SIGCHLD:
            _reap(child)
        # what a terminal sends (a positive code), it sends to the child as well
        elif told.si_code <= 0 and told.si_signo not in _OWN:
            os.kill(child, told.si_signo)


def _reap(child: int) -> None:
    while True:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            os._exit(128 - code if code < 0 else code)
