"""Send very many requests by `Client.map`; memory must not grow with their number.

The iterable of requests is lazy, as one of ten million has to be. The server answers as many
requests as it reads, and ends a connection now and then. Each result has to be there once, in
order, and the resident set at the end has to be what it was after the first requests.

Run: ``python3 -m contrib.torture.bulk [--seconds N] [--count N] [--seed 1]``, where N counts
requests (``--count 10000000`` takes half an hour). Exit status 1 if anything was wrong.
"""

from __future__ import annotations

import gc
import random
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from dugong_like import Client, Retry

from .faulty.stage import Violation, check
from .program import Limit, Summary, parser

FIRST: Final = 5_000  # requests after which all is there that is needed
LOOK: Final = 10_000  # requests between two looks at the memory
GROWTH: Final = 8 << 20  # bytes that may come and go
ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LAST: Final = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"


@contextmanager
def running(seed: int) -> Iterator[int]:
    """Run the server on threads; yield its port."""
    dice = random.Random(seed)

    def serve(sock: socket.socket, most: int) -> None:
        with sock, suppress(OSError):
            rest = b""
            while data := sock.recv(65536):
                *heads, rest = (rest + data).split(b"\r\n\r\n")
                if len(heads) >= most:
                    sock.sendall(ANSWER * (most - 1) + LAST)
                    return
                most -= len(heads)
                sock.sendall(ANSWER * len(heads))

    def accept() -> None:
        with suppress(OSError):
            while True:
                sock, _ = listener.accept()
                most = dice.choice([100, 1000, 50_000])
                threading.Thread(target=serve, args=(sock, most), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def resident() -> int:
    """Return the bytes of memory that this process has now; 0 where that cannot be found out."""
    gc.collect()
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
    except OSError:
        return 0


def attempt(port: int, limit: Limit) -> tuple[int, int]:
    """Send requests until the limit is reached; return how many, and by how many bytes it grew."""
    count = first = most = 0

    def urls() -> Iterator[str]:
        number = 0
        while not limit.reached(number):
            yield f"http://127.0.0.1:{port}/{number}"
            number += 1

    with Client(retry=Retry(5, budget=None), trust_env=False) as client:
        for item in client.map(urls()):
            check(item.index == count, f"{item.index} in place of {count}")
            check(item.response is not None and item.response.content == b"ok", f"{item}")
            count += 1
            if count == FIRST:
                first = resident()
            elif count % LOOK == 0:
                most = max(most, resident() - first)
    if count > FIRST:
        most = max(most, resident() - first)
    check(most <= GROWTH, f"it grew by {most} bytes")
    return count, most


def main(argv: list[str] | None = None) -> int:
    """Run what the command line says; exit status 1 if anything was wrong."""
    options = parser(__doc__).parse_args(argv)
    count = violations = growth = 0
    with running(options.seed) as port:
        try:
            count, growth = attempt(port, Limit.of(options))
        except Violation as exc:
            violations = 1
            print(exc)
    print(f"after the first {FIRST} requests it grew by {growth} bytes at most")
    return Summary(count, "requests by a map", options.seed, violations).tell()


if __name__ == "__main__":
    sys.exit(main())
