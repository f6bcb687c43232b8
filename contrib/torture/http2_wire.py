"""What servers of HTTP/2 send, good and bad, as bytes: for fuzz_http2.py.

Sessions of the h2 library, which are valid; frames by a grammar that knows the interesting values;
and mutations of both, by whole frames.

Not here: mutating single bytes (fuzz_responses.py), and what receives it (fuzz_http2.py).
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
import hpack

from dugong_like.http.h2 import frames

from .fuzz_responses import mutate

Field = tuple[bytes, bytes]
Frame = tuple[int, int, int, bytes]  # type, flags, stream, payload
NAMES: Final = [
    b":status", b"server", b"date", b"content-type", b"content-length", b"x-id", b"set-cookie",
    b"grpc-status", b"link", b"te", b"connection", b"X-Upper", b":path", b"", b"a:b", b"x\r\ny",
]  # fmt: skip
VALUES: Final = [
    b"", b"200", b"204", b"100", b"103", b"101", b"304", b"5", b"0", b"-1", b"nginx", b"a" * 40,
    b"b" * 900, b"trailers", b" x", b"x\r\ny: z", b"x\0y", b"text/plain; charset=utf-8", b"\xe9",
]  # fmt: skip
NUMBERS: Final = [0, 1, 2, 8, 100, 16384, 65535, 2**24 - 1, 2**31 - 1, 2**31, 2**32 - 1]
OF_STREAMS: Final = {frames.DATA, frames.HEADERS, frames.PRIORITY, frames.RST_STREAM, 5, 9}
METHODS: Final = [b"GET", b"GET", b"HEAD", b"POST", b"POST", b"CONNECT"]


def frame_bytes(frame: Frame) -> bytes:
    """Return *frame* as bytes."""
    kind, flags, stream, payload = frame
    return frames.frame_header(len(payload), kind, flags, stream) + payload


def split(wire: bytes) -> list[Frame]:
    """Return the frames of *wire*."""
    found = []
    place = 0
    while place < len(wire):
        length, kind, flags, stream = frames.read_frame_header(wire, place)
        begin = place + frames.HEADER_SIZE
        place = begin + length
        found.append((kind, flags, stream, wire[begin:place]))
    return found


def request(dice: random.Random) -> tuple[Field, ...]:
    """Return the fields of a request."""
    method = dice.choice(METHODS)
    fields = [(b":method", method), (b":authority", b"example.org")]
    if method != b"CONNECT":
        fields += [(b":scheme", b"https"), (b":path", dice.choice([b"/", b"/a", b"/b?c"]))]
    for _ in range(dice.choice([0, 0, 1, 3])):
        value = b"%d" % dice.randrange(9)
        fields.append((dice.choice([b"x-a", b"cookie", b"authorization"]), value))
    return tuple(fields)


class H2Server:
    """A server on the h2 library that answers by chance, and keeps to the protocol."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        config = h2.config.H2Configuration(client_side=False, header_encoding=None)
        self._connection = h2.connection.H2Connection(config)
        values = {
            h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: dice.choice([1, 10, 100]),
            h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: dice.choice([0, 100, 65535, 10**6]),
        }
        self._connection.local_settings = h2.settings.Settings(
            client=False, initial_values={**self._connection.local_settings, **values}
        )
        self._connection.initiate_connection()

    def take(self, wire: bytes) -> bytes:
        """Take bytes of the client; return those of the server."""
        try:
            events = self._connection.receive_data(wire)
        except h2.exceptions.ProtocolError:  # as it has closed the connection itself
            events = []
        for event in events:
            if isinstance(event, h2.events.RequestReceived):
                self._answer(event.stream_id or 0)
        return self._connection.data_to_send()

    def _answer(self, stream: int) -> None:
        connection, dice = self._connection, self._dice
        try:
            for _ in range(dice.choice([0, 0, 0, 1, 2])):
                connection.send_headers(stream, [(b":status", b"103"), (b"link", b"</a>")])
            body = bytes(dice.choice([0, 1, 5, 500, 20000]))
            fields = [(b":status", dice.choice([b"200", b"200", b"204", b"304", b"404"]))]
            if dice.random() < 0.5:
                fields.append((b"content-length", b"%d" % len(body)))
            fields += [(b"x-id", b"%d" % dice.randrange(5)), (b"date", b"today")][
                : dice.choice([0, 2])
            ]
            connection.send_headers(stream, fields, end_stream=dice.random() < 0.2)
            for start in range(0, len(body), 3000):
                connection.send_data(stream, body[start : start + 3000])
            chance = dice.random()
            if chance < 0.2:
                connection.send_headers(stream, [(b"grpc-status", b"0")], end_stream=True)
            elif chance < 0.8:
                connection.end_stream(stream)
            elif chance < 0.9:
                connection.reset_stream(stream, dice.choice([*h2.errors.ErrorCodes]))
            if dice.random() < 0.1:
                connection.ping(b"12345678")
            if dice.random() < 0.05:
                connection.close_connection(last_stream_id=dice.choice([0, 1, stream]))
        except h2.exceptions.ProtocolError:
            pass  # what was sent before is a beginning of a session, too


