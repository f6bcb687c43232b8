"""The floor: blocking socket code that does what the workload needs and nothing more.

No answer is looked at more closely than to find its body; whoever is faster than this
has avoided system calls, not Python.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, BinaryIO, Final

from .base import HOST, PIECE, BlockingClient, Call, Target, WrongBytesError, check

BUFFER: Final = 65536  # bytes: more than an answer to a small request
WINDOW: Final = 100  # requests sent in one go when pipelining
FIELD: Final = re.compile(rb"\r\nX-Field-21: ([^\r]*)")


def request(path: str, port: int, method: str = "GET", fields: str = "") -> bytes:
    """Return a request head."""
    return f"{method} {path} HTTP/1.1\r\nHost: {HOST}:{port}\r\n{fields}\r\n".encode()


class Sockets(BlockingClient):
    """Blocking sockets, one connection."""

    low_water = 128 << 10  # bytes that have to be there before a large read wakes up

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._context = target.context()

    def open(self) -> None:
        self._sock = self._connect()
        self._buffer = bytearray(BUFFER)

    def close(self) -> None:
        self._sock.close()

    def _connect(self) -> socket.socket:
        sock = socket.create_connection((HOST, self.target.port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._context is None:
            return sock
        return self._context.wrap_socket(sock, server_hostname=HOST)

    def _requests(self, calls: Iterable[Call]) -> Iterator[tuple[bytes, bytes]]:
        """Yield ready requests and expected bodies; each request is built once."""
        heads: dict[str, bytes] = {}
        for path, expected in calls:
            if path not in heads:
                heads[path] = request(path, self.target.port)
            yield heads[path], expected

    def sequential(self, calls: Iterable[Call]) -> None:
        self._exchange(self._requests(calls))

    def _exchange(self, requests: Iterable[tuple[bytes, bytes]]) -> None:
        """Send each request when the answer to the one before is here."""
        send, recv_into = self._sock.sendall, self._sock.recv_into
        buffer = self._buffer
        with memoryview(buffer) as view:
            for head, expected in requests:
                send(head)
                end = recv_into(view)
                body = buffer.find(b"\r\n\r\n", 0, end) + 4
                while end - body < len(expected):
                    end += recv_into(view[end:])
                if not buffer.startswith(expected, body):
                    raise WrongBytesError(head)

    def each(self, call: Callable[[Any], Any], calls: Iterable[Call]) -> None:
        if call != self.field:
            super().each(call, calls)
            return
        send, recv_into = self._sock.sendall, self._sock.recv_into
        buffer = self._buffer
        with memoryview(buffer) as view:
            for head, (value, expected) in self._requests(calls):
                send(head)
                end = recv_into(view)
                body = buffer.find(b"\r\n\r\n", 0, end) + 4
                while end - body < len(expected):
                    end += recv_into(view[end:])
                if FIELD.search(buffer, 0, body)[1].decode() != value:
                    raise WrongBytesError(head)
                if not buffer.startswith(expected, body):
                    raise WrongBytesError(head)

    def with_fields(self, calls: Iterable[Call]) -> None:
        """Build each request once, as `sequential` does."""
        heads: dict[str, bytes] = {}

        def ready() -> Iterator[Call]:
            for (path, fields), expected in calls:
                if path not in heads:
                    lines = "".join([f"{name}: {value}\r\n" for name, value in fields.items()])
                    heads[path] = request(path, self.target.port, fields=lines)
                yield heads[path], expected

        self._exchange(ready())

    def pipelined(self, calls: Iterable[Call]) -> None:
        """Send the next window before the answers to this one are read."""
        requests = self._requests(calls)
        buffer = bytearray(WINDOW * 2048)
        waiting: list[bytes] = []
        start = end = 0
        with memoryview(buffer) as view:
            while True:
                window = list(islice(requests, WINDOW))
                self._sock.sendall(b"".join([head for head, _ in window]))
                for expected in waiting:
                    while True:
                        body = buffer.find(b"\r\n\r\n", start, end) + 4
                        if body > 3 and end - body >= len(expected):
                            break
                        view[: end - start] = view[start:end]
                        start, end = 0, end - start
                        end += self._sock.recv_into(view[end:])
                    if not buffer.startswith(expected, body):
                        raise WrongBytesError(expected)
                    start = body + len(expected)
                if not window:
                    return
                waiting = [expected for _, expected in window]

    def get_anew(self, path: str) -> bytes:
        sock = self._connect()
        sock.sendall(request(path, self.target.port))
        buffer = self._buffer
        with memoryview(buffer) as view:
            end, size = 0, BUFFER
            while end < size:
                end += sock.recv_into(view[end:])
                size = buffer.find(b"\r\n\r\n", 0, end) + 4 + 1024
        sock.close()
        return bytes(buffer[size - 1024 : size])

    def idle(self, path: str, count: int) -> Any:
        return [self._fetch(path) for _ in range(count)]

    def _fetch(self, path: str) -> socket.socket:
        sock = self._connect()
        sock.sendall(request(path, self.target.port))
        with memoryview(self._buffer) as view:
            end = 0
            while (body := self._buffer.find(b"\r\n\r\n", 0, end)) < 0 or end - body < 1028:
                end += sock.recv_into(view[end:])
        return sock

    def _pieces(self, path: str) -> Iterator[memoryview]:
        """Yield the body of *path* in pieces of one buffer, with few and large reads.

        Not waking up for less than `low_water` halves the cost if the server has a core of its
        own. On one core a read finds much anyway, and then it costs a third more.
        """
        sock = self._sock
        sock.sendall(request(path, self.target.port))
        view = memoryview(bytearray(PIECE))
        end = 0
        while (body := bytes(view[:end]).find(b"\r\n\r\n")) < 0:
            end += sock.recv_into(view[end:], 4096)
        head = bytes(view[:body])
        left = int(re.search(rb"\r\nContent-Length: (\d+)", head)[1]) - (end - body - 4)
        yield view[body + 4 : end]
        if left > 4 * self.low_water:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, self.low_water)
        while left > 4 * self.low_water:
            size = sock.recv_into(view, min(PIECE, left - 2 * self.low_water))
            left -= size
            yield view[:size]
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
        while left:
            size = sock.recv_into(view, min(PIECE, left))
            left -= size
            yield view[:size]

    def download(self, path: str, take: Callable[[Any], None]) -> None:
        for piece in self._pieces(path):
            take(piece)

    def save(self, path: str, file: BinaryIO) -> None:
        for piece in self._pieces(path):
            file.write(piece)

    def discard(self, path: str, size: int) -> None:
        """Have the kernel throw it away (tcp(7), MSG_TRUNC); with TLS it has to be read."""
        if self._context is not None:
            super().discard(path, size)
            return
        sock = self._sock
        sock.sendall(request(path, self.target.port))
        view = memoryview(self._buffer)
        end = sock.recv_into(view, 4096)
        left = size - (end - self._buffer.index(b"\r\n\r\n", 0, end) - 4)
        large = memoryview(bytearray(PIECE))
        while left:
            left -= sock.recv_into(large, min(PIECE, left), socket.MSG_TRUNC)

    def upload(self, path: str, file: BinaryIO, size: int | None) -> bytes:
        chunked = size is None
        size = os.fstat(file.fileno()).st_size
        field = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
        self._sock.sendall(request(path, self.target.port, "PUT", f"{field}\r\n"))
        for start in range(0, size, PIECE if chunked else size):
            count = min(PIECE, size - start) if chunked else size
            if chunked:
                self._send_more(b"%s%x\r\n" % (b"\r\n" if start else b"", count))
            self._send_file(file, start, count)
        if chunked:
            self._sock.sendall(b"\r\n0\r\n\r\n")
        answer = self._sock.recv(BUFFER)
        return answer.partition(b"\r\n\r\n")[2]

    def _send_more(self, data: bytes) -> None:
        if self._context is None:
            check(self._sock.send(data, socket.MSG_MORE), len(data))
        else:
            self._sock.sendall(data)

    def _send_file(self, file: BinaryIO, start: int, count: int) -> None:
        """Use sendfile; with TLS read and send, as much as one buffer takes."""
        end = start + count
        if self._context is None:
            out, in_ = self._sock.fileno(), file.fileno()
            while start < end:
                start += os.sendfile(out, in_, start, end - start)
            return
        assert isinstance(self._sock, ssl.SSLSocket)
        view = memoryview(bytearray(min(PIECE, count)))
        while start < end:
            size = file.readinto(view[: end - start])
            self._sock.sendall(view[:size])
            start += size


class PlainReads(Sockets):
    """The same, waking up whenever something is there."""

    low_water = 1
