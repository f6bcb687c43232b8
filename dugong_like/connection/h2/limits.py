"""Time limits of the waits of one operation: how long it may be until something moves for it.

Not here: the limits that a user sets (polling/timeouts.py, connection/time_limits.py), those of
several streams at once (rolling_batch.py), and what counts as moving (pump.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ..time_out_messages import NOTHING_ARRIVED, late_head

if TYPE_CHECKING:
    from ...errors import ConnectionTimedOut
    from ..exchange import Exchange


class Limit:
    """A limit for the time without anything moving for one operation.

    Args:
        seconds: the limit, or None.
        late: returns the error of that many seconds without anything.

    """

    __slots__ = ("_late", "_seconds", "_until")

    def __init__(
        self, seconds: float | None, late: Callable[[float], ConnectionTimedOut] = NOTHING_ARRIVED
    ) -> None:
        self._seconds = seconds
        self._late = late
        self._until: float | None = None

    def begin(self, until: float) -> None:
        """Let the first wait last until *until*, as it has begun before."""
        if self._seconds is not None:
            self._until = until

    def deadline(self, *, moved: bool) -> float | None:
        """Return until when to wait; *moved* says that something has since the last call.

        Raises:
            ConnectionTimedOut: it is over.

        """
        seconds = self._seconds
        if seconds is None:
            return None
        now = time.monotonic()
        if moved or self._until is None:
            self._until = now + seconds
        elif now >= self._until:
            raise self._late(seconds)
        return self._until


UNLIMITED: Final = Limit(None)  # has no state, so one is enough


class HeadLimit(Limit):
    """`Timeouts.head`, which counts from the complete request.

    Args:
        exchange: of the request.
        seconds: the limit.

    """

    __slots__ = ("_exchange", "_head")

    def __init__(self, exchange: Exchange, seconds: float) -> None:
        super().__init__(None)
        self._exchange = exchange
        self._head = seconds

    def deadline(self, *, moved: bool) -> float | None:
        """Return until when to wait for the head; see `Limit.deadline`."""
        exchange = self._exchange
        now = time.monotonic()
        if exchange.head_until is None or (moved and not exchange.sent):
            exchange.head_until = now + self._head
        elif now >= exchange.head_until:
            exchange.head_until = None
            raise late_head(self._head, phase="head")
        return exchange.head_until
