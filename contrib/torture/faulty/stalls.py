"""Servers that fall silent at every byte, that drip, and that never come to an end.

After a time-out the same connection goes on, or is reset and works.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import Final

from dugong_like import ConnectionTimedOut, HTTPConnection, InvalidResponse

from .replies import KINDS, WAYS, Download, Kind, judge
from .stage import (
    LATE,
    LIMIT,
    MOMENT,
    Case,
    Dice,
    Peer,
    Place,
    Violation,
    check,
    drive,
    positions,
    times,
)

THEN: Final = ("rest", "rest", "FIN", "RST", "reset")  # what happens after the silence
SHORT: Final = 0.2  # seconds that an endless response is read for
CHUNKED: Final = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
ENDLESS: Final = {  # what comes first, what comes for ever, and whether a limit ends it
    "body": (b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n", b"x", False),
    "body until close": (b"HTTP/1.1 200 OK\r\n\r\n", b"x", False),
    "chunks": (CHUNKED, b"1\r\nx\r\n", False),
    "one chunk": (CHUNKED + b"FFFFFFFFFFFF\r\n", b"x", False),
    "chunk size": (CHUNKED, b"0", True),
    "chunk extension": (CHUNKED + b"1;", b"a", True),
    "chunk extensions": (CHUNKED, b"1;a=b\r\nx\r\n", True),
    "trailer": (CHUNKED + b"0\r\nX: ", b"y", True),
    "trailers": (CHUNKED + b"0\r\n", b"X: y\r\n", True),
    "reason": (b"HTTP/1.1 200 ", b"O", True),
    "field name": (b"HTTP/1.1 200 OK\r\n", b"X", True),
    "field": (b"HTTP/1.1 200 OK\r\nX: ", b"y", True),
    "fields": (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n", True),
    "long fields": (b"HTTP/1.1 200 OK\r\n", b"X: %s\r\n" % (b"y" * 1000), True),
    "informational": (b"", b"HTTP/1.1 103 Hints\r\n\r\n", True),
    "informational field": (b"HTTP/1.1 103 Hints\r\nX: ", b"y", True),
}
_floods = threading.BoundedSemaphore(4)  # at the same time: all share one processor


def stalls(place: Place, step: int, dice: Dice) -> Iterator[Case]:
    """Yield the cases of a response that stands still for a while."""
    for kind in KINDS:
        for cut in positions(len(kind.wire), step, dice):
            label = f"{kind.name}, silence after {cut} of {len(kind.wire)} bytes"
            yield Case(label, partial(_play_stall, kind, cut))


def _play_stall(kind: Kind, cut: int, place: Place, dice: Dice) -> str:
    then = dice.choice(THEN)
    end = dice.choice(place.ends) if then in {"rest", "reset"} else then
    if then in {"rest", "reset"} and kind.until_close:
        end = "close_notify" if place.tls else "FIN"
    heard = threading.Event()

    def script(peer: Peer, number: int) -> None:
        peer.read_request()
        if number == 0:
            peer.send(kind.wire[:cut])
            heard.wait(LIMIT)
            peer.send(kind.wire[cut:] if then == "rest" else b"")
        else:
            peer.send(kind.wire)
        peer.end(end if end != "RST" or then == "RST" else "FIN")

    with place.serve(script) as server, place.connect_to(server.port) as conn:
        conn.send_request(kind.method, "/")
        got = Download(conn, dice.choice(WAYS), dice)
        timed_out = _wait_in_vain(conn, got, dice)
        silent = kind.until_close or cut < len(kind.wire)
        check(timed_out or not silent, f"{cut} bytes were taken for the whole: {got.body!r}")
        heard.set()
        if then == "reset":
            conn.reset()
            conn.send_request(kind.method, "/")
            got = Download(conn, got.way, dice)
        arrived = len(kind.wire) if then in {"rest", "reset"} else cut
        ended = judge(
            kind, arrived, end if then == "RST" or kind.until_close else "FIN", got, got.run()
        )
    return f"{ended} after a time-out" if timed_out else ended


def _wait_in_vain(conn: HTTPConnection, got: Download, dice: Dice) -> bool:
    """Read until nothing comes for a moment; False if the response was complete before."""
    start = time.monotonic()
    limit: float = LIMIT
    if dice.random() < 0.5:
        conn.timeout = MOMENT
    else:
        limit = MOMENT
    try:
        drive(got.co_go_on(), dice, limit)
    except ConnectionTimedOut:
        took = time.monotonic() - start
        check(took < LATE, f"the time-out came after {took:.1f} seconds")
        return True
    finally:
        conn.timeout = LIMIT
    return False


def drips(place: Place, step: int, dice: Dice) -> Iterator[Case]:
    """Yield the cases of a response that comes in small pieces."""
    for kind in KINDS:
        for number in times(80, step):
            yield Case(f"{kind.name} in small pieces, {number}", partial(_play_drip, kind))


def _play_drip(kind: Kind, place: Place, dice: Dice) -> str:
    most = dice.choice((1, 3, 10, 100))
    pause = dice.choice((0, 0.0001, 0.001))
    end = "close_notify" if place.tls else "FIN"

    def script(peer: Peer, _: int) -> None:
        peer.read_request()
        rest = kind.wire
        while rest:
            size = dice.randint(1, most)
            peer.send(rest[:size])
            rest = rest[size:]
            if pause and dice.random() < 0.3:
                time.sleep(dice.random() * pause)
        peer.end(end)

    with place.serve(script) as server, place.connect_to(server.port) as conn:
        conn.send_request(kind.method, "/")
        got = Download(conn, dice.choice(WAYS), Dice(dice.random()))
        return judge(kind, len(kind.wire), end, got, got.run())


def endless(place: Place, step: int, dice: Dice) -> Iterator[Case]:
    """Yield the cases of a response that never ends."""
    for name in ENDLESS:
        for number in times(10, step):
            yield Case(f"endless {name}, drip, {number}", partial(_play_endless, name, False))
            yield Case(f"endless {name}, flood, {number}", partial(_play_flood, name))


def _play_flood(name: str, place: Place, dice: Dice) -> str:
    with _floods:
        return _play_endless(name, True, place, dice)


def _play_endless(name: str, fast: bool, place: Place, dice: Dice) -> str:
    start, unit, limited = ENDLESS[name]
    done = threading.Event()

    def script(peer: Peer, _: int) -> None:
        peer.read_request()
        peer.send(start)
        piece = unit * (300 if fast else 1)
        while not done.is_set():
            for byte in (piece,) if fast else (bytes([number]) for number in piece):
                peer.send(byte)
                time.sleep(0.001)  # not too fast: all servers share one processor

    with place.serve(script) as server, place.connect_to(server.port) as conn:
        conn.send_request("GET", "/")
        way = dice.choice(("read", "readinto", "discard") if fast else WAYS)
        got = Download(conn, way, dice)
        begun = time.monotonic()
        try:
            drive(got.co_go_on(), dice, LIMIT if fast and limited else SHORT)
        except ConnectionTimedOut:
            took = time.monotonic() - begun
            check(took < LATE, f"it went on for {took:.1f} seconds")
            check(not (fast and limited), "no limit ended it")
            return "ConnectionTimedOut"
        except InvalidResponse:
            check(limited, "it was invalid")
            return "InvalidResponse"
        finally:
            done.set()
        raise Violation("it came to an end")
