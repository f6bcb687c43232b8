"""Proxy: the description of a proxy, checked before anything is sent.

Not here: its credentials (credentials.py), the handshakes with it (connect_tunnel.py, socks5.py,
socks4.py, forward.py), and connecting (open.py).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from ...errors import InvalidRequest
from ...http.auth.basic import BasicAuth
from ...http.auth.proxy_protocol import ProxyAuth
from ...http.h1.limits import Limits
from ...http.header_validation import FRAMING, FieldLines
from ...http.headers import Fields, Headers, exact, field_pairs
from ...http.hosts import (
    HTTP_PORT,
    HTTPS_PORT,
    PLACE,
    authority,
    check_hostname,
    check_port,
    place_in_url,
    read_place,
)
from ...http.redaction import quoted, shown_url
from . import socks4, socks5
from .connect_tunnel import Tunnel
from .conversation import Conversation
from .credentials import check_for_socks, choose_auth, decode_login, session_for
from .forward import Forwarding

if TYPE_CHECKING:
    from ..tls.over_socket import SSLContext

SOCKS_PORT: Final = 1080  # registered with IANA
PORTS: Final = {
    "http": HTTP_PORT,
    "https": HTTPS_PORT,
    "socks4a": SOCKS_PORT,
    "socks5": SOCKS_PORT,
    "socks5h": SOCKS_PORT,
}
MODES: Final = ("auto", "forward", "tunnel")
# Fields of the library, and fields about the connection instead of the proxy.
NOT_FOR_PROXIES: Final = FRAMING | frozenset(
    [
        *("connection", "expect", "host", "http2-settings"),
        *("keep-alive", "te", "trailer", "upgrade"),
    ]
)


_url = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+\-.]*)://"
    r"(?:(?P<login>(?:[A-Za-z0-9\-._~!$&'()*+,;=:]|%[0-9A-Fa-f]{2})*)@)?"
    rf"{PLACE}/?",
).fullmatch  # RFC 3986 section 3.2


class Proxy:
    """A proxy: address, protocol and credentials. Immutable.

    Two with the same settings are equal. Challenges of a proxy (Digest) are kept in the object, for
    all connections that use it, and never used for another one.

    Args:
        url: ``scheme://user:password@host:port``, all except scheme and host optional. The
            scheme is ``http``, ``https`` (TLS to the proxy), ``socks5`` (this machine looks
            up the name of the server), ``socks5h`` or ``socks4a`` (the proxy does). The
            port is 80, 443 or 1080 if there is none. User and password are
            percent-encoded; they are `BasicAuth` for HTTP, RFC 1929 for SOCKS5, and
            SOCKS4a has no password.
        ssl_context: for TLS to a proxy with ``https``; `default_ssl_context` if None.
            The certificate has to be for the name of the proxy.
        auth: `BasicAuth`, `DigestAuth` or another `ProxyAuth`, instead of those in the URL.
        headers: fields for the proxy: of the CONNECT request, or of each request that is
            forwarded. A ``Proxy-Authorization`` wins over *auth*.
        mode: ``"forward"`` sends whole requests to the proxy, ``"tunnel"`` opens a tunnel,
            ``"auto"`` forwards http and opens a tunnel for https. SOCKS always is a tunnel.

    Raises:
        InvalidRequest: an argument is invalid, or not allowed together with the others. The
            message does not contain credentials.
        InvalidOption: *ssl_context* is a context for servers, or the default one cannot be made.
        TypeError: an argument has the wrong type.

    Attributes:
        scheme: scheme of the URL.
        host: name or address of the proxy.
        port: its port.
        ssl_context: for TLS to the proxy, or None.
        auth: credentials, or None.
        mode: see above.

    """

    __slots__ = (*("_fields", "_session", "auth", "host", "mode", "port", "scheme", "ssl_context"),)

    def __init__(
        self,
        url: str,
        *,
        ssl_context: SSLContext | None = None,
        auth: ProxyAuth | None = None,
        headers: Fields | None = None,
        mode: str = "auto",
    ) -> None:
        self.scheme, login, self.host, self.port = _parse_url(url)
        self.auth = choose_auth(auth, login)
        self.mode = mode
        self.ssl_context = self._context(ssl_context)
        self._fields = _check_fields(headers)
        if mode not in MODES:
            raise InvalidRequest(f"not a mode of a proxy: {quoted(mode)}")
        if self.scheme in {"http", "https"}:
            self._session = session_for(self.auth, self._fields)
        else:
            self._session = None
            self._check_socks()

    @property
    def hostname(self) -> str:
        """Another name of `host`."""
        return self.host

    def _context(self, given: SSLContext | None) -> SSLContext | None:
        if self.scheme != "https":
            if given is not None:
                raise InvalidRequest(f"ssl_context goes with https, not with {self.scheme}")
            return None
        from ..tls.contexts import default_ssl_context  # noqa: PLC0415 - slow
        from ..tls.over_socket import check_context  # noqa: PLC0415

        if given is None:
            return default_ssl_context()
        check_context(given)
        return given

    def _check_socks(self) -> None:
        if self.mode == "forward":
            raise InvalidRequest("a SOCKS proxy forwards no requests")
        if self._fields:
            raise InvalidRequest("a SOCKS proxy takes no header fields")
        check_for_socks(self.auth, self.scheme)

    @classmethod
    def from_env(
        cls,
        scheme: str,
        host: str,
        port: int,
        environ: Mapping[str, str] = os.environ,
    ) -> Proxy | None:
        """Return the proxy that the environment names for a server; None for none.

        Reads ``http_proxy`` or ``https_proxy``, otherwise ``all_proxy``, and ``no_proxy``; each
        also in upper case, but lower case wins, and ``HTTP_PROXY`` is ignored in a CGI program,
        where any client can set it. ``no_proxy`` lists names, which match the hosts below them,
        too, with or without a leading dot; addresses; networks such as ``10.0.0.0/8``; names and
        addresses with a port; or ``*``. Malformed entries match nothing.

        Args:
            scheme: ``"http"`` or ``"https"``, of the requests.
            host: name or address of the server.
            port: its port.
            environ: the variables.

        Raises:
            InvalidRequest: *scheme*, *host* or *port*, or the URL of the proxy, is invalid. For
                the URL the message names the variable.

        """
        from .environment import proxy_url  # noqa: PLC0415 - only when asked

        if not isinstance(environ, Mapping):
            raise TypeError(f"environ is a mapping, such as os.environ, not {quoted(environ)}")
        if not isinstance(scheme, str) or scheme not in {"http", "https"}:
            raise InvalidRequest(f"neither http nor https: {quoted(scheme)}")
        found = proxy_url(scheme, check_hostname(host), check_port(port), environ)
        if found is None:
            return None
        variable, url = found
        try:
            return cls(url)
        except InvalidRequest as exc:
            raise InvalidRequest(f"{variable} in the environment: {exc}") from exc

    def forwards(self, host: str, *, https: bool) -> bool:
        """Return True if requests to a server are forwarded, False if they need a tunnel.

        Args:
            host: the server, checked.
            https: True if the requests are for an https origin.

        Raises:
            InvalidRequest: this proxy cannot reach that server.

        """
        if self.scheme == "socks5h":
            socks5.check_name(host)
        elif self.scheme == "socks4a":
            socks4.check_name(host)
        elif self.mode == "forward" and https:
            raise InvalidRequest("https cannot be forwarded, it needs a tunnel")
        return self.mode == "forward" or (self.mode == "auto" and self.speaks_http and not https)

    def tunnelling(self) -> Proxy:
        """Return the same proxy with ``"tunnel"`` as its mode."""
        tunnel: Proxy = object.__new__(type(self))
        for name in Proxy.__slots__:
            object.__setattr__(tunnel, name, getattr(self, name))
        object.__setattr__(tunnel, "mode", "tunnel")
        return tunnel

    @property
    def speaks_http(self) -> bool:
        """False for SOCKS."""
        return self.scheme in {"http", "https"}

    @property
    def protocol(self) -> str:
        """The protocol of its tunnels: ``connect``, ``socks5`` or ``socks4a``."""
        return "connect" if self.speaks_http else self.scheme.removesuffix("h")

    @property
    def wants_addresses(self) -> bool:
        """True if the name of the server has to be looked up here."""
        return self.scheme == "socks5"

    def forwarding(self) -> Forwarding:
        """Return the fields for requests that are forwarded."""
        return Forwarding(self._fields, self._session)

    def conversation(
        self, host: str, port: int, limits: Limits, addresses: Sequence[str]
    ) -> Conversation:
        """Return the handshake that opens a tunnel to a server.

        Args:
            host: the server, checked by `forwards`.
            port: its port.
            limits: for the responses.
            addresses: of the server, if `wants_addresses`.

        """
        name = authority(host, port)
        if self.speaks_http:
            return Tunnel(name, limits, self._fields, self._session)
        assert self.auth is None or isinstance(self.auth, BasicAuth)  # see _check_socks
        if self.scheme == "socks4a":
            return socks4.Socks4(host, port, "" if self.auth is None else self.auth.user)
        return socks5.Socks5(addresses or [host], port, name, self.auth)

    def __setattr__(self, name: str, value: object) -> None:
        if hasattr(self, name):
            raise AttributeError(f"a Proxy is never changed: {name}")
        object.__setattr__(self, name, value)

    def _key(self) -> tuple[Any, ...]:
        where = (self.scheme, self.host, self.port, self.mode)
        fields = [(name.lower(), value) for name, value in self._fields]
        return (*where, self.auth, self.ssl_context, tuple(fields))

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, Proxy) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"<Proxy {self.scheme}://{authority(self.host, self.port)}>"


def as_proxy(proxy: Proxy | tuple[str, int] | str | None) -> Proxy | None:
    """Return *proxy*, which may also be a URL, or the host and port of an HTTP proxy.

    Raises:
        InvalidRequest: it does not describe a proxy.
        TypeError: it has another type.

    """
    if proxy is None or isinstance(proxy, Proxy):
        return proxy
    if isinstance(proxy, str):
        return Proxy(proxy)
    if not isinstance(proxy, tuple | list) or len(proxy) != 2:  # noqa: PLR2004 - a pair
        kind = type(proxy).__name__
        raise TypeError(f"a proxy is a Proxy, a URL, or a pair of host and port, not {kind}")
    host, port = proxy
    return Proxy(f"http://{place_in_url(check_hostname(host), check_port(port))}")


def _parse_url(url: str) -> tuple[str, BasicAuth | None, str, int]:
    """Return scheme, credentials, host and port."""
    if not isinstance(url, str):
        raise TypeError(f"url, of a proxy, is a string, not {type(url).__name__}")
    url = exact(url)
    match = _url(url)
    if match is None:
        if url and "://" not in url:
            raise InvalidRequest(
                f"not the URL of a proxy: is http:// missing in front? {shown_url(url)!r}"
            )
        raise InvalidRequest(
            f"not the URL of a proxy (scheme, host and port, user and password "
            f"percent-encoded): {shown_url(url)!r}"
        )
    scheme = match["scheme"].lower()
    if scheme not in PORTS:
        raise InvalidRequest(f"not the URL of a proxy: its scheme is not one of {', '.join(PORTS)}")
    host, port = read_place(match["host"], match["port"])
    return scheme, decode_login(match["login"]), host, PORTS[scheme] if port is None else port


def _check_fields(headers: Fields | None) -> Headers:
    """Return the fields for a proxy, checked.

    Raises:
        InvalidRequest: a field cannot be sent, or not to a proxy.
        TypeError: they are neither a mapping nor pairs.

    """
    try:
        pairs = list(field_pairs(headers or ()))
    except TypeError as exc:
        raise TypeError(f"the headers of a proxy: {exc}") from None
    FieldLines(pairs)
    fields = Headers(pairs)
    for name in fields.keys():  # noqa: SIM118 - iterating over `Headers` gives pairs
        if name.lower() in NOT_FOR_PROXIES:
            raise InvalidRequest(f"{name} cannot be a field for a proxy")
    return fields
