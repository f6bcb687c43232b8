"""requests, one session."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import requests
from requests.adapters import HTTPAdapter

from .base import BlockingClient

BLOCK = 65536  # bytes: of the pieces of large bodies


class Requests(BlockingClient):
    """requests, not asking the environment."""

    def open(self) -> None:
        self._session = self._make_session(1)
        self._url = self.target.url

    def _make_session(self, size: int) -> requests.Session:
        session = requests.Session()
        session.trust_env = False
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(pool_maxsize=size))
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

    def upload(self, path: str, file: BinaryIO, size: int | None) -> bytes:
        data = file if size is not None else pieces(file)
        return self._session.put(self._url + path, data=data).content


def pieces(file: BinaryIO) -> Iterator[bytes]:
    """Yield *file* in pieces; nobody knows how long that is."""
    while piece := file.read(BLOCK):
        yield piece
