"""A server of HTTP/2 that makes it hard: answers in any order, in pieces, late, or resets.

Run by http2.py as a process of its own: ``python3 -m contrib.torture.http2_server SEED [PEM]``. The
file has key and certificate for TLS. It prints its port, and serves until its standard input ends.

The path says what the answer is: ``/N/…`` is answered with the path, repeated so that it has N
bytes; with ``?slow`` the answer comes after some others, with ``?hints`` behind an interim
response, and with ``?trailers`` these follow. The body of a request comes back in front of it, and
its trailers as those of the response. `RESETS` end the stream in one of its phases; with ``?early``
a response without a body comes before that of the request has.

Once a connection has begun, it has a window of its own for uploads, and room for `LEAST_STREAMS` to
`MOST_STREAMS` requests. Both change now and then.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings

if TYPE_CHECKING:
    from hyperframe.frame import Frame, HeadersFrame

LEAST_WINDOW: Final = 1000  # bytes
MOST_WINDOW: Final = 65535
LEAST_STREAMS: Final = 5
MOST_STREAMS: Final = 100
CHANGES: Final = 0.01  # of all answers: settings are changed then
PINGS: Final = 0.1
CANCEL: Final = 8  # error codes
REFUSED: Final = 7
NO_ERROR: Final = 0
# The phases in which a stream is reset: at the head of the request, at its end, before the response
# has a head, behind that, in the middle of the body, and before the trailers.
RESETS: Final = ("reset-begun", "refuse", "reset-ended", "reset-head", "reset", "reset-trailers")
GONE: Final = (h2.exceptions.ProtocolError, KeyError)  # the stream was reset meanwhile


def body_of(path: str) -> bytes:
    """Return the body for *path*, without that of the request."""
    size = int(path.split("/")[1])
    text = path.encode()
    return (text * (size // len(text) + 1))[:size]


class Coming:
    """A request that is not complete."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.body = bytearray()
        self.trailers: list[tuple[bytes, bytes]] = []


class Connection(h2.connection.H2Connection):
    """That of h2, which takes trailers that have crossed its reset for a new stream.

    Behind a lower limit of streams it would end the connection for them.
    """

    def _receive_headers_frame(
        self, frame: HeadersFrame
    ) -> tuple[list[Frame], list[h2.events.Event]]:
        stream = frame.stream_id
        if stream <= self.highest_inbound_stream_id and stream not in self.streams:
            self.decoder.decode(frame.data, raw=True)  # the table of HPACK counts them
            raise h2.exceptions.StreamClosedError(stream)
        return super()._receive_headers_frame(frame)


