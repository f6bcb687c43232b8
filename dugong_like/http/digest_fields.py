"""Digests in fields: Content-Digest, Repr-Digest (RFC 9530) and Content-MD5 (RFC 1864).

The first two are dictionaries of structured fields (RFC 9651): ``sha-256=:BASE64:, sha-512=:…:``.
A field that does not parse counts as missing, as section 4.2 there demands.

Not here: computing digests of files and bodies (client/transfers/digests.py).
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final, NamedTuple

from ..errors import InvalidOption

# Names of RFC 9530 and of hashlib, the best first. The last two find damage, and no forgery
# (RFC 9530 section 5); checksums of 32 bits, which hashlib does not have, are not looked at.
ALGORITHMS: Final = {"sha-512": "sha512", "sha-256": "sha256", "sha": "sha1", "md5": "md5"}
SAFE: Final = ("sha-256", "sha-512")  # that this library sends
MD5_SIZE: Final = 16  # bytes

_KEY: Final = r"[a-z*][a-z0-9_.*\-]*"
_BARE: Final = (
    r"(?::[A-Za-z0-9+/=]*:|\?[01]|@?-?[0-9]{1,15}(?:\.[0-9]{1,3})?"
    r'|"(?:[ !#-\[\]-~]|\\["\\])*"|[A-Za-z*][!#$%&\'*+.^_`|~0-9A-Za-z:/\-]*)'
)
_member = re.compile(
    rf"(?P<key>{_KEY})(?:=(?::(?P<bytes>[A-Za-z0-9+/=]*):|{_BARE}))?(?:; *{_KEY}(?:={_BARE})?)*"
)
_comma = re.compile(r"[ \t]*,[ \t]*")


class FieldDigest(NamedTuple):
    """A digest as a field has it.

    Attributes:
        field: name of the field.
        algorithm: as RFC 9530 calls it.
        value: the digest.

    """

    field: str
    algorithm: str
    value: bytes

    @property
    def hash_name(self) -> str:
        """The algorithm as hashlib calls it."""
        return ALGORITHMS[self.algorithm]


def best_digest(field: str, value: str | None) -> FieldDigest | None:
    """Return the digest of the best known algorithm in *value*; None if there is none.

    Args:
        field: the name, Content-Digest or Repr-Digest.
        value: all of the field; None if it is missing.

    """
    found = _parse(value or "")
    for algorithm in ALGORITHMS:
        digest = found.get(algorithm)
        if digest is not None:
            return FieldDigest(field, algorithm, digest)
    return None


def content_md5(value: str | None) -> FieldDigest | None:
    """Return the digest of a field Content-MD5; None if it is missing or invalid."""
    digest = _decode(value.strip(" \t")) if value is not None else None
    if digest is None or len(digest) != MD5_SIZE:
        return None
    return FieldDigest("Content-MD5", "md5", digest)


def digest_field(algorithm: str, digest: bytes) -> str:
    """Return the value of a field with one *digest*."""
    return f"{algorithm}=:{base64.b64encode(digest).decode()}:"


def check_algorithm(algorithm: object) -> str:
    """Return *algorithm*, which is one that may be sent.

    Raises:
        InvalidOption: it is another one.
        TypeError: it is not a string.

    """
    if not isinstance(algorithm, str):
        raise TypeError(f"digest is the name of an algorithm, not {type(algorithm).__name__}")
    if algorithm not in SAFE:
        raise InvalidOption(f"digest is one of {', '.join(SAFE)}")
    return algorithm


def _parse(value: str) -> dict[str, bytes | None]:
    """Return the members of a dictionary; None for those that are no bytes. Empty if invalid."""
    found: dict[str, bytes | None] = {}
    at, text = 0, value.strip(" \t")
    while at < len(text):
        match = _member.match(text, at)
        if match is None:
            return {}
        data = match["bytes"]
        found[match["key"]] = None if data is None else _decode(data)
        at = match.end()
        if at == len(text):
            break
        comma = _comma.match(text, at)
        if comma is None or comma.end() == len(text):
            return {}
        at = comma.end()
    return found


def _decode(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
