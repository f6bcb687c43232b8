"""Everybody at once on one HTTP/2 connection: threads, tasks of asyncio and trio, and a loop.

The server answers in any order, late, in pieces, resets and refuses streams, and has small windows
and little room. A part of the exchanges is closed or cancelled at any moment, in whatever state it
is. No body may be wrong, no operation may hang, and at the end nothing may be left over: no stream,
no operation that waits, no descriptor.

Run: ``python3 -m contrib.torture.http2 [--seconds N] [--count N] [--seed 1] [--threads 10] [--tasks
100]``, with the package ``h2`` for the server. Exit status 1 if anything was wrong.
"""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from dugong_like import (
    Co,
    ConnectionTimedOut,
    DugongError,
    HTTPConnection,
    StreamReset,
    run,
)
from dugong_like.drivers import aio
from dugong_like.drivers.loop import Loop

from .http2_server import body_of
from .program import Limit, Summary, open_descriptors, parser

PATIENCE = 60  # seconds after which an exchange hangs
SIZES = (0, 1, 100, 3000, 70_000)
GIVEN_UP = 0.2  # of all exchanges
REFUSED = 7  # error code


class Trial:
    """What happens at the same time, and what goes wrong.

    Args:
        conn: the connection that all use.
        limit: when it is enough.
        seed: of what is left to chance.

    Attributes:
        problems: what was wrong.
        done: exchanges so far, those included that were given up.

    """

    def __init__(self, conn: HTTPConnection, limit: Limit, seed: int) -> None:
        self._conn = conn
        self._limit = limit
        self._seed = seed
        self._lock = threading.Lock()
        self.problems: list[str] = []
        self.done = 0
        self.kinds: dict[str, int] = {}

    def is_over(self) -> bool:
        """Return True if there is to be no further exchange."""
        return bool(self.problems) or self._limit.reached(self.done)

    def note(self, kind: str) -> None:
        """Count an exchange."""
        with self._lock:
            self.done += 1
            self.kinds[kind] = self.kinds.get(kind, 0) + 1

    def chance(self, name: str) -> random.Random:
        """Return what is left to chance for the user *name*."""
        return random.Random(f"{self._seed} {name}")

    def co_exchange(self, chance: random.Random, name: str) -> Co[None]:
        """Do one exchange, in one of the ways there are, and check what comes."""
        path = f"/{chance.choice(SIZES)}/{name}/{chance.random()}"
        path += chance.choice(["", "", "", "?slow", "?slow", "?reset", "?refuse"])
        body = chance.choice([None, None, b"x" * 10, b"y" * 30_000])
        way = chance.choice([self._co_whole, self._co_whole, self._co_steps])
        try:
            got = yield from way(path, body)
        except StreamReset as exc:
            right = "?reset" in path or "?refuse" in path
            if not right or ("?refuse" in path and exc.request_sent != "no"):
                self.problems.append(f"{path}: {exc!r}, {exc.request_sent}")
            self.note("reset")
            return
        if got != (body or b"") + body_of(path):
            self.problems.append(f"{path}: a wrong body of {len(got)} bytes")
        self.note("whole" if way == self._co_whole else "in steps")

    def _co_whole(self, path: str, body: bytes | None) -> Co[bytes]:
        reply = yield from self._conn.co_exchange("PUT" if body else "GET", path, None, body)
        return reply.body

    def _co_steps(self, path: str, body: bytes | None) -> Co[bytes]:
        exchange = yield from self._conn.co_send_request("PUT" if body else "GET", path, None, body)
        try:
            yield from exchange.co_read_response()
            got = []
            while piece := (yield from exchange.co_read(5000)):
                got.append(piece)
            return b"".join(got)
        finally:
            if not exchange.complete:
                exchange.abandon()

    # ---- users

    def on_thread(self, name: str) -> None:
        """Do exchanges in a thread, and step by step now and then, giving some up."""
        chance = self.chance(name)
        while not self.is_over():
            going = self.co_exchange(chance, name)
            if chance.random() < GIVEN_UP:
                self._step(going, chance)
            else:
                run(going, PATIENCE)

    def _step(self, going: Co[None], chance: random.Random) -> None:
        try:
            for _ in range(chance.randrange(4)):
                next(going).poll(chance.choice([0, 0.001, 0.05]))
        except StopIteration:
            return
        finally:
            going.close()
        self.note("given up")

    async def on_asyncio(self, name: str, tasks: int) -> None:
        """Do exchanges in tasks of asyncio, and cancel some of them."""

        async def one(number: int) -> None:
            chance = self.chance(f"{name}-{number}")
            while not self.is_over():
                going = aio.run(self.co_exchange(chance, f"{name}-{number}"))
                if chance.random() >= GIVEN_UP:
                    await asyncio.wait_for(going, PATIENCE)
                    continue
                try:
                    await asyncio.wait_for(going, chance.choice([0, 0.001, 0.01]))
                except TimeoutError as exc:
                    if isinstance(exc, ConnectionTimedOut):
                        raise
                    self.note("given up")

        await asyncio.gather(*map(one, range(tasks)))

    def on_loop(self, name: str, operations: int) -> None:
        """Do exchanges as operations of a loop of the library."""

        def co_many(number: int) -> Co[None]:
            chance = self.chance(f"{name}-{number}")
            while not self.is_over():
                yield from self.co_exchange(chance, f"{name}-{number}")

        with Loop() as loop:
            tasks = [loop.spawn(co_many(number)) for number in range(operations)]
            loop.run_all()
            for task in tasks:
                task.result()

    def guarded(self, work: Callable[[], object]) -> None:
        """Do *work*, and note what it raises."""
        try:
            work()
        except BaseException:
            self.problems.append(traceback.format_exc())

    def together(self, works: list[Callable[[], object]]) -> None:
        """Have each of *works* done by a thread of its own."""
        threads = [
            threading.Thread(target=self.guarded, args=(work,), daemon=True) for work in works
        ]
        for thread in threads:
            thread.start()
        until = None
        for thread in threads:
            while thread.is_alive():
                thread.join(0.1)
                if self.is_over():
                    until = until or time.monotonic() + 2 * PATIENCE
                    if time.monotonic() > until:
                        self.problems.append("an operation hangs")
                        return


