"""Where to connect to, as the caller says it: host names, ports and proxies are checked.

Not here: how to get there (connect.py).
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from .errors import InvalidRequest
from .transport.resolve import is_address

HTTP_PORT: Final = 80
HTTPS_PORT: Final = 443
MAX_PORT: Final = 65535

_name = re.compile(r"(?:[A-Za-z0-9\-_~]+\.)*[A-Za-z0-9\-_~]+\.?").fullmatch


def check_hostname(hostname: str) -> str:
    """Return *hostname* in ASCII: a name, an IPv4 address or an IPv6 address without brackets.

    Raises:
        InvalidRequest: it cannot be the name of a host.

    """
    try:
        name = hostname if hostname.isascii() else hostname.encode("idna").decode("ascii")
    except UnicodeError as exc:
        raise InvalidRequest(f"not a host name: {hostname[:60]!r}") from exc
    if not _name(name) and not (":" in name and is_address(name)):
        raise InvalidRequest(f"not a host name: {hostname[:60]!r}")
    return name


def check_port(port: int) -> int:
    """Return *port*.

    Raises:
        InvalidRequest: it is not between 1 and 65535.

    """
    if not 0 < port <= MAX_PORT:
        raise InvalidRequest(f"not a port number from 1 to {MAX_PORT}: {port}")
    return port


def parse_proxy(proxy: tuple[str, int] | str | None) -> tuple[str, int] | None:
    """Return host and port of *proxy*, a pair or an ``http://`` URL.

    Raises:
        InvalidRequest: it is neither.

    """
    if proxy is None:
        return None
    if isinstance(proxy, str):
        try:
            url = urlsplit(proxy)
            port = url.port or HTTP_PORT
        except ValueError as exc:
            raise InvalidRequest(f"not the URL of a proxy: {proxy!r}: {exc}") from exc
        if url.scheme != "http" or not url.hostname or url.username is not None:
            raise InvalidRequest(f"not the URL of an HTTP proxy without credentials: {proxy!r}")
        return check_hostname(url.hostname), port
    host, port = proxy
    return check_hostname(host), check_port(port)
