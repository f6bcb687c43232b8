"""Unmodified httpx on this library: a transport for `httpx.Client` and one for `httpx.AsyncClient`.

    client = httpx.Client(transport=Transport())
    client = httpx.AsyncClient(transport=AsyncTransport())

Both keep idle connections, one list for each origin. httpx does what a client does (redirects,
cookies, authentication, decoding), this library what a connection does. The time-outs for
connecting, reading and writing that httpx gives are taken as limits of that much without
anything moving; the one for a place in a pool plays no part, as there is always room.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import httpx

import dugong_like
from dugong_like import BodyFollowing, HTTPConnection, HTTPResponse, PollNeeded, default_ssl_context
from dugong_like.drivers import aio

T = TypeVar("T")
Origin = tuple[str, str, int]
PIECE = 65536  # bytes of a body at a time
FRAMING = {b"content-length", b"transfer-encoding"}
ERRORS = [  # the first that fits; httpx has one for each phase
    (dugong_like.InvalidRequest, httpx.LocalProtocolError, httpx.LocalProtocolError),
    (dugong_like.ProtocolError, httpx.RemoteProtocolError, httpx.RemoteProtocolError),
    (dugong_like.ConnectionTimedOut, httpx.ConnectTimeout, httpx.ReadTimeout),
    (dugong_like.TunnelRefused, httpx.ProxyError, httpx.ProxyError),
    (dugong_like.ConnectionClosed, httpx.ConnectError, httpx.RemoteProtocolError),
    (dugong_like.TransportError, httpx.ConnectError, httpx.ReadError),
]


@contextmanager
def errors_of_httpx(connecting: Callable[[], bool]) -> Iterator[None]:
    """Raise errors of this library as those of httpx."""
    try:
        yield
    except dugong_like.DugongError as exc:
        for ours, while_connecting, later in ERRORS:
            if isinstance(exc, ours):
                raise (while_connecting if connecting() else later)(str(exc)) from exc
        raise


class Connections:
    """Idle connections, and how requests are sent on one."""

    def __init__(self, *, verify: Any = True, proxy: Any = None) -> None:
        self._context = default_ssl_context() if verify is True else verify
        self._proxy = proxy
        self._idle: defaultdict[Origin, list[HTTPConnection]] = defaultdict(list)

    def take(self, request: httpx.Request) -> HTTPConnection:
        """Return a connection to the origin of *request*, idle or new."""
        url = request.url
        origin = (url.scheme, url.host, url.port or (443 if url.scheme == "https" else 80))
        if url.scheme not in {"http", "https"}:
            raise httpx.UnsupportedProtocol(f"no requests to {url.scheme!r} URLs", request=request)
        if self._idle[origin]:
            return self._idle[origin].pop()
        context = self._context if url.scheme == "https" else None
        return HTTPConnection(url.host, origin[2], context, self._proxy)

    def give_back(self, request: httpx.Request, conn: HTTPConnection) -> None:
        """Keep *conn*, if its response has been read to its end."""
        if conn.response_pending():
            conn.disconnect()
            return
        url = request.url
        port = url.port or (443 if url.scheme == "https" else 80)
        self._idle[url.scheme, url.host, port].append(conn)

    def close(self) -> None:
        """Close the idle connections."""
        for connections in self._idle.values():
            for conn in connections:
                conn.disconnect()
        self._idle.clear()


def co_send_head(
    conn: HTTPConnection, request: httpx.Request, state: dict[str, bool]
) -> Generator[PollNeeded, None, bool]:
    """Connect and send the head; return whether a body follows."""
    limits = request.extensions.get("timeout", {})
    conn.timeout = limits.get("connect")
    yield from conn.co_connect()
    state["connecting"] = False
    conn.timeout = limits.get("read")
    length = request.headers.get("Content-Length")
    body = BodyFollowing(None if length is None else int(length))
    if length is None and "Transfer-Encoding" not in request.headers:
        body = None
    fields = [(n.decode(), v.decode("latin-1")) for n, v in request.headers.raw
              if n.lower() not in FRAMING]  # fmt: skip
    yield from conn.co_send_request(
        request.method, request.url.raw_path.decode("ascii"), fields, body
    )
    return body is not None


def response_of(head: HTTPResponse, stream: Any) -> httpx.Response:
    """Return what httpx wants to have of a response."""
    return httpx.Response(
        head.status,
        headers=[(n.encode("latin-1"), v.encode("latin-1")) for n, v in head.headers.items()],
        stream=stream,
        extensions={
            "http_version": b"HTTP/" + head.http_version.encode(),
            "reason_phrase": head.reason.encode("latin-1"),
        },
    )


class Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    """The body of a response, read while httpx asks for it."""

    def __init__(self, owner: Connections, request: httpx.Request, conn: HTTPConnection) -> None:
        self._owner, self._request, self._conn = owner, request, conn
        self._open = True

    def __iter__(self) -> Iterator[bytes]:
        with errors_of_httpx(lambda: False):
            while piece := self._conn.read(PIECE):
                yield piece

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with errors_of_httpx(lambda: False):
            while piece := await aio.run(self._conn.co_read(PIECE)):
                yield piece

    def close(self) -> None:
        """Give the connection back."""
        if self._open:
            self._open = False
            self._owner.give_back(self._request, self._conn)

    async def aclose(self) -> None:
        """Give the connection back."""
        self.close()


class Transport(Connections, httpx.BaseTransport):
    """For `httpx.Client`. Takes *verify*, an `ssl.SSLContext` or True, and *proxy*."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send *request* and return the response; its body is still to be read."""
        conn, state = self.take(request), {"connecting": True}
        try:
            with errors_of_httpx(lambda: state["connecting"]):
                if dugong_like.run(co_send_head(conn, request, state)):
                    send_body(conn, request)
                return response_of(conn.read_response(), Body(self, request, conn))
        except BaseException:
            conn.disconnect()
            raise


class AsyncTransport(Connections, httpx.AsyncBaseTransport):
    """For `httpx.AsyncClient` on asyncio. Takes what `Transport` takes."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send *request* and return the response; its body is still to be read."""
        conn, state = self.take(request), {"connecting": True}
        try:
            with errors_of_httpx(lambda: state["connecting"]):
                if await aio.run(co_send_head(conn, request, state)):
                    await send_body_async(conn, request)
                head = await aio.run(conn.co_read_response())
                return response_of(head, Body(self, request, conn))
        except BaseException:
            conn.disconnect()
            raise

    async def aclose(self) -> None:
        """Close the idle connections."""
        self.close()


def send_body(conn: HTTPConnection, request: httpx.Request) -> None:
    """Write the body of *request*, until the server has answered."""
    try:
        for piece in request.stream:
            conn.write(piece)
        conn.finish()
    except dugong_like.ConnectionClosed as exc:
        if exc.request_sent != "yes":  # else there is an answer to be read
            raise


async def send_body_async(conn: HTTPConnection, request: httpx.Request) -> None:
    """Write the body of *request*, until the server has answered."""
    try:
        async for piece in request.stream:
            await aio.run(conn.co_write(piece))
        await aio.run(conn.co_finish())
    except dugong_like.ConnectionClosed as exc:
        if exc.request_sent != "yes":
            raise
