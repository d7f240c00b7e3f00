"""The one line that tells how a run went and where its outputs lie."""

import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hyperplane.rundir import RunDir
from hyperplane.runs.record import RunRecord

if TYPE_CHECKING:
    from hyperplane.runs.supervise import Ending


def closing_line(
    record: RunRecord, run: RunDir, ending: "Ending", lacking: Sequence[str] = (), delivered: str = ""
) -> str:
    """Return the outcome, how long it took, the run's id and the folder of its outputs.

    `lacking`: why a success is not a plain one. `delivered`: what is at the destination, where it is.
    """
    took = duration_text(record.duration_s or 0.0)
    but = f", but {' and '.join(lacking)} (exit code {record.exit_code})" if lacking else ""
    outcome = _outcome(ending) + but
    return f"hyperplane: {outcome} after {took}; run {run.run_id}; outputs in {near(run.outputs)}{delivered}"


def _outcome(ending: "Ending") -> str:
    if ending.cause == "timeout":
        return f"failed: out of time (exit code {ending.exit_code})"
    if ending.outcome == "stopped":
        by = signal.Signals(ending.signal).name if ending.signal is not None else "itself"
        own = ending.job_exit_code
        is_usual = own in {0, ending.exit_code, 128 + (ending.signal or 0), 128 + signal.SIGKILL}
        return f"stopped by {by}" + ("" if is_usual else f" (the job itself ended with {own})")
    if ending.outcome == "failed":
        return f"failed with exit code {ending.exit_code}{_signal_name(ending.exit_code)}"
    return "succeeded"


def _signal_name(exit_code: int) -> str:
    number = exit_code - 128
    return f" ({signal.Signals(number).name})" if number in signal.valid_signals() and number > 0 else ""


def duration_text(seconds: float) -> str:
    """Return a duration as people say it: `3.2 s`, `2 min 3 s`, `1 h 2 min`."""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def near(path: Path) -> str:
    """Return a path from the working directory where it lies below that, else in full."""
    try:
        return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)
    except FileNotFoundError:  # the job has removed the working directory
        return str(path)
