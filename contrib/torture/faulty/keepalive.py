"""Connections that end between two requests, and requests that are killed.

An idle connection that the server ends, or sends something on, is never taken for an answer.
No request arrives twice, and "no" in ``request_sent`` is true.
"""

from __future__ import annotations

import fcntl
import struct
import termios
import threading
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Final, NamedTuple

from dugong_like import (
    BodyFollowing,
    Co,
    ConnectionClosed,
    DugongError,
    HTTPConnection,
    InvalidResponse,
)

from .replies import Download
from .stage import LIMIT, Case, Dice, Peer, Place, Request, check, drive, name_of, times

SURPLUS: Final = {  # what the server sends behind its answer, unasked
    "nothing": b"",
    "junk": b"\0junk\r\n\r\n" * 3,
    "an empty line": b"\r\n",
    "408": b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 3\r\nConnection: close\r\n\r\nslow",
    "an answer": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "one byte": b"H",
    "many bytes": b"x" * 300_000,
}
WHEN: Final = ("at once", "later", "meanwhile")
BODIES: Final = ("GET", "POST", "POST sized", "POST chunked", "PUT with 100 KB")
LAST_WORDS: Final = (
    b"",
    b"",
    b"",
    b"HTTP/1.1 103 Hints\r\n\r\n",
    b"HTTP/1.1 2",
    b"HTTP/1.1 200 OK\r\n",
)
ARRIVES: Final = 0.1  # seconds; an acknowledgement is held back for 0.04
EACH: Final = 12  # how often each combination is played


class Log:
    """What a server has seen, and its good answers."""

    def __init__(self) -> None:
        self.seen: list[Request] = []

    def read(self, peer: Peer) -> Request:
        """Read a request and note it."""
        request = peer.read_request()
        self.seen.append(request)
        return request

    def answer(self, request: Request) -> bytes:
        """Return an answer that belongs to this request only."""
        body = expected(request.method, request.path, request.body)
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)

    def serve(self, peer: Peer) -> None:
        """Answer every request."""
        while True:
            peer.send(self.answer(self.read(peer)))

    def check(self, path: str, exc: DugongError | None) -> None:
        """Check that nothing came twice, and that the error is right about *path*."""
        counts = Counter(request.path for request in self.seen)
        check(max(counts.values(), default=0) <= 1, f"requests came twice: {counts}")
        if exc is None:
            check(counts[path] == 1, "the answer came from nowhere")
        elif exc.request_sent == "no":
            check(counts[path] == 0, f"the server has seen the request: {exc!r}")


def expected(method: str, path: str, body: bytes) -> bytes:
    """Return the body of the right answer."""
    return f"{method} {path} {len(body)} {sum(body)}".encode()


