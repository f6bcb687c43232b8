"""Making the connections of a pool: from an origin to an `HTTPConnection`.

All that depends on the origin only is found out once and shared by its connections: the proxy, the
checked configuration.

Not here: when a connection is made, and who gets it (pool.py), the context for TLS (trust.py), and
settings of single requests (connection_settings.py).
"""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any, Final, Unpack

from ..connection.config import HTTP_1, ConnectionConfig
from ..connection.connection import HTTPConnection
from ..errors import InvalidOption
from ..http.redaction import quoted
from ..http.url import Origin
from ..polling.numbers import check_flag
from ..polling.timeouts import as_timeouts
from ..transport.tls.sessions import TLSSessions
from .connection_settings import (
    ALL,
    ConnectionSettings,
    OriginWith,
    ProxyChoice,
    checked_proxies,
    only_http_2,
)
from .pool_limits import DEFAULT_TIMEOUTS, HTTP_2_OR_1
from .trust import Trust

if TYPE_CHECKING:
    from ..connection.options import KeywordOptions
    from ..transport.proxy.proxy import Proxy
    from ..transport.tls.authorities import FilePath
    from ..transport.tls.contexts import ClientCertificate
    from ..transport.tls.over_socket import SSLContext

MOST_KNOWN: Final = 1000  # origins whose configuration is kept; each has less than a KiB
MOST_VARIED: Final = 100  # settings of single requests; each may have a context for TLS
OF_CONFIG: Final = ("http_version", "server_hostname")  # options of `HTTPConnection` among these
FOR_TLS: Final = ("fingerprint", "server_hostname", "tls_sessions")  # options of https only
OF_WEBSOCKETS: Final = {"ws": "http", "wss": "https"}  # schemes
FOR_HTTP_2: Final = ("http2", "on_settings", "versions")  # options of HTTP/2


