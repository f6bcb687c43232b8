"""httpx and httpx2, which has the same names: the blocking client."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from .base import BlockingClient, Target

AT_ONCE = 100  # connections of a client, when many are wanted: its pool looks at each of them
PIECE = 65536  # bytes: what it reads from a file at a time, and here the same for chunks


def settings(library: Any, target: Target) -> dict[str, Any]:
    """Return the arguments of a client that trusts the server and does not ask the environment."""
    return {
        "base_url": target.url,
        "verify": target.context() or False,
        "trust_env": False,
        "timeout": None,
        "limits": library.Limits(),
        "http1": not target.http2,
        "http2": target.http2,
    }


class Httpx(BlockingClient):
    """httpx.Client, one connection."""

    library_name = "httpx"

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._library = importlib.import_module(self.library_name)

    def open(self) -> None:
        self._settings = settings(self._library, self.target)
        self._client = self._library.Client(**self._settings)

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

    def get_anew(self, path: str) -> bytes:
        return self._client.get(path, headers={"Connection": "close"}).content

    def idle(self, path: str, count: int) -> Any:
        """Have all answers of a client outstanding at once, so that each has a connection."""
        clients = []
        for start in range(0, count, AT_ONCE):
            client = self._library.Client(**self._settings)
            some = range(min(AT_ONCE, count - start))
            request = client.build_request("GET", path)
            for response in [client.send(request, stream=True) for _ in some]:
                response.read()
            clients.append(client)
        return clients

    def download(self, path: str, take: Callable[[Any], None]) -> None:
        with self._client.stream("GET", path) as response:
            for piece in response.iter_raw():
                take(piece)

    def post_form(self, path: str, file: BinaryIO, size: int) -> bytes:
        return self._client.post(path, files={"f": file}).content

    def objects(self, count: int) -> Any:
        return [self._library.Client(**self._settings) for _ in range(count)]

    def upload(self, path: str, file: BinaryIO, size: int | None) -> bytes:
        content = file if size is not None else pieces(file)
        return self._client.put(path, content=content).content


class Httpx2(Httpx):
    """httpx2.Client."""

    library_name = "httpx2"

    def events(self, path: str) -> tuple[int, str]:
        count, data = 0, ""
        with self._client.sse(path) as source:
            for event in source:
                count, data = count + 1, event.data
        return count, data


def pieces(file: BinaryIO) -> Iterator[bytes]:
    """Yield *file* in pieces; nobody knows how long that is."""
    while piece := file.read(PIECE):
        yield piece
