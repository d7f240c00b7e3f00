"""A polite guest: what a context leaves alone in the process of its user."""

import builtins
import logging
import signal
import sys
import threading
import warnings

import pytest
import structlog

from hyperplane import JobContext


@pytest.fixture
def busy_context(capsys):
    """Return a function that uses everything a context has, and closes it."""

    def use():
        with JobContext(environ={}, secrets={"db": "opensesame"}) as context:
            context.log.info("hello")
            context.report("hello")
            context.metric("loss", 0.5)
            context.on_stop(print)
            context.outputs.write_text("a.txt", context.secrets["db"])
            assert not context.stopping
            context.explain()

    return use


def test_standard_library_logging_is_untouched(busy_context):
    """The root logger has no handler more and the level that it had."""
    before = list(logging.root.handlers), logging.root.level, logging.getLogger("hyperplane").handlers
    busy_context()
    assert before == (logging.root.handlers, logging.root.level, logging.getLogger("hyperplane").handlers)


def test_the_users_structlog_configuration_is_untouched(busy_context):
    """Our logger has a configuration of its own, and takes nothing from theirs."""
    theirs = {"processors": [lambda *arguments: pytest.fail("their processor saw our line")]}
    structlog.configure(**theirs)
    before = structlog.get_config()
    busy_context()
    assert before == structlog.get_config()
    structlog.reset_defaults()


def test_nothing_of_the_interpreter_is_replaced(busy_context):
    """`print`, `sys.exit`, the hooks and the warning filters are those that were there."""

    def taken():
        hooks = sys.excepthook, sys.unraisablehook, threading.excepthook, sys.stdout, sys.stderr
        return builtins.print, builtins.__import__, sys.exit, *hooks, list(warnings.filters)

    before = taken()
    busy_context()
    assert before == taken()


def test_signal_handlers_are_as_before(busy_context):
    """After the block every signal has the handler that it had."""
    before = [signal.getsignal(number) for number in signal.valid_signals()]
    busy_context()
    assert before == [signal.getsignal(number) for number in signal.valid_signals()]


def test_only_the_stop_signals_are_taken_inside_the_block():
    """SIGTERM is ours in the block; every other signal stays as it was."""
    before = {number: signal.getsignal(number) for number in signal.valid_signals()}
    with JobContext(environ={}):
        changed = {number for number in before if signal.getsignal(number) is not before[number]}
    assert {signal.SIGTERM} == {number for number in changed if number < signal.SIGRTMIN}


def test_making_a_context_starts_no_thread(busy_context):
    """Forking stays safe: a thread runs only when the job was asked to stop, or has a deadline."""
    before = threading.active_count()
    with JobContext(environ={}) as context:
        assert not context.stopping
        assert before == threading.active_count()


def test_leaving_leaves_no_file_behind(tmp_path):
    """A context that wrote no output leaves the working folder as it was."""
    with JobContext(environ={}, secrets={"db": "opensesame"}) as context:
        context.secrets.path("db")
        context.metric("loss", 0.5)
    assert [] == list((tmp_path / "work").iterdir())
