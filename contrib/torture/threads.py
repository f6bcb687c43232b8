"""Many threads in each other's way, with or without the GIL: a few seconds of each kind.

Meanwhile a bystander opens, uses and closes sockets of its own; nobody may touch them, as somebody
would who used, or closed, a descriptor that is not his any more.

Run: ``python3 -m contrib.torture.threads [--seconds N] [--count N] [--seed 1] [KIND ...]``.
Time and number of rounds are those of all kinds together. A kind ends with its first problem. Exit
status 1 if anything was wrong.
"""

from __future__ import annotations

import os
import random
import socket
import socketserver
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from dugong_like import (
    CachingResolver,
    Co,
    ConnectionClosed,
    ConnectionTimedOut,
    DugongError,
    HTTPConnection,
    LoopThread,
    NetworkStream,
    Request,
    Wake,
    run,
)
from dugong_like.transport.connect.resolvers import co_look_up
from dugong_like.transport.tcp import TCPStream

from .program import Limit, Summary, parser

THREADS = 6
PATIENCE = 60  # seconds after which an operation hangs


class Echo(socketserver.StreamRequestHandler):
    """Answers each request with its path, so often that the body has some size."""

    def handle(self) -> None:
        """Serve one connection."""
        while line := self.rfile.readline():
            while self.rfile.readline().strip():
                pass
            body = expected(line.split()[1].decode())
            head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
            self.wfile.write(head + body)


def expected(path: str) -> bytes:
    """Return the body that the server has for *path*."""
    return path.encode() * (3000 if path.startswith("/large") else 1)


@contextmanager
def server() -> Iterator[int]:
    """Run a server, and yield its port."""

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        request_queue_size = 100

        def handle_error(self, *_: object) -> None:
            """Say nothing: clients come and go."""

    with Server(("127.0.0.1", 0), Echo) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running.server_address[1]
        running.shutdown()


class Trial:
    """What happens at the same time, and what goes wrong.

    Attributes:
        problems: what was wrong.
        rounds: how often the work was done.

    """

    def __init__(self, limit: Limit) -> None:
        self.problems: list[str] = []
        self.rounds = 0
        self._limit = limit
        self._lock = threading.Lock()

    def check(self, true: bool, what: str) -> None:
        """Note *what* unless it is *true*."""
        if not true:
            self.problems.append(what)

    def on_threads(self, *works: Callable[[], object]) -> None:
        """Have each of *works* done again and again by a thread of its own."""
        threads = [threading.Thread(target=self._repeat, args=(work,)) for work in works]
        threads.append(threading.Thread(target=self._stand_by))
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive() and not self.is_over():
                thread.join(0.1)
            thread.join(2 * PATIENCE)
            self.check(not thread.is_alive(), "a thread hangs")

    def is_over(self) -> bool:
        """Return True if there is to be no further round."""
        return bool(self.problems) or self._limit.reached(self.rounds)

    def _repeat(self, work: Callable[[], object]) -> None:
        try:
            while not self.is_over():
                work()
                with self._lock:
                    self.rounds += 1
        except BaseException:
            self.problems.append(traceback.format_exc())

    def _stand_by(self) -> None:
        while not self.is_over():
            try:
                self._use_sockets()
            except OSError as exc:
                self.problems.append(f"somebody touched another's socket: {exc}")

    def _use_sockets(self) -> None:
        one, other = socket.socketpair()
        with one, other:
            other.settimeout(PATIENCE)
            token = os.urandom(8)
            one.sendall(token)
            self.check(other.recv(100) == token, "somebody read what was another's")
            one.close()
            self.check(other.recv(100) == b"", "somebody wrote to another's socket")


def co_get(conn: HTTPConnection, path: str) -> Co[bytes]:
    """Return the body of a response."""
    yield from conn.co_send_request("GET", path)
    yield from conn.co_read_response()
    return (yield from conn.co_readall())


def own_connections(trial: Trial) -> None:
    """Each thread has a connection of its own, and now and then closes it."""
    with server() as port, ExitStack() as stack:

        def work_on(conn: HTTPConnection) -> Callable[[], object]:
            def work() -> None:
                path = f"{random.choice(['/small', '/large'])}/{random.random()}"
                trial.check(run(co_get(conn, path)) == expected(path), "a wrong body")
                if random.random() < 0.05:
                    conn.close()

            return work

        conns = [stack.enter_context(connection(port)) for _ in range(THREADS)]
        trial.on_threads(*map(work_on, conns))


def connection(port: int) -> HTTPConnection:
    """Return a connection to the server."""
    return HTTPConnection("127.0.0.1", port, timeout=PATIENCE)


def closed_connections(trial: Trial) -> None:
    """Two threads use a connection each; the others close them."""
    with server() as port, connection(port) as one, connection(port) as other:

        def use(conn: HTTPConnection, path: str) -> None:
            try:
                trial.check(run(co_get(conn, path)) == expected(path), "a wrong body")
            except DugongError as exc:
                timed_out = isinstance(exc, ConnectionTimedOut)
                trial.check(not timed_out, "nobody told it that the connection was closed")
                conn.reset()

        def close() -> None:
            time.sleep(random.random() * 0.003)
            random.choice([one, other]).close()

        users = [lambda: use(one, "/one"), lambda: use(other, "/large/other")]
        trial.on_threads(*users, *[close] * (THREADS - 2))


