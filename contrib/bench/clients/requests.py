"""requests and niquests, which has the same names: one session."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from .base import AsyncClient, BlockingClient, Target

THREADS = 16  # that use a session at the same time, at most
BLOCK = 65536  # bytes: of the pieces of large bodies


class Requests(BlockingClient):
    """requests, not asking the environment."""

    library_name = "requests"

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self.session_options = {"disable_http1": True} if target.http2 else {}
        self._library = importlib.import_module(self.library_name)
        if self.library_name == "requests":
            from .urllib3 import check_genuine

            check_genuine()

    def open(self) -> None:
        self._session = self._make_session(THREADS)
        self._url = self.target.url

    def _make_session(self, size: int) -> Any:
        session = self._library.Session(**self.session_options)
        session.trust_env = False
        for scheme in ("http://", "https://"):
            adapter = self._library.adapters.HTTPAdapter(pool_maxsize=size, **self.session_options)
            session.mount(scheme, adapter)
        if self.target.ca is not None:
            session.verify = self.target.ca
        return session

    def close(self) -> None:
        self._session.close()

    def get(self, path: str) -> bytes:
        return self._session.get(self._url + path).content

    def field(self, path: str) -> tuple[str, bytes]:
        response = self._session.get(self._url + path)
        return response.headers["X-Field-21"], response.content

    def get_with(self, call: tuple[str, dict[str, str]]) -> bytes:
        path, fields = call
        return self._session.get(self._url + path, headers=fields).content

    def post_json(self, call: tuple[str, Any]) -> Any:
        path, value = call
        return self._session.post(self._url + path, json=value).json()

    def get_anew(self, path: str) -> bytes:
        return self._session.get(self._url + path, headers={"Connection": "close"}).content

    def idle(self, path: str, count: int) -> Any:
        """Have all answers outstanding at once, so that each has a connection."""
        session = self._make_session(count)
        responses = [session.get(self._url + path, stream=True) for _ in range(count)]
        for response in responses:
            response.content  # noqa: B018 - this reads it
        return session

    def download(self, path: str, take: Callable[[Any], None]) -> None:
        with self._session.get(self._url + path, stream=True) as response:
            for piece in response.iter_content(BLOCK):
                take(piece)

    def objects(self, count: int) -> Any:
        return [self._make_session(1) for _ in range(count)]

    def upload(self, path: str, file: BinaryIO, size: int | None) -> bytes:
        data = file if size is not None else pieces(file)
        return self._session.put(self._url + path, data=data).content


class Niquests(Requests):
    """niquests, not asking the environment."""

    library_name = "niquests"


class NiquestsOnAsyncio(AsyncClient):
    """niquests.AsyncSession; only work at the same time is asked of it."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._library = importlib.import_module("niquests")

    async def open(self) -> None:
        options = {"disable_http1": True} if self.target.http2 else {}
        self._session = self._library.AsyncSession(**options)
        self._session.trust_env = False

    async def close(self) -> None:
        await self._session.close()

    async def get(self, path: str) -> bytes:
        return (await self._session.get(self.target.url + path)).content


def pieces(file: BinaryIO) -> Iterator[bytes]:
    """Yield *file* in pieces; nobody knows how long that is."""
    while piece := file.read(BLOCK):
        yield piece
