"""The operations that users run, each a generator that yields `PollNeeded`.

The arguments of the caller are checked here and put into the terms of the present session; how it
sends and receives is its business.

Not here: the arguments of the connection (config.py), what a head says of its body
(body_fields.py), the blocking twins and the file-like face (connection.py).
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import ExitStack
from functools import partial
from threading import get_ident
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TypeVar, Unpack, cast
from weakref import ref

from ..errors import (
    AnsweredEarly,
    DugongError,
    GoneAway,
    InvalidOption,
    InvalidRequest,
    StateError,
)
from ..http.arguments import Buffer, as_bytes, as_writable, check_size
from ..http.headers import Fields
from ..http.redaction import mask_target, quoted
from ..http.request import BodyFollowing, Request, is_whole, not_a_request
from ..http.request import Source as BodySource
from ..polling.contract import Co, PollNeeded
from ..polling.fair_lock import FairLock
from ..polling.holding import NOT_BLOCKING
from ..polling.timeouts import Timeouts, limited
from ..transport import exclusive
from .body_writer import trailer_lines
from .cancelling import cancel, close
from .config import LEAST_STATUS, ConnectionConfig
from .exchange import Exchange, HTTPResponse, Reply
from .h1.session import Session as SessionOne
from .h1.session import begin_to_wait
from .request_messages import RequestMessages
from .states import Retired, SessionReplaced

if TYPE_CHECKING:
    from ..http.h2.options import H2Settings
    from ..http.websocket.options import WebSocketArguments, WebSocketOptions
    from ..transport.stream import Part, Stream
    from .session import Alone, Session, Whole
    from .shared import SharedState
    from .websocket import WebSocket

T = TypeVar("T")
BESIDE: Final = 64  # exchanges of one batch at a time, where they need not wait for each other
Wait = Callable[[PollNeeded], Awaitable[None]]  # waits in a coroutine
Run = Callable[[Co[Reply]], Awaitable[Reply]]  # runs an operation there
# Connections in a row that a server may end without having processed a request. One that does so
# with more of them would go on for ever, and fast.
MOST_TURNED_AWAY: Final = 10


class Operations:
    """One connection to one server: the operations and what belongs to them.

    `HTTPConnection` is this class with blocking twins.

    Args:
        config: of the connection.
        content_md5: see `HTTPConnection`.
        session: the first one; made if it is None.

    Attributes:
        renewals: how often a new connection has taken the place of the one before.

    """

    __slots__ = (
        *("_config", "_exchanges", "_expect100_timeout", "_messages", "_session", "_timeout"),
        *("_former", "_turned_away", "renewals"),
    )

    def __init__(
        self,
        config: ConnectionConfig,
        content_md5: bool | None,
        session: Session | None = None,
    ) -> None:
        self._config = config
        self._messages = RequestMessages(config, content_md5)
        self._timeout = config.timeout
        self._expect100_timeout = config.expect100_timeout
        self.renewals = 0
        self._turned_away = 0  # connections in a row that ended before they were of any use
        self._former: tuple[ref[SharedState], ...] = ()  # of replaced sessions; some may be in use
        self._exchanges = FairLock()  # of `exchange`: one after the other
        if session is not None:
            self._session: Session = session
            return
        self._session = (
            self._http2_session()
            if config.prefers_h2
            else SessionOne(config, config.timeout, config.expect100_timeout)
        )
        self._session.shared.exchanges = self._exchanges

    _timeout: float | Timeouts | None

    @property
    def content_md5(self) -> bool | None:
        """Whether Content-MD5 is added to bodies, as given to `HTTPConnection`; may be set."""
        return self._messages.content_md5

    @content_md5.setter
    def content_md5(self, content_md5: bool | None) -> None:
        """Set it for the requests that are sent from now on."""
        self._messages.content_md5 = content_md5

    def label_error(self, exc: BaseException, method: str, path: str) -> None:
        """Say in *exc* that it is about a request of this connection; see `RequestMessages`."""
        self._messages.label_error(exc, method, path)

    # ---- sessions

    def _renew(self, old: Session, error: GoneAway | None = None) -> None:
        """Have a new session take the place of *old*, which takes no further request.

        Args:
            old: as far as is known the present one.
            error: the error of a request that it has not processed.

        Raises:
            DugongError: the server has ended too many in a row without having processed a request.
                It is *error* if that is given. The next call begins to count again.

        """
        with exclusive.changing:
            if self._session is not old:
                return  # another thread did that
            turned_away = old.shared.turned_away()
            self._turned_away = 0 if turned_away is None else self._turned_away + 1
            if turned_away is not None and self._turned_away > MOST_TURNED_AWAY:
                self._turned_away = 0
                raise old.shared.labelled(turned_away) if error is None else error
            stream = old.take_stream()
            new = self._next_session(old, stream)
            new.shared.timings = old.shared.timings
            new.shared.exchanges = self._exchanges
            if not old.shared.lost and (left := old.receiver.bodies.left()) is not None:
                new.receiver.bodies.take_over(left)
            self._former = (*filter(_is_open, self._former), ref(old.shared))
            self._session = new
            self.renewals += stream is None
        old.replaced()

    def _next_session(self, old: Session, stream: Stream | None) -> Session:
        """Return the session that follows *old*.

        Args:
            old: the present one.
            stream: what it has connected to a server that has chosen HTTP/1.1, or None.

        """
        if old.concurrent and stream is None:
            return self._http2_session()
        new = SessionOne(self._config, self._timeout, self._expect100_timeout)
        if stream is not None:
            new.shared.take(stream)
        return new

    def _http2_session(self) -> Session:
        from .h2.session import Session as SessionTwo  # noqa: PLC0415 - for those who want HTTP/2

        return SessionTwo(self._config, self._timeout, self._expect100_timeout)

    def _begin_connecting(self) -> Co[None] | None:
        while True:
            session = self._session
            try:
                going = session.sender.begin(session.sender.connect)
            except Retired:
                self._renew(session)
                continue
            if going is None or not session.concurrent:
                return going
            return self._co_moving(session, going, self._begin_connecting)

    def _begin_request(
        self,
        exchange: Exchange,
        head: bytes,
        body: Part | BodyFollowing | None,
        before: Sequence[Whole] = (),
        *,
        is_operation: bool = True,
    ) -> Co[None] | None:
        """Send a request on the present session, or the next one; see `Sender.request`."""
        while True:
            session = self._session
            sender = session.sender
            try:
                going = sender.request(exchange, head, body, before, is_operation=is_operation)
            except Retired:
                self._renew(session)
                continue
            if going is None or not session.concurrent:
                return going
            again = partial(
                self._begin_request, exchange, head, body, before, is_operation=is_operation
            )
            return self._co_moving(session, going, again)

    def _co_moving(
        self, session: Session, going: Co[None], again: Callable[[], Co[None] | None]
    ) -> Co[None]:
        """Do *going* on *session*; if that does not take it, do it *again* on the next one."""
        settle = None
        try:
            yield from going
            return
        except Retired as exc:
            settle = exc.settle
        try:
            self._renew(session)
            moved = again()
        finally:
            if settle is not None:
                settle()
        if moved is not None:
            yield from moved

    def beside(self, make: Callable[[ConnectionConfig, Session], T]) -> T:
        """Return what *make* makes of configuration and session: a second user of the session."""
        return make(self._config, self._session)

    def disconnect(self) -> None:
        """Close the connection at once. Responses that are pending are lost.

        The connection can be used again: it reconnects. May be called in any state;
        an operation that waits in another thread raises `ConnectionClosed`.
        """
        try:
            close(self._session)
        finally:
            if self._former:
                self._close_former()

    def _close_former(self) -> None:
        """Close the sessions that were replaced while something was under way there."""
        with ExitStack() as closing:  # all of them, whatever an observer raises
            for each in filter(_is_open, self._former):
                if (shared := each()) is not None:
                    closing.callback(cancel, shared, lost=True)

    def reset(self) -> None:
        """Make the connection usable again after an error: another name for `disconnect`."""
        self.disconnect()

    # ---- requests and responses

    def response_pending(self) -> bool:
        """Return True if a response is outstanding, or partly read."""
        return self._session.has_pending()

    @property
    def body_owed(self) -> float | None:
        """Bytes of the present request body that have not been written yet (an `int`).

        None if there are none: no body is being written, it is complete, or the server has
        answered without it. `math.inf` for a chunked body until `finish` is called. As long as it
        is not None the connection takes no other request over HTTP/1.1, so it should not go back to
        a pool. It is about the request that was sent last; see `Exchange.body_owed`.
        """
        return self._session.sender.owed

    @property
    def _out_remaining(self) -> float | None:
        """`body_owed`, under the name that S3QL asks python-dugong for: true if any are."""
        return self._session.sender.owed

    def co_connect(self) -> Co[None]:
        """Connect, unless there is a connection that takes a request.

        Needed only to have it done early; `co_send_request` connects by itself.

        Raises:
            HostnameNotResolvable, DNSUnavailable, ConnectFailed: there is no way to the host.
            HandshakeFailed, CertificateInvalid: TLS with it is not possible.
            TunnelRefused, InvalidResponse: the proxy said no, or what is not HTTP/1.
            ConnectionTimedOut: `timeout` was exceeded.
            ConnectionClosed: the connection is broken, or takes no further request while
                responses are pending.
            StateError: another operation is sending.

        """
        going = self._begin_connecting()
        if going is not None:
            yield from going

    def co_send_request(
        self,
        method: str,
        path: str,
        headers: Fields | None = None,
        body: Buffer | BodyFollowing | None = None,
        expect100: bool = False,
    ) -> Co[Exchange]:
        """Send a request, or its head if the body is to follow.

        Any number of requests may be sent before their responses are read. Connects if
        there is no connection, or none that can be used again.

        Args:
            method: request method, such as ``"GET"``.
            path: request target: path and query, percent-encoded; ``"*"`` with OPTIONS;
                ``"host:port"`` with CONNECT, to a proxy that is given as *hostname*; or a
                `Target`, whose host and port have to be those of Host. None of them changes
                where the connection leads to.
            headers: a mapping of names to values, or any iterable of pairs, such as `Headers`.
                Each item or pair is sent as one field, in this order, and never changed; one that
                may be there only once, such as Host, is refused if it comes twice. Names and
                values are str, sent as Latin-1, or bytes. Host, Accept-Encoding and Connection
                win over the defaults; Content-Length and Transfer-Encoding follow from the body
                and are refused. The options that TE and Upgrade need are added to Connection (RFC
                9110 sections 7.8 and 10.1.4). After ``Connection: close`` the next request gets a
                new connection.
            body: the body as bytes-like object, or `BodyFollowing`, or None for none.
                With bytes a Content-MD5 is added unless *content_md5* of the connection is
                False or *headers* have one. CONNECT and TRACE have no body.
            expect100: True to have the body wait until the server asks for it (RFC 9110
                section 10.1.1): call `co_read_response` before writing. Goes with
                `BodyFollowing` only; nothing is waited for if the length is 0.

        Returns:
            The exchange; its response is the next one that is not yet taken by others.

        Raises:
            InvalidRequest: something cannot be sent as it is, or a field says what no client
                may say; nothing was sent.
            TypeError: an argument has the wrong type; nothing was sent.
            StateError: over HTTP/1.1 the body of the last request is not complete, or it was
                CONNECT or had an Upgrade field and its response has not been read, or another
                operation is sending.
            ConnectionClosed: the connection was lost or is broken.
            AnsweredEarly: see `co_write`.
            ConnectionTimedOut: nothing arrived, or could be sent, for `timeout` seconds.
            DugongError: what `co_connect` raises.

        """
        exchange, head, whole = self._messages.build(method, path, headers, body, expect100)
        going = self._begin_request(exchange, head, whole)
        if going is not None:
            yield from going
        return exchange

    def co_websocket(
        self,
        path: str = "/",
        headers: Fields | None = None,
        **options: Unpack[WebSocketArguments],
    ) -> Co[WebSocket]:
        """Open a WebSocket (RFC 6455).

        Over HTTP/1.1 it takes the stream from this connection, and the next request opens a new
        one. Over HTTP/2 it is one of the streams (RFC 8441), and other requests go on beside it.

        Args:
            path: request target, as of `co_send_request`.
            headers: fields of the request, such as Origin; none of those of the handshake.
            options: *subprotocols*, *deflate*, *max_message*, *max_fragment*, *ping_interval*,
                *ping_timeout* and *close_timeout*: see `WebSocketOptions`.

        Returns:
            The open WebSocket. *timeout* of the connection limits the handshake, and how long
            nothing can be sent afterwards.

        Raises:
            WebSocketRefused: the server opens none; it has the response, with its body unless that
                is larger than 64 KiB.
            InvalidRequest, InvalidOption, TypeError: an argument is invalid, or the server takes no
                WebSocket over HTTP/2; nothing was sent.
            ModuleNotFoundError: the library `websockets` is not installed.
            DugongError: what `co_send_request` and `co_read_response` raise.

        """
        from ..http.websocket import options as of_websocket  # noqa: PLC0415 - open one
        from ..http.websocket.handshake import check_installed  # noqa: PLC0415 - for those who

        chosen = of_websocket.WebSocketOptions(**options)
        config = self._config
        if config.proxy is not None and config.proxy.forwards(
            config.hostname, https=config.route.ssl_context is not None
        ):
            raise InvalidOption("a WebSocket needs a tunnel: proxy=Proxy(url, mode='tunnel')")
        check_installed()
        url = f"{self._config.route.origin}{mask_target(str(path))}"
        return self._co_websocket(path, headers, chosen, url)

    def _co_websocket(
        self, path: str, headers: Fields | None, options: WebSocketOptions, url: str
    ) -> Co[WebSocket]:
        from .websocket_opening import co_connect, co_open  # noqa: PLC0415 - it needs the library

        while self._session.concurrent:
            yield from self.co_connect()
            session = self._session
            if not session.concurrent:  # the server has chosen HTTP/1.1
                break
            exchange = self._messages.new_exchange("CONNECT", path)
            try:
                heads = self._messages.heads
                return (yield from co_connect(session, exchange, heads, headers, options, url))
            except Retired:
                self._renew(session)
            except InvalidRequest as exc:
                self._messages.label_error(exc, "CONNECT", path)
                raise
        return (yield from co_open(self, path, headers, options, url))

    def co_send_requests(self, requests: Iterable[tuple[Any, ...]]) -> Co[list[Exchange]]:
        """Send several requests together: with one system call, if the system takes that much.

        Somebody has to read meanwhile if the requests or the responses are more than the buffers
        of the system hold; see `Pipeline` for what does that, and repeats what was lost.

        Args:
            requests: for each the arguments that `co_send_request` takes by position:
                ``(method, path)``, ``(method, path, headers)`` or ``(method, path, headers,
                body)``, the body bytes-like or None. All are checked before the first is sent.
                Only the last may be CONNECT or have an Upgrade field or ``Connection: close``.

        Returns:
            The exchanges, in the same order; an empty list for no requests.

        Raises:
            InvalidRequest: one of them cannot be sent as it is, or another one than the last
                would let no request follow; nothing was sent.
            TypeError: an argument has the wrong type, or a body is `BodyFollowing`; nothing
                was sent.
            DugongError: what `co_send_request` raises. How many were sent is not known then.

        """
        batch = yield from self._messages.co_batch(requests, with_md5=True)
        if batch:
            *before, (exchange, head, body) = batch
            going = self._begin_request(exchange, head, body, before)
            if going is not None:
                yield from going
        return [exchange for exchange, _, _ in batch]

    def co_write(self, buf: Buffer) -> Co[None]:
        """Write body data of the request that announced `BodyFollowing`, and was sent last.

        `Exchange.co_write` writes those of its own request.

        Args:
            buf: bytes-like object of any length. With a known length the body is complete when
                that much has been written; a chunked one is ended by `co_finish`. No bytes change
                nothing, also when the body is complete, or the request has none.

        Raises:
            ExcessBodyData: it is more than was announced; nothing of it was sent, and the
                connection is broken.
            TypeError: *buf* is not bytes-like.
            StateError: no body is to be written, or it has to wait for 100 (Continue),
                or another operation is sending.
            AnsweredEarly: the server has answered before it had the whole request. That is
                found out also where the connection was lost behind the answer. The error has the
                response; `co_read_response` returns it, and its body can be read. If another
                operation reads at that moment it gets the response, and this error follows as soon
                as it has the head. Where the connection is lost before that, or responses to
                earlier requests are still to be read, it is the plain ConnectionClosed.
            ConnectionClosed: the connection was lost.
            InvalidResponse: what the server sent meanwhile is no response.
            ConnectionTimedOut: nothing could be sent for `timeout` seconds.

        """
        sender = self._session.sender
        going = sender.begin(sender.write, as_bytes(buf))
        if going is not None:
            yield from going

    def co_finish(self, trailers: Fields | None = None) -> Co[None]:
        """End a chunked body (RFC 9112 section 7.1); does nothing if it is complete already.

        Args:
            trailers: fields of the trailer section, a mapping or pairs; none that say how to
                deliver or understand the message, such as Host (RFC 9110 section 6.5.1).

        Raises:
            InvalidRequest: *trailers* cannot be sent as they are.
            TypeError: *trailers* are not names and values.
            StateError: no chunked body is being written, or a body of known length is
                not complete, which breaks the connection.
            AnsweredEarly, ConnectionClosed, InvalidResponse, ConnectionTimedOut: see `co_write`.

        """
        sender = self._session.sender
        going = sender.begin(sender.finish, trailer_lines(sender, trailers))
        if going is not None:
            yield from going

    def co_read_response(self) -> Co[HTTPResponse]:
        """Read status and header fields of the next response.

        The response to a request with ``expect100`` is read in two steps: first the 100
        (Continue), which says that the body may be written, then the final response.
        If the first is not a 100 it is the final response, and the body is not wanted.
        Other informational responses are passed by; they are in
        `HTTPResponse.informational`.

        Returns:
            The response; its body has to be read before the next one.

        Raises:
            StateError: no response is pending and no request is being sent, the last body has
                not been read to its end, or another operation is reading.
            InvalidResponse: it is not HTTP/1, or its framing makes no sense.
            UnsupportedResponse: a response before it was abandoned, and has an unknown
                transfer coding.
            ConnectionClosed: the connection ended before the response.
            ConnectionTimedOut: nothing arrived for `timeout` seconds; the next call
                goes on waiting.
            ContinueTimedOut: no 100 (Continue) for `expect100_timeout` seconds: the body
                may be written now.

        """
        while True:
            session = self._session
            try:
                return (yield from session.receiver.co_read_response())
            except SessionReplaced:
                if self._session is session:
                    raise

    def co_read(self, len_: int | None = None) -> Co[bytes]:
        """Read body data.

        Args:
            len_: bytes to return at most; None for the whole rest.

        Returns:
            At least one byte, perhaps fewer than *len_*; ``b""`` only at the end of the
            body (or if *len_* is 0).

        Raises:
            ValueError: *len_* is negative.
            TypeError: *len_* is not an int.
            StateError: no response has been read, or another operation is reading.
            ConnectionClosed: the connection ended inside the body, or is broken.
            InvalidResponse: the framing of the body is wrong.
            UnsupportedResponse: the body has an unknown transfer coding.
            ConnectionTimedOut: nothing arrived for `timeout` seconds; the next call
                goes on where this one stood.

        """
        if len_ is None:
            return self.co_readall()
        return self._session.receiver.co(self._session.receiver.bodies.read, check_size(len_))

    def co_readinto(self, buf: bytearray | memoryview) -> Co[int]:
        """Read body data into *buf*, a writable bytes-like object.

        Returns:
            How many bytes were read; 0 only at the end of the body (or if *buf* is empty).

        Raises:
            TypeError: *buf* is not writable or not bytes-like.
            DugongError: what `co_read` raises.

        """
        return self._session.receiver.co(self._session.receiver.bodies.readinto, as_writable(buf))

    def co_readall(self) -> Co[bytes]:
        """Read the rest of the body. Interrupted, it loses nothing: the data is read again.

        Raises:
            DugongError: what `co_read` raises. Bytes that have arrived can still be read.

        """
        return self._session.receiver.co(self._session.receiver.bodies.readall, None)

    def co_discard(self) -> Co[None]:
        """Read the rest of the body and throw it away.

        Raises:
            DugongError: what `co_read` raises.

        """
        yield from self._session.receiver.co(self._session.receiver.bodies.discard, None)

    def co_read_raw(self, size: int) -> Co[bytes]:
        """Read what the server sent as it is, to see what went wrong.

        Works on a broken connection, and ends the use of any other: what is pending
        cannot be read in another way any more.

        Args:
            size: bytes to return at most.

        Returns:
            At least one byte; ``b""`` if the server closed the connection.

        Raises:
            StateError: not connected, or another operation is reading.
            TypeError: *size* is not an int.
            ValueError: *size* is negative.
            ConnectionClosed: the connection was lost.
            ConnectionTimedOut: nothing arrived for `timeout` seconds.

        """
        return self._session.receiver.co(self._session.receiver.read_raw, check_size(size, "size"))

    # ---- files

    def co_sendfile(self, file: BinaryIO, offset: int = 0, count: int | None = None) -> Co[int]:
        """Write body data from a file, as `co_write` does.

        Over plain TCP a regular file opened with `open` is sent by the system (on Linux), else
        it is read in pieces. Reading it may block the thread; one that is non-blocking, and
        has a descriptor, is waited for. That has no time limit but `Timeouts.total`: the
        others are about the server, which is not to blame; see `stall`. The position of
        *file* plays no part, and is afterwards what it was; only one that has no positions, such
        as a pipe, is read from where it is. With a body in chunks, `co_finish` has to follow.

        Args:
            file: a binary file. Nobody else may use it meanwhile, unless it is a regular file.
            offset: bytes at its beginning to leave out.
            count: bytes to send; None for all to its end.

        Returns:
            How many bytes were sent.

        Raises:
            ExcessBodyData: it is more than was announced; nothing of it was sent or, if the
                size of *file* cannot be known, not more than was announced. The connection is
                broken.
            FileTooShort: *file* has fewer bytes. If it had them at the beginning the connection
                is broken, else nothing was sent.
            TypeError: *file* is no binary file, or a number no number.
            ValueError: a number is negative, or *file* is closed, or has no positions and
                *offset* is not 0.
            StreamNotReady: *file* has nothing now, and cannot be waited for.
            StateError: *file* gives other bytes than its positions count.
            OSError: *file* cannot be read. After these three, if it could be read at the
                beginning, the connection is broken, else nothing was sent.
            DugongError: what `co_write` raises.

        """
        from .file_transfer import co_send_file  # noqa: PLC0415 - 2 ms, for files

        return (yield from co_send_file(self._session.sender, file, offset, count))

    def co_recv_to_file(self, file: BinaryIO) -> Co[int]:
        """Read the rest of the body into a file, from the present position of the file.

        Over plain TCP the system moves the bytes into a regular file opened with `open` (on
        Linux). Writing it may block the thread; a file that is non-blocking, and has a
        descriptor, is waited for. That has no time limit but `Timeouts.total`: the others are
        about the server, which is not to blame if a player pauses; see `stall`. Interrupted,
        by a time limit, too, it loses nothing: what
        had arrived is in *file*, and the next call goes on where this one stood.

        Args:
            file: a binary file. A regular one is flushed at the beginning; none is at the end.

        Returns:
            How many bytes were written.

        Raises:
            TypeError: *file* is no binary file; nothing was read.
            OSError, ValueError: *file* cannot be written, or is closed. Bytes that have arrived and
                were not written will be returned by the next call that reads: the connection
                is all right. So it is after any other exception from the ``write`` of *file*.
            StreamNotReady: it is one of these, *file* takes nothing now and cannot be waited
                for; ``characters_written`` says how many bytes of the body it has taken.
            DugongError: what `co_read` raises. Bytes that have arrived are in *file*.

        """
        from .files import Sink  # noqa: PLC0415 - 2 ms, for files

        sink = Sink(file)
        try:
            yield from self._session.receiver.co_save(sink)
        finally:
            sink.settle()
        if sink.failure is not None:
            if isinstance(sink.failure, DugongError):
                sink.failure.request_sent = "yes"  # it was answered
            raise sink.failure
        return sink.written

    # ---- a request and its whole response

    def co_exchange(
        self,
        method: str,
        path: str,
        headers: Fields | None = None,
        body: Any = None,
    ) -> Co[Reply]:
        """Send a request and read its whole response.

        Several threads, tasks or operations may do that on one connection: they take turns, in
        the order in which they came, and each gets its own response. Interrupted at any point, it
        leaves a connection that the next one can use: a response that nobody has read is skipped.
        A connection that an interruption or an error has broken is made anew.

        Args:
            method: see `co_send_request`.
            path: see `co_send_request`.
            headers: see `co_send_request`.
            body: the body: bytes-like, or anything else that a `Request` takes, except
                `BodyFollowing`; None for none. No Content-MD5 is added unless the connection was
                made with ``content_md5=True``.

        Returns:
            The response with its body, also if the server has answered before it had the whole
            request. The body is in memory: `Budget.max_body` limits it.

        Raises:
            InvalidRequest, TypeError: see `co_send_request`; nothing was sent.
            StateError: responses of `send_request` are still to be read, or another operation is
                sending or reading; of the blocking twin also that an exchange of this thread is
                under way, which would never end.
            BodyTooLarge: the body is larger than `Budget.max_body`.
            DugongError: what `co_send`, `co_read_response` and `co_read` raise. Whether the request
                may be repeated is in `DugongError.request_sent`.

        """
        exchange, head, whole = self._messages.whole(method, path, headers, body)
        session = self._session
        if session.limits.total is not None:
            return self._co_exchange_in_time(exchange, head, whole)
        if session.concurrent:
            return self._co_exchange_beside(exchange, head, whole)
        return self._co_exchange(exchange, head, whole)

    def _co_exchange_in_time(
        self, exchange: Exchange, head: bytes, whole: memoryview | Request | None
    ) -> Co[Reply]:
        """Return the operation for a whole exchange, with the total limit if there is one."""
        if self._session.concurrent:
            going = self._co_exchange_beside(exchange, head, whole)
        else:
            going = self._co_exchange(exchange, head, whole)
        total = self._session.limits.total
        if total is None:
            return going
        return limited(total, "total", going, "there was no whole response")

    def _co_exchange_beside(
        self,
        exchange: Exchange,
        head: bytes,
        whole: memoryview | Request | None,
        alone: Alone | None = None,
        *,
        complete: bool = False,
    ) -> Co[Reply]:
        """Do an exchange while others are under way.

        *alone* has begun it, unless it is None; *complete*: see `Session.co_exchange`.
        """
        if alone is not None:
            try:
                return (yield from alone.co_rest())
            except GoneAway as exc:
                if exc.request_sent != "no":
                    raise
                self._renew(alone.session, exc)
                exchange = self._messages.new_exchange(exchange.method, exchange.target)
        while (session := self._session).concurrent:
            source = None
            body: memoryview | BodyFollowing | None
            if isinstance(whole, Request):
                exchange, head, body, source = self._messages.following(whole)
            else:
                body = whole
            try:
                going = session.co_exchange(exchange, head, body, source, complete=complete)
                return (yield from going)
            except Retired:
                self._renew(session)
            except GoneAway as exc:  # between our look and our request
                if exc.request_sent != "no" or source is not None:
                    raise
                self._renew(session, exc)
                exchange = self._messages.new_exchange(exchange.method, exchange.target)
        if complete:
            replies: list[Reply] = []
            batch: list[Whole] = [(exchange, head, cast("memoryview | None", whole))]
            yield from self._co_exchange_batch(batch, replies, gathers=False)
            return replies[0]
        return (yield from self._co_exchange(exchange, head, whole))

    def _co_exchange(  # noqa: C901 - each call would count
        self, exchange: Exchange, head: bytes, whole: memoryview | Request | None
    ) -> Co[Reply]:
        """Do an exchange when it is its turn: `FairLock.co_holding`, spelled out for speed."""
        exchanges = self._exchanges
        lock = exchanges.lock  # of this process
        held = False
        try:
            (held,) = map(lock.acquire, NOT_BLOCKING)  # see holding.py
            if not held:
                held = yield from exchanges.co_acquire()
            exchanges.thread = get_ident()
            session = self._session
            begun: bool | Co[None] = False
            if not isinstance(whole, Request) and not exchange.upgrades and not exchange.closes:
                begun = session.begin(exchange, head, whole)
            if begun is not True:
                going = self._co_exchange_by_halves(session, exchange, head, whole, begun)
                return (yield from going)
            try:
                shared = session.shared
                deadline = None
                if shared.head_timeout is not None:
                    deadline = begin_to_wait(shared, exchange, shared.head_timeout)
                yield (shared.stream or shared.live_stream()).wanted_by_recv(deadline)
                reply = session.finish(exchange)
                while reply is None and session.awaits_rest(exchange):
                    yield session.rest_need()
                    reply = session.finish(exchange)
                if reply is not None:
                    return reply
                return (yield from session.co_reply(exchange, deadline))
            except BaseException as exc:
                session.receiver.note(exc)
                raise
            finally:
                session.leave()
        finally:
            if held:
                exchanges.thread = 0
                try:
                    lock.release()
                    if exchanges.waiting:
                        exchanges.hand_on()
                except BaseException:  # Ctrl-C, behind one of these
                    exchanges.hand_on()
                    raise

    def co_exchange_all(
        self, requests: Iterable[tuple[Any, ...]], replies: list[Reply] | None = None
    ) -> Co[list[Reply]]:
        """Send several requests together, and read all their whole responses.

        It costs a third of what as many exchanges do, and waits for the server less often. Requests
        that the system does not take at once are sent while responses are read, so any number may
        be given. Nothing is repeated: see `Pipeline` for what does that. It takes turns with
        others as `co_exchange` does, and leaves the connection as that does.

        Args:
            requests: as in `co_send_requests`. All are checked before the first is sent. Those that
                are not idempotent should not be among them (RFC 9112 section 9.3.2): if the
                connection is lost, how many of them were acted on is not known.
            replies: a list to which each response is appended when it is complete, so that those
                are known that came before an error or an interruption; None for a new list.

        Returns:
            *replies*, or the new list: the responses, with their bodies, in the order of the
            requests; no more of them than requests. They are in memory, all of them:
            `Budget.max_body` limits each.

        Raises:
            InvalidRequest, TypeError: see `co_send_requests`; nothing was sent.
            ConnectionClosed: the connection ended before the last response. The responses that are
                not in *replies* will not come.
            DugongError: what `co_exchange` raises, about the first request without a response.

        """
        return self._co_exchange_all(requests, replies, gathers=False)

    def _co_exchange_all(
        self, requests: Iterable[tuple[Any, ...]], replies: list[Reply] | None, *, gathers: bool
    ) -> Co[list[Reply]]:
        """Do what `co_exchange_all` does; *gathers*: see `Session.co_exchange_batch`."""
        if replies is None:
            replies = []
        elif not isinstance(replies, list):
            raise TypeError(f"replies is a list, not {quoted(replies)}")
        batch = yield from self._messages.co_batch(requests, with_md5=False)
        if batch:
            going = self._co_exchange_batch(batch, replies, gathers)
            if (total := self._session.limits.total) is not None:
                going = limited(total, "total", going, "there were not all responses")
            yield from going
        return replies

    def _co_exchange_batch(
        self, batch: list[Whole], replies: list[Reply], gathers: bool
    ) -> Co[None]:
        """Do all exchanges of *batch*: together, or else beside each other."""
        while True:
            session, first = self._session, batch[0][0]  # by which reports of stuck ones name it
            if not session.concurrent:
                alone = self._co_batch_alone(first, batch, replies, gathers)
                if (yield from self._exchanges.co_holding(alone)):
                    return
                continue
            if not session.takes_batch(batch):
                break
            try:
                yield from session.co_exchange_batch(batch, replies, gathers=gathers)
            except Retired:
                self._renew(session)
            except GoneAway as exc:  # between our look and our request
                if exc.request_sent != "no":
                    raise
                self._renew(session, exc)
            else:
                return
            batch = [
                (self._messages.new_exchange(exchange.method, exchange.target), head, body)
                for exchange, head, body in batch
                if not exchange.complete
            ]
        from ..polling.combinators import several  # noqa: PLC0415 - for HTTP/2

        whole = cast("list[tuple[Exchange, bytes, memoryview | None]]", batch)
        beside = partial(self._co_exchange_beside, complete=True)  # see `whole_below`
        yield from several(itertools.starmap(beside, whole), replies, BESIDE)

    def _co_batch_alone(
        self, first: Exchange, batch: list[Whole], replies: list[Reply], gathers: bool
    ) -> Co[bool]:
        """Do all exchanges of *batch* on one session; False if that need not be, by now."""
        for exchange, _, _ in batch:
            exchange.abandoned = True  # until it is read
        while not (session := self._session).concurrent:
            self._make_way(session, first)
            try:
                yield from session.co_exchange_batch(batch, replies, gathers=gathers)
            except Retired:
                self._renew(session)
            else:
                return True
        for exchange, _, _ in batch:
            exchange.abandoned = False
        return False

    async def exchange_by(  # noqa: C901, PLR0912 - each call would count
        self,
        wait: Wait,
        run: Run,
        method: str,
        path: str,
        headers: Fields | None = None,
        body: Any = None,
    ) -> Reply:
        """Do what `co_exchange` does, in a coroutine: for a driver that can wait without it.

        Args:
            wait: waits in the present task.
            run: runs operations there, for what is not as most exchanges are.
            method: see `co_exchange`.
            path: see `co_exchange`.
            headers: see `co_exchange`.
            body: see `co_exchange`.

        Returns:
            What `co_exchange` returns.

        Raises:
            DugongError: what `co_exchange` raises.

        """
        exchange, head, whole = self._messages.whole(method, path, headers, body)
        session = self._session
        shared = session.shared
        exchanges = self._exchanges
        lock = exchanges.lock  # of this process, see `FairLock`
        held = False
        try:
            if not (
                (whole is not None and isinstance(whole, Request))
                or exchange.upgrades
                or exchange.closes
                or not shared.direct
            ):
                (held,) = map(lock.acquire, NOT_BLOCKING)
            if not held:  # or it has to wait for its turn
                if whole is None and session.concurrent and session.limits.total is None:
                    return await self._exchange_alone_by(wait, run, session, exchange, head)
                return await run(self._co_exchange_in_time(exchange, head, whole))
            exchanges.thread = get_ident()
            begun = session.begin(exchange, head, whole)  # type: ignore[arg-type]  # no Request
            if begun is not True:
                return await run(self._co_exchange_by_halves(session, exchange, head, whole, begun))
            try:
                try:
                    deadline = None
                    if shared.head_timeout is not None:
                        deadline = begin_to_wait(shared, exchange, shared.head_timeout)
                    stream = shared.stream or shared.live_stream()
                    await wait(stream.wanted_by_recv(deadline))
                    reply = session.finish(exchange)
                    while reply is None and session.awaits_rest(exchange):
                        await wait(session.rest_need())
                        reply = session.finish(exchange)
                except BaseException as exc:
                    session.receiver.note(exc)
                    raise
                if reply is not None:
                    return reply
                return await run(session.co_late_reply(exchange, deadline))
            finally:
                session.leave()
        finally:
            if held:
                exchanges.thread = 0
                try:
                    lock.release()
                    if exchanges.waiting:
                        exchanges.hand_on()
                except BaseException:  # Ctrl-C, behind one of these
                    exchanges.hand_on()
                    raise

    async def _exchange_alone_by(
        self, wait: Wait, run: Run, session: Session, exchange: Exchange, head: bytes
    ) -> Reply:
        """Do an exchange over HTTP/2, in the shortest way if no others are under way."""
        alone = session.alone(exchange, head)
        if alone is None:
            return await run(self._co_exchange_beside(exchange, head, None))
        try:
            if alone.begin():
                if alone.waits:
                    await wait(alone.need())
                    if (reply := alone.finish()) is not None:
                        return reply
                return await run(self._co_exchange_beside(exchange, head, None, alone))
        except BaseException as exc:
            alone.failed(exc)
            raise
        finally:
            alone.end()
        return await run(self._co_exchange_beside(exchange, head, None))

    def _co_exchange_by_halves(
        self,
        session: Session,
        exchange: Exchange,
        head: bytes,
        whole: memoryview | Request | None,
        begun: bool | Co[None],
    ) -> Co[Reply]:
        """Do an exchange that is not as most are, or whose request was sent in part (*begun*).

        *session* is the one that it has begun on.
        """
        if isinstance(begun, bool):
            session = self._session
            self._make_way(session, exchange)
        source = None
        body: memoryview | BodyFollowing | None
        if isinstance(whole, Request):
            exchange, head, body, source = self._messages.following(whole)
        else:
            body = whole
        exchange.abandoned = True
        try:
            try:
                if not isinstance(begun, bool):
                    going: Co[None] | None = begun
                else:
                    session, going = self._begin_exchange(exchange, head, body, source)
                if going is not None:
                    yield from going
                if source is not None:
                    yield from self._co_feed(exchange, source)
            except AnsweredEarly:
                pass  # that is the response
            reply = yield from session.co_exclusive_reply(exchange)
        except (Exception, GeneratorExit):
            session.shared.exchanging = None
            raise
        # Not after Ctrl-C, which may have left a lock taken: the next one begins a new session.
        session.shared.exchanging = None
        return reply

    @staticmethod
    def _make_way(session: Session, exchange: Exchange) -> None:
        """Have nothing before *exchange* whose response somebody waits for.

        Raises:
            StateError: there is something.

        """
        if session.is_stuck():
            close(session)
        elif session.is_awaited():
            what = "responses of earlier requests are still to be read, or abandon()ed"
            raise session.shared.labelled(StateError(what), exchange)

    def _begin_exchange(
        self,
        exchange: Exchange,
        head: bytes,
        body: memoryview | BodyFollowing | None,
        source: BodySource | None,
    ) -> tuple[Session, Co[None] | None]:
        while True:
            session = self._session
            try:
                session.shared.exchanging = exchange
                going = session.sender.request(exchange, head, body, is_operation=True)
                if going is not None and source is not None:
                    going = co_restoring(going, source)
                return session, going
            except Retired:
                session.shared.exchanging = None
                self._renew(session)
            except BaseException as exc:
                if isinstance(exc, Exception):
                    session.shared.exchanging = None
                if source is not None:
                    source.restore()
                raise

    # ---- whole requests, and the end of a connection

    def co_send(self, request: Request) -> Co[Exchange]:
        """Send *request* with its body.

        The request is not changed. It may be sent again if its body can be: bytes always,
        a stream that is seekable from where it stood at first, a list of pieces. Content-MD5 is
        added to bytes only if the connection was made with ``content_md5=True``.

        Returns:
            The exchange, as `co_send_request` does. With `BodyFollowing` the body is to
            be written.

        Raises:
            StateError: the body has been read and cannot be read again, or is shorter
                than it was when its length was found out, which breaks the connection.
            FileTooShort: the same, if a file becomes shorter while it is sent.
            ConnectionClosed, AnsweredEarly: see `co_write`.
            TypeError: *request* is no `Request`; nothing was sent.
            Exception: what reading the body raises; the connection is then broken.
            DugongError: what `co_send_request` and `co_write` raise.

        """
        if not isinstance(request, Request):
            raise not_a_request(request)
        if is_whole(request.body):
            body = cast("Buffer | BodyFollowing | None", request.body)
            exchange, head, whole = self._messages.build(
                request.method, request.target, request.headers, body, False, with_md5=False
            )
            going = self._begin_request(exchange, head, whole)
            if going is not None:
                yield from going
            return exchange
        sending = self._co_send_stream(request)
        total = self._session.limits.total
        if total is not None:  # of the whole operation, which may wait for the stream
            sending = limited(total, "total", sending, "it could not be sent")
        return (yield from sending)

    def _co_send_stream(self, request: Request) -> Co[Exchange]:
        """Send *request*, whose body has to be read; see `co_send`."""
        exchange, head, following, source = self._messages.following(request)
        try:
            going = self._begin_request(exchange, head, following)
        except BaseException:
            source.restore()
            raise
        if going is not None:
            yield from co_restoring(going, source)
        yield from self._co_feed(exchange, source)
        return exchange

    def _co_feed(self, exchange: Exchange, source: BodySource) -> Co[None]:
        """Write the body of *exchange*, whose head is sent, from *source* to its end."""
        from .file_transfer import co_write_all  # noqa: PLC0415 - for bodies that are read

        assert exchange.writer is not None
        complete = False
        try:
            yield from co_write_all(exchange.writer, source)
            complete = True
        except DugongError as exc:
            self.label_error(exc, exchange.method, exchange.target)  # if it is the source's
            raise
        finally:
            if not complete:
                self.abort_body(exchange)

    def abort_body(self, exchange: Exchange) -> None:
        """Declare that the rest of a request's body will not be written.

        Its end cannot be told to the server, so the connection is broken: sending and reading
        raise `ConnectionClosed` until `reset`. Nothing happens if the body is complete, or if the
        server has answered before it had the whole body: the answer can be read. Over HTTP/2 the
        stream is reset, and nothing else.
        """
        if exchange.writer is None:
            self._session.sender.abort_body(exchange)
        else:
            exchange.writer.abort()

    give_up = abort_body  # the name in earlier versions

    def take_response(self) -> tuple[HTTPResponse, bytes] | None:
        """Take the next response with its body, if all of that has been received already.

        Never waits, and receives nothing: many responses may arrive together.

        Returns:
            What `co_read_response` and `co_readall` would; None if that has to be asked of them,
            also as what has arrived is an error.

        """
        taken = self._session.take_replies(1)
        return taken[0] if taken else None

    def take_responses(self, most: int) -> list[tuple[HTTPResponse, bytes]]:
        """Take as many responses as `take_response` would give one after the other.

        Args:
            most: how many at most.

        """
        return self._session.take_replies(most)

    def gathering(self, missing: int) -> PollNeeded | None:
        """Return a wait until much has arrived of many small responses, as `Pipeline` needs it.

        Args:
            missing: how many bytes will arrive, probably.

        Returns:
            A wait that ends when a part of them has arrived, or after a millisecond: for drivers
            that know deadlines. None if ordinary reading does as well.

        """
        return self._session.gathering(missing)

    def co_next_response(self) -> Co[HTTPResponse | None]:
        """Read the next response, as `co_read_response`; None if none is pending.

        Made for loops that end with None. Each body has to be read before the next turn.

        Raises:
            DugongError: what `co_read_response` raises.

        """
        if not self.response_pending():
            return None
        return (yield from self.co_read_response())

    def is_open(self) -> bool:
        """Return True if there is a connection that takes another request. Never blocks.

        While no response is pending it looks at the socket, so that it sees if the server
        has closed the connection, in order or not, or has sent what nobody asked for.
        Nothing of that is lost. Between two looks nobody watches an idle connection.
        """
        return self._session.is_open()

    @property
    def leaves_bodies(self) -> bool:
        """True if `exchange` leaves each body that has not come with its head; `whole_below`."""
        return self._config.whole_below == LEAST_STATUS

    def is_reusable(self) -> bool:
        """Return True if it is open and nothing is under way: the next request can be any.

        It does not look at the socket, as `is_open` does: sending a request does that.
        """
        return self._session.is_reusable()

    # ---- what only HTTP/2 has

    @property
    def protocol(self) -> str:
        """The protocol, ``"http/1.1"`` or ``"h2"``; before connecting, the preferred one."""
        return self._session.protocol

    @property
    def concurrency(self) -> int:
        """How many exchanges may be under way at a time, as far as that is known.

        Over HTTP/2 it is what the server allows (SETTINGS_MAX_CONCURRENT_STREAMS), or fewer if
        `H2Options.max_streams` says so; over HTTP/1.1 it is 1.
        """
        return self._session.concurrency

    @property
    def remote_settings(self) -> H2Settings | None:
        """The settings of an HTTP/2 server; None before they have come, and with HTTP/1.1."""
        return self._session.remote_settings

    def co_ping(self) -> Co[float]:
        """Send PING over HTTP/2, and wait for the answer (RFC 9113 section 6.7).

        Connects if there is no connection. Other operations may be under way.

        Returns:
            Seconds that it took.

        Raises:
            StateError: it is an HTTP/1.1 connection, which has no PING.
            ConnectionClosed: the connection was lost.
            ConnectionTimedOut: there was no answer for the time-out of the connection.
            DugongError: what `co_connect` raises.

        """
        going = self._begin_connecting()
        if going is not None:
            yield from going
        return (yield from self._session.co_ping())

    def co_serve(self) -> Co[None]:
        """Take part in what an HTTP/2 connection does while nobody uses it, until it ends.

        That is to answer PING of the server, and to notice GOAWAY and the end of the connection at
        once. Without it that is done by the next operation, which is soon enough for most servers.
        Other operations may be under way. To end it, close the operation. It ends with its
        connection, also if that is one which another has replaced, when nothing else is under way.

        Raises:
            StateError: it is an HTTP/1.1 connection.
            DugongError: what `co_connect` raises.

        """
        going = self._begin_connecting()
        if going is not None:
            yield from going
        yield from self._session.co_serve()

    def update_window(self, size: int) -> None:
        """Let an HTTP/2 server send further bytes, in all exchanges together.

        See RFC 9113 section 6.9. For connections with ``H2Options(auto_window=False)``, besides
        `Exchange.update_window`. By default the window of the connection is as large as it can be,
        so it may be left alone.

        Args:
            size: how many, besides those that it may send already.

        Raises:
            StateError: it is an HTTP/1.1 connection, which has no windows.
            InvalidOption: *size* is less than 1, or the window would have more than 2**31 - 1
                bytes.
            TypeError: *size* is not an int.

        """
        self._session.update_window(size)

    def report_retry(self, failure: Exception | None, requests: int = 1) -> None:
        """Report to the trace, if there is one, that requests are about to be sent again.

        The event is ``connection.retry``. `Pipeline` reports it; so may you if you repeat
        requests. Nothing else happens.

        Args:
            failure: why.
            requests: how many there are.

        Raises:
            BaseException: what the trace raises.

        """
        if (observer := self._session.shared.observer) is not None:
            observer.retry(failure, requests)

    tell_retry = report_retry  # the name in earlier versions

    @property
    def close_reason(self) -> Exception | None:
        """The exception that ended the connection; None if it has not ended, or has ended in order.

        In order it is ended by `close`, and by the response after which it is not used
        again. When it is opened again the reason is forgotten.
        """
        return self._session.shared.reason

    def co_wait_closed(self) -> Co[Exception | None]:
        """Wait until the connection ends, however that happens; return `close_reason`.

        Without a connection the end of the next one is waited for, unless there has been one.
        It does not watch the socket: what another operation, or `is_open`, finds out is
        what it hears of. After an error it is still to be given back, by `close`.
        """
        return (yield from self._session.shared.co_wait_ended())


def _is_open(former: ref[SharedState]) -> bool:
    """Return True unless the session was closed."""
    shared = former()
    return shared is not None and shared.stream is not None


def co_restoring(sending: Co[None], source: BodySource) -> Co[None]:
    """Send the head of a request; if that fails put its *source* back to where it was."""
    try:
        yield from sending
    except BaseException:
        source.restore()
        raise
