"""Unmodified httpx and httpx2 on this library: a transport for `Client`, one for `AsyncClient`.

    from dugong_like.adapters.httpx import AsyncTransport, Transport

    client = httpx.Client(transport=Transport())
    client = httpx2.AsyncClient(transport=AsyncTransport())

The same classes serve httpx and httpx2: the class of each request shows its library,
so neither is imported here. They have the methods of `BaseTransport` and `AsyncBaseTransport`.

Both keep idle connections, one list for each origin. httpx is the client (redirects, cookies,
authentication, decoding), this library the connection. The time-outs of httpx for connecting,
reading and writing become `Timeouts`; the one for a pool has no effect, as there is always room.

Of the request extensions, "timeout", "sni_hostname", "target" and "trace" have an effect; a
response has "http_version", "reason_phrase" and "network_stream" (httpx_network.py), which after
101 and after a 2xx to CONNECT can be read and written, until the response is closed.

"trace" gets the events of its own request, and of the connection while it serves that request,
including its opening and closing. Events and their contents are those of httpcore
(httpx_trace.py). With `AsyncClient` it may be an ``async def`` function, as with httpcore: its
results are awaited, in the order of the events, at the end of the operation that they belong to.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractContextManager, suppress
from functools import partial
from ssl import SSLContext
from threading import RLock
from typing import TYPE_CHECKING, Any, Final, Self, TypedDict, TypeVar, Unpack

from ..connection.connection import HTTPConnection
from ..connection.exchange import HTTPResponse
from ..drivers.detect import runner
from ..errors import ConnectionClosed
from ..http.auth.basic import BasicAuth
from ..http.h1.framing import ends_http
from ..http.redaction import quoted
from ..http.request import BodyFollowing
from ..http.target import Target
from ..http.url import Origin
from ..polling.contract import Co, run
from ..polling.timeouts import Timeouts
from ..transport.proxy.proxy import Proxy
from ..transport.tls.contexts import default_ssl_context, tls_context
from .httpx_edition import Edition, derived, edition_of
from .httpx_errors import PHASES
from .httpx_network import AsyncNetwork, Network, SyncNetwork, errors_as
from .httpx_trace import ConnectionTrace, Facts, raw

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
Key = tuple[Origin, str | None]  # and the name for TLS, if it differs
PIECE: Final = 65536  # bytes of a body at a time
FRAMING: Final = {b"content-length", b"transfer-encoding"}
SCHEMES: Final = {"http", "https", "ws", "wss"}
MAX_HEAD: Final = 100 * 1024  # bytes; the limit of httpcore


class Limits(TypedDict, total=False):
    """Limits for response heads and the like; see `HTTPConnection`."""

    max_line_size: int
    max_header_size: int
    max_fields: int
    max_informational: int
    max_chunk_line: int
    max_extensions: int


# httpcore limits the size of a whole head, not of its lines or their number.
DEFAULTS: Final = Limits(max_line_size=MAX_HEAD, max_header_size=MAX_HEAD, max_fields=MAX_HEAD)


class Connection(HTTPConnection):
    """A connection that serves requests of httpx, one after the other.

    Attributes:
        edition: httpx or httpx2, for the present request.
        phase: its phase, one of `PHASES`.

    """

    edition: Edition
    phase = "connect"

    def __init__(self, *arguments: Any, asynchronous: bool, **options: Any) -> None:
        self._asynchronous = asynchronous
        self.trace = ConnectionTrace(self._stream_with, asynchronous=asynchronous)
        super().__init__(*arguments, trace=self.trace, **options)

    def begin(self, request: Request) -> None:
        """Use the time-outs and the trace of *request* from now on."""
        self.edition = edition_of(request)
        self.phase = "connect"
        limits = request.extensions.get("timeout", {})
        self.timeout = Timeouts(**{name: limits.get(name) for name in PHASES})
        assert not isinstance(self.proxy, tuple)  # see `proxy_for`
        self.trace.begin(request, self.edition, self.proxy)

    def errors(self) -> AbstractContextManager[None]:
        """Raise errors of this library as those of httpx."""
        return errors_as(self.edition.client, lambda: self.phase)

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

    async def result(self, op: Co[T]) -> T:
        """Run *op*, an operation of this connection, and await the results of the trace."""
        try:
            return await runner()(op)
        finally:
            await self.trace.catch_up()


class Connections:
    """Idle connections, and sending requests on them.

    Args:
        verify: an `ssl.SSLContext`; or False, a file or a folder, see `tls_context`.
        cert: the client certificate; see `tls_context`.
        proxy: a `Proxy`, that of httpx, or a URL.
        limits: limits for response heads and the like. By default a head may have 100 KiB, as
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
        **limits: Unpack[Limits],
    ) -> None:
        self._context = context_for(verify, cert)
        self._proxy = proxy_for(proxy)
        self._limits: Limits = {**DEFAULTS, **limits}
        self._lock = RLock()  # threads may share a client
        self._idle: defaultdict[Key, list[Connection]] = defaultdict(list)

    def take(self, key: Key) -> Connection:
        """Return a connection for *key*, idle or new."""
        # There is none, also if the last one is taken in the middle of this.
        with self._lock, suppress(IndexError):
            return self._idle[key].pop()
        origin, name = key
        options: dict[str, Any] = {**self._limits, "asynchronous": self.asynchronous}
        if origin.secure and name is not None:
            options["server_hostname"] = name
        return Connection.to(origin, ssl_context=self._context, proxy=self._proxy, **options)

    def give_back(self, conn: Connection, key: Key, idle: list[Connection]) -> None:
        """Keep *conn* in *idle* if it is reusable and `close` was not called."""
        if conn.response_pending() or not conn.is_open():
            conn.disconnect()
            return
        conn.trace.end()
        with self._lock:
            if self._idle.get(key) is idle:
                idle.append(conn)
                return
        conn.disconnect()

    def close(self) -> None:
        """Close the idle connections."""
        with self._lock:
            kept = list(self._idle.values())
            self._idle.clear()
        for connections in kept:
            for conn in connections:
                conn.disconnect()

    def response(self, key: Key, conn: Connection, request: Request, head: HTTPResponse) -> Any:
        """Return the response for httpx; its body is read later."""
        client = conn.edition.client
        network = conn.network(head.stream if ends_http(request.method, head.status) else None)
        kind = derived(Body, client.SyncByteStream, client.AsyncByteStream)
        return client.Response(
            head.status,
            headers=raw(head),
            stream=kind(conn, network, partial(self.give_back, conn, key, self._idle[key])),
            extensions={
                "http_version": b"HTTP/" + head.http_version.encode(),
                "reason_phrase": head.reason.encode("latin-1"),
                "network_stream": network,
            },
        )


