"""What every conversation with a proxy looks like to who carries its bytes.

CONNECT and the versions of SOCKS differ in what is said, not in how it is carried:
`connect.co_converse` drives them all, and a further protocol needs no change there.

Not here: the conversations (connect_tunnel.py, socks5.py, socks4.py).
"""

from __future__ import annotations

from typing import Protocol

from ...errors import ConnectionClosed
from ...http.h1.body import Source


class Conversation(Protocol):
    """Asks a proxy for a way to the server; bytes in, bytes out.

    Send `to_send`. Whenever bytes have arrived call `receive`, and send again if there is
    something to send, until `receive` says that the conversation is over on this
    connection. Then it was successful if `opened`; if not, connect anew and go on with
    the same object.

    Attributes:
        to_send: what the proxy has to hear next, or ``b""``. Who sends it clears it.
        opened: True when the connection leads to the server.

    """

    to_send: bytes
    opened: bool

    def receive(self, source: Source) -> bool:
        """Take what has arrived from *source*; True says that it is over here.

        Raises:
            TunnelRefused: the proxy said no.
            InvalidResponse: what it said is no answer, or has bytes behind it.

        """
        ...

    def end_of_stream(self, failure: ConnectionClosed | None = None) -> None:
        """Note that the connection has ended; to return is to go on with a new one.

        Args:
            failure: why; None if the proxy has closed it in order.

        Raises:
            TunnelRefused: the proxy said no.
            ConnectionClosed: it did not answer; *failure*, if there is one.

        """
        ...
