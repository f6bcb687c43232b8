"""What does the echo of a message of 1 KiB by WebSocket cost, here and in the client of websockets?

Both use the same library for the frames, so the difference is what is around it: waiting, threads,
and the operations. Blocking, on asyncio, and on trio; with and without permessage-deflate; against
the server of websockets on another core.

Run: ``python3 -m contrib.bench.websocket [--rounds 7] [--count 1000] [--json FILE]``. Unit: CPU
time (user + system) of the client's process in microseconds for each echo, and wall time beside
it. The clients take turns, and the least of all rounds counts; differences below the spread are
noise. Needs ``websockets``, and for its rows trio.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

MESSAGE: Final = ("{'name': 'value', 'number': 12345, 'list': [1, 2, 3]}\n" * 20)[:1024]
WARM_UP: Final = 50  # echoes before the clock starts
MICRO: Final = 1e6
SERVER: Final = """
import asyncio
from websockets.asyncio.server import serve

async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)

async def main():
    async with serve(echo, "127.0.0.1", 0) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.get_running_loop().create_future()

asyncio.run(main())
"""
Clock = tuple[float, float]  # seconds of CPU time, and of wall time


@contextmanager
def serving(core: int | None = None) -> Iterator[int]:
    """Run the server, on *core* if that is given; give its port."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            if core is not None:
                os.sched_setaffinity(server.pid, {core})
            assert server.stdout is not None
            yield int(server.stdout.readline())
        finally:
            server.kill()


def now() -> Clock:
    """Return both times."""
    return time.process_time(), time.perf_counter()


def echo(websocket: Any, count: int) -> Clock:
    """Send and receive by blocking calls; return the times for all."""
    for _ in range(WARM_UP):
        websocket.send(MESSAGE)
        assert websocket.recv() == MESSAGE
    cpu, wall = now()
    for _ in range(count):
        websocket.send(MESSAGE)
        websocket.recv()
    return time.process_time() - cpu, time.perf_counter() - wall


async def echo_async(websocket: Any, count: int) -> Clock:
    """Do the same in a coroutine."""
    for _ in range(WARM_UP):
        await websocket.send(MESSAGE)
        assert await websocket.recv() == MESSAGE
    cpu, wall = now()
    for _ in range(count):
        await websocket.send(MESSAGE)
        await websocket.recv()
    return time.process_time() - cpu, time.perf_counter() - wall


def own(url: str, deflate: bool, count: int) -> Clock:
    """Measure this library, blocking."""
    from dugong_like import Client

    with Client() as client, client.websocket(url, deflate=deflate) as websocket:
        return echo(websocket, count)


def other(url: str, deflate: bool, count: int) -> Clock:
    """Measure the client of websockets for threads."""
    from websockets.sync.client import connect

    with connect(url, compression="deflate" if deflate else None) as websocket:
        return echo(websocket, count)


async def own_async(url: str, deflate: bool, count: int) -> Clock:
    """Measure this library, in a coroutine."""
    from dugong_like import AsyncClient

    async with AsyncClient() as client, client.websocket(url, deflate=deflate) as websocket:
        return await echo_async(websocket, count)


async def other_asyncio(url: str, deflate: bool, count: int) -> Clock:
    """Measure the client of websockets for asyncio."""
    from websockets.asyncio.client import connect

    async with connect(url, compression="deflate" if deflate else None) as websocket:
        return await echo_async(websocket, count)


async def other_trio(url: str, deflate: bool, count: int) -> Clock:
    """Measure the client of websockets for trio."""
    from websockets.trio.client import connect

    async with connect(url, compression="deflate" if deflate else None) as websocket:
        return await echo_async(websocket, count)


def on_asyncio(measure: Callable[..., Awaitable[Clock]]) -> Callable[..., Clock]:
    """Return a function that runs *measure* on asyncio."""
    return lambda *arguments: asyncio.run(measure(*arguments))  # type: ignore[arg-type]


def on_trio(measure: Callable[..., Awaitable[Clock]]) -> Callable[..., Clock]:
    """Return a function that runs *measure* on trio."""

    def run(*arguments: Any) -> Clock:
        import trio

        return trio.run(measure, *arguments)

    return run


WAYS: Final[dict[str, tuple[Callable[..., Clock], Callable[..., Clock]]]] = {
    "blocking": (own, other),
    "asyncio": (on_asyncio(own_async), on_asyncio(other_asyncio)),
    "trio": (on_trio(own_async), on_trio(other_trio)),
}


def ways() -> list[str]:
    """Return the names of the ways that are installed."""
    return [
        name
        for name in WAYS
        if name != "trio" or all(map(importlib.util.find_spec, ["trio", "websockets.trio"]))
    ]


def measured(rounds: int, count: int, port: int) -> dict[tuple[str, bool, str], list[Clock]]:
    """Return the times of each round for one echo, by way, compression and client."""
    url = f"ws://127.0.0.1:{port}/"
    results: dict[tuple[str, bool, str], list[Clock]] = {}
    for _ in range(rounds):
        for way in ways():
            for deflate in (False, True):
                for client, measure in zip(("dugong_like", "websockets"), WAYS[way], strict=True):
                    cpu, wall = measure(url, deflate, count)
                    times = results.setdefault((way, deflate, client), [])
                    times.append((cpu / count, wall / count))
    return results


class Row(NamedTuple):
    """The figures of one client in one way.

    Attributes:
        work: the way, and whether messages are compressed.
        client: its name.
        cpu: microseconds of processor time for each echo, of the best round.
        spread: by how much the middle round took more, as a fraction.
        wall: microseconds for each echo.
        ratio: *cpu* as a multiple of that of websockets.

    """

    work: str
    client: str
    cpu: float
    spread: float
    wall: float
    ratio: float


def rows(results: dict[tuple[str, bool, str], list[Clock]]) -> list[Row]:
    """Return the figures of all clients in all ways."""
    found = []
    for (way, deflate, client), times in results.items():
        least = min(cpu for cpu, _ in times) * MICRO
        best_peer = min(cpu for cpu, _ in results[way, deflate, "websockets"]) * MICRO
        middle = sorted(cpu for cpu, _ in times)[len(times) // 2] * MICRO
        wall = min(wall for _, wall in times) * MICRO
        name = f"{way}{', deflate' if deflate else ''}"
        found.append(Row(name, client, least, (middle - least) / least, wall, least / best_peer))
    return found


def report(found: list[Row]) -> Iterator[str]:
    """Return the lines of the table."""
    yield f"{'echo of 1 KiB':<24}{'client':<14}{'CPU µs':>8}{'spread':>8}{'wall µs':>9}{'ratio':>7}"
    for row in found:
        yield (
            f"{row.work:<24}{row.client:<14}{row.cpu:>8.1f}{row.spread:>8.0%}"
            f"{row.wall:>9.1f}{row.ratio:>7.2f}"
        )


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--json", metavar="FILE", help="write all figures")
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    with serving(cores[-1]) as port:
        os.sched_setaffinity(0, {cores[0]})
        found = rows(measured(options.rounds, options.count, port))
    for line in report(found):
        print(line)
    if options.json:
        Path(options.json).write_text(json.dumps([row._asdict() for row in found], indent=1))


if __name__ == "__main__":
    main()
