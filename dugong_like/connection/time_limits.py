"""The time limits of a session, as its operations look at them: those of `Timeouts`, taken apart.

A session has them as attributes of its own (shared.py), as it looks at them often. A user of a
session that others use as well has an object with them instead.

Not here: `Timeouts` (polling/timeouts.py), and waiting (transport/attempts.py).
"""

from __future__ import annotations

from typing import Protocol

from ..polling.timeouts import Timeouts, stalling


class TimeLimits(Protocol):
    """Something that has time limits.

    Attributes:
        timeouts: all of them.
        timeout: seconds that may pass without anything being received, or None.
        write_timeout: seconds that may pass without anything being sent, or None.
        head_timeout: seconds that may pass until a response begins, or None.
        head_limit: seconds from the complete request to the complete head of its response, or None.
        total: seconds of one operation, or None.

    """

    timeouts: Timeouts
    timeout: float | None
    write_timeout: float | None
    head_timeout: float | None
    head_limit: float | None
    total: float | None


class ContinueLimit(TimeLimits, Protocol):
    """Time limits, and that for 100 (Continue).

    Attributes:
        continue_timeout: seconds, or None.

    """

    continue_timeout: float | None


class OwnLimits:
    """Time limits of one user of a session; see `ContinueLimit`."""

    __slots__ = (
        *("continue_timeout", "head_limit", "head_timeout", "timeout", "timeouts", "total"),
        "write_timeout",
    )

    timeouts: Timeouts
    timeout: float | None
    write_timeout: float | None
    head_timeout: float | None
    head_limit: float | None
    total: float | None

    def __init__(self, timeout: float | Timeouts | None) -> None:
        self.continue_timeout: float | None = None
        self.limit(timeout)

    def limit(self, timeout: float | Timeouts | None) -> None:
        """Let other limits hold; see `set_limits`."""
        set_limits(self, timeout)


def set_limits(limits: TimeLimits, timeout: float | Timeouts | None) -> None:
    """Let *timeout* hold for every wait that begins from now on.

    Raises:
        ValueError, TypeError: it is no time limit.

    """
    if isinstance(timeout, Timeouts):
        limits.timeouts = timeout
        limits.timeout = timeout.to_read
        limits.write_timeout = timeout.to_write
        limits.head_timeout = timeout.to_read_head
        limits.head_limit = timeout.head
        limits.total = timeout.total
    else:
        limits.timeouts = stalling(timeout)
        limits.timeout = limits.write_timeout = limits.head_timeout = timeout
        limits.head_limit = limits.total = None
