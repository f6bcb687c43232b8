"""Mutate responses, and see that every one is read alike however it is cut, or refused.

No socket is used: the bytes come from a script, once in one piece and once byte by byte.
Both must give the same responses, bodies and trailers and end with the same class of
error, and only the documented classes may come out.

Run: ``python3 -m contrib.torture.fuzz_responses [--seconds N] [--count N] [--seed 1]``. Prints the
counts and each violation. Exit status 1 if there was one.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Sequence

from dugong_like import (
    Co,
    ConnectionClosed,
    HTTPConnection,
    InvalidResponse,
    ScriptedTransport,
    UnsupportedResponse,
)
from dugong_like.transport.scripted import Event

from .program import Limit, Summary, parser

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


def script(data: bytes, size: int) -> list[Event]:
    """Return the events of a `ScriptedStream`: *data* in pieces, and a wait before each."""
    events: list[Event] = []
    for start in range(0, len(data), size):
        events += [None, data[start : start + size]]
    return [*events, None]


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
    try:
        with HTTPConnection("fuzz.test", transport=ScriptedTransport(script(data, size))) as conn:
            operation = co_play(conn, methods, seen)
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
    options = parser(__doc__).parse_args(argv)
    limit, source = Limit.of(options), random.Random(options.seed)
    counts: Counter[str] = Counter()
    mutants = violations = 0
    while not limit.reached(mutants):
        mutants += 1
        data = mutate(source, b"".join(source.sample(SEEDS, source.choice((1, 1, 2)))))
        methods = [source.choice(("GET", "GET", "HEAD")) for _ in range(source.randint(1, 3))]
        whole, bytewise = play(data, WHOLE, methods), play(data, 1, methods)
        counts[whole[1].partition(":")[0]] += 1
        if whole != bytewise or "VIOLATION" in whole[1]:
            violations += 1
            print(f"VIOLATION: {methods} {data!r}\n  whole:    {whole}\n  bytewise: {bytewise}")
    print(", ".join(f"{count} {name}" for name, count in counts.most_common()))
    return Summary(mutants, "mutated responses", options.seed, violations).tell()


if __name__ == "__main__":
    sys.exit(main())
