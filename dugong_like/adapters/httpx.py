"""Unmodified httpx and httpx2 on this library: a transport for `Client`, one for `AsyncClient`.

    from dugong_like.adapters.httpx import AsyncTransport, Transport

    client = httpx.Client(transport=Transport())
    client = httpx2.AsyncClient(transport=AsyncTransport())

The same classes serve httpx and httpx2: the class of each request shows its library,
so neither is imported here. They have the methods of `BaseTransport` and `AsyncBaseTransport`.

Each has a `Pool` of connections, which threads and event loops may share. httpx is the client
(redirects, cookies, authentication, decoding), this library pool and connections. The time-outs of
httpx become `Timeouts`.

Of the request extensions, "timeout", "sni_hostname", "target" and "trace" have an effect; a
response has "http_version", "reason_phrase" and "network_stream" (httpx_network.py), which after
101 and after a 2xx to CONNECT can be read and written, until the response is closed.

"trace" gets the events of its own request, and of the connection while it serves that request,
including its opening and closing. Events and their contents are those of httpcore
(httpx_trace.py). With `AsyncClient` it may be an ``async def`` function, as with httpcore: its
results are awaited in the order of the events, before the response, or the part of its body that
they belong to, is returned.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import AbstractContextManager
from functools import lru_cache
from ssl import SSLContext
from typing import TYPE_CHECKING, Any, Final, Self, TypedDict, TypeVar, Unpack, cast

from ..client.dispatch import Lease
from ..client.pool import Pool
from ..client.pool_limits import Limits
from ..client.trust import Trust
from ..connection.connection import HTTPConnection
from ..connection.exchange import HTTPResponse
from ..drivers.detect import runner
from ..errors import AnsweredEarly
from ..http.auth.basic import BasicAuth
from ..http.h1.framing import ends_http
from ..http.redaction import quoted
from ..http.request import BodyFollowing, as_piece
from ..http.target import Target
from ..http.url import Origin
from ..polling.contract import Co
from ..polling.numbers import check_int, check_seconds
from ..polling.timeouts import Timeouts
from ..transport.proxy.proxy import Proxy
from .httpx_edition import Edition, derived, edition_of
from .httpx_errors import PHASES
from .httpx_network import AsyncNetwork, Network, SyncNetwork, errors_as
from .httpx_trace import ConnectionTrace, Facts, RequestTrace, raw
from .sending import Maker, Outgoing, Place, co_start, exchange, given, place_of

if TYPE_CHECKING:
    import httpx
    import httpx2

    Request = httpx.Request | httpx2.Request

    class SyncBase(httpx.BaseTransport, httpx2.BaseTransport):  # type: ignore[misc]
        """Base of `Transport` for type checkers."""

    class AsyncBase(httpx.AsyncBaseTransport, httpx2.AsyncBaseTransport):  # type: ignore[misc]
        """Base of `AsyncTransport` for type checkers."""
else:
    SyncBase = AsyncBase = object

T = TypeVar("T")
PIECE: Final = 65536  # bytes of a body at a time
FRAMING: Final = {b"content-length", b"transfer-encoding"}
LIMITED: Final = (*PHASES, "pool")  # each has its time limit
SCHEMES: Final = {"http", "https", "ws", "wss"}
MAX_HEAD: Final = 100 * 1024  # bytes; the limit of httpcore


class HeadLimits(TypedDict, total=False):
    """Limits for response heads and the like; see `HTTPConnection`."""

    max_line_size: int
    max_header_size: int
    max_fields: int
    max_informational: int
    max_chunk_line: int
    max_extensions: int


# httpcore limits the size of a whole head, not of its lines or their number.
DEFAULTS: Final = HeadLimits(max_line_size=MAX_HEAD, max_header_size=MAX_HEAD, max_fields=MAX_HEAD)


class Connection(HTTPConnection):
    """A connection that serves requests of httpx, one after the other."""

    edition: Edition  # httpx or httpx2, for the present request

    def __init__(self, *arguments: Any, asynchronous: bool, **options: Any) -> None:
        self._asynchronous = asynchronous
        self.trace = ConnectionTrace(self._stream_with)
        super().__init__(*arguments, trace=self.trace, **options)

    def network(self, *arguments: Any, **options: Any) -> Network:
        """Return a "network_stream"; the arguments are those of `Network` after the first two."""
        core = self.edition.core
        kind: type[Network] = (
            derived(AsyncNetwork, core.AsyncNetworkStream)
            if self._asynchronous
            else derived(SyncNetwork, core.NetworkStream)
        )
        return kind(core, self, *arguments, **options)

    def _stream_with(self, known: Facts) -> Network:
        return self.network(known=known)


class ConnectionMaker(Maker):
    """Makes connections to a `Place`, whose setting is the name for TLS if it differs."""

    def __init__(
        self, context: SSLContext, proxy: Proxy | None, limits: HeadLimits, *, asynchronous: bool
    ) -> None:
        self._context = context
        self.proxy = proxy
        options = {"content_md5": False, "asynchronous": asynchronous}
        self._options: dict[str, Any] = {**DEFAULTS, **limits, **options}

    def connection(self, origin: Origin) -> Connection:
        """Return a new connection."""
        assert isinstance(origin, Place)
        options = self._options
        if origin.secure and origin.setting is not None:
            options = {**options, "server_hostname": origin.setting}
        return Connection.to(origin, ssl_context=self._context, proxy=self.proxy, **options)


class Sending(Outgoing):
    """A request of httpx, while it is sent and its response is received."""

    def __init__(self, request: Request, edition: Edition, trace: RequestTrace | None) -> None:
        self.edition = edition
        self.trace = trace
        limits = request.extensions.get("timeout", {})
        self.timeouts = timeouts_for(*(limits.get(name) for name in LIMITED))
        # CONNECT has a Host of its own.
        left_out = FRAMING | {b"host"} if request.method == "CONNECT" else FRAMING
        fields = [field for field in request.headers.raw if field[0].lower() not in left_out]
        super().__init__(request.method, target_of(request), fields, body_of(request, edition))

    def co_connect(self, conn: HTTPConnection) -> Co[None]:
        """Open *conn*, unless it is open; it serves this request from now on."""
        assert isinstance(conn, Connection)
        conn.edition, conn.trace.present = self.edition, self.trace
        return conn.co_connect()

    def errors(self) -> AbstractContextManager[None]:
        """Raise errors of this library as those of httpx."""
        return errors_as(self.edition.client, lambda: self.phase)

    async def result(self, op: Co[T]) -> T:
        """Run *op*, and await the results of the trace."""
        try:
            return await runner()(op)
        finally:
            await self.catch_up()

    async def catch_up(self) -> None:
        """Await the results of the trace."""
        if self.trace is not None:
            await self.trace.catch_up()


class Connections:
    """A pool of connections, and sending requests by it.

    Args:
        verify: an `ssl.SSLContext`; or False, a file or a folder, see `tls_context`.
        cert: the client certificate; see `tls_context`.
        proxy: a `Proxy`, that of httpx, or a URL.
        limits: the `Limits` of the pool, or those of httpx. By default there may be 100
            connections, of which 50 are kept idle, for 60 s each.
        head_limits: limits for response heads and the like. By default a head may have 100 KiB, as
            with httpcore.

    Raises:
        InvalidOption, InvalidRequest, TypeError: an argument is invalid.

    """

    asynchronous = False

    def __init__(
        self,
        *,
        verify: SSLContext | bool | str | os.PathLike[str] = True,
        cert: Any = None,
        proxy: Any = None,
        limits: Any = None,
        **head_limits: Unpack[HeadLimits],
    ) -> None:
        context = context_for(verify, cert)
        asynchronous = self.asynchronous
        self._maker = ConnectionMaker(
            context, proxy_for(proxy), head_limits, asynchronous=asynchronous
        )
        self._limits = limits_for(limits)
        self._pool = Pool(self._maker, self._limits)

    def close(self) -> None:
        """Close the idle connections now, and those in use when their responses are closed."""
        pool, self._pool = self._pool, Pool(self._maker, self._limits)
        pool.close()

    def sending(self, request: Request) -> Sending:
        """Return *request* as it is sent."""
        edition = edition_of(request)
        trace = request.extensions.get("trace")
        if trace is not None:
            proxy, asynchronous = self._maker.proxy, self.asynchronous
            trace = RequestTrace(trace, request, edition, proxy, asynchronous=asynchronous)
        with errors_as(edition.client, lambda: "connect"):
            return Sending(request, edition, trace)

    def response(self, sending: Sending, lease: Lease, head: HTTPResponse) -> Any:
        """Return the response for httpx; its body is read later."""
        client, conn = sending.edition.client, lease.connection
        assert isinstance(conn, Connection)
        network = conn.network(head.stream if ends_http(sending.method, head.status) else None)
        kind = derived(Body, client.SyncByteStream, client.AsyncByteStream)
        return client.Response(
            head.status,
            headers=raw(head),
            stream=kind(sending, lease, head, network),
            extensions={
                "http_version": b"HTTP/" + head.http_version.encode(),
                "reason_phrase": head.reason.encode("latin-1"),
                "network_stream": network,
            },
        )


def timeouts_for(*seconds: float | None) -> Timeouts:
    """Return the time limits of a request: those for `LIMITED`, in this order.

    Raises:
        InvalidOption: one is negative, too large, or not a number.
        TypeError: one has the wrong type.

    """
    try:
        return _timeouts_for(*seconds)
    except TypeError:  # perhaps one of the cache, which does not name the argument
        for name, limit in zip(LIMITED, seconds, strict=True):
            if limit is not None:
                check_seconds(limit, name)
        raise


@lru_cache(maxsize=64, typed=True)
def _timeouts_for(*seconds: float | None) -> Timeouts:
    alike = len(set(seconds)) == 1
    return Timeouts(
        **{
            name: given(limit, f"timeout={limit}" if alike else f"Timeout({name}={limit})")
            for name, limit in zip(LIMITED, seconds, strict=True)
        }
    )


def limits_for(limits: Any) -> Limits:
    """Return *limits*, which may be those of httpx, as `Limits`."""
    if limits is None:
        return Limits(max_keepalive_per_origin=None)
    if isinstance(limits, Limits):
        return limits
    if not hasattr(limits, "max_keepalive_connections"):
        raise TypeError(f"limits are Limits of httpx or of this library, not {quoted(limits)}")
    if (kept := limits.max_keepalive_connections) is not None:
        check_int("max_keepalive_connections", kept, 0)
    return Limits(
        max_connections=limits.max_connections,
        max_keepalive=limits.max_keepalive_connections,
        max_keepalive_per_origin=None,
        keepalive_expiry=limits.keepalive_expiry,
    )


def context_for(verify: SSLContext | bool | str | os.PathLike[str], cert: Any) -> SSLContext:
    """Return the context for *verify* and *cert* of httpx."""
    if isinstance(verify, SSLContext):
        if cert is not None:
            raise TypeError("cert goes with verify as a flag or a path; a context has its own")
        return verify
    return Trust(verify=verify, cert=cert).context()


def proxy_for(proxy: Any) -> Proxy | None:
    """Return *proxy*, which may be a proxy or a URL of httpx, as a `Proxy`."""
    if proxy is None or isinstance(proxy, Proxy):
        return proxy
    if isinstance(proxy, tuple):
        return Proxy("http://{}:{}".format(*proxy))
    if not hasattr(proxy, "raw_auth"):
        return Proxy(str(proxy))
    login = None if proxy.auth is None else BasicAuth(*proxy.auth)
    return Proxy(
        str(proxy.url), auth=login, headers=proxy.headers.raw, ssl_context=proxy.ssl_context
    )


def place_for(request: Request) -> Place:
    """Return where *request* goes: its origin, and the name for TLS."""
    client, url = edition_of(request).client, request.url
    if url.scheme not in SCHEMES:
        message = f"no requests to {quoted(url.scheme)} URLs"
        raise client.UnsupportedProtocol(message, request=request)
    with errors_as(client, lambda: "connect"):
        return place_of(url.scheme, url.host, url.port, request.extensions.get("sni_hostname"))


def target_of(request: Request) -> str:
    """Return the request target: the path, unless the request has another one."""
    target: bytes | None = request.extensions.get("target")
    if target is None:
        return request.url.raw_path.decode("ascii")
    text = target.decode("ascii", "replace")  # characters other than ASCII are refused later
    return text if request.method == "CONNECT" else Target(text)


def body_of(request: Request, edition: Edition) -> bytes | BodyFollowing | None:
    """Return the body of *request* if it is in memory, or what announces it."""
    headers, stream = request.headers, request.stream
    length = headers.get("Content-Length")
    if length is None:
        return BodyFollowing() if "Transfer-Encoding" in headers else None
    if isinstance(stream, edition.client.ByteStream):
        body = b"".join(stream)
        if length == str(len(body)):
            return body
    return BodyFollowing(int(length))


class Body:
    """The body of a response, read on demand.

    It becomes a `SyncByteStream` and an `AsyncByteStream`.
    """

    def __init__(
        self, sending: Sending, lease: Lease, head: HTTPResponse, network: Network
    ) -> None:
        self._sending, self._lease, self._head, self._network = sending, lease, head, network
        self._open = True

    def __iter__(self) -> Iterator[bytes]:
        conn = self._lease.connection
        with self._sending.errors():
            while self._open and (piece := conn.read(PIECE)):
                yield piece

    def __aiter__(self) -> Self:
        return self  # not a generator, which trio demands to be closed

    async def __anext__(self) -> bytes:
        if not self._open:
            raise StopAsyncIteration
        with self._sending.errors():
            piece = await self._sending.result(self._lease.connection.co_read(PIECE))
        if not piece:
            raise StopAsyncIteration
        return piece

    def close(self) -> None:
        """Give the connection back to the pool, and close a detached stream."""
        if self._open:
            self._open = False
            self._network.end()
            conn = self._lease.connection
            assert isinstance(conn, Connection)
            if conn.is_reusable():  # else its end belongs to this request
                conn.trace.present = None
            self._lease.release(self._head.field("keep-alive"))

    async def aclose(self) -> None:
        """Give the connection back to the pool, and close a detached stream."""
        self.close()
        await self._sending.catch_up()


class Transport(Connections, SyncBase):
    """For `Client` of httpx and of httpx2. The arguments are those of `Connections`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def handle_request(self, request: Request) -> Any:
        """Send *request* and return the response; its body is read later."""
        place = place_for(request)
        sending = self.sending(request)
        with sending.errors():
            lease, head = exchange(
                self._pool, place, sending, cast("Iterable[bytes]", request.stream)
            )
        return self.response(sending, lease, head)


