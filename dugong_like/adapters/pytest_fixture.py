"""The fixture of pytest: found by its entry point, without an import in the tests.

pytest loads this file, and with it ``import dugong_like``, in each run of each project where the
library is installed. The client is imported when a test asks for the fixture.

Not here: the dispatcher (client/dispatchers/mock.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..client.dispatchers.mock import MockDispatcher


@pytest.fixture
def mock_dispatcher() -> Iterator[MockDispatcher]:
    """A `MockDispatcher`, which is checked when the test has passed: all that was expected came."""
    from ..client.dispatchers.mock import MockDispatcher  # noqa: PLC0415 - for those who want it

    mock = MockDispatcher()
    yield mock
    mock.check()
