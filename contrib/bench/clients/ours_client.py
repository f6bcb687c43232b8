"""This library's `Client` and `AsyncClient`: requests to URLs, over a pool."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import tee
from typing import Any, BinaryIO

from dugong_like import AsyncClient, Client, Limits
from dugong_like.http.url import as_origin

from . import base
from .httpx import pieces
from .loops import Trio, Uvloop

AT_ONCE = 1024  # connections of a client


def made(target: base.Target) -> Client:
    """Return a client that trusts the server and does not ask the environment."""
    return Client(
        base_url=target.url,
        ssl_context=target.context(),
        trust_env=False,
        timeout=None,
        limits=Limits(max_connections=AT_ONCE, max_keepalive=None, max_keepalive_per_origin=None),
    )


class Blocking(base.BlockingClient):
    """Client."""

    def open(self) -> None:
        self._client = made(self.target)

    def close(self) -> None:
        self._client.close()

    def get(self, path: str) -> bytes:
        return self._client.get(path).content

    def field(self, path: str) -> tuple[str, bytes]:
        response = self._client.get(path)
        return response.headers["X-Field-21"], response.content

    def get_with(self, call: tuple[str, dict[str, str]]) -> bytes:
        path, fields = call
        return self._client.get(path, headers=fields).content

    def post_json(self, call: tuple[str, Any]) -> Any:
        path, value = call
        return self._client.post(path, json=value).json()

    def events(self, path: str) -> tuple[int, str]:
        count, data = 0, ""
        for event in self._client.sse(path, reconnect=False):
            count, data = count + 1, event.data
        return count, data

    def pipelined(self, calls: Iterable[base.Call]) -> None:
        if not hasattr(self._client, "map"):  # an older version
            super().pipelined(calls)
            return
        given, wanted = tee(calls)
        results = self._client.map(path for path, _ in given)
        for item, (_, body) in zip(results, wanted, strict=True):
            base.check(item.response.content, body)

    def get_anew(self, path: str) -> bytes:
        return self._client.get(path, headers={"Connection": "close"}).content

    def idle(self, path: str, count: int) -> Any:
        """Take all connections out of the pool, so that each request has one of its own."""
        client = made(self.target)
        pool, origin = client.dispatcher, as_origin(self.target.url)
        leases = [pool.acquire(origin) for _ in range(count)]
        for lease in leases:
            lease.connection.exchange("GET", path)
            lease.release()
        return client

    def download(self, path: str, take: Callable[[Any], None]) -> None:
        with self._client.stream("GET", path) as response:
            for piece in response.iter_raw():
                take(piece)

    def save(self, path: str, file: BinaryIO) -> None:
        with self._client.stream("GET", path) as response:
            response.recv_to_file(file)

    def post_form(self, path: str, file: BinaryIO, size: int) -> bytes:
        return self._client.post(path, files={"f": file}).content

    def objects(self, count: int) -> list[Client]:
        return [made(self.target) for _ in range(count)]

    def upload(self, path: str, file: BinaryIO, size: int | None) -> bytes:
        content = file if size is not None else pieces(file)
        return self._client.put(path, content=content).content


class OnAsyncio(base.AsyncClient):
    """AsyncClient on asyncio."""

    async def open(self) -> None:
        self._client = AsyncClient(client=made(self.target))

    async def close(self) -> None:
        self._client.client.close()

    async def get(self, path: str) -> bytes:
        return (await self._client.get(path)).content

    async def post_json(self, call: tuple[str, Any]) -> Any:
        path, value = call
        return (await self._client.post(path, json=value)).json()

    async def events(self, path: str) -> tuple[int, str]:
        count, data = 0, ""
        async for event in self._client.sse(path, reconnect=False):
            count, data = count + 1, event.data
        return count, data


class OnUvloop(OnAsyncio):
    """The same on uvloop."""

    loop_type = Uvloop


class OnTrio(OnAsyncio):
    """The same on trio."""

    loop_type = Trio
