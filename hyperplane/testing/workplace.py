"""Where a fake context keeps its runs: a temporary folder that goes when nobody needs it any more."""

import os
import shutil
import tempfile
import weakref
from pathlib import Path

from hyperplane.rundir import Home


class Workplace:
    """A temporary project folder, removed when the last holder of this object is gone."""

    def __init__(self) -> None:
        folder = Path(tempfile.mkdtemp(prefix="hyperplane-fake-"))
        self.home = Home.of(folder)
        weakref.finalize(self, _remove, folder, os.getpid())


def _remove(folder: Path, owner_pid: int) -> None:
    # a forked child that ends must not take the folder from its parent
    if os.getpid() == owner_pid:
        shutil.rmtree(folder, ignore_errors=True)
