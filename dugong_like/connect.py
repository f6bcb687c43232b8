"""From an origin to a stream that is ready for its first request.

Resolve the name, connect (RFC 8305), come to terms with the proxy, do the TLS
handshake; any of these may be interrupted, and then nothing is left open.

Not here: each of the steps (transport/), and what is said to a proxy (proxy/).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from .errors import ConnectionTimedOut, HandshakeFailed
from .http1.limits import Limits
from .options import PLAIN, TransportOptions
from .origin import authority
from .polling import Co, within
from .transport.buffer import ReceiveBuffer
from .transport.resolve import co_resolve, literal
from .transport.stream import Stream
from .transport.tcp import (
    Address,
    Attempt,
    Socket,
    TCPStream,
    co_attempt,
    co_connect_tcp,
    co_finish_tcp,
    co_receive,
    connect_failed,
)

if TYPE_CHECKING:
    from .proxy.conversation import Conversation
    from .proxy.proxy import Proxy
    from .transport.tls import SSLContext

T = TypeVar("T")


class Route:
    """Where to connect to, and how. Nothing of it is ever changed.

    Attributes:
        hostname: host of the origin.
        port: port of the origin.
        ssl_context: for https, else None.
        proxy: the proxy, or None.
        limits: for the answer of the proxy.
        test_hostnames: see `co_resolve`.
        options: of the way there.
        first: host and port of who is connected to, the proxy or the origin.
        address: the same as a socket address; None if it has to be looked up, or is not used.
        has_tls: True if the stream is TLS, to the origin or just to a proxy.

    """

    __slots__ = (
        *("address", "first", "has_tls", "hostname", "limits", "options", "port", "proxy"),
        *("ssl_context", "test_hostnames"),
    )

    def __init__(
        self,
        hostname: str,
        port: int,
        ssl_context: SSLContext | None,
        proxy: Proxy | None,
        limits: Limits,
        test_hostnames: Sequence[str] = (),
        options: TransportOptions = PLAIN,
    ) -> None:
        self.hostname = hostname
        self.port = port
        self.ssl_context = ssl_context
        self.proxy = proxy
        self.limits = limits
        self.test_hostnames = test_hostnames
        self.first = (hostname, port) if proxy is None else (proxy.hostname, proxy.port)
        self.options = options
        self.address = literal(*self.first) if options.can_use(self.first[0]) else None
        to_proxy = proxy is not None and proxy.ssl_context is not None
        self.has_tls = ssl_context is not None or to_proxy
        if ssl_context is not None:  # loaded now: with a socket open it might fail
            from .transport import tls_over  # noqa: F401, PLC0415


def begin(route: Route) -> Attempt | None:
    """Begin to connect, if nothing comes before that; `co_open` does the rest.

    A name has to be looked up first, and for some proxies that of the origin.

    Raises:
        ConnectFailed, InvalidOption: see `co_open`.

    """
    if route.address is None or route.proxy is not None:  # what that wants may come first
        return None
    try:
        return Attempt(route.address, route.options.sockets)
    except OSError as exc:
        raise connect_failed(authority(*route.first), exc) from exc


def at_once(route: Route, attempt: Attempt) -> Stream | None:
    """Return the stream if *attempt* has led to it already; None: there is more to do."""
    if attempt.connected and route.ssl_context is None:
        return TCPStream(attempt.sock)
    return None


def co_open(route: Route, timeout: float | None, attempt: Attempt | None = None) -> Co[Stream]:
    """Open a stream along *route*.

    Args:
        route: where to.
        timeout: seconds for looking up and connecting, and after that for each wait.
        attempt: what `begin` has returned.

    Raises:
        HostnameNotResolvable: a name does not exist.
        DNSUnavailable: a name could not be looked up.
        ConnectFailed: no address accepted the connection, or the system has no descriptors
            left.
        TunnelRefused: the proxy said no.
        InvalidResponse: the proxy does not speak HTTP/1, or SOCKS.
        CertificateInvalid: the certificate of the server, or of the proxy, is not accepted.
        HandshakeFailed: the server, or the proxy, does not speak TLS.
        ConnectionClosed: the proxy closed the connection.
        ConnectionTimedOut: *timeout* was exceeded.
        InvalidOption: the system refuses an option of the socket.
        StateError: the connection was made over a socket of the caller's, which has ended.

    """
    if route.proxy is None:
        stream: Stream = TCPStream((yield from _co_reach(route, timeout, attempt)))
    else:
        stream = yield from _co_through(route.proxy, route, timeout)
    if route.ssl_context is None:
        return stream
    return (yield from _co_secure(stream, route.ssl_context, route, timeout))


def _co_reach(route: Route, timeout: float | None, attempt: Attempt | None = None) -> Co[Socket]:
    """Connect to the proxy or, without one, to the origin, within *timeout* seconds.

    *attempt* may have begun to.
    """
    if attempt is not None and attempt.connected:
        return attempt.sock
    if route.options.own is not None:
        return route.options.own.take()
    name = authority(*route.first)
    connecting = co_finish_tcp(attempt, name) if attempt else _co_connect(route, name)
    return (yield from _co_in_time(connecting, timeout, f"no connection to {name}"))


def _co_connect(route: Route, name: str) -> Co[Socket]:
    options = route.options
    if options.path is not None:
        from .transport.unix import co_connect_unix  # noqa: PLC0415 - for those who use it

        return (yield from co_connect_unix(options.path, options.sockets))
    if route.address is not None:
        return (yield from co_connect_tcp([route.address], name, options.sockets))
    addresses = yield from _co_look_up(*route.first, route, options.family)
    return (yield from co_connect_tcp(addresses, name, options.sockets))


def _co_look_up(host: str, port: int, route: Route, family: int = 0) -> Co[Sequence[Address]]:
    """Look up *host*; *family* is that of the addresses, 0 for any."""
    resolver = route.options.resolver
    if resolver is None:
        return (yield from co_resolve(host, port, route.test_hostnames, family))
    from .transport.resolvers import co_look_up  # noqa: PLC0415 - for those who use it

    return (yield from co_look_up(host, port, resolver, family))


def _co_in_time(operation: Co[T], timeout: float | None, failure: str) -> Co[T]:
    """Run *operation* within *timeout* seconds; *failure* begins the message if it is late."""
    if timeout is None:
        return (yield from operation)
    try:
        return (yield from within(time.monotonic() + timeout, operation))
    except ConnectionTimedOut:
        raise ConnectionTimedOut(f"{failure} within {timeout} seconds") from None


def _co_through(proxy: Proxy, route: Route, timeout: float | None) -> Co[Stream]:
    """Open a stream that leads to the origin, or to a proxy that forwards."""
    conversation = None
    if not proxy.forwards(route.hostname, https=route.ssl_context is not None):
        addresses = yield from _co_addresses(proxy, route, timeout)
        conversation = proxy.conversation(route.hostname, route.port, route.limits, addresses)
    while True:
        stream = yield from _co_reach_proxy(proxy, route, timeout)
        if conversation is None or (yield from co_converse(stream, conversation, timeout)):
            return stream


def _co_addresses(proxy: Proxy, route: Route, timeout: float | None) -> Co[list[str]]:
    """Look up the origin if *proxy* wants its addresses."""
    if not proxy.wants_addresses:
        return []
    looking = _co_look_up(route.hostname, route.port, route)
    found = yield from _co_in_time(looking, timeout, f"{route.hostname} was not looked up")
    return [address[0] for _, address in found]


def _co_reach_proxy(proxy: Proxy, route: Route, timeout: float | None) -> Co[Stream]:
    stream = TCPStream((yield from _co_reach(route, timeout)))
    if proxy.ssl_context is None:
        return stream
    from .transport.tls_over import co_start_tls  # noqa: PLC0415 - ssl costs 10 ms, for https only

    name, port = proxy.hostname, proxy.port
    place = route.options.session_place(proxy.ssl_context, name, name, port)
    try:
        return (
            yield from co_start_tls(stream, proxy.ssl_context, proxy.hostname, timeout, place=place)
        )
    except HandshakeFailed as exc:
        raise type(exc)(f"{proxy}: {exc}") from exc.__cause__


def co_converse(stream: Stream, conversation: Conversation, timeout: float | None) -> Co[bool]:
    """Carry a conversation with a proxy until it is over on this connection.

    Args:
        stream: leads to the proxy; it is closed unless the conversation succeeds.
        conversation: what is said.
        timeout: seconds for each wait; None sets no limit.

    Returns:
        True if *stream* leads to the origin now; False if the conversation goes on with
        another stream.

    Raises:
        TunnelRefused: the proxy said no.
        InvalidResponse: what it said is no answer.
        ConnectionClosed: it closed the connection.
        ConnectionTimedOut: nothing moved for *timeout* seconds.

    """
    buffer = ReceiveBuffer()
    over = False
    try:
        while not over:
            rest, conversation.to_send = memoryview(conversation.to_send), b""
            while rest:
                sent = stream.send([rest])
                if sent is None:
                    sent = yield from co_attempt(
                        stream.send, [rest], stream.wanted_by_send, timeout
                    )
                rest = rest[sent:]
            room = buffer.room()
            received = yield from co_receive(stream, stream.recv_into, room, timeout)
            buffer.end += received
            if received:
                over = conversation.receive(buffer)
            else:
                conversation.end_of_stream()
                over = True
        return conversation.opened
    finally:
        if not (over and conversation.opened):
            stream.close()


def _co_secure(
    stream: Stream, context: SSLContext, route: Route, timeout: float | None
) -> Co[Stream]:
    """Do TLS with the origin on *stream*, which is taken over, and closed if that fails.

    For all errors see `tls.co_start_tls`.
    """
    from .transport.tls_over import co_start_tls  # noqa: PLC0415 - ssl costs 10 ms, for https only

    options = route.options
    return (
        yield from co_start_tls(
            stream,
            context,
            options.server_name,
            timeout,
            fingerprints=options.fingerprints,
            place=options.session_place(context, options.server_name, route.hostname, route.port),
        )
    )
