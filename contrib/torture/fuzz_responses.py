"""Mutate responses, and see that every one is read alike however it is cut, or refused.

No socket is used: the bytes come from a script, once in one piece and once byte by byte.
Both must give the same responses, bodies and trailers and end with the same class of
error, and only the documented classes may come out.

Run: ``python3 -m contrib.torture.fuzz_responses [--seed 1] [--mutants 10000]``. Prints
the counts and each violation. Exit status 1 if there was one.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from collections.abc import Callable, Sequence

from dugong_like import (
    POLLIN,
    POLLOUT,
    BaseStream,
    Co,
    ConnectionClosed,
    HTTPConnection,
    InvalidResponse,
    PollNeeded,
    Stream,
    UnsupportedResponse,
)

SEEDS = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\n3;a=b\r\nabc\r\n0\r\nTr: x\r\n\r\n",
    b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil close",
    b"HTTP/1.1 204 No\r\nA: b\r\n c\r\n\r\nHTTP/1.1 404 Not\r\nContent-Length: 3\r\n\r\nabc",
    b"HTTP/1.0 200 OK\r\nConnection: keep-alive, x\r\nContent-Length: 2\r\n\r\nab"
    b"HTTP/1.1 200 \r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\nHTTP/1.1 205 Reset\r\n\r\n",
]
PIECES = [
    b"\r\n", b"\n", b"\r", b"\0", b":", b" ", b"\t", b"0", b"f" * 18, b"-1", b"+5", b"chunked",
    b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"close", b",", b";", b"\xff",
    b"HTTP/1.1 100 C\r\n\r\n", b"\x0b", b"\x85", b"9" * 30, b"HTTP/1.1 101 S\r\n\r\n",
]  # fmt: skip
DOCUMENTED = (ConnectionClosed, InvalidResponse, UnsupportedResponse)
WHOLE = 1 << 20  # bytes: more than any mutant has
MOST_WAITS = 100_000


class Script(BaseStream):
    """A stream that gives *data* in pieces of *size* bytes, would block after each, then ends."""

    fd = 0

    def __init__(self, data: bytes, size: int) -> None:
        self._data = data
        self._size = size
        self._blocks = False

    def recv(self, size: int) -> bytes | None:
        """Give the next piece."""
        self._blocks = not self._blocks
        if self._blocks:
            return None
        count = min(size, self._size)
        piece, self._data = self._data[:count], self._data[count:]
        return piece

    def recv_into(self, buffer: memoryview) -> int | None:
        """Give the next piece."""
        piece = self.recv(len(buffer))
        if piece is None:
            return None
        buffer[: len(piece)] = piece
        return len(piece)

    def send(self, parts: Sequence[bytes | memoryview]) -> int:
        """Take everything."""
        return sum(map(len, parts))

    def wanted_by_recv(self, deadline: float | None) -> PollNeeded:
        """Return something that nobody waits for."""
        return PollNeeded(self.fd, POLLIN, deadline)

    def wanted_by_send(self, deadline: float | None, *, watch: bool = False) -> PollNeeded:
        """Return something that nobody waits for."""
        return PollNeeded(self.fd, POLLOUT, deadline)

    def is_idle(self) -> bool:
        """Return True."""
        return True

    def wait_to_recv(self, timeout: float | None) -> bool:
        """Return True."""
        return True

    def is_quiet(self) -> bool:
        """Return False: whoever looks has to try."""
        return False

    def close(self) -> None:
        """Do nothing."""


class Scripts:
    """A `dugong_like.Transport`: each connection is a stream that *make* returns."""

    def __init__(self, make: Callable[[], Stream]) -> None:
        self._make = make

    def co_connect_tcp(self, host: str, port: int) -> Co[Stream]:
        """Return a stream, whatever it shall lead to."""
        yield from ()
        return self._make()

    def co_connect_unix(self, path: bytes) -> Co[Stream]:
        """Return a stream."""
        return self.co_connect_tcp("", 0)


def co_play(conn: HTTPConnection, methods: Sequence[str], seen: list[object]) -> Co[None]:
    """Send the requests, and note everything that can be seen of the responses."""
    for method in methods:
        yield from conn.co_send_request(method, "/")
    for _ in methods:
        response = yield from conn.co_read_response()
        seen += [response.status, response.reason, response.length, response.headers.items()]
        seen.append([early.status for early in response.informational])
        body = b""
        try:
            while piece := (yield from conn.co_read(1000)):
                body += piece
        finally:
            seen.append(body)
        seen.append(response.trailers.items())


def play(data: bytes, size: int, methods: Sequence[str]) -> tuple[list[object], str]:
    """Return what can be seen of *data*, and how it ended."""
    seen: list[object] = []
    conn = HTTPConnection("fuzz.test", transport=Scripts(lambda: Script(data, size)))
    operation = co_play(conn, methods, seen)
    try:
        for _ in range(MOST_WAITS):
            next(operation)
    except StopIteration:
        return seen, "complete"
    except DOCUMENTED as exc:
        return seen, type(exc).__name__
    except Exception as exc:
        return seen, f"VIOLATION {type(exc).__name__}: {exc}"
    return seen, "VIOLATION: it never ends"


def mutate(source: random.Random, data: bytes) -> bytes:
    """Change *data* in up to four places."""
    wire = bytearray(data)
    for _ in range(source.randint(0, 4)):
        at = source.randrange(len(wire) + 1)
        choice = source.random()
        if choice < 0.3:
            wire[at:at] = source.choice(PIECES)
        elif choice < 0.5:
            del wire[at : at + source.randint(1, 8)]
        elif choice < 0.7:
            wire[at : at + 1] = bytes([source.randrange(256)])
        elif choice < 0.85:
            del wire[at:]
        else:
            other = source.randrange(len(wire) + 1)
            wire[at:at] = wire[min(at, other) : max(at, other)]
    return bytes(wire)


def main(argv: list[str] | None = None) -> int:
    """Fuzz, and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mutants", type=int, default=10_000)
    options = parser.parse_args(argv)
    source = random.Random(options.seed)
    counts: Counter[str] = Counter()
    violations = 0
    for _ in range(options.mutants):
        data = mutate(source, b"".join(source.sample(SEEDS, source.choice((1, 1, 2)))))
        methods = [source.choice(("GET", "GET", "HEAD")) for _ in range(source.randint(1, 3))]
        whole, bytewise = play(data, WHOLE, methods), play(data, 1, methods)
        counts[whole[1].partition(":")[0]] += 1
        if whole != bytewise or "VIOLATION" in whole[1]:
            violations += 1
            print(f"VIOLATION: {methods} {data!r}\n  whole:    {whole}\n  bytewise: {bytewise}")
    endings = ", ".join(f"{count} {name}" for name, count in counts.most_common())
    print(f"{options.mutants} mutants: {endings}; {violations} violations")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
