"""How often a transfer goes on after a failure, and after which pause.

Not here: which failures these are (download.py).
"""

from __future__ import annotations

from typing import Final

from ...errors import ConnectionTimedOut, TransportError
from ...http.redaction import quoted
from ...polling.numbers import check_int
from ..layers.retry import OWN_LIMITS, Retry

RETRIES: Final = 5
# Bytes after which a transfer counts as one that works: so a large file may take any number of
# connections, and a server that ends each of them after a few bytes may not.
PROGRESS: Final = 16 << 20


class Budget:
    """The failures that a transfer may still have.

    Args:
        retry: of which ``total`` and the pauses count.

    """

    def __init__(self, retry: Retry) -> None:
        self._retry = retry
        self._failures = 0  # since the last progress
        self._mark = 0  # bytes

    def takes(self, count: int) -> bool:
        """Count a failure; return False if there may be no more.

        Args:
            count: bytes that were transferred so far.

        """
        if count - self._mark >= PROGRESS:
            self._failures = 0
            self._mark = count
        self._failures += 1
        return self._failures <= self._retry.total

    def pause(self) -> float:
        """Return the seconds to wait after the failure that was counted last."""
        return self._retry.pause(self._failures - 1)


def as_retry(value: object) -> Retry:
    """Return the argument *retries*, a number or a `Retry`, as a `Retry`.

    Raises:
        TypeError: it is neither.
        InvalidOption: it is negative.

    """
    if isinstance(value, Retry):
        return value
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"retries is a number, or Retry(…), not {quoted(value)}")
    check_int("retries", value, 0)
    return Retry(value)


def may_go_on(exc: TransportError) -> bool:
    """Return True if *exc* is a failure of the connection, and no limit of this program."""
    if isinstance(exc, ConnectionTimedOut) and exc.phase in OWN_LIMITS:
        return False
    return exc.retryable
