"""From an origin to a stream that is ready for its first request.

Resolve the name, connect (RFC 8305), come to terms with the proxy, do the TLS
handshake; any of these may be interrupted, and then nothing is left open.

Not here: each of the steps (transport/), and what is said to a proxy (proxy/).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .errors import HandshakeFailed
from .http1.limits import Limits
from .origin import authority
from .polling import Co
from .timeouts import NO_LIMITS, Timeouts, as_timeouts, first, limited
from .trace import Info, Trace, co_told
from .transport.buffer import ReceiveBuffer
from .transport.resolve import co_resolve, is_address, literal
from .transport.stream import Stream
from .transport.tcp import (
    Address,
    Attempt,
    Socket,
    TCPStream,
    addresses_of,
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


class Route:
    """Where to connect to, and how. Nothing of it is ever changed.

    Attributes:
        hostname: host of the origin.
        port: port of the origin.
        ssl_context: for https, else None.
        proxy: the proxy, or None.
        limits: for the answer of the proxy.
        test_hostnames: see `co_resolve`.
        first: host and port of who is connected to, the proxy or the origin.
        address: the same as a socket address, None if it has to be looked up.
        trace: who is told of each step, or None.

    """

    __slots__ = (
        *("address", "first", "hostname", "limits", "port", "proxy", "ssl_context"),
        *("test_hostnames", "trace"),
    )

    def __init__(
        self,
        hostname: str,
        port: int,
        ssl_context: SSLContext | None,
        proxy: Proxy | None,
        limits: Limits,
        test_hostnames: Sequence[str] = (),
        trace: Trace | None = None,
    ) -> None:
        self.hostname = hostname
        self.port = port
        self.ssl_context = ssl_context
        self.proxy = proxy
        self.limits = limits
        self.test_hostnames = test_hostnames
        self.trace = trace
        self.first = (hostname, port) if proxy is None else (proxy.hostname, proxy.port)
        self.address = literal(*self.first)
        if ssl_context is not None:  # loaded now: with a socket open it might fail
            from .transport import tls  # noqa: F401, PLC0415

    def told(self, trace: Trace) -> Route:
        """Return the same route, with *trace* told of each step."""
        return Route(
            self.hostname,
            self.port,
            self.ssl_context,
            self.proxy,
            self.limits,
            self.test_hostnames,
            trace,
        )

    @property
    def has_tls(self) -> bool:
        """True if the stream is TLS, to the origin or just to a proxy."""
        to_proxy = self.proxy is not None and self.proxy.ssl_context is not None
        return self.ssl_context is not None or to_proxy


def begin(route: Route) -> Attempt | None:
    """Begin to connect, if nothing has to be looked up for that; `co_open` does the rest.

    No trace is told of that: see `WatchedLink.open`.

    Raises:
        ConnectFailed: see `co_open`.

    """
    if route.address is None:
        return None
    try:
        return Attempt(route.address)
    except OSError as exc:
        raise connect_failed(authority(*route.first), exc) from exc


def at_once(route: Route, attempt: Attempt) -> Stream | None:
    """Return the stream if *attempt* has led to it already; None: there is more to do."""
    if attempt.connected and route.ssl_context is None and route.proxy is None:
        return TCPStream(attempt.sock)
    return None


def co_open(
    route: Route, timeout: float | Timeouts | None, attempt: Attempt | None = None
) -> Co[Stream]:
    """Open a stream along *route*.

    Args:
        route: where to.
        timeout: how long each phase may take; a number is `Timeouts.stall`.
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

    """
    timeouts = as_timeouts(timeout)
    if route.proxy is None:
        stream: Stream = TCPStream((yield from _co_reach(route, timeouts, attempt)))
    else:
        stream = yield from _co_through(route.proxy, route, timeouts, attempt)
    if route.ssl_context is None:
        return stream
    where = (route.hostname, route.port)
    return (yield from _co_secure(stream, route.ssl_context, where, timeouts, route.trace))


def _co_reach(route: Route, timeouts: Timeouts, attempt: Attempt | None) -> Co[Socket]:
    """Connect to the proxy or, without one, to the origin; *attempt* has begun to."""
    if attempt is not None and attempt.connected:
        return attempt.sock
    name = authority(*route.first)
    what = f"no connection to {name}"
    if attempt is not None:
        connecting = co_finish_tcp(attempt, name)
    elif timeouts.dns is None:
        connecting = _co_look_up_and_connect(route, timeouts)
    else:
        addresses = yield from _co_look_up(route, *route.first, timeouts)
        connecting = _co_connect(route, addresses, timeouts)
    return (yield from limited(timeouts.to_reach, "connect", connecting, what))


def _co_look_up_and_connect(route: Route, timeouts: Timeouts) -> Co[Socket]:
    addresses = yield from _co_look_up(route, *route.first, NO_LIMITS)
    return (yield from _co_connect(route, addresses, timeouts))


def _co_look_up(route: Route, host: str, port: int, timeouts: Timeouts) -> Co[list[Address]]:
    """Look up *host*, within `Timeouts.dns` if that is given, else within `Timeouts.to_reach`."""
    looking = co_resolve(host, port, route.test_hostnames)
    if is_address(host):
        return (yield from looking)
    told = co_told(route.trace, "dns.resolve", looking, {"host": host, "port": port})
    phase = "connect" if timeouts.dns is None else "dns"
    limit = first(timeouts.dns, timeouts.to_reach)
    return (yield from limited(limit, phase, told, f"no address of {host}"))


def _co_connect(route: Route, addresses: Sequence[Address], timeouts: Timeouts) -> Co[Socket]:
    connecting = co_connect_tcp(addresses, authority(*route.first), route.trace)
    if route.trace is None:
        return connecting
    host, port = route.first
    return co_told(
        route.trace,
        "connection.connect_tcp",
        connecting,
        {"host": host, "port": port, "timeout": timeouts.to_reach},
        result=addresses_of,
        undo=Socket.close,
    )


def _co_through(
    proxy: Proxy, route: Route, timeouts: Timeouts, attempt: Attempt | None
) -> Co[Stream]:
    """Open a stream that leads to the origin, or to a proxy that forwards."""
    stream = yield from _co_reach_proxy(proxy, route, timeouts, attempt)
    if proxy.forwards(route.hostname, https=route.ssl_context is not None):
        return stream
    try:
        addresses = yield from _co_addresses(proxy, route, timeouts)
        conversation = proxy.conversation(route.hostname, route.port, route.limits, addresses)
    except BaseException:
        stream.close()
        raise
    while not (yield from _co_pass_proxy(stream, conversation, route, timeouts)):
        stream = yield from _co_reach_proxy(proxy, route, timeouts, None)
    return stream


def _co_addresses(proxy: Proxy, route: Route, timeouts: Timeouts) -> Co[list[str]]:
    """Look up the origin if *proxy* wants its addresses."""
    if not proxy.wants_addresses:
        return []
    found = yield from _co_look_up(route, route.hostname, route.port, timeouts)
    return [address[0] for _, address in found]


def _co_reach_proxy(
    proxy: Proxy, route: Route, timeouts: Timeouts, attempt: Attempt | None
) -> Co[Stream]:
    stream = TCPStream((yield from _co_reach(route, timeouts, attempt)))
    if proxy.ssl_context is None:
        return stream
    try:
        return (
            yield from _co_secure(stream, proxy.ssl_context, route.first, timeouts, route.trace)
        )
    except HandshakeFailed as exc:
        raise type(exc)(f"{proxy}: {exc}") from exc.__cause__


def _co_pass_proxy(
    stream: Stream, conversation: Conversation, route: Route, timeouts: Timeouts
) -> Co[bool]:
    """Carry the conversation as `co_converse` does, tell of it, and limit it."""
    assert route.proxy is not None
    name = authority(*route.first)
    told = co_told(
        route.trace,
        f"proxy.{route.proxy.protocol}",
        co_converse(stream, conversation, timeouts.stall),
        {"proxy": name, "target": authority(route.hostname, route.port)},
    )
    passed = False
    try:
        opened = yield from limited(timeouts.connect, "proxy", told, f"no tunnel through {name}")
        passed = True
    finally:
        if not passed:
            stream.close()
    return opened


def _co_secure(
    stream: Stream,
    context: SSLContext,
    where: tuple[str, int],
    timeouts: Timeouts,
    trace: Trace | None,
) -> Co[Stream]:
    """Do the TLS handshake with the host of *where*, tell of it, and limit it."""
    limit = timeouts.to_shake_hands
    shaking_hands = co_start_tls(stream, context, where[0], None)
    if trace is not None:
        info: Info = {"ssl_context": context, "server_hostname": where[0], "timeout": limit}
        shaking_hands = co_told(
            trace,
            "connection.start_tls",
            shaking_hands,
            info,
            result=_describe,
            undo=_close,
        )
    secured = False
    try:
        what = f"no TLS with {authority(*where)}"
        result = yield from limited(limit, "tls", shaking_hands, what)
        secured = True
    finally:
        if not secured:
            stream.close()
    return result


def _close(stream: Stream) -> None:
    stream.close()


def _describe(stream: Stream) -> Info:
    from .transport.tls import TLSStream  # noqa: PLC0415 - it is loaded already

    assert isinstance(stream, TLSStream)
    return stream.describe()


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
                        stream.send, [rest], stream.wanted_by_send, timeout, "proxy"
                    )
                rest = rest[sent:]
            room = buffer.room()
            received = yield from co_receive(stream, stream.recv_into, room, timeout, "proxy")
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


def co_start_tls(
    stream: Stream, context: SSLContext, hostname: str, timeout: float | None
) -> Co[Stream]:
    """Do TLS with *hostname* on *stream*, which is taken over, and closed if that fails.

    For all arguments and errors see `tls.co_start_tls`. *stream* has to be plain TCP. This
    is where TLS inside TLS belongs, for https through a proxy that speaks TLS; until then
    `Proxy.forwards` refuses that.
    """
    from .transport import tls  # noqa: PLC0415 - ssl costs 10 ms, for https only

    assert isinstance(stream, TCPStream)
    return (yield from tls.co_start_tls(stream.release(), context, hostname, timeout))
