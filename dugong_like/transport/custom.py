"""Transports of the user: the interface that makes streams, and a base class for streams.

A connection asks a `Transport` for a stream instead of opening a socket. Everything above works
unchanged: proxies, TLS (in memory), time limits, traces.

Not here: the interface of streams (stream.py), and a stream for tests (scripted.py).
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any, Protocol

from ..errors import StateError
from ..polling.contract import Co, PollNeeded
from .stream import Part, Stream
from .zero_copy import BulkStream


class Transport(Protocol):
    """Makes the streams of a connection: ``HTTPConnection(…, transport=…)``.

    The operations must leave nothing open if they are closed or fail. Time limits are applied
    from outside. A failure should be raised as `ConnectFailed`.
    """

    def co_connect_tcp(self, host: str, port: int) -> Co[Stream]:
        """Return a stream that leads to *port* of *host*, a name or address, not looked up before.

        With a proxy it is the host of the proxy.
        """
        ...

    def co_connect_unix(self, path: bytes) -> Co[Stream]:
        """Return a stream that leads to the unix domain socket *path*; called only with ``uds``."""
        ...


class BaseStream:
    """A base class for a `Stream`.

    A subclass implements `recv_into`, `send`, `wanted_by_recv`, `wanted_by_send` and `close`, and
    sets `fd`. The other methods have safe defaults. Override them for a stream whose directions
    can be closed separately, or to wake operations that wait.

    Attributes:
        fd: the descriptor that `wanted_by_recv` waits for.
        waiting: see `Stream`: `wanted_by_recv` sets it, and receiving clears it.
        buffered: see `Stream`; False: no bytes are held back.
        secured: True if it has TLS of its own: https begins over it without a handshake, and its
            certificates are its own business.

    """

    fd: int
    waiting = False
    buffered = False
    secured = False

    def recv_into(self, buffer: memoryview) -> int | None:
        """See `Stream.recv_into`."""
        raise NotImplementedError

    def send(self, parts: Sequence[Part]) -> int | None:
        """See `Stream.send`. *parts* are bytes-like, as there is no `bulk`."""
        raise NotImplementedError

    def wanted_by_recv(self, deadline: float | None) -> PollNeeded:
        """See `Stream.wanted_by_recv`."""
        raise NotImplementedError

    def wanted_by_send(self, deadline: float | None, *, watch: bool = False) -> PollNeeded:
        """See `Stream.wanted_by_send`."""
        raise NotImplementedError

    def close(self) -> None:
        """See `Stream.close`."""
        raise NotImplementedError

    # ---- derived from them

    def recv_all_into(self, buffer: memoryview) -> int | None:
        """Receive as `recv_into` does; see `Stream.recv_all_into`."""
        return self.recv_into(buffer)

    def recv(self, size: int) -> bytes | None:
        """Receive up to *size* bytes, as `recv_into` does; see `Stream.recv`."""
        buffer = bytearray(size)
        count = self.recv_into(memoryview(buffer))
        return None if count is None else bytes(buffer[:count])

    def wait_to_recv(self, timeout: float | None) -> bool:
        """Poll the wait of `wanted_by_recv`; see `Stream.wait_to_recv`."""
        return self.wanted_by_recv(None).poll(timeout)

    def recv_would_block(self) -> bool:
        """Return True if the descriptor is not readable, and nothing is `buffered`."""
        if self.buffered:
            return False
        waiting = self.waiting
        quiet = not self.wanted_by_recv(None).poll(0)
        self.waiting = waiting
        return quiet

    def is_idle(self) -> bool:
        """Return the same as `recv_would_block`."""
        return self.recv_would_block()

    def quick_ack(self) -> None:
        """Do nothing."""

    def end_sending(self) -> bool | None:
        """Return nothing, as only the whole stream can be closed.

        Raises:
            StateError: always.

        """
        raise StateError("this stream can only be ended as a whole")

    def shut_down_writing(self) -> None:
        """Do nothing."""

    def send_end_of_stream(self) -> None:
        """Do nothing."""

    def shut_down(self) -> None:
        """Do nothing."""

    @property
    def sock(self) -> socket.socket:
        """There is none: raises OSError, so that `get_extra_info` returns None."""
        raise OSError("this stream has no socket")

    @property
    def tls(self) -> Any:
        """None: no TLS."""
        return None

    @property
    def bulk(self) -> BulkStream | None:
        """None: no zero-copy transfers."""
        return None
