"""Answers that come before the server has the whole request, and servers that stop reading.

The answer has to be delivered unless the server resets the connection, and the writing has
to end.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import Final

from dugong_like import (
    BodyFollowing,
    Co,
    ConnectionClosed,
    ConnectionTimedOut,
    DugongError,
    HTTPConnection,
    both,
)

from .stage import LATE, LIMIT, MOMENT, Case, Dice, Peer, Place, check, drive, times

REFUSAL: Final = b"quota" * 20
HOWS: Final = ("bytes", "sized", "chunked")
SIZES: Final = (1000, 100_000, 1_000_000, 8_000_000)
PIECES: Final = (1000, 50_000, 1_000_000)
READ: Final = (0, 1, 1000, 65536, 500_000)  # bytes that the server reads before it answers
THEN: Final = ("stop", "drain", "half-close and drain", "drain and close", "close", "RST")
SURE: Final = THEN[:4]  # here the answer has to be delivered
BUFFER: Final = 65536  # bytes of the server's receive buffer, so that much cannot be sent
DATA: Final = bytes(SIZES[-1])
EACH: Final = 120  # how often each combination is played


class Upload:
    """One upload and what came of it."""

    def __init__(self, conn: HTTPConnection, how: str, size: int, path: str = "/upload") -> None:
        self.conn = conn
        self.path = path
        self.how = how
        self.size = size
        self.piece = PIECES[0]
        self.write_error: DugongError | None = None
        self.read_error: DugongError | None = None
        self.answer: tuple[int, bytes] | None = None

    def co_start(self) -> Co[None]:
        """Send the head, and the body if it is in one piece."""
        lengths = {"bytes": DATA[: self.size], "sized": BodyFollowing(self.size)}
        body = lengths.get(self.how) or BodyFollowing()
        yield from self.conn.co_send_request("PUT", self.path, body=body)

    def co_write(self) -> Co[None]:
        """Write the body."""
        data = memoryview(DATA)[: self.size]
        while data:
            yield from self.conn.co_write(data[: self.piece])
            data = data[self.piece :]
        yield from self.conn.co_finish()

    def co_send(self) -> Co[None]:
        """Send all; note how that ended."""
        try:
            yield from self.co_start()
            if self.how != "bytes":
                yield from self.co_write()
        except ConnectionClosed as exc:
            self.write_error = exc

    def co_read(self) -> Co[None]:
        """Read the answer; note how that ended."""
        try:
            response = yield from self.conn.co_read_response()
            self.answer = response.status, (yield from self.conn.co_readall())
        except ConnectionClosed as exc:
            self.read_error = exc

    def co_one_after_the_other(self) -> Co[None]:
        """Send, then read."""
        yield from self.co_send()
        yield from self.co_read()

    def co_both(self) -> Co[None]:
        """Send and read at the same time."""
        try:
            yield from self.co_start()
        except ConnectionClosed as exc:
            self.write_error = exc
        yield from both(self._co_rest(), self.co_read())

    def _co_rest(self) -> Co[None]:
        if self.how == "bytes" or self.write_error is not None:
            return
        try:
            yield from self.co_write()
        except ConnectionClosed as exc:
            self.write_error = exc


def uploads(place: Place, step: int, dice: Dice) -> Iterator[Case]:
    """Yield the cases of an upload that is answered early."""
    for how in HOWS:
        for then in THEN:
            for number in times(EACH, step):
                yield Case(
                    f"{how} upload, answered, {then}, {number}", partial(_play_early, how, then)
                )


def _play_early(how: str, then: str, place: Place, dice: Dice) -> str:
    size = dice.choice(SIZES)
    read = min(dice.choice(READ), size)
    status = dice.choice((413, 401))
    heard, gone = threading.Event(), threading.Event()
    heads: list[bytes] = []

    def script(peer: Peer, number: int) -> None:
        heads.append(peer.until(b"\r\n\r\n"))
        if number == 0:
            peer.exactly(read)
        refusal = b"HTTP/1.1 %d No\r\nContent-Length: %d\r\n\r\n%s" % (
            status,
            len(REFUSAL),
            REFUSAL,
        )
        peer.send(refusal)
        if number == 0:
            try:
                _afterwards(peer, then, heard)
            finally:
                gone.set()

    with place.serve(script, BUFFER) as server, place.connect_to(server.port) as conn:
        upload = Upload(conn, how, size)
        upload.piece = dice.choice(PIECES)
        conn.content_md5 = False
        ways = (upload.co_one_after_the_other, upload.co_both)
        drive(dice.choice(ways)(), dice)
        heard.set()
        check(upload.answer in {None, (status, REFUSAL)}, f"the answer is {upload.answer}")
        check(upload.answer is not None or then not in SURE, f"no answer: {upload.read_error!r}")
        check(bool(upload.answer) != bool(upload.read_error), "neither answer nor error")
        check(gone.wait(LIMIT), "the server hangs")
        if upload.read_error is not None:
            conn.reset()
        _check_usable(conn, status, dice)
        check([head.split()[1] for head in heads].count(b"/upload") == 1, "it came twice")
        sent = "stopped" if upload.write_error else "written"
        return f"{sent} and {'answered' if upload.answer else 'ConnectionClosed'}"


def _afterwards(peer: Peer, then: str, heard: threading.Event) -> None:
    """Do what the server does after its answer."""
    if then == "stop":
        heard.wait(LIMIT)
    if then == "half-close and drain":
        peer.half_close()
    if "drain" in then:
        peer.drain(heard)
    if then in {"drain and close", "half-close and drain"}:
        peer.end("close_notify" if peer.is_tls() and then == "drain and close" else "FIN")
    else:
        peer.end("RST" if then == "RST" else "FIN")


def _check_usable(conn: HTTPConnection, status: int, dice: Dice) -> None:
    """Check that the connection answers another request, on a new one."""
    upload = Upload(conn, "bytes", 10, "/again")
    drive(upload.co_one_after_the_other(), dice)
    check(upload.answer == (status, REFUSAL), f"then {upload.write_error!r}, {upload.read_error!r}")


def stuck(place: Place, step: int, dice: Dice) -> Iterator[Case]:
    """Yield the cases of an upload to a server that stops reading."""
    for how in HOWS:
        for number in times(EACH // 4, step):
            yield Case(f"{how} upload, not read, {number}", partial(_play_stuck, how))


def _play_stuck(how: str, place: Place, dice: Dice) -> str:
    read = dice.choice(READ)
    heard = threading.Event()

    def script(peer: Peer, number: int) -> None:
        if number == 0:
            peer.until(b"\r\n\r\n")
            peer.exactly(read)
            heard.wait(LIMIT)
            return
        peer.read_request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + REFUSAL)

    with place.serve(script, BUFFER) as server, place.connect_to(server.port) as conn:
        conn.content_md5 = False
        conn.connect()
        upload = Upload(conn, how, SIZES[-1])
        upload.piece = dice.choice(PIECES[1:])
        limit: float = LIMIT
        if dice.random() < 0.5:
            conn.timeout = MOMENT
        else:
            limit = 4 * MOMENT
        start = time.monotonic()
        try:
            drive(upload.co_send(), dice, limit)
        except ConnectionTimedOut as exc:
            took = time.monotonic() - start
            check(took < LATE, f"the time-out came after {took:.1f} seconds")
            check(exc.request_sent != "yes", f"it was not sent: {exc!r}")
        check(upload.write_error is None, f"{upload.write_error!r}")
        heard.set()
        conn.timeout = LIMIT
        conn.reset()
        _check_usable(conn, 200, dice)
        return "ConnectionTimedOut"