def context_for(verify: SSLContext | bool | str | os.PathLike[str], cert: Any) -> SSLContext:
    """Return the context for *verify* and *cert* of httpx."""
    if isinstance(verify, SSLContext):
        if cert is not None:
            raise TypeError("cert goes with verify as a flag or a path; a context has its own")
        return verify
    if verify is True and cert is None:
        return default_ssl_context()
    authorities = None if isinstance(verify, bool) else verify
    return tls_context(verify=verify is not False, ca=authorities, client_cert=cert)


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


def key_of(request: Request) -> Key:
    """Return the key of connections for *request*: origin and name for TLS."""
    client, url = edition_of(request).client, request.url
    if url.scheme not in SCHEMES:
        message = f"no requests to {quoted(url.scheme)} URLs"
        raise client.UnsupportedProtocol(message, request=request)
    with errors_as(client, lambda: "connect"):
        origin = Origin(url.scheme, url.host, url.port)
    return origin, request.extensions.get("sni_hostname")


def target_of(request: Request) -> str:
    """Return the request target: the path, unless the request has another one."""
    target: bytes | None = request.extensions.get("target")
    if target is None:
        return request.url.raw_path.decode("ascii")
    text = target.decode("ascii", "replace")  # characters other than ASCII are refused later
    return text if request.method == "CONNECT" else Target(text)


