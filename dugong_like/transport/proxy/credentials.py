"""The credentials for a proxy: found in its URL, checked, sent, and renewed after a challenge.

HTTP proxies take them in Proxy-Authorization (RFC 9110 section 11.7) and may answer 407 with a
challenge first, SOCKS5 takes a user name and a password (RFC 1929), SOCKS4a a user name only.

Not here: the schemes, Basic and Digest (http/auth), and the handshakes (connect_tunnel.py,
forward.py, socks5.py, socks4.py).
"""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote

from ...errors import InvalidRequest
from ...http.auth.basic import BasicAuth
from ...http.auth.proxy_protocol import AuthSession, ProxyAuth
from ...http.challenges import challenges_in
from ...http.h1.response_head import Head
from ...http.headers import Headers

AUTHENTICATION_REQUIRED: Final = 407
LOGIN_VERSION: Final = 1  # of the sub-negotiation (RFC 1929 section 2)
MAX_TEXT: Final = 255  # bytes of a name or password: their length is one byte


# ---- what the caller has given


def decode_login(text: str | None) -> BasicAuth | None:
    """Return the credentials in a URL, of which *text* is the part in front of ``@``.

    Raises:
        InvalidRequest: they are not UTF-8, or something in them cannot be sent.

    """
    if text is None:
        return None
    user, _, password = text.partition(":")
    try:
        return BasicAuth(unquote(user, errors="strict"), unquote(password, errors="strict"))
    except UnicodeDecodeError:
        raise InvalidRequest("the credentials in the URL of a proxy are not UTF-8") from None


def choose_auth(given: ProxyAuth | None, in_url: BasicAuth | None) -> ProxyAuth | None:
    """Return the credentials of a proxy, *given* as an argument or *in_url*.

    Raises:
        InvalidRequest: there are both.
        TypeError: *given* is no `ProxyAuth`.

    """
    if given is None:
        return in_url
    if in_url is not None:
        raise InvalidRequest("credentials in the URL of a proxy and in auth")
    if isinstance(given, type):
        raise TypeError(f"auth is a class, where a {given.__name__}(…) is needed")
    if not callable(getattr(given, "session", None)):
        raise TypeError(f"auth has no session(): {type(given).__name__}")
    return given


def check_for_socks(auth: ProxyAuth | None, scheme: str) -> None:
    """Raise `InvalidRequest` if a SOCKS proxy of this *scheme* does not take *auth*."""
    if auth is None:
        return
    if not isinstance(auth, BasicAuth):
        raise InvalidRequest("a SOCKS proxy takes BasicAuth only")
    if scheme != "socks4a":
        check_login(auth)
    elif auth.password:
        raise InvalidRequest("SOCKS4a has no passwords")


def check_login(login: BasicAuth) -> None:
    """Raise `InvalidRequest` if SOCKS5 cannot carry *login* (RFC 1929 section 2)."""
    for text in (login.user, login.password):
        if not 0 < len(text.encode()) <= MAX_TEXT:
            raise InvalidRequest(f"user name and password of SOCKS5 have 1 to {MAX_TEXT} bytes")


# ---- what is sent


def session_for(auth: ProxyAuth | None, fields: Headers) -> AuthSession | None:
    """Return the state of the authentication at an HTTP proxy.

    None without *auth*, or if *fields*, those of the caller for this proxy, have
    Proxy-Authorization, which wins.
    """
    if auth is None or "proxy-authorization" in fields:
        return None
    return auth.session()


def learn(session: AuthSession | None, head: Head, refused: str | None) -> bool:
    """Take the challenges of a response, if it is 407 (Proxy Authentication Required).

    Args:
        session: the state of the authentication, or None.
        head: of the response.
        refused: the credentials of the request; None if it had none, or they are not known.

    Returns:
        True if the next credentials may be accepted.

    """
    if session is None or head.status != AUTHENTICATION_REQUIRED:
        return False
    return session.learn(challenges_in(head.fields, b"proxy-authenticate"), refused)


def login_message(login: BasicAuth) -> bytes:
    """Return the user name and password as SOCKS5 sends them (RFC 1929 section 2)."""
    user, password = login.user.encode(), login.password.encode()
    return b"%c%c%b%c%b" % (LOGIN_VERSION, len(user), user, len(password), password)
