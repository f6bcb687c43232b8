"""httpx, its blocking client."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import httpx

from .base import BlockingClient, Target

PIECE = 65536  # bytes: what it reads from a file at a time, and here the same for chunks


def settings(target: Target, **limits: int | None) -> dict[str, Any]:
    """Return the arguments of a client: the server is trusted, the environment not asked."""
    return {
        "base_url": target.url,
        "verify": target.context() or False,
        "trust_env": False,
        "timeout": None,
        "limits": httpx.Limits(**limits),
    }


class Httpx(BlockingClient):
    """httpx.Client, one connection."""

    def open(self) -> None:
        self._client = httpx.Client(**settings(self.target))

    def close(self) -> None:
        self._client.close()

    def get(self, path: str) -> bytes:
        return self._client.get(path).content

    def field(self, path: str) -> tuple[str, bytes]:
        response = self._client.get(path)
        return response.headers["X-Field-21"], response.content

    def get_anew(self, path: str) -> bytes:
        return self._client.get(path, headers={"Connection": "close"}).content

    def idle(self, path: str, count: int) -> Any:
        """Have all answers outstanding at once, so that each has a connection."""
        client = httpx.Client(
            **settings(self.target, max_connections=None, max_keepalive_connections=count)
        )
        responses = [
            client.send(client.build_request("GET", path), stream=True) for _ in range(count)
        ]
        for response in responses:
            response.read()
        return client

    def download(self, path: str, take: Callable[[Any], None]) -> None:
        with self._client.stream("GET", path) as response:
            for piece in response.iter_raw():
                take(piece)

    def upload(self, path: str, file: BinaryIO, size: int | None) -> bytes:
        content = file if size is not None else pieces(file)
        return self._client.put(path, content=content).content


def pieces(file: BinaryIO) -> Iterator[bytes]:
    """Yield *file* in pieces; nobody knows how long that is."""
    while piece := file.read(PIECE):
        yield piece
