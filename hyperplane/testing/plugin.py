"""The pytest plugin: the fixture `job_context`, and the marker that says what it is made with."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from hyperplane.testing.fake import FakeJobContext

MARKER = "job_context"

pytest.register_assert_rewrite("hyperplane.testing.conformance")


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known, for projects that are strict about theirs."""
    config.addinivalue_line("markers", f"{MARKER}(**keywords): make `job_context` with these keywords")


@pytest.fixture
def job_context(request: pytest.FixtureRequest) -> "Iterator[FakeJobContext[Any]]":
    """Give a `FakeJobContext`, closed after the test.

    `@pytest.mark.job_context(...)` on the test, its class or its module says with which keywords it
    is made; the nearest marker wins, keyword by keyword.
    """
    from hyperplane.testing.fake import FakeJobContext

    context: FakeJobContext[Any] = FakeJobContext(**_keywords_for(request.node))
    yield context
    context.close()


def _keywords_for(test: pytest.Item) -> dict[str, Any]:
    keywords: dict[str, Any] = {}
    for mark in reversed(list(test.iter_markers(MARKER))):
        if mark.args:
            raise pytest.UsageError(f"the marker {MARKER} takes keywords alone: those of FakeJobContext")
        keywords |= mark.kwargs
    return keywords
