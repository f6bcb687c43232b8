"""A server of HTTP/2 that makes it hard: answers in any order, in pieces, late, or resets.

Run by http2.py as a process of its own: ``python3 -m contrib.torture.http2_server SEED``. It prints
its port, and serves until its standard input ends.

The path says what the answer is: ``/N/…`` is answered with the path, repeated so that it has N
bytes; with ``?reset`` the stream is reset in the middle, with ``?refuse`` at once, with ``?slow``
the answer comes after some others. The body of a request comes back in front of it.
"""

from __future__ import annotations

import asyncio
import random
import sys
from contextlib import suppress

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings

SMALL = 5000  # bytes of the window of each of some connections
MOST = 20  # streams at once, on some connections


def body_of(path: str) -> bytes:
    """Return the body for *path*, without that of the request."""
    size = int(path.split("/")[1])
    text = path.encode()
    return (text * (size // len(text) + 1))[:size]


class Serving(asyncio.Protocol):
    """One connection."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        self._coming: dict[int, tuple[str, bytearray]] = {}
        self._leaving: dict[int, tuple[str, bytes]] = {}
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to serve."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._http.initiate_connection()
        codes = h2.settings.SettingCodes
        if self._chance.random() < 0.5:
            self._http.update_settings({codes.INITIAL_WINDOW_SIZE: SMALL})
        if self._chance.random() < 0.5:
            self._http.update_settings({codes.MAX_CONCURRENT_STREAMS: MOST})
        self._send()

    def data_received(self, data: bytes) -> None:
        """Take what the client sends."""
        try:
            events = self._http.receive_data(data)
        except h2.exceptions.ProtocolError as exc:
            print(f"VIOLATION: the client broke the protocol: {exc!r}", file=sys.stderr, flush=True)
            self._send()
            assert self._transport is not None
            self._transport.close()
            return
        for event in events:
            self._follow(event)
        self._push()

    def _follow(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RequestReceived):
            path = dict(event.headers)[b":path"].decode()
            self._coming[event.stream_id] = path, bytearray()
        elif isinstance(event, h2.events.DataReceived):
            self._http.increment_flow_control_window(max(event.flow_controlled_length, 1))
            if event.stream_id in self._coming:
                self._coming[event.stream_id][1].extend(event.data)
                with suppress(h2.exceptions.ProtocolError, KeyError):  # it has ended
                    self._http.increment_flow_control_window(
                        max(event.flow_controlled_length, 1), event.stream_id
                    )
        elif isinstance(event, h2.events.StreamReset):
            self._coming.pop(event.stream_id, None)
            self._leaving.pop(event.stream_id, None)
        elif isinstance(event, h2.events.StreamEnded) and event.stream_id in self._coming:
            path, body = self._coming.pop(event.stream_id)
            if "?refuse" in path:
                with suppress(h2.exceptions.ProtocolError, KeyError):  # it was reset meanwhile
                    self._http.reset_stream(event.stream_id, 7)
                return
            if self._chance.random() < 0.1:
                self._http.ping(b"12345678")
            delay = self._chance.random() * 0.02 if "?slow" in path else 0
            asyncio.get_running_loop().call_later(
                delay, self._answer, event.stream_id, path, bytes(body)
            )

    def _answer(self, stream: int, path: str, body: bytes) -> None:
        with suppress(h2.exceptions.ProtocolError, KeyError):  # it was reset meanwhile
            self._http.send_headers(stream, [(":status", "200"), ("x-path", path)])
            self._leaving[stream] = path, body + body_of(path)
        self._push()

    def _push(self) -> None:
        """Send pieces of all answers, in any order, as far as the windows allow."""
        streams = [*self._leaving]
        self._chance.shuffle(streams)
        for stream in streams:
            path, body = self._leaving[stream]
            try:
                self._push_one(stream, path, body)
            except (h2.exceptions.ProtocolError, KeyError):
                self._leaving.pop(stream, None)
        self._send()

    def _push_one(self, stream: int, path: str, body: bytes) -> None:
        while body:
            if "?reset" in path and len(body) < len(path) * 2:
                self._leaving.pop(stream)
                self._http.reset_stream(stream, 2)
                return
            room = self._http.local_flow_control_window(stream)
            size = min(room, len(body), self._chance.randrange(1, 16385))
            if size <= 0:
                self._leaving[stream] = path, body
                return
            self._http.send_data(stream, body[:size])
            body = body[size:]
        self._leaving.pop(stream)
        self._http.end_stream(stream)

    def _send(self) -> None:
        if self._transport is not None and (data := self._http.data_to_send()):
            self._transport.write(data)


async def serve(seed: int) -> None:
    """Serve until the standard input ends."""
    loop = asyncio.get_running_loop()
    chance = random.Random(seed)
    server = await loop.create_server(lambda: Serving(chance), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
