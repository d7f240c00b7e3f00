"""The job's processes: started by exec in a group of their own, which does not outlive the runner."""

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, NoReturn, Self

from hyperplane.errors import RunnerError

EXIT_NOT_EXECUTABLE = 126
EXIT_NOT_FOUND = 127
PR_SET_PDEATHSIG = 1
STRAGGLER_PATIENCE_S = 1.0
KILL_PATIENCE_S = 2.0
_POLL_S = 0.005
_DISMISSED = b"dismissed\n"
# these pass no signal on while they wait for a child, whatever they catch
_SHELLS = frozenset({"sh", "ash", "bash", "busybox", "dash", "ksh", "mksh", "zsh"})


class Guard:
    """A forked process that outlives the runner just long enough to clean up after it.

    It waits on a pipe whose other end only the runner holds. When that closes without a word, it kills
    the groups whose ids were written to the pipe, and removes `remove`.
    """

    def __init__(self, pid: int, writer: int) -> None:
        self._pid = pid
        self.writer = writer

    @classmethod
    def start(cls, remove: Path) -> Self:
        """Fork the guard; it is in a session of its own, deaf to signals, and keeps no file open."""
        reader, writer = os.pipe()
        # blocked before the fork and never unblocked in the child: no signal for everybody ends the guard
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        pid = os.fork()
        if pid == 0:
            _keep_guard(reader, remove)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(reader)
        return cls(pid, writer)

    def dismiss(self) -> None:
        """End the guard; whatever still runs is left alone."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self.writer, _DISMISSED)
        os.close(self.writer)
        os.waitpid(self._pid, 0)


def _keep_guard(reader: int, remove: Path) -> NoReturn:
    try:
        # whoever kills our group or session must not take the guard along
        os.setsid()
        # and no file system is kept busy by it
        os.chdir("/")
        close_all_but(reader)
        told = b"".join(iter(partial(os.read, reader, 4096), b""))
        if not told.endswith(_DISMISSED):
            for group in told.split():
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(int(group), signal.SIGKILL)
            shutil.rmtree(remove, ignore_errors=True)
    finally:
        os._exit(0)


def close_all_but(*kept: int) -> None:
    """Close every descriptor of this process but those kept."""
    # a lock is held as long as any process has its file open, and a pipe is open as long
    for descriptor in [int(entry.name) for entry in Path("/dev/fd").iterdir()]:
        if descriptor not in kept:
            with contextlib.suppress(OSError):
                os.close(descriptor)


class Streams(NamedTuple):
    """The descriptors that the job gets as its standard streams; `terminal` is handed over to it."""

    stdin: int
    stdout: int
    stderr: int
    terminal: int | None = None


class JobProcess:
    """The job: a process that leads a group of its own, dying with the runner's main thread."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process
        self.pid = process.pid

    @classmethod
    def start(
        cls,
        command: Sequence[str],
        *,
        variables: Mapping[str, str],
        folder: Path,
        streams: Streams,
        guard: Guard,
    ) -> Self:
        """Start the command in a folder, with exactly these variables.

        Raises `RunnerError` with exit code 127 when there is no such command, 126 when it cannot be run.
        """
        is_interactive = streams.terminal is not None
        try:
            process = subprocess.Popen(
                command,
                env=dict(variables),
                cwd=folder,
                stdin=streams.stdin,
                stdout=streams.stdout,
                stderr=streams.stderr,
                start_new_session=not is_interactive,
                process_group=0 if is_interactive else None,
                preexec_fn=partial(_bind, os.getpid(), _prctl(), guard.writer, streams.terminal),  # noqa: PLW1509 - the runner has one thread here
            )
        except OSError as error:
            raise _start_error(command[0], folder, error) from error
        return cls(process)

    def has_ended(self) -> bool:
        """Say whether the leader has ended, without reaping it: its group's id stays taken."""
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return self._process.returncode is not None or os.waitid(os.P_PID, self.pid, options) is not None

    def reap(self) -> int:
        """Return the ended leader's exit code, 128 + N after signal N."""
        code = self._process.wait()
        return 128 - code if code < 0 else code

    def ask(self, number: int) -> None:
        """Pass a signal on: to the leader alone where it has a handler and is no shell, else to the group.

        A leader with a handler looks after its own children; data loaders that die before it would make
        a failure of what should be a stop.
        """
        is_in_charge = catches(self.pid, number) and not is_shell(self.pid)
        self._signal(os.kill if is_in_charge else os.killpg, number)

    def kill(self) -> None:
        """Kill the whole group."""
        self._signal(os.killpg, signal.SIGKILL)

    def end_group(
        self, patience_s: float = STRAGGLER_PATIENCE_S, *, meanwhile: Callable[[], object] = bool
    ) -> None:
        """Leave nothing of the group alive: SIGTERM to what the ended leader left behind, then SIGKILL.

        `patience_s`: between the two. `meanwhile`: called again and again while there is something left.
        """
        self._signal(os.killpg, signal.SIGTERM)
        # only now: until it is reaped, the leader's id can be nobody else's, nor the group's
        self.reap()
        if self._is_gone_within(patience_s, meanwhile):
            return
        self._signal(os.killpg, signal.SIGKILL)
        self._is_gone_within(KILL_PATIENCE_S, meanwhile)

    def _signal(self, send: Callable[[int, int], None], number: int) -> bool:
        try:
            send(self.pid, number)
        except (ProcessLookupError, PermissionError):  # gone, or another user's: nothing to be done
            return False
        return True

    def _is_gone_within(self, patience_s: float, meanwhile: Callable[[], object]) -> bool:
        give_up_at = time.monotonic() + patience_s
        while self._signal(os.killpg, 0):
            meanwhile()
            # the runner may be process 1, to which every orphan falls
            with contextlib.suppress(ChildProcessError):
                os.waitpid(-self.pid, os.WNOHANG)
            if time.monotonic() >= give_up_at:
                return False
            time.sleep(_POLL_S)
        return True


