"""Ways to download many files with this library, one function for each.

Each takes an `Origin`, the files as numbers and paths, which end when its time is over, and a
function that is called with each body, in any order. It shows the code of a program of that kind.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from itertools import tee
from typing import Final

from ..client.client import Client
from ..connection.connection import HTTPConnection
from ..connection.pipeline import Pipeline
from ..errors import UnsupportedResponse
from ..http.request import Request
from ..http.url import Origin
from ..polling.combinators import both
from ..polling.contract import Co, run

Work = Iterator[tuple[int, str]]  # number and path of the next file; numbers count from 0
Got = Callable[[int, bytes], None]  # number of the path, body
Way = Callable[[Origin, Work, Got], None]
CONNECTIONS: Final = 8  # of the ways that use several
WINDOW: Final = 100  # requests that are sent ahead
TIMEOUT: Final = 60  # seconds without progress


def co_body(conn: HTTPConnection, path: str) -> Co[bytes]:
    """Read the next response, which is for *path*, and return its body."""
    response = yield from conn.co_read_response()
    body = yield from conn.co_readall()
    if response.status != 200:  # noqa: PLR2004 - OK
        raise UnsupportedResponse(f"{path}: {response.status} {response.reason}")
    return body


def co_get(conn: HTTPConnection, path: str) -> Co[bytes]:
    """GET *path*."""
    yield from conn.co_send_request("GET", path)
    return (yield from co_body(conn, path))


def blocking(origin: Origin, work: Work, got: Got) -> None:
    """One after the other, with blocking calls."""
    with HTTPConnection.to(origin, timeout=TIMEOUT) as conn:
        for number, path in work:
            got(number, run(co_get(conn, path)))


def client(origin: Origin, work: Work, got: Got) -> None:
    """One after the other, by a client: it has URLs, a pool, redirects, cookies and the rest."""
    with Client(timeout=TIMEOUT, raise_for_status=True) as client:
        for number, path in work:
            got(number, client.get(f"{origin}{path}").content)


def two_threads(origin: Origin, work: Work, got: Got) -> None:
    """One connection: a thread sends the requests, another one reads the responses."""
    sent: queue.Queue[tuple[int, str] | Exception | None] = queue.Queue(WINDOW)
    ended = threading.Event()

    def write() -> None:
        try:
            for item in work:
                if ended.is_set():
                    return
                conn.send_request("GET", item[1])
                sent.put(item)
            sent.put(None)
        except Exception as exc:  # noqa: BLE001 - raised by the reader
            sent.put(exc)

    with HTTPConnection.to(origin, timeout=TIMEOUT) as conn:
        conn.connect()
        writer = threading.Thread(target=write)
        writer.start()
        try:
            while (item := sent.get()) is not None:
                if isinstance(item, Exception):
                    raise item
                got(item[0], run(co_body(conn, item[1])))
        finally:
            ended.set()
            while writer.is_alive():
                try:
                    sent.get(timeout=0.05)  # the writer may be waiting for room
                except queue.Empty:
                    pass
            writer.join()


def two_generators(origin: Origin, work: Work, got: Got) -> None:
    """One connection, one thread: a generator sends, another one reads."""
    ahead, behind = tee(work)
    with HTTPConnection.to(origin, timeout=TIMEOUT) as conn:

        def co_write() -> Co[None]:
            for _, path in ahead:
                yield from conn.co_send_request("GET", path)

        def co_read() -> Co[None]:
            for number, path in behind:
                got(number, (yield from co_body(conn, path)))

        conn.connect()  # so that the first request is sent before the reader starts
        run(both(co_write(), co_read()))


def pipelined(origin: Origin, work: Work, got: Got) -> None:
    """One connection: a `Pipeline` sends ahead, and sends again what a lost connection leaves."""
    requests = (Request("GET", path) for _, path in work)
    with HTTPConnection.to(origin, timeout=TIMEOUT) as conn:
        for number, (request, response, body) in enumerate(Pipeline(conn, requests)):
            if response.status != 200:  # noqa: PLR2004 - OK
                raise UnsupportedResponse(f"{request.target}: {response.status} {response.reason}")
            got(number, body)


def mapped(origin: Origin, work: Work, got: Got) -> None:
    """Several connections, each pipelined, by `Client.map`."""
    with Client(timeout=TIMEOUT, raise_for_status=True) as client:
        _map(client, origin, work, got)


def over_http_2(origin: Origin, work: Work, got: Got) -> None:
    """One connection with many streams, by `Client.map`; http has no choice of the protocol."""
    with Client(timeout=TIMEOUT, raise_for_status=True, versions=("h2",)) as client:
        _map(client, origin, work, got)


def _map(client: Client, origin: Origin, work: Work, got: Got) -> None:
    for item in client.map(f"{origin}{path}" for _, path in work):
        assert item.response is not None  # an error has been raised
        got(item.index, item.response.content)


def co_worker(origin: Origin, work: Work, got: Got) -> Co[None]:
    """Get files over one connection until there are no more."""
    with HTTPConnection.to(origin, timeout=TIMEOUT) as conn:
        for number, path in work:
            got(number, (yield from co_get(conn, path)))


def on_asyncio(origin: Origin, work: Work, got: Got) -> None:
    """Several connections on asyncio."""
    import asyncio  # noqa: PLC0415 - for this way only

    from ..drivers import aio  # noqa: PLC0415

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(CONNECTIONS):
                group.create_task(aio.run(co_worker(origin, work, got)))

    asyncio.run(main())


def on_own_loop(origin: Origin, work: Work, got: Got) -> None:
    """Several connections on the library's own epoll loop."""
    from ..drivers.loop import Loop  # noqa: PLC0415 - for this way only

    with Loop() as loop:
        tasks = [loop.spawn(co_worker(origin, work, got)) for _ in range(CONNECTIONS)]
        loop.run_all()
        for task in tasks:
            task.result()


WAYS: Final[dict[str, Way]] = {
    "blocking, one by one": blocking,
    "Client, one by one": client,
    "writer thread + reader thread": two_threads,
    "two generators in one thread": two_generators,
    "asyncio, 8 connections": on_asyncio,
    "own epoll loop, 8 connections": on_own_loop,
    "Pipeline": pipelined,
    "Client.map": mapped,
}
HTTP_2: Final[dict[str, Way]] = {"Client.map, HTTP/2": over_http_2}
FAR: Final = ("Client, one by one", "asyncio, 8 connections", "Pipeline", "Client.map")
