"""TLS whose bytes are cut off, held up or changed on their way from the server.

The faults are below TLS: inside the handshake, inside records, between them. A cut is an
error of the handshake or of the connection. A changed byte is an error or changes nothing.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

from dugong_like import (
    CertificateInvalid,
    ConnectionTimedOut,
    DugongError,
    HandshakeFailed,
    HTTPConnection,
)

from .replies import BY_NAME, MAY_BREAK, WAYS, Download, Kind
from .stage import LATE, LIMIT, MOMENT, Case, Dice, Peer, Place, Server, check, drive, positions

SENT: Final = ("sized", "chunked", "until close", "204")
VERSIONS: Final = (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2)
AFTER_DAMAGE: Final = 0.3  # seconds that the server then waits for the client
HOWS: Final = ("FIN", "RST", "silence", "damage")
EARLY: Final = 0.5  # how often the connection is made before the request
AGAIN: Final = 0.2  # how often it is used again
NEVER: Final = 1 << 30  # more bytes than are ever sent


class Fault:
    """What happens to the bytes from the server: *how* at byte *at*."""

    def __init__(self, at: int, how: str, bit: int) -> None:
        self.at = at
        self.how = how
        self.bit = bit
        self.passed = 0  # bytes that came so far
        self.struck = False
        self.go_on = threading.Event()  # after silence

    def send(self, peer: Peer, data: bytes) -> None:
        """Send *data*, unless it is too late for that."""
        here = self.at - self.passed
        self.passed += len(data)
        if self.struck or not 0 <= here < len(data):
            peer.send(data)
            return
        self.struck = True
        if self.how == "damage":
            peer.sock.settimeout(AFTER_DAMAGE)
            peer.send(data[:here] + bytes([data[here] ^ 1 << self.bit]) + data[here + 1 :])
            return
        peer.send(data[:here])
        if self.how != "silence":
            peer.end(self.how)
            raise ConnectionError("cut off")
        self.go_on.wait(LIMIT)
        peer.send(data[here:])


class Records:
    """The server's end of TLS, made in memory so that its bytes can be tampered with."""

    def __init__(self, peer: Peer, context: ssl.SSLContext, fault: Fault | None) -> None:
        self._peer = peer
        self._fault = fault
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    def do(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """Call one of the methods of `tls`, until it does not want bytes any more."""
        while True:
            try:
                return call(*arguments)
            except ssl.SSLWantReadError:
                self.flush()
                self._incoming.write(self._peer.sock.recv(65536) or self._gone())
            finally:
                self.flush()

    def _gone(self) -> bytes:
        raise ConnectionError("the client has gone")

    def waiting(self) -> int:
        """Return how many bytes are to be sent."""
        return self._outgoing.pending

    def flush(self) -> None:
        """Send what there is to be sent."""
        if data := self._outgoing.read():
            if self._fault is None:
                self._peer.send(data)
            else:
                self._fault.send(self._peer, data)


class Tampered:
    """One response over tampered TLS: a script, and what the server saw."""

    def __init__(self, kind: Kind, place: Place, fault: Fault, version: ssl.TLSVersion) -> None:
        self.kind = kind
        self.fault = fault
        self._version = version
        self.whole_at = 0  # bytes after which the response is whole; 0 until it was sent
        self.requests = 0
        self.connections = 0
        assert place.server_context is not None
        self._context = place.server_context
        new = version is ssl.TLSVersion.TLSv1_3
        self._client_context = place.client_context if new else place.old_client_context

    def script(self, peer: Peer, number: int) -> None:
        """Answer one request in three records; only the first connection is tampered with."""
        self.connections = number + 1
        fault = self.fault if number == 0 else None
        records = Records(peer, self._context, fault)
        records.do(records.tls.do_handshake)
        request = b""
        while not request.endswith(b"\r\n\r\n"):
            request += records.do(records.tls.read, 4096)
        self.requests += 1
        wire = self.kind.wire
        for piece in (wire[:20], wire[20:-7], wire[-7:]):
            records.tls.write(piece)
            if piece == wire[-7:] and not self.kind.until_close:
                self.whole_at = self.fault.passed + records.waiting()
            records.flush()
        try:
            records.tls.unwrap()
        except ssl.SSLWantReadError:
            pass  # ours is ready to be sent
        self.whole_at = self.whole_at or self.fault.passed + records.waiting()
        records.flush()

    def play(self, way: str, dice: Dice) -> str:
        """Get the response; check and name what came of it."""
        with (
            Server(self.script, None) as server,
            HTTPConnection("127.0.0.1", server.port, self._client_context, timeout=LIMIT) as conn,
        ):
            if self.fault.how == "silence":
                conn.timeout = MOMENT
            got = Download(conn, way, dice)
            exc = self._get(got)
            self.fault.go_on.set()  # it may be the end that is held up
            ended = self._judge(got, exc)
            check(self.requests <= 1, f"the server saw {self.requests} requests")
            if dice.random() < AGAIN:
                conn.reset()
                conn.timeout = LIMIT
                conn.send_request("GET", "/again")
                got = Download(conn, way, dice)
                check(got.run() is None, "after reset() it does not work")
                got.check_whole(self.kind)
            return ended

    def _get(self, got: Download) -> DugongError | None:
        """Get the response as far as possible; return the error if there was one."""
        conn = got.conn
        try:
            if got.dice.random() < EARLY:
                self._patiently(conn, conn.connect)
            self._patiently(conn, lambda: conn.send_request(self.kind.method, "/"))
            self._patiently(conn, lambda: drive(got.co_go_on(), got.dice))
        except DugongError as exc:
            return exc
        return None

    def _patiently(self, conn: HTTPConnection, call: Callable[[], object]) -> None:
        """Call *call*, and again if the server was silent."""
        start = time.monotonic()
        try:
            call()
        except ConnectionTimedOut:
            took = time.monotonic() - start
            check(took < LATE, f"the time-out came after {took:.1f} seconds")
            check(self.fault.how == "silence", "it was not the server who was silent")
            self.fault.go_on.set()
            conn.timeout = LIMIT
            call()

    def _judge(self, got: Download, exc: DugongError | None) -> str:
        how = self.fault.how
        whole = self.connections > 1 or (bool(self.whole_at) and self.fault.at >= self.whole_at)
        if exc is None:
            check(
                whole or how in {"silence", "damage"},
                f"a part was taken for the whole: {got.body!r}",
            )
            got.check_whole(self.kind)
            return "whole"
        check(self.fault.struck and how != "silence", f"a whole response was refused: {exc!r}")
        check(how != "FIN" or not whole, f"a whole response was refused: {exc!r}")
        if got.response is not None:
            got.check_broken(exc)
        elif isinstance(exc, HandshakeFailed):
            readable = how == "damage" and self._version is not ssl.TLSVersion.TLSv1_3
            check(readable or not isinstance(exc, CertificateInvalid), f"{exc!r}")
            check(self.requests == 0, f"it came after the handshake: {exc!r}")
        else:
            check(isinstance(exc, MAY_BREAK), f"{type(exc).__name__}: {exc}")
        check(self.kind.body.startswith(got.body), f"the body is {got.body!r}")
        return type(exc).__name__


def records(place: Place, step: int, dice: Dice) -> Iterator[Case]:
    """Yield the cases of TLS that is tampered with."""
    if not place.tls:
        return
    for version in VERSIONS:
        whole = Tampered(BY_NAME["until close"], place, Fault(NEVER, "", 0), version)
        check(whole.play("read", dice) == "whole", "nothing works")
        for how in HOWS:
            for at in positions(whole.fault.passed, step, dice):
                label = f"{version.name}, {how} at byte {at}"
                yield Case(label, partial(_play_records, version, how, at))


def _play_records(version: ssl.TLSVersion, how: str, at: int, place: Place, dice: Dice) -> str:
    fault = Fault(at, how, dice.randrange(8))
    tampered = Tampered(BY_NAME[dice.choice(SENT)], place, fault, version)
    return tampered.play(dice.choice(WAYS), dice)
