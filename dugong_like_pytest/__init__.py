"""The fixture of pytest: found by its entry point, without an import in the tests.

pytest loads this package in each run of each project where the library is installed. So it is none
of the library, and imports nothing of that until a test asks for the fixture.

Not here: the dispatcher (dugong_like/client/dispatchers/mock.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dugong_like import MockDispatcher


@pytest.fixture
def mock_dispatcher() -> Iterator[MockDispatcher]:
    """A `MockDispatcher`, which is checked when the test has passed: all that was expected came."""
    from dugong_like import MockDispatcher  # noqa: PLC0415 - for those who want it

    mock = MockDispatcher()
    yield mock
    mock.check()
