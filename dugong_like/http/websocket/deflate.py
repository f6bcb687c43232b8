"""permessage-deflate, the compression of messages (RFC 7692): its offer, and what was agreed.

The parameters are checked and applied by the library `websockets`.

Not here: the other fields of the handshake (handshake.py), and frames (frames.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ...polling.numbers import check_flag, check_int
from ..redaction import quoted

if TYPE_CHECKING:
    from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

LEAST_BITS: Final = 8  # RFC 7692 section 7.1.2
OWN_LEAST_BITS: Final = 9  # zlib compresses with no smaller window
MOST_BITS: Final = 15
BEST: Final = 9  # level of zlib
MEMORY: Final = 5  # memLevel of zlib: 8 KiB instead of 128 for each connection, a little slower


class Deflate:
    """The offer of permessage-deflate, with limits for both directions (RFC 7692 section 7.1).

    A window that is kept from one message to the next compresses small messages better, and takes
    memory on both sides: 32 KiB each unless it is limited. Do not compress messages that have a
    secret and text of an attacker in them: their size tells about the secret.

    Args:
        server_no_context_takeover: True to have the server begin each message with a new window.
        client_no_context_takeover: True to do so for messages that are sent.
        server_max_window_bits: size of the window of the server, 8 to 15: the logarithm of the
            number of bytes. None leaves it to the server.
        client_max_window_bits: size of the own window, 9 to 15, also if the server does not ask for
            less; None leaves it to the server.
        level: of zlib, 0 to 9; None for its default.

    Raises:
        InvalidOption: a number is too small or too large.
        TypeError: an argument has the wrong type.

    """

    __slots__ = (
        *("client_max_window_bits", "client_no_context_takeover", "level"),
        *("server_max_window_bits", "server_no_context_takeover"),
    )

    server_no_context_takeover: bool
    client_no_context_takeover: bool
    server_max_window_bits: int | None
    client_max_window_bits: int | None
    level: int | None

    def __init__(
        self,
        *,
        server_no_context_takeover: bool = False,
        client_no_context_takeover: bool = False,
        server_max_window_bits: int | None = None,
        client_max_window_bits: int | None = None,
        level: int | None = None,
    ) -> None:
        check_flag("server_no_context_takeover", server_no_context_takeover)
        check_flag("client_no_context_takeover", client_no_context_takeover)
        for name, number, least, most in (
            ("server_max_window_bits", server_max_window_bits, LEAST_BITS, MOST_BITS),
            ("client_max_window_bits", client_max_window_bits, OWN_LEAST_BITS, MOST_BITS),
            ("level", level, 0, BEST),
        ):
            if number is not None:
                check_int(name, number, least, most)
        given = (
            *(client_max_window_bits, bool(client_no_context_takeover), level),
            *(server_max_window_bits, bool(server_no_context_takeover)),
        )
        for name, value in zip(self.__slots__, given, strict=True):
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"Deflate is never changed: {name}")

    def __repr__(self) -> str:
        values = [f"{name}={getattr(self, name)}" for name in self.__slots__]
        return f"Deflate({', '.join(values)})"

    def offer(self) -> ClientPerMessageDeflateFactory:
        """Return what makes the field of the request, and reads that of the response."""
        from websockets.extensions.permessage_deflate import (  # noqa: PLC0415 - an extra
            ClientPerMessageDeflateFactory,
        )

        settings: dict[str, Any] = {"memLevel": MEMORY}
        if self.level is not None:
            settings["level"] = self.level
        return ClientPerMessageDeflateFactory(
            server_no_context_takeover=self.server_no_context_takeover,
            client_no_context_takeover=self.client_no_context_takeover,
            server_max_window_bits=self.server_max_window_bits,
            client_max_window_bits=self.client_max_window_bits or True,
            compress_settings=settings,
        )


def as_deflate(deflate: bool | Deflate) -> Deflate | None:
    """Return the offer for an argument: True is for one without limits, False for none.

    Raises:
        TypeError: it is something else.

    """
    if isinstance(deflate, Deflate):
        return deflate
    if not isinstance(deflate, bool):
        raise TypeError(f"deflate is True, False or Deflate(…), not {quoted(deflate)}")
    return DEFAULT if deflate else None


DEFAULT: Final = Deflate()
