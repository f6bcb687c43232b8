"""A stream with a minimum rate while an operation waits for it.

Time counts only while an operation waits to send or to receive, and the bytes of both directions
count together: waiting for the response to a large upload means waiting for the upload. Bytes are
counted in successive intervals, and each needs its minimum at its end.

Not here: the rate (rates.py), and the exchange that an interval belongs to (connection/h1/).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from ...errors import ConnectionTimedOut
from ...polling.contract import PollNeeded
from ...polling.rates import MinimumRate
from ..stream import RECEIVING, SENDING, Part, Stream
from .base import WrappedStream


class Meter:
    """Counts bytes and waiting time of a connection in the present interval."""

    def __init__(self, limit: MinimumRate) -> None:
        self._limit: MinimumRate | None = limit
        self._lock = threading.RLock()  # of both halves, and of what interrupts them
        self._waiting = 0
        self._since = 0.0  # `time.monotonic` up to which waiting has been counted, if any
        self._waited = 0.0  # seconds of the present interval
        self._moved = 0  # bytes, in the present interval

    def wait(self, who: int, deadline: float | None) -> float | None:
        """Record the start of a wait; return its deadline.

        Args:
            who: `RECEIVING` or `SENDING`.
            deadline: deadline of that half: `time.monotonic` seconds, or None.

        Raises:
            ConnectionTimedOut: an interval is over, and the rate was too low.

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
        """Record the end of a wait of *who*, and its bytes."""
        if not self._waiting and not moved:
            return
        with self._lock:
            self._count()
            self._waiting &= ~who
            self._moved += moved

    def restart(self) -> None:
        """Begin a new interval: earlier bytes belong to another exchange."""
        with self._lock:
            self._count()
            self._restart()

    def stop(self) -> None:
        """Stop enforcing the rate: no exchange follows."""
        self._limit = None

    def _count(self) -> float:
        """Count the waiting time since the last call; return the present time."""
        now = time.monotonic()
        if self._waiting:
            self._waited += now - self._since
        self._since = now
        return now

    def _restart(self) -> None:
        self._waited = 0.0
        self._moved = 0


def too_slow(limit: MinimumRate, moved: int, waited: float) -> ConnectionTimedOut:
    """Return the error for only *moved* bytes in *waited* seconds."""
    return ConnectionTimedOut(
        f"{moved / waited:.1f} bytes per second for {waited:.1f} seconds: less than the lowest "
        f"rate, {limit.bytes_per_second} bytes per second over {limit.seconds} seconds",
        phase="rate",
    )


class MeteredStream(WrappedStream):
    """A stream whose waits fail below the minimum rate.

    Args:
        inner: the stream below.
        meter: makes `wanted_by_recv` and `wanted_by_send` raise `ConnectionTimedOut`.

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
            ConnectionTimedOut: the rate was too low.

        """
        need = self.inner.wanted_by_recv(deadline)
        return need.until(self._meter.wait(RECEIVING, need.deadline))

    def wanted_by_send(self, deadline: float | None, *, watch: bool = False) -> PollNeeded:
        """See `Stream.wanted_by_send`.

        Raises:
            ConnectionTimedOut: the rate was too low.

        """
        need = self.inner.wanted_by_send(deadline, watch=watch)
        return need.until(self._meter.wait(SENDING, need.deadline))
