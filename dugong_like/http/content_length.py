"""The value of Content-Length in a response (RFC 9110 section 8.6).

Not here: what it means for the end of a body (h1/framing.py, h2/engine.py), and that of requests
(h1/body_fields.py).
"""

from __future__ import annotations

from typing import Final

from ..errors import InvalidResponse
from .redaction import quoted

MAX_DIGITS: Final = 19  # decimal digits; 10**19 bytes are more than any storage


def content_length(value: bytes, earlier: int | None) -> int:
    """Return the number in *value*, which has to equal the *earlier* one, if any.

    Raises:
        InvalidResponse: it differs, or is not a number of up to `MAX_DIGITS` digits.

    """
    value = value.strip(b" \t")
    if len(value) > MAX_DIGITS:
        value = value.lstrip(b"0") or b"0"
    if not value.isdigit() or len(value) > MAX_DIGITS:  # of bytes: ASCII digits only
        raise InvalidResponse(
            f"Content-Length is not a number of up to {MAX_DIGITS} digits: {quoted(value)}",
        )
    length = int(value)
    if earlier is not None and earlier != length:
        raise InvalidResponse(f"two values of Content-Length: {earlier} and {length}")
    return length
