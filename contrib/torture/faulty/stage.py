"""What all faults share: the servers of a case on threads, its connection, and its verdict.

A case is a function that plays one transfer and returns how it ended, or raises
`Violation`. All its choices come from the dice that it is given, so it can be played again.

Not here: what goes wrong in a transfer (the other files of this folder).
"""

from __future__ import annotations

import itertools
import random
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple, Self, TypeVar

from dugong_like import Co, HTTPConnection, run, within
from dugong_like.drivers.loop import Loop

T = TypeVar("T")
Dice = random.Random
LIMIT: Final = 60  # seconds; what takes longer hangs
LATE: Final = 3  # seconds after which a time-out of MOMENT is late, on a machine with much to do
MOMENT: Final = 0.05  # seconds that stalled transfers are waited for

PLAIN_ENDS: Final = ("FIN", "RST")
TLS_ENDS: Final = ("close_notify", "FIN", "RST")


class Violation(Exception):
    """The library did what it must not do."""


class Case(NamedTuple):
    """One transfer: *label* is its own, and says what goes wrong."""

    label: str
    play: Callable[[Place, Dice], str]


class Request(NamedTuple):
    """A request that a server has read to its end."""

    method: str
    path: str
    body: bytes


class Peer:
    """The server's end of one connection."""

    keep_open = False  # after the script

    def __init__(self, sock: socket.socket, over: threading.Event) -> None:
        self.sock = sock
        self.over = over  # set when the client has done all it wanted
        self._data = bytearray()

    def _receive(self) -> None:
        piece = self.sock.recv(65536)
        if not piece:
            raise ConnectionError("the client has gone")
        self._data += piece

    def exactly(self, count: int) -> bytes:
        """Read *count* bytes."""
        while len(self._data) < count:
            self._receive()
        taken = bytes(self._data[:count])
        del self._data[:count]
        return taken

    def until(self, mark: bytes) -> bytes:
        """Read up to and with *mark*."""
        while mark not in self._data:
            self._receive()
        return self.exactly(self._data.index(mark) + len(mark))

    def read_request(self) -> Request:
        """Read a request with its body."""
        head = self.until(b"\r\n\r\n")
        method, path, _ = head.decode().split(" ", 2)
        return Request(method, path, self.read_body(head))

    def read_body(self, head: bytes) -> bytes:
        """Read the body of the request that begins with *head*."""
        body = b""
        if b"\r\nContent-Length: " in head:
            body = self.exactly(int(head.split(b"\r\nContent-Length: ")[1].split(b"\r\n")[0]))
        elif b"\r\nTransfer-Encoding: chunked\r\n" in head:
            while size := int(self.until(b"\r\n"), 16):
                body += self.exactly(size + 2)[:-2]
            self.exactly(2)
        return body

    def has_more(self) -> bool:
        """Look whether something comes that nobody has asked for."""
        self.sock.settimeout(0.002)
        try:
            self._data += self.sock.recv(1)
        except OSError:
            pass  # as it should be
        self.sock.settimeout(LIMIT)
        return bool(self._data)

    def send(self, data: bytes) -> None:
        """Send *data*."""
        if data:
            self.sock.sendall(data)

    def is_tls(self) -> bool:
        """Say whether this is TLS."""
        return isinstance(self.sock, ssl.SSLSocket)

    def half_close(self) -> None:
        """Send nothing more; over TLS what comes is not decrypted any more."""
        self.sock.shutdown(socket.SHUT_WR)

    def drain(self, enough: threading.Event) -> None:
        """Read and throw away until *enough* or the end."""
        self.sock.settimeout(0.02)
        while not enough.is_set():
            try:
                if not self.sock.recv(65536):
                    break
            except TimeoutError:
                pass
        self.sock.settimeout(LIMIT)

    def end(self, how: str) -> None:
        """End the connection as *how* says: one of `PLAIN_ENDS` or `TLS_ENDS`."""
        if how == "close_notify":
            assert isinstance(self.sock, ssl.SSLSocket)
            self.sock.setblocking(False)
            try:
                self.sock.unwrap()
            except ssl.SSLError:
                pass  # ours is sent; the client's is not waited for
        if how == "RST":
            linger = struct.pack("ii", 1, 0)
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.sock.close()


