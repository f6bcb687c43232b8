"""Opening a WebSocket by a client: the handshake is a request that passes its layers.

So it has the client's fields, cookies, authentication, redirects, proxies, time limits and TLS, as
any GET. A connection of the pool becomes the WebSocket, and counts no longer among those of the
pool; or the WebSocket is a stream of one that speaks HTTP/2.

Not here: which connection it is (websocket_dispatch.py), the handshake
(http/websocket/handshake.py), and what can be done with an open WebSocket
(connection/websocket.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ..connection.refusals import co_read_refusal
from ..connection.websocket import WebSocket
from ..connection.websocket_handler import WebSocketHandler, check_handler
from ..errors import (
    MAX_REFUSAL_BODY,
    InvalidRequest,
    StateError,
    StatusError,
    WebSocketRefused,
)
from ..http.redaction import mask_target, quoted, shown_url
from ..http.url import URL
from ..http.userinfo import split_credentials
from ..http.websocket.handshake import (
    SWITCHING_PROTOCOLS,
    Agreement,
    Handshake,
    check_fields,
    refused,
)
from ..http.websocket.options import WebSocketArguments, WebSocketOptions
from ..polling.contract import Co
from .decoding import ReadingOptions
from .request_building import RequestOptions, SharedOptions, unknown_option
from .response import Response

if TYPE_CHECKING:
    from ..connection.h2.tunnel import Tunnel
    from ..transport.upgraded.network_stream import NetworkStream
    from .dispatcher import Send
    from .request import ClientRequest

HTTP_2: Final = "2"  # `Response.http_version`
HANDSHAKE: Final = "websocket"  # key of `ClientRequest.extensions`
SCHEMES: Final = {"ws": "http", "wss": "https"}
SAME: Final = {
    "additional_headers": "headers",
    "close_timeout_seconds": "close_timeout",
    "compression": "deflate",
    "extra_headers": "headers",
    "heartbeat": "ping_interval",
    "max_msg_size": "max_message",
    "max_size": "max_message",
    "open_timeout": "timeout",
    "origin": "headers={'Origin': …}",
    "protocols": "subprotocols",
    "websocket_handler": "handler",
}  # what other libraries call an argument

_scheme = re.compile(r"(wss?)(?=://)", re.IGNORECASE).match


class OpeningOptions(WebSocketArguments, SharedOptions, total=False):
    """The optional arguments of `Client.co_websocket`."""


OF_WEBSOCKET: Final = frozenset(WebSocketArguments.__annotations__)
KNOWN: Final = frozenset(OpeningOptions.__annotations__) | OF_WEBSOCKET


def co_open(
    build: Callable[..., ClientRequest],
    co_send: Callable[..., Co[Response]],
    url: URL | str,
    handler: WebSocketHandler | None,
    options: OpeningOptions,
) -> Co[WebSocket]:
    """Open a WebSocket; see `Client.co_websocket`, also for what is raised.

    Args:
        build: `Client.build_request`.
        co_send: `Client.co_send`.
        url: see there.
        handler: see there.
        options: see there; all are checked before an operation is returned.

    """
    for name in options:
        if name not in KNOWN:
            raise unknown_option(name, KNOWN, SAME)
    if handler is not None:
        check_handler(handler)
    chosen = WebSocketOptions(
        **{name: value for name, value in options.items() if name in OF_WEBSOCKET}  # type: ignore[arg-type]
    )
    rest: RequestOptions = {
        name: value for name, value in options.items() if name not in OF_WEBSOCKET
    }  # type: ignore[assignment]
    check_fields(rest.get("headers"))  # type: ignore[arg-type]  # None removes a field
    handshake = Handshake(chosen)
    request = build("GET", as_http(url), **rest)
    request.extensions[HANDSHAKE] = handshake
    opening = _co_open(co_send, request, chosen, handshake)
    return opening if handler is None else _co_serve(opening, handler)


def _co_serve(opening: Co[WebSocket], handler: WebSocketHandler) -> Co[WebSocket]:
    websocket = yield from opening
    yield from websocket.co_serve(handler)
    return websocket


def _co_open(
    co_send: Callable[..., Co[Response]],
    request: ClientRequest,
    options: WebSocketOptions,
    handshake: Handshake,
) -> Co[WebSocket]:
    try:
        response: Response = yield from co_send(request, stream=True)
    except StatusError as exc:  # raise_for_status of the client
        raise _labelled(refused(str(exc), exc.response, exc.response.status_code)) from exc
    try:
        stream: NetworkStream | Tunnel
        if response.http_version == HTTP_2:
            agreement, stream = yield from _co_take_tunnel(response, handshake)
        else:
            if response.status_code != SWITCHING_PROTOCOLS:
                yield from _co_read_refusal(response)
            agreement = handshake.agree(response.status_code, response.field_values, response)
            stream = response.take_stream()
    except WebSocketRefused as exc:
        raise _labelled(exc) from exc.__cause__
    finally:
        response.close()
    if request.timeouts is not None:
        stream.timeout = request.timeouts.to_write
    return WebSocket(stream, agreement, options, response)


def _co_take_tunnel(
    response: Response, handshake: Handshake
) -> Co[tuple[Agreement, NetworkStream | Tunnel]]:
    """Return what an extended CONNECT has led to (RFC 8441 section 5)."""
    from .websocket_dispatch import OpenedResponse  # noqa: PLC0415 - for those with HTTP/2

    if not isinstance(response, OpenedResponse):
        yield from _co_read_refusal(response)
    status, values = response.status_code, response.field_values
    agreement = handshake.agree_to_connect(status, values, response)
    if isinstance(response, OpenedResponse):
        return agreement, response.take_tunnel()
    return agreement, response.take_stream()  # which there is not


def _labelled(exc: WebSocketRefused) -> WebSocketRefused:
    request = exc.request
    if request is not None:
        exc.label(request.method, mask_target(str(request.url)))
    return exc


def _co_read_refusal(response: Response) -> Co[None]:
    """Read the body of *response*, which opens no WebSocket; none that is large, late or cut."""
    own = response.options
    most = MAX_REFUSAL_BODY if own.max_body is None else min(own.max_body, MAX_REFUSAL_BODY)
    response.options = ReadingOptions(own.decompress, most, own.default_encoding, own.loads)
    yield from co_read_refusal(response.co_read())


def as_http(url: URL | str) -> URL | str:
    """Return *url* with the scheme of the request that opens a WebSocket.

    Raises:
        InvalidRequest: it has a fragment (RFC 6455 section 3), or is no URL.

    """
    if isinstance(url, URL):
        if url.fragment:
            raise _fragment(str(url))
        return url.copy_with(scheme=SCHEMES.get(url.scheme, url.scheme))
    if not isinstance(url, str):
        return url  # refused with the others
    if "#" in url:
        raise _fragment(url)
    match = _scheme(url)
    if match is None:
        return url
    split_credentials(url)  # an error shows what was given
    return SCHEMES[match[0].lower()] + url[match.end() :]


def _fragment(url: str) -> InvalidRequest:
    return InvalidRequest(f"the URL of a WebSocket has no fragment: {shown_url(url)!r}")


def co_shake_hands(request: ClientRequest, co_send: Send) -> Co[Response]:
    """Send *request* as an opening handshake: the lowest `Layer`.

    Each connection needs another key (RFC 6455 section 4.1, item 7), also after a redirect, and
    after a challenge. The other fields are those of a connection, which no redirect passes on.
    """
    handshake = request.extensions[HANDSHAKE]
    if not isinstance(handshake, Handshake):
        raise StateError(f"extensions: {quoted(HANDSHAKE)} is for the library")
    handshake.renew()
    for name, value in handshake.fields():
        request.headers.set(name, value)
    return (yield from co_send(request))
