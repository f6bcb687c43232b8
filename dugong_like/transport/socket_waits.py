"""Waiting for a connected socket, and polling it: its descriptor, and a duplicate of that.

All objects are made when they are first needed: many connections live for one request, and idle
ones should use little memory.

Every owner of a descriptor closes it when it is garbage collected. A stream is passed through
several functions before it has an owner that closes it, and Ctrl-C may interrupt any of them; so
may the failure of an operation that has not begun.

Not here: sending and receiving (tcp.py, tls/over_socket.py).
"""

from __future__ import annotations

import os
import select
import socket
import sys
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from ..errors import ConnectionClosed
from ..polling.contract import POLLIN, PollNeeded, Source, milliseconds
from ..polling.reasons import RECEIVING

QUICK_ACK: Final[int] = getattr(socket, "TCP_QUICKACK", 0)  # Linux; has to be set again each time
# The beginning of struct tcp_info of Linux, and the first of its tcpi_last_... (milliseconds).
TCP_INFO_SIZE: Final = 104
LAST_DATA_SENT: Final = 44
MOST_SPARE: Final = 16  # objects for polling once that are kept
Poller = Callable[[int | None], object]


class OwnedSocket(socket.socket):
    """A socket with one owner: it is closed when it is garbage collected, without a warning."""

    __slots__ = ()

    def __del__(self) -> None:
        try:
            if self.fileno() != -1:
                self.close()
        except AttributeError:  # it was not even made
            pass


class Waits:
    """The waits for one socket; part or base class of a stream.

    Attributes:
        fd: the descriptor that the receiving half waits for.

    """

    __slots__ = (
        *("_acknowledges", "_closed", "_poll", "_read_need", "_sender", "_sock", "_source"),
        "fd",
    )

    def __init__(self, sock: socket.socket) -> None:
        self._closed = False
        self._source: Source | None = None
        self._sender: SendingDescriptor | None = None
        self._sock = sock
        self.fd = sock.fileno()
        self._acknowledges = QUICK_ACK != 0
        self._read_need: PollNeeded | None = None
        self._poll: Poller | None = None  # from the second request on

    def need(self, mask: int, deadline: float | None) -> PollNeeded:
        """Return a wait of the receiving half."""
        if deadline is not None or mask != POLLIN:
            return PollNeeded(self.fd, mask, deadline, self._source or self._known_source())
        need = self._read_need
        if need is None:
            need = self._read_need = self._known_source().need(POLLIN)
        return need

    def _known_source(self) -> Source:
        source = self._source
        if source is None:
            source = self._source = Source(self.fd, RECEIVING)
            if self._closed:  # by another thread, which need not have seen the source
                source.closed = True
        return source

    def sending_need(self, mask: int, deadline: float | None) -> PollNeeded:
        """Return a wait of the sending half."""
        sender = self._sender
        if sender is None:
            sender = self._sender = SendingDescriptor(self._sock)
            if self._closed:
                sender.close()
        return sender.need(mask, deadline)

    def blocks(self, timeout: float | None) -> bool:
        """Block until the descriptor is readable; return False after *timeout* seconds."""
        limit = None if timeout is None else milliseconds(timeout)
        poll = self._poll
        if poll is None:
            return poll_once(self.fd, limit)
        try:
            return bool(poll(limit))
        except RuntimeError:  # another thread is in it
            return poll_once(self.fd, limit)

    def quick_ack(self) -> None:
        """See `Stream.quick_ack`."""
        if self._acknowledges:
            try:
                self._sock.setsockopt(socket.IPPROTO_TCP, QUICK_ACK, 1)
            except OSError:  # not a TCP connection, or gone
                self._acknowledges = False

    def is_unreadable(self) -> bool:
        """Return True if there is nothing to receive; for the sending half."""
        poll = self._poll
        if poll is None:
            poll = self._poll = poller(self.fd)
        try:
            return not poll(0)
        except RuntimeError:  # another thread is in it
            return not poll_once(self.fd, 0)

    def hand_over(self) -> None:
        """Unregister the descriptor in all loops; another stream uses it from now on."""
        if self._sender is not None:
            self._sender.close()
        if self._source is not None:
            self._source.close(lambda: None)
            self._source = self._read_need = None

    def close(self) -> None:
        """Close the socket, and unregister it in all loops."""
        self._closed = True  # set before checking objects that are made on demand;
        if self._sender is not None:  # their makers do the opposite
            self._sender.close()
        if self._source is None:
            self._sock.close()
        else:
            self._source.close(self._sock.close)

    def __del__(self) -> None:
        try:
            if not self._closed and self._sock.fileno() != -1:
                self.close()
        except AttributeError:  # it was not even made
            pass


