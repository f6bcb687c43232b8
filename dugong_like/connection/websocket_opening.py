"""Opening a WebSocket on a connection: the handshake, and a response that refuses it.

Not here: which fields the handshake has (http/websocket/handshake.py), and opening one by a client
(client/websocket.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, cast

from ..errors import MAX_REFUSAL_BODY, WebSocketRefused
from ..http.header_validation import as_lines, check_meaning
from ..http.headers import Fields, field_pairs
from ..http.websocket.handshake import (
    MULTIPLE_CHOICES,
    SWITCHING_PROTOCOLS,
    Handshake,
    check_fields,
)
from ..polling.contract import Co
from .refusals import co_read_refusal
from .websocket import WebSocket

if TYPE_CHECKING:
    from ..http.websocket.options import WebSocketOptions
    from .exchange import Exchange, HTTPResponse
    from .h2.options import EitherHeads
    from .h2.session import Session as SessionTwo
    from .session import Session


class Requests(Protocol):
    """The operations of an `HTTPConnection` that open a WebSocket."""

    def co_send_request(
        self, method: str, path: str, headers: Fields | None = None
    ) -> Co[Exchange]:
        """Send a request without a body."""
        ...

    def co_read_response(self) -> Co[HTTPResponse]:
        """Read the head of the response."""
        ...

    def co_read(self, len_: int | None = None) -> Co[bytes]:
        """Read from the body."""
        ...

    def reset(self) -> None:
        """Close the connection."""
        ...


def co_open(
    conn: Requests, target: str, headers: Fields | None, options: WebSocketOptions, url: str
) -> Co[WebSocket]:
    """Open a WebSocket on *conn*; see `HTTPConnection.co_websocket`. *url* is for messages."""
    check_fields(headers)
    handshake = Handshake(options)
    fields = [*field_pairs(headers or ()), *handshake.fields()]
    yield from conn.co_send_request("GET", target, fields)
    response = yield from conn.co_read_response()
    if response.status != SWITCHING_PROTOCOLS:
        response = yield from _co_with_body(response, conn.co_read, conn.reset)
    try:
        agreement = handshake.agree(response.status, response.values, response)
    except WebSocketRefused as exc:
        if response.status == SWITCHING_PROTOCOLS:
            response.stream.drop()
        exc.label("GET", url)
        raise
    return WebSocket(response.stream, agreement, options, response)


def co_connect(
    session: Session,
    exchange: Exchange,
    heads: object,
    headers: Fields | None,
    options: WebSocketOptions,
    url: str,
) -> Co[WebSocket]:
    """Open a WebSocket on a stream of HTTP/2 (RFC 8441 section 5).

    Args:
        session: an open one of HTTP/2.
        exchange: a new one, with the target.
        heads: the `EitherHeads` of the connection.
        headers: see `HTTPConnection.co_websocket`.
        options: see there.
        url: for messages.

    Raises:
        Retired: the session takes no further request; nothing was sent.
        DugongError: see `HTTPConnection.co_websocket`.

    """
    from .h2 import tunnel  # noqa: PLC0415 - for connections with HTTP/2

    check_fields(headers)
    handshake = Handshake(options)
    fields = as_lines([*field_pairs(headers or ()), *handshake.connect_fields()])
    check_meaning(fields.values, "GET", has_body=False)
    head = cast("EitherHeads", heads).build_connect("websocket", exchange.target, fields)
    two = cast("SessionTwo", session)
    response, reader = yield from tunnel.co_open(two, exchange, head)
    stream = reader.stream
    assert stream.inner is not None
    try:
        if response.status >= MULTIPLE_CHOICES:
            response = yield from _co_with_body(response, exchange.co_read, stream.cancel)
        agreement = handshake.agree_to_connect(response.status, response.values, response)
    except BaseException as exc:
        stream.cancel()
        if isinstance(exc, WebSocketRefused):
            exc.label("CONNECT", url)
        raise
    return WebSocket(tunnel.Tunnel(two, stream.inner), agreement, options, response)


def _co_with_body(
    response: HTTPResponse, co_read: Callable[[int], Co[bytes]], give_up: Callable[[], object]
) -> Co[HTTPResponse]:
    """Return *response*, a refusal, with its body; without it, and given up, if it has no end."""
    body = bytearray()
    is_read = yield from co_read_refusal(_co_fill(body, co_read))
    if is_read and len(body) <= MAX_REFUSAL_BODY:
        return response.with_body(bytes(body))
    give_up()
    return response


def _co_fill(body: bytearray, co_read: Callable[[int], Co[bytes]]) -> Co[None]:
    """Read into *body*, until it is complete or too large."""
    while len(body) <= MAX_REFUSAL_BODY and (data := (yield from co_read(MAX_REFUSAL_BODY))):
        body += data
