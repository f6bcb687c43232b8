"""Give up leases of a pool and requests of a client at any of their waits; no place may be lost.

Many operations at a time share a few connections: in threads, on asyncio, trio, gevent and a
`Loop`. Each takes a connection, or sends a request, whole or as a stream, and is closed at one of
its waits, perhaps. Whatever a response says belongs to its request. At the end nothing is in use
and nobody waits, all places can be taken, and no descriptor is left open.

With ``--http2`` requests share connections, each of which has room for a few of them, and is ended
by GOAWAY now and then. No stream may be left either.

Run: ``python3 -m contrib.torture.pool [--seconds N] [--count N] [--seed 1] [--http2]
[DRIVER ...]``.
Time and number of attempts are those of all drivers together. Prints what became of the attempts
of each driver. Exit status 1 if anything was wrong.
"""

from __future__ import annotations

import asyncio
import gc
import random
import socket
import socketserver
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from dugong_like import (
    Client,
    Co,
    ConnectionClosed,
    Limits,
    Origin,
    Pool,
    PoolTimedOut,
    Response,
    Timeouts,
    run,
)
from dugong_like.connection.shared import open_sessions
from dugong_like.drivers import aio
from dugong_like.drivers.loop import Loop
from dugong_like.polling.wake import co_checkpoint

from .faulty.stage import check
from .program import Limit, Summary, open_descriptors, parser

WORKERS: Final = 12  # at a time
CONNECTIONS: Final = 4
PATIENCE: Final = 60.0  # seconds after which an operation hangs
SIZES: Final = (0, 1, 100, 5000, 70_000)  # bytes of bodies
STREAMS: Final = 2  # of an HTTP/2 connection
FRAME: Final = 16384  # bytes


class Server(socketserver.StreamRequestHandler):
    """Answers with a body that its target says, and now and then it closes the connection."""

    timeout = PATIENCE  # or its thread would outlive a connection that is lost

    def handle(self) -> None:
        """Serve one connection."""
        try:
            while (line := self.rfile.readline()).endswith(b"\n"):
                while self.rfile.readline().strip():
                    pass
                if not self._answer(line.split()[1].decode()):
                    return
        except OSError:
            pass  # the client has gone

    def _answer(self, target: str) -> bool:
        _, number, size, way = target.split("/")
        body = body_of(number, int(size))
        if way == "chunked":
            parts = [b"Transfer-Encoding: chunked\r\n\r\n"]
            parts += [b"%x\r\n%s\r\n" % (len(body), body)] if body else []
            parts += [b"0\r\n\r\n"]
        else:
            parts = [b"Content-Length: %d\r\n\r\n" % len(body), body]
        self.wfile.write(b"HTTP/1.1 200 OK\r\n" + parts[0])
        if way == "late":
            time.sleep(0.0005)
        self.wfile.write(b"".join(parts[1:]))
        return way != "last"


class Http2Server(socketserver.BaseRequestHandler):
    """Answers over HTTP/2 as `Server` does, needs no TLS, and has room for few streams."""

    def handle(self) -> None:
        """Serve one connection."""
        import h2.config
        import h2.connection
        import h2.settings

        self.request.settimeout(PATIENCE)
        config = h2.config.H2Configuration(client_side=False)
        self._http = http = h2.connection.H2Connection(config)
        http.initiate_connection()
        http.update_settings({h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: STREAMS})
        going = True
        try:
            while going:
                self.request.sendall(http.data_to_send())
                wire = self.request.recv(65536)
                going = bool(wire) and self._take(http.receive_data(wire))
            self.request.sendall(http.data_to_send())
            self.request.shutdown(socket.SHUT_WR)
            while self.request.recv(65536):  # or a reset would overtake what was sent
                pass
        except OSError:
            pass  # the client has gone

    def _take(self, events: list[Any]) -> bool:
        """Answer requests; return False if the connection has ended."""
        from h2.events import ConnectionTerminated, RequestReceived, StreamReset

        if any(isinstance(event, ConnectionTerminated) for event in events):
            return False  # h2 sends nothing more, not even for requests before it
        reset = {event.stream_id for event in events if isinstance(event, StreamReset)}
        for event in events:
            if not isinstance(event, RequestReceived) or event.stream_id in reset:
                continue
            target = dict(event.headers)[b":path"].decode()
            _, number, size, way = target.split("/")
            body = body_of(number, int(size))
            stream = event.stream_id
            self._http.send_headers(stream, [(":status", "200")], end_stream=not body)
            if way == "late":
                self.request.sendall(self._http.data_to_send())
                time.sleep(0.0005)
            for at in range(0, len(body), FRAME):
                last = at + FRAME >= len(body)
                self._http.send_data(stream, body[at : at + FRAME], end_stream=last)
            if way == "last":
                self._http.close_connection(last_stream_id=stream)
                return False
        return True


WAYS: Final = ("usual", "usual", "chunked", "late", "last")