class Connector:
    """Makes the connections to any origin, all with the same options.

    Args:
        ssl_context: for https, instead of one that is made from *verify* and *cert*. It is never
            changed.
        verify: True to trust the certificate authorities that `default_ssl_context` does; a file
            or a directory of others, see `tls_context`; False to accept any certificate.
        cert: a certificate for servers that ask for one: a path, or ``(certificates, key)``, or
            ``(certificates, key, password)``; see `tls_context`.
        proxy: a `Proxy`, its URL, or ``(host, port)``, for all origins; or a mapping of
            ``"http://"``, ``"https://"`` and ``"all://"`` to one of these or None, of which the
            last is for origins of the scheme that is not listed. Then no proxy is taken from the
            environment.
        trust_env: True to use the proxy that the environment names for an origin; see
            `Proxy.from_env`. It is read when a connection to that origin is first made, and not
            at all for connections that *uds*, *transport* or *proxy* lead somewhere.
        options: other arguments of `HTTPConnection`, except *sock*. Those that are about TLS hold
            for https only. The default of *timeout* is ``Timeouts(connect=10, pool=30, head=300,
            stall=60)``. TLS sessions are shared by all connections, unless *tls_sessions* is False.
            A `Client` that makes its own pool sets ``whole_below=300``, so that its layers decide
            how much is read of the body of a redirect or challenge that is dropped.

    No connection adds Content-MD5 to a body.

    Raises:
        InvalidRequest: *proxy* is no proxy.
        InvalidOption: an argument is invalid, or means nothing together with another one. The files
            of *verify* and *cert* are read when the first connection for https is made.
        TypeError: an argument has the wrong type.

    Attributes:
        timeouts: those of each connection.

    """

    def __init__(
        self,
        *,
        ssl_context: SSLContext | None = None,
        verify: bool | FilePath = True,
        cert: ClientCertificate | None = None,
        proxy: ProxyChoice | Mapping[str, ProxyChoice] = None,
        trust_env: bool = True,
        **options: Unpack[KeywordOptions],
    ) -> None:
        trust = Trust(ssl_context, verify, cert)
        check_flag("trust_env", trust_env)
        self._set_up(
            trust,
            checked_proxies(proxy),
            {"timeout": DEFAULT_TIMEOUTS, **options},
            trusts_environment=bool(trust_env),
        )

    def _set_up(
        self,
        trust: Trust,
        proxies: dict[str, Proxy | None] | None,
        options: dict[str, Any],
        *,
        trusts_environment: bool,
    ) -> None:
        self._trust = trust
        self._proxies = proxies
        self._options = options
        self._trusts_environment = trusts_environment
        self.timeouts = as_timeouts(options["timeout"])
        leads = any(options.get(name) is not None for name in ("uds", "transport"))
        self._asks_environment = trusts_environment and proxies is None and not leads
        if options.get("tls_sessions", True) is True:
            options["tls_sessions"] = TLSSessions()
        self._plain_options = {
            name: value for name, value in self._options.items() if name not in FOR_TLS
        }
        if options.get("versions") == HTTP_2_OR_1:  # which is HTTP/1.1 where nobody can be asked
            del self._plain_options["versions"]
        if options.get("sock") is not None:
            raise InvalidOption("sock is one connection: it cannot be used for many")
        ConnectionConfig("localhost", **self._plain_options)  # raises what is wrong with them
        self._configs: dict[Origin, ConnectionConfig] = {}
        self._same: dict[Proxy, Proxy] = {}  # those of the environment; equal ones are one
        self._varied: dict[ConnectionSettings, Connector] = {}

    def varied(self, settings: ConnectionSettings) -> Connector:
        """Return what makes connections with *settings* in place of those here.

        Equal settings give the same object, unless there have been many others meanwhile.

        Raises:
            InvalidOption: they mean nothing together with those here, such as a version of HTTP
                that may not be spoken.

        """
        found = self._varied.get(settings)
        if found is not None:
            return found
        given = settings.options
        options = self._options
        if "http_version" in given:
            self._check_http_1(f"http_version={given['http_version']!r}")
            options = {name: value for name, value in options.items() if name not in FOR_HTTP_2}
        other = Connector.__new__(Connector)
        other._set_up(  # noqa: SLF001 - it is one of these
            self._trust.changed(given),
            given.get("proxy", self._proxies),
            {**options, **{name: given[name] for name in OF_CONFIG if name in given}},
            trusts_environment=self._trusts_environment,
        )
        while len(self._varied) >= MOST_VARIED:
            for oldest in list(self._varied)[: MOST_VARIED // 2]:
                self._varied.pop(oldest, None)
        return self._varied.setdefault(settings, other)

    def connection(self, origin: Origin) -> HTTPConnection:
        """Return a new connection to *origin*, which is opened when it is first used.

        Raises:
            InvalidRequest: its proxy, which may be one of the environment, cannot lead there.
            InvalidOption: the TLS context cannot be made; see `tls_context`.
            TypeError: *origin* is no `Origin`.

        """
        return HTTPConnection.from_config(self.config(origin), content_md5=False)

    def key(self, origin: Origin) -> Hashable:
        """Return what is equal for origins that the same connections lead to.

        The scheme counts as far as it says whether TLS is used; the proxy counts with its
        credentials. All other options are the same for all connections of this connector.

        Raises:
            InvalidRequest: the proxy that the environment names is not valid.
            TypeError: *origin* is no `Origin`.

        """
        config = self._configs.get(origin)
        if config is None and isinstance(origin, OriginWith):
            return self.varied(origin.settings).key(origin.origin), origin.settings
        proxy = self._proxy(origin) if config is None else config.proxy
        if self._is_for_http_1(origin):
            return origin.secure, origin.host, origin.port, proxy, HTTP_1
        return origin.secure, origin.host, origin.port, proxy

    def negotiates(self, origin: Origin) -> bool:
        """Return True if connections to *origin* may speak HTTP/2.

        For the origin of a WebSocket that is about those of others, of which it may be a stream.

        Raises what `connection` raises.
        """
        if isinstance(origin, OriginWith):
            return self.varied(origin.settings).negotiates(origin.origin)
        if (scheme := OF_WEBSOCKETS.get(origin.scheme)) is not None:
            origin = Origin(scheme, origin.host, origin.port)
        return self.config(origin).prefers_h2

    def allows_http_1(self, origin: Origin) -> bool:
        """Return False if the versions that may be spoken with *origin* are HTTP/2 alone.

        Raises what `connection` raises.
        """
        if isinstance(origin, OriginWith):
            return self.varied(origin.settings).allows_http_1(origin.origin)
        return HTTP_1[0] in self._options.get("versions", HTTP_1)

    def _check_http_1(self, wanted: str) -> None:
        """Check that HTTP/1, which *wanted* needs, may be spoken. Raises `InvalidOption`."""
        if HTTP_1[0] not in self._options.get("versions", HTTP_1):
            raise only_http_2(wanted)

    def config(self, origin: Origin) -> ConnectionConfig:
        """Return the configuration that all connections to *origin* share.

        Raises what `connection` raises.
        """
        config = self._configs.get(origin)
        if config is not None:
            if config.is_logged_as_wanted():
                return config
            self._configs.pop(origin, None)
        if isinstance(origin, OriginWith):
            return self.varied(origin.settings).config(origin.origin)
        context = self._trust.context() if _checked(origin).secure else None
        options = self._plain_options if context is None else self._options
        if self._is_for_http_1(origin):
            self._check_http_1("a connection for a WebSocket alone")
            options = {name: value for name, value in options.items() if name not in FOR_HTTP_2}
        proxy = self._proxy(origin)
        config = ConnectionConfig(origin.host, origin.port, context, proxy, **options)
        while len(self._configs) >= MOST_KNOWN:
            for oldest in list(self._configs)[: MOST_KNOWN // 2]:
                self._configs.pop(oldest, None)
        return self._configs.setdefault(origin, config)

    def _is_for_http_1(self, origin: Origin) -> bool:
        """Return True for WebSockets (RFC 6455), if other connections may speak HTTP/2."""
        options = self._options if origin.secure else self._plain_options
        return origin.scheme in OF_WEBSOCKETS and "h2" in options.get("versions", ())

    def _proxy(self, origin: Origin) -> Proxy | None:
        scheme = "https" if _checked(origin).secure else "http"
        if origin.scheme == "ws":
            return self._tunnel(Origin(scheme, origin.host, origin.port))
        proxies = self._proxies
        if proxies is not None:
            return proxies.get(f"{scheme}://", proxies.get(ALL))
        if not self._asks_environment or not _names_proxy(scheme):
            return None
        from ..transport.proxy.proxy import Proxy  # noqa: PLC0415 - for those who have one

        proxy = Proxy.from_env(scheme, origin.host, origin.port)
        return None if proxy is None else self._same.setdefault(proxy, proxy)

    def _tunnel(self, origin: Origin) -> Proxy | None:
        """Return the proxy for WebSockets to *origin*, which need a tunnel (RFC 6455 section 4.1).

        A proxy forwards single requests, and not the bytes that follow them.
        """
        proxy = self._proxy(origin)
        if proxy is None or not proxy.forwards(origin.host, https=False):
            return proxy
        tunnel = proxy.tunnelling()
        return self._same.setdefault(tunnel, tunnel)


def _checked(origin: Origin) -> Origin:
    if not isinstance(origin, Origin):
        raise TypeError(f"origin is an Origin, not {quoted(origin)}: Origin('https', 'h')")
    return origin


def _names_proxy(scheme: str) -> bool:
    """Return True if the environment may name a proxy: then its rules have to be looked at."""
    names = (f"{scheme}_proxy", "all_proxy")
    return any(os.environ.get(name) or os.environ.get(name.upper()) for name in names)
