"""The operations that users run, each a generator that yields `PollNeeded`.

This is where what the caller gives is checked and put into the terms of the two
halves; how they send and receive is theirs.

Not here: the blocking twins and the file-like face (connection.py).
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from .arguments import Buffer, as_bytes, as_writable, check_size
from .connect import Route
from .errors import InvalidRequest
from .headers import Fields as CheckedFields
from .headers import as_fields, exact
from .http1.limits import (
    MAX_CHUNK_LINE,
    MAX_EXTENSIONS,
    MAX_FIELDS,
    MAX_HEADER_SIZE,
    MAX_INFORMATIONAL,
    MAX_LINE_SIZE,
    Limits,
)
from .http1.request import (
    RequestHeads,
    check_meaning,
    check_version_0,
    closes,
    encode_trailers,
)
from .http1.target import Target
from .link import SharedLink, moving
from .message import BodyFollowing, Exchange, HTTPResponse
from .options import transport_options
from .origin import HTTP_PORT, HTTPS_PORT, authority, check_hostname, check_port
from .polling import Co
from .receiving import ReceivingHalf
from .sending import SendingHalf
from .timeouts import Timeouts, as_timeouts
from .tls_facts import TLSFacts
from .trace import Trace
from .transport.buffer import BUFFER_SIZE

if TYPE_CHECKING:
    import os
    from socket import socket

    from .budgets import Budget
    from .proxy.proxy import Proxy
    from .transport.options import SocketOptions
    from .transport.resolvers import Resolver
    from .transport.secured import Secured
    from .transport.sessions import TLSSessions
    from .transport.stream import Stream
    from .transport.tls import SSLContext
    from .transport.wiredump import TraceFile
    from .watched_link import Wishes

Fields = Mapping[str, str] | Iterable[tuple[str, str]]
# What to say of no body where the method means one (RFC 9110 section 8.6).
EMPTY: Final = dict.fromkeys(["POST", "PUT", "PATCH"], "Content-Length: 0\r\n")
VERSIONS: Final = {"1.0": 0, "1.1": 1}


class Operations(TLSFacts):
    """One connection to one server: the operations and what belongs to them.

    `HTTPConnection` is this class with blocking twins.
    """

    __slots__ = (
        "_expect100_timeout",
        "_heads",
        "_hostname",
        "_link",
        "_proxy_given",
        "_receiving",
        "_sending",
        "_timeout",
        "content_md5",
    )

    _link: SharedLink
    _receiving: ReceivingHalf
    _sending: SendingHalf

    def __init__(  # noqa: PLR0913 - each is documented at HTTPConnection
        self,
        hostname: str,
        port: int | None = None,
        ssl_context: SSLContext | None = None,
        proxy: Proxy | tuple[str, int] | str | None = None,
        *,
        timeout: float | Timeouts | None = None,
        expect100_timeout: float | None = None,
        content_md5: bool = True,
        http_version: str = "1.1",
        buffer_size: int = BUFFER_SIZE,
        max_line_size: int = MAX_LINE_SIZE,
        max_header_size: int = MAX_HEADER_SIZE,
        max_fields: int = MAX_FIELDS,
        max_informational: int = MAX_INFORMATIONAL,
        max_chunk_line: int = MAX_CHUNK_LINE,
        max_extensions: int = MAX_EXTENSIONS,
        on_informational: Callable[[HTTPResponse], object] | None = None,
        dns_test_hostnames: Sequence[str] = (),
        server_hostname: str | None = "",
        fingerprint: str | Iterable[str] | None = None,
        tls_sessions: TLSSessions | bool = True,
        socket_options: SocketOptions | None = None,
        uds: str | bytes | os.PathLike[str] | None = None,
        sock: socket | None = None,
        resolver: Resolver | None = None,
        trace: Trace | None = None,
        timings: bool = False,
        trace_file: TraceFile | None = None,
        budget: Budget | None = None,
    ) -> None:
        self._hostname = hostname
        self.content_md5 = content_md5
        ascii_name, port, host, self._heads = _origin(
            exact(hostname), port, HTTP_PORT if ssl_context is None else HTTPS_PORT
        )
        checked = None if proxy is None else checked_proxy(proxy)
        forwarding = None
        if http_version not in VERSIONS:
            raise ValueError(f"HTTP {http_version!r}; only 1.0 and 1.1 are spoken")
        prefix, lines, minor = "", None, VERSIONS[http_version]
        if checked is not None and checked.forwards(ascii_name, https=ssl_context is not None):
            forwarding = checked.forwarding()
            prefix, lines = f"http://{host}", forwarding.lines
        if prefix or minor != 1:
            self._heads = RequestHeads(host, prefix, lines, minor)
        self._proxy_given = checked is proxy  # as such, not as a pair or URL
        limits = _limits(
            max_line_size,
            max_header_size,
            max_fields,
            max_informational,
            max_chunk_line,
            max_extensions,
        )
        if buffer_size < 1:
            raise ValueError(f"a receive buffer of {buffer_size} bytes")
        wishes = None
        if (
            isinstance(timeout, Timeouts)
            or trace is not None
            or timings
            or trace_file is not None
            or budget is not None
            or _is_logged()
        ):
            wishes = _wishes(trace, timings, trace_file, budget)
        if sock is not None:
            as_timeouts(timeout)  # if there is an error the socket stays the caller's
        options = transport_options(
            ascii_name,
            ssl_context,
            server_hostname=server_hostname,
            fingerprint=fingerprint,
            tls_sessions=tls_sessions,
            socket_options=socket_options,
            uds=uds,
            sock=sock,
            resolver=resolver,
        )
        test_names = tuple(dns_test_hostnames)
        route = Route(ascii_name, port, ssl_context, checked, limits, test_names, options)
        if wishes is None:
            self._link = SharedLink(route, timeout)
            self._receiving = ReceivingHalf(self._link, limits, buffer_size, on_informational)
            self._sending = SendingHalf(self._link, self._receiving)
            self._receiving.heads.continue_timeout = expect100_timeout
        else:
            from .watched import make_halves  # noqa: PLC0415 - for those who want to be told

            self._link, self._receiving, self._sending = make_halves(
                route, timeout, wishes, buffer_size, on_informational
            )
            self._limit_continue(expect100_timeout)
        if forwarding is not None:
            self._receiving.on_proxy_challenge(forwarding.learn)
        self._timeout = timeout
        self._expect100_timeout = expect100_timeout

    @property
    def hostname(self) -> str:
        """Name or address of the server, as given."""
        return self._hostname

    @property
    def port(self) -> int:
        """Port of the server."""
        return self._link.route.port

    @property
    def ssl_context(self) -> SSLContext | None:
        """Context for https, or None: the same as long as the object lives."""
        return self._link.route.ssl_context

    @property
    def proxy(self) -> Proxy | tuple[str, int] | None:
        """The `Proxy`, or None; host and port if it was given as such, or as ``http://host:port``."""
        proxy = self._link.route.proxy
        if proxy is None or self._proxy_given:
            return proxy
        is_pair = proxy.scheme == "http" and proxy.auth is None
        return (proxy.hostname, proxy.port) if is_pair else proxy

    @property
    def http_version(self) -> str:
        """Version of HTTP that requests have: ``"1.1"`` or ``"1.0"``."""
        return f"1.{self._heads.minor}"

    @property
    def timeout(self) -> float | Timeouts | None:
        """Seconds that may pass without anything moving, or `Timeouts`; None waits for ever.

        Holds under every driver. `ConnectionTimedOut` is raised when it is exceeded.
        Setting `Timeouts.total` is a `ValueError` unless the connection was made with
        `Timeouts`.
        """
        return self._timeout

    @timeout.setter
    def timeout(self, timeout: float | Timeouts | None) -> None:
        self._link.limit(timeout)
        self._timeout = timeout
        self._limit_continue(self._expect100_timeout)

    def _limit_continue(self, seconds: float | None) -> None:
        """Limit the wait for 100 (Continue), unless `Timeouts.expect100` does."""
        limit = self._link.timeouts.expect100
        self._receiving.heads.continue_timeout = seconds if limit is None else limit

    def response_pending(self) -> bool:
        """Return True if a response is outstanding, or partly read."""
        return bool(self._link.pending)

    def disconnect(self) -> None:
        """Close the connection at once. Responses that are pending are lost.

        The connection can be used again: it reconnects. May be called in any state;
        an operation that waits in another thread raises `ConnectionClosed`.
        """
        self._notify_close()
        link, sending, receiving = self._link, self._sending, self._receiving
        link.closing.want()
        reads = receiving.role.take_for_a_look()
        stream = None
        with moving():
            if link.abandoned:
                pass  # by somebody else, just now
            elif reads is not None and (sends := sending.role.try_take()) is not None:
                sending.reset()
                receiving.reset()
                stream = link.detach()
                sends.release()
            else:
                stream = self._abandon()
        if reads is not None:
            receiving.role.give_back(reads)
        if stream is not None:
            if link.abandoned:
                stream.shut_down()  # wakes who waits for it
            link.tell_closed(stream)
            stream.close()
        if (own := link.route.options.own) is not None:
            own.close()  # if it was never used
        link.closing.end(None)  # also if there was none

    def _abandon(self) -> Stream | None:
        """Leave the link and the halves to operations that use them, and go on with new ones.

        Returns the stream, to be closed.
        """
        stream = self._link.abandon()
        successor = self._link.successor()
        receiving = self._receiving.successor(successor)
        self._sending = self._sending.successor(successor, receiving)
        self._receiving = receiving
        self._link = successor
        return stream

    def _notify_close(self) -> None:
        stream = self._link.bare_stream
        if stream is not None and self._link.route.has_tls:
            cast("Secured", stream).notify_close()  # then it is TLS

    def _hang_up(self) -> None:
        """End the connection for whoever uses it; nothing is given back yet."""
        self._link.closing.want()
        self._notify_close()
        stream = self._link.raw_stream
        if stream is not None:
            stream.shut_down()

    def reset(self) -> None:
        """Make the connection usable again after an error: another name for `disconnect`."""
        self.disconnect()

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
        going = self._sending.begin(self._sending.connect)
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
            headers: a mapping of names to values, or pairs. It is never changed. Of
                names that differ in case only the last counts, but each field of
                `Headers` is sent. Host, Accept-Encoding
                and Connection win over the defaults; Content-Length and
                Transfer-Encoding follow from the body and are refused. After
                ``Connection: close`` the next request gets a new connection.
            body: the body as bytes-like object, or `BodyFollowing`, or None for none.
                With bytes a Content-MD5 is added unless `content_md5` is false or the
                caller gives one. CONNECT and TRACE have none.
            expect100: True to have the body wait until the server asks for it (RFC 9110
                section 10.1.1): call `co_read_response` before writing. Goes with
                `BodyFollowing` only; nothing is waited for if the length is 0.

        Returns:
            The exchange; its response is the next one that is not yet taken by others.

        Raises:
            InvalidRequest: something cannot be sent as it is, or a field says what no client
                may say; nothing was sent.
            TypeError: an argument has the wrong type; nothing was sent.
            StateError: the body of the last request is not complete, or it was CONNECT or had
                an Upgrade field and its response has not been read, or another operation is
                sending.
            ConnectionClosed: the connection was lost or is broken. If the server has
                answered before it had everything, the answer can be read.
            ConnectionTimedOut: nothing moved for `timeout` seconds.
            DugongError: what `co_connect` raises.

        """
        exchange, going = self._request(method, path, headers, body, expect100)
        if going is not None:
            yield from going
        return exchange

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
        built = [self._build_whole(*request) for request in requests]
        exchanges = [exchange for exchange, _, _ in built]
        for exchange in exchanges[:-1]:
            if exchange.closes or exchange.upgrades:
                raise InvalidRequest(f"{exchange} would be the last request of its connection")
        going = self._sending.send_all(built) if built else None
        if going is not None:
            yield from going
        return exchanges

    def _build_whole(
        self, method: str, path: str, headers: Fields | None = None, body: Buffer | None = None
    ) -> tuple[Exchange, bytes, memoryview | None]:
        """Return an exchange, with head and body, that can be sent at once."""
        if isinstance(body, BodyFollowing):
            raise TypeError("bodies of requests that are sent together cannot follow")
        exchange, head, whole = self._build(method, path, headers, body, False)
        return exchange, head, cast("memoryview | None", whole)

    def _request(
        self,
        method: str,
        path: str,
        headers: Fields | None,
        body: Buffer | BodyFollowing | None,
        expect100: bool,
    ) -> tuple[Exchange, Co[None] | None]:
        """Begin to send a request; see `co_send_request` and `SendingHalf.begin`."""
        exchange, head, body = self._build(method, path, headers, body, expect100)
        return exchange, self._sending.request(exchange, head, body)

    def _build(
        self,
        method: str,
        path: str,
        headers: Fields | None,
        body: Buffer | BodyFollowing | None,
        expect100: bool,
    ) -> tuple[Exchange, bytes, memoryview | BodyFollowing | None]:
        """Return an exchange, its head, and its body as it can be sent."""
        if type(method) is not str or type(path) is not str:
            method, path = exact(method), path if type(path) is Target else exact(path)
        exchange = Exchange(method, path)
        if headers is None and body is None and not expect100 and method != "CONNECT":
            return exchange, self._heads.build(method, path, None, EMPTY.get(method, "")), None
        fields = None if headers is None else as_fields(headers)
        if body is not None and not isinstance(body, BodyFollowing):
            body = as_bytes(body)
        if expect100 and not isinstance(body, BodyFollowing):
            raise InvalidRequest("expect100 goes with BodyFollowing only")
        exchange.expects_continue = expect100 and body.length != 0  # type: ignore[union-attr]
        exchange.upgrades = method == "CONNECT" or (fields is not None and "upgrade" in fields)
        if expect100 and fields and "expect" in fields:
            raise InvalidRequest("Expect follows from expect100 and cannot be set as well")
        check_meaning(fields, method, body is not None)
        if not self._heads.minor:
            unknown = isinstance(body, BodyFollowing) and body.length is None
            check_version_0(fields, chunked=unknown, expects=expect100)
        framing = self._framing(method, fields, body)
        if exchange.expects_continue:
            framing += "Expect: 100-continue\r\n"
        exchange.closes = closes(fields, self._heads.minor)
        return exchange, self._heads.build(method, path, fields, framing), body

    def _framing(
        self,
        method: str,
        fields: CheckedFields | None,
        body: memoryview | BodyFollowing | None,
    ) -> str:
        """Return the field lines that follow from *body* (RFC 9112 section 6)."""
        if body is None:
            return EMPTY.get(method, "")
        if isinstance(body, BodyFollowing):
            if body.length is None:
                return "Transfer-Encoding: chunked\r\n"
            return f"Content-Length: {body.length}\r\n"
        lines = f"Content-Length: {len(body)}\r\n"
        if self.content_md5 and not (fields and "content-md5" in fields):
            lines += f"Content-MD5: {content_md5(body)}\r\n"
        return lines

    def co_write(self, buf: Buffer) -> Co[None]:
        """Write body data of the request that announced `BodyFollowing`.

        Args:
            buf: bytes-like object of any length, also none. With a known length the body
                is complete when that much has been written; a chunked one is ended by
                `co_finish`.

        Raises:
            ExcessBodyData: it is more than was announced; nothing of it was sent, and the
                connection is broken.
            TypeError: *buf* is not bytes-like.
            StateError: no body is to be written, or it has to wait for 100 (Continue),
                or another operation is sending.
            ConnectionClosed: the connection was lost, or the server has answered before
                it had the whole body. The answer can be read.
            InvalidResponse: what the server sent meanwhile is no response.
            ConnectionTimedOut: nothing could be sent for `timeout` seconds.

        """
        going = self._sending.begin(self._sending.write, as_bytes(buf))
        if going is not None:
            yield from going

    def co_finish(self, trailers: Fields | None = None) -> Co[None]:
        """End a chunked body (RFC 9112 section 7.1); does nothing if it is complete already.

        Args:
            trailers: fields of the trailer section; none that say how to deliver or
                understand the message, such as Host (RFC 9110 section 6.5.1).

        Raises:
            InvalidRequest: *trailers* cannot be sent as they are.
            TypeError: *trailers* are not names and values.
            StateError: no chunked body is being written, or a body of known length is
                not complete, which breaks the connection.
            ConnectionClosed, InvalidResponse, ConnectionTimedOut: see `co_write`.

        """
        going = self._sending.begin(self._sending.finish, trailer_lines(trailers))
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
            StateError: no response is pending, the last body has not been read to its
                end, or another operation is reading.
            InvalidResponse: it is not HTTP/1, or its framing makes no sense.
            UnsupportedResponse: a response before it was abandoned, and has an unknown
                transfer coding.
            ConnectionClosed: the connection ended before the response.
            ConnectionTimedOut: nothing arrived for `timeout` seconds; the next call
                goes on waiting.
            ContinueTimedOut: no 100 (Continue) for `expect100_timeout` seconds: the body
                may be written now.

        """
        return self._receiving.co_read_response()

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
        return self._receiving.role.co(self._receiving.bodies.read, check_size(len_))

    def co_readinto(self, buf: bytearray | memoryview) -> Co[int]:
        """Read body data into *buf*, a writable bytes-like object.

        Returns:
            How many bytes were read; 0 only at the end of the body (or if *buf* is empty).

        Raises:
            TypeError: *buf* is not writable or not bytes-like.
            DugongError: what `co_read` raises.

        """
        return self._receiving.role.co(self._receiving.bodies.readinto, as_writable(buf))

    def co_readall(self) -> Co[bytes]:
        """Read the rest of the body. Interrupted, it loses nothing: the data is read again.

        Raises:
            DugongError: what `co_read` raises. What has arrived can still be read.

        """
        return self._receiving.role.co(self._receiving.bodies.readall, None)

    def co_discard(self) -> Co[None]:
        """Read the rest of the body and throw it away.

        Raises:
            DugongError: what `co_read` raises.

        """
        yield from self._receiving.role.co(self._receiving.bodies.discard, None)

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
        return self._receiving.role.co(self._receiving.read_raw, check_size(size))


