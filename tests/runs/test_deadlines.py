"""Callbacks at their time."""

import time

from hyperplane.runs.deadlines import Deadlines


def test_what_is_due_is_called_once():
    """A callback runs when its time has come, and not again."""
    called = []
    deadlines = Deadlines()
    deadlines.set("a", 0, lambda: called.append("a"))
    deadlines.set("b", 60, lambda: called.append("b"))
    deadlines.run_due()
    deadlines.run_due()
    assert called == ["a"]


def test_setting_a_name_again_moves_it():
    """Only the later time counts."""
    called = []
    deadlines = Deadlines()
    deadlines.set("a", 0, lambda: called.append("first"))
    deadlines.set("a", 60, lambda: called.append("second"))
    deadlines.run_due()
    assert called == []
    assert 59 < deadlines.seconds_to("a") <= 60


def test_callback_that_cancels_another_due_one_wins():
    """What an earlier callback called off does not run any more."""
    called = []
    deadlines = Deadlines()
    deadlines.set("a", 0, lambda: deadlines.cancel("b"))
    deadlines.set("b", 0, lambda: called.append("b"))
    deadlines.run_due()
    assert called == []
    assert "b" not in deadlines


def test_wait_is_until_the_next_one():
    """There is no wait without a callback, and none below zero."""
    deadlines = Deadlines()
    assert deadlines.seconds_to_next() is None
    assert deadlines.seconds_to("a") == 0
    deadlines.set("a", 60, time.time)
    deadlines.set("b", -1, time.time)
    assert deadlines.seconds_to_next() == 0
