"""Interrupt operations at any of their waits, and see that nothing is lost, mixed up or left open.

An operation is closed, is thrown into, runs out of time, or belongs to a task that is cancelled. A
read that was interrupted goes on where it stood. After a request of which only a part was sent the
connection raises ConnectionClosed until it is reset. A response never belongs to another request.
In half of the talks whole exchanges are made, some of them by blocking calls: each has to give its
own response, whatever has interrupted those before.

Run: ``python3 -m contrib.torture.interruptions [--tls] [--seconds N] [--count N] [--seed 1]``.
Prints how the operations ended, and each violation with the number of its talk. Exit status 1 if
there was one.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Final

from dugong_like import (
    Co,
    ConnectionClosed,
    ConnectionTimedOut,
    DugongError,
    HTTPConnection,
    Reply,
    StateError,
    run,
    within,
)
from dugong_like.drivers import aio

from .faulty.replies import WAYS, Download
from .faulty.stage import LIMIT, Peer, Place, Violation, check
from .program import Limit, Summary, open_descriptors, parser

STEPS: Final = 30  # operations in a talk
AHEAD: Final = 4  # requests that wait for their responses
SIZES: Final = (0, 1, 100, 5000, 70_000)  # bytes of responses
UPLOADS: Final = (0, 0, 10, 2_000_000)  # bytes of requests; the last one is more than is taken
MOMENT: Final = 0.002  # seconds


class OutsideError(Exception):
    """What fails outside of an operation, and ends it."""


class Interruption:
    """Ways of running an operation that may not let it end; each returns True if it did."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice

    def run(self, op: Co[object]) -> bool:
        """Run *op* in some way."""
        if self._dice.random() < 0.3:
            run(op, LIMIT)
            return True
        ways = (self.close, self.throw, self.time_out, self.cancel)
        return self._dice.choice(ways)(op)

    def close(self, op: Co[object]) -> bool:
        """Close *op* at one of its waits."""
        if self._goes_on(op):
            op.close()
            return False
        return True

    def throw(self, op: Co[object]) -> bool:
        """Have something fail at one of its waits."""
        if not self._goes_on(op):
            return True
        try:
            op.throw(OutsideError())
        except OutsideError:
            return False
        raise Violation("an operation has swallowed what was thrown into it")

    def _goes_on(self, op: Co[object]) -> bool:
        """Run *op* to one of its waits; return False if it has ended before."""
        waits = self._dice.choice([0, 0, 1, 2, 3, 10])
        try:
            need = next(op)
            for _ in range(waits):
                check(need.poll(LIMIT), "an operation waits for ever")
                need = next(op)
        except StopIteration:
            return False
        return True

    def time_out(self, op: Co[object]) -> bool:
        """Give *op* little time."""
        try:
            run(within(time.monotonic() + self._dice.random() * MOMENT, op))
        except ConnectionTimedOut:
            return False
        return True

    def cancel(self, op: Co[object]) -> bool:
        """Run *op* in a task that is cancelled."""

        async def main() -> bool:
            task = asyncio.create_task(aio.run(op))
            if self._dice.random() < 0.5:
                await asyncio.sleep(self._dice.random() * MOMENT)
            for _ in range(self._dice.choice([0, 1, 2, 5])):
                await asyncio.sleep(0)
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                return False
            return True

        return asyncio.run(main())


def answering(dice: random.Random) -> Callable[[Peer, int], None]:
    """Return a server that answers all requests, in pieces and with pauses."""

    def script(peer: Peer, _: int) -> None:
        while True:
            path = peer.read_request().path
            body = expected(path)
            wire = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
            if dice.random() < 0.5:
                chunk = b"%x\r\n%s\r\n" % (len(body), body) if body else b""
                wire = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%s0\r\n\r\n" % chunk
            cut = dice.choice([0, 10, 40, 80, len(wire)])
            for piece in (wire[:cut], wire[cut:]):
                peer.send(piece)
                time.sleep(dice.choice([0, 0, MOMENT]))

    return script


