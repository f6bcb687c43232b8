"""S3: comparing a file with an object by the digests that the service names.

The entity tag of an object that was stored at once is the MD5 of its bytes, unless the service
encrypts them with keys of its own kind. ``x-amz-checksum-sha256``, which HEAD has if that is asked
for, is the SHA-256 of the bytes, or with ``-N`` behind it that of the SHA-256s of N parts; an
entity tag with ``-N`` likewise. All parts but the last one have the same size.

Not here: requests in general (s3.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from ...polling.contract import Co
from ..transfers.digests import new_hash
from .remote import Send, co_look_at
from .s3_fields import CHECKSUM, base64_of
from .s3_parts import part_size

if TYPE_CHECKING:
    from ..response import Response
    from .local import SourceFile
    from .s3_requests import Requests

TYPE: Final = "X-Amz-Checksum-Type"
PLAIN: Final = "AES256"  # with it the entity tag is the MD5 of the bytes, as without encryption
MODE: Final = "X-Amz-Checksum-Mode"
_is_etag = re.compile(r'"?([0-9a-f]{32})(?:-([0-9]{1,5}))?"?').fullmatch
_is_checksum = re.compile(r"([A-Za-z0-9+/]{43}=)(?:-([0-9]{1,5}))?").fullmatch


class Named(NamedTuple):
    """A digest that the service names.

    Attributes:
        algorithm: as hashlib calls it.
        text: the digest, as the service writes it.
        parts: how many parts have the digests that it is of; 0 if it is of the bytes.

    """

    algorithm: str
    text: str
    parts: int

    def is_of(self, digest: bytes) -> bool:
        """Return True if it is *digest*."""
        return self.text == (digest.hex() if self.algorithm == "md5" else base64_of(digest))


def of_etag(tag: str | None) -> Named | None:
    """Return the digest that an entity tag may be; None if it is none."""
    found = _is_etag(tag or "")
    return None if found is None else Named("md5", found[1], int(found[2] or 0))


def of_checksum(text: str | None) -> Named | None:
    """Return the digest of a field; None if it has none."""
    found = _is_checksum(text or "")
    return None if found is None else Named("sha256", found[1], int(found[2] or 0))


def co_is_same(
    remote: Requests, co_send: Send, file: SourceFile, tag: str | None, part: int
) -> Co[bool | None]:
    """Compare a file with an object of the same size.

    Args:
        remote: makes requests.
        co_send: sends them.
        file: the file.
        tag: of the object, from the list.
        part: bytes of a part at least, where this library has stored it.

    Returns:
        None if only its bytes show that.

    """
    etag = of_etag(tag)
    if etag is not None and not etag.parts and etag.is_of((yield from file.co_digest("md5"))):
        return True
    response = yield from _co_head(remote, co_send, file)
    found = None if response is None else _checksum_of(response, etag)
    if found is not None and not found.parts:
        return found.is_of((yield from file.co_digest("sha256")))
    if found is None:
        if etag is None or response is None or _is_of_other_bytes(response):
            return None
        if not etag.parts:
            return False
        found = etag
    size = part_size(file.size, part)
    if _count(file.size, size) == found.parts and (yield from _co_has(file, found, size)):
        return True
    response = yield from _co_head(remote, co_send, file, {"partNumber": "1"})
    length = "" if response is None else response.field("content-length") or ""
    size = int(length) if length.isascii() and length.isdigit() else 0
    if _count(file.size, size) != found.parts:
        return None
    return (yield from _co_has(file, found, size))


def _co_head(
    remote: Requests, co_send: Send, file: SourceFile, query: Mapping[str, str] | None = None
) -> Co[Response | None]:
    request = remote.request("HEAD", file.path, query)
    request.headers.set(MODE, "ENABLED")
    return (yield from co_look_at(co_send, request))


def _is_of_other_bytes(response: Response) -> bool:
    """Return True if the entity tag is not that of the bytes, as they are encrypted."""
    kind = response.field("x-amz-server-side-encryption") or PLAIN
    customer = response.field("x-amz-server-side-encryption-customer-algorithm")
    return kind != PLAIN or customer is not None


def _checksum_of(response: Response, etag: Named | None) -> Named | None:
    found = of_checksum(response.field(CHECKSUM))
    if found is None or etag is None or found.parts or response.field(TYPE) == "FULL_OBJECT":
        return found
    return Named(
        found.algorithm, found.text, etag.parts
    )  # not all services write the number of parts


def _count(size: int, part: int) -> int:
    return -(-size // part) if part else 0


def _co_has(file: SourceFile, named: Named, part: int) -> Co[bool]:
    """Return True if *named* is the digest of the digests of the parts of a file."""
    running = new_hash(named.algorithm)
    for offset in range(0, file.size, part):
        digest = yield from file.co_digest(named.algorithm, offset, min(part, file.size - offset))
        running.update(digest)
    return named.is_of(running.digest())
