"""The floors for work at the same time: what one would write by hand for each loop."""

from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from .base import HOST, AsyncClient, BlockingClient, Call, Target, WrongBytesError
from .floor import BUFFER, request
from .loops import Trio, Uvloop


class Requests:
    """Ready requests for the paths of *calls*, each built once."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._heads: dict[str, bytes] = {}

    def pairs(self, calls: Iterable[Call]) -> Iterator[tuple[bytes, bytes]]:
        """Return the requests and the bodies that have to come back."""
        heads = self._heads
        for path, expected in calls:
            if path not in heads:
                heads[path] = request(path, self._port)
            yield heads[path], expected


class Getter(asyncio.Protocol):
    """Sends the next request when the answer to the last one is complete."""

    def start(self, pairs: Iterator[tuple[bytes, bytes]]) -> asyncio.Future[None]:
        """Start; what is returned is done when all answers are here."""
        self._pairs = pairs
        self._data = b""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._next()
        return self.done

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport: Any = transport

    def _next(self) -> None:
        pair = next(self._pairs, None)
        if pair is None:
            self.done.set_result(None)
            return
        head, self._expected = pair
        self.transport.write(head)

    def data_received(self, data: bytes) -> None:
        """Look whether the answer is complete."""
        if self._data:
            data = self._data + data
        body = data.find(b"\r\n\r\n") + 4
        if body == 3 or len(data) - body < len(self._expected):
            self._data = data
            return
        self._data = b""
        if data.startswith(self._expected, body):
            self._next()
        else:
            self.done.set_exception(WrongBytesError(data))


class Protocols(AsyncClient):
    """A protocol for each connection, on asyncio."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._getters: list[Getter] = []

    async def close(self) -> None:
        for getter in self._getters:
            getter.transport.close()
        await asyncio.sleep(0)

    async def concurrent(self, calls: Sequence[Iterable[Call]]) -> None:
        loop = asyncio.get_running_loop()
        while len(self._getters) < len(calls):
            _, getter = await loop.create_connection(Getter, HOST, self.target.port)
            self._getters.append(getter)
        requests = Requests(self.target.port)
        pairs = [requests.pairs(some) for some in calls]
        await asyncio.gather(
            *[getter.start(some) for getter, some in zip(self._getters, pairs, strict=True)]
        )


class ProtocolsOnUvloop(Protocols):
    """The same on uvloop."""

    loop_type = Uvloop


class TrioSockets(AsyncClient):
    """trio's sockets, a task for each connection."""

    loop_type = Trio

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._socks: list[Any] = []

    async def close(self) -> None:
        for sock in self._socks:
            sock.close()

    async def concurrent(self, calls: Sequence[Iterable[Call]]) -> None:
        import trio

        while len(self._socks) < len(calls):
            sock = trio.socket.socket()
            await sock.connect((HOST, self.target.port))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socks.append(sock)
        requests = Requests(self.target.port)
        pairs = zip(self._socks, calls, strict=True)
        await self._loop.gather([self._one(sock, requests.pairs(some)) for sock, some in pairs])

    async def _one(self, sock: Any, pairs: Iterator[tuple[bytes, bytes]]) -> None:
        for head, expected in pairs:
            await sock.send(head)
            data = await sock.recv(BUFFER)
            while (body := data.find(b"\r\n\r\n") + 4) == 3 or len(data) - body < len(expected):
                data += await sock.recv(BUFFER)
            if not data.startswith(expected, body):
                raise WrongBytesError(data)


class Connection:
    """One of many connections in the epoll loop."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection((HOST, port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.setblocking(False)
        self._buffer = bytearray(4096)
        self._view = memoryview(self._buffer)

    def start(self, pairs: Iterator[tuple[bytes, bytes]]) -> None:
        """Send the first request."""
        self._pairs = pairs
        self._next()

    def _next(self) -> bool:
        self._end = 0
        pair = next(self._pairs, None)
        if pair is None:
            return False
        head, self._expected = pair
        self.sock.send(head)
        return True

    def ready(self) -> bool:
        """Receive what is there; return False when all answers are here."""
        self._end += self.sock.recv_into(self._view[self._end :])
        body = self._buffer.find(b"\r\n\r\n", 0, self._end) + 4
        if body == 3 or self._end - body < len(self._expected):
            return True
        if not self._buffer.startswith(self._expected, body):
            raise WrongBytesError(self._buffer)
        return self._next()


class Epoll(BlockingClient):
    """An epoll loop around non-blocking sockets."""

    def open(self) -> None:
        self._epoll = select.epoll()
        self._connections: dict[int, Connection] = {}

    def close(self) -> None:
        for connection in self._connections.values():
            connection.sock.close()
        self._epoll.close()

    def concurrent(self, calls: Sequence[Iterable[Call]]) -> None:
        connections = self._connections
        while len(connections) < len(calls):
            connection = Connection(self.target.port)
            connections[connection.sock.fileno()] = connection
            self._epoll.register(connection.sock, select.EPOLLIN)
        requests = Requests(self.target.port)
        for connection, some in zip(connections.values(), calls, strict=True):
            connection.start(requests.pairs(some))
        active = len(connections)
        while active:
            for fd, _ in self._epoll.poll():
                if not connections[fd].ready():
                    active -= 1
