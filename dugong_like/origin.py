"""Where to connect to, as the caller says it: host names, ports and proxies are checked.

Not here: how to get there (connect.py).
"""

from __future__ import annotations

import operator
import re
from typing import Final

from .errors import InvalidRequest
from .headers import exact
from .transport.resolve import is_address

HTTP_PORT: Final = 80
HTTPS_PORT: Final = 443
MAX_PORT: Final = 65535

_visible = re.compile(r"[^\x00-\x20\x7f]+").fullmatch
_address = re.compile(r"[0-9A-Fa-f:.]+(?:%[A-Za-z0-9\-._~]+)?").fullmatch  # perhaps with a zone
_name = re.compile(r"(?:[A-Za-z0-9\-_~]+\.)*[A-Za-z0-9\-_~]+\.?").fullmatch


def check_hostname(hostname: str) -> str:
    """Return *hostname* in ASCII: a name, an IPv4 address or an IPv6 address without brackets.

    Raises:
        InvalidRequest: it cannot be the name of a host.

    """
    if not isinstance(hostname, str):
        raise TypeError(f"a host name is a string, not {hostname!r}")
    hostname = exact(hostname)
    try:
        name = hostname if hostname.isascii() else hostname.encode("idna").decode("ascii")
    except UnicodeError as exc:
        raise InvalidRequest(f"not a host name: {hostname[:60]!r}") from exc
    if not _name(name) and not (_address(name) and is_address(name)):
        raise InvalidRequest(f"not a host name: {hostname[:60]!r}")
    return name


def check_port(port: int) -> int:
    """Return *port*.

    Raises:
        InvalidRequest: it is not between 1 and 65535.
        TypeError: it is no int.

    """
    if type(port) is not int:
        if isinstance(port, bool):
            raise TypeError(f"a port is a number, not {port}")
        port = operator.index(port)
    if not 0 < port <= MAX_PORT:
        raise InvalidRequest(f"not a port number from 1 to {MAX_PORT}: {port}")
    return port


def parse_proxy(proxy: tuple[str, int] | str | None) -> tuple[str, int] | None:
    """Return host and port of *proxy*, a pair or an ``http://`` URL.

    Raises:
        InvalidRequest: it is neither.
        TypeError: it is neither a pair nor a string.

    """
    if proxy is None:
        return None
    if isinstance(proxy, str):
        return _parse_proxy_url(exact(proxy))
    if not isinstance(proxy, tuple | list) or len(proxy) != 2:  # noqa: PLR2004 - a pair
        raise TypeError(f"a proxy is a URL, or a pair of host and port, not {proxy!r}")
    host, port = proxy
    return check_hostname(host), check_port(port)


def _parse_proxy_url(proxy: str) -> tuple[str, int]:
    if not _visible(proxy):  # urlsplit would drop some of the others
        raise InvalidRequest(f"not the URL of a proxy: {proxy[:60]!r}")
    from urllib.parse import urlsplit  # noqa: PLC0415 - 2 ms that only such a URL needs

    try:
        url = urlsplit(proxy)
        port = HTTP_PORT if url.port is None else url.port
    except ValueError as exc:
        raise InvalidRequest(f"not the URL of a proxy: {proxy[:60]!r}: {exc}") from exc
    if url.scheme != "http" or not url.hostname or url.username is not None:
        raise InvalidRequest(f"not the URL of an HTTP proxy without credentials: {proxy[:60]!r}")
    if url.path not in {"", "/"} or "?" in proxy or "#" in proxy:
        raise InvalidRequest(f"the URL of a proxy has host and port only: {proxy[:60]!r}")
    return check_hostname(url.hostname), check_port(port)
