"""The base class of filters: a stream around another stream.

Not here: the filters (wire_dump.py, throttle.py, minimum_rate.py).
"""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from typing import Any

from ...polling.contract import PollNeeded
from ..stream import Part, Stream


class WrappedStream:
    """Passes all calls to the stream *inner*; see `Stream`.

    Attributes:
        inner: the stream below.
        bare: the innermost stream.

    """

    bulk = None  # each byte has to pass through the filter

    def __init__(self, inner: Stream) -> None:
        self.inner = inner
        self.fd = inner.fd
        self.bare = bare(inner)

    def replace_bare(self, bare: Stream) -> None:
        """Replace `bare`, for example by TLS over it."""
        if isinstance(self.inner, WrappedStream):
            self.inner.replace_bare(bare)
        else:
            self.inner = bare
        self.bare = bare
        self.fd = bare.fd

    @property
    def sock(self) -> socket.socket:
        """See `Stream.sock`."""
        return self.inner.sock

    @property
    def tls(self) -> Any:
        """See `Stream.tls`."""
        return self.inner.tls

    @property
    def waiting(self) -> bool:
        """See `Stream`."""
        return self.inner.waiting

    @waiting.setter
    def waiting(self, waiting: bool) -> None:
        """Set it, where it is kept."""
        self.inner.waiting = waiting

    def recv_into(self, buffer: memoryview) -> int | None:
        """See `Stream.recv_into`."""
        return self.inner.recv_into(buffer)

    def recv_all_into(self, buffer: memoryview) -> int | None:
        """See `Stream.recv_all_into`; it is filtered as `recv_into` does."""
        return self.recv_into(buffer)

    def recv(self, size: int) -> bytes | None:
        """See `Stream.recv`."""
        return self.inner.recv(size)

    def send(self, parts: Sequence[Part]) -> int | None:
        """See `Stream.send`."""
        return self.inner.send(parts)

    def wanted_by_recv(self, deadline: float | None) -> PollNeeded:
        """See `Stream.wanted_by_recv`."""
        return self.inner.wanted_by_recv(deadline)

    def wanted_by_send(self, deadline: float | None, *, watch: bool = False) -> PollNeeded:
        """See `Stream.wanted_by_send`."""
        return self.inner.wanted_by_send(deadline, watch=watch)

    def wait_to_recv(self, timeout: float | None) -> bool:
        """See `Stream.wait_to_recv`; a filter may end the wait, to be asked what for."""
        deadline = None if timeout is None else time.monotonic() + timeout
        need = self.wanted_by_recv(deadline)
        left = None if need.deadline is None else need.deadline - time.monotonic()
        return need.poll(left) or deadline is None or time.monotonic() < deadline

    @property
    def buffered(self) -> bool:
        """See `Stream.buffered`."""
        return self.inner.buffered

    def quick_ack(self) -> None:
        """See `Stream.quick_ack`."""
        self.inner.quick_ack()

    def recv_would_block(self) -> bool:
        """See `Stream.recv_would_block`."""
        return self.inner.recv_would_block()

    def is_idle(self) -> bool:
        """See `Stream.is_idle`."""
        return self.inner.is_idle()

    def shut_down_writing(self) -> None:
        """See `Stream.shut_down_writing`."""
        self.inner.shut_down_writing()

    def end_sending(self) -> bool | None:
        """See `Stream.end_sending`."""
        return self.inner.end_sending()

    def send_end_of_stream(self) -> None:
        """See `Stream.send_end_of_stream`."""
        self.inner.send_end_of_stream()

    def shut_down(self) -> None:
        """See `Stream.shut_down`."""
        self.inner.shut_down()

    def close(self) -> None:
        """See `Stream.close`."""
        self.inner.close()


def bare(stream: Stream) -> Stream:
    """Return *stream* without its filters."""
    return stream.bare if isinstance(stream, WrappedStream) else stream
