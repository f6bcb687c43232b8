"""Structured fields (RFC 9651), as far as they are needed: dictionaries and single items.

A field that does not parse counts as missing (section 4.2). Parameters are passed over.

Not here: the meaning of a field (digest_fields.py, upload_fields.py).
"""

from __future__ import annotations

from typing import Final

from .patterns import compiled_later

_KEY: Final = r"[a-z*][a-z0-9_.*\-]*"
_BARE: Final = (
    r"(?::[A-Za-z0-9+/=]*:|\?[01]|@?-?[0-9]{1,15}(?:\.[0-9]{1,3})?"
    r'|"(?:[ !#-\[\]-~]|\\["\\])*"|[A-Za-z*][!#$%&\'*+.^_`|~0-9A-Za-z:/\-]*)'
)
_PARAMETERS: Final = rf"(?:; *{_KEY}(?:={_BARE})?)*"
_member = compiled_later(rf"(?P<key>{_KEY})(?:=(?P<value>{_BARE}))?{_PARAMETERS}")
_item = compiled_later(rf"(?P<value>{_BARE}){_PARAMETERS}")
_comma = compiled_later(r"[ \t]*,[ \t]*")
_integer = compiled_later(r"-?[0-9]{1,15}")
TRUE: Final = "?1"


def dictionary(value: str | None) -> dict[str, str]:
    """Return the members of a dictionary: names and values as they are written.

    A member without a value is true (``?1``). The dictionary is empty if it is missing or invalid.
    """
    found: dict[str, str] = {}
    at, text = 0, (value or "").strip(" \t")
    while at < len(text):
        match = _member().match(text, at)
        if match is None:
            return {}
        found[match["key"]] = match["value"] or TRUE
        at = match.end()
        if at == len(text):
            break
        comma = _comma().match(text, at)
        if comma is None or comma.end() == len(text):
            return {}
        at = comma.end()
    return found


def item(value: str | None) -> str:
    """Return an item as it is written; empty if it is missing or invalid."""
    match = _item().fullmatch((value or "").strip(" \t"))
    return "" if match is None else match["value"]


def as_integer(text: str) -> int | None:
    """Return a value that is an integer; None for others."""
    return int(text) if _integer().fullmatch(text) else None


def as_bytes(text: str) -> bytes | None:
    """Return a value that is a byte sequence; None for others."""
    if len(text) < 2 or text[0] != ":" or text[-1] != ":":  # noqa: PLR2004 - the two colons
        return None
    return decode_base64(text[1:-1])


def decode_base64(text: str) -> bytes | None:
    """Return the bytes of *text*; None if it is invalid."""
    import base64  # noqa: PLC0415 - 1 ms, for digests

    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return None
