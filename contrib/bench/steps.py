"""What a small GET costs besides its system calls, step by step: where to look for more speed.

The server is a stream in memory that says the same each time, so that only the library is measured.
The steps that are indented are parts of the one above them; the rest of that are roles, states and
bookkeeping.

Two more are what a `Pool` adds to a request: taking a connection and giving it back, with
connections to one origin and to a thousand. The goal is 3 microseconds, whatever their number. The
last two are 100 KiB of JSON that were compressed by gzip: zlib alone, and in a `Response`, beyond
what one costs that is not compressed. The goal is 15 percent more.

Run: ``python3 -m contrib.bench.steps``. Prints the best of many rounds, in microseconds.
"""

from __future__ import annotations

import gzip
import json
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from dugong_like import (
    POLLIN,
    BaseStream,
    Co,
    Connector,
    Exchange,
    HTTPConnection,
    Limits,
    Origin,
    PollNeeded,
    Pool,
    Response,
    Stream,
    Wake,
)
from dugong_like.http.h1.framing import frame
from dugong_like.http.h1.head_cache import RecentHeads
from dugong_like.http.h1.request_head import RequestHeads
from dugong_like.http.h1.response_head import find_head
from dugong_like.http.header_validation import NO_FIELDS

FIELDS: Final = (
    b"Server: nginx/1.22.1",
    b"Date: Sat, 21 Nov 2026 03:06:53 GMT",
    b"Content-Type: application/octet-stream",
    b"Content-Length: 1024",
    b"Last-Modified: Sat, 21 Nov 2026 02:06:53 GMT",
    b"Connection: keep-alive",
    b'ETag: "5f5e-400"',
    b"Accept-Ranges: bytes",
)
HEAD: Final = b"\r\n".join([b"HTTP/1.1 200 OK", *FIELDS, b"", b""])
BODY: Final = bytes(1024)
ROUNDS: Final = 60
TIMES: Final = 2000  # in each round
NEW: Final = "if it is a new head"
ORIGINS: Final = (1, 1000)  # of the connections in a pool


class Memory(BaseStream):
    """A stream on which the same response is there as soon as a request has been sent.

    `dugong_like.ScriptedStream` could give the same, but keeps all that is sent, which would be
    measured as well.
    """

    def __init__(self) -> None:
        self._wake = Wake()
        self._wake.set()
        self.fd = self._wake.fd
        self._requests = 0  # that have not been answered

    def recv_into(self, buffer: memoryview) -> int | None:
        """Give a whole response."""
        if not self._requests:
            return None
        self._requests -= 1
        size = len(HEAD) + len(BODY)
        buffer[:size] = HEAD + BODY
        return size

    def send(self, parts: Sequence[object]) -> int:
        """Take a head."""
        self._requests += 1
        return len(parts[0])  # type: ignore[arg-type]  # there are no files

    def wait_to_recv(self, timeout: float | None) -> bool:
        """Return at once."""
        return True

    def is_idle(self) -> bool:
        """Return True."""
        return True

    def wanted_by_recv(self, deadline: float | None) -> PollNeeded:
        """Return a wait that is over."""
        return PollNeeded(self.fd, POLLIN)

    def wanted_by_send(self, deadline: float | None, *, watch: bool = False) -> PollNeeded:
        """Return a wait that is over."""
        return PollNeeded(self.fd, POLLIN)

    def close(self) -> None:
        """Give the descriptor back."""
        self._wake.close()


class InMemory:
    """A `dugong_like.Transport` that makes such streams."""

    def co_connect_tcp(self, host: str, port: int) -> Co[Stream]:
        """Return a stream."""
        yield from ()
        return Memory()

    def co_connect_unix(self, path: bytes) -> Co[Stream]:
        """Return a stream."""
        return self.co_connect_tcp("", 0)


def operations(rounds: int, times: int) -> dict[str, float]:
    """Return the seconds that each of the three operations of a small GET takes."""
    clock = time.perf_counter
    best = dict.fromkeys(("send_request", "read_response", "readall"), 1.0)
    with HTTPConnection("h", transport=InMemory()) as conn:
        for _ in range(rounds):
            sending = reading = taking = 0.0
            for _ in range(times):
                start = clock()
                conn.send_request("GET", "/small/01")
                sent = clock()
                conn.read_response()
                read = clock()
                conn.readall()
                sending, reading = sending + sent - start, reading + read - sent
                taking += clock() - read
            spent = dict(zip(best, (sending, reading, taking), strict=True))
            best = {name: min(best[name], spent[name] / times) for name in best}
    return best


