"""Kinds of framing, as plain data (RFC 9112 section 6).

Not here: deciding on the framing of a response (framing.py).
"""

from __future__ import annotations

from enum import Enum


class Kind(Enum):
    """The ways in which a body can end."""

    NONE = "no body"
    SIZED = "Content-Length"
    CHUNKED = "chunked"
    UNTIL_CLOSE = "until the connection closes"
    UNKNOWN = "a transfer coding that is not supported"


# The framing of one response: the way in which the body ends; bytes of body, or None if it is
# unknown; and False if the connection takes no further request.
Framing = tuple[Kind, int | None, bool]
