"""Keeping secrets out of what is told, logged and shown.

Not here: the wire dump, which has every byte as it was (transport/filters/wire_dump.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

MASK: Final = "[masked]"
SHOWN: Final = 60  # characters of a bad value that an error message shows
SECRET: Final = frozenset(
    [
        *("authorization", "authentication-info", "cookie", "set-cookie"),
        *("proxy-authorization", "proxy-authentication-info"),
        *("api-key", "x-api-key", "x-auth-token", "x-amz-security-token", "x-csrf-token"),
        *("private-token", "x-vault-token", "x-goog-api-key", "ocp-apim-subscription-key"),
    ]
)  # fields whose values let their owner in (RFC 9110 section 11, RFC 6265, and what is in use)
_userinfo = re.compile(r"(?<=//)[^/?#\s]*@")  # RFC 3986 section 3.2.1
# Parameters of a query whose values let their owner in: RFC 6750 section 2.3, what signs the URLs
# of object stores, and what is in use for the rest.
_parameter = re.compile(
    r"(?<=[?&;])(?P<name>access_token|refresh_token|id_token|token|api[_-]?key|password|passwd|pwd"
    r"|secret|client_secret|sig|signature|x-(?:amz|goog)-(?:signature|security-token))=[^&;#\s\"']*",
    re.IGNORECASE,
)


def mask_target(target: str) -> str:
    """Return *target*, a request target or URL, without what may let its owner in.

    That is a user name with its password, and the values of parameters that are known for it.
    """
    if "@" in target:
        target = _userinfo.sub(f"{MASK}@", target)
    return _parameter.sub(rf"\g<name>={MASK}", target) if "?" in target else target


def shown_url(text: str) -> str:
    """Return the beginning of *text*, perhaps no URL at all, without what may be credentials."""
    if "@" not in text:
        return text[:SHOWN]
    scheme, found, _ = text.partition("://")
    return f"{scheme[:SHOWN] if found else ''}://...@{text.rpartition('@')[2][:SHOWN]}"


def mask_fields(fields: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return *fields*, names and values, with the values that are secret replaced."""
    return [
        (name, MASK if name.lower() in SECRET else mask_target(value)) for name, value in fields
    ]


def shown_line(line: bytes) -> bytes:
    """Return *line*, perhaps no field line at all, without the value if that would be secret."""
    name, colon, _ = line.partition(b":")
    is_secret = colon and name.strip(b" \t").lower().decode("latin-1") in SECRET
    return name + colon + b" " + MASK.encode() if is_secret else line


def masked_lines(lines: bytes) -> list[tuple[str, str]]:
    """Return field lines, each ended by CRLF, as `mask_fields` does; others are passed by."""
    pairs = []
    for line in lines.decode("latin-1").split("\r\n"):
        name, colon, value = line.partition(":")
        if colon:
            pairs.append((name, value.strip(" \t")))
    return mask_fields(pairs)
