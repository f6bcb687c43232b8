"""URLs and origins as values: checked when they are made, and never changed.

Grammar: RFC 3986 sections 3 and 6.2, with RFC 9110 section 4.2 for ``http`` and ``https``, and RFC
6455 section 3 for ``ws`` and ``wss``.

Not here: checks of names and ports (hosts.py), URLs of proxies, which may have a password
(transport/proxy/proxy.py), and joining a URL and a reference, which `urllib.parse.urljoin` does.
"""

from __future__ import annotations

import re
from typing import Final

from ..errors import InvalidRequest
from .headers import exact
from .hosts import (
    HTTP_PORT,
    HTTPS_PORT,
    PLACE,
    authority,
    check_hostname,
    check_port,
    place_in_url,
    read_place,
)
from .redaction import mask_target, quoted, shown_url

PORTS: Final = {"http": HTTP_PORT, "https": HTTPS_PORT, "ws": HTTP_PORT, "wss": HTTPS_PORT}
SECURE: Final = frozenset(["https", "wss"])
NO_FRAGMENTS: Final = frozenset(["ws", "wss"])  # RFC 6455 section 3
TARGET: Final = r"[\x21\x22\x24-\x7e]*"  # as `check_target` accepts a path

_url = re.compile(
    rf"(?P<scheme>[A-Za-z][A-Za-z0-9+\-.]*)://{PLACE}"
    rf"(?P<target>(?:[/?]{TARGET})?)(?P<fragment>#{TARGET})?"
).fullmatch
_target = re.compile(rf"/{TARGET}").fullmatch


class Origin:
    """Scheme, host and port of a server (RFC 9110 section 4.3.1).

    Immutable and hashable: equal ones have the same scheme, host and port.

    Args:
        scheme: ``"http"``, ``"https"``, ``"ws"`` or ``"wss"``, in any case.
        host: a name, or an IP address, without brackets.
        port: None for 80, or 443 with ``https`` and ``wss``.

    Raises:
        InvalidRequest: an argument is not valid.
        TypeError: an argument has the wrong type.

    Attributes:
        scheme: in lower case.
        host: in lower case; a name in ASCII, as it is looked up (IDNA). Addresses are not
            normalised: ``::1`` and ``0::1`` are two hosts.
        port: a number from 1 to 65535.

    """

    __slots__ = ("host", "port", "scheme")

    scheme: str
    host: str
    port: int

    def __init__(self, scheme: str, host: str, port: int | None = None) -> None:
        if not isinstance(scheme, str):
            raise TypeError(f"scheme is a string, not {quoted(scheme)}")
        known = exact(scheme).lower()
        if known not in PORTS:
            raise InvalidRequest(f"not one of the schemes {', '.join(PORTS)}: {quoted(scheme)}")
        name, percent, zone = check_hostname(host).partition("%")
        port = PORTS[known] if port is None else check_port(port)
        for key, value in (("scheme", known), ("host", name.lower() + percent + zone)):
            object.__setattr__(self, key, value)
        object.__setattr__(self, "port", port)

    @property
    def host_field(self) -> str:
        """The value of Host: the host, and the port unless it is the default one."""
        return authority(self.host, self.port, PORTS[self.scheme])

    @property
    def secure(self) -> bool:
        """True if the scheme uses TLS."""
        return self.scheme in SECURE

    def url(self, target: str = "/") -> URL:
        """Return the URL of *target*, a path and a query, at this origin.

        Raises:
            InvalidRequest: *target* cannot be sent as a path, or has a fragment.
            TypeError: it is not a string.

        """
        if not isinstance(target, str):
            raise TypeError(f"target is a string, not {quoted(target)}")
        if not _target(exact(target)):
            raise InvalidRequest(f"not a path and a query, percent-encoded: {quoted(target)}")
        return URL(f"{self}{exact(target)}")

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"an Origin is never changed: {name}")

    def __reduce__(self) -> tuple[type[Origin], tuple[str, str, int]]:
        return Origin, (self.scheme, self.host, self.port)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Origin):
            return NotImplemented
        return (self.scheme, self.host, self.port) == (other.scheme, other.host, other.port)

    def __hash__(self) -> int:
        return hash((self.scheme, self.host, self.port))

    def __str__(self) -> str:
        return f"{self.scheme}://{place_in_url(self.host, self.port, PORTS[self.scheme])}"

    def __repr__(self) -> str:
        return f"Origin({self.scheme!r}, {self.host!r}, {self.port})"


