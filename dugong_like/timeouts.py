"""Time limits: how long each phase of an operation may take.

All of them are `polling.within` underneath, or a deadline on a `PollNeeded`, so they hold
under every driver.

Not here: the combinators that wrap any operation (polling.py).
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, fields
from typing import TypeVar

from .errors import ConnectionTimedOut
from .polling import Co, within

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How many seconds each phase may take. None, the default of each, sets no limit.

    An operation that takes too long raises `ConnectionTimedOut`, which names the phase.

    Args:
        connect: from the beginning to a connection: looking up the name and connecting to
            one of its addresses together. As a limit of its own also for each of: the
            handshake of TLS, and all that is said with a proxy.
        dns: looking up the name; `connect` then limits the rest only.
        tls: the handshake of TLS, instead of `connect`.
        read: how long nothing may arrive while a response is awaited or read.
        write: how long nothing may be sent while there is something to send.
        stall: for each of the above that is not given: how long nothing may move. A number
            as ``HTTPConnection(timeout=…)`` means this.
        total: one operation, from call to result, connecting included: one
            `~HTTPConnection.send_request`, one `~HTTPConnection.read`. Reading a response
            with its body takes several.
        expect100: waiting for 100 (Continue); `ContinueTimedOut` then says that the body may
            be written now.

    Raises:
        ValueError: one of them is negative or not a number.
        TypeError: one of them has the wrong type.

    """

    connect: float | None = None
    dns: float | None = None
    tls: float | None = None
    read: float | None = None
    write: float | None = None
    stall: float | None = None
    total: float | None = None
    expect100: float | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            seconds = getattr(self, field.name)
            if seconds is not None and (math.isnan(seconds) or seconds < 0):
                raise ValueError(f"a time limit of {seconds} seconds for {field.name}")

    @property
    def to_reach(self) -> float | None:
        """Seconds for connecting, with looking up if `dns` is not given."""
        return first(self.connect, self.stall)

    @property
    def to_shake_hands(self) -> float | None:
        """Seconds for the handshake of TLS."""
        return first(self.tls, self.connect, self.stall)

    @property
    def to_read(self) -> float | None:
        """Seconds that may pass without anything arriving."""
        return first(self.read, self.stall)

    @property
    def to_write(self) -> float | None:
        """Seconds that may pass without anything being sent."""
        return first(self.write, self.stall)


NO_LIMITS = Timeouts()


def first(*limits: float | None) -> float | None:
    """Return the first of *limits* that is one."""
    return next((limit for limit in limits if limit is not None), None)


def as_timeouts(timeout: float | Timeouts | None) -> Timeouts:
    """Return *timeout*, in which a number limits how long nothing may move.

    Raises:
        ValueError: it is negative or not a number.
        TypeError: it has the wrong type.

    """
    if isinstance(timeout, Timeouts):
        return timeout
    return NO_LIMITS if timeout is None else Timeouts(stall=timeout)


def limited(seconds: float | None, phase: str, op: Co[T], what: str) -> Co[T]:
    """Run *op* and end it after *seconds*; None sets no limit.

    Args:
        seconds: the limit.
        phase: what to call it in the error.
        op: the operation. It is closed in any case.
        what: what could not be had; completes "… within 3 seconds".

    Raises:
        ConnectionTimedOut: the time has passed; it has *phase*.
        Exception: whatever *op* raises.

    """
    if seconds is None:
        return (yield from op)
    message = f"{what} within {seconds} seconds ({phase} time-out)"
    failure = ConnectionTimedOut(message, phase=phase)
    return (yield from within(time.monotonic() + seconds, op, failure))