def co_send_head(conn: Connection, request: Request) -> Co[bool]:
    """Connect and send the head; return True if a body follows."""
    yield from conn.co_connect()
    conn.phase = "write"
    length = request.headers.get("Content-Length")
    body = None
    if length is not None or "Transfer-Encoding" in request.headers:
        body = BodyFollowing(None if length is None else int(length))
    left_out = FRAMING | {b"host"} if request.method == "CONNECT" else FRAMING  # it has its own
    fields = [field for field in request.headers.raw if field[0].lower() not in left_out]
    yield from conn.co_send_request(request.method, target_of(request), fields, body)
    return body is not None


class Body:
    """The body of a response, read on demand.

    It becomes a `SyncByteStream` and an `AsyncByteStream`.
    """

    def __init__(self, conn: Connection, network: Network, give_back: Callable[[], None]) -> None:
        self._conn, self._network, self._give_back = conn, network, give_back
        self._open = True

    def __iter__(self) -> Iterator[bytes]:
        with self._conn.errors():
            while self._open and (piece := self._conn.read(PIECE)):
                yield piece

    def __aiter__(self) -> Self:
        return self  # not a generator, which trio demands to be closed

    async def __anext__(self) -> bytes:
        if not self._open:
            raise StopAsyncIteration
        with self._conn.errors():
            piece = await self._conn.result(self._conn.co_read(PIECE))
        if not piece:
            raise StopAsyncIteration
        return piece

    def close(self) -> None:
        """Return the connection to the idle ones, and close a detached stream."""
        if self._open:
            self._open = False
            self._network.end()
            self._give_back()

    async def aclose(self) -> None:
        """Return the connection to the idle ones, and close a detached stream."""
        self.close()
        await self._conn.trace.catch_up()


class Transport(Connections, SyncBase):
    """For `Client` of httpx and of httpx2. The arguments are those of `Connections`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def handle_request(self, request: Request) -> Any:
        """Send *request* and return the response; its body is read later."""
        key = key_of(request)
        conn = self.take(key)
        try:
            conn.begin(request)
            with conn.errors():
                if run(co_send_head(conn, request)):
                    send_body(conn, request)
                conn.phase = "read"
                head = conn.read_response()
            return self.response(key, conn, request, head)
        except BaseException:
            conn.disconnect()
            raise


class AsyncTransport(Connections, AsyncBase):
    """For `AsyncClient` of httpx and of httpx2, on asyncio and on trio; as `Transport`."""

    asynchronous = True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def handle_async_request(self, request: Request) -> Any:
        """Send *request* and return the response; its body is read later."""
        key = key_of(request)
        conn = self.take(key)
        try:
            conn.begin(request)
            with conn.errors():
                if await conn.result(co_send_head(conn, request)):
                    await send_body_async(conn, request)
                conn.phase = "read"
                head = await conn.result(conn.co_read_response())
            return self.response(key, conn, request, head)
        except BaseException:
            conn.disconnect()
            await conn.trace.catch_up()
            raise

    async def aclose(self) -> None:
        """Close the idle connections."""
        self.close()


def send_body(conn: Connection, request: Any) -> None:
    """Write the body of *request*, up to an early response."""
    try:
        for piece in request.stream:
            conn.write(piece)
        conn.finish()
    except ConnectionClosed as exc:
        if exc.request_sent != "yes":  # otherwise there is a response to read
            raise


async def send_body_async(conn: Connection, request: Any) -> None:
    """Write the body of *request*, up to an early response."""
    pieces = aiter(request.stream)
    try:
        async for piece in pieces:
            await conn.result(conn.co_write(piece))
        await conn.result(conn.co_finish())
    except ConnectionClosed as exc:
        if exc.request_sent != "yes":
            raise
    finally:
        if isinstance(pieces, AsyncGenerator):
            await pieces.aclose()  # not later, which trio does not allow
