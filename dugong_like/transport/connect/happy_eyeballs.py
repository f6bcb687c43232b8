"""Connecting to one of the addresses of a host, without blocking (Happy Eyeballs, RFC 8305).

Not here: name look-up (dns.py), options of sockets (socket_options.py), and sending and receiving
(tcp.py).
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
from ..trace import Trace, co_traced

Address = tuple[socket.AddressFamily, Any]

ATTEMPT_DELAY: Final = 0.25  # seconds between two attempts (RFC 8305 section 5)
CONNECTING: Final = {errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EINTR, errno.EALREADY}
NON_BLOCKING: Final[int] = socket.SOCK_STREAM | getattr(socket, "SOCK_NONBLOCK", 0)
CONNECTS_TWICE: Final = sys.platform == "linux"  # others start again after a failed call


class Opener(Protocol):
    """Makes sockets with special options."""

    def open(self, family: int) -> socket.socket:
        """See `SocketOptions.open`."""
        ...


class Attempt:
    """A started attempt to connect to one address; *opener*, if given, makes the socket.

    Attributes:
        sock: the non-blocking socket.
        connected: True if it is connected.

    Raises:
        OSError: the attempt has failed already.
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
                # Within one machine the connection exists by now, which only a second call
                # reports: that saves a wait. Otherwise its cost does not matter.
                code = sock.connect_ex(place)
            if code not in CONNECTING:
                self._note(code)
        except BaseException:
            sock.close()
            raise

    def look(self) -> None:
        """Check whether the socket is connected, when it is writable or at any other time.

        Raises:
            OSError: the attempt has failed.

        """
        code = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code not in CONNECTING and (code or is_connected(self.sock)):
            self._note(code)

    def _note(self, code: int) -> None:
        if code:
            raise OSError(code, os.strerror(code))
        if self._plain:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connected = True


def new_socket(family: int) -> socket.socket:
    """Return a new non-blocking socket, not connected.

    SOCK_NONBLOCK saves a system call, but a class in the place of `socket.socket`, such as that of
    gevent, only notices `setblocking`, and would wait.
    """
    sock = OwnedSocket(family, NON_BLOCKING)
    if sock.gettimeout() != 0:
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
        addresses: family and socket address of each, in order of preference.
        name: name of the peer in errors.
        opener: makes each socket, if given.
        trace: gets the events of each attempt, or None.

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
    """Return the addresses of both ends of *sock*, for a trace."""
    try:
        return {"local_address": sock.getsockname(), "server_address": sock.getpeername()}
    except OSError:  # closed already
        return {"local_address": None, "server_address": None}


def interleave(addresses: Sequence[Address]) -> list[Address]:
    """Order *addresses* so that the families alternate (RFC 8305 section 4)."""
    first = [address for address in addresses if address[0] == addresses[0][0]]
    other = [address for address in addresses if address[0] != addresses[0][0]]
    return [address for pair in zip_longest(first, other) for address in pair if address]


def _co_try(address: Address, opener: Opener | None, trace: Trace | None) -> Co[socket.socket]:
    """Try one address, and report it to *trace*."""
    if trace is None:
        return _co_connect(address, opener)
    return co_traced(
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
            yield PollNeeded(sock.fileno(), POLLOUT).because("connect")
            attempt.look()  # the wait may have been over too early
    except BaseException:
        sock.close()
        raise
    return sock


def co_naming(connecting: Co[socket.socket], name: str) -> Co[socket.socket]:
    """Run *connecting*, and add the peer to its errors."""
    try:
        return (yield from connecting)
    except ConnectionTimedOut:
        raise  # a limit of the caller says nothing about the addresses
    except OSError as exc:
        raise connect_failed(name, exc) from exc


def connect_failed(name: str, exc: OSError) -> ConnectFailed:
    """Return *exc*, an error of connecting a socket, as `ConnectFailed`."""
    return ConnectFailed(f"cannot connect to {name}: {exc.strerror or exc}")
