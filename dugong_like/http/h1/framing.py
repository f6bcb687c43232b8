"""Deciding on the framing of a response body (RFC 9112 section 6.3).

One function: method, status, version and fields in; kind, length and reusability of the connection
out. It depends on nothing else, and no other code decides on the framing.

Not here: reading bodies of the three kinds (body.py, chunked.py).
"""

from __future__ import annotations

import re
from typing import Final

from ...errors import InvalidResponse
from ..content_length import content_length
from ..patterns import compiled_later
from ..redaction import quoted
from .body_kinds import Framing, Kind
from .response_head import Head

SWITCHING_PROTOCOLS: Final = 101
OK: Final = 200
BODILESS: Final = (204, 304)  # No Content, Not Modified
MULTIPLE_CHOICES: Final = 300
APART: Final = ("HEAD", "CONNECT")  # methods with special framing of responses

SIZED: Final = Kind.SIZED  # looking up an attribute of an enumeration is slow
KEEP_ALIVE: Final = [b" keep-alive"]  # the value as nearly all servers write it
_framing_fields = re.compile(rb"\n(connection|content-length|transfer-encoding):([^\r]*+)").findall
_proxy_options = compiled_later(rb"\nproxy-connection:([^\r]*+)")


def frame(method: str, head: Head) -> Framing:
    """Decide on the framing of the response with *head* to a *method* request.

    Raises:
        InvalidResponse: the fields contradict each other or cannot be understood, so that the
            end of the body is unknown.

    """
    if method in APART:
        return _frame(method, head)
    if head.framing is None:
        framing = head.framing = _frame(method, head)
        _, length, reusable = framing
        if length is not None and reusable:
            head.whole = head.size + length
    return head.framing


def whole_size(method: str, head: Head) -> int:
    """Return what `Head.whole` is, for any method: -1 if that is not known, or no request follows.

    Raises:
        InvalidResponse: see `frame`.

    """
    _, length, reusable = frame(method, head)
    return -1 if length is None or not reusable else head.size + length


def _frame(method: str, head: Head) -> Framing:
    length: int | None = None
    codings: list[bytes] = []
    options: list[bytes] = []
    for name, value in _framing_fields(head.lower):
        if name == b"content-length":
            length = content_length(value, length)
        elif name == b"connection":
            options.append(value)
        else:
            codings.append(value)
    status = head.status
    reusable = head.minor > 0
    if not reusable or codings or (options and options != KEEP_ALIVE):
        reusable = _persists(head, length, codings, options)
    if method == "HEAD" or (status != OK and (status < OK or status in BODILESS)):
        return Kind.NONE, 0, reusable
    if method == "CONNECT" and status < MULTIPLE_CHOICES:
        return Kind.NONE, 0, False
    if codings:
        return _transfer_coding(codings, reusable)
    if length is not None:
        return SIZED, length, reusable
    return Kind.UNTIL_CLOSE, None, False


def closes_proxy(head: Head) -> bool:
    """Return True if the response of a proxy has ``Proxy-Connection: close``.

    The field is not standardised, but proxies use it in place of Connection (RFC 9112 appendix
    C.2.2).
    """
    return b"close" in list_elements(_proxy_options().findall(head.lower))


def ends_http(method: str, status: int) -> bool:
    """Return True if a response ends HTTP on its connection, as the request has asked for.

    After a 2xx to CONNECT the stream is a tunnel (RFC 9110 section 9.3.6), after 101 it speaks
    another protocol (section 15.2.2).
    """
    if method == "CONNECT":
        return OK <= status < MULTIPLE_CHOICES
    return status == SWITCHING_PROTOCOLS


def list_elements(values: list[bytes]) -> list[bytes]:
    """Return the elements of a list-based field (RFC 9110 section 5.6.1), empty ones dropped."""
    if len(values) == 1 and b"," not in values[0]:  # as nearly always
        element = values[0].strip(b" \t")
        return [element] if element else []
    elements = [element.strip(b" \t") for value in values for element in value.split(b",")]
    return [element for element in elements if element]


def _persists(head: Head, length: int | None, codings: list[bytes], options: list[bytes]) -> bool:
    """Return True if the connection persists (RFC 9112 section 9.3)."""
    if codings and head.minor == 0:
        raise InvalidResponse("Transfer-Encoding in a response of HTTP/1.0 (RFC 9112 section 6.1)")
    if codings and length is not None:
        return False  # RFC 9112 section 6.1
    elements = list_elements(options)
    return b"close" not in elements and (head.minor > 0 or b"keep-alive" in elements)


def _transfer_coding(values: list[bytes], reusable: bool) -> Framing:
    """Decide on the framing by Transfer-Encoding (RFC 9112 section 6.3 item 4)."""
    codings = list_elements(values)
    if codings == [b"chunked"]:
        return Kind.CHUNKED, None, reusable
    if not codings or b"chunked" in codings[:-1]:
        raise InvalidResponse(
            "Transfer-Encoding has no coding, or chunked in front of another one (RFC 9112 section "
            f"6.1): {quoted(b', '.join(values))}"
        )
    return Kind.UNKNOWN, None, False
