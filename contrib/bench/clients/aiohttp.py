"""aiohttp on asyncio and uvloop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, BinaryIO

import aiohttp

from .base import AsyncClient
from .loops import Uvloop

BLOCK = 65536  # bytes: of the pieces of bodies that are sent in chunks
AT_ONCE = 100  # connections of a session, when many are wanted


class OnAsyncio(AsyncClient):
    """aiohttp.ClientSession."""

    async def open(self) -> None:
        self._context = self.target.context()
        self._session = self._make_session()
        self._url = self.target.url
        self._anew: aiohttp.ClientSession | None = None

    def _make_session(self, **settings: Any) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            ssl=True if self._context is None else self._context, **settings
        )
        timeout = aiohttp.ClientTimeout(total=None)
        return aiohttp.ClientSession(connector=connector, timeout=timeout)

    async def close(self) -> None:
        await self._session.close()
        if self._anew is not None:
            await self._anew.close()

    async def get(self, path: str) -> bytes:
        async with self._session.get(self._url + path) as response:
            return await response.read()

    async def post_json(self, call: tuple[str, Any]) -> Any:
        path, value = call
        async with self._session.post(self._url + path, json=value) as response:
            return await response.json()

    async def field(self, path: str) -> tuple[str, bytes]:
        async with self._session.get(self._url + path) as response:
            return response.headers["X-Field-21"], await response.read()

    async def get_with(self, call: tuple[str, dict[str, str]]) -> bytes:
        path, fields = call
        async with self._session.get(self._url + path, headers=fields) as response:
            return await response.read()

    async def get_anew(self, path: str) -> bytes:
        self._anew = self._anew or self._make_session(force_close=True)
        async with self._anew.get(self._url + path) as response:
            return await response.read()

    async def idle(self, path: str, count: int) -> Any:
        """Make all GETs of a session at once, so that each has a connection."""
        sessions = []
        for start in range(0, count, AT_ONCE):
            session = self._make_session(limit=0, keepalive_timeout=600)
            some = range(min(AT_ONCE, count - start))
            gets = [session.get(self._url + path) for _ in some]
            for response in await asyncio.gather(*gets):
                await response.read()
            sessions.append(session)
        return sessions

    async def download(self, path: str, take: Callable[[Any], None]) -> None:
        async with self._session.get(self._url + path) as response:
            async for piece in response.content.iter_any():
                take(piece)

    async def upload(self, path: str, file: BinaryIO, size: int | None) -> bytes:
        data: Any = file if size is not None else pieces(file)
        async with self._session.put(self._url + path, data=data) as response:
            return await response.read()


class OnUvloop(OnAsyncio):
    """The same on uvloop."""

    loop_type = Uvloop


async def pieces(file: BinaryIO) -> AsyncIterator[bytes]:
    """Yield *file* in pieces; nobody knows how long that is."""
    while piece := file.read(BLOCK):
        yield piece
