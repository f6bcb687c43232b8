"""Connecting: sockets on their way to one of the addresses of a host, without ever blocking.

The addresses race as RFC 8305 (Happy Eyeballs) describes.

Not here: names to addresses (dns.py), what a caller wants of its sockets (socket_options.py),
and bytes in and out (tcp.py).
"""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any, Final, Protocol

from ...errors import ConnectFailed, ConnectionTimedOut
from ...polling.combinators import first_of
from ...polling.contract import POLLOUT, Co, PollNeeded
from ..socket_waits import OwnedSocket
from ..trace import Trace, co_told

Address = tuple[socket.AddressFamily, Any]

ATTEMPT_DELAY: Final = 0.25  # seconds between two attempts (RFC 8305 section 5)
CONNECTING: Final = {errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EINTR, errno.EALREADY}
CONNECTS_TWICE: Final = sys.platform == "linux"  # others begin anew where the first call failed


class Opener(Protocol):
    """What makes sockets that are not as all others."""

    def open(self, family: int) -> socket.socket:
        """See `SocketOptions.open`."""
        ...


class Attempt:
    """One attempt to connect to one address, begun, with a socket that *opener* makes, if given.

    Attributes:
        sock: on its way to the address; non-blocking.
        connected: True if it is there.

    Raises:
        OSError: it has failed already.
        InvalidOption: *opener* could not make a socket.

    """

    __slots__ = ("_plain", "connected", "sock")

    def __init__(self, address: Address, opener: Opener | None = None) -> None:
        family, place = address
        self._plain = opener is None
        self.sock = sock = new_socket(family) if opener is None else opener.open(family)
        self.connected = False
        try:
            code = sock.connect_ex(place)
            if code in CONNECTING and CONNECTS_TWICE:
                # Inside of one machine it is done by now, but only a second call says so: that
                # saves a wait. Elsewhere it costs nothing in comparison.
                code = sock.connect_ex(place)
            self._note(code)
        except BaseException:
            sock.close()
            raise

    def look(self) -> None:
        """Look, when the socket is writable or at any other time, whether it is connected.

        Raises:
            OSError: it has failed.

        """
        code = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code or is_connected(self.sock):
            self._note(code)

    def _note(self, code: int) -> None:
        if code in CONNECTING:
            return
        if code:
            raise OSError(code, os.strerror(code))
        if self._plain:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connected = True


def new_socket(family: int) -> socket.socket:
    """Return a socket that is non-blocking and not connected.

    SOCK_NONBLOCK would save a system call, but only the system sees it: a class that takes the
    place of `socket.socket`, as that of gevent, goes by `setblocking` alone, and waits otherwise.
    """
    sock = OwnedSocket(family, socket.SOCK_STREAM)
    sock.setblocking(False)
    return sock


def is_connected(sock: socket.socket) -> bool:
    """Return True if *sock* is connected."""
    try:
        sock.getpeername()
    except OSError:
        return False
    return True


def co_finish_tcp(attempt: Attempt, name: str) -> Co[socket.socket]:
    """Connect to the one address of *attempt*; see `co_connect_tcp`."""
    return co_naming(_co_arrive(attempt), name)


def co_connect_tcp(
    addresses: Sequence[Address],
    name: str,
    opener: Opener | None = None,
    trace: Trace | None = None,
) -> Co[socket.socket]:
    """Connect to the first of *addresses* that answers (RFC 8305).

    Args:
        addresses: family and socket address of each, in the order of preference.
        name: what to call the peer in errors.
        opener: makes each socket, if given.
        trace: who is told of each attempt, or None.

    Returns:
        A connected, non-blocking socket.

    Raises:
        ConnectFailed: no address accepted the connection.
        InvalidOption: *opener* could not make a socket.

    """
    attempts = [_co_try(address, opener, trace) for address in interleave(addresses)]
    if len(attempts) == 1:
        return co_naming(attempts[0], name)
    return co_naming(first_of(*attempts, stagger=ATTEMPT_DELAY), name)


def addresses_of(sock: socket.socket) -> dict[str, Any]:
    """Return both ends of *sock*: what a trace is told of a connection."""
    try:
        return {"local_address": sock.getsockname(), "server_address": sock.getpeername()}
    except OSError:  # it is gone already
        return {"local_address": None, "server_address": None}


def interleave(addresses: Sequence[Address]) -> list[Address]:
    """Order *addresses* so that the families take turns (RFC 8305 section 4)."""
    first = [address for address in addresses if address[0] == addresses[0][0]]
    other = [address for address in addresses if address[0] != addresses[0][0]]
    return [address for pair in zip_longest(first, other) for address in pair if address]


def _co_try(address: Address, opener: Opener | None, trace: Trace | None) -> Co[socket.socket]:
    """Try one address, and tell *trace* of it."""
    if trace is None:
        return _co_connect(address, opener)
    return co_told(
        trace,
        "connection.attempt",
        _co_connect(address, opener),
        {"family": address[0].name, "address": address[1]},
        result=addresses_of,
        undo=socket.socket.close,
    )


def _co_connect(address: Address, opener: Opener | None) -> Co[socket.socket]:
    return (yield from _co_arrive(Attempt(address, opener)))


def _co_arrive(attempt: Attempt) -> Co[socket.socket]:
    sock = attempt.sock
    try:
        while not attempt.connected:
            yield PollNeeded(sock.fileno(), POLLOUT)
            attempt.look()  # the wait may have been over too early
    except BaseException:
        sock.close()
        raise
    return sock


def co_naming(connecting: Co[socket.socket], name: str) -> Co[socket.socket]:
    """Run *connecting*, and say where to if it fails."""
    try:
        return (yield from connecting)
    except ConnectionTimedOut:
        raise  # the limit of whoever waits: no word about the addresses
    except OSError as exc:
        raise connect_failed(name, exc) from exc


def connect_failed(name: str, exc: OSError) -> ConnectFailed:
    """Return *exc*, which a socket raised when it was to connect, as `ConnectFailed`."""
    return ConnectFailed(f"cannot connect to {name}: {exc.strerror or exc}")
