"""Options of the transport: checked, and collected in one object.

Not here: their effects (transport/), and TLS contexts (transport/tls/contexts.py).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from ...errors import InvalidOption
from ...http.headers import exact
from ...http.hosts import check_hostname
from ...http.redaction import quoted
from .dns import family_of

if TYPE_CHECKING:
    import socket

    from ..custom import Transport
    from ..tls.fingerprints import Fingerprints
    from ..tls.over_socket import SSLContext
    from ..tls.sessions import SessionPlace, TLSSessions
    from .existing_socket import ExistingSocket
    from .resolvers import Resolver
    from .socket_options import SocketOptions


class TransportOptions:
    """Checked options for reaching the origin and verifying it. Immutable once in use.

    Attributes:
        sockets: options of new sockets, or None for the defaults.
        path: the unix domain socket to connect to instead of host and port, or None.
        existing: the caller's socket to use instead, or None.
        resolver: the resolver for addresses; None for that of the system.
        server_name: the name for TLS with the origin; None for none.
        fingerprints: accepted ones of the origin's certificate; empty to check none.
        sessions: the store of TLS sessions with the origin; None to resume none.
        shares_sessions: True if other connections use the same store.
        transport: makes the streams, or None.

    """

    __slots__ = (
        *("fingerprints", "existing", "path", "resolver", "server_name", "sessions"),
        *("shares_sessions", "sockets", "transport"),
    )

    def __init__(self) -> None:
        self.sockets: SocketOptions | None = None
        self.path: bytes | None = None
        self.existing: ExistingSocket | None = None
        self.resolver: Resolver | None = None
        self.server_name: str | None = None
        self.fingerprints: Fingerprints = ()
        self.sessions: TLSSessions | None = None
        self.shares_sessions = False
        self.transport: Transport | None = None

    @property
    def family(self) -> int:
        """The only family of addresses that can be used, 0 if there are several."""
        return 0 if self.sockets is None else self.sockets.only_family

    def can_use(self, host: str) -> bool:
        """Return True if the IP address *host* is the peer, and its family is allowed."""
        if self is PLAIN:
            return True
        if self.path is not None or self.existing is not None or self.transport is not None:
            return False
        return self.family in {0, family_of(host)}

    def session_place(
        self, context: SSLContext, name: str | None, hostname: str, port: int
    ) -> SessionPlace | None:
        """Return the place of the sessions with a server, which depends on how it is verified."""
        if self.sessions is None:
            return None
        from ..tls.sessions import SessionPlace  # noqa: PLC0415 - https only

        checks = context.verify_mode, context.check_hostname, context.verify_flags
        return SessionPlace(self.sessions, (context, *checks, name, hostname, port))


PLAIN: Final = TransportOptions()
NOTHING: Final = (None,) * 6


def transport_options(  # noqa: PLR0913 - each is documented at HTTPConnection
    hostname: str,
    ssl_context: SSLContext | None,
    *,
    server_hostname: str | None,
    fingerprint: str | Iterable[str] | None,
    tls_sessions: TLSSessions | bool,
    socket_options: SocketOptions | None,
    uds: str | bytes | os.PathLike[str] | None,
    sock: socket.socket | None,
    resolver: Resolver | None,
    transport: Transport | None,
) -> TransportOptions:
    """Check options, and collect them.

    Args:
        hostname: of the origin, checked.
        others: see `HTTPConnection`.

    Raises:
        InvalidOption: an option is invalid, or two contradict each other.
        InvalidRequest: *server_hostname* is not a valid host.
        TypeError: an option has the wrong type.

    """
    given = socket_options, uds, sock, resolver, fingerprint, transport
    if ssl_context is None and given == NOTHING and server_hostname == "" and tls_sessions is True:
        return PLAIN
    if socket_options is not None:
        _check_type(socket_options)
    if resolver is not None:
        from .resolvers import check_resolver  # noqa: PLC0415 - only when used

        check_resolver(resolver)
    _check_together(socket_options, uds, sock, resolver)
    _check_transport(transport, socket_options, sock, resolver)
    options = TransportOptions()
    options.sockets = socket_options
    options.path = None if uds is None else _path(uds)
    options.resolver = resolver
    options.transport = transport
    if ssl_context is None:
        _refuse_without_tls(server_hostname, fingerprint, tls_sessions)
    else:
        check_context(ssl_context)
        options.server_name = _server_name(hostname, ssl_context, server_hostname)
        options.fingerprints = _fingerprints(fingerprint)
        options.sessions = _sessions(tls_sessions)
        options.shares_sessions = not isinstance(tls_sessions, bool)
    if sock is not None:  # the last step, as after an error the socket belongs to the caller
        options.existing = _existing(sock)
    return options


def check_context(context: object) -> None:
    """Check a context for https; see `tls.check_context`."""
    from ..tls import over_socket as tls  # noqa: PLC0415 - ssl costs 10 ms, for https only

    tls.check_context(context)


def _check_type(options: object) -> None:
    from .socket_options import SocketOptions  # noqa: PLC0415 - only when used

    if not isinstance(options, SocketOptions):
        raise TypeError(f"socket_options is SocketOptions(…), not {quoted(options)}")


def _check_together(
    socket_options: SocketOptions | None, uds: object, sock: object, resolver: object
) -> None:
    """Refuse options without effect."""
    if sock is not None:
        others = {"uds": uds, "resolver": resolver, "socket_options": socket_options}
        for name, value in others.items():
            if value is not None:
                raise InvalidOption(f"sock is connected already: {name} would mean nothing")
    if uds is not None:
        if resolver is not None:
            raise InvalidOption("uds needs no address: resolver would mean nothing")
        if socket_options is not None and socket_options.only_family:
            raise InvalidOption("uds has no IP address: family and local_address mean nothing")


def _check_transport(
    transport: object, socket_options: object, sock: object, resolver: object
) -> None:
    """Refuse an invalid transport, and options without effect together with one."""
    if transport is None:
        return
    if isinstance(transport, type):
        raise TypeError(f"transport is a class, where a {transport.__name__}(…) is needed")
    if not all(
        callable(getattr(transport, name, None)) for name in ("co_connect_tcp", "co_connect_unix")
    ):
        raise TypeError(
            f"transport has co_connect_tcp and co_connect_unix, unlike {quoted(transport)}"
        )
    others = {"sock": sock, "resolver": resolver, "socket_options": socket_options}
    for name, value in others.items():
        if value is not None:
            raise InvalidOption(f"transport makes the connections: {name} would mean nothing")


def _refuse_without_tls(
    server_hostname: str | None, fingerprint: object, tls_sessions: object
) -> None:
    given = {
        "server_hostname": server_hostname != "",
        "fingerprint": fingerprint is not None,
        "tls_sessions": not isinstance(tls_sessions, bool),
    }
    for name, is_given in given.items():
        if is_given:
            raise InvalidOption(f"{name} means nothing without ssl_context")


def _server_name(hostname: str, context: SSLContext, name: str | None) -> str | None:
    if name is None:
        if context.check_hostname:
            raise InvalidOption(
                "server_hostname can be None only with a context that does not check names "
                "(check_hostname)"
            )
        return None
    if not isinstance(name, str):
        raise TypeError(f"server_hostname is a string or None, not {quoted(name)}")
    return check_hostname(name) if exact(name) else hostname


def _fingerprints(given: str | Iterable[str] | None) -> Fingerprints:
    if given is None:
        return ()
    from ..tls.fingerprints import parse_fingerprints  # noqa: PLC0415 - only when used

    return parse_fingerprints(given)


def _sessions(given: TLSSessions | bool) -> TLSSessions | None:
    if given is False:
        return None
    from ..tls.sessions import TLSSessions  # noqa: PLC0415 - https only

    if given is True:
        return TLSSessions(max_entries=2)
    if not isinstance(given, TLSSessions):
        raise TypeError(f"tls_sessions is TLSSessions(), True or False, not {quoted(given)}")
    return given


def _path(uds: str | bytes | os.PathLike[str]) -> bytes:
    from .unix import check_path  # noqa: PLC0415 - only when used

    return check_path(uds)


def _existing(sock: socket.socket) -> ExistingSocket:
    from .existing_socket import ExistingSocket  # noqa: PLC0415 - only when used

    return ExistingSocket(sock)
