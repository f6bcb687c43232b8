"""200 connections on an epoll loop written by hand: all it needs is PollNeeded.

This is what a program does that has a loop of its own already. Each operation is a
generator; what it yields says which descriptor it waits for, and for what.

Run: ``python3 contrib/examples/epoll_loop.py URL [--connections 200] [--requests 10]``
"""

from __future__ import annotations

import argparse
import select
import sys
import time
from collections.abc import Generator

from dugong_like import URL, Co, DugongError, HTTPConnection, PollNeeded


def co_fetch(conn: HTTPConnection, path: str, times: int) -> Co[int]:
    """GET *path* so many *times* over one connection; return how many bytes that gave."""
    total = 0
    with conn:
        for _ in range(times):
            yield from conn.co_send_request("GET", path)
            response = yield from conn.co_read_response()
            while piece := (yield from conn.co_read(65536)):
                total += len(piece)
            if response.status != 200:
                raise DugongError(f"{path}: {response.status} {response.reason}")
    return total


class EpollLoop:
    """Runs generators that yield `PollNeeded`."""

    def __init__(self) -> None:
        self.epoll = select.epoll()
        self.waiting: dict[int, Generator[PollNeeded, None, int]] = {}
        self.deadlines: dict[int, float] = {}
        self.results: list[int | Exception] = []

    def resume(self, op: Generator[PollNeeded, None, int]) -> None:
        """Let *op* go on until it waits again, or has ended."""
        try:
            need = next(op)
        except StopIteration as end:
            self.results.append(end.value)
            return
        except DugongError as exc:
            self.results.append(exc)
            return
        fd, mask = need
        try:  # once: whatever becomes ready is reported, and then not again
            self.epoll.modify(fd, mask | select.EPOLLONESHOT)
        except FileNotFoundError:  # a new descriptor
            self.epoll.register(fd, mask | select.EPOLLONESHOT)
        self.waiting[fd] = op
        if need.deadline is not None:
            self.deadlines[fd] = need.deadline

    def run(self) -> None:
        """Run until nobody waits any more."""
        while self.waiting:
            timeout = -1.0
            if self.deadlines:
                timeout = max(min(self.deadlines.values()) - time.monotonic(), 0)
            ready = [fd for fd, _ in self.epoll.poll(timeout)]
            now = time.monotonic()
            ready += [fd for fd, at in self.deadlines.items() if at <= now and fd not in ready]
            for fd in ready:
                self.deadlines.pop(fd, None)
                self.resume(self.waiting.pop(fd))
        self.epoll.close()


def main(argv: list[str] | None = None) -> int:
    """Fetch over many connections at once; exit status 1 if one of them failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url", type=URL)
    parser.add_argument("--connections", type=int, default=200)
    parser.add_argument("--requests", type=int, default=10, help="over each connection")
    options = parser.parse_args(argv)
    url = options.url
    loop = EpollLoop()
    start = time.perf_counter()
    for _ in range(options.connections):
        conn = HTTPConnection.to(url, timeout=30)
        loop.resume(co_fetch(conn, url.target, options.requests))
    loop.run()
    seconds = time.perf_counter() - start
    failures = [result for result in loop.results if isinstance(result, Exception)]
    for failure in failures[:5]:
        print(f"epoll_loop: {failure}", file=sys.stderr)
    total = sum(result for result in loop.results if isinstance(result, int))
    done = (len(loop.results) - len(failures)) * options.requests
    print(f"{done} requests, {total} bytes, {done / seconds:.0f} requests/s, "
          f"{len(failures)} failures")  # fmt: skip
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
