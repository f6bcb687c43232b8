"""Digests of ownCloud and Nextcloud: the field OC-Checksum, and the property ``checksums``.

Both have the form ``SHA1:hex``, several with spaces between. ownCloud computes SHA-1 and MD5 (and
Adler-32, which is of no use here) of what it stores, and refuses a file whose digest is another
one. Nextcloud keeps what came with the file, and forgets it when that is stored without one.

Not here: reading the property (http/webdav.py), and sending the field (webdav.py).
"""

from __future__ import annotations

from collections.abc import Container
from typing import Final

from .tree import DIGEST_SIZES

FIELD: Final = "OC-Checksum"
SENT: Final = "sha1"  # which all of these servers know


def named(text: str | None, without: Container[str] = ()) -> bytes | None:
    """Return the best digest that a property names; None if it names none.

    Args:
        text: the property.
        without: algorithms that do not count.

    """
    found: dict[str, bytes] = {}
    for word in (text or "").split():
        name, _, digits = word.partition(":")
        name = name.lower()
        try:
            digest = bytes.fromhex(digits)
        except ValueError:
            continue
        if len(digest) == DIGEST_SIZES.get(name) and name not in without:
            found[name] = digest
    return next((found[name] for name in DIGEST_SIZES if name in found), None)


def field_of(digest: bytes) -> str:
    """Return the value of the field for a digest of the algorithm `SENT`."""
    return f"{SENT.upper()}:{digest.hex()}"
