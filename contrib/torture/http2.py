"""Everybody at once on one HTTP/2 connection: threads, tasks of asyncio and trio, and a loop.

The server answers in any order, late, in pieces, with trailers; it resets and refuses streams in
each phase of them, has small windows and little room, and changes both. A part of the exchanges is
closed, cancelled or runs out of time at any moment, in whatever state it is. No body may be wrong,
no operation may hang, and at the end nothing may be left over: no stream, no operation that waits,
no descriptor.

Run: ``python3 -m contrib.torture.http2 [--seconds N] [--count N] [--seed 1] [--threads 10] [--tasks
100] [--trio 30] [--operations 10] [--client] [--tls]``, with the package ``h2`` for the server, and
``trustme`` for TLS. A kind of users of which there are none has no loop either; with ``--client``
all share one `Client` in place of a connection. Exit status 1 if anything was wrong.
"""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import random
import ssl
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from dugong_like import (
    AnsweredEarly,
    BodyFollowing,
    Client,
    Co,
    ConnectionTimedOut,
    DugongError,
    HTTPConnection,
    HTTPResponse,
    Pool,
    StreamReset,
    Timeouts,
    run,
    within,
)
from dugong_like.connection.connection_view import ConnectionView
from dugong_like.connection.h2.waiter import Waiter
from dugong_like.drivers import aio
from dugong_like.drivers.loop import Loop

from .http2_server import RESETS, body_of
from .program import Limit, Summary, open_descriptors, parser

PATIENCE: Final = 120  # seconds after which an exchange hangs
SIZES: Final = (0, 0, 1, 1, 100, 100, 3000, 3000, 70_000, 204_800)  # bytes of responses
UPLOADS: Final = (0, 0, 0, 0, 10, 10, 10, 30_000, 100_000)
GIVEN_UP: Final = 0.2  # of all exchanges
RESET: Final = 0.09
MOMENTS: Final = (0.0, 0.001, 0.01, 0.1)  # seconds
PIECE: Final = 7000  # bytes of an upload


