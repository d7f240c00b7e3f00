"""Runs a test's work in mount namespaces of its own, where disks can be filled, cut off and locked."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

HERE = Path(__file__).parent
PRELUDE = """
import os, signal, subprocess, sys, time
from pathlib import Path
from deliveries import *
from hyperplane.rundir import Home
from hyperplane.runs import record
place = FolderPlace(Path(sys.argv[1]) / "there")

def sh(command):
    subprocess.run(command, shell=True, check=True)

def start(**variables):
    told = {"HYPERPLANE_OUTPUT_URL": place.url, "HYPERPLANE_JOB_ID": "job", **variables}
    return subprocess.Popen(
        [*COMMAND, "run", sys.executable, "job.py"], env={**os.environ, **told}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )

def check(run, code, sealed):
    check_invariants(
        run, place, exit_code=code, sealed=sealed, deliver=lambda: deliver(run), secrets=()
    )

def deliver(run):
    return run_command("deliver", run.run_id)
"""


def run_in_mounts(script, folder, *arguments, timeout=250):
    """Run a script as root in a mount namespace of its own; its words begin with the helpers above."""
    places = os.pathsep.join((str(HERE), str(HERE.parent)))
    own_mounts = ("unshare", "-m", "--propagation", "private")
    words = [*own_mounts, sys.executable, "-c", PRELUDE + textwrap.dedent(script)]
    done = subprocess.run(
        [*words, str(folder), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": places},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        cwd=folder,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
