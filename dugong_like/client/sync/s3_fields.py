"""Fields of requests to S3: the digest of a body, and the time of a file.

Not here: the fields of the signature (s3_service.py).
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Final

from .remote import SECOND

if TYPE_CHECKING:
    from ...http.request import Request

DIGEST: Final = "X-Amz-Content-SHA256"
CHECKSUM: Final = "X-Amz-Checksum-SHA256"
ALGORITHM: Final = "X-Amz-SDK-Checksum-Algorithm"
MTIME: Final = "X-Amz-Meta-Mtime"
_is_seconds = re.compile(r"(-?)([0-9]{1,12})(?:\.([0-9]{1,18}))?").fullmatch


def base64_of(digest: bytes) -> str:
    """Return *digest* in Base64."""
    return base64.b64encode(digest).decode()


def set_digest(request: Request, digest: bytes) -> None:
    """Have a request sent with the SHA-256 of its body, which the service verifies."""
    request.headers.set(DIGEST, digest.hex())
    request.headers.set(CHECKSUM, base64_of(digest))
    request.headers.set(ALGORITHM, "SHA256")


def seconds_of(mtime_ns: int) -> str:
    """Return a time in nanoseconds since 1970 as seconds, as rclone writes it."""
    whole, rest = divmod(abs(mtime_ns), SECOND)
    return f"{'-' if mtime_ns < 0 else ''}{whole}.{rest:09d}"


def nanoseconds_of(text: str) -> int | None:
    """Return the time of `seconds_of`; None if it is none."""
    match = _is_seconds(text)
    if match is None:
        return None
    sign, whole, rest = match.groups()
    count = int(whole) * SECOND + int(f"{rest or ''}000000000"[:9])
    return -count if sign else count
