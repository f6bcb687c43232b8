"""The streams that this side has reset: what the server sent before it knew is tolerated.

RFC 9113 section 5.1 demands that for frames on a stream after RST_STREAM was sent, as they may have
been under way. Their DATA still counts for the windows, and a server that never stops is caught by
the window of the stream, which is not opened any more.

Not here: streams that have ended otherwise, on which nothing may come (incoming.py).
"""

from __future__ import annotations

from typing import Final

MOST_KEPT: Final = 1000  # streams; the oldest ones are forgotten, and anything is tolerated there


class ResetStreams:
    """Remembers streams that were reset, by their identifiers."""

    __slots__ = ("_forgotten", "_windows")

    def __init__(self) -> None:
        self._windows: dict[int, int] = {}  # what is left of the receive window, bytes
        self._forgotten = 0  # the highest identifier that was removed

    def add(self, stream_id: int, receive_window: int) -> None:
        """Remember a stream, and the bytes that the server may still send on it."""
        self._windows[stream_id] = receive_window
        if len(self._windows) > MOST_KEPT:
            oldest = next(iter(self._windows))
            del self._windows[oldest]
            self._forgotten = max(self._forgotten, oldest)

    def __contains__(self, stream_id: int) -> bool:
        return stream_id in self._windows or stream_id <= self._forgotten

    def received(self, stream_id: int, size: int) -> int:
        """Count bytes of late DATA; return by how many the window is exceeded, or 0."""
        if stream_id not in self._windows:
            return 0
        left = self._windows[stream_id] = self._windows[stream_id] - size
        return max(-left, 0)
