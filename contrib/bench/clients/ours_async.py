"""This library on asyncio, uvloop and trio: one operation for each request."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, BinaryIO

from dugong_like import HTTPConnection
from dugong_like.drivers import aio

from .base import AsyncClient, Call, Target, WrongBytesError
from .loops import Trio, Uvloop
from .ours import (
    co_discard,
    co_download,
    co_field,
    co_get,
    co_get_anew,
    co_pipelined,
    co_save,
    co_upload,
    connection,
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
        self._many = self._many or [connection(self.target, self._context) for _ in calls]
        await self._loop.gather(
            [self._one_of_many(*pair) for pair in zip(self._many, calls, strict=True)]
        )

    async def _one_of_many(self, conn: HTTPConnection, calls: Iterable[Call]) -> None:
        drive = self.drive
        for path, expected in calls:
            if await drive(co_get(conn, path)) != expected:
                raise WrongBytesError(path)


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
