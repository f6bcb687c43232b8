"""A stream with a maximum rate: a call "would block" while the rate is exhausted.

Not here: the rate (rates.py).
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from ...polling.contract import POLLIN, PollNeeded
from ...polling.rates import RateLimit
from ...polling.wake import Wake
from ..stream import Part, Stream
from .base import WrappedStream
from .wire_dump import beginning


class ThrottledStream(WrappedStream):
    """Receives and sends with limited rates.

    Args:
        inner: the stream below.
        download: rate of receiving, or None.
        upload: rate of sending, or None.

    """

    def __init__(self, inner: Stream, download: RateLimit | None, upload: RateLimit | None) -> None:
        super().__init__(inner)
        self._download = Pace(download)
        self._upload = Pace(upload)
        self._offered = 0  # bytes that were offered to the stream below, and not taken

    def recv_into(self, buffer: memoryview) -> int | None:
        """See `Stream.recv_into`."""
        size = self._download.share(len(buffer))
        if not size:
            self.waiting = True  # nothing has been received
            return None
        count = self.inner.recv_into(buffer[:size])
        self._download.spend(count or 0)
        return count

    def recv(self, size: int) -> bytes | None:
        """See `Stream.recv`."""
        size = self._download.share(size)
        if not size:
            self.waiting = True  # nothing has been received
            return None
        data = self.inner.recv(size)
        self._download.spend(len(data or b""))
        return data

    def send(self, parts: Sequence[Part]) -> int | None:
        """See `Stream.send`."""
        total = sum(map(len, parts))
        size = max(self._upload.share(total), min(self._offered, total))
        if not size:
            return None
        if size < total:
            parts = list(beginning(parts, size))
        sent = self.inner.send(parts)
        # TLS demands the same bytes again, and not fewer, after it did not take them.
        self._offered = size if sent is None else 0
        self._upload.spend(sent or 0)
        return sent

    def wanted_by_recv(self, deadline: float | None) -> PollNeeded:
        """See `Stream.wanted_by_recv`."""
        need = self._download.need(deadline)
        return need or self.inner.wanted_by_recv(deadline)

    def wanted_by_send(self, deadline: float | None, *, watch: bool = False) -> PollNeeded:
        """See `Stream.wanted_by_send`."""
        need = self._upload.need(deadline)
        return need or self.inner.wanted_by_send(deadline, watch=watch)

    def shut_down_writing(self) -> None:
        """See `Stream.shut_down_writing`."""
        self.inner.shut_down_writing()
        self._upload.wake()

    def shut_down(self) -> None:
        """See `Stream.shut_down`."""
        self.inner.shut_down()
        self._upload.wake()
        self._download.wake()

    def close(self) -> None:
        """See `Stream.close`."""
        self.inner.close()
        self._upload.close()
        self._download.close()


class Pace:
    """One direction of a stream, and its rate."""

    def __init__(self, limit: RateLimit | None) -> None:
        self._limit = limit
        self._never = None if limit is None else Wake()
        self._refused = False  # the last call would have exceeded the rate

    def share(self, wanted: int) -> int:
        """Return how many of *wanted* bytes may move now."""
        if self._limit is None:
            return wanted
        share = min(wanted, self._limit.available())
        self._refused = share < min(wanted, 1)
        return share

    def spend(self, count: int) -> None:
        """Count *count* bytes as moved."""
        if self._limit is not None and count:
            self._limit.spend(count)

    def until(self, deadline: float | None) -> float:
        """Return when to try again, at *deadline* at the latest: `time.monotonic` seconds."""
        now = time.monotonic() if self._limit is None else self._limit.next_time()
        return now if deadline is None else min(now, deadline)

    def need(self, deadline: float | None) -> PollNeeded | None:
        """Return the wait for the rate; None if the last call did not exceed it."""
        if not self._refused or self._never is None:
            return None
        return PollNeeded(self._never.fd, POLLIN, self.until(deadline)).because("rate limit")

    def wake(self) -> None:
        """Let the operation that waits try again at once: the stream has ended."""
        if self._never is not None:
            self._never.set()

    def close(self) -> None:
        """Close the descriptor."""
        if self._never is not None:
            self._never.close()
