"""HTTPConnection: blocking twins of the operations, the face of a file, facts and settings.

Each twin begins its operation as the generator does, runs what is left of it to the end if
there is something, and waits by polling. Only the exchange of a kept connection, which most calls
are, is written out here, as a generator would be a third of its cost.

Not here: what the operations do (operations.py).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from threading import get_ident
from time import monotonic
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NoReturn, Self, TypeVar, Unpack

from ..errors import StateError
from ..http.arguments import Buffer, as_bytes, as_writable, check_size
from ..http.header_validation import FieldLines
from ..http.headers import Fields
from ..http.request import BodyFollowing, Request
from ..polling.contract import Co, run
from ..polling.reasons import Explainer, explainers
from ..polling.twin_documentation import twin_of
from ..transport.buffer import LOW_WATER
from ..transport.connect.options import check_context
from .body_writer import trailer_lines
from .cancelling import abort, cancel_users, forgo_tls_session
from .config import ConnectionConfig, config_of
from .exchange import Exchange, HTTPResponse, Reply, kind_of_exchange
from .operations import Operations
from .states import Retired, SessionReplaced

if TYPE_CHECKING:
    from concurrent.futures import Future

    from ..http.url import URL, Origin
    from ..http.websocket.options import WebSocketArguments
    from ..polling.timeouts import Timeouts
    from ..transport.proxy.proxy import Proxy
    from ..transport.tls.over_socket import SSLContext
    from .callbacks import HTTPStream
    from .options import ConnectionOptions, KeywordOptions
    from .queue import Queue
    from .session import Session
    from .tls_info import TLSInfo
    from .websocket import WebSocket

T = TypeVar("T")
TIMEOUT_ONLY: Final = frozenset(["timeout"])  # making its configuration anew would double the time


class Signature:
    """The signature of `HTTPConnection`, whose options `ConnectionConfig` checks, for editors."""

    def __get__(self, instance: object, owner: type[HTTPConnection]) -> object:
        """Return it; made when somebody asks."""
        import inspect  # noqa: PLC0415 - 5 ms that few programs need

        config = inspect.signature(ConnectionConfig)
        own = inspect.signature(owner.__init__).parameters["content_md5"]
        return config.replace(
            parameters=[*config.parameters.values(), own], return_annotation=config.empty
        )


class HTTPConnection(Operations):
    """A connection to one server, over HTTP/1.1 or HTTP/2, opened when it is needed.

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
        versions: what may be spoken, in the order of preference: ``("http/1.1",)``,
            ``("h2", "http/1.1")``, or ``("h2",)``. With *ssl_context* the server is asked (ALPN);
            what that offers plays no part. Without it nobody can ask: ``("h2",)`` begins with
            HTTP/2 at once, and the other two are HTTP/1.1. See :doc:`/http2`.
        http2: `H2Options`: windows, limits and settings of HTTP/2.
        on_settings: called with the `H2Settings` of an HTTP/2 server each time that it sends some.
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
            whatever thread the event happens in. An exception of it ends the operation and
            breaks the connection.
        timings: True to have `Exchange.timings`.
        trace_file: a binary file, or the path of one, for every byte that is sent and
            received, passwords and cookies included; see :doc:`/tutorial`.
        budget: how fast bytes may pass, and how many bytes a response may have.
        whole_below: status code, 100 to 1000, from which on `exchange` leaves a body that has not
            arrived with its head to the caller: ``body`` is None then, and the body has to be read
            as after `read_response` before the next exchange. For programs that drop the bodies
            of errors and redirects, or read them up to a limit. By default there is none.

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

    __signature__ = Signature()
    _queue: Queue[HTTPStream] | None = None  # of the streams, when there has been one
    _shutdown: tuple[Future[None], object] | None = None  # and the session that it is about

    def __init__(
        self,
        hostname: str,
        port: int | None = None,
        ssl_context: SSLContext | None = None,
        proxy: Proxy | tuple[str, int] | str | None = None,
        *,
        content_md5: bool | None = None,
        **options: Unpack[KeywordOptions],
    ) -> None:
        if ssl_context is None and proxy is None and options.keys() <= TIMEOUT_ONLY:
            config = config_of(hostname, port, options.get("timeout"))
        else:
            config = ConnectionConfig(hostname, port, ssl_context, proxy, **options)
        super().__init__(config, content_md5)

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

    @classmethod
    def from_config(cls, config: ConnectionConfig, content_md5: bool | None = None) -> Self:
        """Return a connection with options that have been checked.

        Args:
            config: of any number of connections.
            content_md5: see the class.

        """
        conn = cls.__new__(cls)
        Operations.__init__(conn, config, content_md5)
        return conn

    @twin_of(Operations.co_connect)
    def connect(self) -> None:
        """Blocking twin of `co_connect`."""
        finish(self._begin_connecting())

    @twin_of(Operations.co_send_request)
    def send_request(
        self,
        method: str,
        path: str,
        headers: Fields | None = None,
        body: Buffer | BodyFollowing | None = None,
        expect100: bool = False,
    ) -> Exchange:
        """Blocking twin of `co_send_request`."""
        exchange, head, whole = self._messages.build(method, path, headers, body, expect100)
        try:
            going = self._session.sender.request(exchange, head, whole)
            if going is not None:
                run(going)
        except Retired:
            finish(self._begin_request(exchange, head, whole, is_operation=False))
        return exchange

    @twin_of(Operations.co_send_requests)
    def send_requests(self, requests: Iterable[tuple[Any, ...]]) -> list[Exchange]:
        """Blocking twin of `co_send_requests`."""
        return run(self.co_send_requests(requests))

    @twin_of(Operations.co_websocket)
    def websocket(
        self,
        path: str = "/",
        headers: Fields | None = None,
        **options: Unpack[WebSocketArguments],
    ) -> WebSocket:
        """Blocking twin of `co_websocket`."""
        return run(self.co_websocket(path, headers, **options))

    @twin_of(Operations.co_send)
    def send(self, request: Request) -> Exchange:
        """Blocking twin of `co_send`."""
        return run(self.co_send(request))

    @twin_of(Operations.co_write)
    def write(self, buf: Buffer) -> None:
        """Blocking twin of `co_write`."""
        sender = self._session.sender
        finish(sender.begin(sender.write, as_bytes(buf)))

    @twin_of(Operations.co_finish)
    def finish(self, trailers: Fields | None = None) -> None:
        """Blocking twin of `co_finish`."""
        sender = self._session.sender
        finish(sender.begin(sender.finish, trailer_lines(sender, trailers)))

    @twin_of(Operations.co_read_response)
    def read_response(self) -> HTTPResponse:
        """Blocking twin of `co_read_response`.

        If the response is not here, and this is the thread that has to complete the body of its
        request, it is `StateError`: the server would wait for the body, and we for the server.
        That is the thread that has sent the head, or was the last one to write.
        """
        session = self._session
        sender, receiver = session.sender, session.receiver
        if sender.is_writing():  # only here: in a generator somebody else may write meanwhile
            return run(unless(sender.check_not_owed, self.co_read_response()))
        if receiver.continue_timeout is not None:
            return run(self.co_read_response())
        try:
            return receiver.block(receiver.read_response, None, receiver.begin_wait)
        except SessionReplaced:
            return self.read_response()

    @twin_of(Operations.co_next_response)
    def next_response(self) -> HTTPResponse | None:
        """Blocking twin of `co_next_response`."""
        return self.read_response() if self.response_pending() else None

    def responses(self) -> Iterator[HTTPResponse]:
        """Iterate over the responses while any is pending; see `co_next_response`."""
        return iter(self.next_response, None)

    @twin_of(Operations.co_read)
    def read(self, len_: int | None = None) -> bytes:
        """Blocking twin of `co_read`."""
        # io.TextIOWrapper asks for -1 bytes and means all.
        if len_ is None or (type(len_) is int and len_ < 0):
            return self.readall()
        receiver, size = self._session.receiver, check_size(len_)
        bodies = receiver.bodies
        return receiver.block(bodies.read if size < LOW_WATER else bodies.read_patiently, size)

    @twin_of(Operations.co_readinto)
    def readinto(self, buf: bytearray | memoryview) -> int:
        """Blocking twin of `co_readinto`."""
        receiver, view = self._session.receiver, as_writable(buf)
        bodies = receiver.bodies
        return receiver.block(
            bodies.readinto if len(view) < LOW_WATER else bodies.readinto_patiently, view
        )

    @twin_of(Operations.co_readall)
    def readall(self) -> bytes:
        """Blocking twin of `co_readall`."""
        receiver = self._session.receiver
        return receiver.block(receiver.bodies.readall, None)

    @twin_of(Operations.co_discard)
    def discard(self) -> None:
        """Blocking twin of `co_discard`."""
        receiver = self._session.receiver
        receiver.block(receiver.bodies.discard, None)

    @twin_of(Operations.co_read_raw)
    def read_raw(self, size: int) -> bytes:
        """Blocking twin of `co_read_raw`."""
        receiver = self._session.receiver
        return receiver.block(receiver.read_raw, check_size(size))

    @twin_of(Operations.co_sendfile)
    def sendfile(self, file: BinaryIO, offset: int = 0, count: int | None = None) -> int:
        """Blocking twin of `co_sendfile`."""
        return run(self.co_sendfile(file, offset, count))

    @twin_of(Operations.co_recv_to_file)
    def recv_to_file(self, file: BinaryIO) -> int:
        """Blocking twin of `co_recv_to_file`."""
        return run(self.co_recv_to_file(file))

    @twin_of(Operations.co_exchange)
    def exchange(  # noqa: C901, PLR0912 - the shortest way: each call would count
        self, method: str, path: str, headers: Fields | None = None, body: Any = None
    ) -> Reply:
        """Blocking twin of `co_exchange`."""
        head = whole = is_special = None
        if body is None and (headers is None or isinstance(headers, FieldLines)):
            head = self._messages.known.get((method, path, headers))
        if head is not None:
            exchange = Exchange(method, path)
        else:
            exchange, head, whole = self._messages.whole(method, path, headers, body)
            is_special = isinstance(whole, Request) or exchange.upgrades or exchange.closes
        exchanges = self._exchanges
        session = self._session
        shared = session.shared
        if not shared.direct or exchanges.thread:
            if whole is None and session.concurrent and session.limits.total is None:
                return self._exchange_alone(session, exchange, head)
            self._check_not_driven(exchange)
            return run(self._co_exchange_in_time(exchange, head, whole))
        try:
            with exchanges.lock:  # which Ctrl-C at any point gives back
                if is_special:
                    return run(self._co_exchange_by_halves(session, exchange, head, whole, False))
                begun = session.begin(exchange, head, whole)  # type: ignore[arg-type]  # no Request
                if begun is not True:
                    return run(self._co_exchange_by_halves(session, exchange, head, whole, begun))
                try:
                    if (limit := shared.head_limit) is not None:
                        exchange.head_until = monotonic() + limit
                    stream = shared.stream
                    if stream is not None and not stream.wait_to_recv(shared.head_timeout):
                        raise session.receiver.nothing_arrived()
                    reply = session.finish(exchange)
                    while reply is None and session.awaits_rest(exchange):
                        session.wait_for_rest()
                        reply = session.finish(exchange)
                    return reply or run(session.co_reply(exchange))
                except BaseException as exc:
                    session.receiver.note(exc)
                    raise
                finally:
                    shared.reading.release()  # as `Session.leave` does, which is a call
                    shared.sending.release()
                    shared.exchanging = None
                    if (
                        shared.reader_waits is not None
                        or shared.left is not None
                        or shared.turn_waits
                    ):
                        session.wake_others()
        finally:
            if exchanges.waiting:
                try:
                    exchanges.hand_on()
                except BaseException:  # Ctrl-C came before it had
                    exchanges.hand_on()
                    raise

    def _exchange_alone(self, session: Session, exchange: Exchange, head: bytes) -> Reply:
        """Do an exchange over HTTP/2, in the shortest way if no others are under way."""
        alone = session.alone(exchange, head)
        if alone is None:
            return run(self._co_exchange_beside(exchange, head, None))
        try:
            if alone.begin():
                if alone.waits:
                    alone.wait()
                    if (reply := alone.finish()) is not None:
                        return reply
                return run(self._co_exchange_beside(exchange, head, None, alone))
        except BaseException as exc:
            alone.failed(exc)
            raise
        finally:
            alone.end()
        return run(self._co_exchange_beside(exchange, head, None))

    @twin_of(Operations.co_exchange_all)
    def exchange_all(
        self, requests: Iterable[tuple[Any, ...]], replies: list[Reply] | None = None
    ) -> list[Reply]:
        """Blocking twin of `co_exchange_all`."""
        self._check_not_driven()
        return run(self._co_exchange_all(requests, replies, gathers=True))

    def _check_not_driven(self, exchange: Exchange | None = None) -> None:
        """Check that this thread does not drive the exchange that would be waited for.

        Raises:
            StateError: an operation or task of this thread has begun it, and is suspended.

        """
        if self._exchanges.thread == get_ident():
            what = "another exchange of this connection is under way in this thread: await, or run"
            error = StateError(f"{what} as an operation, what is to follow it")
            raise self._session.shared.labelled(error, exchange)

    @twin_of(Operations.co_ping)
    def ping(self) -> float:
        """Blocking twin of `co_ping`."""
        return run(self.co_ping())

    @twin_of(Operations.co_serve)
    def serve(self) -> None:
        """Blocking twin of `co_serve`."""
        run(self.co_serve())

    @twin_of(Operations.co_wait_closed)
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
        from .queue import Queue  # noqa: PLC0415 - concurrent.futures costs 10 ms

        if self._queue is None:
            self._queue = Queue()
        return HTTPStream(self, self._queue, request, on_response, on_body, on_done)

    @property
    def shutdown_future(self) -> Future[None]:
        """A `concurrent.futures.Future` that is done when the connection has ended.

        It has the result None, or the exception that is the `close_reason`; see
        `co_wait_closed`. When the connection is opened again there is a new one.
        """
        from concurrent.futures import Future  # noqa: PLC0415 - it costs 10 ms

        session = self._session
        if self._shutdown is None or self._shutdown[1] is not session:
            future: Future[None] = Future()
            future.set_running_or_notify_cancel()  # nobody can cancel it
            shared = session.shared

            def finish() -> None:
                if shared.reason is None:
                    future.set_result(None)
                else:
                    future.set_exception(shared.reason)

            self._shutdown = future, session
            shared.when_ended(finish)
        return self._shutdown[0]

    def disconnect(self) -> None:
        """Close the connection at once. Responses that are pending are lost.

        The connection can be used again: it reconnects. May be called in any state;
        an operation that waits in another thread raises `ConnectionClosed`. So does every
        stream that is active; those under way do so in whoever drives them, and the
        last one closes the connection.
        """
        if self._queue is not None and self._queue.end():
            cancel_users(self._session)
            self._close_former()
        else:
            super().disconnect()

    def co_close(self) -> Co[None]:
        """Close the connection; over TLS close_notify is sent if that does not block.

        Streams that are active end with `ConnectionClosed`, and are waited for. Raises
        nothing; may be called in any state, but not by an operation that drives a stream.
        The connection can be used again, but does not resume its TLS session, unless that is
        in a `TLSSessions` of the caller's.
        """
        shared = self._session.shared  # not one that another thread begins meanwhile
        forgo_tls_session(self._session)
        self.disconnect()
        yield from shared.co_wait_ended()

    def close(self) -> None:
        """Close the connection, as `co_close` does, but wait for nobody."""
        if self._config.route.has_tls:
            forgo_tls_session(self._session)
        self.disconnect()

    def __repr__(self) -> str:
        """Return the origin, the state, and how many responses are pending."""
        return f"<{type(self).__name__} {self._session!r}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __aenter__(self) -> NoReturn:
        raise TypeError("'async with' goes with async_connect(…), which has the same arguments")

    __aexit__ = __aenter__  # looked up before that, and never called

    def __del__(self) -> None:
        if not hasattr(self, "_session"):  # it was not even made
            return
        if self._session.shared.stream is not None:
            abort(self._session)
        if self._former:
            self._close_former()

    # ---- settings

    @property
    def hostname(self) -> str:
        """Name or address of the server, as given."""
        return self._config.hostname

    @property
    def host(self) -> str:
        """Another name of `hostname`, that of `URL` and `Proxy`."""
        return self._config.hostname

    @property
    def port(self) -> int:
        """Port of the server."""
        return self._config.route.port

    @property
    def ssl_context(self) -> SSLContext | None:
        """Context for https, or None: the same as long as the object lives."""
        return self._config.route.ssl_context

    @property
    def proxy(self) -> Proxy | tuple[str, int] | None:
        """The `Proxy`, or None; host and port if it was given as such, or as ``http://host:port``."""
        proxy = self._config.proxy
        if proxy is None or self._config.proxy_given:
            return proxy
        is_pair = proxy.scheme == "http" and proxy.auth is None
        return (proxy.host, proxy.port) if is_pair else proxy

    @property
    def http_version(self) -> str:
        """Version of HTTP that requests have: ``"1.1"`` or ``"1.0"``."""
        return f"1.{self._config.heads.minor}"

    @property
    def timeout(self) -> float | Timeouts | None:
        """Seconds that may pass without anything moving, or `Timeouts`; None waits for ever.

        Holds under every driver. `ConnectionTimedOut` is raised when it is exceeded.
        """
        return self._timeout

    @timeout.setter
    def timeout(self, timeout: float | Timeouts | None) -> None:
        """Set the limits of all waits from now on to *timeout*: seconds, `Timeouts`, or None.

        Raises:
            InvalidOption, TypeError: *timeout* is no time limit.

        """
        self._session.limit(timeout, self._expect100_timeout)
        self._timeout = timeout
        self._messages.new_exchange = kind_of_exchange(timeout)

    # ---- facts about the connection; while there is none everything is None

    def _tls(self) -> TLSInfo:
        from .tls_info import tls_info  # noqa: PLC0415 - for programs that ask

        return tls_info(self._session.shared)

    def get_ssl_peercert(self, binary_form: bool = False) -> Any:
        """Return the server's certificate.

        Args:
            binary_form: True for the DER bytes, False for a dict as
                `ssl.SSLSocket.getpeercert` describes, which is empty if the context does not
                verify certificates.

        Returns:
            The certificate; None over plain HTTP and while not connected.

        """
        return self._tls().peercert(binary_form)

    def get_ssl_cipher(self) -> tuple[str, str, int] | None:
        """Return name, protocol and secret bits of the cipher; None as in `get_ssl_peercert`."""
        return self._tls().cipher

    @property
    def cipher(self) -> tuple[str, str, int] | None:
        """Another name for `get_ssl_cipher`."""
        return self.get_ssl_cipher()

    @property
    def peercert(self) -> Any:
        """The certificate as `get_ssl_peercert` returns it: a dict."""
        return self.get_ssl_peercert()

    @property
    def tls_version(self) -> str | None:
        """``"TLSv1.2"`` or ``"TLSv1.3"``."""
        return self._tls().version

    @property
    def alpn(self) -> str | None:
        """The protocol that was chosen (RFC 7301), such as ``"http/1.1"``; None if none was."""
        return self._tls().alpn

    @property
    def session_reused(self) -> bool | None:
        """True if the session of an earlier connection was resumed, which is quicker."""
        return self._tls().session_reused

    def get_extra_info(self, name: str) -> Any:
        """Return a fact about the connection below HTTP.

        Args:
            name: one of those of `NetworkStream.get_extra_info`. Through a proxy the addresses
                are those of the connection to it. Or ``"timings"``: the `Timings` of the
                response whose head was read last, also if the connection is closed by now;
                None unless ``HTTPConnection(timings=True)`` asked.

        Returns:
            The fact; None if there is none, and while not connected.

        """
        from .tls_info import extra_info  # noqa: PLC0415 - for programs that ask

        return extra_info(self._session.shared, name)

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


def _explainer() -> Explainer:
    from . import reasons  # noqa: PLC0415 - for programs that ask what they wait for

    return reasons


explainers.append(_explainer)


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
