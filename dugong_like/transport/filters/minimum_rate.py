"""A stream that has to move so many bytes a second while somebody waits for it.

Time counts only while an operation waits to send or to receive, and the bytes of both directions
count together: whoever waits for the answer to a large upload waits for the upload. It is
counted in intervals, one after the other, and each has to have its bytes when it is over.

Not here: the rate (rates.py), and which exchange an interval belongs to (observed.py).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Final

from ...errors import ConnectionTimedOut
from ...polling.contract import PollNeeded
from ...polling.rates import LowestRate
from ..stream import Part, Stream
from .base import WrappedStream

RECEIVING: Final = 1  # who waits; to be joined by "or"
SENDING: Final = 2


class Meter:
    """What a connection has moved in the present interval, and in which time."""

    def __init__(self, limit: LowestRate) -> None:
        self._limit: LowestRate | None = limit
        self._lock = threading.RLock()  # of both halves, and of what interrupts them
        self._waiting = 0
        self._since = 0.0  # `time.monotonic` up to which waiting has been counted, if any
        self._waited = 0.0  # seconds of the present interval
        self._moved = 0  # bytes, in the present interval

    def wait(self, who: int, deadline: float | None) -> float | None:
        """Note that *who* begins to wait; return until when, at the latest.

        Args:
            who: `RECEIVING` or `SENDING`.
            deadline: of *who*: `time.monotonic` seconds, or None.

        Raises:
            ConnectionTimedOut: an interval is over, and too little was moved in it.

        """
        limit = self._limit
        if limit is None:
            return deadline
        with self._lock:
            now = self._count()
            moved, waited = self._moved, self._waited
            if waited >= limit.seconds:
                self._restart()
            if waited >= limit.seconds and moved < waited * limit.bytes_per_second:
                self._waiting &= ~who
                raise too_slow(limit, moved, waited)
            self._waiting |= who
            end = now + limit.seconds - self._waited
        return end if deadline is None else min(end, deadline)

    def leave(self, who: int, moved: int = 0) -> None:
        """Note that *who* waits no longer, and has moved so many bytes."""
        if not self._waiting and not moved:
            return
        with self._lock:
            self._count()
            self._waiting &= ~who
            self._moved += moved

    def restart(self) -> None:
        """Begin a new interval: what was moved before belonged to another exchange."""
        with self._lock:
            self._count()
            self._restart()

    def stop(self) -> None:
        """Ask for no rate any more: what follows is no exchange."""
        self._limit = None

    def _count(self) -> float:
        """Count the time since it was last counted, if somebody waited; return the present."""
        now = time.monotonic()
        if self._waiting:
            self._waited += now - self._since
        self._since = now
        return now

    def _restart(self) -> None:
        self._waited = 0.0
        self._moved = 0


def too_slow(limit: LowestRate, moved: int, waited: float) -> ConnectionTimedOut:
    """Return the error that only *moved* bytes have been moved in *waited* seconds."""
    return ConnectionTimedOut(
        f"{moved / waited:.1f} bytes per second for {waited:.1f} seconds: less than the lowest "
        f"rate, {limit.bytes_per_second} bytes per second over {limit.seconds} seconds",
        phase="rate",
    )


class MeteredStream(WrappedStream):
    """A stream whose waits end when too little is moved.

    Args:
        inner: the stream below.
        meter: counts, and raises `ConnectionTimedOut` out of `wanted_by_recv` and `wanted_by_send`.

    """

    def __init__(self, inner: Stream, meter: Meter) -> None:
        super().__init__(inner)
        self._meter = meter

    def recv_into(self, buffer: memoryview) -> int | None:
        """See `Stream.recv_into`."""
        count = self.inner.recv_into(buffer)
        self._meter.leave(RECEIVING, count or 0)
        return count

    def recv(self, size: int) -> bytes | None:
        """See `Stream.recv`."""
        data = self.inner.recv(size)
        self._meter.leave(RECEIVING, len(data or b""))
        return data

    def send(self, parts: Sequence[Part]) -> int | None:
        """See `Stream.send`."""
        count = self.inner.send(parts)
        self._meter.leave(SENDING, count or 0)
        return count

    def wanted_by_recv(self, deadline: float | None) -> PollNeeded:
        """See `Stream.wanted_by_recv`.

        Raises:
            ConnectionTimedOut: too little was moved.

        """
        need = self.inner.wanted_by_recv(deadline)
        return need.until(self._meter.wait(RECEIVING, need.deadline))

    def wanted_by_send(self, deadline: float | None, *, watch: bool = False) -> PollNeeded:
        """See `Stream.wanted_by_send`.

        Raises:
            ConnectionTimedOut: too little was moved.

        """
        need = self.inner.wanted_by_send(deadline, watch=watch)
        return need.until(self._meter.wait(SENDING, need.deadline))
