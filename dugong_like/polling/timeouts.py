"""Time limits: how long each phase of an operation may take.

All of them are `polling.within` underneath, or a deadline on a `PollNeeded`, so they hold
under every driver.

Not here: the limits that wrap any operation (contract.py, combinators.py).
"""

from __future__ import annotations

import functools
import math
import time
from typing import Any, TypeVar

from ..errors import ConnectionTimedOut
from .contract import Co, within

T = TypeVar("T")


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
        write: how long nothing may be sent, nor be acknowledged by the peer, while there is
            something to send.
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

    connect: float | None
    dns: float | None
    tls: float | None
    read: float | None
    write: float | None
    stall: float | None
    total: float | None
    expect100: float | None

    # No dataclass: importing that takes longer than the rest of the library does.
    __slots__ = ("connect", "dns", "expect100", "read", "stall", "tls", "total", "write")

    def __init__(  # noqa: PLR0913 - they are documented above
        self,
        *,
        connect: float | None = None,
        dns: float | None = None,
        tls: float | None = None,
        read: float | None = None,
        write: float | None = None,
        stall: float | None = None,
        total: float | None = None,
        expect100: float | None = None,
    ) -> None:
        given = (connect, dns, expect100, read, stall, tls, total, write)
        for name, seconds in zip(self.__slots__, given, strict=True):
            if seconds is not None:
                check_seconds(seconds, name)
            object.__setattr__(self, name, seconds)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"Timeouts are never changed: {name}")

    def _key(self) -> tuple[float | None, ...]:
        return tuple(getattr(self, name) for name in self.__slots__)

    def __reduce__(self) -> tuple[Any, ...]:
        given = dict(zip(self.__slots__, self._key(), strict=True))
        return functools.partial(Timeouts, **given), ()

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, Timeouts) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        given = zip(self.__slots__, self._key(), strict=True)
        listed = ", ".join(f"{name}={value}" for name, value in given if value is not None)
        return f"Timeouts({listed})"

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


def check_seconds(seconds: float, name: str) -> None:
    """Check a time limit, which is called *name*.

    Raises:
        ValueError: it is negative or not a number.
        TypeError: it has the wrong type.

    """
    try:
        possible = not math.isnan(seconds) and seconds >= 0
    except TypeError:
        raise TypeError(f"{name} is a number of seconds, or None, not {seconds!r}") from None
    if not possible:
        raise ValueError(f"a time limit of {seconds} seconds for {name}")


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
    return timeout if isinstance(timeout, Timeouts) else stalling(timeout)


@functools.lru_cache(maxsize=64, typed=True)
def stalling(seconds: float | None) -> Timeouts:
    """Return what limits how long nothing may move; raises what `as_timeouts` raises."""
    return Timeouts(stall=seconds)


def limited(seconds: float | None, phase: str, op: Co[T], what: str) -> Co[T]:
    """Run *op* and end it after *seconds*; None sets no limit.

    Args:
        seconds: the limit.
        phase: what to call it in the error.
        op: the operation. It is closed in any case.
        what: what could not be had; completes "… within 3 s".

    Raises:
        ConnectionTimedOut: the time has passed; it has *phase*.
        Exception: whatever *op* raises.

    """
    if seconds is None:
        return (yield from op)
    message = f"{what} within {seconds} s ({phase} time-out)"
    failure = ConnectionTimedOut(message, phase=phase)
    return (yield from within(time.monotonic() + seconds, op, failure))