class Trial:
    """What happens at the same time, and what goes wrong.

    Args:
        target: the connection that all use, or the client.
        base: of the URLs of the client.
        limit: when it is enough.
        seed: of what is left to chance.

    Attributes:
        problems: what was wrong.
        done: exchanges so far, those included that were given up.
        kinds: how many there were of each kind.

    """

    def __init__(self, target: HTTPConnection | Client, base: str, limit: Limit, seed: int) -> None:
        self._target = target
        self._base = base
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
        if chance.random() < RESET:
            path += f"?{chance.choice([*RESETS, 'early'])}"
        else:
            path += chance.choice(["", "", "?slow", "?slow?trailers", "?hints", "?trailers"])
        body = bytes(chance.choice(UPLOADS))
        ways: tuple[Callable[[str, bytes, random.Random], Co[bytes]], ...]
        if isinstance(self._target, Client):
            ways = (self._co_request, self._co_stream)
        else:
            ways = (self._co_whole, self._co_whole, self._co_pieces, self._co_batch)
            ways = (*ways, self._co_steps, self._co_view, self._co_talk, self._co_fifo)
        way = chance.choice(ways)
        if "?early" in path and way in (self._co_steps, self._co_fifo):
            way = self._co_whole  # or whoever reads next from the connection has the response
        try:
            got = yield from way(path, body, chance)
        except StreamReset as exc:
            if "?re" not in path or ("?refuse" in path) != (exc.request_sent == "no"):
                self.problems.append(f"{path}: {exc!r}, {exc.request_sent}")
            self.note("reset")
            return
        except AnsweredEarly:
            if "?early" not in path:
                self.problems.append(f"{path}: answered early")
            self.note("early")
            return
        if "?early" in path:
            body, path = b"", "/0"
        if got != body + body_of(path):
            self.problems.append(f"{path}: a wrong body of {len(got)} bytes")
        self.note(way.__name__.removeprefix("_co_"))

    def _co_whole(self, path: str, body: bytes, _: random.Random) -> Co[bytes]:
        assert isinstance(self._target, HTTPConnection)
        reply = yield from self._target.co_exchange("PUT", path, None, body or None)
        self._check(path, body, reply)
        assert reply.body is not None
        return reply.body

    def _co_pieces(self, path: str, body: bytes, _: random.Random) -> Co[bytes]:
        assert isinstance(self._target, HTTPConnection)
        pieces = [body[at : at + PIECE] for at in range(0, len(body), PIECE)]
        reply = yield from self._target.co_exchange("PUT", path, None, iter(pieces))
        assert reply.body is not None
        return reply.body

    def _co_steps(self, path: str, body: bytes, chance: random.Random) -> Co[bytes]:
        assert isinstance(self._target, HTTPConnection)
        exchange = yield from self._target.co_send_request("PUT", path, None, body or None)
        try:
            response = yield from exchange.co_read_response()
            got = []
            while piece := (yield from exchange.co_read(chance.choice([100_000, 5000, 2**20]))):
                got.append(piece)
            self._check(path, body, response)
            return b"".join(got)
        finally:
            if not exchange.complete:
                exchange.abandon()

    def _co_view(self, path: str, body: bytes, _: random.Random) -> Co[bytes]:
        """Write a body in pieces, and trailers, by the calls of a connection."""
        view = self._target.beside(ConnectionView)  # type: ignore[union-attr]  # no Client here
        try:
            yield from view.co_send_request("PUT", path, None, BodyFollowing())
            for at in range(0, len(body), PIECE):
                yield from view.co_write(body[at : at + PIECE])
            yield from view.co_finish({"x-sent": str(len(body))})
            response = yield from view.co_read_response()
            got: bytes = yield from view.co_readall()
            if "?early" not in path and response.trailers.get("x-sent") != str(len(body)):
                self.problems.append(f"{path}: the trailers {response.trailers.items()}")
            self._check(path, body, response)
            return got
        finally:
            view.disconnect()

    def _co_talk(self, path: str, body: bytes, chance: random.Random) -> Co[bytes]:
        """Write a body in pieces by its exchange, while those of others are written."""
        assert isinstance(self._target, HTTPConnection)
        exchange = yield from self._target.co_send_request("PUT", path, None, BodyFollowing())
        try:
            size = chance.choice([PIECE, 1000, 100_000])
            for at in range(0, len(body), size):
                yield from exchange.co_write(body[at : at + size])
            yield from exchange.co_finish({"x-sent": str(len(body))})
            response = yield from exchange.co_read_response()
            got = yield from exchange.co_readall()
            if "?early" not in path and response.trailers.get("x-sent") != str(len(body)):
                self.problems.append(f"{path}: the trailers {response.trailers.items()}")
            self._check(path, body, response)
            return got
        finally:
            if not exchange.complete:
                exchange.abandon()

    def _before(self, path: str, chance: random.Random) -> list[str]:
        """Return other paths, to be asked for before *path*."""
        return [f"/{chance.choice(SIZES)}{path[path.index('/', 1) :].partition('?')[0]}"] * 3

    def _check_before(self, paths: list[str], got: list[bytes | None]) -> None:
        for path, each in zip(paths, got, strict=True):
            if each != body_of(path):
                self.problems.append(f"{path}: a wrong body before others")

    def _co_batch(self, path: str, body: bytes, chance: random.Random) -> Co[bytes]:
        """Ask for several together, all of them whole exchanges."""
        assert isinstance(self._target, HTTPConnection)
        before = self._before(path, chance)
        requests: list[tuple[Any, ...]] = [("PUT", each) for each in before]
        requests.append(("PUT", path, None, body) if body else ("PUT", path))
        *replies, last = yield from self._target.co_exchange_all(requests)
        self._check_before(before, [reply.body for reply in replies])
        self._check(path, body, last)
        return last.body

    def _co_fifo(self, path: str, body: bytes, chance: random.Random) -> Co[bytes]:
        """Send several together, and read their responses in order, by the calls of a view."""
        view = self._target.beside(ConnectionView)  # type: ignore[union-attr]  # no Client here
        before = self._before(path, chance)
        try:
            requests: list[tuple[Any, ...]] = [("PUT", each) for each in before]
            yield from view.co_send_requests([*requests, ("PUT", path, None, body or None)])
            got = []
            for _ in before:
                yield from view.co_read_response()
                got.append((yield from view.co_readall()))
            self._check_before(before, got)
            response = yield from view.co_read_response()
            last: bytes = yield from view.co_readall()
            self._check(path, body, response)
            return last
        finally:
            view.disconnect()

    def _check(self, path: str, body: bytes, response: HTTPResponse) -> None:
        if "?trailers" in path and response.trailers.get("x-length") != str(len(body)):
            self.problems.append(f"{path}: the trailers {response.trailers.items()}")
        if ("?hints" in path) != bool(response.informational):
            self.problems.append(f"{path}: informational: {response.informational}")

    def _co_request(self, path: str, body: bytes, _: random.Random) -> Co[bytes]:
        assert isinstance(self._target, Client)
        url = self._base + path
        response = yield from self._target.co_request("PUT", url, content=body or None)
        return response.content

    def _co_stream(self, path: str, body: bytes, chance: random.Random) -> Co[bytes]:
        assert isinstance(self._target, Client)
        url = self._base + path
        pieces = [body[at : at + PIECE] for at in range(0, len(body), PIECE)]
        response = yield from self._target.co_request(
            "PUT", url, content=chance.choice([body or None, pieces]), stream=True
        )
        try:
            return (yield from response.co_read())
        finally:
            response.close()

    # ---- users

    def co_user(self, name: str) -> Co[None]:
        """Do exchanges, of which some are closed at one of their waits or run out of time."""
        chance = self.chance(name)
        while not self.is_over():
            going = self.co_exchange(chance, name)
            if chance.random() >= GIVEN_UP:
                yield from going
            elif chance.random() < 0.5:
                yield from self._co_closed(going, chance.randrange(5))
            else:
                until = time.monotonic() + chance.choice(MOMENTS)
                try:
                    yield from within(until, going)
                except ConnectionTimedOut:
                    if time.monotonic() < until:
                        raise
                    self.note("out of time")

    def _co_closed(self, going: Co[None], waits: int) -> Co[None]:
        try:
            for _ in range(waits):
                yield next(going)
            next(going)
        except StopIteration:
            return
        finally:
            going.close()
        self.note("closed")

    def on_thread(self, name: str) -> None:
        """Be a user in a thread."""
        run(self.co_user(name))

    async def _cancelled(self, chance: random.Random, name: str, runs: Runs) -> None:
        """Do exchanges in a task, of which some are cancelled."""
        while not self.is_over():
            going = self.co_exchange(chance, name)
            if chance.random() >= GIVEN_UP:
                await runs(going, None)
            elif await runs(going, chance.choice(MOMENTS)):
                self.note("cancelled")

    async def on_asyncio(self, tasks: int) -> None:
        """Be users in tasks of asyncio."""

        async def runs(op: Co[None], seconds: float | None) -> bool:
            task = asyncio.ensure_future(aio.run(op))
            if seconds is not None:
                asyncio.get_running_loop().call_later(seconds, task.cancel)
            try:
                await task
            except asyncio.CancelledError:
                return True
            return False

        each: list[Awaitable[None]] = []
        for number in range(tasks):
            name = f"asyncio-{number}"
            if number % 2:
                each.append(self._cancelled(self.chance(name), name, runs))
            else:
                each.append(aio.run(self.co_user(name)))
        await asyncio.gather(*each)

    async def on_trio(self, tasks: int) -> None:
        """Be users in tasks of trio."""
        import trio

        from dugong_like.drivers import trio as driver

        async def runs(op: Co[None], seconds: float | None) -> bool:
            with trio.move_on_after(float("inf") if seconds is None else seconds) as scope:
                await driver.run(op)
            return scope.cancelled_caught

        async with trio.open_nursery() as nursery:
            for number in range(tasks):
                name = f"trio-{number}"
                if number % 2:
                    nursery.start_soon(self._cancelled, self.chance(name), name, runs)
                else:
                    nursery.start_soon(driver.run, self.co_user(name))

    def on_loop(self, operations: int) -> None:
        """Be users in operations of a loop of the library."""
        with Loop() as loop:
            tasks = [loop.spawn(self.co_user(f"loop-{number}")) for number in range(operations)]
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
        done, until = -1, 0.0
        for thread in threads:
            while thread.is_alive():
                thread.join(0.1)
                if self.done != done:
                    done, until = self.done, time.monotonic() + PATIENCE
                elif time.monotonic() > until:
                    self.problems.append(f"an operation hangs after {done} exchanges")
                    faulthandler.dump_traceback()
                    return


