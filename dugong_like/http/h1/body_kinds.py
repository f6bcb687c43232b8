"""Kinds of framing, as plain data (RFC 9112 section 6).

Not here: which one a response has (framing.py).
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Kind(Enum):
    """How the end of a body is found."""

    NONE = "no body"
    SIZED = "Content-Length"
    CHUNKED = "chunked"
    UNTIL_CLOSE = "until the connection closes"
    UNKNOWN = "a transfer coding that is not supported"


class Framing(NamedTuple):
    """The framing of one response.

    Attributes:
        kind: how the end of the body is found.
        length: bytes of body; None if only its end will tell.
        reusable: False if the connection cannot carry another request.

    """

    kind: Kind
    length: int | None
    reusable: bool
