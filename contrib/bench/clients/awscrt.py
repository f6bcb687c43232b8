"""awscrt: the C library under AWS's SDKs. Its loop is a thread; callers wait for futures."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from typing import Any, BinaryIO

from awscrt import http, io

from .base import HOST, AsyncClient, BlockingClient, Call, Target, WrongBytesError


class Answer:
    """Collects one answer."""

    def __init__(self) -> None:
        self.fields: Sequence[tuple[str, str]] = ()
        self.parts: list[bytes] = []

    def head(self, http_stream: Any, status_code: int, headers: Any, **_: Any) -> None:
        """Keep the fields."""
        self.fields = headers

    def body(self, http_stream: Any, chunk: bytes, **_: Any) -> None:
        """Keep a part of the body."""
        self.parts.append(chunk)


class Chain:
    """GETs one after the other on a connection, each started when the one before is done."""

    def __init__(self, fetch: Callable[..., tuple[Any, Answer]], calls: Iterable[Call]) -> None:
        self._fetch = fetch
        self._calls = iter(calls)
        self.done: Future[None] = Future()

    def start(self) -> None:
        """Start the next GET, or be done."""
        call = next(self._calls, None)
        if call is None:
            self.done.set_result(None)
            return
        path, self._expected = call
        stream, self._answer = self._fetch(path)
        stream.completion_future.add_done_callback(self._next)

    def _next(self, future: Future[int]) -> None:
        if b"".join(self._answer.parts) == self._expected:
            self.start()
        else:
            self.done.set_exception(WrongBytesError(self._answer.parts))


class Awscrt(BlockingClient):
    """Connections of HTTP/1.1."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._tls: Any = None
        if target.ca is not None:
            options = io.TlsContextOptions()
            options.override_default_trust_store_from_path(None, target.ca)
            self._tls = io.ClientTlsContext(options).new_connection_options()
            self._tls.set_server_name(HOST)

    def open(self) -> None:
        loops = io.EventLoopGroup(1)
        self._bootstrap = io.ClientBootstrap(loops, io.DefaultHostResolver(loops))
        self._conn = self._connect()
        self._many: list[Any] = []  # for work at the same time

    def _connect(self) -> Any:
        return http.HttpClientConnection.new(
            HOST, self.target.port, self._bootstrap, io.SocketOptions(), self._tls
        ).result()

    def close(self) -> None:
        for conn in (self._conn, *self._many):
            conn.close().result()

    def start(
        self,
        conn: Any,
        path: str,
        method: str = "GET",
        file: BinaryIO | None = None,
        fields: Iterable[tuple[str, str]] = (),
    ) -> tuple[Any, Answer]:
        """Start a request; the stream's completion_future is done when the answer is complete."""
        headers = http.HttpHeaders([("Host", f"{HOST}:{self.target.port}")])
        for field in fields:
            headers.add(*field)
        answer = Answer()
        request = http.HttpRequest(method, path, headers, file)
        stream = conn.request(request, answer.head, answer.body)
        stream.activate()
        return stream, answer

    def _fetch(self, conn: Any, path: str, fields: Iterable[tuple[str, str]] = ()) -> Answer:
        stream, answer = self.start(conn, path, fields=fields)
        stream.completion_future.result()
        return answer

    def get(self, path: str) -> bytes:
        return b"".join(self._fetch(self._conn, path).parts)

    def field(self, path: str) -> tuple[str, bytes]:
        answer = self._fetch(self._conn, path)
        value = next(value for name, value in answer.fields if name.lower() == "x-field-21")
        return value, b"".join(answer.parts)

    def get_with(self, call: tuple[str, dict[str, str]]) -> bytes:
        path, fields = call
        return b"".join(self._fetch(self._conn, path, fields.items()).parts)

    def get_anew(self, path: str) -> bytes:
        conn = self._connect()
        body = b"".join(self._fetch(conn, path).parts)
        conn.close()
        return body

    def idle(self, path: str, count: int) -> Any:
        connections = [self._connect() for _ in range(count)]
        for conn in connections:
            self._fetch(conn, path)
        return connections

    def download(self, path: str, take: Callable[[Any], None]) -> None:
        headers = http.HttpHeaders([("Host", f"{HOST}:{self.target.port}")])
        stream = self._conn.request(
            http.HttpRequest("GET", path, headers), on_body=lambda chunk, **_: take(chunk)
        )
        stream.activate()
        stream.completion_future.result()

    def upload(self, path: str, file: BinaryIO, size: int | None) -> bytes:
        field = ("Transfer-Encoding", "chunked")
        if size is not None:
            field = ("Content-Length", str(size))
        stream, answer = self.start(self._conn, path, "PUT", file, [field])
        stream.completion_future.result()
        return b"".join(answer.parts)

    def pairs(self, calls: Sequence[Iterable[Call]]) -> Iterable[tuple[Any, Iterable[Call]]]:
        """Return a connection for each list of *calls*; they are kept."""
        self._many = self._many or [self._connect() for _ in calls]
        return zip(self._many, calls, strict=True)

    def concurrent(self, calls: Sequence[Iterable[Call]]) -> None:
        chains = [
            Chain(lambda path, conn=conn: self.start(conn, path), some)
            for conn, some in self.pairs(calls)
        ]
        for chain in chains:
            chain.start()
        for chain in chains:
            chain.done.result()


class OnAsyncio(AsyncClient):
    """The same connections, each GET awaited; only work at the same time is asked of it."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._connections = Awscrt(target)

    async def open(self) -> None:
        self._connections.open()

    async def close(self) -> None:
        self._connections.close()

    async def concurrent(self, calls: Sequence[Iterable[Call]]) -> None:
        pairs = self._connections.pairs(calls)
        await self._loop.gather([self._one_of_many(conn, some) for conn, some in pairs])

    async def _one_of_many(self, conn: Any, calls: Iterable[Call]) -> None:
        for path, expected in calls:
            stream, answer = self._connections.start(conn, path)
            await asyncio.wrap_future(stream.completion_future)
            if b"".join(answer.parts) != expected:
                raise WrongBytesError(path)