Runs = Callable[[Co[None], "float | None"], Awaitable[bool]]  # True: it was cancelled


@contextmanager
def certificate() -> Iterator[tuple[str, ssl.SSLContext]]:
    """Yield the file of a certificate for localhost, and a context that trusts it."""
    import trustme

    authority = trustme.CA()
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with authority.issue_cert("localhost").private_key_and_cert_chain_pem.tempfile() as path:
        yield path, context


@contextmanager
def server(seed: int, *options: str) -> Iterator[int]:
    """Run the server, and yield its port; what it says is wrong is printed."""
    command = [sys.executable, "-m", "contrib.torture.http2_server", str(seed), *options]
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        yield int(process.stdout.readline())
        process.stdin.close()


def check_connection(trial: Trial, conn: HTTPConnection) -> None:
    """Check that nothing is left over on *conn*."""
    try:
        if conn.exchange("GET", "/10/last").body != body_of("/10/last"):
            trial.problems.append("a wrong body at the end")
    except DugongError as exc:
        trial.problems.append(f"the connection is of no use at the end: {exc!r}")
    if "stream" in repr(conn) or conn.response_pending() or not conn.is_reusable():
        trial.problems.append(f"something is left over: {conn!r}")
    if conn.renewals:
        trial.problems.append(f"the connection was lost {conn.renewals} times")


