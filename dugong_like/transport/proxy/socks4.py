"""SOCKS4a: tunnels through an older kind of proxy, which looks up the name of the server.

SOCKS4 and its extension 4a are not RFCs but two notes by their authors (Ying-Da Lee:
"SOCKS: a protocol for TCP proxy across firewalls", "SOCKS 4A: a simple extension").

Not here: SOCKS5 (socks5.py), which also has IPv6 and passwords.
"""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Final

from ...errors import (
    ConnectionClosed,
    InvalidRequest,
    InvalidResponse,
    TunnelRefused,
)
from ...http.h1.body import Source
from ...http.redaction import quoted

VERSION: Final = 4
CONNECT: Final = 1
REPLY_SIZE: Final = 8  # bytes
GRANTED: Final = 90
FAILED: Final = 91  # every failure except those of identd
MAX_TEXT: Final = 255  # bytes of a name; the note sets no limit
SHOWN: Final = 20  # bytes of an invalid reply that an error message shows

REPLIES: Final = {
    FAILED: "rejected or failed",
    92: "the proxy cannot ask the identd of this machine",
    93: "the identd of this machine names another user",
}


def check_name(hostname: str) -> None:
    """Raise `InvalidRequest` if SOCKS4a cannot carry *hostname*."""
    if ":" in hostname or len(hostname) > MAX_TEXT:
        raise InvalidRequest(f"SOCKS4a has no IPv6 and no long names: {quoted(hostname)}")


class Socks4:
    """The handshake with the proxy; see `Conversation`.

    Args:
        hostname: name or IPv4 address of the server, checked.
        port: its port.
        user: name of the user, without NUL; "" for none.

    """

    def __init__(self, hostname: str, port: int, user: str = "") -> None:
        self._name = f"{hostname}:{port}"
        self.opened = False
        try:
            address, name = IPv4Address(hostname).packed, b""
        except ValueError:
            address, name = b"\0\0\0\1", hostname.encode("ascii") + b"\0"
        head = bytes([VERSION, CONNECT]) + port.to_bytes(2, "big")
        self.to_send = head + address + user.encode() + b"\0" + name

    def receive(self, source: Source) -> bool:
        """Process received bytes; see `Conversation.receive`."""
        answer = bytes(source.data[source.begin : source.end])
        if answer[0] != 0:
            raise InvalidResponse(f"this is not SOCKS4: {quoted(answer)}")
        if len(answer) < REPLY_SIZE:
            return False
        if (code := answer[1]) != GRANTED:
            reason = REPLIES.get(code, "unknown reason")
            raise TunnelRefused(
                f"the proxy did not connect to {self._name}: {reason} (SOCKS4, {code})",
                code,
                reason,
                retryable=code == FAILED,
            )
        if len(answer) > REPLY_SIZE:
            raise InvalidResponse("the proxy sent bytes that nobody had asked for")
        source.begin += REPLY_SIZE
        self.opened = True
        return True

    def end_of_stream(self, failure: ConnectionClosed | None = None) -> None:
        """Raise *failure*, or `ConnectionClosed`: the reply is missing."""
        raise failure or ConnectionClosed(
            "the proxy closed the connection instead of answering SOCKS4"
        )