# Many connections lead to few origins, and have the same limits.
_limits = functools.lru_cache(maxsize=64)(Limits)


@functools.lru_cache(maxsize=256, typed=True)
def _origin(
    hostname: str, port: int | None, default_port: int
) -> tuple[str, int, str, RequestHeads]:
    """Return checked name and port, the value of Host, and what writes the heads of requests."""
    name = check_hostname(hostname)
    port = check_port(default_port if port is None else port)
    host = authority(name, port, default_port)
    return name, port, host, RequestHeads(host)


_logs_wanted: Callable[[], bool] | None = None  # see logs.is_wanted


def _is_logged() -> bool:
    """Return True if somebody listens to our loggers; without logging nobody does."""
    global _logs_wanted  # noqa: PLW0603 - kept, as to import it each time costs more than to ask
    if _logs_wanted is None:
        if "logging" not in sys.modules:
            return False
        from .logs import is_wanted  # noqa: PLC0415 - who does not log does not import logging

        _logs_wanted = is_wanted
    return _logs_wanted()


def _wishes(
    trace: Trace | None, timings: bool, trace_file: TraceFile | None, budget: Budget | None
) -> Wishes:
    """Return what is wanted; without a trace, one that logs if somebody listens."""
    from .watched_link import Wishes  # noqa: PLC0415 - for those who want to be told

    if trace is None and _is_logged():
        from .logs import log_event  # noqa: PLC0415 - loaded already

        trace = log_event
    return Wishes(trace, timings, trace_file, budget)


def trailer_lines(trailers: Fields | None) -> bytes:
    """Return *trailers* as field lines.

    Raises:
        InvalidRequest: they cannot be sent as they are.
        TypeError: they are neither a mapping nor pairs.

    """
    return encode_trailers(as_fields(trailers)) if trailers else b""


def checked_proxy(proxy: Proxy | tuple[str, int] | str | None) -> Proxy | None:
    """Return what `as_proxy` returns, which most programs do not need."""
    if proxy is None:
        return None
    from .proxy.proxy import as_proxy  # noqa: PLC0415 - 10 ms, for those who have one

    return as_proxy(proxy)


def content_md5(body: memoryview) -> str:
    """Return the value of Content-MD5 for *body* (RFC 1864)."""
    import hashlib  # noqa: PLC0415 - 5 ms that downloads never need
    from base64 import b64encode  # noqa: PLC0415

    return b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode("ascii")