def block(dice: random.Random, encoder: hpack.Encoder) -> bytes:
    """Return a header block, valid or not."""
    chance = dice.random()
    if chance < 0.05:
        return dice.randbytes(dice.randrange(40))
    if chance < 0.1:
        return b"\xbe" * dice.choice([1, 300, 3000])  # a bomb, if there is an entry
    fields = [(b":status", dice.choice([b"200", b"200", b"103", b"404"]))]
    if chance < 0.4:
        fields += [(dice.choice(NAMES), dice.choice(VALUES)) for _ in range(dice.randrange(6))]
    elif chance < 0.5:
        fields = [(dice.choice(NAMES), dice.choice(VALUES)) for _ in range(dice.randrange(30))]
    made: bytes = encoder.encode(fields, huffman=dice.random() < 0.5)
    return mutate(dice, made) if dice.random() < 0.1 else made


def content_of(dice: random.Random, kind: int, flags: int, encoder: hpack.Encoder) -> bytes:
    """Return a payload for a frame of this type, with interesting values."""
    number = dice.choice(NUMBERS).to_bytes(4, "big")
    if kind == frames.DATA:
        return bytes(dice.choice([0, 0, 1, 5, 100, 5000, 16384]))
    if kind in {frames.HEADERS, frames.CONTINUATION}:
        return block(dice, encoder)
    if kind == frames.SETTINGS:
        values = [(dice.randrange(10), dice.choice(NUMBERS)) for _ in range(dice.randrange(3))]
        return b"" if flags & frames.ACK else frames.encode_settings(values)
    if kind == frames.GOAWAY:
        return dice.choice(NUMBERS[:5]).to_bytes(4, "big") + number + b"debug"
    return number * 2 if kind == frames.PING else number


def grammar(dice: random.Random, count: int) -> Iterator[Frame]:
    """Yield frames with interesting values."""
    encoder = hpack.Encoder()
    for _ in range(count):
        kind = dice.choice([0, 0, 0, 1, 1, 1, 2, 3, 4, 5, 6, 7, 8, 8, 9, 0x20])
        stream = dice.choice([0, 1, 1, 1, 3, 3, 5, 7, 9, 2, 4, 2**31 - 1])
        flags = dice.choice([0, 0, 1, 1, 4, 4, 5, 5, 8, 9, 0xC, 0x24, 0x2D, 0xFF])
        if kind in OF_STREAMS:
            stream = stream or 1
            flags |= frames.END_HEADERS if dice.random() < 0.8 else 0
        elif kind != frames.WINDOW_UPDATE and dice.random() < 0.9:
            stream = 0
        if kind == frames.SETTINGS:
            flags &= frames.ACK
        payload = content_of(dice, kind, flags, encoder)
        if flags & frames.PADDED and kind in OF_STREAMS and dice.random() < 0.8:
            padding = dice.randrange(20)
            payload = bytes([padding]) + payload + bytes(padding)
        if dice.random() < 0.05:
            payload = payload[: dice.randrange(len(payload) + 1)]
        yield kind, flags, stream, payload


def flood(dice: random.Random, most: int) -> bytes:
    """Return one frame, which is valid by itself, very often; *most* bytes of it."""
    encoder = hpack.Encoder()
    early = encoder.encode([(b":status", b"103"), (b"link", b"x" * 300)])
    frame = dice.choice(
        [
            (frames.PING, 0, 0, b"12345678"),
            (frames.PING, frames.ACK, 0, b"12345678"),
            (frames.SETTINGS, 0, 0, b""),
            (frames.SETTINGS, 0, 0, frames.encode_settings([(1, 100), (4, 100)])),
            (frames.DATA, 0, 1, b""),
            (frames.DATA, frames.PADDED, 1, bytes([100]) + bytes(100)),
            (frames.HEADERS, frames.END_HEADERS, 1, early),
            (frames.HEADERS, frames.END_HEADERS, 1, encoder.encode([(b":status", b"103")])),
            (frames.PRIORITY, 0, 1, bytes(5)),
            (frames.WINDOW_UPDATE, 0, 0, b"\0\0\0\1"),
            (frames.WINDOW_UPDATE, 0, 1, b"\0\0\0\1"),
            (frames.RST_STREAM, 0, 1, bytes(4)),
            (frames.GOAWAY, 0, 0, b"\x7f\xff\xff\xff" + bytes(4) + b"debug" * 1000),
            (0x20, 0, 1, bytes(10)),
        ]
    )
    wire = frame_bytes(frame)
    ok = frame_bytes((frames.HEADERS, frames.END_HEADERS, 1, b"\x88"))
    return (ok if dice.random() < 0.3 else b"") + wire * (most // len(wire))


def disturb(dice: random.Random, session: list[Frame]) -> list[Frame]:
    """Return *session* with some frames changed, dropped, repeated, moved or added."""
    session = list(session)
    for _ in range(dice.choice([0, 1, 1, 2, 4])):
        at = dice.randrange(len(session) + 1)
        chance = dice.random()
        if at == len(session) or chance < 0.3:
            session[at:at] = grammar(dice, dice.choice([1, 1, 3]))
            continue
        kind, flags, stream, payload = session[at]
        if chance < 0.4:
            del session[at]
        elif chance < 0.5:
            session.insert(at, session[at])
        elif chance < 0.6:
            session.insert(dice.randrange(len(session)), session.pop(at))
        elif chance < 0.7:
            session[at] = kind, flags ^ (1 << dice.randrange(8)), stream, payload
        elif chance < 0.8:
            session[at] = kind, flags, max(stream + dice.choice([-2, -1, 1, 2, 100]), 0), payload
        elif chance < 0.85:
            session[at] = dice.randrange(11), flags, stream, payload
        elif len(payload) < 5000:
            session[at] = kind, flags, stream, mutate(dice, payload)
    return session
