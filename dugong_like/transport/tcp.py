"""TCP connections: opening them, and bytes in and out without ever blocking.

Connecting races the addresses of a host as RFC 8305 (Happy Eyeballs) describes.

Not here: names to addresses (resolve.py) and TLS (tls.py).
"""

from __future__ import annotations

import errno
import os
import select
import socket
import time
from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import Any, Final, Protocol, TypeVar

from ..errors import ConnectFailed, ConnectionClosed, ConnectionTimedOut
from ..polling import POLLIN, POLLOUT, Co, PollNeeded, first_of, milliseconds
from ..trace import Trace, co_told

A = TypeVar("A")
T = TypeVar("T")
Socket = socket.socket
Address = tuple[socket.AddressFamily, Any]

ATTEMPT_DELAY: Final = 0.25  # seconds between two attempts (RFC 8305 section 5)
TURN: Final = 1 << 20  # bytes moved without waiting, after which others have their turn
MAX_PARTS: Final = 512  # parts of one sendmsg; the system takes IOV_MAX, at least 1024 on Linux
CONNECTING: Final = {errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EINTR}

Part = bytes | memoryview


class Stream(Protocol):
    """A connection that carries bytes. No call blocks; None says that it would.

    Attributes:
        fd: the descriptor that the receiving half waits for.
        waiting: True if nothing has been received since `wanted_by_recv` was called: then
            no bytes are on their way to the caller, and an exception loses none.

    """

    fd: int
    waiting: bool

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

        After None the next call must have the same parts.

        Raises:
            ConnectionClosed: the peer takes no more.

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

    def has_buffered(self) -> bool:
        """Return True if bytes have been received below that `recv` would give at once."""
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

    def say_goodbye(self) -> None:
        """End the sending direction in order: the peer hears that nothing will follow."""
        ...

    def shut_down(self) -> None:
        """End both directions; whoever waits is woken."""
        ...

    def close(self) -> None:
        """Give the descriptors back. Nothing is sent."""
        ...


def co_attempt(
    attempt: Callable[[A], T | None],
    argument: A,
    wanted: Callable[[float | None], PollNeeded],
    timeout: float | None,
    phase: str = "read",
) -> Co[T]:
    """Wait, then call *attempt*, until it does not return None any more.

    Args:
        attempt: a call that would block.
        argument: what to call it with.
        wanted: gives what it waits for, with the given deadline.
        timeout: seconds that may pass until it succeeds; None sets no limit.
        phase: what that limits, for the error.

    Raises:
        ConnectionTimedOut: *timeout* seconds have passed.

    """
    deadline = None if timeout is None else time.monotonic() + timeout
    while True:
        yield wanted(deadline)
        result = attempt(argument)
        if result is not None:
            return result
        if deadline is not None and time.monotonic() >= deadline:
            raise nothing_moved(timeout, phase)


def co_receive(
    stream: Stream, receive: Callable[[A], T | None], argument: A, timeout: float | None
) -> Co[T]:
    """Receive from *stream*, at once or after waiting.

    Args:
        stream: where from.
        receive: its `Stream.recv` or `Stream.recv_into`.
        argument: what to call that with.
        timeout: seconds that may pass until something arrives; None sets no limit.

    Raises:
        ConnectionTimedOut: *timeout* seconds have passed.
        ConnectionClosed: the connection was lost.
    """
    result = receive(argument)
    if result is None:
        result = yield from co_attempt(receive, argument, stream.wanted_by_recv, timeout)
    return result


class SendingDescriptor:
    """The descriptor that the sending half waits for: a duplicate, made when needed.

    Event loops take one waiter for each direction of a descriptor. While a body is
    written the sender waits for both directions, and so may the receiver; with a
    number of its own each half can.
    """

    __slots__ = ("_duplicate", "_sock")

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._duplicate: socket.socket | None = None

    def need(self, mask: int, deadline: float | None) -> PollNeeded:
        """Return a wait for *mask*.

        Raises:
            ConnectionClosed: the socket was closed meanwhile, by another thread.

        """
        duplicate = self._duplicate
        if duplicate is None:
            sock = self._sock
            try:
                fd = duplicate_fd(sock)
            except OSError as exc:
                raise lost(exc) from exc
            duplicate = socket.socket(sock.family, sock.type, sock.proto, fd)
            self._duplicate = duplicate
        fd = duplicate.fileno()
        if fd < 0:
            raise ConnectionClosed("connection lost: it was closed", request_sent="maybe")
        return PollNeeded(fd, mask, deadline)

    def close(self) -> None:
        """Give the duplicate back."""
        if self._duplicate is not None:
            self._duplicate.close()


def duplicate_fd(sock: socket.socket) -> int:
    """Return another descriptor for the same socket."""
    if os.name == "posix":
        return os.dup(sock.fileno())
    return sock.dup().detach()


