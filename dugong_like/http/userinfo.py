"""User name and password in a URL (RFC 3986 section 3.2.1), for those who accept them there.

A `URL` never has them, as it gets into messages and logs, and as RFC 9110 section 4.2.4 forbids to
send them. They are split off where a URL enters, and used as credentials for its origin only.

Not here: what is sent for them (auth/basic.py).
"""

from __future__ import annotations

import re

from ..errors import InvalidRequest
from .headers import exact
from .percent import decode, has_stray_percent
from .redaction import quoted
from .references import resolve
from .url import URL

Credentials = tuple[str, str]

_login = re.compile(r"(?P<scheme>[^:/?#\\]*://)(?P<userinfo>[^/?#\\]*)@").match
_control = re.compile(r"[\x00-\x1f\x7f-\x9f]").search


def split_credentials(
    text: str | bytes, base: URL | None = None, *, keep_fragment: bool = False
) -> tuple[URL, Credentials | None]:
    """Return the URL *text* without user name and password, and these, percent-decoded.

    Args:
        text: a URL, perhaps with ``user:password@`` in front of the host, in which ``@``, ``/``,
            ``?``, ``#``, ``%``, blanks, and ``:`` in a user name are percent-encoded.
        base: if given, *text* is a reference that is resolved there, as `URL.join` does.
        keep_fragment: see `URL.join`.

    Returns:
        The URL, and the pair of user name and password. The pair is None if there is no ``@``, or
        if both are empty; a missing password is an empty one.

    Raises:
        InvalidRequest: see `URL` and `URL.join`; or user name or password is not encoded right,
            has control characters or is not UTF-8, or the user name has a colon (RFC 7617 section
            2). No message contains them.
        TypeError: an argument has the wrong type.

    """
    if base is not None and not isinstance(base, URL):
        raise TypeError(f"base is a URL or None, not {quoted(base)}")
    if base is not None:
        found = resolve(text, base.scheme, base.target)
        if found.userinfo is None:
            return base.join(text, keep_fragment=keep_fragment), None
        credentials = _credentials(found.userinfo)
        plain = f"{found.scheme}://{found.place}{found.target}"
        url = base.join(
            plain if found.fragment is None else f"{plain}#{found.fragment}",
            keep_fragment=keep_fragment,
        )
        return url, credentials
    if not isinstance(text, str):
        raise TypeError(f"text, a URL, is a string, not {quoted(text)}")
    text = exact(text)
    match = _login(text)
    if match is None:
        return URL(text), None
    credentials = _credentials(match["userinfo"])
    return URL(match["scheme"] + text[match.end() :]), credentials


def _credentials(userinfo: str) -> Credentials | None:
    """Return user name and password of *userinfo*, which is what is in front of the ``@``."""
    if "@" in userinfo:
        raise InvalidRequest("an @ in the user name or password of a URL is written %40")
    user, _, password = userinfo.partition(":")
    if not user and not password:
        return None
    name = _decoded("user name", user)
    if ":" in name:
        raise InvalidRequest("the user name in a URL has a colon (RFC 7617 section 2)")
    return name, _decoded("password", password)


def _decoded(what: str, text: str) -> str:
    if has_stray_percent(text):
        raise InvalidRequest(f"a % in the {what} of a URL is written %25")
    if " " in text:
        raise InvalidRequest(f"a blank in the {what} of a URL is written %20")
    data = decode(text)
    plain = data.decode("utf-8", "replace")
    if plain.encode() != data:
        raise InvalidRequest(f"the {what} in a URL is not UTF-8")
    if _control(plain):
        raise InvalidRequest(f"the {what} in a URL has control characters")
    return plain
