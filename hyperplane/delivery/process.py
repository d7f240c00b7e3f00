"""The process that delivers: started by exec, told on stdin what to do, and gone when that closes."""

import gc
import json
import os
import queue
import signal
import sys
import threading
from contextlib import closing
from typing import Any, BinaryIO

from hyperplane.delivery.brief import Brief
from hyperplane.delivery.deliverer import Deliverer, Ending
from hyperplane.delivery.places import prefix_of
from hyperplane.errors import HyperplaneError
from hyperplane.masking import Masker

POLL_S = 0.2
# What is kept of 100,000 outputs is in no cycle: looking for cycles in it all again and again takes a second.
GARBAGE_THRESHOLD = 50_000
_DEAF_TO = ("SIGINT", "SIGTERM", "SIGHUP")


def main() -> None:
    """Deliver one run as its holder orders, a line of JSON each; answer in the same way on stdout."""
    for name in _DEAF_TO:  # whoever started us decides
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    gc.set_threshold(GARBAGE_THRESHOLD)
    # not `sys.stdin`, for whose lock, held by the thread that reads, Python would wait at the end
    orders = open(0, "rb", closefd=False)  # noqa: SIM115 - it stays open until the end
    masker = Masker()
    try:
        deliverer, url = _make(Brief.parse(orders.readline()), masker)
        with closing(deliverer):
            _serve(deliverer, url, _watched(orders))
    except Exception as error:  # noqa: BLE001 - whatever it is, the run waits to be delivered, and that is said
        _tell(_failure(error, masker))


def _make(brief: Brief, masker: Masker) -> tuple[Deliverer, str]:
    run = brief.run_dir
    destination = brief.open(masker).below(prefix_of(run))
    return Deliverer(run, destination, brief.outputs_dir, masker), brief.url


def _watched(orders: BinaryIO) -> "queue.Queue[dict[str, Any]]":
    """Return a queue of the orders that come; when their source ends, so does this process, at once."""
    waiting: queue.Queue[dict[str, Any]] = queue.Queue()

    def watch() -> None:
        for line in orders:
            waiting.put(json.loads(line))
        # whatever was under way is done again by the next deliverer
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()
    return waiting


def _serve(deliverer: Deliverer, url: str, orders: "queue.Queue[dict[str, Any]]") -> None:
    while True:
        try:
            order = orders.get(timeout=POLL_S)
        except queue.Empty:
            deliverer.step()
            continue
        match order:
            case {"begin": _}:
                deliverer.begin(url, deliverer.run.record.read_bytes())
                _tell({"kind": "ready"})
            case {"record": record, "is_complete": is_complete}:
                done = deliverer.finish(Ending(record, is_complete), _progress)
                _tell({"kind": "delivered", "summary": done.summary, "problems": done.problems})
                return


def _progress(files: int, all_files: int, size_bytes: int, all_bytes: int) -> None:
    told = {"files": files, "all_files": all_files, "bytes": size_bytes, "all_bytes": all_bytes}
    _tell({"kind": "progress", **told})


def _failure(error: Exception, masker: Masker) -> dict[str, Any]:
    if isinstance(error, HyperplaneError):
        message, hint = error.message, error.hint
    else:
        # its own text may hold anything
        reason = error.strerror if isinstance(error, OSError) else None
        message, hint = f"the delivery failed: {reason or type(error).__name__}", ""
    return {"kind": "failed", "message": masker.mask(message), "hint": masker.mask(hint)}


def _tell(answer: dict[str, Any]) -> None:
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
