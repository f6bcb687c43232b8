"""TCP connections: non-blocking sending and receiving.

Not here: opening them (connect/happy_eyeballs.py), waiting (attempts.py), and TLS
(tls/over_socket.py).
"""

from __future__ import annotations

import copy
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Final

from ..polling.contract import POLLIN, POLLOUT, PollNeeded, milliseconds
from .socket_waits import Waits, lost, poll_once, poller
from .stream import Part
from .zero_copy import (
    IS_LINUX,
    BulkStream,
    FileRange,
    Pipe,
    discard,
    send_parts,
    set_low_water,
)

Socket = socket.socket

MAX_PARTS: Final = 512  # parts of one sendmsg; the system takes IOV_MAX, at least 1024 on Linux


_milliseconds = lru_cache(maxsize=16)(milliseconds)  # of time limits, which are the same each time


class TCPStream(Waits):
    """Plain TCP; see `Stream`. Takes over *sock*, which must be connected and non-blocking."""

    buffered = False  # no buffer between the socket and `recv`

    __slots__ = ("_failure", "_low_water", "_sending", "waiting")

    def __init__(self, sock: socket.socket) -> None:
        Waits.__init__(self, sock)
        self.waiting = False
        self._low_water = 1
        # The system reports a reset once, and only the end of the stream after that: a reader
        # would take it for a proper end if the sender got the report. Another thread may be about
        # to store the report as long as it is sending.
        self._failure: OSError | None = None
        self._sending = False  # a lock would cost ten times as much, for each request

    @property
    def bulk(self) -> BulkStream | None:
        """See `Stream.bulk`."""
        return self if IS_LINUX else None

    def recv_into(self, buffer: memoryview) -> int | None:
        """See `Stream.recv_into`."""
        self.waiting = False
        try:
            count = self._sock.recv_into(buffer)
        except BlockingIOError:
            return None
        except OSError as exc:
            raise lost(exc) from exc
        return None if count == 0 and not self._is_the_end() else count

    recv_all_into = recv_into  # the same, as it has no records; bodies are received by it

    def _is_the_end(self) -> bool:
        """Check, at the end of the stream, whether the sender got the report of a reset.

        Returns:
            True if it did not; False if another thread is sending just now, and may be about to
            store the report: to be called again, as if the call had blocked.

        Raises:
            ConnectionClosed: the connection was reset.

        """
        sending = self._sending
        if self._failure is not None:
            raise lost(self._failure) from self._failure
        return not sending

    def discard(self, count: int) -> int | None:
        """See `BulkStream.discard`."""
        return self._receive(discard, count)

    def recv_into_pipe(self, pipe: Pipe, count: int) -> int | None:
        """See `BulkStream.recv_into_pipe`."""
        return self._receive(pipe.fill, count)

    def _receive(self, call: Callable[[socket.socket, int], int], count: int) -> int | None:
        """Receive as `recv_into`, more generally and more slowly."""
        self.waiting = False
        try:
            received = call(self._sock, count)
        except BlockingIOError:
            return None
        except OSError as exc:
            raise lost(exc) from exc
        return None if received == 0 and not self._is_the_end() else received

    def wanted_by_gathering(self, count: int, deadline: float | None) -> PollNeeded:
        """See `BulkStream.wanted_by_gathering`."""
        self.waiting = True
        self._set_low_water(count)
        return self.need(POLLIN, deadline)

    def wait_to_gather(self, count: int, timeout: float) -> bool:
        """See `BulkStream.wait_to_gather`."""
        self.waiting = True
        self._set_low_water(count)
        return self.blocks(timeout)

    def _set_low_water(self, count: int) -> None:
        """Set SO_RCVLOWAT: to 1 before any other wait. For the receiving half."""
        if count != self._low_water:
            set_low_water(self._sock, count)
            self._low_water = count

    def recv(self, size: int) -> bytes | None:
        """See `Stream.recv`."""
        self.waiting = False
        try:
            data = self._sock.recv(size)
        except BlockingIOError:
            return None
        except OSError as exc:
            raise lost(exc) from exc
        return data if data or self._is_the_end() else None

    def send(self, parts: Sequence[Part]) -> int | None:
        """See `Stream.send`."""
        self._sending = True
        try:
            part = parts[0]
            if len(parts) == 1:
                if isinstance(part, FileRange):
                    return part.send(self._sock)
                return self._sock.send(part)
            return send_many(self._sock, parts)
        except BlockingIOError:
            return None
        except BrokenPipeError as exc:  # the peer has closed; received bytes are still valid
            raise lost(exc) from exc
        except OSError as exc:
            self._failure = copy.copy(exc)  # whose traceback would lead back to this object
            raise lost(exc) from exc
        finally:
            self._sending = False

    def wanted_by_recv(self, deadline: float | None) -> PollNeeded:
        """See `Stream.wanted_by_recv`."""
        self.waiting = True
        if self._low_water != 1:
            self._set_low_water(1)
        if deadline is not None:  # as `need` does, which is a call
            return PollNeeded(self.fd, POLLIN, deadline, self._source or self._known_source())
        return self._read_need or self.need(POLLIN, None)

    def wanted_by_send(self, deadline: float | None, *, watch: bool = False) -> PollNeeded:
        """See `Stream.wanted_by_send`."""
        if watch and self._low_water != 1:  # only the other half may change it
            set_low_water(self._sock, 1)
        return self.sending_need(POLLIN | POLLOUT if watch else POLLOUT, deadline)

    def wait_to_recv(self, timeout: float | None) -> bool:
        """See `Stream.wait_to_recv`."""
        self.waiting = True
        if self._low_water != 1:
            self._set_low_water(1)
        poll = self._poll  # as `blocks` does, which is a call
        if poll is None:
            return poll_once(self.fd, None if timeout is None else _milliseconds(timeout))
        try:
            return bool(poll(None if timeout is None else _milliseconds(timeout)))
        except RuntimeError:  # another thread is in it
            return self.blocks(timeout)

    def recv_would_block(self) -> bool:
        """See `Stream.recv_would_block`."""
        if self._low_water != 1:  # the sender must not change it
            set_low_water(self._sock, 1)
        poll = self._poll  # as `is_unreadable` does, which is a call
        if poll is None:
            poll = self._poll = poller(self.fd)
        try:
            return not poll(0)
        except RuntimeError:  # another thread is in it
            return not poll_once(self.fd, 0)

    is_idle = recv_would_block

    def shut_down_writing(self) -> None:
        """See `Stream.shut_down_writing`."""
        shut_down(self._sock, socket.SHUT_WR)

    send_end_of_stream = shut_down_writing

    def end_sending(self) -> bool:
        """See `Stream.end_sending`: FIN, behind the bytes in the buffer of the system."""
        self.shut_down_writing()
        return True

    def shut_down(self) -> None:
        """See `Stream.shut_down`."""
        shut_down(self._sock, socket.SHUT_RDWR)

    @property
    def sock(self) -> Socket:
        """See `Stream.sock`."""
        return self._sock

    tls = None


def send_many(sock: socket.socket, parts: Sequence[Part]) -> int:
    """Send several parts, usually with one system call, and return the number of bytes."""
    parts = parts[:MAX_PARTS]  # first: many more may wait behind them
    if FileRange in map(type, parts):
        return send_parts(sock, parts)
    if hasattr(sock, "sendmsg"):
        return sock.sendmsg(parts)  # type: ignore[arg-type]  # no file is there
    return sock.send(parts[0])  # type: ignore[arg-type]  # Windows has no sendmsg


def hold_back(sock: socket.socket) -> None:
    """Have the system hold less than a packet until *sock* is closed or shut down."""
    if hasattr(socket, "TCP_CORK"):  # on Linux
        with suppress(OSError):  # it was closed
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)


def shut_down(sock: socket.socket, how: int) -> None:
    """Shut down one direction of *sock* or both, if it is still connected.

    Below TLS: `ssl.SSLSocket.shutdown` would remove the TLS object, and bytes that are read after
    that would be taken for plain text.
    """
    try:
        socket.socket.shutdown(sock, how)
    except OSError:
        pass  # the peer was faster
