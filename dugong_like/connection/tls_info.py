"""Facts about the connection below HTTP: the terms of TLS with the server, and others.

Not here: how they come about (transport/), and facts about any stream (transport/info.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from ..transport.info import OF_TLS, fact

if TYPE_CHECKING:
    from ..transport.tls.handshake import TLSObject
    from .shared import SharedState


class TLSInfo:
    """The terms of TLS with the server. Everything is None without TLS, or without a connection.

    Args:
        tls: the object of the `ssl` module, or None.

    """

    def __init__(self, tls: TLSObject | None) -> None:
        self._tls = tls

    def peercert(self, binary_form: bool) -> Any:
        """Return the server's certificate; see `HTTPConnection.get_ssl_peercert`."""
        return None if self._tls is None else self._tls.getpeercert(binary_form)

    @property
    def cipher(self) -> tuple[str, str, int] | None:
        """Name, protocol and secret bits of the cipher."""
        return None if self._tls is None else self._tls.cipher()

    @property
    def version(self) -> str | None:
        """``"TLSv1.2"`` or ``"TLSv1.3"``."""
        return None if self._tls is None else self._tls.version()

    @property
    def alpn(self) -> str | None:
        """The protocol that was chosen (RFC 7301)."""
        return None if self._tls is None else self._tls.selected_alpn_protocol()

    @property
    def session_reused(self) -> bool | None:
        """True if the session of an earlier connection was resumed."""
        return None if self._tls is None else self._tls.session_reused


def tls_object(session: SharedState) -> TLSObject | None:
    """Return what does TLS with the server; TLS with a proxy only is not that."""
    stream = session.stream
    if stream is None or session.route.ssl_context is None:
        return None
    return cast("TLSObject | None", getattr(stream, "tls", None))


def tls_info(session: SharedState) -> TLSInfo:
    """Return the terms of TLS of *session*."""
    return TLSInfo(tls_object(session))


def extra_info(session: SharedState, name: str) -> Any:
    """Return a fact about *session*; see `HTTPConnection.get_extra_info`."""
    if name == "timings":
        return session.timings
    stream = session.stream
    if stream is None or (name in OF_TLS and tls_object(session) is None):
        return None
    return fact(stream, name)
