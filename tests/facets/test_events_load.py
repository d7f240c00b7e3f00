"""Events of many threads and processes at once; `tests/benchmarks/events.py` does more of the same."""

from eventload import run_load


def test_nothing_is_torn_lost_or_out_of_order(tmp_path):
    """Every event of every thread is read, and those of one thread and of one process are in their order."""
    outcome = run_load(tmp_path / "events.jsonl", 2400, processes=3, threads=8)

    assert (2400, 2400, 0, 0) == (outcome.written, outcome.read, outcome.torn, outcome.disordered)
