"""Pieces of messages, and the arguments of frames (RFC 6455 sections 5 and 7).

Not here: the frames themselves (frames.py), which need the library `websockets`.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ...errors import InvalidOption

LONGEST_CONTROL: Final = 125  # bytes of payload (RFC 6455 section 5.5)
LONGEST_REASON: Final = LONGEST_CONTROL - 2  # bytes, behind the code
# Codes that a program may send: registered ones (RFC 6455 section 7.4.2) and some of section 7.4.1.
SENDABLE: Final = frozenset({1000, 1001, 1002, 1003, *range(1007, 1015)})
FIRST_FREE: Final = 3000
LAST_FREE: Final = 4999


class Piece(NamedTuple):
    """A frame of a message.

    Attributes:
        data: its payload: str for a whole text message, otherwise bytes.
        is_text: True if it belongs to a text message.
        is_last: True if it ends the message.

    """

    data: str | bytes
    is_text: bool
    is_last: bool


class JoinedPiece:
    """Several frames of a message as one `Piece`.

    Args:
        first: one of them.
        second: the next one.

    Attributes:
        data: their payloads.
        is_text: see `Piece`.
        is_last: see `Piece`.

    """

    __slots__ = ("data", "is_last", "is_text")

    def __init__(self, first: Piece, second: Piece) -> None:
        self.data = bytearray(first.data)  # type: ignore[arg-type]  # str is a whole message
        self.is_text = first.is_text
        self.is_last = False
        self.join(second)

    def join(self, piece: Piece) -> None:
        """Add the next frame."""
        self.data += piece.data  # type: ignore[arg-type]  # the same
        self.is_last = piece.is_last


def check_close(code: int, reason: str) -> None:
    """Check the arguments of a close frame.

    Raises:
        InvalidOption: *code* is none that may be sent (RFC 6455 section 7.4), or *reason* has more
            than 123 bytes in UTF-8.
        TypeError: an argument has the wrong type.

    """
    if not isinstance(code, int) or isinstance(code, bool):
        raise TypeError(f"code is a number, not {type(code).__name__}")
    if not isinstance(reason, str):
        raise TypeError(f"reason is a string, not {type(reason).__name__}")
    if code not in SENDABLE and not FIRST_FREE <= code <= LAST_FREE:
        raise InvalidOption(f"no close frame has the code {code}")
    if len(reason.encode()) > LONGEST_REASON:
        raise InvalidOption(f"reason has more than {LONGEST_REASON} bytes")


def check_control(data: bytes, name: str) -> bytes:
    """Return *data*, the payload of a ping or pong, an argument called *name*.

    Raises:
        InvalidOption: it has more than 125 bytes (RFC 6455 section 5.5).

    """
    if len(data) > LONGEST_CONTROL:
        raise InvalidOption(f"{name} has more than {LONGEST_CONTROL} bytes")
    return data
