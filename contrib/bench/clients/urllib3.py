"""urllib3, a pool of connections to one server."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, BinaryIO

import urllib3

from .base import HOST, BlockingClient, Target

THREADS = 16  # that use a pool at the same time, at most
BLOCK = 65536  # bytes: what it reads from a file and from a body at a time


def check_genuine() -> None:
    """Raise ImportError if urllib3 is not what it says, as it is where niquests is installed."""
    if find_spec("urllib3.backend") is not None:
        raise ImportError("urllib3 is overwritten by urllib3-future here", name="urllib3")


class Urllib3(BlockingClient):
    """urllib3 without its pool manager, which would cost some more."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        check_genuine()

    def open(self) -> None:
        self._context = self.target.context()
        self._pool = self._make_pool(THREADS)

    def _make_pool(self, size: int) -> urllib3.HTTPConnectionPool:
        port = self.target.port
        if self._context is None:
            return urllib3.HTTPConnectionPool(HOST, port, maxsize=size, blocksize=BLOCK)
        return urllib3.HTTPSConnectionPool(
            HOST, port, maxsize=size, ssl_context=self._context, blocksize=BLOCK
        )

    def close(self) -> None:
        self._pool.close()

    def get(self, path: str) -> bytes:
        return self._pool.urlopen("GET", path).data

    def field(self, path: str) -> tuple[str, bytes]:
        response = self._pool.urlopen("GET", path)
        return response.headers["X-Field-21"], response.data

    def get_with(self, call: tuple[str, dict[str, str]]) -> bytes:
        path, fields = call
        return self._pool.urlopen("GET", path, headers=fields).data

    def get_anew(self, path: str) -> bytes:
        return self._pool.urlopen("GET", path, headers={"Connection": "close"}).data

    def idle(self, path: str, count: int) -> Any:
        """Have all answers outstanding at once, so that each has a connection."""
        pool = self._make_pool(count)
        responses = [pool.urlopen("GET", path, preload_content=False) for _ in range(count)]
        for response in responses:
            response.read()
            response.release_conn()
        return pool

    def download(self, path: str, take: Callable[[Any], None]) -> None:
        response = self._pool.urlopen("GET", path, preload_content=False)
        for piece in response.stream(BLOCK):
            take(piece)
        response.release_conn()

    def upload(self, path: str, file: BinaryIO, size: int | None) -> bytes:
        fields = {} if size is None else {"Content-Length": str(size)}
        return self._pool.urlopen("PUT", path, file, fields, chunked=size is None).data