class Serving(asyncio.Protocol):
    """One connection."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._http = Connection(h2.config.H2Configuration(client_side=False))
        self._coming: dict[int, Coming] = {}
        self._leaving: dict[int, tuple[Coming, bytes]] = {}
        self._transport: asyncio.Transport | None = None
        self._is_new = True  # the settings that begin the connection are not acknowledged
        self._changing = True  # nor are the last ones
        self._is_over = False  # the client has said GOAWAY: h2 sends nothing behind that

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to serve."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._http.initiate_connection()
        self._send()

    def _change(self) -> None:
        """Change the settings; not before the last ones are acknowledged.

        On each acknowledgement h2 applies all that has changed, which the client may not have seen.
        """
        chance, codes = self._chance, h2.settings.SettingCodes
        self._http.update_settings(
            {
                codes.INITIAL_WINDOW_SIZE: chance.randint(LEAST_WINDOW, MOST_WINDOW),
                codes.MAX_CONCURRENT_STREAMS: chance.randint(LEAST_STREAMS, MOST_STREAMS),
            }
        )
        self._changing = True

    def data_received(self, data: bytes) -> None:
        """Take what the client sends."""
        if self._is_over:
            return
        try:
            events = self._http.receive_data(data)
        except h2.exceptions.ProtocolError as exc:
            print(f"VIOLATION: the client broke the protocol: {exc!r}", file=sys.stderr, flush=True)
            self._send()
            assert self._transport is not None
            self._transport.close()
            return
        if any(isinstance(event, h2.events.ConnectionTerminated) for event in events):
            self._is_over = True
            return
        for event in events:
            self._follow(event)
        self._push()

    def _follow(self, event: h2.events.Event) -> None:
        stream: int = getattr(event, "stream_id", None) or 0
        if isinstance(event, h2.events.SettingsAcknowledged):
            self._changing = False
            if self._is_new:
                self._is_new = False
                self._change()
        elif isinstance(event, h2.events.RequestReceived):
            self._begin_request(stream, dict(event.headers)[b":path"].decode())
        elif isinstance(event, h2.events.DataReceived):
            self._receive(stream, event.data, event.flow_controlled_length)
        elif isinstance(event, h2.events.TrailersReceived) and stream in self._coming:
            self._coming[stream].trailers = [*event.headers]
        elif isinstance(event, h2.events.StreamReset):
            self._forget(stream)
        elif isinstance(event, h2.events.StreamEnded) and stream in self._coming:
            self._end_request(stream, self._coming.pop(stream))

    def _begin_request(self, stream: int, path: str) -> None:
        if "?early" in path:
            with suppress(*GONE):
                self._http.send_headers(stream, [(":status", "200")], end_stream=True)
                self._http.reset_stream(stream, NO_ERROR)
            return
        self._coming[stream] = Coming(path)
        if "?reset-begun" in path:
            self._reset(stream, CANCEL)

    def _receive(self, stream: int, data: bytes, size: int) -> None:
        # Not `acknowledge_received_data`, which waits for ever once a window became negative.
        if size:
            self._http.increment_flow_control_window(size)
        if stream in self._coming:
            self._coming[stream].body += data
            if size:
                with suppress(*GONE):
                    self._http.increment_flow_control_window(size, stream)

    def _end_request(self, stream: int, request: Coming) -> None:
        chance = self._chance
        if "?refuse" in request.path:
            self._reset(stream, REFUSED)
            return
        if chance.random() < PINGS:
            self._http.ping(b"12345678")
        if chance.random() < CHANGES and not self._changing:
            self._change()
        delay = chance.random() * 0.02 if "?slow" in request.path else 0
        asyncio.get_running_loop().call_later(delay, self._answer, stream, request)

    def _forget(self, stream: int) -> None:
        self._coming.pop(stream, None)
        self._leaving.pop(stream, None)

    def _reset(self, stream: int, code: int) -> None:
        self._forget(stream)
        with suppress(*GONE):
            self._http.reset_stream(stream, code)

    def _answer(self, stream: int, request: Coming) -> None:
        path = request.path
        if "?reset-ended" in path:
            self._reset(stream, CANCEL)
        else:
            with suppress(*GONE):
                if "?hints" in path:
                    self._http.send_headers(stream, [(":status", "103"), ("link", "</a>")])
                self._http.send_headers(stream, [(":status", "200"), ("x-path", path)])
                self._leaving[stream] = request, bytes(request.body) + body_of(path)
                if "?reset-head" in path:
                    self._reset(stream, CANCEL)
        self._push()

    def _push(self) -> None:
        """Send pieces of all answers, in any order, as far as the windows allow."""
        streams = [*self._leaving]
        self._chance.shuffle(streams)
        for stream in streams:
            try:
                self._push_one(stream, *self._leaving[stream])
            except GONE:
                self._leaving.pop(stream, None)
        self._send()

    def _push_one(self, stream: int, request: Coming, body: bytes) -> None:
        path = request.path
        while body:
            if "?reset" in path and "trailers" not in path and len(body) < len(path) * 2:
                self._reset(stream, CANCEL)
                return
            room = self._http.local_flow_control_window(stream)
            size = min(room, len(body), self._chance.randrange(1, 16385))
            if size <= 0:
                self._leaving[stream] = request, body
                return
            self._http.send_data(stream, body[:size])
            body = body[size:]
        if "?reset" in path:
            self._reset(stream, CANCEL)
            return
        del self._leaving[stream]
        trailers: list[Any] = [*request.trailers]
        if "?trailers" in path:
            trailers.append((b"x-length", str(len(request.body)).encode()))
        if trailers:
            self._http.send_headers(stream, trailers, end_stream=True)
        else:
            self._http.end_stream(stream)

    def _send(self) -> None:
        if self._transport is not None and (data := self._http.data_to_send()):
            self._transport.write(data)


async def serve(seed: int, certificate: str | None = None) -> None:
    """Serve until the standard input ends."""
    loop = asyncio.get_running_loop()
    chance = random.Random(seed)
    context = None
    if certificate is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
        context.set_alpn_protocols(["h2"])
    server = await loop.create_server(lambda: Serving(chance), "127.0.0.1", 0, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), *sys.argv[2:]))
