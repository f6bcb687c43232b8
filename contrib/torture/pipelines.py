"""Send requests by pipelines to a server that cuts its connections by chance; none may be lost.

The server tags each answer with the request that it is for, and counts them. It ends connections
before an answer, inside its head or body, by FIN or RST, with and without saying so, and asks to
come again by 503. Each answer has to belong to its request and to be whole; no request that may be
repeated may be lost; no POST may arrive twice; and the order has to be kept. That is tried by a
`Pipeline`, with whole bodies and in pieces, and by a `SharedPipeline`: with a writer thread and a
reader thread, by two operations in one, and by tasks of asyncio. `Client.map` has to do the same,
with several connections, over HTTP/1.1 and, if the package ``h2`` is there, over HTTP/2.

Run: ``python3 -m contrib.torture.pipelines [--seconds N] [--count N] [--seed 1] [--way NAME]``,
where N counts requests, and more than one way may be named. Prints what became of them in each way.
Exit status 1 if anything was wrong.
"""

from __future__ import annotations

import asyncio
import random
import socket
import socketserver
import struct
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from importlib.util import find_spec
from typing import Any, Final

from dugong_like import (
    Client,
    Co,
    DugongError,
    HTTPConnection,
    NotAnswered,
    Pipeline,
    Request,
    Retry,
    SharedPipeline,
    both,
    run,
)
from dugong_like.drivers import aio

from .faulty.stage import Violation, check
from .program import Limit, Summary, parser

ROUND: Final = 500  # requests of one pipeline
SIZES: Final = (0, 1, 100, 5000, 70_000)  # bytes of an answer, besides its tag
BODY: Final = 1000  # bytes of a request
PATIENCE: Final = 60.0  # seconds after which something hangs
PREFACE: Final = b"PRI"  # the beginning of it (RFC 9113 section 3.4)
OPTIONS: Final[dict[str, Any]] = {"attempts": 60, "backoff": 0.0, "statuses": {503}}


class Server:
    """The server, and what it has seen.

    Attributes:
        seen: how often each target has arrived, at least its head.
        port: where it listens.

    """

    def __init__(self, seed: int) -> None:
        self.seen: Counter[str] = Counter()
        self.dice = random.Random(seed)
        self.port = 0

    def serve(self, sock: socket.socket) -> None:
        """Answer until the dice, or the client, end the connection."""
        dice = random.Random(self.dice.random())
        if sock.recv(len(PREFACE), socket.MSG_PEEK) == PREFACE:
            from .cut_streams import CutConnection  # needs another package

            CutConnection(sock, dice, self.seen, lambda *one: body_for(dice, *one)).serve(
                sock.recv(65536)
            )
            return
        often = dice.choice([0.005, 0.02, 0.1])
        with sock.makefile("rb") as stream:
            while line := stream.readline():
                method, target, _ = line.decode().split(" ")
                size = 0
                while (field := stream.readline()) not in {b"\r\n", b""}:
                    if field.lower().startswith(b"content-length:"):
                        size = int(field.split(b":")[1])
                self.seen[target] += 1
                if len(stream.read(size)) < size:
                    return
                if not self.answer(sock, dice, often, method, target):
                    return

    def answer(
        self, sock: socket.socket, dice: random.Random, often: float, method: str, target: str
    ) -> bool:
        """Answer one request; return True if the connection goes on."""
        body = body_for(dice, method, target)
        length = f"Content-Length: {len(body)}\r\n"
        end = dice.choice(ENDS) if dice.random() < often else "none"
        if end == "busy":
            sock.sendall(b"HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n")
            return True
        close = "Connection: close\r\n" if end == "announced" else ""
        head = f"HTTP/1.1 200 OK\r\nX-Tag: {target}\r\n{close}{length}\r\n".encode()
        whole = head + body
        cut = {"before": 0, "head": dice.randrange(len(head)), "body": len(whole) - 1}
        sock.sendall(whole[: cut.get(end, len(whole))])
        if end == "none":
            return True
        if dice.random() < 0.5:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False


ENDS: Final = ("before", "head", "body", "behind", "announced", "busy", "busy")


def body_for(dice: random.Random, method: str, target: str) -> bytes:
    """Return the body of an answer."""
    return b"" if method == "HEAD" else tagged(target, dice.choice(SIZES))


def tagged(target: str, size: int) -> bytes:
    """Return the body of the answer to *target*."""
    return f"{target} ".encode() + bytes(size) + target.encode()


