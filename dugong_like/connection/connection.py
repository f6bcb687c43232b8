"""HTTPConnection: the operations, their blocking twins, and the face of a file.

Each twin begins its operation as the generator does, runs what is left of it to the end if
there is something, and waits by polling; nothing is written twice.

Not here: what the operations do (operations.py).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self, TypeVar, Unpack

from ..http.arguments import Buffer, as_bytes, as_writable, check_size
from ..http.headers import Fields
from ..http.request import BodyFollowing, Request
from ..polling.contract import Co, run
from ..polling.twin_documentation import twin_of
from ..transport.connect.options import check_context
from ..transport.zero_copy import LOW_WATER
from .exchange import Exchange, HTTPResponse
from .exchanging import Exchanging
from .file_transfer import Transfers
from .h1.states import Link

if TYPE_CHECKING:
    from concurrent.futures import Future

    from ..http.url import URL, Origin
    from ..transport.tls.over_socket import SSLContext
    from .callbacks import HTTPStream
    from .options import ConnectionOptions
    from .queue import Line

T = TypeVar("T")
STATES: Final = {
    Link.CLOSED: "closed",
    Link.OPEN: "open",
    Link.SPENT: "not reusable",
    Link.SWITCHED: "upgraded",
    Link.BROKEN: "broken until reset()",
}


class HTTPConnection(Exchanging, Transfers):
    """A connection to one HTTP/1.1 server, opened when it is needed.

    Each operation exists twice: ``co_x`` returns a generator that yields `PollNeeded`
    where it would block, and ``x`` blocks. Both may be mixed. One thread may send while
    another one reads. A context manager: leaving it closes the connection.

    Args:
        hostname: name or IP address of the server, an IPv6 address without brackets.
        port: 80 if None, or 443 with *ssl_context*.
        ssl_context: for https; see `default_ssl_context`. It is never changed.
        proxy: a `Proxy`, or its URL, or ``(host, port)`` of an HTTP proxy. By default
            requests are forwarded by it without *ssl_context*, and with one it opens a
            tunnel.
        timeout: seconds that may pass without anything moving, or `Timeouts` to tell the
            phases apart; None waits for ever.
        expect100_timeout: seconds to wait for 100 (Continue); None waits for ever, unless
            `Timeouts.expect100` says otherwise.
        content_md5: True to add Content-MD5 to bodies given as bytes, False to add none. None
            adds it in `send_request` and `send_requests` of this class only, as dugong does: not
            with `Request`, nor what sends these, nor `AsyncConnection`. HTTP has it no more (RFC
            7231 appendix B).
        http_version: ``"1.0"`` for a server that cannot do better: then there are no chunked
            bodies, no ``expect100`` and no Upgrade. Host and ``Connection: keep-alive`` are sent
            all the same; without keep-alive the next request gets a new connection.
        buffer_size: bytes of the receive buffer.
        max_line_size: bytes of the longest status line or field line taken.
        max_header_size: bytes of the longest head or trailer section taken, and of all
            1xx responses to one request.
        max_fields: field lines of a head or trailer section.
        max_informational: 1xx responses to one request.
        max_chunk_line: bytes of the longest chunk size line, extensions included.
        max_extensions: bytes of chunk extensions in one body.
        on_informational: called with each 1xx response when it arrives.
        dns_test_hostnames: names to look up when *hostname* does not exist, to tell that
            from a name service that is out of order; or pairs of name and port, as in
            `DNS_TEST_HOSTNAMES`. By default nobody is asked.
        server_hostname: the name for TLS, told to the server (SNI) and looked for in its
            certificate, which may be an IP address; empty for *hostname*. None tells none,
            and goes only with a context that does not check names.
        fingerprint: ``"sha256:…"`` of the server's certificate, or several of which one has to
            fit. Checked in addition to what the context checks.
        tls_sessions: whether TLS sessions are resumed when the connection is made again, but
            for after `close`; a `TLSSessions` shares them with other connections.
        socket_options: see `SocketOptions`.
        uds: path of a unix domain socket to connect to instead of *hostname* and *port*, which
            still say whose requests these are; an abstract name begins with ``"\\0"`` (Linux).
        sock: a connected socket to use instead of making one. It belongs to the connection
            from now on, and is closed with it; connecting again is then `StateError`.
        resolver: whom to ask for addresses: ``resolver(host, port)`` returns a list of
            ``(family, socket address)``. It is called in a helper thread and may block; or it
            is a generator function that yields `PollNeeded`. See `CachingResolver`.
        transport: what makes streams to take the place of sockets: a `Transport`, for tests a
            `ScriptedTransport`.
        trace: called with the name and the facts of each event, ``(str, dict)``, by
            whatever thread the event happens in. What it raises ends the operation and
            breaks the connection.
        timings: True to have `Exchange.timings`.
        trace_file: a binary file, or the path of one, for every byte that is sent and
            received, passwords and cookies included; see :doc:`/tutorial`.
        budget: how fast bytes may pass, and how many bytes a response may have.

    With a *proxy* the options of sockets, *uds*, *sock* and *resolver* are those of the way to
    the proxy, and what is said of TLS holds for the server behind it.

    Raises:
        InvalidRequest: *hostname*, *port*, *proxy* or *server_hostname* cannot be what it says,
            or *proxy* cannot lead there.
        InvalidOption: another argument makes no sense, or not together with another one.
        TypeError: one of them has the wrong type.
        ValueError: *buffer_size* is less than 1, *http_version* is unknown, or *timeout* is
            negative or not a number.

    """

    _line: Line[HTTPStream] | None = None  # of the streams, when there has been one
    _shutdown: tuple[Future[None], object] | None = None  # and the end that it is about

    @classmethod
    def to(
        cls,
        place: URL | Origin | str,
        *,
        ssl_context: SSLContext | None = None,
        **options: Unpack[ConnectionOptions],
    ) -> Self:
        """Return a connection to the server of a URL.

        Args:
            place: a `URL`, its text, or an `Origin`. Of a URL the connection takes host and port
                only; what to ask for is its ``target``.
            ssl_context: used if the scheme is https or wss, when `default_ssl_context` is the
                default; of no effect otherwise.
            options: other arguments of `HTTPConnection`, such as *timeout*.

        Raises:
            InvalidRequest: *place* is no such URL.
            TypeError: *place* or *ssl_context* has the wrong type.
            InvalidOption: *ssl_context* is one for servers.
            Exception: what `HTTPConnection` raises.

        """
        from ..http.url import as_origin  # noqa: PLC0415 - for those who use it

        origin = as_origin(place)
        if ssl_context is not None:
            check_context(ssl_context)
        if not origin.secure:
            ssl_context = None
        elif ssl_context is None:
            from ..transport.tls.contexts import default_ssl_context  # noqa: PLC0415 - https only

            ssl_context = default_ssl_context()
        return cls(origin.host, origin.port, ssl_context, **options)

    @twin_of(Exchanging.co_connect)
    def connect(self) -> None:
        """Blocking twin of `co_connect`."""
        finish(self._sending.begin(self._sending.connect))

    @twin_of(Exchanging.co_send_request)
    def send_request(
        self,
        method: str,
        path: str,
        headers: Fields | None = None,
        body: Buffer | BodyFollowing | None = None,
        expect100: bool = False,
    ) -> Exchange:
        """Blocking twin of `co_send_request`."""
        exchange, head, whole = self._build(method, path, headers, body, expect100)
        going = self._sending.request(exchange, head, whole)
        if going is not None:
            run(going)
        return exchange

    @twin_of(Exchanging.co_send_requests)
    def send_requests(self, requests: Iterable[tuple[Any, ...]]) -> list[Exchange]:
        """Blocking twin of `co_send_requests`."""
        return run(self.co_send_requests(requests))

    @twin_of(Exchanging.co_send)
    def send(self, request: Request) -> Exchange:
        """Blocking twin of `co_send`."""
        return run(self.co_send(request))

    @twin_of(Exchanging.co_write)
    def write(self, buf: Buffer) -> None:
        """Blocking twin of `co_write`."""
        finish(self._sending.begin(self._sending.write, as_bytes(buf)))

    @twin_of(Exchanging.co_finish)
    def finish(self, trailers: Fields | None = None) -> None:
        """Blocking twin of `co_finish`."""
        finish(self._sending.begin(self._sending.finish, self._trailer_lines(trailers)))

    @twin_of(Exchanging.co_read_response)
    def read_response(self) -> HTTPResponse:
        """Blocking twin of `co_read_response`.

        If the response is not here, and this is the thread that has to complete the body of its
        request, it is `StateError`: the server would wait for the body, and we for the server.
        That is the thread that has sent the head, or was the last one to write.
        """
        receiving, sending = self._receiving, self._sending
        if sending.is_writing():  # only here: in a generator somebody else may write meanwhile
            return run(unless(sending.check_not_owed, receiving.co_read_response()))
        if receiving.heads.continue_timeout is not None:
            return run(receiving.co_read_response())
        return receiving.role.block(receiving.read_response, None, receiving.is_early)

    @twin_of(Exchanging.co_next_response)
    def next_response(self) -> HTTPResponse | None:
        """Blocking twin of `co_next_response`."""
        return self.read_response() if self.response_pending() else None

    def responses(self) -> Iterator[HTTPResponse]:
        """Iterate over the responses while any is pending; see `co_next_response`."""
        return iter(self.next_response, None)

    @twin_of(Exchanging.co_read)
    def read(self, len_: int | None = None) -> bytes:
        """Blocking twin of `co_read`."""
        # io.TextIOWrapper asks for -1 bytes and means all.
        if len_ is None or (type(len_) is int and len_ < 0):
            return self.readall()
        bodies, size = self._receiving.bodies, check_size(len_)
        return self._receiving.role.block(
            bodies.read if size < LOW_WATER else bodies.read_patiently, size
        )

    @twin_of(Exchanging.co_readinto)
    def readinto(self, buf: bytearray | memoryview) -> int:
        """Blocking twin of `co_readinto`."""
        bodies, view = self._receiving.bodies, as_writable(buf)
        return self._receiving.role.block(
            bodies.readinto if len(view) < LOW_WATER else bodies.readinto_patiently, view
        )

    @twin_of(Exchanging.co_readall)
    def readall(self) -> bytes:
        """Blocking twin of `co_readall`."""
        return self._receiving.role.block(self._receiving.bodies.readall, None)

    @twin_of(Exchanging.co_discard)
    def discard(self) -> None:
        """Blocking twin of `co_discard`."""
        self._receiving.role.block(self._receiving.bodies.discard, None)

    @twin_of(Exchanging.co_read_raw)
    def read_raw(self, size: int) -> bytes:
        """Blocking twin of `co_read_raw`."""
        return self._receiving.role.block(self._receiving.read_raw, check_size(size))

    @twin_of(Exchanging.co_wait_closed)
    def wait_closed(self) -> Exception | None:
        """Blocking twin of `co_wait_closed`."""
        return run(self.co_wait_closed())

    def request(
        self,
        request: Request,
        on_response: Callable[..., object] | None = None,
        on_body: Callable[..., object] | None = None,
        on_done: Callable[..., object] | None = None,
    ) -> HTTPStream:
        """Return an exchange that calls back; nothing is sent before it is activated.

        While such streams are active the other operations of the connection are theirs.

        Args:
            request: what to send.
            on_response: called as ``on_response(http_stream=, status_code=, headers=)``
                when the head of the final response is here; *headers* is a list of pairs.
            on_body: called as ``on_body(http_stream=, chunk=)`` with each piece of the
                body, as bytes, in order. Without it the body is thrown away.
            on_done: called as ``on_done(http_stream=, error=)`` once, after all others;
                *error* is None or the exception that ended the exchange.

        All of them should take further keyword arguments, for later versions.

        Raises:
            TypeError: *request* is no `Request`, or one of the others no function.

        """
        from .callbacks import HTTPStream  # noqa: PLC0415
        from .queue import Line  # noqa: PLC0415 - concurrent.futures costs 10 ms

        if self._line is None:
            self._line = Line()
        return HTTPStream(self, self._line, request, on_response, on_body, on_done)

    @property
    def shutdown_future(self) -> Future[None]:
        """A `concurrent.futures.Future` that is done when the connection has ended.

        It has the result None, or the exception that is the `close_reason`; see
        `co_wait_closed`. When the connection is opened again there is a new one.
        """
        from concurrent.futures import Future  # noqa: PLC0415 - it costs 10 ms

        closing = self._link.closing
        if self._shutdown is None or self._shutdown[1] is not closing:
            future: Future[None] = Future()
            future.set_running_or_notify_cancel()  # nobody can cancel it

            def finish() -> None:
                if closing.reason is None:
                    future.set_result(None)
                else:
                    future.set_exception(closing.reason)

            self._shutdown = future, closing
            closing.add(finish)
        return self._shutdown[0]

    def disconnect(self) -> None:
        """Close the connection at once. Responses that are pending are lost.

        The connection can be used again: it reconnects. May be called in any state;
        an operation that waits in another thread raises `ConnectionClosed`. So does every
        stream that is active; those under way do so in whoever drives them, and the
        last one closes the connection.
        """
        if self._line is not None and self._line.end():
            self._hang_up()
        else:
            super().disconnect()

    def co_close(self) -> Co[None]:
        """Close the connection; over TLS close_notify is sent if that does not block.

        Streams that are active end with `ConnectionClosed`, and are waited for. Raises
        nothing; may be called in any state, but not by an operation that drives a stream.
        The connection can be used again, but does not resume its TLS session, unless that is
        in a `TLSSessions` of the caller's.
        """
        self._forgo_session()
        self.disconnect()
        yield from self.co_wait_closed()

    def close(self) -> None:
        """Close the connection, as `co_close` does, but wait for nobody."""
        self._forgo_session()
        self.disconnect()

    def __repr__(self) -> str:
        """Return the origin, the state, and how many responses are pending."""
        link = self._link
        count = len(link.pending)
        pending = f", {count} response{'s' * (count > 1)} pending" if count else ""
        name, route = type(self).__name__, link.route
        return f"<{name} {route.origin}{route.detour}: {STATES[link.state]}{pending}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __aenter__(self) -> NoReturn:
        raise TypeError("'async with' goes with async_connect(…), which has the same arguments")

    __aexit__ = __aenter__  # looked up before that, and never called

    def __del__(self) -> None:
        if hasattr(self, "_link") and self._link.raw_stream is not None:
            self._link.drop()

    # ---- what io.TextIOWrapper and io.BufferedReader ask for

    closed = False

    def readable(self) -> bool:
        """Return True: response bodies can be read."""
        return True

    def writable(self) -> bool:
        """Return False: as a file, the connection is its response body."""
        return False

    def seekable(self) -> bool:
        """Return False."""
        return False

    def flush(self) -> None:
        """Do nothing: nothing is held back."""

    def read1(self, len_: int = -1) -> bytes:
        """Read what arrives next, at most *len_* bytes; see `co_read`."""
        return self.read(len_ if len_ >= 0 else io.DEFAULT_BUFFER_SIZE)

    def body_file(self) -> BodyFile:
        """Return the present response body as a file; closing it leaves the connection open."""
        return BodyFile(self)


def unless(check: Callable[[], object], op: Co[T]) -> Co[T]:
    """Run *op*, and call *check*, which may raise, each time that it would wait."""
    try:
        while True:
            try:
                need = next(op)
            except StopIteration as end:
                result: T = end.value
                return result
            check()
            yield need
    finally:
        op.close()


def finish(going: Co[None] | None) -> None:
    """Run what is left of an operation, if there is something."""
    if going is not None:
        run(going)


class BodyFile(io.RawIOBase):
    """The body of the present response as a raw binary file.

    It may be wrapped in `io.BufferedReader` and `io.TextIOWrapper`; closing any of them
    does not touch the connection.
    """

    def __init__(self, conn: HTTPConnection) -> None:
        self._conn = conn

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buf: bytearray | memoryview) -> int:  # type: ignore[override]
        """Read into *buf*; see `HTTPConnection.readinto`."""
        return self._conn.readinto(buf)
