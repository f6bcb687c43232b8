"""Checks of host names and ports that the caller passes.

Not here: proxies (transport/proxy/proxy.py), and connecting (open.py).
"""

from __future__ import annotations

import operator
import re
from typing import Final

from ..errors import InvalidRequest
from .headers import exact
from .patterns import compiled_later
from .redaction import quoted, shown_url

HTTP_PORT: Final = 80
HTTPS_PORT: Final = 443
MAX_PORT: Final = 65535
PLACE: Final = (
    r"(?P<host>\[[^\x00-\x20\x7f\[\]@/?#\\]+\]|[^\x00-\x20\x7f\[\]@/?#\\:]+)"
    r"(?::(?P<port>[0-9]{0,5}))?"
)  # a regular expression: host and port in a URL (RFC 3986 section 3.2), for `read_place`

_address = compiled_later(r"[0-9A-Fa-f:.]+(?:%[A-Za-z0-9\-._~]+)?")  # a zone may follow
_name = re.compile(r"(?:[A-Za-z0-9\-_~]+\.)*[A-Za-z0-9\-_~]+\.?").fullmatch


def is_ipv6_address(text: str) -> bool:
    """Return True if *text* is an IPv6 address, perhaps with a zone (RFC 4007 section 11)."""
    from ipaddress import IPv6Address  # noqa: PLC0415 - 3 ms, not needed for names

    try:
        IPv6Address(text.partition("%")[0])
    except ValueError:
        return False
    return True


def check_hostname(hostname: str, name: str = "hostname") -> str:
    """Return *hostname*, an argument called *name*, in ASCII.

    It is a name, an IPv4 address or an IPv6 address without brackets. A name that is not in ASCII
    is made so by IDNA; see `to_ascii`.

    Raises:
        InvalidRequest: it is not a valid host.

    """
    if not isinstance(hostname, str):
        raise TypeError(f"{name} is a string, not {quoted(hostname)}")
    hostname = exact(hostname)
    text = hostname if hostname.isascii() else _international(hostname)
    if not _name(text) and not (_address().fullmatch(text) and is_ipv6_address(text)):
        raise InvalidRequest(_problem(hostname))
    return text


def _international(hostname: str) -> str:
    from .idna import NotIDNA, to_ascii  # noqa: PLC0415 - 1 ms, for names that are not in ASCII

    try:
        return to_ascii(hostname)
    except NotIDNA as exc:
        raise InvalidRequest(_problem(hostname, str(exc))) from None


def _problem(hostname: str, reason: str = "") -> str:
    """Return a message that says why *hostname* is invalid, and what to do.

    *reason*: why it is no international name.
    """
    advice = f" ({reason})" if reason else ""
    if "://" in hostname:
        advice = " but a URL, for which there is HTTPConnection.to(url)"
    elif re.search(r"[/?#]", hostname):
        advice = "; what is asked for there goes with the request"
    elif hostname.startswith("["):
        advice = "; an IPv6 address has no brackets here, and the port is an argument of its own"
    elif re.search(r"[^:]:[0-9]*$", hostname):
        advice = "; the port is an argument of its own"
    return f"not a host name{advice}: {shown_url(hostname)!r}"


def check_port(port: int) -> int:
    """Return *port*.

    Raises:
        InvalidRequest: it is not between 1 and 65535.
        TypeError: it is not an int.

    """
    if type(port) is not int:
        if isinstance(port, bool):
            raise TypeError(f"port is a number, not {port}")
        try:
            port = operator.index(port)
        except TypeError:
            raise TypeError(f"port is a number, not {quoted(port)}") from None
    if not 0 < port <= MAX_PORT:
        raise InvalidRequest(f"not a port number from 1 to {MAX_PORT}: {quoted(port)}")
    return port


def authority(hostname: str, port: int, default_port: int | None = None) -> str:
    """Return ``host:port``, or ``host`` if *port* is the default (RFC 9110 section 7.2)."""
    host = f"[{hostname.partition('%')[0]}]" if ":" in hostname else hostname
    return host if port == default_port else f"{host}:{port}"


def read_place(host: str, port: str | None) -> tuple[str, int | None]:
    """Return host and port that `PLACE` has matched in a URL; None for a missing port.

    The host is a name in ASCII, or an address without brackets, in lower case except for the zone
    of an IPv6 address (RFC 6874).

    Raises:
        InvalidRequest: the host or the port is not valid.

    """
    if host.startswith("["):
        host = host[1:-1].replace("%25", "%", 1)  # a zone
        if ":" not in host:
            raise InvalidRequest(f"not an IPv6 address: {quoted(host)}")
    address, percent, zone = host.partition("%")
    number = int(port) if port else None
    name = check_hostname(address.lower() + percent + zone)
    return name, None if number is None else check_port(number)


def place_in_url(host: str, port: int, default_port: int | None = None) -> str:
    """Return host and port as in a URL, with the zone of an IPv6 address. See `authority`."""
    name = f"[{host.replace('%', '%25', 1)}]" if ":" in host else host
    return name if port == default_port else f"{name}:{port}"
