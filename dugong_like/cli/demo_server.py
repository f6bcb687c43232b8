"""The server of the demo: files in memory, in a process of its own.

Made from `http.server` of the standard library, with chunked request bodies and HTTP/2 added
(demo_h2.py), and with a second port behind a slow link (demo_link.py). It is not part of the
library: use a real server for anything else.
"""

from __future__ import annotations

import multiprocessing
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from os import _exit as exit_at_once
from typing import Any, ClassVar, Final, NamedTuple

from ..http.h2.frames import PREFACE
from .demo_h2 import DemoConnection
from .demo_link import Link

RECEIVED: Final = 65536  # bytes at a time
READY_TIME = 20  # seconds that the process may take to start


class Ports(NamedTuple):
    """Where the server can be reached on 127.0.0.1: directly, and by a slow link."""

    near: int
    far: int


class Handler(BaseHTTPRequestHandler):
    """Stores files with PUT, and returns them with GET."""

    protocol_version = "HTTP/1.1"
    files: ClassVar[dict[str, bytes]] = {}
    damaged: ClassVar[str | None] = None  # a path whose response has one wrong byte
    disable_nagle_algorithm = True
    wbufsize = 65536  # head and body in one packet

    def handle(self) -> None:
        """Serve a connection: HTTP/2 if it begins so (RFC 9113 section 3.3)."""
        start = self.connection.recv(len(PREFACE), socket.MSG_PEEK)
        if not start or not PREFACE.startswith(start):
            super().handle()
            return
        served = DemoConnection(self._find)
        while data := self.connection.recv(RECEIVED):
            self.connection.sendall(served.receive(data))

    def _find(self, path: str) -> bytes | None:
        data = self.files.get(path)
        if data and path == self.damaged:
            return bytes([data[0] ^ 1]) + data[1:]
        return data

    def do_GET(self) -> None:
        """Send the file."""
        data = self._find(self.path)
        if data is None:
            self._answer(404, b"no such file\n")
        else:
            self._answer(200, data)

    def do_PUT(self) -> None:
        """Store the file."""
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            data = b"".join(self._chunks())
        else:
            data = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.files[self.path] = data
        self._answer(201, b"")

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass  # trailer fields

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if body:
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Log nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log nothing: a client that disconnects is not an error."""


def _serve(ready: Connection, damaged: str | None) -> None:
    Handler.damaged = damaged
    threading.Thread(target=_end_with_parent, args=(ready,), daemon=True).start()
    with _Server(("127.0.0.1", 0), Handler) as server:
        near = server.server_address[1]
        ready.send(Ports(near, Link(near).port))
        server.serve_forever()


def _end_with_parent(pipe: Connection) -> None:
    """End this process when the other end of *pipe* is closed, as at any end of the parent."""
    try:
        pipe.poll(None)
    finally:
        exit_at_once(0)


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Block Ctrl-C for processes that are started in the block."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # as starting that changes the mask
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def demo_server(damaged: str | None = None) -> Iterator[Ports]:
    """Run the server; yield its ports on 127.0.0.1.

    Args:
        damaged: path of a file to be sent with one wrong byte, to test the comparison.

    Raises:
        OSError: the server did not start.

    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, damaged), daemon=True)
    with _without_interrupts():
        process.start()
    there.close()
    try:
        if not here.poll(READY_TIME):
            raise OSError("the server of the demo did not start")
        try:
            ports: Ports = here.recv()
        except EOFError:
            raise OSError("the server of the demo ended at once") from None
        with socket.create_connection(("127.0.0.1", ports.near), timeout=READY_TIME):
            pass
        yield ports
    finally:
        process.terminate()
        process.join()
        process.close()
        here.close()
