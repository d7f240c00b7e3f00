"""Which context is current: of this task, of this thread, of the process."""

import asyncio
import threading

import pytest

import hyperplane
from hyperplane import JobContext, NoContextError, current_context


@pytest.fixture
def contexts():
    """Three contexts that nobody has entered."""
    return [JobContext(environ={}, job=hyperplane.Job(id=name, run_id=name, name=name)) for name in "abc"]


def test_without_an_open_context_there_is_none():
    """The error says where to get one."""
    with pytest.raises(NoContextError, match=r"with hyperplane\.JobContext"):
        current_context()


def test_making_a_context_does_not_make_it_current(contexts):
    """Only `with` does."""
    with pytest.raises(NoContextError):
        current_context()


def test_the_innermost_open_context_is_current(contexts):
    """Each `with` hides the one around it until it is left."""
    outer, inner, _ = contexts
    with outer:
        with inner:
            assert current_context() is inner
        assert current_context() is outer


def test_contexts_may_be_closed_in_any_order(contexts):
    """Whichever of them is left, the innermost of those still open is current."""
    first, second, third = contexts
    for context in contexts:
        context.__enter__()
    second.__exit__(None, None, None)
    assert current_context() is third
    first.__exit__(None, None, None)
    assert current_context() is third
    third.__exit__(None, None, None)
    with pytest.raises(NoContextError):
        current_context()


def test_a_context_is_left_when_the_block_fails(contexts):
    """An exception leaves no context current behind."""
    with pytest.raises(ZeroDivisionError), contexts[0]:
        1 / 0  # noqa: B018 - the error is the point
    with pytest.raises(NoContextError):
        current_context()


def test_a_context_may_be_left_twice(contexts):
    """The second time there is nothing to leave, and nothing is raised."""
    outer, inner, _ = contexts
    with outer:
        for _ in range(2):
            inner.__exit__(None, None, None)
        assert current_context() is outer


def test_threads_inherit_nothing_but_see_the_first_entered(contexts):
    """A thread that entered none sees the first that the process has entered and not left."""
    first, second, _ = contexts
    first.__enter__()
    with second:
        assert first is _in_a_thread(current_context)
        first.__exit__(None, None, None)
        assert second is _in_a_thread(current_context)


def test_a_thread_sees_the_context_that_it_entered_itself(contexts):
    """What a thread enters is current there, and nowhere else."""
    first, second, _ = contexts

    def enter_and_look():
        with second:
            return current_context()

    with first:
        assert second is _in_a_thread(enter_and_look)
        assert current_context() is first


def test_tasks_inherit_the_context_around_them(contexts):
    """An asyncio task sees the innermost context of where it was started."""
    outer, inner, _ = contexts

    async def look():
        return current_context()

    async def start():
        with inner:
            task = asyncio.create_task(look())
        return await asyncio.create_task(look()), await task

    with outer:
        assert (outer, outer) == asyncio.run(start())


def test_tasks_do_not_see_each_others_contexts(contexts):
    """Two tasks with a context each have their own while both are open."""
    first, second, _ = contexts

    async def enter_and_look(context, both_are_open):
        with context:
            await both_are_open.wait()
            return current_context()

    async def start():
        both_are_open = asyncio.Barrier(2)
        return await asyncio.gather(*(enter_and_look(context, both_are_open) for context in (first, second)))

    assert [first, second] == asyncio.run(start())


def test_a_context_can_be_left_in_another_task_than_it_was_entered_in(contexts):
    """Leaving it elsewhere raises nothing, and the task it was entered in sees that it is closed."""
    outer, inner, _ = contexts

    async def leave():
        inner.__exit__(None, None, None)

    async def start():
        inner.__enter__()
        await asyncio.create_task(leave())
        return current_context()

    with outer:
        assert outer is asyncio.run(start())


def _in_a_thread(call):
    answers = []
    thread = threading.Thread(target=lambda: answers.append(call()))
    thread.start()
    thread.join()
    return answers[0]
