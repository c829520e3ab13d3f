"""A plug-in of pytest: a guard around a test, by a fixture.

It isn't loaded by itself: say ``pytest_plugins = ["interop.testing.plugin"]`` in the ``conftest.py`` at the root of
your tests, or ``-p interop.testing.plugin`` on the command line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import interop

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What the marker is called, whose keywords are :func:`interop.guard`'s.
MARKER = "interop_guard"


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", f"{MARKER}(copies=, transfers=, casts=): levels of the fixture {MARKER}")


@pytest.fixture
def interop_guard(request: pytest.FixtureRequest) -> Iterator[interop.Guard]:
    """Put a guard around a test, and give its record.

    The levels come from the marker ``interop_guard``; without one everything is allowed, and counted.

    Examples
    --------
    A test that says what it copies, and one in which nothing may be::

        def test_it_copies_once(interop_guard):
            run()
            assert interop_guard.copies == 1

        @pytest.mark.interop_guard(copies="disallow_explicit")
        def test_nothing_is_copied(interop_guard):
            run()
    """
    marker = request.node.get_closest_marker(MARKER)
    with interop.guard(**(marker.kwargs if marker is not None else {})) as record:
        yield record