def expected(path: str) -> bytes:
    """Return the body that belongs to *path*, which ends with its size."""
    size = int(path.rpartition("/")[2])
    return (path.encode() * (size // len(path) + 1))[:size]


class Talk:
    """Requests and responses over one connection, and what has to come of them."""

    def __init__(
        self, conn: HTTPConnection, dice: random.Random, note: Callable[[str], object]
    ) -> None:
        self._conn = conn
        self._dice = dice
        self._note = note
        self._interruption = Interruption(dice)
        self._number = 0
        self._sent: deque[str] = deque()  # paths of the requests that are sent as a whole
        self._doubtful: str | None = None  # path of the one whose sending was interrupted
        self._download: Download | None = None

    def step(self) -> None:
        """Send a request, or read a response, or as much of it as is possible."""
        if self._sent and (len(self._sent) == AHEAD or self._dice.random() < 0.6):
            self._try("read", self._co_read(), self._interruption.run)
        else:
            self._number += 1
            path = f"/{self._number}/{self._dice.choice(SIZES)}"
            if self._try("send", self._co_send(path), self._interruption.run):
                self._sent.append(path)
            else:
                self._doubtful = path

    def finish(self) -> None:
        """Read all responses that are missing; now nothing is interrupted."""
        while self._sent:
            self._try("read", self._co_read(), lambda op: [run(op, LIMIT)] != [])

    def _try(self, name: str, op: Co[Any], drive: Callable[[Co[Any]], bool]) -> bool:
        """Run *op*; return False if it was interrupted. After an error all begins anew."""
        try:
            done = drive(op)
        except DugongError as exc:
            self._note(f"{name}: {type(exc).__name__}")
            usual = isinstance(exc, ConnectionClosed | StateError)
            check(usual and self._doubtful is not None, f"{name} raised {exc!r}")
            self._conn.reset()
            self._sent.clear()
            self._doubtful = self._download = None
            return False
        self._note(f"{name}: {'done' if done else 'interrupted'}")
        return done

    def _co_send(self, path: str) -> Co[None]:
        if size := self._dice.choice(UPLOADS):
            yield from self._conn.co_send_request("PUT", path, body=bytes(size))
        else:
            yield from self._conn.co_send_request("GET", path)

    def _co_read(self) -> Co[None]:
        if self._download is None:
            self._download = Download(self._conn, self._dice.choice(WAYS), self._dice)
        got = self._download
        yield from got.co_go_on()
        assert got.response is not None
        path = got.response.path
        if path != self._doubtful:
            check(path == self._sent[0], f"a response to {path}, not to {self._sent[0]}")
            self._sent.popleft()
        check(got.body == (expected(path) if got.keeps_all else b""), f"a wrong body for {path}")
        self._download = None


class Exchanges:
    """Whole exchanges over one connection, of which some are interrupted."""

    def __init__(
        self, conn: HTTPConnection, dice: random.Random, note: Callable[[str], object]
    ) -> None:
        self._conn = conn
        self._dice = dice
        self._note = note
        self._interruption = Interruption(dice)
        self._number = 0

    def step(self) -> None:
        """Make an exchange; it raises nothing, as an interruption leaves nothing behind."""
        self._number += 1
        path = f"/{self._number}/{self._dice.choice(SIZES)}"
        if self._dice.random() < 0.2:
            self._exchange_all()
            return
        if self._dice.random() < 0.3:
            self._block(path)
            return
        done = self._interruption.run(self._co_exchange(path))
        self._note(f"exchange: {'done' if done else 'interrupted'}")

    def _exchange_all(self) -> None:
        """Make several as one operation."""
        count = self._dice.choice([1, 3, 30])
        paths = [f"/{self._number}.{i}/{self._dice.choice(SIZES)}" for i in range(count)]
        replies: list[Reply] = []
        done = True
        if self._dice.random() < 0.3:
            self._conn.exchange_all([("GET", path) for path in paths], replies)
        else:
            op = self._conn.co_exchange_all([("GET", path) for path in paths], replies)
            done = self._interruption.run(op)
        check(not done or len(replies) == count, f"{len(replies)} responses to {count} requests")
        for path, reply in zip(paths, replies, strict=False):
            self._check(reply, path)
        self._note(f"batch: {'done' if done else 'interrupted'}")

    def finish(self) -> None:
        """Make one that is not interrupted."""
        self._block(f"/last/{SIZES[1]}")

    def _block(self, path: str) -> None:
        self._check(self._conn.exchange(*self._request(path)), path)
        self._note("exchange that blocks: done")

    def _co_exchange(self, path: str) -> Co[None]:
        self._check((yield from self._conn.co_exchange(*self._request(path))), path)

    def _request(self, path: str) -> tuple[Any, ...]:
        """Return the arguments: of a method, with a body or without, which may be in pieces."""
        headers = {"Connection": "close"} if self._dice.random() < 0.1 else None
        size = self._dice.choice(UPLOADS)
        if not size:
            return "GET", path, headers
        pieces = [bytes(size // 2), bytes(size - size // 2)]
        return "PUT", path, headers, self._dice.choice([bytes(size), pieces])

    def _check(self, reply: Reply, path: str) -> None:
        check(reply.path == path, f"a response to {reply.path}, not to {path}")
        check(reply.body == expected(path), f"a wrong body for {path}")


def play(place: Place, seed: str, note: Callable[[str], object]) -> None:
    """Have one talk; *note* is told how each operation has ended.

    Raises:
        Violation: the library did what it must not do.
        Exception: it raised what it should not.

    """
    dice = random.Random(seed)
    server = place.serve(answering(random.Random(seed)))
    with server, place.connect_to(server.port) as conn:
        conn.content_md5 = False
        talk = dice.choice([Talk, Exchanges])(conn, dice, note)
        for _ in range(STEPS):
            talk.step()
        talk.finish()


def main(argv: list[str] | None = None) -> int:
    """Have one talk after the other, and print the counts."""
    made = parser(__doc__)
    made.add_argument("--tls", action="store_true", help="over TLS as well (needs trustme)")
    options = made.parse_args(argv)
    places = [Place(), *([Place.with_tls()] if options.tls else [])]
    before, limit = open_descriptors(), Limit.of(options)
    endings: Counter[str] = Counter()
    talks = violations = 0
    while not limit.reached(talks):
        place, seed = places[talks % len(places)], f"{options.seed} {talks}"
        try:
            play(place, seed, lambda ending: endings.update([ending]))
        except Exception:
            violations += 1
            print(f"VIOLATION: in talk {talks} of seed {options.seed}:")
            print(traceback.format_exc(), flush=True)
        talks += 1
    if (left := open_descriptors() - before) > 0:
        violations += 1
        print(f"VIOLATION: {left} descriptors are left open")
    print(", ".join(f"{count} {ending}" for ending, count in endings.most_common()))
    return Summary(talks, "talks with interruptions", options.seed, violations).tell()


if __name__ == "__main__":
    sys.exit(main())