def catches(pid: int, number: int) -> bool:
    """Say whether a process has a handler for a signal; no where the system does not tell."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    caught = next((line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:")), "0")
    return bool(int(caught, 16) >> (number - 1) & 1)


def is_shell(pid: int) -> bool:
    """Say whether a process is a shell; no where the system does not tell."""
    try:
        return Path(f"/proc/{pid}/exe").readlink().name in _SHELLS
    except OSError:
        return False


def die_with(parent: int) -> None:
    """Have this process, a fork of `parent`, be killed when that dies."""
    if (prctl := _prctl()) is not None:  # pragma: no branch - another system
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # pragma: no cover - it died before the line above took effect
        os._exit(128 + signal.SIGKILL)


Prctl = Callable[[int, int], int]


def _prctl() -> Prctl | None:
    return ctypes.CDLL(None).prctl if sys.platform == "linux" else None


def _bind(  # pragma: no cover - between fork and exec, from where coverage cannot tell
    runner: int, prctl: Prctl | None, guard_writer: int, terminal: int | None
) -> None:
    """Tie the child to the runner; runs in the child, between fork and exec."""
    if prctl is not None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # the runner may have died before the line above took effect
    if os.getppid() != runner:
        os._exit(128 + signal.SIGKILL)
    # before exec, so that there is no moment in which the job has children that the guard knows nothing of
    os.write(guard_writer, b"%d\n" % os.getpid())
    if terminal is not None:
        # a group in the background is stopped when it takes the terminal, unless it blocks this
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
        os.tcsetpgrp(terminal, os.getpid())
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTTOU})
        # a stopped job would leave nobody at the terminal
        signal.signal(signal.SIGTSTP, signal.SIG_IGN)


def _start_error(name: str, folder: Path, error: OSError) -> RunnerError:
    if not folder.is_dir():
        return RunnerError(f"the folder {folder} is not there", hint="The job was to run in it.")
    if isinstance(error, FileNotFoundError):
        return not_found(name)
    return cannot_execute(name, error.strerror or str(error))


def cannot_execute(name: str, reason: str) -> RunnerError:
    """Return the error for a command that is there and cannot be executed, with the exit code of a shell."""
    return RunnerError(
        f"{name} cannot be run: {reason}",
        hint="It must be a program, or a script that begins like #!/bin/sh, and this user may execute it.",
        exit_code=EXIT_NOT_EXECUTABLE,
    )


def not_found(name: str, folder: Path | None = None) -> RunnerError:
    """Return the error for a command or script that does not exist, with the exit code of a shell.

    `folder`: where it was looked for before the PATH.
    """
    where = "" if os.sep in name else " on the PATH" if folder is None else f" in {folder}, nor on the PATH"
    return RunnerError(
        f"there is no {name}{where}",
        hint="Check the spelling; a path is taken from the folder of the job file.",
        exit_code=EXIT_NOT_FOUND,
    )
