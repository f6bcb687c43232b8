"""Which framing the body of a response has (RFC 9112 section 6.3).

One pure function: method, status, version and fields in; kind, length and whether
the connection may carry another request out. Nothing else decides about framing.

Not here: reading bodies of the three kinds (body.py, chunked.py).
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final, NamedTuple

from ..errors import InvalidResponse
from .head import Head
from .limits import MAX_DIGITS


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


CONNECTION: Final = b"\r\nconnection:"
CONTENT_LENGTH: Final = b"\r\ncontent-length:"
TRANSFER_ENCODING: Final = b"\r\ntransfer-encoding:"
NO_CONTENT: Final = 204
NOT_MODIFIED: Final = 304

_digits = re.compile(rb"0*([0-9]{1,%d})" % MAX_DIGITS).fullmatch


def frame(method: str, head: Head) -> Framing:
    """Decide about the framing of the response with *head* to a *method* request.

    Raises:
        InvalidResponse: the fields contradict each other or cannot be understood, so
            that nobody can say where the body ends.
    """
    lower = head.lower
    status = head.status
    reusable = _keeps_alive(head)
    length = _content_length(lower)
    coded = TRANSFER_ENCODING in lower
    if coded and head.minor == 0:
        raise InvalidResponse("Transfer-Encoding in a response of HTTP/1.0 (RFC 9112 section 6.1)")
    if method == "HEAD" or status < 200 or status == NO_CONTENT or status == NOT_MODIFIED:  # noqa: PLR1714, PLR2004 - twice as fast as a set
        return Framing(Kind.NONE, 0, reusable)
    if method == "CONNECT" and status < 300:  # noqa: PLR2004
        return Framing(Kind.NONE, 0, False)
    if coded:
        return _transfer_coding(field_values(lower, TRANSFER_ENCODING), reusable and length is None)
    if length is not None:
        return Framing(Kind.SIZED, length, reusable)
    return Framing(Kind.UNTIL_CLOSE, None, False)


def field_values(lower: bytes, name: bytes) -> list[bytes]:
    """Return the values of one field, in lower case, without white space around them.

    Args:
        lower: `Head.lower`.
        name: the name in lower case between CRLF and colon.
    """
    values = []
    at = lower.find(name)
    while at >= 0:
        start = at + len(name)
        at = lower.find(b"\r\n", start)
        values.append(lower[start:at].strip(b" \t"))
        at = lower.find(name, at)
    return values


def list_elements(values: list[bytes]) -> list[bytes]:
    """Return the elements of a list-based field (RFC 9110 section 5.6.1), empty ones dropped."""
    if len(values) == 1 and b"," not in values[0]:
        return values if values[0] else []
    elements = [element.strip(b" \t") for value in values for element in value.split(b",")]
    return [element for element in elements if element]


def _keeps_alive(head: Head) -> bool:
    """Say whether the connection persists (RFC 9112 section 9.3)."""
    if CONNECTION not in head.lower:
        return head.minor > 0
    options = list_elements(field_values(head.lower, CONNECTION))
    return b"close" not in options and (head.minor > 0 or b"keep-alive" in options)


def _content_length(lower: bytes) -> int | None:
    if CONTENT_LENGTH not in lower:
        return None
    values = field_values(lower, CONTENT_LENGTH)
    if len(values) > 1 and len(set(values)) > 1:
        raise InvalidResponse(f"several Content-Length: {b', '.join(values)[:60]!r}")
    match = _digits(values[0])
    if match is None:
        raise InvalidResponse(
            f"Content-Length is not a number of up to {MAX_DIGITS} digits: {values[0][:60]!r}"
        )
    return int(match[1])


def _transfer_coding(values: list[bytes], reusable: bool) -> Framing:
    """Decide by Transfer-Encoding (RFC 9112 section 6.3 item 4)."""
    codings = list_elements(values)
    if codings == [b"chunked"]:
        return Framing(Kind.CHUNKED, None, reusable)
    if not codings or b"chunked" in codings[:-1]:
        raise InvalidResponse(f"Transfer-Encoding: {b', '.join(values)[:60]!r}")
    return Framing(Kind.UNKNOWN, None, False)