def parts(rounds: int, times: int) -> Iterator[tuple[str, str, float]]:
    """Yield parts of them: which operation it is, what is done, and the seconds it takes."""
    buffer = bytearray(HEAD + BODY)
    end = len(buffer)
    head = find_head(buffer, 0, end)
    assert head is not None
    heads, recent = RequestHeads("h"), RecentHeads()

    def frame_anew() -> None:
        head.framing = None
        frame("GET", head)

    for operation, what, call in (
        ("send_request", "the object of the exchange", lambda: Exchange("GET", "/small/01")),
        (
            "send_request",
            "building the head",
            lambda: heads.build("GET", "/small/01", NO_FIELDS, ""),
        ),
        ("read_response", "knowing the head again", lambda: recent.find(buffer, 0, end)),
        (NEW, "checking it", lambda: find_head(buffer, 0, end)),
        (NEW, "deciding on the framing", frame_anew),
    ):
        yield operation, what, _best(call, rounds, times) - _best(_nothing, rounds, times)


def pooled(origins: int, rounds: int, times: int) -> float:
    """Return the seconds for taking a connection of a pool and giving it back.

    Args:
        origins: how many of them there are connections to.
        rounds: see `main`.
        times: see `main`.

    """
    limits = Limits(max_connections=origins, max_keepalive=origins)
    with Pool(Connector(transport=InMemory()), limits) as pool:
        places = [Origin("http", f"host{number}.test") for number in range(origins)]
        for place in places:
            with pool.acquire(place) as lease:
                lease.connection.exchange("GET", "/small/01")
        place = places[origins // 2]

        def use() -> None:
            lease = pool.try_acquire(place)
            assert lease is not None
            assert lease.reused
            lease.release()

        return _best(use, rounds, times) - _best(_nothing, rounds, times)


def decompressed(rounds: int, times: int) -> tuple[float, float]:
    """Return the seconds that 100 KiB of JSON take by zlib alone, and in a `Response`."""
    rows = [
        {"id": number, "name": f"item {number}", "price": number * 1.5} for number in range(2100)
    ]
    data = json.dumps(rows).encode()
    wire = gzip.compress(data)

    def response(*fields: tuple[str, str]) -> bytes:
        return Response(200, fields, wire).content

    assert response(("Content-Encoding", "gzip")) == zlib.decompress(wire, 31) == data
    best = [1.0] * 3
    calls: list[Callable[[], object]] = [
        lambda: zlib.decompress(wire, 31),
        lambda: response(("Content-Encoding", "gzip")),
        lambda: response(("X", "gzip")),
    ]
    for _ in range(rounds):  # in turns, as the load of the machine changes
        best = [min(old, _best(call, 1, times)) for old, call in zip(best, calls, strict=True)]
    return best[0], best[1] - best[2]


def _nothing() -> None:
    pass


def _best(call: Callable[[], object], rounds: int, times: int) -> float:
    best = 1.0
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(times):
            call()
        best = min(best, (time.perf_counter() - start) / times)
    return best


def main(rounds: int = ROUNDS, times: int = TIMES) -> None:
    """Measure, and print a table."""
    measured = operations(rounds, times)
    smaller = list(parts(rounds, times))
    print(f"{'step':<40}us")
    together = sum(measured.values())
    new = sum(seconds for name, _, seconds in smaller if name == NEW)
    for name, seconds in [*measured.items(), ("together", together), (NEW, new)]:
        print(f"{name:<38}{seconds * 1e6:5.2f}")
        for operation, what, part in smaller:
            if operation == name:
                print(f"    {what:<34}{part * 1e6:5.2f}")
    for origins in ORIGINS:
        seconds = pooled(origins, rounds, times)
        print(f"{f'pool of {origins:,} connections':<38}{seconds * 1e6:5.2f}")
    names = ("decompressing 100 KiB by zlib", "the same in a Response")
    for name, seconds in zip(names, decompressed(rounds, max(times // 40, 1)), strict=True):
        print(f"{name:<36}{seconds * 1e6:7.1f}")


if __name__ == "__main__":
    main()