def check_client(trial: Trial, client: Client, base: str) -> None:
    """Check that nothing is left over in the pool of *client*."""
    if client.get(f"{base}/10/last").content != body_of("/10/last"):
        trial.problems.append("a wrong body at the end")
    pool = client.dispatcher
    assert isinstance(pool, Pool)
    for counts in client.stats().values():
        if counts.busy or counts.waiting:
            trial.problems.append(f"something is in use by nobody: {counts}")
        lost = {why: count for why, count in counts.ended.items() if why not in USUAL}
        if lost:
            trial.problems.append(f"connections were lost: {lost}")
    for member in [each for each in gc.get_objects() if isinstance(each, HTTPConnection)]:
        if not isinstance(member, ConnectionView) and "stream" in repr(member):
            trial.problems.append(f"something is left over: {member!r}")


USUAL: Final = {"surplus", "discarded", "expired", "interrupted", "unused"}


def check_rest(trial: Trial, before: int) -> None:
    """Check that nothing waits, and no descriptor is open."""
    if (left := open_descriptors() - before) > 0:
        trial.problems.append(f"{left} descriptors are left open")
    waiters: list[Any] = [each for each in gc.get_objects() if isinstance(each, Waiter)]
    if still := sum(not each.left for each in waiters):
        trial.problems.append(f"{still} operations are waited for that have ended")


def main(argv: list[str] | None = None) -> int:
    """Have everybody do exchanges, and print what came of it."""
    options = parser(__doc__ or "")
    options.add_argument("--threads", type=int, default=10, help="threads that block")
    options.add_argument("--tasks", type=int, default=100, help="tasks of asyncio")
    options.add_argument("--trio", type=int, default=30, help="tasks of trio")
    options.add_argument("--operations", type=int, default=10, help="operations of a Loop")
    options.add_argument("--client", action="store_true", help="by a Client")
    options.add_argument("--tls", action="store_true", help="over TLS (needs trustme)")
    given = options.parse_args(argv)
    with ExitStack() as stack:
        pem, context = stack.enter_context(certificate()) if given.tls else (None, None)
        port = stack.enter_context(server(given.seed, *([] if pem is None else [pem])))
        before = open_descriptors()
        target: HTTPConnection | Client
        base = f"http{'s' if given.tls else ''}://localhost:{port}"
        if given.client:
            limits = Timeouts(connect=PATIENCE, pool=PATIENCE, head=PATIENCE, stall=PATIENCE / 2)
            options_of_client: dict[str, Any] = {"ssl_context": context} if context else {}
            target = Client(versions=("h2",), timeout=limits, trust_env=False, **options_of_client)
        else:
            target = HTTPConnection(
                "localhost", port, context, versions=("h2",), timeout=PATIENCE / 2
            )
        trial = Trial(target, base, Limit.of(given), given.seed)
        works: list[Callable[[], object]] = [
            partial(trial.on_thread, f"thread-{number}") for number in range(given.threads)
        ]
        if given.tasks:
            works.append(lambda: asyncio.run(trial.on_asyncio(given.tasks)))
        if given.trio:
            works.append(lambda: run_trio(trial.on_trio, given.trio))
        if given.operations:
            works.append(partial(trial.on_loop, given.operations))
        trial.together(works)
        if isinstance(target, Client):
            check_client(trial, target, base)
        else:
            check_connection(trial, target)
        target.close()
        check_rest(trial, before)
    for problem in trial.problems:
        print(f"VIOLATION: {problem}")
    for kind, count in sorted(trial.kinds.items()):
        print(f"{count:6} {kind}")
    return Summary(trial.done, "exchanges over HTTP/2", given.seed, len(trial.problems)).tell()


def run_trio(function: Callable[..., Awaitable[None]], *arguments: object) -> None:
    """Run *function* on trio."""
    import trio

    trio.run(function, *arguments)


if __name__ == "__main__":
    sys.exit(main())
