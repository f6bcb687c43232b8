"""Unmodified httpx on this library: a transport for `httpx.Client` and one for `httpx.AsyncClient`.

    client = httpx.Client(transport=Transport())
    client = httpx.AsyncClient(transport=AsyncTransport())

Both keep idle connections, one list for each origin. httpx does what a client does (redirects,
cookies, authentication, decoding), this library what a connection does. The time-outs for
connecting, reading and writing that httpx gives become `Timeouts`; the one for a place in a pool
plays no part, as there is always room.

Of the extensions of a request "timeout", "sni_hostname", "target" and "trace" are heeded; a
response has "http_version", "reason_phrase" and "network_stream" (httpx_network.py), which after
101 and after a 2xx to CONNECT can be read and written, until the response is closed.

"trace" is told of its own request, and of the connection while that serves it: also when it is
made, or closed. The events and their facts are those of this library, most of them with the
names that httpcore gives them. With `httpx.AsyncClient` it may be an ``async def`` function, as
httpcore wants it: what it returns is awaited, in the order of the events, when the operation
that it is told of has ended.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager
from inspect import isawaitable, iscoroutine
from typing import Any, Final, TypeVar

import httpx
from httpx_errors import PHASES
from httpx_network import AsyncNetwork, Network, SyncNetwork, errors_as

import dugong_like
from dugong_like import (
    BodyFollowing,
    Co,
    HTTPConnection,
    HTTPResponse,
    Origin,
    Target,
    Timeouts,
    default_ssl_context,
    log_events,
    run,
)
from dugong_like.drivers.running import runner

T = TypeVar("T")
Key = tuple[Origin, str | None]  # and the name for TLS, if it is another one
PIECE: Final = 65536  # bytes of a body at a time
FRAMING: Final = {b"content-length", b"transfer-encoding"}
LOG: Final = log_events()


class Teller:
    """The trace of a connection: tells that of the request which the connection serves.

    Args:
        asynchronous: True if that may be an ``async def`` function.

    Attributes:
        trace: the one of the present request, or None.

    """

    def __init__(self, *, asynchronous: bool) -> None:
        self.trace: Callable[[str, dict[str, Any]], Any] | None = None
        self._asynchronous = asynchronous
        self._told: list[Awaitable[Any]] = []

    def __call__(self, event: str, info: dict[str, Any]) -> None:
        """Tell of *event*; called by the connection."""
        LOG(event, info)  # a connection that has a trace does not do it by itself
        if self.trace is None:
            return
        told = self.trace(event, info)
        if self._asynchronous and isawaitable(told):
            self._told.append(told)
        elif iscoroutine(told):
            told.close()
            raise TypeError('with httpx.Client "trace" has to be a plain function')

    async def catch_up(self) -> None:
        """Await what the trace has returned since the last call, until one of them raises."""
        told, self._told = iter(self._told), []
        try:
            for awaitable in told:
                await awaitable
        finally:
            for awaitable in told:
                if iscoroutine(awaitable):
                    awaitable.close()  # else Python warns that it was not awaited


class Connection(HTTPConnection):
    """A connection that serves one request of httpx after the other.

    Attributes:
        phase: what the present one is at, of `PHASES`.

    """

    phase = "connect"

    def __init__(self, *arguments: Any, asynchronous: bool, **options: Any) -> None:
        self.teller = Teller(asynchronous=asynchronous)
        super().__init__(*arguments, trace=self.teller, **options)

    def begin(self, request: httpx.Request) -> None:
        """Keep to the time-outs of *request*, and tell its trace from now on."""
        limits = request.extensions.get("timeout", {})
        self.timeout = Timeouts(**{name: limits.get(name) for name in PHASES})
        self.teller.trace = request.extensions.get("trace")
        self.phase = "connect"

    def errors(self) -> AbstractContextManager[None]:
        """Raise errors of this library as those of httpx."""
        return errors_as(httpx, lambda: self.phase)

    async def result(self, op: Co[T]) -> T:
        """Run *op*, an operation of this connection, and whatever the trace does about it."""
        try:
            return await runner()(op)
        finally:
            await self.teller.catch_up()


class Connections:
    """Idle connections, and how requests are sent on one."""

    asynchronous = False

    def __init__(self, *, verify: Any = True, proxy: Any = None) -> None:
        self._context = default_ssl_context() if verify is True else verify
        self._proxy = proxy
        self._idle: defaultdict[Key, list[Connection]] = defaultdict(list)

    def take(self, request: httpx.Request) -> Connection:
        """Return a connection to the origin of *request*, idle or new."""
        origin, name = key = key_of(request)
        if self._idle[key]:
            return self._idle[key].pop()
        options = {"server_hostname": name} if origin.secure and name is not None else {}
        return Connection.to(
            origin,
            ssl_context=self._context,
            proxy=self._proxy,
            asynchronous=self.asynchronous,
            **options,
        )

    def give_back(self, request: httpx.Request, conn: Connection) -> None:
        """Keep *conn*, if its response has been read to its end and it can take a request."""
        if conn.response_pending() or not conn.is_open():
            conn.disconnect()
            return
        conn.teller.trace = None
        self._idle[key_of(request)].append(conn)

    def close(self) -> None:
        """Close the idle connections."""
        for connections in self._idle.values():
            for conn in connections:
                conn.disconnect()
        self._idle.clear()


def key_of(request: httpx.Request) -> Key:
    """Return what a connection has to lead to."""
    url = request.url
    if url.scheme not in {"http", "https"}:
        raise httpx.UnsupportedProtocol(f"no requests to {url.scheme!r} URLs", request=request)
    with errors_as(httpx, lambda: "connect"):
        origin = Origin(url.scheme, url.host, url.port)
    return origin, request.extensions.get("sni_hostname")


def target_of(request: httpx.Request) -> str:
    """Return the request target: the path, if the request does not say otherwise."""
    target: bytes | None = request.extensions.get("target")
    if target is None:
        return request.url.raw_path.decode("ascii")
    text = target.decode("ascii", "replace")  # what is not ASCII is refused
    return text if request.method == "CONNECT" else Target(text)


def co_send_head(conn: Connection, request: httpx.Request) -> Co[bool]:
    """Connect and send the head; return whether a body follows."""
    yield from conn.co_connect()
    conn.phase = "write"
    length = request.headers.get("Content-Length")
    body = BodyFollowing(None if length is None else int(length))
    if length is None and "Transfer-Encoding" not in request.headers:
        body = None
    left_out = FRAMING | {b"host"} if request.method == "CONNECT" else FRAMING  # it has its own
    fields = [field for field in request.headers.raw if field[0].lower() not in left_out]
    yield from conn.co_send_request(request.method, target_of(request), fields, body)
    return body is not None


def left_http(request: httpx.Request, head: HTTPResponse) -> bool:
    """Say whether *head* has ended HTTP on its connection."""
    return head.status == 101 or (request.method == "CONNECT" and 200 <= head.status < 300)


def response_of(head: HTTPResponse, body: Body) -> httpx.Response:
    """Return what httpx wants to have of a response."""
    return httpx.Response(
        head.status,
        headers=[(n.encode("latin-1"), v.encode("latin-1")) for n, v in head.headers.items()],
        stream=body,
        extensions={
            "http_version": b"HTTP/" + head.http_version.encode(),
            "reason_phrase": head.reason.encode("latin-1"),
            "network_stream": body.network,
        },
    )


class Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    """The body of a response, read while httpx asks for it.

    Attributes:
        network: the stream below it, for the "network_stream" of the response.

    """

    def __init__(
        self, owner: Connections, request: httpx.Request, conn: Connection, network: Network
    ) -> None:
        self.network = network
        self._owner, self._request, self._conn = owner, request, conn
        self._open = True

    def __iter__(self) -> Iterator[bytes]:
        with self._conn.errors():
            while piece := self._conn.read(PIECE):
                yield piece

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with self._conn.errors():
            while piece := await self._conn.result(self._conn.co_read(PIECE)):
                yield piece

    def close(self) -> None:
        """Give the connection back, and close the stream that it has given up."""
        if self._open:
            self._open = False
            self.network.end()
            self._owner.give_back(self._request, self._conn)

    async def aclose(self) -> None:
        """Give the connection back, and close the stream that it has given up."""
        self.close()
        await self._conn.teller.catch_up()


class Transport(Connections, httpx.BaseTransport):
    """For `httpx.Client`. Takes *verify*, an `ssl.SSLContext` or True, and *proxy*."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send *request* and return the response; its body is still to be read."""
        conn = self.take(request)
        try:
            conn.begin(request)
            with conn.errors():
                if run(co_send_head(conn, request)):
                    send_body(conn, request)
                conn.phase = "read"
                head = conn.read_response()
            network = SyncNetwork(conn, head.stream if left_http(request, head) else None)
            return response_of(head, Body(self, request, conn, network))
        except BaseException:
            conn.disconnect()
            raise