class Sent(NamedTuple):
    """A request of the client's."""

    what: str
    path: str

    @property
    def method(self) -> str:
        """The method."""
        return self.what.split()[0]

    @property
    def body(self) -> bytes:
        """The whole body."""
        size = 100_000 if "KB" in self.what else 1000
        return b"" if self.method == "GET" else self.path.encode() * (size // len(self.path))

    def co_send(self, conn: HTTPConnection) -> Co[None]:
        """Send it."""
        body = self.body
        if "sized" not in self.what and "chunked" not in self.what:
            yield from conn.co_send_request(self.method, self.path, body=body or None)
            return
        following = BodyFollowing(len(body) if "sized" in self.what else None)
        yield from conn.co_send_request(self.method, self.path, body=following)
        yield from conn.co_write(body[:300])
        yield from conn.co_write(body[300:])
        yield from conn.co_finish()

    def ask(self, conn: HTTPConnection, dice: Dice) -> tuple[Download, DugongError | None]:
        """Send it and read the answer; return that, and the error if there was one."""
        got = Download(conn, dice.choice(("read", "readinto", "readall", "mixed")), dice)
        try:
            drive(self.co_send(conn), dice)
        except DugongError as exc:
            return got, exc
        return got, got.run()

    def check_answer(self, got: Download) -> None:
        """Check that the answer is the right one."""
        wanted = expected(self.method, self.path, self.body)
        check(got.body == wanted, f"{got.body!r} for {wanted!r}")


def arrive(peer: Peer) -> None:
    """Wait until the client's system has all that was sent, or takes no more (Linux)."""
    until = time.monotonic() + ARRIVES
    left = 1
    while left and time.monotonic() < until:
        (left,) = struct.unpack("i", fcntl.ioctl(peer.sock, termios.TIOCOUTQ, bytes(4)))
        time.sleep(0.001)


def stale(place: Place, step: int, dice: Dice) -> Iterator[Case]:
    """Yield the cases of a connection that the server ends while it is idle."""
    for surplus in SURPLUS:
        for end in (*place.ends, "open"):
            for when in WHEN:
                wrong = surplus in {"408", "an answer"}
                wrong |= end == "open" and surplus in {"half a head", "one byte"}
                if (wrong and when == "meanwhile") or surplus + end == "nothingopen":
                    continue  # no client could tell that from its answer; or nothing happens
                for number in times(EACH, step):
                    label = f"{surplus} and {end} {when} on the idle connection, {number}"
                    yield Case(label, partial(_play_stale, surplus, end, when))


def _play_stale(surplus: str, end: str, when: str, place: Place, dice: Dice) -> str:
    log = Log()
    idle, acted = threading.Event(), threading.Event()

    def script(peer: Peer, number: int) -> None:
        if number:
            log.serve(peer)
        answer = log.answer(log.read(peer))
        peer.send(answer if when != "at once" else answer + SURPLUS[surplus])
        if when != "at once":
            idle.wait(LIMIT)
            peer.send(SURPLUS[surplus])
        if end != "RST" and when != "meanwhile":
            arrive(peer)
        peer.keep_open = end == "open"
        if end != "open":
            peer.end(end)
        acted.set()

    with place.serve(script) as server, place.connect_to(server.port) as conn:
        first, second = Sent("GET", "/1"), Sent(dice.choice(BODIES), "/2")
        got, exc = first.ask(conn, dice)
        check(exc is None, f"the first answer was lost: {exc!r}")
        first.check_answer(got)
        idle.set()
        if when != "meanwhile":
            acted.wait(LIMIT)
        elif dice.random() < 0.5:
            time.sleep(dice.random() * 0.001)
        got, exc = second.ask(conn, dice)
        log.check(second.path, exc)
        if exc is None:
            second.check_answer(got)
        junk = when == "meanwhile" and surplus != "nothing"
        allowed = (ConnectionClosed, InvalidResponse) if junk else ConnectionClosed
        check(exc is None or isinstance(exc, allowed), f"{type(exc).__name__}: {exc}")
        check(exc is None or when == "meanwhile", f"nobody noticed the end: {exc!r}")
        return name_of(exc)


def killed(place: Place, step: int, dice: Dice) -> Iterator[Case]:
    """Yield the cases of a request that the server reads and does not answer."""
    for what in BODIES:
        for end in place.ends:
            for before in (0, 1, 3):
                for number in times(EACH, step):
                    label = f"{what} after {before} others, killed with {end}, {number}"
                    yield Case(label, partial(_play_killed, what, end, before))


def _play_killed(what: str, end: str, before: int, place: Place, dice: Dice) -> str:
    log = Log()
    last_words = dice.choice(LAST_WORDS)

    def script(peer: Peer, number: int) -> None:
        if number:
            log.serve(peer)
        for _ in range(before):
            peer.send(log.answer(log.read(peer)))
        log.read(peer)
        check(not peer.has_more(), "more than the request has come")
        peer.send(last_words)
        peer.end(end)

    with place.serve(script) as server, place.connect_to(server.port) as conn:
        for number in range(before):
            earlier = Sent(dice.choice(BODIES), f"/{number}")
            got, exc = earlier.ask(conn, dice)
            check(exc is None, f"an answer was lost: {exc!r}")
            earlier.check_answer(got)
        request = Sent(what, "/killed")
        _, exc = request.ask(conn, dice)
        check(isinstance(exc, ConnectionClosed), f"it was answered: {exc!r}")
        assert exc is not None
        check(exc.request_sent != "no", f"the server has seen the request: {exc!r}")
        log.check(request.path, exc)
        check(log.seen[-1].path == request.path, "the request did not come")
        conn.reset()
        again = Sent(dice.choice(BODIES), "/again")
        got, failure = again.ask(conn, dice)
        check(failure is None, f"after reset() it does not work: {failure!r}")
        again.check_answer(got)
        log.check(again.path, None)
        return f"ConnectionClosed, {exc.request_sent}"
