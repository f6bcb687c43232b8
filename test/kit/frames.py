"""Frames of WebSocket by hand, for what no library sends, and streams of bytes in memory.

Not here: servers (kit/websocket_servers.py).
"""

import struct

from dugong_like import PollNeeded
from dugong_like.connection.websocket import WebSocket
from dugong_like.http.websocket.options import WebSocketOptions
from dugong_like.polling.contract import POLLIN
from dugong_like.transport.exclusive import StreamInUse

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
FIN, RSV1, RSV2, RSV3 = 0x80, 0x40, 0x20, 0x10


def frame(opcode, payload=b"", fin=True, rsv=0, mask=None, length=None):
    """Return a frame as a server sends it; *length* is another one than that of the payload."""
    if isinstance(payload, str):
        payload = payload.encode()
    size = len(payload) if length is None else length
    head = bytes([(FIN if fin else 0) | rsv | opcode])
    bit = 0 if mask is None else 0x80
    if size < 126:
        head += bytes([bit | size])
    elif size < 65536:
        head += struct.pack("!BH", bit | 126, size)
    else:
        head += struct.pack("!BQ", bit | 127, size)
    if mask is not None:
        payload = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
        head += mask
    return head + payload


def close(code=None, reason=b""):
    if isinstance(reason, str):
        reason = reason.encode()
    return frame(CLOSE, b"" if code is None else struct.pack("!H", code) + reason)


def parsed(data):
    """Return the frames of a client in *data*, unmasked: ``(opcode, payload, fin, rsv1)``."""
    found = []
    data = bytes(data)
    while data:
        first, second = data[0], data[1]
        assert second & 0x80, "a client masks"
        size, at = second & 0x7F, 2
        if size == 126:
            (size,), at = struct.unpack("!H", data[2:4]), 4
        elif size == 127:
            (size,), at = struct.unpack("!Q", data[2:10]), 10
        mask, at = data[at : at + 4], at + 4
        assert len(data) >= at + size, "the last frame is not complete"
        payload = bytes(byte ^ mask[i % 4] for i, byte in enumerate(data[at : at + size]))
        found.append((first & 0x0F, payload, bool(first & FIN), bool(first & RSV1)))
        data = data[at + size :]
    return found


def close_codes(data):
    """Return the codes of the close frames in *data*, which a client has sent."""
    return [
        struct.unpack("!H", payload[:2])[0] if payload else None
        for opcode, payload, _, _ in parsed(data)
        if opcode == CLOSE
    ]


class MemoryBytes:
    """A stream of bytes in memory, for a `WebSocket`.

    Args:
        incoming: what arrives: bytes, None where it would block, ``b""`` for the end, or an
            exception. Behind the last of it the stream blocks.

    Attributes:
        sent: all that was sent.
        rooms: for each attempt to send: how many bytes are taken, None to block, or an exception;
            behind the last one everything is taken.
        waits: what was waited for: "r", "w", "f" (a flag), joined.

    """

    origin = "http://memory.test"

    def __init__(self, *incoming):
        self.incoming = list(incoming)
        self.sent = bytearray()
        self.rooms = []
        self.waits = []
        self.is_open = True
        self.in_use = StreamInUse()

    def try_recv(self, size):
        assert self.in_use.reading.locked()
        if not self.incoming:
            return None
        data = self.incoming.pop(0)
        if isinstance(data, BaseException):
            raise data
        if data and len(data) > size:
            self.incoming.insert(0, data[size:])
            data = data[:size]
        return data

    def try_send(self, data):
        assert self.in_use.sending.locked()
        room = self.rooms.pop(0) if self.rooms else len(data)
        if isinstance(room, BaseException):
            raise room
        if room is None:
            return None
        room = min(room, len(data))
        self.sent += data[:room]
        return room

    def recv_need(self):
        return None

    def co_ready(self, *, read, write, wake, deadline):
        assert read or write or wake
        self.waits.append("r" * read + "w" * write + "f" * (wake is not None))
        if wake is not None:  # the test says when one of the others is ready
            yield wake.need(deadline)
        else:
            yield PollNeeded(1_000_000, POLLIN, deadline)

    def close(self):
        self.is_open = False

    drop = close


def websocket(*incoming, **options):
    """Return an open WebSocket in memory, and its stream."""
    stream = MemoryBytes(*incoming)
    return WebSocket(stream, None, WebSocketOptions(**options)), stream
