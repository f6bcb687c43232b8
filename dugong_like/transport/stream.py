"""The interface of byte streams: receiving, sending, and the waits for them.

Not here: the streams (tcp.py, tls/over_socket.py), and zero-copy transfers (zero_copy.py).
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any, Final, Protocol

from ..polling.contract import PollNeeded
from .zero_copy import BulkStream, FileRange

RECEIVING: Final = 1  # directions of a stream; to be joined by "or"
SENDING: Final = 2

Data = bytes | memoryview
Part = Data | FileRange


class Stream(Protocol):
    """A stream of bytes to and from a peer. No call blocks; None means that it would.

    Attributes:
        fd: the descriptor that the receiving half waits for.
        waiting: True if nothing has been received since `wanted_by_recv` was called: then
            no bytes are on their way to the caller, and an exception loses none.

    """

    fd: int
    waiting: bool

    @property
    def buffered(self) -> bool:
        """True if bytes have been received below that `recv` would return at once."""
        ...

    @property
    def sock(self) -> socket.socket:
        """The lowest socket: for information, not for use."""
        ...

    @property
    def tls(self) -> Any:
        """The object of the `ssl` module for the outermost TLS, None without TLS."""
        ...

    @property
    def bulk(self) -> BulkStream | None:
        """The zero-copy transfers of this stream; None if it has none."""
        ...

    def recv_into(self, buffer: memoryview) -> int | None:
        """Receive into *buffer*, and return the number of bytes; 0 is the end of the stream.

        Raises:
            ConnectionClosed: the connection was reset, or TLS was truncated.

        """
        ...

    def recv_all_into(self, buffer: memoryview) -> int | None:
        """Receive what has arrived into *buffer*, as `recv_into` does.

        That may return less, such as one record of TLS. Here one more attempt is made than needed,
        which pays only if often more has arrived.
        """
        ...

    def recv(self, size: int) -> bytes | None:
        """Receive and return up to *size* bytes; ``b""`` is the end of the stream.

        Raises:
            ConnectionClosed: the connection was reset, or TLS was truncated.

        """
        ...

    def send(self, parts: Sequence[Part]) -> int | None:
        """Send the beginning of *parts* and return the number of bytes.

        After None the next call must have the same parts. If there is `bulk`, a part may be a
        `FileRange`.

        Raises:
            ConnectionClosed: the peer takes no more.
            FileFailed, FileTooShort, ValueError: see `FileRange.send`.

        """
        ...

    def wanted_by_recv(self, deadline: float | None) -> PollNeeded:
        """Return the wait for the last `recv` or `recv_into`.

        Args:
            deadline: seconds of `time.monotonic` at which it ends; None for no limit.

        """
        ...

    def wanted_by_send(self, deadline: float | None, *, watch: bool = False) -> PollNeeded:
        """Return the wait for the last `send`; *watch* adds "or bytes can be received".

        It is another descriptor than `fd`, for the same connection, so that the two halves never
        wait for the same one.

        Args:
            deadline: see `wanted_by_recv`.
            watch: see above.

        """
        ...

    def wait_to_recv(self, timeout: float | None) -> bool:
        """Block until `recv` would not; return False after *timeout* seconds."""
        ...

    def quick_ack(self) -> None:
        """Have the system acknowledge received bytes at once, if it can (quick ACK).

        The peer may hold less than a packet back until the acknowledgement (RFC 9293 section
        3.7.4), which the system may delay (section 3.8.6.3).
        """
        ...

    def recv_would_block(self) -> bool:
        """Return True if `recv` would block; False means that it might not."""
        ...

    def is_idle(self) -> bool:
        """Return True if nothing has arrived, not even the end of the stream.

        Bytes that have arrived may be lost: after False the stream has to be closed.
        """
        ...

    def shut_down_writing(self) -> None:
        """Shut down the sending direction; a sender that waits is woken and fails."""
        ...

    def end_sending(self) -> bool | None:
        """Close the sending direction properly; receiving continues.

        None means that it would block; to be called again after the wait of `wanted_by_send`.

        Raises:
            StateError: this stream can only be closed as a whole.
            ConnectionClosed: the peer takes no more.

        """
        ...

    def send_end_of_stream(self) -> None:
        """Close the sending direction properly, so that the peer knows that nothing follows."""
        ...

    def shut_down(self) -> None:
        """Shut down both directions, and wake the operations that wait."""
        ...

    def close(self) -> None:
        """Close the descriptors. Nothing is sent."""
        ...


def rest(parts: Sequence[Part], count: int) -> list[Part]:
    """Return the rest of *parts* behind the first *count* bytes.

    It takes steps for those that are sent, as many more may wait behind them.
    """
    for sent, part in enumerate(parts):
        size = len(part)
        if count < size:
            left = [*parts[sent:]]
            if count:
                left[0] = after(part, count)
            return left
        count -= size
    return []


def after(part: Part, count: int) -> Part:
    """Return *part* without its first *count* bytes."""
    return part.after(count) if isinstance(part, FileRange) else memoryview(part)[count:]
