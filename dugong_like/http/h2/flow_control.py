"""Flow control: the sizes of windows, and when WINDOW_UPDATE is due (RFC 9113 sections 5.2, 6.9).

A receive window of a stream limits what the server may send before the reader has taken the bytes
before; so it limits the memory of a slow reader. It is doubled, up to a maximum, when an update is
due and the reader has taken everything that has come: then the window limits the speed, and not the
reader. No clock is needed for that.

The receive window of the connection limits the unread bytes of all streams together. It is as
large as the protocol allows, unless an option says otherwise: a full one stops all streams because
of a single reader.

Not here: cutting a body into DATA frames (engine.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .frames import MAX_WINDOW
from .violations import ErrorCode, Violation

if TYPE_CHECKING:
    from .options import H2Options
    from .stream import Stream

SHARE: Final = 2  # an update is due when this part of a window has been used


def enlarged(window: int, increment: int) -> int:
    """Return a send window after an increment.

    Raises:
        OverflowError: it would be more than the protocol allows (RFC 9113 section 6.9.1).

    """
    window += increment
    if window > MAX_WINDOW:
        raise OverflowError(f"a window of {window} bytes; at most {MAX_WINDOW} are allowed")
    return window


class StreamWindows:
    """The receive windows of the streams of a connection.

    Args:
        options: sizes, and whether windows are updated without being asked.

    Attributes:
        most_unread: bytes of a stream that may stay unread while as many more come: its window is
            not full of them.

    """

    __slots__ = ("_automatic", "_largest", "_threshold", "most_unread")

    def __init__(self, options: H2Options) -> None:
        self._automatic = options.auto_window
        self._largest = options.max_stream_window
        self._threshold = options.window_update_threshold
        window = options.stream_window
        self.most_unread = max(1, (window - (self._threshold or window // SHARE)) // 2)

    def consumed(self, stream: Stream, size: int) -> int:
        """Count *size* bytes that a reader has taken; return the increment that is due, or 0."""
        return self.dropped(stream, size) if self._automatic else 0

    def dropped(self, stream: Stream, size: int) -> int:
        """Count *size* bytes that no reader will get; return the increment that is due, or 0."""
        stream.unreported += size
        due = self._threshold or stream.window_size // SHARE
        if stream.unreported < due:
            return 0
        increment = stream.unreported
        stream.unreported = 0
        if self._automatic and not stream.buffered and stream.window_size < self._largest:
            larger = min(2 * stream.window_size, self._largest)
            increment += larger - stream.window_size
            stream.window_size = larger
        stream.receive_window += increment
        return increment


class ConnectionWindow:
    """The receive window of a connection.

    Args:
        options: its size, and when updates are due.

    Attributes:
        left: bytes that the server may still send.
        half: of its first size, bytes.

    """

    __slots__ = ("_automatic", "_due", "_unreported", "half", "left")

    def __init__(self, options: H2Options) -> None:
        self.left = options.connection_window
        self.half = options.connection_window // 2
        self._automatic = options.auto_window
        self._due = options.window_update_threshold or options.connection_window // SHARE
        self._unreported = 0

    def received(self, size: int) -> None:
        """Count *size* bytes of DATA, with its padding.

        Raises:
            Violation: the server has exceeded the window (RFC 9113 section 6.9.1).

        """
        left = self.left = self.left - size
        if left < 0:
            raise Violation(
                ErrorCode.FLOW_CONTROL_ERROR,
                f"{-left} bytes of DATA beyond the window of the connection (RFC 9113 section "
                "6.9.1)",
            )

    def consumed(self, size: int) -> int:
        """Count *size* bytes that a reader has taken; return the increment that is due, or 0."""
        if not self._automatic:
            return 0
        unreported = self._unreported + size
        if unreported >= self._due:
            return self.dropped(size)
        self._unreported = unreported  # as that does, which is a call
        return 0

    def dropped(self, size: int) -> int:
        """Count *size* bytes that no reader will get; return the increment that is due, or 0."""
        unreported = self._unreported = self._unreported + size
        if unreported < self._due:
            return 0
        self._unreported = 0
        self.left += unreported
        return unreported

    def enlarge(self, increment: int) -> None:
        """Count an increment that is sent. Raises OverflowError as of `enlarged`."""
        self.left = enlarged(self.left, increment)
