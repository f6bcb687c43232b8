"""The time limits of a session, as its operations look at them: those of `Timeouts`, taken apart.

A session has them as attributes of its own (shared.py), as it looks at them often. A user of a
session that others use as well has an object with them instead.

The limit for 100 (Continue), which is that of one operation, is here as a whole.

Not here: `Timeouts` (polling/timeouts.py), and waiting (transport/attempts.py).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from ..errors import ConnectionTimedOut, ContinueTimedOut
from ..polling.contract import Co, within
from ..polling.timeouts import Timeouts, stalling

if TYPE_CHECKING:
    from .exchange import Exchange, HTTPResponse


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


def co_until_continue(
    reading: Co[HTTPResponse], exchange: Exchange, seconds: float
) -> Co[HTTPResponse]:
    """Read the response to *exchange*, which expects 100 (Continue), for *seconds* at most.

    Raises:
        ContinueTimedOut: neither that nor a final response has come; the body may be written. It is
            still to be labelled.
        DugongError: what *reading* raises.

    """
    until = time.monotonic() + seconds
    return (yield from within(until, _co_in_time(reading, exchange, seconds, until)))


def _co_in_time(
    reading: Co[HTTPResponse], exchange: Exchange, seconds: float, until: float
) -> Co[HTTPResponse]:
    """Run *reading* below `within`: so a limit of the caller, which ends that, is never seen here.

    Another limit that is over at *until*, such as that for reading, makes no difference.
    """
    try:
        return (yield from reading)
    except ConnectionTimedOut:
        if time.monotonic() < until or not exchange.expects_continue:
            raise
        exchange.expects_continue = False
        raise ContinueTimedOut(
            f"no 100 (Continue) within {seconds} s; the body may be written now",
            request_sent="maybe",
            phase="expect100",
        ) from None
