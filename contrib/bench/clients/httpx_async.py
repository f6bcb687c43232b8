"""httpx and httpx2 on asyncio, uvloop and trio."""

from __future__ import annotations

import importlib
from typing import Any

from .base import AsyncClient, Target
from .httpx import settings
from .loops import Trio, Uvloop


class OnAsyncio(AsyncClient):
    """httpx.AsyncClient; only work at the same time is asked of it."""

    library_name = "httpx"

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._library = importlib.import_module(self.library_name)

    async def open(self) -> None:
        self._client = self._library.AsyncClient(**settings(self._library, self.target))

    async def close(self) -> None:
        await self._client.aclose()

    async def get(self, path: str) -> bytes:
        return (await self._client.get(path)).content

    async def post_json(self, call: tuple[str, Any]) -> Any:
        path, value = call
        return (await self._client.post(path, json=value)).json()


class OnUvloop(OnAsyncio):
    """The same on uvloop."""

    loop_type = Uvloop


class OnTrio(OnAsyncio):
    """The same on trio, whose loop ends with each call: so does the client."""

    loop_type = Trio

    async def close(self) -> None:
        pass


class Httpx2OnAsyncio(OnAsyncio):
    """httpx2.AsyncClient."""

    library_name = "httpx2"

    async def events(self, path: str) -> tuple[int, str]:
        count, data = 0, ""
        async with self._client.sse(path) as source:
            async for event in source:
                count, data = count + 1, event.data
        return count, data


class Httpx2OnTrio(OnTrio):
    """The same on trio."""

    library_name = "httpx2"
