"""A connection of HTTP/2 whose server tags each answer, and ends it by chance; for pipelines.py.

It is ended before an answer, inside it or behind it, with and without GOAWAY, and everything that
is under way with it; single streams are refused (RFC 9113 section 8.7) or answered by 503.

Not here: HTTP/1.1, and what is answered (pipelines.py).
"""

from __future__ import annotations

import random
import socket
import struct
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import h2.config
import h2.connection
import h2.events
import h2.exceptions

FRAME: Final = 16384  # bytes
REFUSED_STREAM: Final = 7
ENDS: Final = ("before", "head", "body", "behind", "announced", "refused", "busy", "busy")


class CutConnection:
    """One connection.

    Args:
        sock: it.
        dice: say when it is ended, and how.
        seen: how often each target was processed.
        body_for: returns the body for a method and a target.

    """

    def __init__(
        self,
        sock: socket.socket,
        dice: random.Random,
        seen: Counter[str],
        body_for: Callable[[str, str], bytes],
    ) -> None:
        self._sock = sock
        self._dice = dice
        self._often = dice.choice([0.001, 0.005, 0.02])
        self._seen = seen
        self._body_for = body_for
        config = h2.config.H2Configuration(client_side=False, header_encoding="latin-1")
        self._http = h2.connection.H2Connection(config)
        self._coming: dict[int, tuple[str, str]] = {}

    def serve(self, data: bytes) -> None:
        """Serve until the dice, or the client, end it; *data*: what has come already."""
        self._http.initiate_connection()
        with suppress(h2.exceptions.ProtocolError):
            while data:
                for event in self._http.receive_data(data):
                    if not self._follow(event):
                        return
                self._send()
                data = self._sock.recv(65536)

    def _send(self) -> None:
        self._sock.sendall(self._http.data_to_send())

    def _follow(self, event: h2.events.Event) -> bool:
        """Take *event*; return False if the connection has ended."""
        if isinstance(event, h2.events.RequestReceived):
            assert event.stream_id is not None
            fields = dict(event.headers or ())
            target = str(fields[":path"])
            self._coming[event.stream_id] = str(fields[":method"]), target
            self._seen[target] += 1
        elif isinstance(event, h2.events.DataReceived):
            assert event.stream_id is not None
            self._http.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id)
        elif isinstance(event, h2.events.StreamReset):
            self._coming.pop(event.stream_id or 0, None)
        elif isinstance(event, h2.events.StreamEnded) and event.stream_id in self._coming:
            assert event.stream_id is not None
            return self._answer(event.stream_id, *self._coming.pop(event.stream_id))
        return True

    def _answer(self, stream: int, method: str, target: str) -> bool:
        """Answer one request; return True if the connection goes on."""
        end = self._dice.choice(ENDS) if self._dice.random() < self._often else "none"
        if end == "refused":
            self._seen[target] -= 1
            self._http.reset_stream(stream, REFUSED_STREAM)
        elif end == "busy":
            self._http.send_headers(stream, [(":status", "503"), ("retry-after", "0")], True)
        elif end != "before":
            body = self._body_for(method, target)
            fields = [(":status", "200"), ("x-tag", target), ("content-length", str(len(body)))]
            self._http.send_headers(stream, fields, end_stream=not body)
            cut = {"head": 0, "body": len(body) - 1}.get(end, len(body))
            for at in range(0, cut, FRAME):
                piece = body[at : min(at + FRAME, cut)]
                self._http.send_data(stream, piece, end_stream=at + len(piece) == len(body))
        if end in {"none", "refused", "busy"}:
            return True
        if end == "announced":
            self._http.close_connection()
        self._send()
        if self._dice.random() < 0.5:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False
