"""Runs job scripts as processes of their own, as users do, and sends them signals."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass

PATIENCE_S = 30


@dataclass(frozen=True)
class Ended:
    """How a script ended; `seconds` is the time from the first signal, or the start, to the end."""

    code: int
    out: str
    err: str
    seconds: float


def start(script, *arguments, **variables):
    """Start a script with further environment variables; its streams are pipes of text."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), *arguments],
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(script, *arguments, **variables):
    """Run a script to its end."""
    begun = time.monotonic()
    return _ended(start(script, *arguments, **variables), begun)


def signalled(script, *numbers, **variables):
    """Run a script that says "ready" once for each signal that it is to be sent then; by default SIGTERM."""
    process = start(script, **variables)
    begun = None
    said = []
    for number in numbers or (signal.SIGTERM,):
        said.append(_read_until_ready(process))
        begun = begun or time.monotonic()
        process.send_signal(number)
    ended = _ended(process, begun)
    return Ended(ended.code, "".join(said) + ended.out, ended.err, ended.seconds)


def _read_until_ready(process):
    said = ""
    for line in process.stdout:
        if line == "ready\n":
            return said
        said += line
    raise AssertionError(f"the script never got ready: {said}\n{process.communicate(timeout=PATIENCE_S)[1]}")


def _ended(process, begun):
    try:
        out, err = process.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return Ended(process.returncode, out, err, time.monotonic() - begun)
