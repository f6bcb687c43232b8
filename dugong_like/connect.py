"""From an origin to a stream that is ready for its first request.

Resolve the name, connect (RFC 8305), ask the proxy for a tunnel, do the TLS
handshake; any of these may be interrupted, and then nothing is left open.

Not here: each of the steps (transport/, proxy/).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .errors import ConnectionTimedOut
from .http1.limits import Limits
from .polling import Co, within
from .transport.buffer import ReceiveBuffer
from .transport.resolve import co_resolve, literal
from .transport.stream import Stream
from .transport.tcp import (
    Attempt,
    Socket,
    TCPStream,
    co_attempt,
    co_connect_tcp,
    co_finish_tcp,
    connect_failed,
)

if TYPE_CHECKING:
    from .transport.tls import SSLContext


class Route:
    """Where to connect to, and how. Nothing of it is ever changed.

    Attributes:
        hostname: host of the origin.
        port: port of the origin.
        ssl_context: for https, else None.
        proxy: host and port of the proxy, or None.
        limits: for the answer of the proxy.
        test_hostnames: see `co_resolve`.
        first: host and port of who is connected to, the proxy or the origin.
        address: the same as a socket address, None if it has to be looked up.

    """

    __slots__ = (
        *("address", "first", "hostname", "limits", "port", "proxy", "ssl_context"),
        *("test_hostnames",),
    )

    def __init__(
        self,
        hostname: str,
        port: int,
        ssl_context: SSLContext | None,
        proxy: tuple[str, int] | None,
        limits: Limits,
        test_hostnames: Sequence[str] = (),
    ) -> None:
        self.hostname = hostname
        self.port = port
        self.ssl_context = ssl_context
        self.proxy = proxy
        self.limits = limits
        self.test_hostnames = test_hostnames
        self.first = proxy or (hostname, port)
        self.address = literal(*self.first)
        if ssl_context is not None:  # loaded now: with a socket open it might fail
            from .transport import tls  # noqa: F401, PLC0415

            if proxy is not None:
                from .proxy import tunnel  # noqa: F401, PLC0415


def authority(hostname: str, port: int, default_port: int | None = None) -> str:
    """Return ``host:port``, or ``host`` if *port* is the default (RFC 9110 section 7.2)."""
    host = f"[{hostname.partition('%')[0]}]" if ":" in hostname else hostname
    return host if port == default_port else f"{host}:{port}"


def begin(route: Route) -> Attempt | None:
    """Begin to connect, if nothing has to be looked up for that; `co_open` does the rest.

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
        InvalidResponse: the proxy does not speak HTTP/1.
        CertificateInvalid: the server's certificate is not accepted.
        HandshakeFailed: the server does not speak TLS.
        ConnectionClosed: the proxy closed the connection.
        ConnectionTimedOut: *timeout* was exceeded.

    """
    if attempt is not None and attempt.connected:
        sock = attempt.sock
    else:
        sock = yield from _co_reach(route, timeout, attempt)
    if route.ssl_context is None:
        return TCPStream(sock)
    if route.proxy is not None:
        yield from _co_tunnel(sock, route, timeout)
    from .transport.tls import co_start_tls  # noqa: PLC0415 - ssl costs 10 ms, for https only

    return (yield from co_start_tls(sock, route.ssl_context, route.hostname, timeout))


def _co_reach(route: Route, timeout: float | None, attempt: Attempt | None) -> Co[Socket]:
    """Connect to the proxy or, without one, to the origin, within *timeout* seconds."""
    name = authority(*route.first)
    connecting = _co_connect(route, name) if attempt is None else co_finish_tcp(attempt, name)
    if timeout is None:
        return (yield from connecting)
    try:
        return (yield from within(time.monotonic() + timeout, connecting))
    except ConnectionTimedOut:
        raise ConnectionTimedOut(f"no connection to {name} within {timeout} seconds") from None


def _co_connect(route: Route, name: str) -> Co[Socket]:
    addresses = yield from co_resolve(*route.first, route.test_hostnames)
    return (yield from co_connect_tcp(addresses, name))


def _co_tunnel(sock: Socket, route: Route, timeout: float | None) -> Co[None]:
    """Have the proxy open a tunnel; *sock* is closed if it does not."""
    from .proxy.tunnel import Tunnel  # noqa: PLC0415 - for few programs

    stream = TCPStream(sock)
    opened = False
    try:
        tunnel = Tunnel(authority(route.hostname, route.port), route.limits)
        request = memoryview(tunnel.request)
        while request:
            sent = stream.send([request])
            if sent is None:
                sent = yield from co_attempt(stream.send, [request], stream.wanted_by_send, timeout)
            request = request[sent:]
        buffer = ReceiveBuffer()
        while not opened:
            received = yield from co_attempt(
                stream.recv_into,
                buffer.room(),
                stream.wanted_by_recv,
                timeout,
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
