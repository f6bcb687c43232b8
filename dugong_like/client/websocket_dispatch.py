"""Sending the opening handshake of a WebSocket by a connection of a pool.

A stream of an HTTP/2 connection is taken (RFC 8441) if one is open to the origin, has room, and its
server has announced that it takes WebSockets. Otherwise the WebSocket gets a connection of its own,
with HTTP/1.1, as in browsers: no connection is opened with HTTP/2 only to find out whether a server
takes them there. Where HTTP/2 alone may be spoken one is, and it is an error if the server does not
take them.

Not here: the handshake (http/websocket/handshake.py), the layers that it passes (websocket.py), and
the bytes behind it (connection/h2/tunnel.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from ..connection.connection_view import ConnectionView
from ..errors import GoneAway, StateError, StreamReset
from ..http.header_validation import as_lines
from ..http.url import Origin
from . import dispatch
from .response import Response
from .share import StreamLease

if TYPE_CHECKING:
    from ..connection.connection import HTTPConnection
    from ..connection.exchange import HTTPResponse
    from ..connection.h2.tunnel import Tunnel
    from ..polling.contract import Co
    from .request import ClientRequest

PROTOCOL: Final = "websocket"
MISDIRECTED: Final = 421  # RFC 9110 section 15.5.20: for another connection
OF_HTTP_1: Final = frozenset({"connection", "sec-websocket-key", "upgrade"})  # RFC 8441 section 5


class Streams(dispatch.Leases, Protocol):
    """The part of a `Pool` that is used here."""

    def take_tunnel(self, origin: Origin, /) -> StreamLease | None:
        """Take a stream of an open connection whose server takes WebSockets, if there is one."""
        ...

    def streams_alone(self, origin: Origin, request: ClientRequest, /) -> dispatch.Leases | None:
        """Return what lends streams, opening connections, if nothing else may be spoken."""
        ...


class OpenedResponse(Response):
    """The response to an extended CONNECT that has opened a tunnel."""

    tunnel: Tunnel | None = None

    def take_tunnel(self) -> Tunnel:
        """Return the tunnel, and close the response. Raises `StateError` the second time."""
        tunnel, self.tunnel = self.tunnel, None
        if tunnel is None:
            raise StateError("the tunnel was closed with its response, or was taken")
        self.close()
        return tunnel

    def close(self) -> None:
        """Close the tunnel, unless it was taken."""
        tunnel, self.tunnel = self.tunnel, None
        if tunnel is not None:
            tunnel.drop()
        super().close()


class _Leases:
    """The leases of one handshake: streams where possible, whole connections elsewhere.

    Args:
        pool: lends them.
        over_http_2: the origin for connections that are shared.

    """

    def __init__(self, pool: Streams, over_http_2: Origin) -> None:
        self._pool = pool
        self._over_http_2 = over_http_2

    def try_acquire(self, origin: Origin) -> dispatch.Lease | None:
        """See `dispatch.Leases`."""
        stream = self._pool.take_tunnel(self._over_http_2)
        return self._pool.try_acquire(origin) if stream is None else stream

    def co_acquire(self, origin: Origin, deadline: float | None) -> Co[dispatch.Lease]:
        """See `dispatch.Leases`."""
        return self._pool.co_acquire(origin, deadline)


def co_dispatch(pool: Streams, origin: Origin, request: ClientRequest) -> Co[Response]:
    """Send *request*, the opening handshake of a WebSocket, and return its response.

    Args:
        pool: lends connections.
        origin: where those of HTTP/1.1 lead, with the scheme of a WebSocket.
        request: as HTTP/1.1 sends it.

    Returns:
        The response: an `OpenedResponse`; or one that has to be 101, or is a refusal.

    Raises:
        PoolTimedOut: no connection became free in time.
        InvalidRequest: only HTTP/2 may be spoken, and the server takes no WebSocket there.
        DugongError: there is no response.

    """
    other = request.url.origin
    if request.connecting is not None:
        other = request.connecting.at(other)
    alone = pool.streams_alone(other, request)
    if alone is not None:
        return (yield from dispatch.co_with_lease(alone, other, request, _co_shake_hands, _finish))
    leases = _Leases(pool, other)
    try:
        response = yield from dispatch.co_with_lease(
            leases, origin, request, _co_shake_hands, _finish
        )
    except (StreamReset, GoneAway) as exc:
        if not dispatch.needs_http_1(request, exc):
            raise
    else:
        if response.status_code != MISDIRECTED or not _is_stream(response.connection):
            return response
        response.close()
    return (yield from dispatch.co_dispatch(pool, origin, request))


def _is_stream(connection: HTTPConnection | None) -> bool:
    return isinstance(connection, ConnectionView)


def _co_shake_hands(
    connection: HTTPConnection, request: ClientRequest
) -> Co[tuple[HTTPResponse, bool | Tunnel | None]]:
    if not isinstance(connection, ConnectionView):
        return (yield from dispatch.co_exchange_in_parts(connection, request))
    fields = request.headers.wire_items()
    lines = as_lines([pair for pair in fields if pair[0].lower() not in OF_HTTP_1])
    return (yield from connection.co_tunnel(PROTOCOL, request.url.target, lines))


def _finish(
    lease: dispatch.Lease,
    request: ClientRequest,
    received: tuple[HTTPResponse, bool | Tunnel | None],
) -> Response:
    message, tunnel = received
    if tunnel is None or isinstance(tunnel, bool):
        return dispatch.arriving_response(lease, request, (message, bool(tunnel)))
    tunnel.on_end = lease.release
    response = OpenedResponse.received(message, request, lease.connection, b"")
    assert isinstance(response, OpenedResponse)
    response.tunnel = tunnel
    return response
