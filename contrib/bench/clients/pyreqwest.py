"""pyreqwest: reqwest, a client in Rust, with a runtime of its own in another thread.

Not here: idle connections. It takes in small answers before they are asked for, and so goes on with
the same connection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from pyreqwest.client import ClientBuilder, SyncClientBuilder

from .base import AsyncClient, BlockingClient, Target

BLOCK = 65536  # bytes: of the pieces of bodies that are sent


def builder(kind: Any, target: Target) -> Any:
    """Return a builder of that *kind*: the server is trusted, the environment not asked."""
    made = kind().no_proxy()
    if target.ca is not None:
        made = made.add_root_certificate_pem(Path(target.ca).read_bytes())
    if target.http2:
        made = made.http2_prior_knowledge()
    return made


class Pyreqwest(BlockingClient):
    """pyreqwest.client.SyncClient."""

    def open(self) -> None:
        self._client = builder(SyncClientBuilder, self.target).build()
        self._anew: Any = None
        self._url = self.target.url

    def close(self) -> None:
        self._client.close()
        if self._anew is not None:
            self._anew.close()

    def get(self, path: str) -> Any:
        return self._client.get(self._url + path).build().send().bytes()

    def field(self, path: str) -> tuple[str, Any]:
        response = self._client.get(self._url + path).build().send()
        return response.headers["X-Field-21"], response.bytes()

    def get_with(self, call: tuple[str, dict[str, str]]) -> Any:
        path, fields = call
        return self._client.get(self._url + path).headers(fields).build().send().bytes()

    def post_json(self, call: tuple[str, Any]) -> Any:
        path, value = call
        return self._client.post(self._url + path).body_json(value).build().send().json()

    def get_anew(self, path: str) -> Any:
        if self._anew is None:  # keeps no connection
            self._anew = builder(SyncClientBuilder, self.target).pool_max_idle_per_host(0).build()
        return self._anew.get(self._url + path).build().send().bytes()

    def download(self, path: str, take: Callable[[Any], None]) -> None:
        with self._client.get(self._url + path).build_streamed() as response:
            reader = response.body_reader
            while (piece := reader.read_chunk()) is not None:
                take(piece)

    def upload(self, path: str, file: BinaryIO, size: int | None) -> Any:
        request = self._client.put(self._url + path).body_stream(pieces(file))
        if size is not None:
            request = request.header("Content-Length", str(size))
        return request.build().send().bytes().to_bytes()


class OnAsyncio(AsyncClient):
    """pyreqwest.client.Client; only work at the same time is asked of it."""

    async def open(self) -> None:
        self._client = builder(ClientBuilder, self.target).build()

    async def close(self) -> None:
        await self._client.close()

    async def get(self, path: str) -> Any:
        response = await self._client.get(self.target.url + path).build().send()
        return await response.bytes()


def pieces(file: BinaryIO) -> Iterator[bytes]:
    """Yield *file* in pieces."""
    while piece := file.read(BLOCK):
        yield piece
