"""Have two use one connection, and a server that answers early, closes or vanishes by chance.

One sends and the other one reads: two threads, two operations in one, or two tasks of asyncio. Each
response has to belong to its request, whole, or be one of the library's errors.

Run: ``python3 -m contrib.torture.pairs [--tls] [--seconds N] [--count N] [--seed 1]``. Prints how
many talks there were in each way, how many responses, and each violation, whose first words are
what to give to ``play`` to have it again. Exit status 1 if there was one.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from typing import Final

from dugong_like import BodyFollowing, Co, ConnectionClosed, HTTPConnection, StateError, both, run
from dugong_like.drivers import aio

from .faulty.stage import LIMIT, Peer, Place, check
from .program import Limit, Summary, parser

TALKS: Final = 40  # over one connection, which each of them opens anew if it has to
MOST_REQUESTS: Final = 15


def misbehaving(dice: random.Random) -> Callable[[Peer, int], None]:
    """Return a server that answers with the request line, and breaks down now and then."""

    def script(peer: Peer, _: int) -> None:
        while True:
            head = peer.until(b"\r\n\r\n")
            line = b" ".join(head.split()[:2])
            body = line * dice.choice([0, 1, 10, 1000, 20_000])
            sized = b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
            fate = dice.random()
            if fate < 0.05:
                return
            if fate < 0.15:  # early, if there is a body
                peer.send(b"HTTP/1.1 413 No\r\nX-Line: %s\r\nConnection: close\r\n" % line + sized)
                until = time.monotonic() + dice.choice([0, 0.02])
                while time.monotonic() < until and peer.sock.recv(65536):
                    pass
                return
            peer.read_body(head)
            peer.send(dice.choice([b"", b"HTTP/1.1 103 Hints\r\n\r\n"]))
            start = b"HTTP/1.1 200 OK\r\nX-Line: %s\r\n" % line
            if fate < 0.5:
                peer.send(start + sized)
            elif fate < 0.9:
                chunk = b"%x\r\n%s\r\n" % (len(body), body) if body else b""
                peer.send(start + b"Transfer-Encoding: chunked\r\n\r\n" + chunk + b"0\r\n\r\n")
            else:
                peer.send(start + b"Connection: close\r\n\r\n" + body)
                return

    return script


class Talk:
    """What is sent over one connection, and what came back.

    Attributes:
        conn: the connection.
        ended: True if the sender does not go on.
        answered: how many responses were read to their ends.

    """

    def __init__(self, conn: HTTPConnection, dice: random.Random) -> None:
        self.conn = conn
        self._dice = dice
        self._requests = [
            (dice.choice(["GET", "PUT"]), f"/{dice.getrandbits(32)}")
            for _ in range(dice.randint(1, MOST_REQUESTS))
        ]
        self.ended = False
        self._lost = False  # the reader has seen the end of the connection
        self.answered = 0

    def co_send(self) -> Co[None]:
        """Send all requests, or as many as can be sent."""
        try:
            for method, path in self._requests:
                if method == "GET":
                    yield from self.conn.co_send_request(method, path)
                else:
                    yield from self._co_put(path)
        except (ConnectionClosed, StateError) as exc:
            if isinstance(exc, StateError) and not self.ended:
                raise
        finally:
            self.ended = True

    def _co_put(self, path: str) -> Co[None]:
        size = self._dice.choice([0, 1, 1000, 1_000_000])
        length = self._dice.choice([size, None])
        yield from self.conn.co_send_request("PUT", path, body=BodyFollowing(length))
        for start in range(0, size, 100_000):
            yield from self.conn.co_write(bytes(min(100_000, size - start)))
        yield from self.conn.co_finish()

    def co_take(self) -> Co[None]:
        """Read the responses that are pending, and check each of them."""
        try:
            while not self._lost and self.conn.response_pending():
                response = yield from self.conn.co_read_response()
                line = "{} {}".format(*self._requests[self.answered])
                got = f"{response.method} {response.path}"
                check(got == line, f"a response to {got}, not to {line}")
                check(response.headers["X-Line"] == line, f"another's response for {line}")
                body = yield from self.conn.co_readall()
                check(body == line.encode() * (len(body) // len(line)), f"a wrong body for {line}")
                check(response.length in {len(body), None}, f"half a body for {line}")
                self.answered += 1
        except ConnectionClosed:
            self._lost = self.ended = True


def on_two_threads(talk: Talk) -> None:
    """Send on a thread, and read here."""
    problems: list[BaseException] = []

    def write() -> None:
        try:
            run(talk.co_send())
        except BaseException as exc:
            problems.append(exc)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        while not talk.ended:
            run(talk.co_take())
            time.sleep(0)
    finally:
        if writer.is_alive():  # the reader has seen the end: let the writer see it as well
            talk.conn.disconnect()
        writer.join(2 * LIMIT)
    check(not writer.is_alive(), "the writer hangs")
    if problems:
        raise problems[0]


def as_two_operations(talk: Talk) -> None:
    """Send and read in one operation."""
    run(both(talk.co_send(), talk.co_take()))


def as_two_tasks(talk: Talk) -> None:
    """Send and read in a task each."""

    async def main() -> None:
        await asyncio.gather(aio.run(talk.co_send()), aio.run(talk.co_take()))

    asyncio.run(main())


WAYS: Final = {
    "threads": on_two_threads,
    "operations": as_two_operations,
    "tasks": as_two_tasks,
}


def play(way: str, seed: int, place: Place, talks: int = TALKS) -> int:
    """Have so many talks over one connection; return how many responses were read.

    Raises:
        Violation: the library did what it must not do.
        Exception: it raised what it should not.

    """
    dice = random.Random(seed)
    answered = 0
    server = place.serve(misbehaving(random.Random(seed)))
    with server, place.connect_to(server.port) as conn:
        for _ in range(talks):
            talk = Talk(conn, dice)
            conn.connect()
            WAYS[way](talk)
            run(talk.co_take())
            answered += talk.answered
            conn.reset()
    return answered


def main(argv: list[str] | None = None) -> int:
    """Play with one seed after the other, and print the counts."""
    made = parser(__doc__)
    made.add_argument("--tls", action="store_true", help="over TLS as well (needs trustme)")
    options = made.parse_args(argv)
    places = {"plain": Place()} | ({"TLS": Place.with_tls()} if options.tls else {})
    limit = Limit.of(options)
    talks: Counter[str] = Counter()
    answered = violations = 0
    kinds = itertools.cycle(itertools.product(WAYS, places))
    for number, (way, protocol) in enumerate(kinds):
        if limit.reached(talks.total()):
            break
        try:
            answered += play(way, options.seed + number, places[protocol])
        except Exception:
            violations += 1
            print(f"VIOLATION: {way!r}, {options.seed + number}, {protocol}:")
            print(traceback.format_exc(), flush=True)
        talks[f"{protocol} {way}"] += TALKS
    print(", ".join(f"{count} by {way}" for way, count in talks.items()), end="; ")
    print(f"{answered} responses")
    return Summary(
        talks.total(), "talks of two over one connection", options.seed, violations
    ).tell()


if __name__ == "__main__":
    sys.exit(main())
