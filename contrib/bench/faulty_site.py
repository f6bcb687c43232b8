"""A server of small files that fails as servers do, and counts what it is asked for.

Run: ``python -m contrib.bench.faulty_site [--close N] [--refuse SHARE] [--cut SHARE] [--delay
SECONDS] [--rate BYTES] [--seed 1]``. Prints its port, and serves until it is terminated. ``/N`` is
file N, of 4 KiB, and ``/N/SIZE`` one of SIZE bytes, with ranges; PUT throws away what it gets.
``/counts`` is JSON: how many requests there were, refused ones and cut ones among them,
connections, and how many of them were early: for a file that was refused, before the time that its
Retry-After has told.

With --delay and --rate it is the far end of a slow path: each response begins so much later, and
each connection gets no more bytes a second. (It is no network: nothing is lost, or starts slowly.)
"""

from __future__ import annotations

import argparse
import json
import random
import re
import socket
import threading
import time
from collections import Counter
from typing import Final

SIZE: Final = 4096  # bytes of a file
PAUSE: Final = 1  # seconds of Retry-After
SLICE: Final = 0.01  # seconds: as much as a rate allows in them is sent together
RANGE: Final = re.compile(rb"\r\nrange: *bytes=(\d+)-(\d*)", re.IGNORECASE)
LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


def body_of(number: int, size: int = SIZE) -> bytes:
    """Return the bytes of a file, other ones for each number."""
    block = random.Random(number).randbytes(SIZE)
    return (block * -(-size // SIZE))[:size]


class Faults:
    """What goes wrong, and the counts.

    Args:
        options: of the command line.

    """

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.counts: Counter[str] = Counter()
        self._random = random.Random(options.seed)
        self._lock = threading.Lock()
        self._due: dict[str, float] = {}

    def fault(self, path: str) -> str:
        """Return what becomes of a request for *path*: "refused", "cut" or nothing."""
        with self._lock:
            now, chance = time.monotonic(), self._random.random()
            self.counts["requests"] += 1
            self.counts["early"] += now < self._due.pop(path, 0.0)
            kind = ""
            if chance < self.options.refuse:
                kind = "refused"
                self._due[path] = now + PAUSE
            elif chance < self.options.refuse + self.options.cut:
                kind = "cut"
            self.counts[kind or "answered"] += 1
            return kind

    def count(self, name: str) -> None:
        """Count something else."""
        with self._lock:
            self.counts[name] += 1


class Connection:
    """One connection.

    Args:
        sock: it.
        faults: of all.

    """

    def __init__(self, sock: socket.socket, faults: Faults) -> None:
        self._sock = sock
        self._faults = faults
        self._data = b""

    def serve(self) -> None:
        """Answer one request after the other, until it is closed, or has answered enough."""
        options, count = self._faults.options, 0
        self._faults.count("connections")
        with self._sock:
            while (head := self._head()) is not None:
                count += 1
                is_last = options.close and count >= options.close
                if not self._answer(head, is_last) or is_last:
                    break

    def _head(self) -> bytes | None:
        while b"\r\n\r\n" not in self._data:
            data = self._sock.recv(65536)
            if not data:
                return None
            self._data += data
        head, _, self._data = self._data.partition(b"\r\n\r\n")
        if found := LENGTH.search(head):
            left = int(found[1]) - len(self._data)
            self._data = self._data[int(found[1]) :]
            while left > 0:
                left -= len(self._sock.recv(min(left, 65536)))
        return head

    def _answer(self, head: bytes, is_last: bool) -> bool:
        """Answer a request; return False if the connection is at its end."""
        path = head.split(b" ", 2)[1].decode()
        if path == "/counts":
            return self._send("200 OK", json.dumps(self._faults.counts).encode())
        kind = self._faults.fault(path)
        close = "Connection: close\r\n" if is_last else ""
        if kind == "refused":
            more = f"Retry-After: {PAUSE}\r\n{close}"
            return self._send("503 Service Unavailable", b"later\n", more)
        body, status = b"", "201 Created"
        more = f'ETag: "{path}"\r\n{close}'
        if not head.startswith(b"PUT "):
            number, _, size = path[1:].partition("/")
            body, status = body_of(int(number), int(size or SIZE)), "200 OK"
            if found := RANGE.search(head):
                begin, end = int(found[1]), min(int(found[2] or len(body)) + 1, len(body))
                more += f"Content-Range: bytes {begin}-{end - 1}/{len(body)}\r\n"
                body, status = body[begin:end], "206 Partial Content"
        cut = len(body) // 2 if kind == "cut" else None
        return self._send(status, body, more, cut=cut, is_head=head.startswith(b"HEAD "))

    def _send(
        self,
        status: str,
        body: bytes,
        more: str = "",
        *,
        cut: int | None = None,
        is_head: bool = False,
    ) -> bool:
        options = self._faults.options
        time.sleep(options.delay)
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{more}\r\n".encode()
        if is_head:
            body, cut = b"", None
        data = memoryview(head + body)[: None if cut is None else len(head) + cut]
        piece = max(int(options.rate * SLICE), 1) if options.rate else len(data)
        begun = time.monotonic()
        for at in range(0, len(data), piece):
            if options.rate:
                time.sleep(max(begun + at / options.rate - time.monotonic(), 0))
            self._sock.sendall(data[at : at + piece])
        return cut is None


def serve(sock: socket.socket, faults: Faults) -> None:
    """Serve a connection, whatever its client does."""
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        Connection(sock, faults).serve()
    except OSError:
        pass  # it is gone


def listen(faults: Faults, listener: socket.socket) -> None:
    """Give each connection a thread."""
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=serve, args=(sock, faults), daemon=True).start()


def main() -> None:
    """Listen."""
    parser = argparse.ArgumentParser("python3 -m contrib.bench.faulty_site")
    parser.add_argument("--close", type=int, default=0, metavar="N", help="after so many requests")
    parser.add_argument("--refuse", type=float, default=0.0, metavar="SHARE", help="by 503")
    parser.add_argument("--cut", type=float, default=0.0, metavar="SHARE", help="half of a body")
    parser.add_argument("--delay", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--rate", type=int, default=0, metavar="BYTES", help="a second")
    parser.add_argument("--seed", type=int, default=1)
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    print(listener.getsockname()[1], flush=True)
    listen(Faults(parser.parse_args()), listener)


if __name__ == "__main__":
    main()
