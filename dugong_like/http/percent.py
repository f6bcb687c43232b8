"""Percent-encoding of text in UTF-8 (RFC 3986 sections 2.1 and 2.5).

Not here: which parts of a URL are encoded, and when (url.py, references.py, query.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ..errors import InvalidRequest
from .patterns import compiled_later
from .redaction import shown_url

if TYPE_CHECKING:
    import re

MAX_ADVICE: Final = 500  # characters of what a message says to write
ENCODED: Final = tuple(f"%{byte:02X}" for byte in range(256))

# Runs of characters to encode. In a name or value of a query: all except unreserved ones.
IN_COMPONENT: Final = compiled_later(r"[^A-Za-z0-9\-._~]+")
# Characters that RFC 3986 allows nowhere, except those that browsers send as they are. In a path
# and a query a "%" is never encoded: it may belong to an encoded byte.
IN_PATH: Final = compiled_later(r"[^\x21\x23-\x3b\x3d\x3f-\x5d\x5f\x61-\x7a\x7c\x7e]+")
IN_QUERY: Final = compiled_later(r"[^\x21\x23-\x3b\x3d\x3f-\x7e]+")
IN_FRAGMENT: Final = compiled_later(r"[^\x21\x24-\x3b\x3d\x3f-\x5f\x61-\x7e]+")
NOT_SENT: Final = compiled_later(r"[^\x21-\x7e]+")  # what no target may have

_encoded_byte = compiled_later(rb"%([0-9A-Fa-f]{2})")
_control = compiled_later(r"[\x00-\x1f\x7f]")
_stray = compiled_later(r"%(?![0-9A-Fa-f]{2})")


def encode(text: str, what: Callable[[], re.Pattern[str]], errors: str = "strict") -> str:
    """Return *text* with each run that *what* matches percent-encoded.

    Args:
        text: of any characters.
        what: one of the patterns of this module.
        errors: ``"surrogateescape"`` if *text* was decoded so from bytes, which come back then.

    Raises:
        InvalidRequest: it cannot be encoded in UTF-8. The message does not contain it.

    """
    pattern = what()
    if not pattern.search(text):
        return text
    try:
        return pattern.sub(lambda run: _escaped(run[0].encode("utf-8", errors)), text)
    except UnicodeEncodeError:
        raise InvalidRequest("it has half of a surrogate pair, which UTF-8 does not have") from None


def _escaped(data: bytes) -> str:
    return "".join([ENCODED[byte] for byte in data])


def decode(text: str) -> bytes:
    """Return the bytes of *text* in UTF-8, percent-decoded once. A stray ``%`` is kept.

    Half of a surrogate pair becomes bytes that are not UTF-8.
    """
    data = text.encode("utf-8", "surrogatepass")
    if b"%" not in data:
        return data
    return _encoded_byte().sub(lambda match: bytes.fromhex(match[1].decode()), data)


def advice(text: str, fits: Callable[[str], object]) -> str:
    """Return the end of a message: that *text* has to be percent-encoded, and what to write.

    Args:
        text: a part of a URL that cannot be sent.
        fits: returns a true value for what can be sent.

    """
    try:
        written = encode(text, NOT_SENT)
    except InvalidRequest:
        return ", percent-encoded"
    if _control().search(text) or not fits(written) or not is_shown(written):
        return ", percent-encoded"
    return f", percent-encoded: write {written}"


def is_shown(text: str) -> bool:
    """Return True if a message may have all of *text*, a part of a URL: it has no secrets."""
    return len(text) <= MAX_ADVICE and shown_url(text, MAX_ADVICE) == text


def has_stray_percent(text: str) -> bool:
    """Return True if a ``%`` of *text* is not followed by two hexadecimal digits."""
    return _stray().search(text) is not None
