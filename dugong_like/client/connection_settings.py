"""Settings of connections that a request has of its own: TLS, proxy, version of HTTP.

A connection with other settings is another connection. So such a request goes to an origin with
settings, which a pool tells apart from the origin itself, and everything else stays as it is.

Not here: making the connections (connector.py).
"""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ..connection.config import checked_http_version, checked_proxy
from ..errors import InvalidOption
from ..http.hosts import check_hostname
from ..http.redaction import quoted
from ..http.url import Origin
from .trust import Trust

if TYPE_CHECKING:
    from ..transport.proxy.proxy import Proxy

ProxyChoice: TypeAlias = "Proxy | tuple[str, int] | str | None"

ALL: Final = "all://"
SCHEMES: Final = ("http://", "https://", ALL)  # keys of a mapping of proxies
# Arguments of a request.
NAMES: Final = frozenset({
    *("ssl_context", "verify", "cert", "proxy", "http_version", "server_hostname"),
})  # fmt: skip
# Those that are about one server: secrets for it, or its name.
OF_ONE_SERVER: Final = frozenset({"ssl_context", "cert", "server_hostname"})


class ConnectionSettings:
    """Settings that a request has of its own. Immutable and hashable.

    Args:
        options: some of the arguments in `NAMES`; see `Client.build_request`. Others are ignored.

    Raises:
        InvalidOption, InvalidRequest: one of them is invalid, or *verify* or *cert* is given
            together with *ssl_context*.
        TypeError: one of them has the wrong type.

    Attributes:
        options: them, checked; a proxy as a mapping of schemes.

    """

    __slots__ = ("_hashable", "options")

    options: dict[str, Any]
    _hashable: frozenset[tuple[str, Hashable]]

    def __init__(self, options: Mapping[str, Any]) -> None:
        given = {name: options[name] for name in NAMES if name in options}
        if given.get("ssl_context", True) is None:
            del given["ssl_context"]
        Trust(given.get("ssl_context"), given.get("verify", True), given.get("cert"))
        if "http_version" in given:
            checked_http_version(given["http_version"])
        if given.get("server_hostname") is not None:
            check_hostname(given["server_hostname"])
        if "proxy" in given:
            given["proxy"] = checked_proxies(given["proxy"]) or {ALL: None}
        object.__setattr__(self, "options", given)
        key = frozenset((name, _key_of(value)) for name, value in given.items())
        object.__setattr__(self, "_hashable", key)

    def _key(self) -> Hashable:
        return self._hashable

    def at(self, origin: Origin) -> Origin:
        """Return *origin* as the one that connections with these settings lead to."""
        return OriginWith(origin, self) if self.options else origin

    def elsewhere(self) -> ConnectionSettings:
        """Return what also holds for another server: nothing that is about the first one."""
        return ConnectionSettings({
            name: value for name, value in self.options.items() if name not in OF_ONE_SERVER
        })  # fmt: skip

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"ConnectionSettings are never changed: {name}")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ConnectionSettings):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._hashable)

    def __repr__(self) -> str:
        return ", ".join(f"{name}={_shown(self.options[name])}" for name in sorted(self.options))


class OriginWith(Origin):
    """An origin, and settings of the connections that lead there.

    It equals no origin without them, nor with others.

    Args:
        origin: scheme, host and port.
        settings: the settings.

    """

    __slots__ = ("origin", "settings")

    origin: Origin
    settings: ConnectionSettings

    def __init__(self, origin: Origin, settings: ConnectionSettings) -> None:
        super().__init__(origin.scheme, origin.host, origin.port)
        object.__setattr__(self, "origin", origin)
        object.__setattr__(self, "settings", settings)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Origin):
            return NotImplemented
        return (
            isinstance(other, OriginWith)
            and self.origin == other.origin
            and self.settings == other.settings
        )

    def __hash__(self) -> int:
        return hash((self.origin, self.settings))

    def __str__(self) -> str:
        return f"{self.origin} ({self.settings!r})"

    __repr__ = __str__


def only_http_2(wanted: str) -> InvalidOption:
    """Return the error for *wanted*, which needs HTTP/1, where HTTP/2 alone may be spoken."""
    return InvalidOption(f"{wanted} needs HTTP/1.1, and versions=('h2',) allows HTTP/2 only")


def checked_proxies(
    proxy: ProxyChoice | Mapping[str, ProxyChoice],
) -> dict[str, Proxy | None] | None:
    """Return the proxies by scheme; None if none are given.

    Raises:
        InvalidRequest, InvalidOption, TypeError: it is no proxy, and no mapping of them.

    """
    if proxy is None:
        return None
    if not isinstance(proxy, Mapping):
        return {ALL: checked_proxy(proxy)}
    for scheme in proxy:
        if scheme not in SCHEMES:
            shown = quoted(scheme)
            raise InvalidOption(f"proxy is for {', '.join(map(repr, SCHEMES))}, not for {shown}")
    return {scheme: checked_proxy(each) for scheme, each in proxy.items()}


def _key_of(value: Any) -> Hashable:
    """Return what is equal for equal settings; True is not 1."""
    if isinstance(value, Mapping):
        return frozenset(value.items())
    if isinstance(value, list | tuple):
        return tuple(map(_key_of, value))
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    return type(value), value


def _shown(value: Any) -> str:
    """Return *value* for messages: names, and no secrets."""
    if isinstance(value, Mapping):
        return " or ".join(sorted({str(each) for each in value.values()}))
    if value is None or isinstance(value, bool):
        return str(value)
    if isinstance(value, list | tuple):
        value = value[0]
    if isinstance(value, str | os.PathLike):
        return quoted(os.fspath(value))
    return f"{type(value).__name__} {id(value):#x}"
