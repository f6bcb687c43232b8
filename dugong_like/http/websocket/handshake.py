"""The opening handshake of a WebSocket, of the client (RFC 6455 section 4.1).

Which fields the request has, and whether the response opens a WebSocket. The server proves by a
hash of the key that it has read the request as one for a WebSocket. A subprotocol or an extension
that was not offered ends the handshake, as both sides would disagree about the bytes that follow.

Not here: sending and receiving (connection/websocket.py, client/websocket.py), the parameters of
the extension (deflate.py), and the frames (frames.py).
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from ...errors import InvalidRequest, WebSocketRefused
from ..extras import missing_extra
from ..headers import Fields, as_text, field_pairs
from ..redaction import quoted

if TYPE_CHECKING:
    from websockets.extensions.permessage_deflate import (
        ClientPerMessageDeflateFactory,
        PerMessageDeflate,
    )

    from .options import WebSocketOptions

SWITCHING_PROTOCOLS: Final = 101
OK: Final = 200
MULTIPLE_CHOICES: Final = 300
VERSION: Final = "13"  # the only one (RFC 6455 section 4.1)
GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
KEY_SIZE: Final = 16  # bytes (RFC 6455 section 4.1, item 7)
KEY: Final = "Sec-WebSocket-Key"
ACCEPT: Final = "Sec-WebSocket-Accept"
PROTOCOL: Final = "Sec-WebSocket-Protocol"
EXTENSIONS: Final = "Sec-WebSocket-Extensions"
TEMPORARY: Final = frozenset({408, 429, 502, 503, 504})  # statuses that may be others later
# Fields of the request that are made here; the arguments for some of them.
OWN: Final = {
    "connection": "",
    "upgrade": "",
    "sec-websocket-key": "",
    "sec-websocket-version": "",
    "sec-websocket-accept": "",
    "sec-websocket-protocol": "subprotocols",
    "sec-websocket-extensions": "deflate",
}

Values = Callable[[str], list[str]]  # the values of the fields of a name


class Agreement:
    """The result of a handshake.

    Attributes:
        subprotocol: the one that the server has selected; None for none.
        deflate: the extension of the library `websockets`; None without compression.

    """

    __slots__ = ("deflate", "subprotocol")

    def __init__(
        self, subprotocol: str | None = None, deflate: PerMessageDeflate | None = None
    ) -> None:
        self.subprotocol = subprotocol
        self.deflate = deflate


class Handshake:
    """The opening handshake of one WebSocket; of several requests, if there are redirects.

    Args:
        options: what is offered.

    Raises:
        ModuleNotFoundError: the library `websockets` is not installed; the message names the extra.

    Attributes:
        key: the key of the last request.

    """

    __slots__ = ("_offer", "_subprotocols", "key")

    def __init__(self, options: WebSocketOptions) -> None:
        check_installed()
        self._subprotocols = options.subprotocols
        self._offer: ClientPerMessageDeflateFactory | None = None
        if options.deflate is not None:
            self._offer = options.deflate.offer()
        self.renew()

    def renew(self) -> str:
        """Make a new key for the next request, and return it: each connection needs its own."""
        self.key = base64.b64encode(secrets.token_bytes(KEY_SIZE)).decode()
        return self.key

    def fields(self) -> list[tuple[str, str]]:
        """Return the fields of the request that are those of a WebSocket."""
        upgrade = [("Upgrade", "websocket"), ("Connection", "Upgrade"), (KEY, self.key)]
        return upgrade + self.connect_fields()

    def connect_fields(self) -> list[tuple[str, str]]:
        """Return those of an extended CONNECT, which has no key (RFC 8441 section 5)."""
        fields = [("Sec-WebSocket-Version", VERSION)]
        if self._subprotocols:
            fields.append((PROTOCOL, ", ".join(self._subprotocols)))
        if self._offer is not None:
            from websockets.headers import build_extension  # noqa: PLC0415 - an extra

            offered = [(self._offer.name, list(self._offer.get_request_params()))]
            fields.append((EXTENSIONS, build_extension(offered)))
        return fields

    def agree(self, status: int, values: Values, response: Any = None) -> Agreement:
        """Check a response, and return what was agreed.

        Args:
            status: its status code.
            values: returns the values of its fields of a name.
            response: the response, for the exception.

        Raises:
            WebSocketRefused: it does not open a WebSocket.

        """
        if status != SWITCHING_PROTOCOLS:
            raise refused(f"the status is {status} instead of 101", response, status)
        upgrade = members(values("Upgrade"))
        if [name.lower() for name in upgrade] != ["websocket"]:
            raise _wrong("Upgrade", values, "websocket", response)
        if "upgrade" not in [name.lower() for name in members(values("Connection"))]:
            raise _wrong("Connection", values, "Upgrade", response)
        if [value.strip() for value in values(ACCEPT)] != [accept_key(self.key)]:
            raise _wrong(ACCEPT, values, "the hash of the key", response)
        return self._agreement(values, response)

    def agree_to_connect(self, status: int, values: Values, response: Any = None) -> Agreement:
        """Do what `agree` does with the response to an extended CONNECT (RFC 8441 section 5)."""
        if not OK <= status < MULTIPLE_CHOICES:
            raise refused(f"the status is {status} instead of 200", response, status)
        return self._agreement(values, response)

    def _agreement(self, values: Values, response: Any) -> Agreement:
        return Agreement(self._subprotocol(values, response), self._deflate(values, response))

    def _subprotocol(self, values: Values, response: Any) -> str | None:
        selected = members(values(PROTOCOL))
        if not selected and not values(PROTOCOL):
            return None
        if len(selected) != 1 or selected[0] not in self._subprotocols:
            offered = f"one of {', '.join(self._subprotocols)}" if self._subprotocols else "none"
            raise _wrong(PROTOCOL, values, offered, response)
        return selected[0]

    def _deflate(self, values: Values, response: Any) -> PerMessageDeflate | None:
        if not values(EXTENSIONS):
            return None
        from websockets.exceptions import InvalidHandshake  # noqa: PLC0415 - an extra
        from websockets.headers import parse_extension  # noqa: PLC0415

        accepted: list[Any] = []
        try:
            for value in values(EXTENSIONS):
                for name, parameters in parse_extension(value):
                    if self._offer is None or name != self._offer.name:
                        raise _wrong(EXTENSIONS, values, self._offered(), response)
                    accepted.append(self._offer.process_response_params(parameters, accepted))
        except InvalidHandshake as exc:
            raise _wrong(EXTENSIONS, values, self._offered(), response, f" ({exc})") from exc
        return accepted[0] if accepted else None

    def _offered(self) -> str:
        return "none" if self._offer is None else f"{self._offer.name}, or none"


def members(values: list[str]) -> list[str]:
    """Return the members of a list of tokens (RFC 9110 section 5.6.1); empty ones do not count."""
    found = (member.strip(" \t") for value in values for member in value.split(","))
    return [member for member in found if member]


def accept_key(key: str) -> str:
    """Return the proof for *key* that a server sends (RFC 6455 section 4.2.2, item 5.4)."""
    return base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()


def refused(problem: str, response: Any, status: int = 0) -> WebSocketRefused:
    """Return the error for *response*, which has *status*."""
    error = WebSocketRefused(f"no WebSocket: {problem}", response=response)
    error.request_sent = "yes"
    error.retryable = status in TEMPORARY
    return error


def _wrong(
    name: str, values: Values, expected: str, response: Any, more: str = ""
) -> WebSocketRefused:
    came = quoted(", ".join(values(name))) if values(name) else "missing"
    return refused(f"{name} is {came}, expected: {expected}{more}", response)


def check_fields(headers: Fields | None) -> None:
    """Check that *headers*, the user's fields of the request, have none that are made here.

    Raises:
        InvalidRequest: one of them is; nothing was sent.
        TypeError: they are neither a mapping nor pairs.

    """
    for name, _ in field_pairs(headers or ()):
        text = as_text(name)
        if isinstance(text, str) and (argument := OWN.get(text.lower())) is not None:
            advice = f"there is the argument {argument}" if argument else "it follows from the rest"
            raise InvalidRequest(f"{text} cannot be set for a WebSocket: {advice}")


def check_installed() -> None:
    """Check that the library that reads and writes the frames is installed.

    Raises:
        ModuleNotFoundError: it is not; the message names the extra.

    """
    try:
        import websockets.protocol  # noqa: F401, PLC0415 - an extra
    except ImportError as exc:
        raise missing_extra("WebSocket", "websockets", "websocket") from exc
