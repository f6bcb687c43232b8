"""Responses that end at every byte: with FIN, with RST, over TLS with and without close_notify.

Alone, and as the second one of two that are pipelined. Whatever was read before the error
must be the beginning of the body, and all that arrived unless the connection was reset.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from dugong_like import DugongError

from .replies import BY_NAME, KINDS, WAYS, Download, Kind, judge
from .stage import Case, Dice, Peer, Place, check, positions

FIRSTS = ("sized", "chunked", "204", "empty chunked", "chunked after 100 and 103")
SECONDS = ("sized", "chunked", "until close", "304", "HEAD")


def cuts(place: Place, step: int, dice: Dice) -> Iterator[Case]:
    """Yield the cases of one response that is cut off."""
    for kind in KINDS:
        for end in place.ends:
            for cut in positions(len(kind.wire), step, dice):
                label = f"{kind.name}, {end} after {cut} of {len(kind.wire)} bytes"
                yield Case(label, partial(_play_cut, kind, cut, end))


def _play_cut(kind: Kind, cut: int, end: str, place: Place, dice: Dice) -> str:
    def script(peer: Peer, _: int) -> None:
        peer.read_request()
        peer.send(kind.wire[:cut])
        peer.end(end)

    with place.serve(script) as server, place.connect_to(server.port) as conn:
        got = Download(conn, dice.choice(WAYS), dice)
        exc: DugongError | None = None
        try:
            conn.send_request(kind.method, "/")
        except DugongError as failure:
            exc = failure
        return judge(kind, cut, end, got, exc or got.run())


def pipelined(place: Place, step: int, dice: Dice) -> Iterator[Case]:
    """Yield the cases of two responses of which the second is cut off."""
    for name in SECONDS:
        kind = BY_NAME[name]
        for end in place.ends:
            for cut in positions(len(kind.wire), step, dice):
                label = f"second of two, {name}, {end} after {cut} of {len(kind.wire)} bytes"
                yield Case(label, partial(_play_second, kind, cut, end))


def _play_second(kind: Kind, cut: int, end: str, place: Place, dice: Dice) -> str:
    first = BY_NAME[dice.choice(FIRSTS)]
    together = dice.random() < 0.5

    def script(peer: Peer, _: int) -> None:
        peer.read_request()
        peer.read_request()
        peer.send(first.wire + (kind.wire[:cut] if together else b""))
        peer.send(b"" if together else kind.wire[:cut])
        peer.end(end)

    with place.serve(script) as server, place.connect_to(server.port) as conn:
        conn.send_request(first.method, "/1")
        conn.send_request(kind.method, "/2")
        got = Download(conn, dice.choice(WAYS), dice)
        problem = got.run()
        check(problem is None, f"the first response was lost: {problem!r}")
        got.check_whole(first)
        got = Download(conn, dice.choice(WAYS), dice)
        return judge(kind, cut, end, got, got.run())
