"""A WebSocket client (RFC 6455): HTTP by this library, frames by wsproto.

Each line of standard input is sent as a message, and the answer to it is printed. The same
generators run under every way of waiting.

Run: ``python3 contrib/examples/websocket.py URL [--driver blocking|asyncio|trio|loop]``, with a
URL such as ``ws://127.0.0.1:8765/`` or ``wss://…``; needs wsproto.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable

from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage

from dugong_like import (
    URL,
    Co,
    DugongError,
    HTTPConnection,
    NetworkStream,
    run,
)

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
SWITCHING_PROTOCOLS = 101


class WebSocket:
    """Messages over *stream*; made by `co_open`. One operation at a time."""

    def __init__(self, stream: NetworkStream) -> None:
        self.stream = stream
        self._frames = Connection(ConnectionType.CLIENT)
        self._messages: deque[str | bytes] = deque()
        self._parts: list[str | bytes] = []
        self._ended = False

    def co_send(self, message: str | bytes) -> Co[None]:
        """Send a message."""
        kind = TextMessage if isinstance(message, str) else BytesMessage
        yield from self.stream.co_write(self._frames.send(kind(message)))

    def co_receive(self) -> Co[str | bytes | None]:
        """Return the next message; None if the server has ended the conversation."""
        while not self._messages:
            if self._ended:
                return None
            data = yield from self.stream.co_read(65536)
            if not data:
                raise DugongError("the server went away without a close frame")
            self._frames.receive_data(data)
            for event in self._frames.events():
                yield from self._co_note(event)
        return self._messages.popleft()

    def _co_note(self, event: object) -> Co[None]:
        if isinstance(event, TextMessage | BytesMessage):
            self._parts.append(event.data)
            if event.message_finished:
                self._messages.append(type(event.data)().join(self._parts))
                self._parts.clear()
        elif isinstance(event, Ping):
            yield from self.stream.co_write(self._frames.send(event.response()))
        elif isinstance(event, CloseConnection) and not self._ended:
            self._ended = True
            if self._frames.state.name == "REMOTE_CLOSING":
                yield from self.stream.co_write(self._frames.send(event.response()))

    def co_close(self) -> Co[None]:
        """End the conversation, and close the stream."""
        if not self._ended:
            yield from self.stream.co_write(self._frames.send(CloseConnection(code=1000)))
            while (yield from self.co_receive()) is not None:
                pass
        yield from self.stream.co_close()


def co_open(conn: HTTPConnection, path: str) -> Co[WebSocket]:
    """Ask the server of *conn* for a WebSocket at *path* (RFC 6455 section 4.1)."""
    key = base64.b64encode(os.urandom(16))
    fields = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": key.decode(),
        "Sec-WebSocket-Version": "13",
    }
    yield from conn.co_send_request("GET", path, fields)
    response = yield from conn.co_read_response()
    if response.status != SWITCHING_PROTOCOLS:
        raise DugongError(f"no WebSocket: {response.status} {response.reason}")
    stream = response.stream
    accept = base64.b64encode(hashlib.sha1(key + GUID).digest()).decode()
    if response.headers["Sec-WebSocket-Accept"] != accept:
        stream.close()
        raise DugongError("no WebSocket: the server has not understood the key")
    return WebSocket(stream)


def co_talk(
    conn: HTTPConnection, path: str, lines: Iterable[str], show: Callable[[object], object]
) -> Co[int]:
    """Send each of *lines* and show the answer; return how many there were."""
    count = 0
    with conn:
        socket = yield from co_open(conn, path)
        with socket.stream:
            for line in lines:
                yield from socket.co_send(line)
                answer = yield from socket.co_receive()
                if answer is None:
                    break
                show(answer)
                count += 1
            yield from socket.co_close()
    return count


def run_on(driver: str, op: Co[int]) -> int:
    """Run *op* under the driver of that name."""
    if driver == "asyncio":
        from dugong_like.drivers import aio

        return asyncio.run(aio.run(op))
    if driver == "trio":
        import trio

        from dugong_like.drivers import trio as on_trio

        return trio.run(on_trio.run, op)
    if driver == "loop":
        from dugong_like.drivers.loop import Loop

        loop = Loop()
        try:
            return loop.run(op)
        finally:
            loop.close()
    return run(op)


def main(argv: list[str] | None = None) -> int:
    """Talk to a server; exit status 1 if that failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url")
    parser.add_argument(
        "--driver", choices=["blocking", "asyncio", "trio", "loop"], default="blocking"
    )
    options = parser.parse_args(argv)
    url = URL(options.url)
    conn = HTTPConnection.to(url, timeout=30)
    lines = (line.rstrip("\n") for line in sys.stdin)
    try:
        run_on(options.driver, co_talk(conn, url.target, lines, print))
    except DugongError as exc:
        print(f"websocket: {exc}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
