"""Checks of user names, passwords and tokens, and the quoting of parameters.

Messages about them never contain them.
"""

from __future__ import annotations

import re

from ...errors import InvalidRequest
from ..headers import exact

_control = re.compile(r"[\x00-\x1f\x7f-\x9f]").search
_special = re.compile(r'(["\\])')
_token = re.compile(r"[\x21-\x7e]+").fullmatch


def check_text(what: str, text: str) -> str:
    """Return *text*, a user name or a password, as an exact string.

    Raises:
        InvalidRequest: it has control characters (RFC 7617 section 2, RFC 7616 section
            3.4), or cannot be encoded. The message does not contain it.
        TypeError: it is not a string.

    """
    if not isinstance(text, str):
        raise TypeError(f"a {what} is a string, not {type(text).__name__}")
    text = exact(text)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidRequest(f"the {what} cannot be encoded in UTF-8") from None
    if _control(text):
        raise InvalidRequest(f"the {what} has control characters")
    return text


def check_token(what: str, text: str) -> str:
    """Return *text*, a token that is sent as it is, as an exact string.

    Raises:
        InvalidRequest: it is empty, or has other characters than visible ones of ASCII (RFC 6750
            section 2.1 allows some of them only, which servers do not keep to).
        TypeError: it is not a string.

    """
    if not isinstance(text, str):
        raise TypeError(f"a {what} is a string, not {type(text).__name__}")
    if not _token(exact(text)):
        problem = "has white space or characters that are not ASCII" if text else "is empty"
        raise InvalidRequest(f"the {what} {problem}")
    return exact(text)


def quoted_string(text: str) -> str:
    """Return *text* as a quoted-string (RFC 9110 section 5.6.4)."""
    return '"' + _special.sub(r"\\\1", text) + '"'
