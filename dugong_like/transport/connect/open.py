"""From an origin to a stream that is ready for its first request.

Name look-up, connecting (RFC 8305), the handshake with the proxy, the TLS handshake; after an
interruption of any of them nothing is left open.

Not here: the description of the route (route.py), the single steps (dns.py, happy_eyeballs.py,
tls/handshake.py), and the protocols of proxies (proxy/).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...errors import (
    ConnectionClosed,
    HandshakeFailed,
    ProtocolError,
    TransportError,
)
from ...http.hosts import authority
from ...polling.contract import Co
from ...polling.fairness import StepCounter
from ...polling.timeouts import NO_LIMITS, Timeouts, as_timeouts, limited
from ...polling.wake import co_checkpoint
from ..attempts import SendLimit, co_attempts, co_receive
from ..buffer import ReceiveBuffer
from ..stream import Stream
from ..tcp import Socket, TCPStream
from ..trace import Info, co_traced, report_retry
from .dns import co_resolve, is_address
from .happy_eyeballs import (
    Address,
    Attempt,
    addresses_of,
    co_connect_tcp,
    co_finish_tcp,
    connect_failed,
)
from .route import Route

if TYPE_CHECKING:
    from ..proxy.conversation import Conversation
    from ..proxy.proxy import Proxy
    from ..tls.over_socket import SSLContext


def begin(route: Route) -> tuple[Stream | None, Attempt | None]:
    """Begin to connect, if that is the first step; `co_open` does the rest.

    A name has to be looked up first, and for some proxies that of the origin.

    There are no trace events for that: see `SharedState.open`.

    Returns:
        The stream, or None if it is not ready; and what `co_open` goes on with, if there is any.

    Raises:
        ConnectFailed, InvalidOption: see `co_open`.

    """
    if route.address is None or route.proxy is not None:  # its name look-up may come first
        return None, None
    try:
        attempt = Attempt(route.address, route.options.sockets)
    except OSError as exc:
        raise connect_failed(authority(*route.first), exc) from exc
    if attempt.connected and route.ssl_context is None:
        return TCPStream(attempt.sock), None
    return None, attempt


def co_open(
    route: Route, timeout: float | Timeouts | None, attempt: Attempt | None = None
) -> Co[Stream]:
    """Open a stream along *route*.

    Args:
        route: the route.
        timeout: limits for each phase; a number is `Timeouts.stall`.
        attempt: the result of `begin`.

    Raises:
        HostnameNotResolvable: a name does not exist.
        DNSUnavailable: a name could not be looked up.
        ConnectFailed: no address accepted the connection, or the system has no descriptors
            left.
        TunnelRefused: the proxy refused the tunnel.
        InvalidResponse: the proxy does not speak HTTP/1, or SOCKS.
        CertificateInvalid: the certificate of the server, or of the proxy, is not accepted.
        HandshakeFailed: the server, or the proxy, does not speak TLS.
        ConnectionClosed: the proxy closed the connection.
        ConnectionTimedOut: *timeout* was exceeded.
        InvalidOption: the system refuses an option of the socket.
        StateError: the socket of the caller, over which the connection was made, has ended.

    """
    timeouts = as_timeouts(timeout)
    if route.proxy is None:
        stream = yield from _co_stream(route, timeouts, attempt)
    else:
        stream = yield from _co_through(route.proxy, route, timeouts)
    if route.ssl_context is None:
        return stream
    return (yield from _co_secure(stream, route.ssl_context, route, timeouts))


# ---- to the origin, or to the proxy


def _co_stream(route: Route, timeouts: Timeouts, attempt: Attempt | None = None) -> Co[Stream]:
    """Open a stream to the proxy or, without one, to the origin; see `_co_reach`."""
    transport = route.options.transport
    if route.options.existing is not None:
        return route.options.existing.take()
    if transport is None:
        return TCPStream((yield from _co_reach(route, timeouts, attempt)))
    limit, path = timeouts.to_reach, route.options.path
    if path is None:
        host, port = route.first
        name, event = route.peer, "connection.connect_tcp"
        opening = transport.co_connect_tcp(host, port)
        info: Info = {"host": host, "port": port, "local_address": None, "timeout": limit}
    else:
        from .unix import name_of  # noqa: PLC0415 - only when used

        name, event = name_of(path), "connection.connect_unix_socket"
        opening = transport.co_connect_unix(path)
        info = {"path": os.fsdecode(path), "timeout": limit}
    traced = co_traced(route.trace, event, opening, info, result=_no_addresses, undo=_close)
    return (yield from limited(limit, "connect", traced, f"no connection to {name}"))


def _co_reach(route: Route, timeouts: Timeouts, attempt: Attempt | None = None) -> Co[Socket]:
    """Connect to the proxy or, without one, to the origin.

    *attempt* may be a started attempt.
    """
    if attempt is not None and attempt.connected:
        return attempt.sock
    name = route.peer
    limit = timeouts.to_reach
    if attempt is not None:
        connecting = co_finish_tcp(attempt, name)
    elif route.options.path is not None:
        from .unix import name_of  # noqa: PLC0415 - only when used

        name = name_of(route.options.path)
        connecting = _co_connect_unix(route.options.path, route, limit)
    elif timeouts.dns is None:
        connecting = _co_look_up_and_connect(route, limit)
    else:
        addresses = yield from _co_look_up_first(route, timeouts)
        connecting = _co_connect(addresses, route, limit)
    return (yield from limited(limit, "connect", connecting, f"no connection to {name}"))


def _co_look_up_and_connect(route: Route, limit: float | None) -> Co[Socket]:
    addresses = yield from _co_look_up_first(route, NO_LIMITS)
    return (yield from _co_connect(addresses, route, limit))


def _co_look_up_first(route: Route, timeouts: Timeouts) -> Co[Sequence[Address]]:
    """Look up the peer of the connection."""
    if route.address is not None:
        return [route.address]
    return (yield from _co_look_up(*route.first, route, timeouts, route.options.family))


def _co_look_up(
    host: str, port: int, route: Route, timeouts: Timeouts, family: int = 0
) -> Co[Sequence[Address]]:
    """Look up *host*, within `Timeouts.dns` if that is given, else within `Timeouts.to_reach`.

    *family* is the family of the addresses, 0 for any.
    """
    resolver = route.options.resolver
    looking: Co[Sequence[Address]]
    if resolver is None:
        looking = co_resolve(host, port, route.test_hostnames, family)
    else:
        from .resolvers import co_look_up  # noqa: PLC0415 - only when used

        looking = co_look_up(host, port, resolver, family)
    if is_address(host):  # no look-up
        return (yield from looking)
    traced = co_traced(route.trace, "dns.resolve", looking, {"host": host, "port": port})
    phase = "connect" if timeouts.dns is None else "dns"
    limit = timeouts.to_look_up
    return (yield from limited(limit, phase, traced, f"no address of {host}"))


def _co_connect(addresses: Sequence[Address], route: Route, limit: float | None) -> Co[Socket]:
    """Connect to one of *addresses*; *limit* is only for the trace."""
    sockets = route.options.sockets
    connecting = co_connect_tcp(addresses, route.peer, sockets, route.trace)
    if route.trace is None:
        return connecting
    host, port = route.first
    local = None if sockets is None else sockets.local_address
    return co_traced(
        route.trace,
        "connection.connect_tcp",
        connecting,
        {"host": host, "port": port, "local_address": local, "timeout": limit},
        result=addresses_of,
        undo=Socket.close,
    )


def _co_connect_unix(path: bytes, route: Route, limit: float | None) -> Co[Socket]:
    """Connect to the unix domain socket at *path*; *limit* is only for the trace."""
    from .unix import co_connect_unix  # noqa: PLC0415 - only when used

    return co_traced(
        route.trace,
        "connection.connect_unix_socket",
        co_connect_unix(path, route.options.sockets),
        {"path": os.fsdecode(path), "timeout": limit},
        result=addresses_of,
        undo=Socket.close,
    )


# ---- through the proxy


def _co_through(proxy: Proxy, route: Route, timeouts: Timeouts) -> Co[Stream]:
    """Open a stream that leads to the origin, or to a proxy that forwards."""
    conversation = None
    if not proxy.forwards(route.hostname, https=route.ssl_context is not None):
        addresses = yield from _co_addresses(proxy, route, timeouts)
        conversation = proxy.conversation(route.hostname, route.port, route.limits, addresses)
    while True:
        stream = yield from _co_reach_proxy(proxy, route, timeouts)
        if conversation is None:
            return stream
        if (yield from _co_pass_proxy(proxy, stream, conversation, route, timeouts)):
            return stream
        if route.trace is not None:
            report_retry(route.trace, route.hostname, route.port)


def _co_addresses(proxy: Proxy, route: Route, timeouts: Timeouts) -> Co[list[str]]:
    """Look up the origin if *proxy* needs its addresses."""
    if not proxy.wants_addresses:
        return []
    found = yield from _co_look_up(route.hostname, route.port, route, timeouts)
    return [address[0] for _, address in found]


def _co_reach_proxy(proxy: Proxy, route: Route, timeouts: Timeouts) -> Co[Stream]:
    try:
        stream = yield from _co_stream(route, timeouts)
        if proxy.ssl_context is None:
            return stream
        return (yield from _co_secure(stream, proxy.ssl_context, route, timeouts, proxy))
    except TransportError as exc:
        exc.blame_proxy(route.peer)
        raise


def _co_pass_proxy(
    proxy: Proxy, stream: Stream, conversation: Conversation, route: Route, timeouts: Timeouts
) -> Co[bool]:
    """Run `co_converse` with trace events and a time limit."""
    name, limit = authority(*route.first), timeouts.to_open_tunnel
    traced = co_traced(
        route.trace,
        f"proxy.{proxy.protocol}",
        co_converse(stream, conversation, timeouts.to_converse),
        {"proxy": name, "target": authority(route.hostname, route.port), "timeout": limit},
    )
    passed = False
    try:
        opened = yield from limited(limit, "proxy", traced, f"no tunnel through {route.peer}")
        passed = True
    except (TransportError, ProtocolError) as exc:
        exc.blame_proxy(route.peer)
        raise
    finally:
        if not passed:  # perhaps it has not even begun
            stream.close()
    return opened


def co_converse(stream: Stream, conversation: Conversation, timeout: float | None) -> Co[bool]:
    """Run the handshake with a proxy until it is complete on this connection.

    Args:
        stream: leads to the proxy; it is closed unless the handshake succeeds.
        conversation: the handshake.
        timeout: seconds for each wait; None sets no limit.

    Returns:
        True if *stream* leads to the origin now; False if the handshake continues on another
        stream.

    Raises:
        TunnelRefused: the proxy refused the tunnel.
        InvalidResponse: its response is not valid.
        ConnectionClosed: it closed the connection.
        ConnectionTimedOut: nothing arrived, or could be sent, for *timeout* seconds.

    """
    buffer = ReceiveBuffer()
    over = False
    lost: ConnectionClosed | None = None
    steps = StepCounter()
    try:
        while not over:
            if steps.is_over():
                yield from co_checkpoint()
            try:
                yield from _co_say(stream, conversation, timeout)
                received = yield from _co_hear(stream, buffer, timeout)
            except ConnectionClosed as exc:
                lost, received = exc, _receive_rest(stream, buffer)
            buffer.end += received
            if received:
                over = conversation.receive(buffer)
            else:
                conversation.end_of_stream(lost)
                over = True
        return conversation.opened
    finally:
        if not (over and conversation.opened):
            stream.close()


def _co_say(stream: Stream, conversation: Conversation, timeout: float | None) -> Co[None]:
    """Send the next bytes of the handshake to the proxy."""
    rest, conversation.to_send = memoryview(conversation.to_send), b""
    while rest:
        sent = stream.send([rest])
        if sent is None:
            unsent = "nothing could be sent to the proxy"
            waits = SendLimit(stream.wanted_by_send, timeout, "proxy", unsent)
            sent = yield from co_attempts(stream.send, [rest], waits)
        rest = rest[sent:]


def _co_hear(stream: Stream, buffer: ReceiveBuffer, timeout: float | None) -> Co[int]:
    """Receive into the free part of *buffer*, and return the number of bytes."""
    return co_receive(
        stream, stream.recv_into, buffer.room(), timeout, "proxy", "nothing arrived from the proxy"
    )


def _receive_rest(stream: Stream, buffer: ReceiveBuffer) -> int:
    """Receive bytes that arrived before the connection was lost."""
    try:
        return stream.recv_into(buffer.room()) or 0
    except ConnectionClosed:
        return 0


# ---- TLS


def _co_secure(
    stream: Stream,
    context: SSLContext,
    route: Route,
    timeouts: Timeouts,
    proxy: Proxy | None = None,
) -> Co[Stream]:
    """Do the TLS handshake with the origin, or with *proxy*.

    *stream* is taken over, and closed on failure. For all errors see `tls.co_start_tls`.
    """
    if proxy is None and getattr(stream, "secured", False):
        return stream  # of a transport of the user's
    from ..tls.start import co_start_tls  # noqa: PLC0415 - ssl costs 10 ms, for https only

    options = route.options
    if proxy is None:
        host, port, name = route.hostname, route.port, options.server_name
        fingerprints, event = options.fingerprints, "connection.start_tls"
        offer = route.offer
    else:
        host, port, name = proxy.host, proxy.port, proxy.host
        fingerprints, event = (), "proxy.start_tls"
        offer = ()
    limit = timeouts.to_shake_hands
    place = options.session_place(context, name, host, port)
    shaking_hands = co_start_tls(
        stream, context, name, None, fingerprints=fingerprints, place=place, offer=offer
    )
    traced = co_traced(
        route.trace,
        event,
        shaking_hands,
        {"ssl_context": context, "server_hostname": name, "timeout": limit},
        result=_agreed,
        undo=_close,
    )
    secured: Stream | None = None
    try:
        secured = yield from limited(limit, "tls", traced, f"no TLS with {authority(host, port)}")
    except HandshakeFailed as exc:
        if proxy is None and route.proxy is not None:
            exc.args = (f"{authority(host, port)}: {exc}",)  # it was not the proxy
        raise
    finally:
        if secured is None:  # perhaps it has not even begun
            stream.close()
    return secured


def _no_addresses(_: Stream) -> Info:
    """Return the addresses as `addresses_of`, for a stream that may have none."""
    return {"local_address": None, "server_address": None}


def _close(stream: Stream) -> None:
    stream.close()


def _agreed(stream: Stream) -> Info:
    """Return the result of a TLS handshake, for a trace."""
    tls = stream.tls
    return {
        "version": tls.version(),
        "cipher": tls.cipher(),
        "alpn": tls.selected_alpn_protocol(),
        "session_reused": tls.session_reused,
        "ssl_object": tls,
    }