class AsyncTransport(Connections, httpx.AsyncBaseTransport):
    """For `httpx.AsyncClient`, on asyncio and on trio. Takes what `Transport` takes."""

    asynchronous = True

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send *request* and return the response; its body is still to be read."""
        conn = self.take(request)
        try:
            conn.begin(request)
            with conn.errors():
                if await conn.result(co_send_head(conn, request)):
                    await send_body_async(conn, request)
                conn.phase = "read"
                head = await conn.result(conn.co_read_response())
            network = AsyncNetwork(conn, head.stream if left_http(request, head) else None)
            return response_of(head, Body(self, request, conn, network))
        except BaseException:
            conn.disconnect()
            await conn.teller.catch_up()
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


async def send_body_async(conn: Connection, request: httpx.Request) -> None:
    """Write the body of *request*, until the server has answered."""
    assert isinstance(request.stream, httpx.AsyncByteStream)
    pieces = aiter(request.stream)
    try:
        async for piece in pieces:
            await conn.result(conn.co_write(piece))
        await conn.result(conn.co_finish())
    except dugong_like.ConnectionClosed as exc:
        if exc.request_sent != "yes":
            raise
    finally:
        if isinstance(pieces, AsyncGenerator):
            await pieces.aclose()  # trio does not like to do that later
