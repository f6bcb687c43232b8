"""What TLS has agreed on with the server, and facts about the connection below.

Not here: how it comes about (transport/), and facts about any stream (info.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from ..transport.info import OF_TLS, fact
from .h1.session import SharedLink

if TYPE_CHECKING:
    from ..transport.tls.handshake import TLSObject


class TLSFacts:
    """The part of `HTTPConnection` that tells of TLS, and of what is below.

    While there is no connection everything is None, and what is about TLS over plain HTTP.
    """

    __slots__ = ()

    _link: SharedLink

    def get_ssl_peercert(self, binary_form: bool = False) -> Any:
        """Return the server's certificate.

        Args:
            binary_form: True for the DER bytes, False for a dict as
                `ssl.SSLSocket.getpeercert` describes, which is empty if the context does not
                verify certificates.

        Returns:
            The certificate; None over plain HTTP and while not connected.

        """
        tls = self._tls()
        return None if tls is None else tls.getpeercert(binary_form)

    def get_ssl_cipher(self) -> tuple[str, str, int] | None:
        """Return name, protocol and secret bits of the cipher; None as in `get_ssl_peercert`."""
        tls = self._tls()
        return None if tls is None else tls.cipher()

    @property
    def cipher(self) -> tuple[str, str, int] | None:
        """Another name for `get_ssl_cipher`."""
        return self.get_ssl_cipher()

    @property
    def peercert(self) -> Any:
        """The certificate as `get_ssl_peercert` returns it: a dict."""
        return self.get_ssl_peercert()

    @property
    def tls_version(self) -> str | None:
        """``"TLSv1.2"`` or ``"TLSv1.3"``."""
        tls = self._tls()
        return None if tls is None else tls.version()

    @property
    def alpn(self) -> str | None:
        """The protocol that was chosen (RFC 7301), such as ``"http/1.1"``; None if none was."""
        tls = self._tls()
        return None if tls is None else tls.selected_alpn_protocol()

    @property
    def session_reused(self) -> bool | None:
        """True if the session of an earlier connection was resumed, which is quicker."""
        tls = self._tls()
        return None if tls is None else tls.session_reused

    def get_extra_info(self, name: str) -> Any:
        """Return a fact about the connection below HTTP.

        Args:
            name: one of those of `NetworkStream.get_extra_info`. Through a proxy the addresses
                are those of the connection to it. Or ``"timings"``: the `Timings` of the
                response whose head was read last, also if the connection is closed by now;
                None unless ``HTTPConnection(timings=True)`` asked.

        Returns:
            The fact; None if there is none, and while not connected.

        """
        if name == "timings":
            return self._link.timings
        stream = self._link.raw_stream
        if stream is None or (name in OF_TLS and self._tls() is None):
            return None
        return fact(stream, name)

    def _tls(self) -> TLSObject | None:
        stream = self._link.raw_stream
        if stream is None or self._link.route.ssl_context is None:
            return None  # TLS with a proxy is not TLS with the server
        return cast("TLSObject | None", stream.tls)
