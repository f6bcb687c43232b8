"""Send very many requests by `Client.map`; memory must not grow with their number.

The iterable of requests is lazy, as one of ten million has to be. The server, a process of its own,
answers as many requests as it reads, and ends a connection now and then. One request in a thousand
is none that can be sent, so its result is an error. Each result has to be there once, and in order
unless --unordered says something else; and the resident set at the end has to be what it was after
the first requests. With --dispatcher there is neither a server nor a socket: a dispatcher answers,
so that there are more requests in a second, and all of them pass the layers.

Run: ``python3 -m contrib.torture.bulk [--seconds N] [--count N] [--seed 1] [--unordered]
[--dispatcher] [--verbose]``, where N counts requests (``--count 10000000`` takes half an hour).
With --verbose the resident set is printed after each 100,000. Exit status 1 if anything was wrong.
"""

from __future__ import annotations

import argparse
import gc
import random
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Final

from dugong_like import Client, Co, InvalidRequest, Response, Retry
from dugong_like.client.request import ClientRequest

from .faulty.stage import Violation, check
from .program import Limit, Summary, parser

CHECKOUT: Final = Path(__file__).resolve().parents[2]
FIRST: Final = 5_000  # requests after which all is there that is needed
LOOK: Final = 10_000  # requests between two looks at the memory
SHOWN: Final = 100_000  # requests between two lines
WRONG: Final = 1_000  # one request in so many cannot be sent
GROWTH: Final = 8 << 20  # bytes that may come and go
MIB: Final = 1 << 20
ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LAST: Final = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"


def serve(seed: int) -> None:
    """Print a port, and answer what comes there, until the standard input ends."""
    dice = random.Random(seed)

    def answer(sock: socket.socket, most: int) -> None:
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
        while True:
            sock, _ = listener.accept()
            most = dice.choice([100, 1000, 50_000])
            threading.Thread(target=answer, args=(sock, most), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        print(listener.getsockname()[1], flush=True)
        threading.Thread(target=accept, daemon=True).start()
        sys.stdin.read()


@contextmanager
def running(seed: int) -> Iterator[int]:
    """Run `serve` in a process of its own; yield its port."""
    program = f"from {__name__ if __name__ != '__main__' else __spec__.name} import serve"
    command = [sys.executable, "-c", f"{program}; serve({seed})"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()


class Answering:
    """A dispatcher that answers."""

    def co_dispatch(self, request: ClientRequest) -> Co[Response]:
        """See `Dispatcher`."""
        request.attempts += 1
        return Response(200, content=b"ok", request=request)
        yield

    def co_close(self) -> Co[None]:
        """See `Dispatcher`."""
        yield from ()


def resident() -> int:
    """Return the bytes of memory that this process has now; 0 where that cannot be found out."""
    gc.collect()
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
    except OSError:
        return 0


def urls(port: int, limit: Limit) -> Iterator[str]:
    """Yield what is asked for, until the limit is reached."""
    number = 0
    while not limit.reached(number):
        number += 1
        yield "no://url" if number % WRONG == 0 else f"http://127.0.0.1:{port}/{number}"


def attempt(
    port: int | None, limit: Limit, *, ordered: bool = True, verbose: bool = False
) -> tuple[int, int]:
    """Send requests until the limit is reached.

    Args:
        port: of the server; None for a dispatcher.
        limit: counts requests.
        ordered: as of `Client.map`.
        verbose: True to print the memory.

    Returns:
        How many requests there were, and by how many bytes it grew.

    """
    count = first = most = total = 0
    client = Client(
        retry=Retry(5, budget=None),
        **({"dispatcher": Answering()} if port is None else {"trust_env": False}),
    )
    with (
        client,
        client.map(urls(port or 80, limit), ordered=ordered, errors="return") as results,
    ):
        for item in results:
            check(not ordered or item.index == count, f"{item.index} in place of {count}")
            if item.index % WRONG == WRONG - 1:
                check(isinstance(item.error, InvalidRequest), f"{item}")
            else:
                check(item.response is not None and item.response.content == b"ok", f"{item}")
            count += 1
            total += item.index
            if count == FIRST:
                first = resident()
            elif count % LOOK == 0:
                now = resident()
                most = max(most, now - first)
                if verbose and count % SHOWN == 0:
                    print(f"{count:10} {now / MIB:6.1f} MiB {limit.passed:8.1f} s", flush=True)
    if count > FIRST:
        most = max(most, resident() - first)
    check(total == count * (count - 1) // 2, "a result is missing, or was there twice")
    check(most <= GROWTH, f"it grew by {most} bytes")
    return count, most


def arguments(argv: list[str] | None) -> argparse.Namespace:
    """Return the options of the command line."""
    own = parser(__doc__)
    own.add_argument("--unordered", action="store_true", help="results as they come")
    own.add_argument("--dispatcher", action="store_true", help="no server, and no sockets")
    own.add_argument("--verbose", action="store_true", help="print the memory now and then")
    return own.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run what the command line says; exit status 1 if anything was wrong."""
    options = arguments(argv)
    count = violations = growth = 0
    with nullcontext() if options.dispatcher else running(options.seed) as port:
        try:
            count, growth = attempt(
                port, Limit.of(options), ordered=not options.unordered, verbose=options.verbose
            )
        except Violation as exc:
            violations = 1
            print(exc)
    print(f"after the first {FIRST} requests it grew by {growth} bytes at most")
    return Summary(count, "requests by a map", options.seed, violations).tell()


if __name__ == "__main__":
    sys.exit(main())
