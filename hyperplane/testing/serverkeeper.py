"""Keeps a server running for as long as the process that started this script wants it, or lives."""

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1
LAST_WORDS_BYTES = 2000
_POLL_S = 0.2


def main() -> int:
    """Run the server that the first line of stdin describes, and print its last words when it has ended.

    The line is JSON: `command` and `variables` of the server; its `folder`, where it runs and logs; and
    `leftovers`, the files that it leaves elsewhere. Anything further on stdin, its end, or the end of
    our parent, ends the server.
    """
    starter = os.getppid()
    if task := sys.stdin.buffer.readline():
        sys.stdout.write(keep(json.loads(task), starter))
    return 0


def keep(task: dict[str, Any], starter: int) -> str:
    """Run a server until it or its starter ends; return its last words, with nothing of it left."""
    log = Path(task["folder"], "server.log")
    try:
        with log.open("wb") as stream, _started(task, stream) as server:
            while server.poll() is None and not _is_over(starter):
                pass
            server.kill()
        return log.read_bytes()[-LAST_WORDS_BYTES:].decode(errors="replace")
    finally:
        shutil.rmtree(task["folder"], ignore_errors=True)
        for path in task["leftovers"]:
            with contextlib.suppress(OSError):
                Path(path).unlink()


def _started(task: dict[str, Any], log: Any) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        task["command"],
        env=task["variables"],
        cwd=task["folder"],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        preexec_fn=partial(_die_with, os.getpid()),  # noqa: PLW1509 - this process has one thread
    )


def _is_over(starter: int) -> bool:
    ready, _, _ = select.select([sys.stdin], [], [], _POLL_S)
    # children of the starter may hold the other end of stdin open when it has died
    return bool(ready) or os.getppid() != starter


def _die_with(keeper: int) -> None:  # pragma: no cover - runs between fork and exec
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != keeper:
        os._exit(128 + signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
