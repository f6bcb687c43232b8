"""Digests in fields: Content-Digest, Repr-Digest (RFC 9530) and Content-MD5 (RFC 1864).

The first two are dictionaries of structured fields: ``sha-256=:BASE64:, sha-512=:…:``.

Not here: computing digests of files and bodies (client/transfers/digests.py).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ..errors import InvalidOption
from .structured_fields import as_bytes, decode_base64, dictionary

# Names of RFC 9530 and of hashlib, the best first. The last two find damage, and no forgery
# (RFC 9530 section 5); checksums of 32 bits, which hashlib does not have, are not looked at.
ALGORITHMS: Final = {"sha-512": "sha512", "sha-256": "sha256", "sha": "sha1", "md5": "md5"}
SAFE: Final = ("sha-256", "sha-512")  # that this library sends
MD5_SIZE: Final = 16  # bytes


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
    found = dictionary(value)
    for algorithm in ALGORITHMS:
        digest = as_bytes(found.get(algorithm, ""))
        if digest is not None:
            return FieldDigest(field, algorithm, digest)
    return None


def content_md5(value: str | None) -> FieldDigest | None:
    """Return the digest of a field Content-MD5; None if it is missing or invalid."""
    digest = decode_base64(value.strip(" \t")) if value is not None else None
    if digest is None or len(digest) != MD5_SIZE:
        return None
    return FieldDigest("Content-MD5", "md5", digest)


def digest_field(algorithm: str, digest: bytes) -> str:
    """Return the value of a field with one *digest*."""
    import base64  # noqa: PLC0415 - 1 ms, for those who send any

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