class AsyncTransport(Connections, AsyncBase):
    """For `AsyncClient` of httpx and of httpx2, on asyncio and on trio; as `Transport`."""

    asynchronous = True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def handle_async_request(self, request: Request) -> Any:
        """Send *request* and return the response; its body is read later."""
        place = place_for(request)
        sending = self.sending(request)
        lease = None
        try:
            with sending.errors():
                lease, head = await runner()(co_start(self._pool, place, sending))
                await sending.catch_up()
                if head is None:
                    head = await send_body(lease.connection, sending, request)
        except BaseException:
            if lease is not None:
                lease.discard()
            await sending.catch_up()
            raise
        return self.response(sending, lease, head)

    async def aclose(self) -> None:
        """Do what `close` does."""
        self.close()


async def send_body(conn: HTTPConnection, sending: Sending, request: Any) -> HTTPResponse:
    """Write the body of *request*, up to an early response, and return the head of the response."""
    pieces = aiter(request.stream)
    try:
        async for piece in pieces:
            await sending.result(conn.co_write(as_piece(piece)))
        await sending.result(conn.co_finish())
    except AnsweredEarly:
        pass
    finally:
        if isinstance(pieces, AsyncGenerator):
            await pieces.aclose()  # not later, which trio does not allow
    sending.phase = "read"
    return await sending.result(conn.co_read_response())
