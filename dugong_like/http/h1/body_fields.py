"""Request fields that depend on the body: Content-Length, Transfer-Encoding, Content-MD5.

Not here: the other fields, and refusing these from the caller (http/header_validation.py); the body
of a response (http/h1/framing.py).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from ..request import BodyFollowing

# For an empty body of a method that usually has one (RFC 9110 section 8.6).
EMPTY: Final = dict.fromkeys(["POST", "PUT", "PATCH"], "Content-Length: 0\r\n")


def framing_lines(
    method: str,
    given: Collection[str],
    body: memoryview | BodyFollowing | None,
    *,
    with_md5: bool,
) -> str:
    """Return the field lines for *body* (RFC 9112 section 6).

    Args:
        method: request method.
        given: names of the caller's fields, in lower case.
        body: the body, or its announcement.
        with_md5: True to add Content-MD5 for a body given as bytes, unless it is *given*.

    """
    if body is None:
        return EMPTY.get(method, "")
    if isinstance(body, BodyFollowing):
        if body.length is None:
            return "Transfer-Encoding: chunked\r\n"
        return f"Content-Length: {body.length}\r\n"
    lines = f"Content-Length: {len(body)}\r\n"
    if with_md5 and "content-md5" not in given:
        lines += f"Content-MD5: {content_md5(body)}\r\n"
    return lines


def content_md5(body: memoryview) -> str:
    """Return the value of Content-MD5 for *body* (RFC 1864)."""
    import hashlib  # noqa: PLC0415 - 5 ms, not needed for downloads
    from base64 import b64encode  # noqa: PLC0415

    return b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode("ascii")
