"""Any order of writing, sealing, removing, failing, dying and delivering: I1 to I6 after every step.

HYPERPLANE_LONG_MACHINE=1 runs 2,000 examples of 50 steps; otherwise it is a few.
"""

import os
import shutil
import tempfile
from pathlib import Path

import hypothesis.strategies as st
import pytest
from deliveries import FolderPlace, LocalRun, check_begun, check_there
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hyperplane.delivery.deliverer import Deliverer
from hyperplane.delivery.folder import FolderDestination
from hyperplane.delivery.places import prefix_of
from hyperplane.errors import HyperplaneError, StoreError
from hyperplane.rundir import Home

IS_LONG = os.environ.get("HYPERPLANE_LONG_MACHINE") == "1"
NAMES = st.sampled_from(["a", "b", "sub/c", "sub/d"])
TEXTS = st.text("xyz", max_size=4)
FAULTS = st.sampled_from(["refused", "killed before", "killed after", "lost"])


class Killed(BaseException):
    """The deliverer ends here, and does nothing any more."""


class FaultyFolder(FolderDestination):
    """A folder whose n-th change fails in some way."""

    fault, left = "", 0

    def put_chunks(self, path, chunks):
        self._change(lambda: super(FaultyFolder, self).put_chunks(path, chunks))

    def create(self, path, data):
        self._change(lambda: super(FaultyFolder, self).create(path, data))

    def delete(self, paths):
        self._change(lambda: super(FaultyFolder, self).delete(paths))

    def _change(self, act):
        cls = FaultyFolder
        cls.left -= 1
        if not cls.fault or cls.left >= 0:
            return act()
        if cls.fault == "killed before":
            raise Killed
        if cls.fault != "refused":
            act()
        if cls.fault == "killed after":
            raise Killed
        raise StoreError("it is refused, or its reply was lost")


class Delivering(RuleBasedStateMachine):
    """One run from its begin to its end, and its destination."""

    def __init__(self):
        super().__init__()
        self.base = Path(tempfile.mkdtemp(prefix="machine-", dir="/dev/shm" if IS_LONG else None))
        self.place = FolderPlace(self.base / "there")
        self.run = LocalRun(Home.of(self.base))
        self.sealed = {}
        self.files = {}
        self.ending = None
        self.deliverer = None
        self.is_said = False
        FaultyFolder.fault = ""

    def teardown(self):
        """Bring it to its end without faults, and look at all of it."""
        FaultyFolder.fault = ""
        if self.ending is None:
            self.end(False)
        for _ in range(3):
            self.deliver()
        assert self.is_said
        there = self.run.there(self.place)
        check_there(there)
        for name, data in self.sealed.items():
            if data is not None:
                assert there[f"outputs/{name}"] == data
        if self.ending.is_complete:
            outputs = {path: data for path, data in there.items() if path.startswith("outputs/")}
            assert {f"outputs/{name}": data for name, data in self.files.items()} == outputs
        for thing in (self.run.outputs, self.run.journal, self.run.lock):
            thing.close()
        shutil.rmtree(self.base)

    @property
    def is_running(self):
        return self.ending is None

    @precondition(lambda self: self.is_running)
    @rule(name=NAMES, text=TEXTS)
    def write_sealed(self, name, text):
        """Write an output, which is sealed."""
        self.run.outputs.write_text(name, text)
        self.files[name] = self.sealed[name] = text.encode()

    @precondition(lambda self: self.is_running)
    @rule(name=NAMES, text=TEXTS)
    def append(self, name, text):
        """Add to a file, unsealed: what was sealed of it stays the beginning."""
        self.run.outputs.append(name, text)
        self.files[name] = self.files.get(name, b"") + text.encode()

    @precondition(lambda self: self.is_running)
    @rule(name=NAMES, text=TEXTS)
    def overwrite(self, name, text):
        """Write over a file past our back: a version that was sealed and not sent is the job's own loss."""
        path = self.run.outputs.path(name)
        path.write_text(text)
        self.files[name] = text.encode()
        if self.sealed.get(name) is not None and not text.encode().startswith(self.sealed[name]):
            self.sealed[name] = None

    @precondition(lambda self: self.is_running and self.files)
    @rule(data=st.data())
    def seal(self, data):
        """Seal a file as it is."""
        name = data.draw(st.sampled_from(sorted(self.files)))
        self.run.outputs.seal(name)
        self.sealed[name] = self.files[name]

    @precondition(lambda self: self.is_running and self.files)
    @rule(data=st.data())
    def remove(self, data):
        """Remove an output."""
        name = data.draw(st.sampled_from(sorted(self.files)))
        self.run.outputs.remove(name)
        self.files.pop(name)
        self.sealed.pop(name, None)

    @rule(fault=FAULTS, left=st.integers(0, 4))
    def fault_on(self, fault, left):
        """Let a later change of the destination fail."""
        FaultyFolder.fault, FaultyFolder.left = fault, left

    @rule()
    def fault_off(self):
        """Let nothing fail."""
        FaultyFolder.fault = ""

    @rule()
    def kill(self):
        """Kill the deliverer where it does nothing."""
        if self.deliverer is not None:
            self.deliverer.close()
            self.deliverer = None

    @precondition(lambda self: self.is_running)
    @rule()
    def step(self):
        """Send what was sealed, while the job runs."""
        self._work(self._step)

    def _step(self):
        self.deliverer._index_at = self.deliverer._retry_at = 0.0
        self.deliverer.step()

    @precondition(lambda self: self.is_running)
    @rule(is_success=st.booleans())
    def end(self, is_success):
        """End the job."""
        self.ending = self.run.ended(*(("succeeded", 0) if is_success else ("failed", 1)))
        if is_success:
            self.sealed = dict(self.files)

    @precondition(lambda self: not self.is_running)
    @rule()
    def deliver(self):
        """Deliver all of it."""

        def finish():
            self.deliverer.finish(self.ending)
            self.is_said = True

        self._work(finish)
        self.kill()

    def _work(self, act):
        if self.deliverer is None:
            place = FaultyFolder(self.place.url).below(prefix_of(self.run.run))
            place.__class__ = FaultyFolder
            self.deliverer = Deliverer(self.run.run, place, self.run.folder, self.run.masker)
        try:
            act()
        except Killed:
            self.kill()
        except HyperplaneError:
            return

    @invariant()
    def nothing_is_said_that_is_not_so(self):
        """I1, I2, I6: what is said is there, and every output is here too."""
        there = self.run.there(self.place)
        check_begun(there)
        assert not self.is_said or "final.json" in there
        for name, data in self.files.items():
            assert data == (self.run.folder / name).read_bytes()


TestDelivering = Delivering.TestCase
TestDelivering.settings = settings(
    max_examples=2000 if IS_LONG else 40,
    stateful_step_count=50 if IS_LONG else 25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=not IS_LONG,
)
TestDelivering.pytestmark = [pytest.mark.timeout(7200 if IS_LONG else 300)]
