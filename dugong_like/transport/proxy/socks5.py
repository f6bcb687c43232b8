"""SOCKS5: tunnels through a proxy without HTTP (RFC 1928, passwords RFC 1929).

Each side waits for the other, so bytes behind a reply are an error.

Not here: user names and passwords (credentials.py), and names to addresses for ``socks5``
(open.py); ``socks5h`` leaves them to the proxy.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from typing import Final, NoReturn

from ...errors import (
    ConnectionClosed,
    InvalidRequest,
    InvalidResponse,
    TunnelRefused,
)
from ...http.auth.basic import BasicAuth
from ...http.h1.body import Source
from ...http.redaction import quoted
from .credentials import LOGIN_VERSION, MAX_TEXT, login_message

VERSION: Final = 5
CONNECT: Final = 1
NO_LOGIN: Final = 0
LOGIN: Final = 2
GSSAPI: Final = 1  # RFC 1961
NONE_ACCEPTABLE: Final = 0xFF
IPV4: Final = 1
NAME: Final = 3
IPV6: Final = 4
TEMPORARY: Final = frozenset([1, 3, 4, 5, 6])  # of REPLIES: failures of the network or the server
SHOWN: Final = 20  # bytes of an invalid reply that an error message shows

REPLIES: Final = {  # RFC 1928 section 6
    1: "general failure of the proxy",
    2: "not allowed by its rules",
    3: "network unreachable",
    4: "host unreachable",
    5: "connection refused",
    6: "TTL expired",
    7: "command not supported",
    8: "address type not supported",
}


def check_name(hostname: str) -> None:
    """Raise `InvalidRequest` if *hostname* is too long for SOCKS5."""
    if len(hostname) > MAX_TEXT:
        raise InvalidRequest(f"a host name of more than {MAX_TEXT} bytes: {quoted(hostname)}")


class Socks5:
    """The handshake with the proxy; see `Conversation`.

    Args:
        hosts: a name, or addresses, which are tried until one is reached. At least one.
        port: port of the server.
        name: name of the server in errors.
        login: user name and password, checked; None without.

    """

    def __init__(
        self, hosts: Sequence[str], port: int, name: str, login: BasicAuth | None = None
    ) -> None:
        self._hosts = list(hosts)
        self._port = port
        self._name = name
        self._login = login
        self._temporary = False  # was a failure temporary?
        self.opened = False
        self._begin()

    def _begin(self) -> None:
        methods = [NO_LOGIN] if self._login is None else [NO_LOGIN, LOGIN]
        self.to_send = bytes([VERSION, len(methods), *methods])
        self._take = self._take_method  # the method for the next reply
        self._over = False

    def receive(self, source: Source) -> bool:
        """Process received bytes; see `Conversation.receive`."""
        answer = bytes(source.data[source.begin : source.end])
        size = self._take(answer)
        if size == 0:
            return False
        source.begin += size
        over, self._over = self._over, False
        if source.begin < source.end:
            self.opened = False
            raise InvalidResponse("the proxy sent bytes that nobody had asked for")
        return over

    def end_of_stream(self, failure: ConnectionClosed | None = None) -> None:
        """Raise *failure*, or `ConnectionClosed`: a reply is missing."""
        raise failure or ConnectionClosed(
            "the proxy closed the connection instead of answering SOCKS5"
        )

    # ---- replies; each method returns the size of its reply, 0 if it is not complete

    def _take_method(self, answer: bytes) -> int:
        """Process the selected authentication method (RFC 1928 section 3)."""
        if answer[0] != VERSION:
            raise InvalidResponse(f"this is not SOCKS5: {quoted(answer)}")
        if len(answer) == 1:
            return 0
        method = answer[1]
        if method == NONE_ACCEPTABLE:
            offered = "no password" if self._login is None else "user name and password"
            self._refuse(method, f"it does not accept {offered}")
        if method == LOGIN and self._login is not None:
            self.to_send = login_message(self._login)
            self._take = self._take_verdict
        elif method == NO_LOGIN:
            self._ask()
        elif method == LOGIN:  # although it was not offered
            self._refuse(method, "it wants user name and password")
        elif method == GSSAPI:
            self._refuse(method, "it wants GSS-API, which is not supported")
        else:
            raise InvalidResponse(f"the proxy chose a way to log in that was not offered: {method}")
        return 2

    def _take_verdict(self, answer: bytes) -> int:
        """Process the result of the authentication (RFC 1929 section 2)."""
        if answer[0] != LOGIN_VERSION:
            raise InvalidResponse(f"no answer to a password: {quoted(answer)}")
        if len(answer) == 1:
            return 0
        if answer[1] != 0:
            self._refuse(answer[1], "user name or password not accepted")
        self._ask()
        return 2

    def _ask(self) -> None:
        """Send the request for a connection (RFC 1928 section 4)."""
        host = socks_address(self._hosts[0])
        self.to_send = bytes([VERSION, CONNECT, 0]) + host + self._port.to_bytes(2, "big")
        self._take = self._take_reply

    def _take_reply(self, answer: bytes) -> int:
        """Process the reply to that request (RFC 1928 section 6)."""
        if answer[0] != VERSION:
            raise InvalidResponse(f"this is not SOCKS5: {quoted(answer)}")
        if len(answer) == 1:
            return 0
        if (code := answer[1]) != 0:  # the rest does not matter
            del self._hosts[0]
            self._temporary |= code in TEMPORARY
            if not self._hosts:
                reason = REPLIES.get(code, "unknown reason")
                self._refuse(code, reason, retryable=self._temporary)
            self._begin()  # with the next address, on another connection
            self._over = True
            return len(answer)
        size = reply_size(answer)
        if 0 < size <= len(answer):
            self.opened = self._over = True
            return size
        return 0

    def _refuse(self, code: int, reason: str, *, retryable: bool = False) -> NoReturn:
        raise TunnelRefused(
            f"the proxy did not connect to {self._name}: {reason} (SOCKS5, {code})",
            code,
            reason,
            retryable=retryable,
        )


def reply_size(answer: bytes) -> int:
    """Return the size of the reply that *answer* begins; 0 if it is not known yet.

    Raises:
        InvalidResponse: its address is of an unknown type.

    """
    if len(answer) < 5:  # noqa: PLR2004 - the fifth byte may be the length of a name
        return 0
    kind = answer[3]
    if kind not in {IPV4, NAME, IPV6}:
        raise InvalidResponse(f"a reply with an unknown type of address: {quoted(answer)}")
    address = {IPV4: 4, NAME: 1 + answer[4], IPV6: 16}[kind]
    return 4 + address + 2


def socks_address(host: str) -> bytes:
    """Return type and bytes of a name, or of an address without its zone."""
    try:
        packed = ip_address(host.partition("%")[0]).packed
    except ValueError:
        name = host.encode("ascii")
        return bytes([NAME, len(name)]) + name
    return bytes([IPV4 if len(packed) == 4 else IPV6]) + packed  # noqa: PLR2004 - bytes of IPv4
