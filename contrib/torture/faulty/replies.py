"""Responses of every kind, the ways of reading them, and what may come of a part of one.

Not here: how the parts are made (cuts.py, stalls.py).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from dugong_like import (
    Co,
    ConnectionClosed,
    DugongError,
    HTTPConnection,
    HTTPResponse,
    InvalidResponse,
    StateError,
)

from .stage import Dice, Violation, check, drive

BODY: Final = bytes(range(256)) * 2
WAYS: Final = ("read", "readinto", "readall", "discard", "mixed")
MAY_BREAK: Final = (ConnectionClosed, InvalidResponse)  # what a broken response may raise


class Kind(NamedTuple):
    """A response: *wire* has the head, of *head* bytes, and *spans* say where the payload is."""

    name: str
    wire: bytes
    head: int
    spans: tuple[tuple[int, int], ...]
    method: str = "GET"
    until_close: bool = False

    @property
    def body(self) -> bytes:
        """The payload of the whole response."""
        return self.payload(len(self.wire))

    def payload(self, cut: int) -> bytes:
        """Return the payload in the first *cut* bytes."""
        return b"".join(self.wire[start : min(stop, cut)] for start, stop in self.spans)

    def is_whole(self, cut: int, end: str, *, tls: bool) -> bool:
        """Say whether the first *cut* bytes and *end* are a whole response."""
        if self.until_close:
            return cut >= self.head and end == ("close_notify" if tls else "FIN")
        return cut >= len(self.wire)


def plain(name: str, head: bytes, body: bytes = b"", method: str = "GET") -> Kind:
    """Return a response whose payload is not coded."""
    lasts = bool(body) and b"Content-Length" not in head
    whole = head + body
    return Kind(name, whole, len(head), ((len(head), len(whole)),), method, lasts)


def chunked(
    name: str, chunks: list[tuple[bytes, bytes]], trailer: bytes, before: bytes = b""
) -> Kind:
    """Return a chunked response; each chunk is the end of its size line, and data."""
    wire = before + b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    head, spans = len(wire), []
    for extension, data in chunks:
        wire += b"%X%s\r\n" % (len(data), extension)
        spans.append((len(wire), len(wire) + len(data)))
        wire += data + b"\r\n"
    wire += b"0\r\n" + trailer + b"\r\n"
    return Kind(name, wire, head, tuple(spans))


SIZED: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 512\r\nX: y\r\n\r\n"
HINTS: Final = b"HTTP/1.1 103 Hints\r\nLink: x\r\n\r\n"
GO_ON: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
THREE: Final = [(b"", BODY[:256]), (b" ; a=b", BODY[256:511]), (b"", BODY[511:])]
KINDS: Final = (
    plain("sized", SIZED, BODY),
    chunked("chunked", THREE, b"X-Trailer: z\r\n"),
    plain("after 103", HINTS + SIZED, BODY),
    plain("until close", b"HTTP/1.1 200 OK\r\nServer: x\r\n\r\n", BODY),
    plain("204", b"HTTP/1.1 204 No Content\r\nX: y\r\n\r\n"),
    plain("304", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\nETag: x\r\n\r\n"),
    plain("empty", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    plain("HEAD", SIZED, method="HEAD"),
    chunked("empty chunked", [], b""),
    chunked("chunked after 100 and 103", [(b"", b"x" * 70)], b"", GO_ON + HINTS + GO_ON),
)
BY_NAME: Final = {kind.name: kind for kind in KINDS}


class Download:
    """The reading of one response, which may be interrupted and gone on with."""

    def __init__(self, conn: HTTPConnection, way: str, dice: Dice) -> None:
        self.conn = conn
        self.way = way
        self.dice = dice
        self.response: HTTPResponse | None = None
        self.body = b""
        self.done = False

    @property
    def keeps_all(self) -> bool:
        """Whether nothing of the body is thrown away."""
        return self.way != "discard"

    def co_go_on(self) -> Co[None]:
        """Read what is missing."""
        if self.response is None:
            self.response = yield from self.conn.co_read_response()
        while not self.done:
            yield from self._co_step()

    def _co_step(self) -> Co[None]:
        way = self.dice.choice(WAYS[:3]) if self.way == "mixed" else self.way
        size = self.dice.choice((1, 10, 100, 1000))
        if way == "readall":
            self.body += yield from self.conn.co_readall()
            self.done = True
        elif way == "discard":
            yield from self.conn.co_discard()
            self.done = True
        elif way == "read":
            piece = yield from self.conn.co_read(size)
            self.body += piece
            self.done = not piece
        else:
            target = bytearray(size)
            count = yield from self.conn.co_readinto(target)
            self.body += target[:count]
            self.done = count == 0

    def run(self) -> DugongError | None:
        """Read what is missing; return the error if there was one."""
        try:
            drive(self.co_go_on(), self.dice)
        except DugongError as exc:
            return exc
        return None

    def check_whole(self, kind: Kind) -> None:
        """Check that what was read is *kind*."""
        assert self.response is not None
        check(
            self.response.status == int(kind.wire[kind.wire.rindex(b"HTTP/1.1 ") + 9 :][:3]),
            "status",
        )
        wanted = kind.body if self.keeps_all else b""
        check(
            self.body == wanted, f"{len(self.body)} of {len(wanted)} bytes were read: {self.body!r}"
        )

    def check_broken(self, exc: DugongError) -> None:
        """Check that the error is one that may be, and that nothing looks like an end after it.

        What had arrived before it is added to the body.
        """
        check(isinstance(exc, MAY_BREAK), f"{type(exc).__name__}: {exc}")
        if self.response is None:
            return  # what is read is the end of the response before
        for _ in range(len(BODY)):
            try:
                piece = self.conn.read(100)
            except (ConnectionClosed, StateError):
                return
            check(piece != b"", "after the error the body looks complete")
            self.body += piece
        raise Violation("after the error the body has no end")


def judge(kind: Kind, cut: int, end: str, got: Download, exc: DugongError | None) -> str:
    """Check what came of the first *cut* bytes of *kind*, ended by *end*; name it."""
    whole = kind.is_whole(cut, end, tls=got.conn.ssl_context is not None)
    if exc is None:
        check(whole, f"a part was taken for the whole: {got.response}, {got.body!r}")
        check(
            got.body == (kind.payload(cut) if got.keeps_all else b""), f"the body is {got.body!r}"
        )
        return "whole"
    got.check_broken(exc)
    check(not whole or end == "RST", f"a whole response was refused: {exc!r}")
    check(kind.body.startswith(got.body), f"the body is {got.body!r}")
    if end != "RST" and got.keeps_all:
        check(got.body == kind.payload(cut), f"bytes that arrived are missing behind {got.body!r}")
    return type(exc).__name__
