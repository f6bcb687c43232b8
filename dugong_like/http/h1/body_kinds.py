"""Kinds of framing, as plain data (RFC 9112 section 6).

Not here: deciding on the framing of a response (framing.py).
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Kind(Enum):
    """The ways in which a body can end."""

    NONE = "no body"
    SIZED = "Content-Length"
    CHUNKED = "chunked"
    UNTIL_CLOSE = "until the connection closes"
    UNKNOWN = "a transfer coding that is not supported"


class Framing(NamedTuple):
    """The framing of one response.

    Attributes:
        kind: the way in which the body ends.
        length: bytes of body; None if it is unknown.
        reusable: False if the connection takes no further request.

    """

    kind: Kind
    length: int | None
    reusable: bool