class TCPStream:
    """Plain TCP; see `Stream`. Takes over *sock*, which must be connected and non-blocking."""

    __slots__ = (
        *(
            "_block",
            "_failure",
            "_look",
            "_read_need",
            "_recv",
            "_recv_into",
            "_send",
            "_sender",
            "_sock",
        ),
        *("fd", "waiting"),
    )

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.fd = sock.fileno()
        self.waiting = False
        self._recv = sock.recv
        self._recv_into = sock.recv_into
        self._send = sock.send
        self._read_need = PollNeeded(self.fd, POLLIN)
        self._look = looker(self.fd)
        self._block = looker(self.fd)  # another one: no two threads may use the same
        self._sender = SendingDescriptor(sock)
        # The system tells once that the connection was reset, and ends the stream after
        # that: who reads would take it for a proper end if the sender was told.
        self._failure: OSError | None = None

    def recv_into(self, buffer: memoryview) -> int | None:
        """See `Stream.recv_into`."""
        self.waiting = False
        try:
            count = self._recv_into(buffer)
        except BlockingIOError:
            return None
        except OSError as exc:
            raise lost(exc) from exc
        if count == 0 and self._failure is not None:
            raise lost(self._failure) from self._failure
        return count

    def recv(self, size: int) -> bytes | None:
        """See `Stream.recv`."""
        self.waiting = False
        try:
            data = self._recv(size)
        except BlockingIOError:
            return None
        except OSError as exc:
            raise lost(exc) from exc
        if not data and self._failure is not None:
            raise lost(self._failure) from self._failure
        return data

    def send(self, parts: Sequence[Part]) -> int | None:
        """See `Stream.send`."""
        try:
            if len(parts) == 1:
                return self._send(parts[0])
            return send_many(self._sock, parts)
        except BlockingIOError:
            return None
        except BrokenPipeError as exc:  # nobody listens any more; what he said before is whole
            raise lost(exc) from exc
        except OSError as exc:
            self._failure = exc
            raise lost(exc) from exc

    def wanted_by_recv(self, deadline: float | None) -> PollNeeded:
        """See `Stream.wanted_by_recv`."""
        self.waiting = True
        if deadline is None:
            return self._read_need
        return PollNeeded(self.fd, POLLIN, deadline)

    def wanted_by_send(self, deadline: float | None, *, watch: bool = False) -> PollNeeded:
        """See `Stream.wanted_by_send`."""
        return self._sender.need(POLLIN | POLLOUT if watch else POLLOUT, deadline)

    def wait_to_recv(self, timeout: float | None) -> bool:
        """See `Stream.wait_to_recv`."""
        self.waiting = True
        return bool(self._block(milliseconds(timeout)))

    def has_buffered(self) -> bool:
        """See `Stream.has_buffered`: nothing lies between the socket and `recv`."""
        return False

    def is_quiet(self) -> bool:
        """See `Stream.is_quiet`."""
        return not self._look(0)

    is_idle = is_quiet

    def shut_down_writing(self) -> None:
        """See `Stream.shut_down_writing`."""
        shut_down(self._sock, socket.SHUT_WR)

    say_goodbye = shut_down_writing

    def shut_down(self) -> None:
        """See `Stream.shut_down`."""
        shut_down(self._sock, socket.SHUT_RDWR)

    def release(self) -> None:
        """Give up the socket without closing it: somebody else goes on with it."""
        self._sender.close()

    def close(self) -> None:
        """See `Stream.close`."""
        self._sender.close()
        self._sock.close()


def nothing_moved(timeout: float | None, phase: str) -> ConnectionTimedOut:
    """Return the error that nothing has moved for *timeout* seconds."""
    return ConnectionTimedOut(
        f"nothing moved for {timeout} seconds ({phase} time-out)", phase=phase
    )


def looker(fd: int) -> Callable[[int | None], object]:
    """Return what waits so many milliseconds until *fd* is readable: something true if it is."""
    if not hasattr(select, "poll"):
        need = PollNeeded(fd, POLLIN)
        return lambda limit: need.poll(None if limit is None else limit / 1000)
    poller = select.poll()  # one that is registered once is the cheapest look
    poller.register(fd, POLLIN)
    return poller.poll


def send_many(sock: socket.socket, parts: Sequence[Part]) -> int:
    """Send several parts with one system call and return how many bytes went out."""
    if hasattr(sock, "sendmsg"):
        return sock.sendmsg(parts[:MAX_PARTS])
    return sock.send(parts[0])  # Windows has no sendmsg


def shut_down(sock: socket.socket, how: int) -> None:
    """End one direction of *sock* or both, if there is still one.

    Below TLS, which `ssl.SSLSocket.shutdown` would take off: what is read after that
    would be taken for plain text.
    """
    try:
        socket.socket.shutdown(sock, how)
    except OSError:
        pass  # the peer was faster


def lost(exc: OSError) -> ConnectionClosed:
    """Return *exc*, which a socket raised while it was connected, as `ConnectionClosed`."""
    return ConnectionClosed(f"connection lost: {exc.strerror or exc}", request_sent="maybe")


def co_connect_tcp(
    addresses: Sequence[Address], name: str, trace: Trace | None = None
) -> Co[socket.socket]:
    """Connect to the first of *addresses* that answers (RFC 8305).

    Args:
        addresses: family and socket address of each, in the order of preference.
        name: what to call the peer in errors.
        trace: who is told of each attempt, or None.

    Returns:
        A connected, non-blocking socket.

    Raises:
        ConnectFailed: no address accepted the connection.

    """
    attempts = [
        co_told(
            trace,
            "connection.attempt",
            _co_connect(family, address),
            {"family": family.name, "address": address},
            result=addresses_of,
            undo=socket.socket.close,
        )
        for family, address in interleave(addresses)
    ]
    try:
        return (yield from first_of(*attempts, stagger=ATTEMPT_DELAY))
    except ConnectionTimedOut:
        raise  # the limit of whoever waits: no word about the addresses
    except OSError as exc:
        raise ConnectFailed(f"cannot connect to {name}: {exc.strerror or exc}") from exc


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


def _co_connect(family: socket.AddressFamily, address: Any) -> Co[socket.socket]:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        code = sock.connect_ex(address)
        while code in CONNECTING:
            yield PollNeeded(sock.fileno(), POLLOUT)
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code == 0 and not _is_connected(sock):
                code = errno.EINPROGRESS  # resumed too early
        if code:
            raise OSError(code, os.strerror(code))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        sock.close()
        raise
    return sock


def _is_connected(sock: socket.socket) -> bool:
    try:
        sock.getpeername()
    except OSError:
        return False
    return True
