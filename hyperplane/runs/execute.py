"""Runs one command in its run folder to the end: captured, guarded, supervised."""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hyperplane import journal
from hyperplane.errors import EXIT_STOPPED
from hyperplane.masking import Masker
from hyperplane.rundir import RunDir
from hyperplane.runs.capture import Pump
from hyperplane.runs.live import Live
from hyperplane.runs.process import Guard, JobProcess, Streams
from hyperplane.runs.record import Git
from hyperplane.runs.signals import Signals
from hyperplane.runs.supervise import EXIT_INTERRUPTED, Ending, Supervisor

if TYPE_CHECKING:
    from hyperplane.runs.git import GitProbe
    from hyperplane.runs.progress import ProgressBar


class Execution(NamedTuple):
    """What is executed, and its limits."""

    run: RunDir
    command: tuple[str, ...]
    variables: Mapping[str, str]
    folder: Path
    stdin: int
    terminal: int | None
    grace_s: float
    timeout_s: float | None


class Result(NamedTuple):
    """How the job ended, what was at fault with its streams, and the commit it ran from."""

    ending: Ending
    is_output_stored: bool
    problems: tuple[str, ...]
    git: Git | None


def execute(
    execution: Execution,
    *,
    guard: Guard,
    masker: Masker,
    signals: Signals,
    on_git: Callable[[Git | None], object],
    on_stop: Callable[[str], object],
) -> Result:
    """Run the command until nothing of it is alive, which the guard sees to when we die.

    `on_git`: called while it runs, once git has answered. `on_stop`: called with the reason when the job
    is asked to end. Raises `RunnerError` when it cannot be started.
    """
    with ExitStack() as stack:
        lives = Live(1), Live(2)
        for live in lives:
            stack.callback(live.close)
        stack.enter_context(_terminal_kept(execution.terminal))
        process, pumps = _start(execution, guard, lives, masker)
        with _killed_on_error(process):
            supervisor = Supervisor(
                process,
                pumps,
                signals,
                grace_s=execution.grace_s,
                timeout_s=execution.timeout_s,
                on_stop=on_stop,
            )
            probe = _ask_git(execution, supervisor, on_git)
            bar = _draw_progress(execution, supervisor, lives)
            ending = _told_by_terminal(supervisor.run(), execution.terminal)
            ending = _told_by_job(ending, execution.run)
        if bar is not None:
            bar.close()
        git = probe.finish() if probe is not None else None
        _finish_line(lives)
        is_output_stored = not any(pump.log.problem for pump in pumps)
        problems = dict.fromkeys(problem for pump in pumps for problem in pump.problems())
    return Result(ending, is_output_stored, tuple(problems), git)


def _start(
    execution: Execution, guard: Guard, lives: tuple[Live, Live], masker: Masker
) -> tuple[JobProcess, tuple[Pump, ...]]:
    run = execution.run
    stdout, stdout_writer = Pump.to(run.stdout_log, live=lives[0], masker=masker)
    stderr, stderr_writer = Pump.to(run.stderr_log, live=lives[1], masker=masker)
    streams = Streams(
        stdin=execution.stdin, stdout=stdout_writer, stderr=stderr_writer, terminal=execution.terminal
    )
    try:
        process = JobProcess.start(
            execution.command,
            variables=execution.variables,
            folder=execution.folder,
            streams=streams,
            guard=guard,
        )
    except BaseException:  # whatever it is, the logs are closed
        for pump in (stdout, stderr):
            pump.close()
        raise
    finally:
        # the stream ends when the job and its children have closed theirs
        os.close(stdout_writer)
        os.close(stderr_writer)
    return process, (stdout, stderr)


@contextlib.contextmanager
def _killed_on_error(process: JobProcess) -> Iterator[None]:
    try:
        yield
    except BaseException:  # a job that nobody watches must not go on
        process.kill()
        process.end_group()
        raise


@contextlib.contextmanager
def _terminal_kept(terminal: int | None) -> Iterator[None]:
    """Have the terminal back after the job, in the state it was in before."""
    if terminal is None:
        yield
        return
    import termios

    state = termios.tcgetattr(terminal)
    # we are in the background while the job has the terminal, and would be stopped for writing to it
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
    try:
        yield
    finally:
        os.tcsetpgrp(terminal, os.getpgrp())
        termios.tcsetattr(terminal, termios.TCSANOW, state)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _is_in_repository(folder: Path) -> bool:
    return any((place / ".git").exists() for place in (folder, *folder.parents))


def _told_by_terminal(ending: Ending, terminal: int | None) -> Ending:
    """Count Ctrl-C as a stop where the terminal sent it to the job alone."""
    if terminal is not None and ending.job_exit_code == EXIT_INTERRUPTED:
        return ending._replace(cause="stop", signal=signal.SIGINT)
    return ending


def _told_by_job(ending: Ending, run: RunDir) -> Ending:
    """Count as a stop that the job says it was stopped: by its platform, or near its deadline."""
    is_stop = ending.cause == "itself" and ending.job_exit_code == EXIT_STOPPED and run.events.is_file()
    if is_stop and any(event["kind"] == "stop" for event in journal.read(run.events)):
        return ending._replace(cause="stop")
    return ending


def _ask_git(
    execution: Execution, supervisor: Supervisor, on_git: Callable[[Git | None], object]
) -> "GitProbe | None":
    # most of git's time is its start, which is saved where there is nothing to ask
    if not _is_in_repository(execution.folder):
        return None
    from hyperplane.runs.git import GitProbe

    probe = GitProbe.start(execution.folder, execution.variables)
    if probe is None:
        return None

    def listen() -> None:
        if not probe.read():
            supervisor.forget(probe.descriptor)
            on_git(probe.finish())

    supervisor.watch(probe.descriptor, listen)
    return probe


def _draw_progress(
    execution: Execution, supervisor: Supervisor, lives: tuple[Live, Live]
) -> "ProgressBar | None":
    live = lives[1]
    # an interactive job has the screen for itself
    if not live.is_terminal or execution.terminal is not None:
        return None
    from hyperplane.runs.progress import EVERY_S, ProgressBar

    bar = ProgressBar(execution.run.events, live, lives)
    supervisor.call_every(EVERY_S, bar.tick)
    return bar


def _finish_line(lives: tuple[Live, Live]) -> None:
    if lives[1].is_terminal and any(live.is_terminal and not live.is_at_line_start for live in lives):
        lives[1].draw(b"\n")