def network_streams(trial: Trial) -> None:
    """One thread reads a stream, one writes to it, and two close it."""

    def work() -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        stream = NetworkStream(TCPStream(ours), timeout=PATIENCE)
        together = threading.Barrier(4)

        def use(call: Callable[..., object], *arguments: object) -> None:
            together.wait()
            try:
                call(*arguments)
            except ConnectionClosed:
                pass
            except BaseException:
                trial.problems.append(traceback.format_exc())

        calls: list[tuple[Any, ...]] = [
            *((stream.read, 10), (stream.write, bytes(100))),
            *((stream.close,), (stream.close,)),
        ]
        threads = [threading.Thread(target=use, args=call) for call in calls]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        theirs.close()

    trial.on_threads(work, work)


def loop_thread(trial: Trial) -> None:
    """Six threads have their operations done by one loop, and cancel some of them."""
    with server() as port, LoopThread() as thread, ExitStack() as stack:

        def work_on(conn: HTTPConnection) -> Callable[[], object]:
            def work() -> None:
                future = thread.submit(co_get(conn, "/x"))
                if random.random() > 0.1:
                    trial.check(future.result(PATIENCE) == b"/x", "a wrong body")
                    return
                time.sleep(random.random() * 0.0005)
                if not future.cancel():
                    future.result(PATIENCE)
                thread.submit(conn.co_close()).result(PATIENCE)

            return work

        conns = [stack.enter_context(connection(port)) for _ in range(THREADS)]
        trial.on_threads(*map(work_on, conns))


def callback_streams(trial: Trial) -> None:
    """Five threads put exchanges on one connection; another one closes it."""
    with server() as port, LoopThread() as thread, connection(port) as conn:

        def work() -> None:
            pieces: list[bytes] = []
            path = f"/{random.random()}"

            def on_body(chunk: bytes, **_: object) -> None:
                pieces.append(chunk)

            stream = conn.request(Request(target=path), on_body=on_body)
            stream.activate(thread)
            problem = stream.completion_future.exception(PATIENCE)
            if problem is None:
                trial.check(b"".join(pieces) == expected(path), "a wrong body")
            else:
                trial.check(isinstance(problem, ConnectionClosed), repr(problem))

        def close() -> None:
            time.sleep(0.002)
            conn.close()

        trial.on_threads(*[work] * (THREADS - 1), close)


def files(trial: Trial) -> None:
    """Each thread receives into a file; the pipes that this takes are shared."""
    with server() as port, ExitStack() as stack:

        def work_on(conn: HTTPConnection) -> Callable[[], object]:
            def work() -> None:
                with tempfile.TemporaryFile() as file:
                    conn.send_request("GET", "/large")
                    conn.read_response()
                    conn.recv_to_file(file)
                    file.seek(0)
                    trial.check(file.read() == expected("/large"), "a wrong file")

            return work

        conns = [stack.enter_context(connection(port)) for _ in range(THREADS)]
        trial.on_threads(*map(work_on, conns))


def names(trial: Trial) -> None:
    """All ask one cache."""
    answer = [(socket.AF_INET, ("127.0.0.1", 80))]
    cache = CachingResolver(lambda host, port: answer, max_entries=100)

    def work() -> None:
        host = f"{random.randrange(200)}.test"
        trial.check(run(co_look_up(host, 80, cache), PATIENCE) == answer, "a wrong address")

    trial.on_threads(*[work] * THREADS)


def wakes(trial: Trial) -> None:
    """A loop waits for what others set, and close at once."""
    with LoopThread() as thread:

        def work() -> None:
            with Wake() as wake:
                future = thread.submit(wake.co_wait())
                wake.set()
                trial.check(future.result(PATIENCE), "it was not woken")

        trial.on_threads(*[work] * THREADS)


KINDS = (
    *(own_connections, closed_connections, network_streams, loop_thread),
    *(callback_streams, files, names, wakes),
)


def main(argv: list[str] | None = None) -> int:
    """Do each kind, and print what came of it."""
    made = parser(__doc__)
    made.add_argument("kinds", nargs="*", metavar="KIND", help="default: all of them")
    options = made.parse_args(argv)
    known = {kind.__name__: kind for kind in KINDS}
    if unknown := set(options.kinds) - known.keys():
        made.error(f"no such kind: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    gil = "with" if getattr(sys, "_is_gil_enabled", lambda: True)() else "without"
    print(f"Python {sys.version.split()[0]} {gil} the GIL")
    random.seed(options.seed)  # which thread takes which number is left to the system
    kinds = options.kinds or known
    rounds = violations = 0
    for name in kinds:
        trial = Trial(Limit.of(options, len(kinds)))
        known[name](trial)
        rounds += trial.rounds
        violations += len(trial.problems)
        print(f"{name}: {trial.rounds} rounds, {len(trial.problems)} problems", flush=True)
        for problem in trial.problems[:3]:
            print(problem)
    return Summary(rounds, f"rounds of threads, {gil} the GIL", options.seed, violations).tell()


if __name__ == "__main__":
    sys.exit(main())
