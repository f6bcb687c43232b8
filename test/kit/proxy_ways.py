"""The ways through a proxy, and a proxy that says what it was asked."""

import socket
import time

from dugong_like import (
    DigestAuth,
    Proxy,
)
from kit.support import (
    read_exactly,
    read_head,
)

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


ESTABLISHED = b"HTTP/1.1 200 Go\r\n\r\n"


CHALLENGE = b'HTTP/1.1 407 No\r\nProxy-Authenticate: Digest realm="r", nonce="n", qop="auth"\r\n'


def send(sock, data, pause=0):
    """Send *data*, byte by byte if there is a *pause* between them."""
    for at in range(len(data) if pause else 1):
        sock.sendall(data[at : at + 1] if pause else data)
        time.sleep(pause)


class SomeProxy:
    """Speaks all protocols, keeps what it heard, and is the origin as well.

    Attributes:
        heads: of HTTP, without those inside a tunnel.
        inside: heads inside of tunnels.
        asked: what SOCKS was asked to connect to.

    Args:
        origin: context for TLS as the origin, or None.
        pause: seconds between two bytes.
        persists: False to have the connection end after a 407; a field line, or nothing, to say
            it in that way instead of the usual one.
        reply: what SOCKS5 answers at first.

    """

    def __init__(self, *, origin=None, pause=0, persists=True, reply=b"\5\0\0\1" + bytes(6)):
        self._origin = origin
        self._pause = pause
        self._persists = persists
        self._reply = reply
        self.heads = []
        self.inside = []
        self.asked = []

    def __call__(self, sock):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        first = sock.recv(1)
        if first == b"\5":
            self._socks5(sock)
        elif first == b"\4":
            self._socks4(sock)
        elif first:
            self._http(sock, first)

    def _http(self, sock, first):
        while True:
            head = read_head(sock)
            if not head:
                return
            self.heads.append(first + head)
            first = b""
            if b"Digest" not in head:
                ways_to_end = {True: b"", False: b"Connection: close\r\n"}
                more = ways_to_end.get(self._persists, self._persists)
                send(sock, CHALLENGE + more + b"Content-Length: 3\r\n\r\nwhy", self._pause)
                if self._persists is not True:
                    return
            elif self.heads[-1].startswith(b"CONNECT"):
                send(sock, ESTABLISHED, self._pause)
                self._serve(sock)
                return
            else:
                send(sock, OK, self._pause)

    def _socks5(self, sock):
        count = read_exactly(sock, 1)[0]
        if 2 in read_exactly(sock, count):
            send(sock, b"\5\2", self._pause)
            assert read_exactly(sock, 8) == b"\1\2me\3key"
            send(sock, b"\1\0", self._pause)
        else:
            send(sock, b"\5\0", self._pause)
        kind = read_exactly(sock, 4)[3]
        size = {1: 4, 4: 16}.get(kind) or read_exactly(sock, 1)[0]
        self.asked.append(read_exactly(sock, size + 2))
        refused = self._reply[1] and len(self.asked) < 2
        send(sock, self._reply if refused else b"\5\0\0\3\1x\0\0", self._pause)
        if not refused:
            self._serve(sock)

    def _socks4(self, sock):
        read_exactly(sock, 7)
        asked = b""
        while asked.count(b"\0") < 2:
            asked += read_exactly(sock, 1)
        self.asked.append(asked)
        send(sock, b"\0\x5a" + bytes(6), self._pause)
        self._serve(sock)

    def _serve(self, sock):
        if self._origin is not None:
            sock = self._origin.wrap_socket(sock, server_side=True)
        with sock:
            while head := read_head(sock):
                self.inside.append(head)
                send(sock, OK, self._pause)


def co_get(conn):
    yield from conn.co_send_request("GET", "/a")
    response = yield from conn.co_read_response()
    return response.status, (yield from conn.co_readall())


def proxy_of(scheme, server, **options):
    login = "me:key@" if scheme.startswith("socks5") else ""
    if scheme.startswith("http"):
        options["auth"] = DigestAuth("me", "key")
    return Proxy(f"{scheme}://{login}localhost:{server.port}", **options)


# scheme, mode, https
WAYS = [
    ("http", "auto", True),
    ("http", "tunnel", False),
    ("https", "tunnel", False),
    ("socks5", "auto", False),
    ("socks5h", "auto", True),
    ("socks4a", "auto", True),
]
