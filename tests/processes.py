"""What tests do to processes: being an ordinary user for a moment, a fork, a look at what is open."""

import importlib
import os
import shutil
import signal
import tempfile
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65534


@contextmanager
def unprivileged():
    """Run the block as a user who may not read everything; a test that is no root's needs no change."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(before)
        # where the libraries may not be read by everybody, an import in the block has found nothing there
        importlib.invalidate_caches()


@contextmanager
def public_folder():
    """Give a folder that every user can reach, which pytest's own are not."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        for path in folder.rglob("*"):
            path.chmod(0o700)
        shutil.rmtree(folder)


def open_descriptors():
    """Return how many files this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def open_below(folder):
    """Return what this process has open in a folder, and the folder if it is."""
    targets = (number for number in Path("/proc/self/fd").iterdir())
    opened = [str(link.readlink()) for link in targets if link.is_symlink()]
    return [path for path in opened if Path(path).is_relative_to(folder)]


def exit_code_of_fork(action):
    """Return the exit code of a forked child that runs an action, and ends with 0 if it returns true."""
    pid = os.fork()
    if pid == 0:
        code = 1
        signal.alarm(20)  # a lock that is still held would wait for ever
        try:
            code = 0 if action() else 1
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def children_of(pid):
    """Return the children of a process."""
    found = [task.read_text().split() for task in Path(f"/proc/{pid}/task").glob("*/children")]
    return [int(child) for children in found for child in children]


def descendants(pid):
    """Return the children of a process, and theirs."""
    return [found for child in children_of(pid) for found in (child, *descendants(child))]