class SendingDescriptor:
    """The descriptor that the sending half waits for: a duplicate, made when needed.

    Event loops accept one waiter for each direction of a descriptor. While a body is written the
    sender waits for both directions, and so may the receiver; with a number of its own each half
    can.
    """

    __slots__ = ("_closed", "_duplicate", "_sock", "_source")

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._duplicate: socket.socket | None = None
        self._source: Source | None = None  # that of the duplicate
        self._closed = False

    def need(self, mask: int, deadline: float | None) -> PollNeeded:
        """Return a wait for *mask*.

        Raises:
            ConnectionClosed: the socket was closed meanwhile, by another thread.

        """
        source = self._source
        if source is None:
            sock = self._sock
            try:
                self._duplicate = duplicate(sock)
            except OSError as exc:
                raise lost(exc) from exc
            self._source = source = Source(self._duplicate.fileno(), "send")
            if self._closed:  # by another thread, which need not have seen the source
                self.close()
        if source.closed:
            raise ConnectionClosed("connection lost: it was closed", request_sent="maybe")
        return source.need(mask, deadline)

    def close(self) -> None:
        """Close the duplicate."""
        self._closed = True  # set before checking the source; its maker does the opposite
        if self._source is not None and self._duplicate is not None:
            self._source.close(self._duplicate.close)


def duplicate(sock: socket.socket) -> socket.socket:
    """Return another descriptor for the same socket, which may use TLS."""
    fd = -1
    try:
        fd = os.dup(sock.fileno()) if os.name == "posix" else sock.dup().detach()
        return OwnedSocket(sock.family, sock.type, sock.proto, fd)
    except BaseException:
        if fd != -1:
            socket.close(fd)
        raise


def poller(fd: int) -> Poller:
    """Return a function that waits for *fd*, in milliseconds; its result is true if readable."""
    if not hasattr(select, "poll"):
        need = PollNeeded(fd, POLLIN)
        return lambda limit: need.poll(None if limit is None else limit / 1000)
    poller = select.poll()  # the cheapest way is one that is registered once
    poller.register(fd, POLLIN)
    return poller.poll


def poll_once(fd: int, limit: int | None) -> bool:
    """Wait for *fd*, for *limit* milliseconds; return True if it is readable.

    For a wait that is the only one, or that another thread's keeps from using the same object.
    """
    if not hasattr(select, "poll"):
        return bool(poller(fd)(limit))
    try:
        poll = _spare.pop()
    except IndexError:
        poll = select.poll()
    poll.register(fd, POLLIN)
    ready = poll.poll(limit)
    poll.unregister(fd)
    _spare.append(poll)  # not if it was interrupted
    return bool(ready)


_spare: Final[deque[Any]] = deque(maxlen=MOST_SPARE)  # append and pop are atomic


def seconds_idle(sock: socket.socket) -> float | None:
    """Return for how long nothing was sent to or received from the peer of *sock*.

    None if the system does not say: it is not TCP, or this is not Linux.

    Raises:
        OSError: it is closed.

    """
    if sys.platform != "linux" or sock.family == socket.AF_UNIX:
        return None
    import struct  # noqa: PLC0415 - for programs that ask

    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_SIZE)
    sent: int
    received: int
    sent, _, received = struct.unpack_from("3I", info, LAST_DATA_SENT)
    return min(sent, received) / 1000


def lost(exc: OSError) -> ConnectionClosed:
    """Return *exc*, an error of a connected socket, as `ConnectionClosed`."""
    return ConnectionClosed(f"connection lost: {exc.strerror or exc}", request_sent="maybe")
