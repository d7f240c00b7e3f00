"""The process that delivers: it does as it is told, and whoever waits for it learns how it ended."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from faultys3 import hang

from hyperplane import DeliveryError
from hyperplane.delivery.brief import Brief
from hyperplane.delivery.handle import DeliveryProcess
from hyperplane.environment import Environment
from hyperplane.runs import record
from hyperplane.runs.delivering import Deadline, RunDelivery


def brief_of(run, place):
    """Return what a deliverer of a run is told."""
    environment = Environment.capture(place.variables, folder=Path.cwd())
    return Brief.of(run.run, place.url, run.folder, environment, {})


def test_a_deliverer_that_is_killed_is_noticed_at_once(faulty_place, local_run):
    """Who waits for it does not wait for ever."""
    faulty_place.server.add(hang(), operation="PutObject", key="*a.txt")
    local_run.outputs.write_text("a.txt", "a")
    process = DeliveryProcess.start(brief_of(local_run, faulty_place), local_run.lock)
    threading.Timer(2.0, os.kill, (process._process.pid, signal.SIGKILL)).start()
    with pytest.raises(DeliveryError, match="what delivers the run was killed"):
        process.finish(local_run.ended().record, is_complete=True)
    assert -signal.SIGKILL == process._process.returncode
    process.end()


def test_a_deliverer_that_is_killed_is_replaced_once(faulty_place, local_run):
    """Another one goes on; where that is killed too, the run waits."""
    faulty_place.server.add(hang(), operation="PutObject", key="*a.txt")
    local_run.outputs.write_text("a.txt", "a")
    local_run.ended()
    delivery = RunDelivery(brief_of(local_run, faulty_place), local_run.lock)
    killed = []

    def kill_both():
        while len(killed) < 2:
            time.sleep(1)
            pid = delivery._process._process.pid
            if pid not in killed:
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)

    killer = threading.Thread(target=kill_both)
    killer.start()
    with pytest.raises(DeliveryError, match="what delivers the run was killed"):
        delivery.finish(record.read(local_run.run), Deadline())
    killer.join()
    assert 2 == len(killed)
    delivery.close()


def test_a_deliverer_ends_by_itself(place, local_run):
    """Nobody waits for one that has delivered, or has to kill it."""
    local_run.outputs.write_text("a.txt", "a")
    process = DeliveryProcess.start(brief_of(local_run, place), local_run.lock)
    process.finish(local_run.ended().record, is_complete=True)
    assert 0 == process._process.returncode


def test_a_record_that_is_gone_is_said_in_words(folder_place, local_run):
    """An error of the system becomes a sentence, without a traceback."""
    process = DeliveryProcess.start(brief_of(local_run, folder_place), local_run.lock)
    with pytest.raises(DeliveryError, match="the delivery failed: No such file or directory"):
        process.begin()


def answers_of(*lines):
    """Return what the process answers to lines on its stdin."""
    done = subprocess.run(
        [sys.executable, "-m", "hyperplane.delivery.process"],
        input="".join(f"{line}\n" for line in lines),
        capture_output=True,
        text=True,
        timeout=30,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_brief_that_is_none_is_an_error_without_its_text():
    """Whatever was sent may hold secrets: only the kind of the error is told."""
    (answer,) = answers_of("sesame-opens-it")
    assert ("failed", "the delivery failed: JSONDecodeError") == (answer["kind"], answer["message"])


def test_an_unknown_order_is_passed_over(folder_place, local_run):
    """A deliverer does what it knows."""
    local_run.ended()
    process = DeliveryProcess.start(brief_of(local_run, folder_place), local_run.lock)
    process._order(b'{"unknown": 1}\n')
    process.begin()
    assert process._process.poll() is None
    process._process.stdin.close()
    assert 0 == process._process.wait(10)
    process.end()


def test_the_process_does_nothing_when_it_is_imported():
    """Only as a program it waits for orders."""
    from hyperplane.delivery import process

    assert callable(process.main)


def test_a_forked_child_leaves_the_deliverer_to_its_parent(folder_place, local_run):
    """The child has no way to it, and ends nothing."""
    local_run.ended()
    process = DeliveryProcess.start(brief_of(local_run, folder_place), local_run.lock)
    pid = os.fork()
    if pid == 0:
        process.end()
        os._exit(0)
    os.waitpid(pid, 0)
    process.begin()
    process.end()
