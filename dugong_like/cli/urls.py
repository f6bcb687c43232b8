"""URLs of the command line: what to connect to, and what to ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

from ..errors import InvalidRequest

if TYPE_CHECKING:
    from ..transport.tls import SSLContext

PORTS: Final = {"http": 80, "https": 443}
SAFE: Final = "!$%&'()*+,/:;=?@[]~"  # what stays as it is in path and query (RFC 3986 section 2)


@dataclass(frozen=True)
class Target:
    """A URL, taken apart."""

    hostname: str
    port: int
    path: str
    ssl_context: SSLContext | None


def parse_url(text: str) -> Target:
    """Take apart the URL *text*; its fragment is dropped (RFC 9110 section 7.1).

    Raises:
        InvalidRequest: it is no http or https URL, or carries a user name.

    """
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError as exc:
        raise InvalidRequest(f"not a URL: {text!r}: {exc}") from exc
    if url.scheme not in PORTS or not url.hostname:
        raise InvalidRequest(f"not a URL that begins with http:// or https://: {text!r}")
    if url.username is not None:
        raise InvalidRequest("a user name in a URL is not supported")
    path = quote((url.path or "/") + (f"?{url.query}" if url.query else ""), safe=SAFE)
    context = None
    if url.scheme == "https":
        from ..transport.contexts import default_ssl_context  # noqa: PLC0415 - https only

        context = default_ssl_context()
    return Target(url.hostname, port or PORTS[url.scheme], path, context)
