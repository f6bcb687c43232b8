"""Values of parameters such as ``filename*``: charset, language and percent-encoding (RFC 8187).

Not here: parameters without an asterisk (content_type.py).
"""

from __future__ import annotations

import re

from .patterns import compiled_later

_parts = compiled_later(r"([A-Za-z0-9!#$%&+\-^_`{}~]+)'[A-Za-z0-9\-]*'(.*)", re.DOTALL)
_percent = compiled_later(rb"%([0-9A-Fa-f]{2})")
CHARSETS = {"utf-8": "utf-8", "utf8": "utf-8", "iso-8859-1": "latin-1"}  # section 3.2.1


def extended_value(text: str) -> str | None:
    """Return the decoded value; None if it is invalid, or in another charset than UTF-8, Latin-1.

    Args:
        text: ``charset'language'value``.

    """
    match = _parts().fullmatch(text)
    charset = CHARSETS.get(match[1].lower()) if match else None
    if match is None or charset is None:
        return None
    try:
        encoded = match[2].encode("latin-1")
        return _percent().sub(lambda code: bytes([int(code[1], 16)]), encoded).decode(charset)
    except UnicodeError:
        return None
