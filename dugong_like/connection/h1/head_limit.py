"""The time limit for the head of a response, from the complete request to the complete head.

That is `Timeouts.head`. The time at which it is over is kept by the exchange, so it holds for all
operations that wait for the head, one after the other. After a time-out the next one begins anew.

It begins when the request is sent as a whole (`LimitedExchange`). If the responses to earlier
requests were still to be read then, it begins when the first operation waits for this one.

Not here: the other limits of reading (receiver.py).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ..time_out_messages import late_head

if TYPE_CHECKING:
    from ...errors import ConnectionTimedOut
    from ..exchange import Exchange


def deadline(exchange: Exchange, seconds: float, *, looked: bool) -> float:
    """Return until when to wait for the head of the response to *exchange*.

    Args:
        exchange: of the request, which is complete.
        seconds: the limit.
        looked: True if it is not here; False if that is not known yet.

    Raises:
        ConnectionTimedOut: it is over.

    """
    now = time.monotonic()
    until = exchange.head_until
    if until is None:
        until = exchange.head_until = now + seconds
    elif looked and now >= until:
        raise no_head(exchange, seconds)
    return until


def left(exchange: Exchange, seconds: float) -> float:
    """Return for how many seconds to wait for it; 0 if it is over."""
    if exchange.head_until is None:
        exchange.head_until = time.monotonic() + seconds
        return seconds
    return max(exchange.head_until - time.monotonic(), 0)


def no_head(exchange: Exchange, seconds: float) -> ConnectionTimedOut:
    """Return the error of this time limit."""
    exchange.head_until = None
    return late_head(seconds, phase="head")
