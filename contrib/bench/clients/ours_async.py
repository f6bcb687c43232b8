"""This library on asyncio, uvloop and trio: one operation for each request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, BinaryIO

from dugong_like import AsyncConnection, HTTPConnection
from dugong_like.drivers import aio

from .base import AsyncClient, Call, Target, WrongBytesError
from .loops import Trio, Uvloop
from .ours import (
    CAN_EXCHANGE,
    check_exchange,
    co_discard,
    co_download,
    co_exchange,
    co_exchanges,
    co_field,
    co_get,
    co_get_anew,
    co_get_with,
    co_pipelined,
    co_save,
    co_sequential,
    co_upload,
    connection,
    connections,
)


class OnAsyncio(AsyncClient):
    """asyncio with its own event loop."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._context = target.context()
        self._conn = connection(target, self._context)
        self._many: list[HTTPConnection] = []  # for work at the same time
        self.drive: Callable[[Any], Coroutine[Any, Any, Any]] = aio.run

    async def close(self) -> None:
        for conn in (self._conn, *self._many):
            conn.close()

    async def get(self, path: str) -> bytes:
        return await self.drive(co_get(self._conn, path))

    async def field(self, path: str) -> tuple[str, bytes]:
        return await self.drive(co_field(self._conn, path))

    async def get_with(self, call: tuple[str, dict[str, str]]) -> bytes:
        return await self.drive(co_get_with(self._conn, *call))

    async def exchanges(self, calls: Iterable[Call]) -> None:
        check_exchange()
        await self.each(lambda path: self.drive(co_exchange(self._conn, path)), calls)

    async def exchanges_with_fields(self, calls: Iterable[Call]) -> None:
        check_exchange()
        await self.each(lambda call: self.drive(co_exchange(self._conn, *call)), calls)

    async def pipelined(self, calls: Iterable[Call]) -> None:
        await self.drive(co_pipelined(self._conn, calls))

    async def get_anew(self, path: str) -> bytes:
        return await self.drive(co_get_anew(self.target, self._context, path))

    async def download(self, path: str, take: Callable[[Any], None]) -> None:
        await self.drive(co_download(self._conn, path, take))

    async def discard(self, path: str, size: int) -> None:
        await self.drive(co_discard(self._conn, path))

    async def save(self, path: str, file: BinaryIO) -> None:
        await self.drive(co_save(self._conn, path, file))

    async def upload(self, path: str, file: BinaryIO, size: int | None) -> bytes:
        return await self.drive(co_upload(self._conn, path, file, size))

    async def concurrent(self, calls: Sequence[Iterable[Call]]) -> None:
        await self._loop.gather([self._one_of_many(*pair) for pair in self.pairs(calls)])

    def pairs(self, calls: Sequence[Iterable[Call]]) -> Iterable[tuple[HTTPConnection, Any]]:
        """Return a connection for each list of *calls*; they are kept."""
        self._many = self._many or connections(self.target, self._context, len(calls))
        return zip(self._many, calls, strict=True)

    async def _one_of_many(self, conn: HTTPConnection, calls: Iterable[Call]) -> None:
        drive, get = self.drive, co_exchange if CAN_EXCHANGE else co_get
        for path, expected in calls:
            if await drive(get(conn, path)) != expected:
                raise WrongBytesError(path)


class ByAioFuture(OnAsyncio):
    """One operation for each connection, which makes all its requests."""

    async def concurrent(self, calls: Sequence[Iterable[Call]]) -> None:
        co_all = co_exchanges if CAN_EXCHANGE else co_sequential
        await asyncio.gather(*[aio.AioFuture(co_all(*pair)) for pair in self.pairs(calls)])


class ByAsyncConnection(OnAsyncio):
    """The awaitable calls: three for each request, or one."""

    async def open(self) -> None:
        self._awaited = AsyncConnection(self._conn)

    async def get(self, path: str) -> bytes:
        return await _get(self._awaited, path)

    async def get_with(self, call: tuple[str, dict[str, str]]) -> bytes:
        return await _get(self._awaited, *call)

    async def exchanges(self, calls: Iterable[Call]) -> None:
        check_exchange()
        exchange = self._awaited.exchange
        for path, expected in calls:
            if (await exchange("GET", path)).body != expected:
                raise WrongBytesError(path)

    async def exchanges_with_fields(self, calls: Iterable[Call]) -> None:
        check_exchange()
        exchange = self._awaited.exchange
        for (path, fields), expected in calls:
            if (await exchange("GET", path, fields)).body != expected:
                raise WrongBytesError(path)

    async def _one_of_many(self, conn: HTTPConnection, calls: Iterable[Call]) -> None:
        awaited = AsyncConnection(conn)
        for path, expected in calls:
            if await _get(awaited, path) != expected:
                raise WrongBytesError(path)


class ByExchange(ByAsyncConnection):
    """The awaitable calls, one for each request."""

    async def _one_of_many(self, conn: HTTPConnection, calls: Iterable[Call]) -> None:
        check_exchange()
        awaited = AsyncConnection(conn)
        for path, expected in calls:
            if (await awaited.exchange("GET", path)).body != expected:
                raise WrongBytesError(path)


async def _get(conn: AsyncConnection, path: str, fields: dict[str, str] | None = None) -> bytes:
    await conn.send_request("GET", path, fields)
    await conn.read_response()
    return await conn.readall()


class OnUvloop(OnAsyncio):
    """asyncio with uvloop."""

    loop_type = Uvloop


class OnTrio(OnAsyncio):
    """trio."""

    loop_type = Trio

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        from dugong_like.drivers import trio

        self.drive = trio.run