Script = Callable[[Peer, int], None]  # gets the number of the connection, from 0


class Server:
    """Plays a script with each connection, one after the other, on a thread of its own."""

    def __init__(self, script: Script, context: ssl.SSLContext | None, buffer: int = 0) -> None:
        self._script = script
        self._context = context
        self._listener = socket.socket()
        if buffer:  # of the kernel, for each connection: how much can be sent to nobody
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(8)
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        self._open: list[socket.socket] = []
        self._over = threading.Event()
        self._problem: BaseException | None = None
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self) -> None:
        for number in itertools.count():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections = number + 1
            self._open.append(sock)
            sock.settimeout(LIMIT)
            # Nagle's algorithm would hold back what is sent, and a reset would lose it.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                self._play(sock, number)
            except OSError:
                pass  # the client was faster
            except BaseException as exc:
                self._problem = exc

    def _play(self, sock: socket.socket, number: int) -> None:
        peer = Peer(sock, self._over)
        try:
            if self._context is not None:
                wrapped = self._context.wrap_socket(
                    sock,
                    server_side=True,
                    suppress_ragged_eofs=False,
                    do_handshake_on_connect=False,
                )
                peer.sock = self._open[-1] = wrapped
                wrapped.do_handshake()
            self._script(peer, number)
        finally:
            if not peer.keep_open:
                peer.sock.close()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: object, *exc: object) -> None:
        self._over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        for sock in list(self._open):
            try:
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
            except OSError:
                pass  # it is closed already
        self._thread.join(2 * LIMIT)
        self._listener.close()
        for sock in self._open:
            sock.close()
        if kind is None and self._problem is not None:
            raise self._problem
        if self._thread.is_alive():
            raise Violation("the server hangs")


class Place(NamedTuple):
    """Where cases are played: without TLS, or with these contexts."""

    server_context: ssl.SSLContext | None = None
    client_context: ssl.SSLContext | None = None
    old_client_context: ssl.SSLContext | None = None  # for TLS 1.2

    @classmethod
    def with_tls(cls) -> Self:
        """Make contexts for a server and for clients that trust it."""
        import trustme

        authority = trustme.CA()
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(server)
        clients = ssl.create_default_context(), ssl.create_default_context()
        for client in clients:
            authority.configure_trust(client)
            client.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF  # some builds of Python set it
        clients[1].maximum_version = ssl.TLSVersion.TLSv1_2
        return cls(server, *clients)

    @property
    def tls(self) -> bool:
        """Whether it is played over TLS."""
        return self.server_context is not None

    @property
    def ends(self) -> tuple[str, ...]:
        """The ways in which a connection may end here."""
        return TLS_ENDS if self.tls else PLAIN_ENDS

    def serve(self, script: Script, buffer: int = 0) -> Server:
        """Return a server that plays *script*."""
        return Server(script, self.server_context, buffer)

    def connect_to(self, port: int, **options: Any) -> HTTPConnection:
        """Return a connection to the server at *port*."""
        return HTTPConnection("127.0.0.1", port, self.client_context, timeout=LIMIT, **options)


def drive(op: Co[T], dice: Dice, limit: float = LIMIT) -> T:
    """Run *op* with one of the drivers, for *limit* seconds at most."""
    if dice.random() < 0.7:
        return run(op, limit)
    with Loop() as loop:
        return loop.run(within(time.monotonic() + limit, op))


def positions(length: int, step: int, dice: Dice) -> Iterator[int]:
    """Yield the bytes to break at: every *step*-th one, and the ends."""
    yield from sorted({*range(dice.randrange(step), length, step), 0, length - 1, length})


def times(count: int, step: int) -> range:
    """Return a range for what is done *count* times, or fewer if *step* is not 1."""
    return range(max(2, count // step))


def check(right: bool, problem: str) -> None:
    """Raise `Violation` unless *right*."""
    if not right:
        raise Violation(problem)


def name_of(exc: BaseException | None) -> str:
    """Return how the transfer has ended."""
    return "whole" if exc is None else type(exc).__name__
