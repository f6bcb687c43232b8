"""The route to an origin: where to connect to, and how. Plain data.

Not here: connecting (open.py), and the checks of arguments (config.py, options.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...http.h1.limits import Limits
from ...http.hosts import HTTP_PORT, HTTPS_PORT, authority, place_in_url
from ...http.redaction import mask_target
from ...http.target import Target, is_authority, is_path
from .dns import literal
from .options import PLAIN, TransportOptions

if TYPE_CHECKING:
    from ..proxy.proxy import Proxy
    from ..tls.over_socket import SSLContext
    from ..trace import Trace


class Route:
    """Where to connect to, and how. Immutable.

    Attributes:
        hostname: host of the origin.
        port: port of the origin.
        ssl_context: for https, else None.
        proxy: the proxy, or None.
        limits: for the response of the proxy.
        test_hostnames: see `co_resolve`.
        options: options of the transport.
        first: host and port of the peer: the proxy or the origin.
        address: the same as a socket address; None if it has to be looked up, or is not used.
        has_tls: True if the stream is TLS, to the origin or just to a proxy.
        trace: gets the events of each step, or None.
        offer: protocols to offer to the origin (ALPN); those of *ssl_context* if empty.

    """

    __slots__ = (
        *("address", "first", "has_tls", "hostname", "limits", "offer", "options", "port", "proxy"),
        *("ssl_context", "test_hostnames", "trace"),
    )

    def __init__(
        self,
        hostname: str,
        port: int,
        ssl_context: SSLContext | None,
        proxy: Proxy | None,
        limits: Limits,
        test_hostnames: Sequence[str] = (),
        options: TransportOptions = PLAIN,
    ) -> None:
        self.hostname = hostname
        self.port = port
        self.ssl_context = ssl_context
        self.proxy = proxy
        self.limits = limits
        self.test_hostnames = test_hostnames
        self.trace: Trace | None = None
        self.offer: Sequence[str] = ()
        self.first = (hostname, port) if proxy is None else (proxy.host, proxy.port)
        self.options = options
        self.address = literal(*self.first) if options.can_use(self.first[0]) else None
        to_proxy = proxy is not None and proxy.ssl_context is not None
        self.has_tls = ssl_context is not None or to_proxy
        if ssl_context is not None:  # imported now: it might fail later, with an open socket
            from ..tls import start as start_tls  # noqa: F401, PLC0415

    @property
    def origin(self) -> str:
        """The origin as the beginning of a URL, such as ``https://example.org``."""
        scheme, default = ("http", HTTP_PORT) if self.ssl_context is None else ("https", HTTPS_PORT)
        return f"{scheme}://{place_in_url(self.hostname, self.port, default)}"

    @property
    def peer(self) -> str:
        """The peer, for messages: ``example.org:443``, ``the proxy p:3128``."""
        name = authority(*self.first)
        return name if self.proxy is None else f"the proxy {name}"

    @property
    def detour(self) -> str:
        """The proxy, for messages: `` through the proxy http://p:3128``; often empty."""
        proxy = self.proxy
        if proxy is None:
            return ""
        return f" through the proxy {proxy.scheme}://{place_in_url(proxy.host, proxy.port)}"

    def url(self, method: str, target: str) -> str:
        """Return the URL of a request, without credentials, for messages.

        It is `origin` with the path; for ``*`` (RFC 9112 section 3.3) and invalid targets just
        the origin; other targets are URLs or, with CONNECT, host and port.
        """
        if is_path(target):
            return self.origin + mask_target(target)
        if method == "CONNECT" and is_authority(target):
            return target
        return mask_target(target) if type(target) is Target else self.origin

    def offering(self, protocols: Sequence[str]) -> Route:
        """Return the same route with another *offer*."""
        route = self._copy()
        route.offer = protocols
        return route

    def traced(self, trace: Trace) -> Route:
        """Return the same route with *trace*."""
        route = self._copy()
        route.trace = trace
        return route

    def _copy(self) -> Route:
        from copy import copy  # noqa: PLC0415 - for routes that are not as most are

        return copy(self)
