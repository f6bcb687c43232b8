"""Opening a WebSocket on a connection: the handshake, and a response that refuses it.

Not here: which fields the handshake has (http/websocket/handshake.py), and opening one by a client
(client/websocket.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ..errors import MAX_REFUSAL_BODY, WebSocketRefused
from ..http.headers import Fields, field_pairs
from ..http.websocket.handshake import SWITCHING_PROTOCOLS, Handshake, check_fields
from ..polling.contract import Co
from .websocket import WebSocket

if TYPE_CHECKING:
    from ..http.websocket.options import WebSocketOptions
    from .exchange import Exchange, HTTPResponse


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
        response = yield from _co_with_body(conn, response)
    try:
        agreement = handshake.agree(response.status, response.values, response)
    except WebSocketRefused as exc:
        if response.status == SWITCHING_PROTOCOLS:
            response.stream.drop()
        exc.label("GET", url)
        raise
    return WebSocket(response.stream, agreement, options, response)


def _co_with_body(conn: Requests, response: HTTPResponse) -> Co[HTTPResponse]:
    """Return *response*, a refusal, with its body; without it, and closed, if that is large."""
    body = bytearray()
    while data := (yield from conn.co_read(MAX_REFUSAL_BODY)):
        body += data
        if len(body) > MAX_REFUSAL_BODY:
            conn.reset()
            return response
    return response.with_body(bytes(body))
