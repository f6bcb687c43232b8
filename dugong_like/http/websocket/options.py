"""Options of a WebSocket, checked once: what is offered to the server, and the limits.

Not here: their use (handshake.py, frames.py, and connection/).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, TypedDict

from ...errors import InvalidOption
from ...polling.numbers import check_int, check_limit, check_seconds
from ..arguments import as_string, iterate
from ..header_validation import is_token
from ..redaction import quoted
from .deflate import as_deflate

if TYPE_CHECKING:
    from .deflate import Deflate

MAX_MESSAGE: Final = 1 << 24  # bytes, as several servers have it
PING_INTERVAL: Final = 20.0  # seconds: proxies close idle connections after 30, or 60
PING_TIMEOUT: Final = 20.0
CLOSE_TIMEOUT: Final = 10.0


class WebSocketArguments(TypedDict, total=False):
    """The arguments of `WebSocketOptions`."""

    subprotocols: Iterable[str]
    deflate: bool | Deflate
    max_message: int | None
    max_fragment: int | None
    ping_interval: float | None
    ping_timeout: float | None
    close_timeout: float | None


class WebSocketOptions:
    """The offers with which a WebSocket is opened, and its limits.

    Args:
        subprotocols: names of the protocols inside, of which the server may select one, the
            preferred one first (RFC 6455 section 1.9).
        deflate: True to offer compression (permessage-deflate, RFC 7692), or a `Deflate` with
            limits.
        max_message: bytes of a received message at most, when it is decompressed; None sets no
            limit.
        max_fragment: bytes of a frame of a message at most, when it is decompressed; for messages
            that are received in pieces.
        ping_interval: seconds without received bytes after which whoever waits sends a ping; None
            sends none.
        ping_timeout: seconds that may pass then without received bytes; None sets no limit.
        close_timeout: seconds that closing may take, 0 for no wait; None sets no limit.

    Raises:
        InvalidOption: a name is not a token, or there twice, or a number is too small, such as a
            *ping_interval* of 0.
        TypeError: an argument has the wrong type.

    """

    __slots__ = (
        *("close_timeout", "deflate", "max_fragment", "max_message", "ping_interval"),
        *("ping_timeout", "subprotocols"),
    )

    def __init__(
        self,
        *,
        subprotocols: Iterable[str] = (),
        deflate: bool | Deflate = True,
        max_message: int | None = MAX_MESSAGE,
        max_fragment: int | None = None,
        ping_interval: float | None = PING_INTERVAL,
        ping_timeout: float | None = PING_TIMEOUT,
        close_timeout: float | None = CLOSE_TIMEOUT,
    ) -> None:
        self.subprotocols = _checked_names(subprotocols)
        self.deflate = as_deflate(deflate)
        for name, size in (("max_message", max_message), ("max_fragment", max_fragment)):
            if size is not None:
                check_int(name, size, 1)
        for name, seconds in (("ping_interval", ping_interval), ("ping_timeout", ping_timeout)):
            if seconds is not None:
                check_limit(seconds, name)
        if close_timeout is not None:
            check_seconds(close_timeout, "close_timeout")
        self.max_message = max_message
        self.max_fragment = max_fragment
        self.ping_interval = ping_interval
        self.ping_timeout = ping_timeout
        self.close_timeout = close_timeout


def _checked_names(subprotocols: Iterable[str]) -> tuple[str, ...]:
    if isinstance(subprotocols, str):
        raise TypeError(f"subprotocols are several names: [{quoted(subprotocols)}]")
    names = tuple(
        as_string(name, "subprotocols")
        for name in iterate(subprotocols, "subprotocols", "an iterable of names")
    )
    for name in names:
        if not is_token(name):
            raise InvalidOption(f"subprotocols: not a token: {quoted(name)}")
    if len(set(names)) < len(names):
        raise InvalidOption("subprotocols: each only once (RFC 6455 section 4.1)")
    return names
