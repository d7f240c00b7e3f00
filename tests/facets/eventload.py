"""Many threads and processes that write events at once, and what became of these."""

import multiprocessing
import secrets
import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from hyperplane import journal
from hyperplane.facets.events import Events
from hyperplane.journal import Journal
from hyperplane.masking import Masker

SECRETS = 50


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many events were written and how many of them cannot be read, or are not in their order."""

    written: int
    read: int
    torn: int
    disordered: int
    seconds: float

    @property
    def lost(self):
        """How many events are not there."""
        return self.written - self.read


def run_load(path, count, *, processes, threads):
    """Write about that many metrics, the same number from every thread of every process, and read them."""
    each = count // (processes * threads)
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(processes + 1)
    workers = [context.Process(target=_work, args=(path, ready, threads, each)) for _ in range(processes)]
    for worker in workers:
        worker.start()
    ready.wait(60)
    started = time.perf_counter()
    for worker in workers:
        worker.join()
    seconds = time.perf_counter() - started
    return _read(path, each * processes * threads, seconds)


def _work(path, ready, threads, each):
    masker = Masker()
    masker.add_all({f"secret-{number}": secrets.token_hex(16) for number in range(SECRETS)})
    events = Events(Journal(path, masker), masker=masker)
    masker.mask("compiled before the start")
    ready.wait(60)
    running = [threading.Thread(target=_measure, args=(events, number, each)) for number in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()


def _measure(events, thread, each):
    for step in range(each):
        events.metric(f"loss-{thread}", step / 7, step=step)


def _read(path, written, seconds):
    lines = Path(path).read_bytes().splitlines(keepends=True)
    events = [journal.parse_line(line) for line in lines]
    whole = [event for event in events if event is not None]
    steps, sequences = defaultdict(list), defaultdict(list)
    for event in whole:
        steps[event["pid"], event["name"]].append(event["step"])
        sequences[event["pid"]].append(event["seq"])
    orders = [*steps.values(), *sequences.values()]
    return Outcome(
        written=written,
        read=len(whole),
        torn=len(events) - len(whole),
        disordered=sum(order != sorted(order) for order in orders),
        seconds=seconds,
    )
