"""Unmodified httpx on this library: a transport for `httpx.Client` and one for `httpx.AsyncClient`.

    client = httpx.Client(transport=Transport())
    client = httpx.AsyncClient(transport=AsyncTransport())

Both keep idle connections, one list for each origin. httpx does what a client does (redirects,
cookies, authentication, decoding), this library what a connection does. The time-outs for
connecting, reading and writing that httpx gives are taken as limits of that much without
anything moving; the one for a place in a pool plays no part, as there is always room.

Of the extensions of a request "timeout", "sni_hostname" and "target" are heeded; a response has
"http_version", "reason_phrase" and "network_stream", which after 101 and after a 2xx to CONNECT can
be read and written, until the response is closed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from ssl import SSLContext
from typing import Any, Final, TypeVar

import httpcore
import httpx

import dugong_like
from dugong_like import (
    BodyFollowing,
    Co,
    HTTPConnection,
    HTTPResponse,
    NetworkStream,
    Target,
    default_ssl_context,
    run,
    stall,
)
from dugong_like.drivers import aio

T = TypeVar("T")
Origin = tuple[str, str, int, str | None]
ErrorTable = Sequence[tuple[type[Exception], Sequence[type[Exception]]]]
PIECE: Final = 65536  # bytes of a body at a time
FRAMING: Final = {b"content-length", b"transfer-encoding"}
PHASES: Final = ("connect", "write", "read")
ERRORS: Final[ErrorTable] = [  # the first that fits, while connecting, writing and reading
    (dugong_like.InvalidRequest, [httpx.LocalProtocolError] * 3),
    (dugong_like.ExcessBodyData, [httpx.LocalProtocolError] * 3),
    (dugong_like.StateError, [httpx.LocalProtocolError] * 3),  # such as too little of a body
    (dugong_like.ProtocolError, [httpx.RemoteProtocolError] * 3),
    (
        dugong_like.ConnectionTimedOut,
        [httpx.ConnectTimeout, httpx.WriteTimeout, httpx.ReadTimeout],
    ),
    (dugong_like.TunnelRefused, [httpx.ProxyError] * 3),
    (
        dugong_like.ConnectionClosed,
        [httpx.ConnectError, httpx.WriteError, httpx.RemoteProtocolError],
    ),
    (dugong_like.TransportError, [httpx.ConnectError, httpx.WriteError, httpx.ReadError]),
]
NETWORK_ERRORS: Final[
    ErrorTable
] = [  # of a "network_stream", for which httpx has no errors of its own
    (
        dugong_like.ConnectionTimedOut,
        [httpcore.ConnectTimeout, httpcore.WriteTimeout, httpcore.ReadTimeout],
    ),
    (dugong_like.DugongError, [httpcore.ConnectError, httpcore.WriteError, httpcore.ReadError]),
]


class Phases:
    """What a request is at: "connect", "write" or "read", each with a time limit."""

    def __init__(self, conn: HTTPConnection, request: httpx.Request) -> None:
        self._conn = conn
        self._limits: dict[str, float | None] = request.extensions.get("timeout", {})
        self.begin("connect")

    def begin(self, phase: str) -> None:
        """Go on to *phase*."""
        self.now = phase
        self._conn.timeout = self._limits.get(phase)

    def errors(self) -> AbstractContextManager[None]:
        """Raise errors of this library as those of httpx."""
        return errors_as(ERRORS, lambda: self.now)


@contextmanager
def errors_as(table: ErrorTable, phase: Callable[[], str]) -> Iterator[None]:
    """Raise errors of this library as *table* has them for the *phase* that it is then."""
    try:
        yield
    except dugong_like.DugongError as exc:
        for ours, theirs in table:
            if isinstance(exc, ours):
                raise theirs[PHASES.index(phase())](str(exc)) from exc
        raise


class Connections:
    """Idle connections, and how requests are sent on one."""

    def __init__(self, *, verify: Any = True, proxy: Any = None) -> None:
        self._context = default_ssl_context() if verify is True else verify
        self._proxy = proxy
        self._idle: defaultdict[Origin, list[HTTPConnection]] = defaultdict(list)

    def take(self, request: httpx.Request) -> HTTPConnection:
        """Return a connection to the origin of *request*, idle or new."""
        origin = origin_of(request)
        if self._idle[origin]:
            return self._idle[origin].pop()
        scheme, host, port, name = origin
        if scheme == "http":
            return HTTPConnection(host, port, None, self._proxy)
        options = {} if name is None else {"server_hostname": name}
        return HTTPConnection(host, port, self._context, self._proxy, **options)

    def give_back(self, request: httpx.Request, conn: HTTPConnection) -> None:
        """Keep *conn*, if its response has been read to its end."""
        if conn.response_pending():
            conn.disconnect()
            return
        self._idle[origin_of(request)].append(conn)

    def close(self) -> None:
        """Close the idle connections."""
        for connections in self._idle.values():
            for conn in connections:
                conn.disconnect()
        self._idle.clear()


def origin_of(request: httpx.Request) -> Origin:
    """Return what a connection has to lead to: scheme, host, port, and the name in TLS."""
    url = request.url
    if url.scheme not in {"http", "https"}:
        raise httpx.UnsupportedProtocol(f"no requests to {url.scheme!r} URLs", request=request)
    port = url.port or (443 if url.scheme == "https" else 80)
    return url.scheme, url.host, port, request.extensions.get("sni_hostname")


def target_of(request: httpx.Request) -> str:
    """Return the request target: the path, if the request does not say otherwise."""
    target: bytes | None = request.extensions.get("target")
    if target is None:
        return request.url.raw_path.decode("ascii")
    text = target.decode("ascii", "replace")  # what is not ASCII is refused
    return text if request.method == "CONNECT" else Target(text)


def co_send_head(conn: HTTPConnection, request: httpx.Request, phases: Phases) -> Co[bool]:
    """Connect and send the head; return whether a body follows."""
    yield from conn.co_connect()
    phases.begin("write")
    length = request.headers.get("Content-Length")
    body = BodyFollowing(None if length is None else int(length))
    if length is None and "Transfer-Encoding" not in request.headers:
        body = None
    left_out = FRAMING | {b"host"} if request.method == "CONNECT" else FRAMING  # it has its own
    fields = [(n.decode(), v.decode("latin-1")) for n, v in request.headers.raw
              if n.lower() not in left_out]  # fmt: skip
    yield from conn.co_send_request(request.method, target_of(request), fields, body)
    return body is not None


class Network:
    """What `SyncNetwork` and `AsyncNetwork` are made of: the stream of a response for httpx.

    Args:
        conn: what facts are of, while HTTP is spoken.
        stream: what to read and write, if it is not spoken any more.

    """

    def __init__(self, conn: HTTPConnection, stream: NetworkStream | None) -> None:
        self._conn = conn
        self._stream = stream
        if stream is not None:
            stream.timeout = None  # each call has its own

    @property
    def stream(self) -> NetworkStream:
        """What can be read and written."""
        if self._stream is None:
            raise dugong_like.StateError("HTTP is spoken here: read the body of the response")
        return self._stream

    def co_read(self, size: int, timeout: float | None) -> Co[bytes]:
        """Read up to *size* bytes."""
        with errors_as(NETWORK_ERRORS, lambda: "read"):
            return (yield from limited(timeout, self.stream.co_read(size)))

    def co_write(self, data: bytes, timeout: float | None) -> Co[None]:
        """Write all of *data*."""
        with errors_as(NETWORK_ERRORS, lambda: "write"):
            yield from limited(timeout, self.stream.co_write(data))

    def co_start_tls(self, context: SSLContext, name: str | None, timeout: float | None) -> Co[Any]:
        """Go on in TLS."""
        with errors_as(NETWORK_ERRORS, lambda: "connect"):
            yield from limited(timeout, self.stream.co_start_tls(context, name or ""))
        return self

    def get_extra_info(self, info: str) -> Any:
        """Return a fact about the connection; None if there is none."""
        return (self._stream or self._conn).get_extra_info(info)

    def end(self) -> None:
        """Close the stream, if it has left HTTP."""
        if self._stream is not None:
            self._stream.close()


class SyncNetwork(Network, httpcore.NetworkStream):
    """For `httpx.Client`."""

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """See httpcore."""
        return run(self.co_read(max_bytes, timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """See httpcore."""
        run(self.co_write(buffer, timeout))

    def close(self) -> None:
        """See httpcore."""
        self.end()

    def start_tls(
        self,
        ssl_context: SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        """See httpcore."""
        return run(self.co_start_tls(ssl_context, server_hostname, timeout))


class AsyncNetwork(Network, httpcore.AsyncNetworkStream):
    """For `httpx.AsyncClient`. The arguments are those of httpcore."""

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        """See httpcore."""
        return await aio.run(self.co_read(max_bytes, timeout))

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """See httpcore."""
        await aio.run(self.co_write(buffer, timeout))

    async def aclose(self) -> None:
        """See httpcore."""
        self.end()

    async def start_tls(
        self,
        ssl_context: SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore.AsyncNetworkStream:
        """See httpcore."""
        return await aio.run(self.co_start_tls(ssl_context, server_hostname, timeout))


def limited(timeout: float | None, op: Co[T]) -> Co[T]:
    """Limit *op* to *timeout* seconds without anything moving."""
    return op if timeout is None else stall(timeout, op)


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
        self,
        owner: Connections,
        request: httpx.Request,
        conn: HTTPConnection,
        phases: Phases,
        network: Network,
    ) -> None:
        self.network = network
        self._owner, self._request, self._conn, self._phases = owner, request, conn, phases
        self._open = True

    def __iter__(self) -> Iterator[bytes]:
        with self._phases.errors():
            while piece := self._conn.read(PIECE):
                yield piece

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with self._phases.errors():
            while piece := await aio.run(self._conn.co_read(PIECE)):
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


class Transport(Connections, httpx.BaseTransport):
    """For `httpx.Client`. Takes *verify*, an `ssl.SSLContext` or True, and *proxy*."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send *request* and return the response; its body is still to be read."""
        conn = self.take(request)
        phases = Phases(conn, request)
        try:
            with phases.errors():
                if run(co_send_head(conn, request, phases)):
                    send_body(conn, request)
                phases.begin("read")
                head = conn.read_response()
            network = SyncNetwork(conn, head.stream if left_http(request, head) else None)
            return response_of(head, Body(self, request, conn, phases, network))
        except BaseException:
            conn.disconnect()
            raise


class AsyncTransport(Connections, httpx.AsyncBaseTransport):
    """For `httpx.AsyncClient` on asyncio. Takes what `Transport` takes."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send *request* and return the response; its body is still to be read."""
        conn = self.take(request)
        phases = Phases(conn, request)
        try:
            with phases.errors():
                if await aio.run(co_send_head(conn, request, phases)):
                    await send_body_async(conn, request)
                phases.begin("read")
                head = await aio.run(conn.co_read_response())
            network = AsyncNetwork(conn, head.stream if left_http(request, head) else None)
            return response_of(head, Body(self, request, conn, phases, network))
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
