"""dugong 3.8.2, the library that this one takes its calls from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any, BinaryIO

import dugong

from .base import HOST, PIECE, AsyncClient, BlockingClient, Call, Target, WrongBytesError

WINDOW = 100  # requests on the way when pipelining: their answers fit into the buffers


def co_get(conn: dugong.HTTPConnection, path: str) -> Any:
    """Return the body of *path*."""
    yield from conn.co_send_request("GET", path)
    yield from conn.co_read_response()
    return (yield from conn.co_readall())


class Dugong(BlockingClient):
    """Its blocking calls."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._context = target.context()
        self._conn = self._connection()

    def _connection(self) -> dugong.HTTPConnection:
        return dugong.HTTPConnection(HOST, self.target.port, self._context)

    def close(self) -> None:
        self._conn.disconnect()

    def get(self, path: str) -> bytes:
        return _get(self._conn, path)

    def field(self, path: str) -> tuple[str, bytes]:
        self._conn.send_request("GET", path)
        response = self._conn.read_response()
        return response.headers["X-Field-21"], self._conn.readall()

    def pipelined(self, calls: Iterable[Call]) -> None:
        calls = iter(calls)
        while window := list(islice(calls, WINDOW)):
            for path, _ in window:
                self._conn.send_request("GET", path)
            for path, expected in window:
                self._conn.read_response()
                if self._conn.readall() != expected:
                    raise WrongBytesError(path)

    def get_with(self, call: tuple[str, dict[str, str]]) -> bytes:
        path, fields = call
        self._conn.send_request("GET", path, headers=fields)
        self._conn.read_response()
        return self._conn.readall()

    def get_anew(self, path: str) -> bytes:
        with self._connection() as conn:
            return _get(conn, path)

    def idle(self, path: str, count: int) -> Any:
        connections = [self._connection() for _ in range(count)]
        for conn in connections:
            _get(conn, path)
        return connections

    def download(self, path: str, take: Callable[[Any], None]) -> None:
        buffer = memoryview(bytearray(PIECE))
        self._conn.send_request("GET", path)
        self._conn.read_response()
        while size := self._conn.readinto(buffer):
            take(buffer[:size])

    def upload(self, path: str, file: BinaryIO, size: int | None) -> bytes:
        if size is None:
            raise NotImplementedError("sends no chunked bodies")
        self._conn.send_request("PUT", path, body=dugong.BodyFollowing(size))
        while piece := file.read(PIECE):
            self._conn.write(piece)
        self._conn.read_response()
        return self._conn.readall()


def _get(conn: dugong.HTTPConnection, path: str) -> bytes:
    conn.send_request("GET", path)
    conn.read_response()
    return conn.readall()


class OnAsyncio(AsyncClient):
    """Its coroutines on asyncio; only work at the same time is asked of it."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._many: list[dugong.HTTPConnection] = []

    async def close(self) -> None:
        for conn in self._many:
            conn.disconnect()

    async def concurrent(self, calls: Sequence[Iterable[Call]]) -> None:
        while len(self._many) < len(calls):
            self._many.append(dugong.HTTPConnection(HOST, self.target.port))
        pairs = zip(self._many, calls, strict=True)
        await self._loop.gather([self._one_of_many(conn, some) for conn, some in pairs])

    async def _one_of_many(self, conn: dugong.HTTPConnection, calls: Iterable[Call]) -> None:
        for path, expected in calls:
            if await dugong.AioFuture(co_get(conn, path)) != expected:
                raise WrongBytesError(path)
