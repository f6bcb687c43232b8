"""The interface of handshakes with proxies, without I/O.

CONNECT and the versions of SOCKS differ in their messages, not in their transport:
`connect.co_converse` runs them all, and a further protocol needs no change there.

Not here: the handshakes (connect_tunnel.py, socks5.py, socks4.py).
"""

from __future__ import annotations

from typing import Protocol

from ...errors import ConnectionClosed
from ...http.h1.body import Source


class Conversation(Protocol):
    """A handshake with a proxy that opens the way to the server.

    Send `to_send`. Whenever bytes have arrived call `receive`, and send `to_send` again if it is
    not empty, until `receive` returns True: the handshake has ended on this connection. It was
    successful if `opened`; otherwise connect again and continue with the same object.

    Attributes:
        to_send: the next bytes for the proxy, or ``b""``. The sender clears it.
        opened: True when the connection leads to the server.

    """

    to_send: bytes
    opened: bool

    def receive(self, source: Source) -> bool:
        """Process the bytes of *source*; True means that the handshake has ended here.

        Raises:
            TunnelRefused: the proxy refused the tunnel.
            InvalidResponse: the response is invalid, or followed by further bytes.

        """
        ...

    def end_of_stream(self, failure: ConnectionClosed | None = None) -> None:
        """Handle the end of the connection; returns if a new one is to be made.

        Args:
            failure: the reason; None if the proxy has closed it properly.

        Raises:
            TunnelRefused: the proxy refused the tunnel.
            ConnectionClosed: it did not respond; *failure*, if there is one.

        """
        ...
