"""From an origin to a stream that is ready for its first request.

Resolve the name, connect (RFC 8305), ask the proxy for a tunnel, do the TLS
handshake; any of these may be interrupted, and then nothing is left open.

Not here: each of the steps (transport/, proxy/).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .http1.limits import Limits
from .polling import Co
from .proxy.tunnel import Tunnel
from .timeouts import Timeouts, as_timeouts, limited
from .trace import Trace, co_told
from .transport.buffer import ReceiveBuffer
from .transport.resolve import co_resolve, is_address
from .transport.tcp import (
    Address,
    Socket,
    Stream,
    TCPStream,
    addresses_of,
    co_attempt,
    co_connect_tcp,
)

if TYPE_CHECKING:
    from .transport.tls import SSLContext


@dataclass(frozen=True, slots=True)
class Route:
    """Where to connect to, and how.

    Attributes:
        hostname: host of the origin.
        port: port of the origin.
        ssl_context: for https, else None.
        proxy: host and port of the proxy, or None.
        limits: for the answer of the proxy.
        test_hostnames: see `co_resolve`.
        trace: who is told of each step, or None.

    """

    hostname: str
    port: int
    ssl_context: SSLContext | None
    proxy: tuple[str, int] | None
    limits: Limits
    test_hostnames: Sequence[str] = ()
    trace: Trace | None = None

    def __post_init__(self) -> None:
        if self.ssl_context is not None:  # loaded now: with a socket open it might fail
            from .transport import tls  # noqa: F401, PLC0415


def authority(hostname: str, port: int, default_port: int | None = None) -> str:
    """Return ``host:port``, or ``host`` if *port* is the default (RFC 9110 section 7.2)."""
    host = f"[{hostname.partition('%')[0]}]" if ":" in hostname else hostname
    return host if port == default_port else f"{host}:{port}"


def co_open(route: Route, timeout: float | Timeouts | None) -> Co[Stream]:
    """Open a stream along *route*.

    Args:
        route: where to.
        timeout: how long each phase may take; a number is `Timeouts.stall`.

    Raises:
        HostnameNotResolvable: a name does not exist.
        DNSUnavailable: a name could not be looked up.
        ConnectFailed: no address accepted the connection, or the system has no descriptors
            left.
        TunnelRefused: the proxy said no.
        InvalidResponse: the proxy does not speak HTTP/1.
        CertificateInvalid: the server's certificate is not accepted.
        HandshakeFailed: the server does not speak TLS.
        ConnectionClosed: the proxy closed the connection.
        ConnectionTimedOut: *timeout* was exceeded.

    """
    timeouts = as_timeouts(timeout)
    sock = yield from _co_reach(route, timeouts)
    try:
        if route.ssl_context is None:
            return TCPStream(sock)
        if route.proxy is not None:
            yield from _co_pass_proxy(sock, route, timeouts)
        return (yield from _co_secure(sock, route, timeouts))
    except BaseException:
        sock.close()
        raise


def _co_reach(route: Route, timeouts: Timeouts) -> Co[Socket]:
    """Connect to the proxy or, without one, to the origin."""
    host, port = route.proxy or (route.hostname, route.port)
    what = f"no connection to {authority(host, port)}"
    if timeouts.dns is None:
        connecting = _co_look_up_and_connect(route, host, port, timeouts)
        return (yield from limited(timeouts.to_reach, "connect", connecting, what))
    looking_up = _co_look_up(route, host, port)
    addresses = yield from limited(timeouts.dns, "dns", looking_up, f"no address of {host}")
    connecting = _co_connect(route, addresses, (host, port), timeouts)
    return (yield from limited(timeouts.to_reach, "connect", connecting, what))


def _co_look_up_and_connect(route: Route, host: str, port: int, timeouts: Timeouts) -> Co[Socket]:
    addresses = yield from _co_look_up(route, host, port)
    return (yield from _co_connect(route, addresses, (host, port), timeouts))


def _co_look_up(route: Route, host: str, port: int) -> Co[list[Address]]:
    looking_up = co_resolve(host, port, route.test_hostnames)
    if is_address(host):
        return (yield from looking_up)
    info = {"host": host, "port": port}
    return (yield from co_told(route.trace, "dns.resolve", looking_up, info))


def _co_connect(
    route: Route, addresses: Sequence[Address], where: tuple[str, int], timeouts: Timeouts
) -> Co[Socket]:
    connecting = co_connect_tcp(addresses, authority(*where), route.trace)
    info = {"host": where[0], "port": where[1], "timeout": timeouts.to_reach}
    return (
        yield from co_told(
            route.trace,
            "connection.connect_tcp",
            connecting,
            info,
            result=addresses_of,
            undo=Socket.close,
        )
    )


def _co_pass_proxy(sock: Socket, route: Route, timeouts: Timeouts) -> Co[None]:
    """Have the proxy open a tunnel."""
    assert route.proxy is not None
    proxy, target = authority(*route.proxy), authority(route.hostname, route.port)
    conversation = _co_tunnel(sock, route, timeouts.stall)
    told = co_told(route.trace, "proxy.connect", conversation, {"proxy": proxy, "target": target})
    yield from limited(timeouts.connect, "proxy", told, f"no tunnel through {proxy}")


def _co_secure(sock: Socket, route: Route, timeouts: Timeouts) -> Co[Stream]:
    """Do the TLS handshake."""
    from .transport.tls import TLSStream, co_start_tls  # noqa: PLC0415 - ssl costs 10 ms

    assert route.ssl_context is not None
    limit = timeouts.to_shake_hands
    shaking_hands: Co[TLSStream] = co_told(
        route.trace,
        "connection.start_tls",
        co_start_tls(sock, route.ssl_context, route.hostname, None),
        {"ssl_context": route.ssl_context, "server_hostname": route.hostname, "timeout": limit},
        result=TLSStream.describe,
        undo=TLSStream.close,
    )
    what = f"no TLS with {authority(route.hostname, route.port)}"
    return (yield from limited(limit, "tls", shaking_hands, what))


def _co_tunnel(sock: Socket, route: Route, timeout: float | None) -> Co[None]:
    """Have the proxy open a tunnel; *sock* is closed if it does not."""
    stream = TCPStream(sock)
    opened = False
    try:
        tunnel = Tunnel(authority(route.hostname, route.port), route.limits)
        request = memoryview(tunnel.request)
        while request:
            sent = stream.send([request])
            if sent is None:
                sent = yield from co_attempt(
                    stream.send, [request], stream.wanted_by_send, timeout, "proxy"
                )
            request = request[sent:]
        buffer = ReceiveBuffer()
        while not opened:
            received = yield from co_attempt(
                stream.recv_into,
                buffer.room(),
                stream.wanted_by_recv,
                timeout,
                "proxy",
            )
            if received == 0:
                tunnel.end_of_stream()
            buffer.end += received
            opened = tunnel.receive(buffer)
    finally:
        if opened:
            stream.release()
        else:
            stream.close()
