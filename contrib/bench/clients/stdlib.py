"""http.client of the standard library."""

from __future__ import annotations

import http.client
from collections.abc import Callable
from typing import Any, BinaryIO

from .base import HOST, PIECE, BlockingClient, Target

BLOCK = 65536  # bytes: what it reads from a file at a time; its default of 8 KiB is slower


class HttpClient(BlockingClient):
    """http.client, one connection."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._context = target.context()
        self._conn = self._connection()
        self._buffer = memoryview(bytearray(PIECE))

    def _connection(self) -> http.client.HTTPConnection:
        if self._context is None:
            return http.client.HTTPConnection(HOST, self.target.port, blocksize=BLOCK)
        return http.client.HTTPSConnection(
            HOST, self.target.port, context=self._context, blocksize=BLOCK
        )

    def close(self) -> None:
        self._conn.close()

    def get(self, path: str) -> bytes:
        self._conn.request("GET", path)
        return self._conn.getresponse().read()

    def field(self, path: str) -> tuple[str | None, bytes]:
        self._conn.request("GET", path)
        response = self._conn.getresponse()
        return response.headers["X-Field-21"], response.read()

    def get_with(self, call: tuple[str, dict[str, str]]) -> bytes:
        path, fields = call
        self._conn.request("GET", path, headers=fields)
        return self._conn.getresponse().read()

    def get_anew(self, path: str) -> bytes:
        conn = self._connection()
        conn.request("GET", path)
        body = conn.getresponse().read()
        conn.close()
        return body

    def idle(self, path: str, count: int) -> Any:
        connections = [self._connection() for _ in range(count)]
        for conn in connections:
            conn.request("GET", path)
            conn.getresponse().read()
        return connections

    def download(self, path: str, take: Callable[[Any], None]) -> None:
        self._conn.request("GET", path)
        response = self._conn.getresponse()
        while size := response.readinto(self._buffer):
            take(self._buffer[:size])

    def upload(self, path: str, file: BinaryIO, size: int | None) -> bytes:
        fields = {"Transfer-Encoding": "chunked"}
        if size is not None:
            fields = {"Content-Length": str(size)}
        self._conn.request("PUT", path, file, fields, encode_chunked=size is None)
        return self._conn.getresponse().read()
