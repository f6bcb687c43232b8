"""httpx on asyncio, uvloop and trio."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import httpx

from .base import AsyncClient, Call
from .httpx import settings
from .loops import Trio, Uvloop


class OnAsyncio(AsyncClient):
    """httpx.AsyncClient; only work at the same time is asked of it."""

    async def open(self) -> None:
        self._client = httpx.AsyncClient(**settings(self.target))

    async def close(self) -> None:
        await self._client.aclose()

    async def get(self, path: str) -> bytes:
        return (await self._client.get(path)).content

    async def concurrent(self, calls: Sequence[Iterable[Call]]) -> None:
        await super().concurrent(calls)


class OnUvloop(OnAsyncio):
    """The same on uvloop."""

    loop_type = Uvloop


class OnTrio(OnAsyncio):
    """The same on trio, whose loop ends with each call: so does the client."""

    loop_type = Trio

    async def close(self) -> None:
        pass
