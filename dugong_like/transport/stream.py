"""What the rest of the library knows of a connection: bytes in, bytes out, and what to wait for.

Not here: the connections (tcp.py, tls/over_socket.py), and what some of them can do with files
(zero_copy.py).
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any, Protocol

from ..polling.contract import PollNeeded
from .zero_copy import BulkStream, FileStretch

Data = bytes | memoryview
Part = Data | FileStretch


class Stream(Protocol):
    """A connection that carries bytes. No call blocks; None says that it would.

    Attributes:
        fd: the descriptor that the receiving half waits for.
        waiting: True if nothing has been received since `wanted_by_recv` was called: then
            no bytes are on their way to the caller, and an exception loses none.

    """

    fd: int
    waiting: bool

    @property
    def buffered(self) -> bool:
        """True if something has been received below that `recv` would give at once."""
        ...

    @property
    def sock(self) -> socket.socket:
        """The socket below everything: to look at, not to use."""
        ...

    @property
    def tls(self) -> Any:
        """The object of the `ssl` module that does the outermost TLS, None without."""
        ...

    @property
    def bulk(self) -> BulkStream | None:
        """What the system can do with large amounts of bytes; None: nothing."""
        ...

    def recv_into(self, buffer: memoryview) -> int | None:
        """Receive into *buffer*; 0 is the end of the stream.

        Raises:
            ConnectionClosed: the connection was reset, or TLS was cut off.

        """
        ...

    def recv(self, size: int) -> bytes | None:
        """Receive up to *size* bytes; ``b""`` is the end of the stream.

        Raises:
            ConnectionClosed: the connection was reset, or TLS was cut off.

        """
        ...

    def send(self, parts: Sequence[Part]) -> int | None:
        """Send the beginning of *parts* and return how many bytes that was.

        After None the next call must have the same parts. A `FileStretch` may be among
        them if there is `bulk`.

        Raises:
            ConnectionClosed: the peer takes no more.
            FileFailed, FileTooShort, ValueError: see `FileStretch.send`.

        """
        ...

    def wanted_by_recv(self, deadline: float | None) -> PollNeeded:
        """Return what the last `recv` or `recv_into` waits for."""
        ...

    def wanted_by_send(self, deadline: float | None, *, watch: bool = False) -> PollNeeded:
        """Return what the last `send` waits for; *watch* adds "or something can be read".

        It is another descriptor than `fd`, for the same connection, so that the two
        halves never wait for the same thing.
        """
        ...

    def wait_to_recv(self, timeout: float | None) -> bool:
        """Block for *timeout* seconds or until `recv` need not; False: it still would."""
        ...

    def acknowledge(self) -> None:
        """Have the system tell the peer at once what has arrived, where it can do that.

        It may send no more before it hears of that, if what it has is less than a packet
        (RFC 9293 section 3.7.4), and the system may take its time (section 3.8.6.3).
        """
        ...

    def is_quiet(self) -> bool:
        """Return True if `recv` would block; False says that it might not."""
        ...

    def is_idle(self) -> bool:
        """Return True if nothing has arrived, not even the end of the stream.

        What has arrived may be lost: the answer False means that the stream is to be
        closed.
        """
        ...

    def shut_down_writing(self) -> None:
        """End the sending direction; a sender that waits is woken and fails."""
        ...

    def end_sending(self) -> bool | None:
        """End the sending direction in order and lose nothing that is received after that.

        None says that it would block, for what `wanted_by_send` says; to be called again then.

        Raises:
            StateError: this stream can only be ended as a whole.
            ConnectionClosed: the peer takes no more.

        """
        ...

    def say_goodbye(self) -> None:
        """End the sending direction in order: the peer hears that nothing will follow."""
        ...

    def shut_down(self) -> None:
        """End both directions; whoever waits is woken."""
        ...

    def close(self) -> None:
        """Give the descriptors back. Nothing is sent."""
        ...


def rest(parts: Sequence[Part], count: int) -> list[Part]:
    """Return what is left of *parts* when the first *count* bytes have been sent."""
    left: list[Part] = []
    for part in parts:
        if count >= len(part):
            count -= len(part)
        else:
            left.append(after(part, count) if count else part)
            count = 0
    return left


def after(part: Part, count: int) -> Part:
    """Return *part* without its first *count* bytes."""
    return part.after(count) if isinstance(part, FileStretch) else memoryview(part)[count:]
