"""What a whole process costs: time, CPU and memory."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# a process of its own, and a small one: Linux counts what a process was before exec among its peak memory
_LAUNCHER = """
import json, os, sys, time
began = time.perf_counter()
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(pid, 0)
wall = time.perf_counter() - began
cost = {"wall": wall, "cpu": usage.ru_utime + usage.ru_stime, "mib": usage.ru_maxrss / 1024}
print(json.dumps({"code": os.waitstatus_to_exitcode(status), **cost}), file=sys.stderr)
"""


@dataclass(frozen=True)
class Cost:
    """Seconds from start to end, seconds of CPU in the process, and its peak memory in MiB."""

    wall: float
    cpu: float
    mib: float


def cost_of(command: Sequence[str], variables: Mapping[str, str]) -> Cost:
    """Run a command with exactly these variables, and return what it cost. It must succeed."""
    launcher = [sys.executable, "-I", "-S", "-c", _LAUNCHER, *command]
    ended = subprocess.run(
        launcher,
        env=dict(variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=True,
    )
    *said, last = ended.stderr.splitlines()
    report = json.loads(last)
    if report.pop("code") != 0:
        raise AssertionError(f"{command} failed:\n" + "\n".join(said[-5:]))
    return Cost(**report)
