"""The four forms of a request target (RFC 9112 section 3.2), and where each is allowed.

A plain string is a path in origin-form, or ``*`` with OPTIONS, and never anything else: a string
that came from elsewhere cannot name another host. Other forms are given as a `Target`. CONNECT
needs no `Target`, as it takes one form only.

No form changes where the connection leads to.

Not here: the rest of a head (h1/request_head.py).
"""

from __future__ import annotations

import re
from typing import Final, Self

from ..errors import InvalidRequest
from .headers import exact
from .patterns import compiled_later
from .redaction import quoted, shown_url

HOST: Final = r"(?:(?:[A-Za-z0-9\-._~]|%[0-9A-Fa-f]{2})+|\[[0-9A-Fa-f:.]+\])"  # RFC 3986 3.2.2
_path = compiled_later(r"/[\x21\x22\x24-\x7e]*|\*")  # "#" begins a fragment
_absolute = compiled_later(
    rf"(?P<scheme>https?)://(?P<authority>{HOST}(?::(?P<port>[0-9]{{1,5}}))?)"
    r"(?:[/?][\x21\x22\x24-\x7e]*)?",
    re.IGNORECASE,
)
_authority = compiled_later(rf"(?P<host>{HOST}):(?P<port>[0-9]{{1,5}})")
MAX_PORT: Final = 65535
SHOWN: Final = 60  # characters of an invalid value that an error message shows


class Target(str):
    """A request target in any form; to be given instead of a path.

    Args:
        text: the target as it is sent: in absolute-form, such as ``"http://example.org/a?b"``,
            which is for proxies, or any other form of RFC 9112 section 3.2. The scheme is http or
            https, without user, password and fragment.

    Raises:
        InvalidRequest: it is in none of the forms.
        TypeError: it is not a string.

    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        if not isinstance(text, str):
            raise TypeError(f"text, a request target, is a string, not {quoted(text)}")
        text = exact(text)
        if (
            not _path().fullmatch(text)
            and not is_port(_absolute().fullmatch(text))
            and not is_port(_authority().fullmatch(text))
        ):
            raise InvalidRequest(f"not a request target: {shown_url(text)!r}")
        return str.__new__(cls, text)


def is_port(match: re.Match[str] | None) -> bool:
    """Return True if there is a *match*, and its port is valid or missing."""
    return match is not None and int(match["port"] or 0) <= MAX_PORT


def is_path(target: str) -> bool:
    """Return True if *target* is in origin-form."""
    return target != "*" and _path().fullmatch(target) is not None


def is_authority(target: str) -> bool:
    """Return True if *target* is in authority-form."""
    return is_port(_authority().fullmatch(target))


def check_target(target: str, method: str) -> None:
    """Check the target of a *method* request.

    Raises:
        InvalidRequest: it is in the wrong form for the method, or has white space, a control
            character, a fragment or a character that is not ASCII.

    """
    if method == "CONNECT":
        match = _authority().fullmatch(target)
        if match is None or not 0 < int(match["port"]) <= MAX_PORT:
            raise InvalidRequest(f"CONNECT goes with host:port, not with {shown_url(target)!r}")
    elif type(target) is Target and is_port(_absolute().fullmatch(target)):
        pass
    elif not _path().fullmatch(target):
        if "://" in target:
            how = ", percent-encoded (of a URL, that is URL(…).target)"
        else:
            from .percent import advice  # noqa: PLC0415 - for the message only

            how = advice(target, _path().fullmatch)
        raise InvalidRequest(
            "path must begin with '/' and have only visible ASCII characters except '#'"
            f"{how}: {shown_url(target)!r}",
        )
    elif target == "*" and method != "OPTIONS":
        raise InvalidRequest(f"path '*' goes with OPTIONS only, not with {method}")


def check_agreement(target: str, host: str, *, forwarded: bool) -> bool:
    """Return True if *target* is in absolute-form, after checking that it agrees with Host.

    Args:
        target: one that `check_target` has accepted.
        host: value of the Host field of the request.
        forwarded: True if a forward proxy selects the server by it.

    Raises:
        InvalidRequest: it names another authority than *host* (RFC 9112 section 3.2.2), or leads
            the proxy to another server.

    """
    match = _absolute().fullmatch(target)
    if match is None:
        return False
    if match["authority"].lower() != host.lower():
        raise InvalidRequest(
            f"the target names {match['authority'][:SHOWN]} and Host {shown_url(host)}: they have "
            "to be the same (RFC 9112 section 3.2.2)",
        )
    if forwarded and match["scheme"].lower() != "http":
        raise InvalidRequest(f"through this proxy a target is http: {shown_url(target)!r}")
    return True