class URL:
    """A URL of a resource, split and checked.

    Immutable and hashable. Scheme and host are compared without regard to case, the default port
    equals no port, and an empty path equals ``/``. Percent-encoding is not normalised, as servers
    may distinguish ``%7E`` and ``~``.

    Args:
        text: such as ``"https://www.example.org:8080/a/b?c#d"``. Everything except the host has to
            be ASCII, percent-encoded as it is to be sent. A fragment (``#d``) is dropped: it is
            never sent, and does not identify another resource (RFC 9110 section 7.1). ``ws`` and
            ``wss`` do not allow one.

    Raises:
        InvalidRequest: it is not an absolute URL of a known scheme, or has white space or a
            control character; or it has a user name or a password, which would never be sent but
            get into logs (RFC 9110 section 4.2.4). The message does not contain credentials.
        TypeError: it is not a string.

    Attributes:
        origin: the `Origin`; `scheme`, `host` and `port` are taken from it.
        target: path and query, as in a request; at least ``/``.

    """

    __slots__ = ("origin", "target")

    origin: Origin
    target: str

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise TypeError(f"text, a URL, is a string, not {quoted(text)}")
        match = _url(exact(text))
        if match is None:
            raise InvalidRequest(_problem(exact(text)))
        scheme = match["scheme"].lower()
        if scheme not in PORTS:
            raise InvalidRequest(f"not a URL of {', '.join(PORTS)}: {quoted(scheme)}")
        if match["fragment"] is not None and scheme in NO_FRAGMENTS:
            raise InvalidRequest(f"a URL with {scheme} has no fragment (RFC 6455 section 3)")
        host, port = read_place(match["host"], match["port"])
        target = match["target"]
        object.__setattr__(self, "origin", Origin(scheme, host, port))
        object.__setattr__(self, "target", target if target.startswith("/") else f"/{target}")

    @property
    def scheme(self) -> str:
        """``"http"``, ``"https"``, ``"ws"`` or ``"wss"``."""
        return self.origin.scheme

    @property
    def host(self) -> str:
        """Name or address of the server; see `Origin`."""
        return self.origin.host

    @property
    def port(self) -> int:
        """Port of the server."""
        return self.origin.port

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a URL is never changed: {name}")

    def __reduce__(self) -> tuple[type[URL], tuple[str]]:
        return URL, (str(self),)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, URL):
            return NotImplemented
        return self.target == other.target and self.origin == other.origin

    def __hash__(self) -> int:
        return hash((self.origin, self.target))

    def __str__(self) -> str:
        return f"{self.origin}{self.target}"

    def __repr__(self) -> str:
        return f"URL({mask_target(str(self))!r})"


def _problem(text: str) -> str:
    """Return a message that says why *text* is not a URL."""
    shown = shown_url(text)
    rest = text.partition("://")[2]
    if "@" in re.split(r"[/?#]", rest, maxsplit=1)[0]:
        return f"a URL with a user name or a password: give them as a header field: {shown!r}"
    if text and "://" not in text:
        return f"not a URL: is https:// missing in front? {shown!r}"
    return f"not a URL (scheme, host, perhaps a port, and what is percent-encoded): {shown!r}"


def as_origin(place: Origin | URL | str) -> Origin:
    """Return the origin of *place*, which may be the text of a URL.

    Raises:
        InvalidRequest, TypeError: it is not a URL; see `URL`.

    """
    if isinstance(place, Origin):
        return place
    if not isinstance(place, URL | str):
        raise TypeError(f"place is a URL, its text or an Origin, not {quoted(place)}")
    return (place if isinstance(place, URL) else URL(place)).origin