@contextmanager
def running(server: Server) -> Iterator[None]:
    """Run *server* on threads."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                self.request.settimeout(2 * PATIENCE)
                server.serve(self.request)

    class Listener(socketserver.ThreadingTCPServer):
        daemon_threads = True
        request_queue_size = 128

    with Listener(("127.0.0.1", 0), Handler) as listener:
        server.port = listener.server_address[1]
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield
        finally:
            listener.shutdown()
            thread.join()


class Round:
    """Some requests, and what became of them.

    Args:
        number: of the round, which is a part of the targets.
        dice: choose the methods.

    Attributes:
        requests: what is sent.
        outcomes: how many were answered, and given up.

    """

    def __init__(self, number: int, dice: random.Random) -> None:
        self.outcomes: Counter[str] = Counter()
        self._next = 0
        self.requests = []
        for index in range(ROUND):
            method = dice.choice(["GET"] * 12 + ["HEAD", "PUT", "PUT", "POST"])
            body = bytes(BODY) if method in {"PUT", "POST"} else None
            if method == "PUT" and dice.random() < 0.5:
                body = memoryview(bytes(BODY))  # type: ignore[assignment]
            self.requests.append(Request(method, f"/{number}/{index}", body=body))

    def take(self, request: Request, tag: str | None, body: bytes | None) -> None:
        """Check the next answer: to *request*, with the field *tag*, and *body*."""
        target = request.target
        check(request is self.requests[self._next], f"{target} out of turn")
        self._next += 1
        if tag is None:  # 503
            self.outcomes["refused"] += 1
            check(request.method == "POST", f"{target} was refused, and not sent again")
            return
        check(tag == target, f"the answer to {tag} for {target}")
        if body is not None:  # else it was skipped
            good = not body if request.method == "HEAD" else is_tagged(body, target)
            check(good, f"a wrong body of {len(body)} bytes for {target}")
        self.outcomes["answered"] += 1

    def give_up(self, exc: NotAnswered) -> None:
        """Check that the next request may fail."""
        request = self.requests[self._next]
        check(exc.request is request, f"the error of {exc.request!r} for {request!r}")
        self.note_loss(exc)

    def note_loss(self, exc: DugongError) -> None:
        """Check that the next request may have failed by *exc*."""
        request = self.requests[self._next]
        self._next += 1
        check(request.method == "POST", f"{request!r} was lost: {exc}")
        check(exc.request_sent != "no", f"{request!r} could have been sent: {exc}")
        self.outcomes["given up"] += 1

    def end(self, server: Server) -> None:
        """Check that there is one outcome of each request."""
        check(self._next == ROUND, f"{ROUND - self._next} requests without an answer")
        for request in self.requests:
            if request.method == "POST":
                check(server.seen[request.target] <= 1, f"{request!r} was sent twice")
            del server.seen[request.target]


def is_tagged(body: bytes, target: str) -> bool:
    """Return True if *body* is whole, and that for *target*."""
    size = len(body) - 2 * len(target) - 1
    return size in SIZES and body == tagged(target, size)


def by_pipeline(conn: HTTPConnection, this: Round) -> None:
    """Whole answers of a `Pipeline`."""
    pipeline = Pipeline(conn, iter(this.requests), **OPTIONS)
    while True:
        try:
            answer = pipeline.next()
        except NotAnswered as exc:
            this.give_up(exc)
            continue
        if answer is None:
            return
        this.take(answer.request, answer.response.field("X-Tag"), answer.body)


def in_pieces(conn: HTTPConnection, this: Round) -> None:
    """Bodies that are read in pieces, and asked for again if they were cut."""
    pipeline = Pipeline(conn, iter(this.requests), **OPTIONS)
    dice = random.Random(this.requests[0].target)
    while True:
        stream = None
        try:
            stream = pipeline.next_stream()
            if stream is None:
                return
            tag = stream.response.field("X-Tag")
            if dice.random() < 0.2:  # the rest is skipped, and may be lost by then
                stream.read(10)
                this.take(stream.request, tag, None)
                continue
            body = b""
            while piece := stream.read(dice.choice([100, 10_000, 100_000])):
                body += piece
        except NotAnswered as exc:
            request = exc.request
            if stream is not None and request.method != "POST" and stream.request is request:
                stream.repeat()
            elif request.method == "POST":
                this.give_up(exc)
            continue  # else it is the rest of one that was skipped
        this.take(stream.request, tag, body)


def co_write(pipeline: SharedPipeline, this: Round) -> Co[None]:
    """Submit all requests."""
    try:
        for request in this.requests:
            yield from pipeline.co_submit(request)
    finally:
        pipeline.finish()


def co_read(pipeline: SharedPipeline, this: Round) -> Co[None]:
    """Take all answers."""
    while True:
        try:
            answer = yield from pipeline.co_next()
        except NotAnswered as exc:
            this.give_up(exc)
            continue
        if answer is None:
            return
        this.take(answer.request, answer.response.field("X-Tag"), answer.body)


def two_threads(conn: HTTPConnection, this: Round) -> None:
    """A writer thread, and this one reads."""
    with SharedPipeline(conn, most=200, **OPTIONS) as pipeline:
        writer = threading.Thread(target=lambda: run(co_write(pipeline, this)))
        writer.start()
        try:
            run(co_read(pipeline, this), PATIENCE)
        finally:
            pipeline.close()
            writer.join(PATIENCE)
        check(not writer.is_alive(), "the writer hangs")


def two_operations(conn: HTTPConnection, this: Round) -> None:
    """Two operations in one thread."""
    with SharedPipeline(conn, most=50, max_bytes=100_000, **OPTIONS) as pipeline:
        run(both(co_write(pipeline, this), co_read(pipeline, this)), PATIENCE)


def tasks(conn: HTTPConnection, this: Round) -> None:
    """Tasks of asyncio, each of which awaits its own answer."""

    async def main() -> None:
        with SharedPipeline(conn, most=100, **OPTIONS) as pipeline:

            async def ask(request: Request) -> Any:
                one = await aio.run(pipeline.co_submit(request))
                try:
                    return await one
                except NotAnswered as exc:
                    return exc

            pending = [asyncio.ensure_future(ask(request)) for request in this.requests]
            for outcome in await asyncio.wait_for(asyncio.gather(*pending), PATIENCE):
                if isinstance(outcome, NotAnswered):
                    this.give_up(outcome)
                else:
                    response = outcome.response
                    this.take(outcome.request, response.field("X-Tag"), outcome.body)

    asyncio.run(main())


def by_map(conn: HTTPConnection, this: Round, version: str) -> None:
    """`Client.map`, on connections of its own to the server of *conn*."""
    base = f"http://127.0.0.1:{conn.port}"
    retry = Retry(60, backoff=0, budget=None)
    with Client(retry=retry, versions=(version,), timeout=PATIENCE, trust_env=False) as client:
        given = (
            client.build_request(each.method, base + each.target, content=each.body)
            for each in this.requests
        )
        for item in client.map(given, errors="return"):
            if isinstance(item.error, DugongError):
                check(item.error.request is item.request, f"{item.error!r} for {item.request!r}")
                this.note_loss(item.error)
            else:
                check(item.error is None, f"{item.error!r}")
                assert item.response is not None
                tag = item.response.headers.get("x-tag")
                this.take(this.requests[item.index], tag, item.response.content)


WAYS: Final[dict[str, Callable[[HTTPConnection, Round], None]]] = {
    "Pipeline": by_pipeline,
    "in pieces": in_pieces,
    "two threads": two_threads,
    "two operations": two_operations,
    "tasks": tasks,
    "map": partial(by_map, version="http/1.1"),
    **({"map over HTTP/2": partial(by_map, version="h2")} if find_spec("h2") else {}),
}


def attempt(
    server: Server, limit: Limit, seed: int, names: Sequence[str] = ()
) -> tuple[dict[str, Counter[str]], int]:
    """Try the ways of these *names*, or all, in turn.

    Returns:
        The outcomes of each, and how many violations there were.

    """
    ways = {name: way for name, way in WAYS.items() if not names or name in names}
    outcomes: dict[str, Counter[str]] = {way: Counter() for way in ways}
    number = violations = 0
    dice = random.Random(seed)
    while not limit.reached(number * ROUND):
        name, way = list(ways.items())[number % len(ways)]
        this = Round(number, dice)
        number += 1
        try:
            with HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE) as conn:
                way(conn, this)
            this.end(server)
        except Exception as exc:
            violations += 1
            print(f"{name}, round {number}: {exc!r}")
            if not isinstance(exc, Violation):
                traceback.print_exc(file=sys.stdout)
        outcomes[name] += this.outcomes
    return outcomes, violations


def main(argv: list[str] | None = None) -> int:
    """Run what the command line says; exit status 1 if anything was wrong."""
    own = parser(__doc__)
    own.add_argument("--way", action="append", choices=WAYS, help="only this one")
    options = own.parse_args(argv)
    server = Server(options.seed)
    with running(server):
        outcomes, violations = attempt(server, Limit.of(options), options.seed, options.way or ())
    for way, counts in outcomes.items():
        print(f"{way}: " + ", ".join(f"{count} {what}" for what, count in sorted(counts.items())))
    total = sum(sum(counts.values()) for counts in outcomes.values())
    return Summary(total, "requests by pipelines", options.seed, violations).tell()


if __name__ == "__main__":
    sys.exit(main())