class Listening(socketserver.ThreadingTCPServer):
    """The server. Closing it waits for its threads, which end with their connections.

    Attributes:
        problems: what has ended a thread, except the end of its connection. The client has sent
            what h2 does not take, then, or the server is wrong.

    """

    request_queue_size = 100

    def __init__(self, handler: type[socketserver.BaseRequestHandler]) -> None:
        self.problems: list[str] = []
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Have a thread serve one connection."""
        self._open.add(request)  # here, as that thread may begin behind `end_connections`
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """End a connection: its thread does at its end."""
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep what has ended a thread."""
        del request, client_address
        self.problems.append(traceback.format_exc())

    def end_connections(self) -> None:
        """End those that the client has left open, or closing the server would wait for them."""
        for each in self._open.copy():
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it is closed


def body_of(number: str, size: int) -> bytes:
    """Return the body of the response to a request."""
    return (number.encode() * (size // len(number) + 1))[:size]


@contextmanager
def serving(*, http2: bool = False) -> Iterator[Listening]:
    """Run the server."""
    with Listening(Http2Server if http2 else Server) as server:
        thread = threading.Thread(target=partial(server.serve_forever, 0.01))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
            server.end_connections()


class Attempts:
    """What the workers of one driver do, until a limit has been reached: once each at least.

    Args:
        client: whose pool is tried.
        port: of the server.
        limit: when to stop.
        dice: for all that is left to chance.

    Attributes:
        done: how often something was tried.
        outcomes: what became of it.

    """

    def __init__(self, client: Client, port: int, limit: Limit, dice: random.Random) -> None:
        self.done = 0
        self.outcomes: Counter[str] = Counter()
        self._client = client
        self._port = port
        self._limit = limit
        self._seeds = iter(dice.random, None)
        self._lock = threading.Lock()

    def co_work(self) -> Co[None]:
        """Be one of the workers."""
        while True:
            with self._lock:
                if self.done >= WORKERS and self._limit.reached(self.done):
                    return
                self.done += 1
                number, dice = self.done, random.Random(next(self._seeds))
            outcome = yield from self._co_attempt(str(number), dice)
            with self._lock:
                self.outcomes[outcome] += 1

    def _co_attempt(self, number: str, dice: random.Random) -> Co[str]:
        what = self._co_lease if dice.random() < 0.5 else self._co_request
        try:
            return (yield from what(number, dice))
        except PoolTimedOut:
            return "too late"
        except ConnectionClosed as exc:
            # One that the server had closed, and a POST cannot be sent again.
            check(exc.request_sent != "yes", f"{number}: {exc}")
            return "closed"

    def _co_lease(self, number: str, dice: random.Random) -> Co[str]:
        pool = self._client.dispatcher
        assert isinstance(pool, Pool)
        soon = time.monotonic() + 0.001 if dice.random() < 0.05 else None
        origin = Origin("http", "127.0.0.1", self._port)
        lease = yield from co_given_up(pool.co_acquire(origin, soon), dice)
        if lease is None:
            return "given up"
        way = dice.random()
        try:
            for _ in range(dice.randrange(3)):
                yield from co_checkpoint()
            if way < 0.2:
                yield from co_given_up(
                    lease.connection.co_exchange("GET", f"/{number}/9/usual"), dice
                )
        finally:
            if way < 0.8:
                lease.release()
            elif way < 0.9:
                lease.discard()
            del lease  # it is forgotten otherwise
        return "used"

    def _co_request(self, number: str, dice: random.Random) -> Co[str]:
        size, way = dice.choice(SIZES), dice.choice(WAYS)
        method = dice.choice(["GET", "GET", "POST"])
        url = f"http://127.0.0.1:{self._port}/{number}/{size}/{way}"
        op = self._client.co_request(method, url, stream=dice.random() < 0.5)
        response: Response | None = yield from co_given_up(op, dice)
        if response is None:
            return "given up"
        try:
            body = yield from co_given_up(response.co_read(), dice)
        finally:
            response.close()
        if body is None:
            return "given up"
        check(body == body_of(number, size), f"{number}: a wrong body of {len(body)} bytes")
        return "answered"


def co_given_up(op: Co[Any], dice: random.Random) -> Co[Any]:
    """Run *op*, and give it up at one of its waits, perhaps: then the result is None."""
    try:
        while True:
            try:
                need = next(op)
            except StopIteration as end:
                return end.value
            if dice.random() < 0.15:
                return None
            yield need
            if dice.random() < 0.1:
                return None  # its wait is over, and nobody looks
    finally:
        op.close()


Ops = list[Generator[Any, None, None]]


def on_threads(ops: Ops) -> None:
    """Run each operation in a thread of its own, by blocking calls."""
    problems: list[BaseException] = []

    def go(op: Co[None]) -> None:
        try:
            run(op, PATIENCE * 10)
        except BaseException as exc:
            problems.append(exc)

    threads = [threading.Thread(target=go, args=(op,)) for op in ops]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if problems:
        raise problems[0]


def on_asyncio(ops: Ops) -> None:
    """Run the operations in tasks of asyncio."""

    async def main() -> None:
        await asyncio.gather(*map(aio.run, ops))

    asyncio.run(main())


def on_trio(ops: Ops) -> None:
    """Run the operations in tasks of trio."""
    import trio

    from dugong_like.drivers import trio as driver

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for op in ops:
                nursery.start_soon(driver.run, op)

    trio.run(main)


def on_gevent(ops: Ops) -> None:
    """Run the operations in greenlets."""
    import gevent

    from dugong_like.drivers import gevent as driver

    gevent.joinall([gevent.spawn(driver.run, op) for op in ops], raise_error=True)


def on_loop(ops: Ops) -> None:
    """Run the operations in a loop of the library."""
    with Loop() as loop:
        tasks = [loop.spawn(op) for op in ops]
        loop.run_all()
        for task in tasks:
            task.result()


DRIVERS: Final[dict[str, Callable[[Ops], None]]] = {
    "threads": on_threads,
    "asyncio": on_asyncio,
    "trio": on_trio,
    "gevent": on_gevent,
    "loop": on_loop,
}


def play(name: str, limit: Limit, dice: random.Random, *, http2: bool = False) -> Attempts:
    """Try the pool under the driver *name*.

    Raises:
        Violation: a place was lost, or a response mixed up.
        Exception: what no attempt should raise.

    """
    with serving(http2=http2) as server:
        others = open_sessions()  # of this process, such as those of other tests
        try:
            attempts = attempt(name, server.server_address[1], limit, dice, http2=http2)
            gc.collect()
            left = [
                f"{each.route.origin}, {each.state.name}"
                for each in open_sessions()
                if each not in others
            ]
            check(not left, f"connections are open behind the end of the client: {left}")
        except Exception as exc:
            for problem in server.problems:  # which may be the reason
                exc.add_note(f"the server: {problem}")
            raise
    # Its threads have ended by now: some of them find out at the end only.
    check(not server.problems, "the server: " + "\n".join(server.problems))
    return attempts


def attempt(
    name: str, port: int, limit: Limit, dice: random.Random, *, http2: bool = False
) -> Attempts:
    """Try the pool of a client, and close that. Raises what `play` raises."""
    limits = Limits(max_connections=CONNECTIONS, max_requests=dice.choice([None, 7]))
    timeouts = Timeouts(connect=PATIENCE, pool=PATIENCE, head=PATIENCE, stall=PATIENCE)
    versions = ("h2",) if http2 else ("http/1.1",)
    with Client(limits=limits, timeout=timeouts, trust_env=False, versions=versions) as client:
        attempts = Attempts(client, port, limit, dice)
        DRIVERS[name]([attempts.co_work() for _ in range(WORKERS)])
        inspect(client, Origin("http", "127.0.0.1", port))
    return attempts


def inspect(client: Client, origin: Origin) -> None:
    """See that nothing is in use, nobody waits, and that all places can be taken.

    Raises:
        Violation: it is not so.

    """
    pool = client.dispatcher
    assert isinstance(pool, Pool)
    for where, counts in pool.stats().items():
        check(counts.busy == 0, f"{counts.busy} connections to {where} are in use by nobody")
        check(counts.waiting == 0, f"{counts.waiting} wait for a connection to {where}")
    leases = []
    while (lease := pool.try_acquire(origin)) is not None:
        leases.append(lease)
    left = [repr(lease.connection) for lease in leases if "stream" in repr(lease.connection)]
    for lease in leases:
        lease.release()
    check(not left, f"streams are used by nobody: {left}")
    check(len(leases) == CONNECTIONS, f"{len(leases)} of {CONNECTIONS} places can be taken")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    made = parser(__doc__ or "")
    made.add_argument("--http2", action="store_true", help="over HTTP/2 (needs h2)")
    made.add_argument("drivers", nargs="*", metavar="DRIVER", help=", ".join(DRIVERS))
    options = made.parse_args(arguments)
    names = options.drivers or list(DRIVERS)
    for name in names:
        if name not in DRIVERS:
            made.error(f"no driver {name!r}: there are {', '.join(DRIVERS)}")
    count = violations = 0
    for name in names:  # some loops keep descriptors of their own
        DRIVERS[name]([co_checkpoint()])
    before = open_descriptors()
    for name in names:
        dice = random.Random(f"{options.seed} {name}")
        try:
            limit = Limit.of(options, len(names))
            attempts = play(name, limit, dice, http2=options.http2)
        except Exception:  # of the library, or a group of those of tasks
            violations += 1
            print(f"{name}: {traceback.format_exc()}", flush=True)
            continue
        count += attempts.done
        told = ", ".join(f"{number} {what}" for what, number in sorted(attempts.outcomes.items()))
        print(f"{name}: {told}", flush=True)
    if (left := open_descriptors()) > before:
        violations += 1
        print(f"{left - before} descriptors are left open", flush=True)
    return Summary(count, "acquisitions given up anywhere", options.seed, violations).tell()


if __name__ == "__main__":
    sys.exit(main())