@contextmanager
def server(seed: int) -> Iterator[int]:
    """Run the server, and yield its port; what it says is wrong is printed."""
    command = [sys.executable, "-m", "contrib.torture.http2_server", str(seed)]
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        yield int(process.stdout.readline())
        process.stdin.close()


def check_rest(trial: Trial, conn: HTTPConnection, before: int) -> None:
    """Check that nothing is left over."""
    try:
        if conn.exchange("GET", "/10/last").body != body_of("/10/last"):
            trial.problems.append("a wrong body at the end")
    except DugongError as exc:
        trial.problems.append(f"the connection is of no use at the end: {exc!r}")
    if "stream" in repr(conn) or conn.response_pending() or not conn.is_reusable():
        trial.problems.append(f"something is left over: {conn!r}")
    if conn.renewals:
        trial.problems.append(f"the connection was lost {conn.renewals} times")
    conn.close()
    if (left := open_descriptors() - before) > 0:
        trial.problems.append(f"{left} descriptors are left open")


def main(argv: list[str] | None = None) -> int:
    """Have everybody do exchanges, and print what came of it."""
    options = parser(__doc__ or "")
    options.add_argument("--threads", type=int, default=10, help="threads that block")
    options.add_argument("--tasks", type=int, default=100, help="tasks of each loop")
    given = options.parse_args(argv)
    with server(given.seed) as port:
        before = open_descriptors()
        conn = HTTPConnection("127.0.0.1", port, versions=("h2",), timeout=PATIENCE / 2)
        trial = Trial(conn, Limit.of(given), given.seed)
        works: list[Callable[[], object]] = [
            partial(trial.on_thread, f"thread-{number}") for number in range(given.threads)
        ]
        works += [
            lambda name=name: asyncio.run(trial.on_asyncio(name, given.tasks))
            for name in ("tasks", "more-tasks")
        ]
        works.append(partial(trial.on_loop, "loop", max(given.tasks // 10, 1)))
        trial.together(works)
        check_rest(trial, conn, before)
    for problem in trial.problems:
        print(f"VIOLATION: {problem}")
    for kind, count in sorted(trial.kinds.items()):
        print(f"{count:6} {kind}")
    return Summary(trial.done, "exchanges over HTTP/2", given.seed, len(trial.problems)).tell()


if __name__ == "__main__":
    sys.exit(main())
