"""A link of the demo that is slow to answer: it hands every byte on a little later.

Each direction of each connection has two threads, one that notes when bytes have come, and one that
sends them when it is time. The speed of the link has no limit.
"""

from __future__ import annotations

import queue
import socket
import threading
import time
from contextlib import suppress
from typing import Final

ROUND_TRIP: Final = 0.02  # seconds: another city
RECEIVED: Final = 262144  # bytes at a time
MOST: Final = 1000  # pieces on their way

Pieces = queue.Queue[tuple[float, bytes]]  # time when they are to arrive, and the bytes


class Link:
    """Listens on 127.0.0.1, and leads to *port* there.

    Attributes:
        port: where it listens.

    """

    def __init__(self, port: int) -> None:
        self._server = port
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        _start(self._accept)

    def _accept(self) -> None:
        while True:
            here, _ = self._listener.accept()
            there = socket.create_connection(("127.0.0.1", self._server))
            for sock in (here, there):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for source, target in ((here, there), (there, here)):
                pieces: Pieces = queue.Queue(MOST)
                _start(_receive, source, pieces)
                _start(_send, target, pieces)


def _start(function: object, *arguments: object) -> None:
    threading.Thread(target=function, args=arguments, daemon=True).start()  # type: ignore[arg-type]


def _receive(source: socket.socket, pieces: Pieces) -> None:
    """Note what comes, up to the end, which is no bytes."""
    data = b"first"
    while data:
        try:
            data = source.recv(RECEIVED)
        except OSError:
            data = b""
        pieces.put((time.monotonic() + ROUND_TRIP / 2, data))


def _send(target: socket.socket, pieces: Pieces) -> None:
    """Send each piece when it is time, and the end."""
    while True:
        due, data = pieces.get()
        time.sleep(max(due - time.monotonic(), 0))
        with suppress(OSError):  # nobody waits for it any more
            if not data:
                target.shutdown(socket.SHUT_WR)
                return
            target.sendall(data)
