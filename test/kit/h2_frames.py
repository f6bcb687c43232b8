"""Frames of HTTP/2 as bytes, valid or not, and what a client has sent (RFC 9113 sections 4 and 6).

Nothing of the library is used, and header blocks have literals only, so that a server of a test can
say anything, and its bytes can be read in a debugger.
"""

from typing import NamedTuple

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY = range(8)
WINDOW_UPDATE, CONTINUATION = 8, 9
KINDS = [
    "DATA",
    "HEADERS",
    "PRIORITY",
    "RST_STREAM",
    "SETTINGS",
    "PUSH_PROMISE",
    "PING",
    "GOAWAY",
    "WINDOW_UPDATE",
]
KINDS.append("CONTINUATION")
END_STREAM = ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
WITH_PRIORITY = 0x20
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT = range(5)
STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR = range(5, 10)
CONNECT_ERROR, ENHANCE_YOUR_CALM, INADEQUATE_SECURITY, HTTP_1_1_REQUIRED = range(10, 14)
TABLE_SIZE, ENABLE_PUSH, MAX_STREAMS, WINDOW, FRAME_SIZE, LIST_SIZE = range(1, 7)
CONNECT_PROTOCOL, NO_PRIORITIES = 8, 9
OK = (":status", "200")


def frame(kind, flags=0, stream=0, payload=b"", length=None):
    """Return a frame; *length* is that of *payload*, unless it is given."""
    length = len(payload) if length is None else length
    return length.to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def literal(text):
    """Return a string of HPACK without a Huffman code (RFC 7541 section 5.2)."""
    data = text if isinstance(text, bytes) else text.encode("latin-1")
    size = len(data)
    if size < 127:
        return bytes([size]) + data
    encoded, size = b"\x7f", size - 127
    while size > 127:
        encoded, size = encoded + bytes([size % 128 + 128]), size // 128
    return encoded + bytes([size]) + data


def block(*fields):
    """Return a header block of literals that are not indexed (RFC 7541 section 6.2.2)."""
    return b"".join(b"\0" + literal(name) + literal(value) for name, value in fields)


def headers(stream, *fields, end=False):
    """Return HEADERS with *fields*, pairs; without any the head of a plain 200."""
    flags = END_HEADERS | (END_STREAM if end else 0)
    return frame(HEADERS, flags, stream, block(*(fields or (OK,))))


def data(stream, payload=b"", end=False, padding=None):
    """Return DATA; *padding* is a number of bytes, None for a frame without the flag."""
    flags = END_STREAM if end else 0
    if padding is not None:
        flags |= PADDED
        payload = bytes([padding]) + payload + bytes(padding)
    return frame(DATA, flags, stream, payload)


def settings(*pairs):
    """Return SETTINGS with identifiers and values."""
    payload = b"".join(key.to_bytes(2, "big") + value.to_bytes(4, "big") for key, value in pairs)
    return frame(SETTINGS, 0, 0, payload)


SETTINGS_ACK = frame(SETTINGS, ACK)


def rst_stream(stream, code=CANCEL):
    return frame(RST_STREAM, 0, stream, code.to_bytes(4, "big"))


def ping(payload=b"12345678", ack=False):
    return frame(PING, ACK if ack else 0, 0, payload)


def goaway(last=2**31 - 1, code=NO_ERROR, debug=b""):
    return frame(GOAWAY, 0, 0, last.to_bytes(4, "big") + code.to_bytes(4, "big") + debug)


def window_update(stream, increment):
    return frame(WINDOW_UPDATE, 0, stream, increment.to_bytes(4, "big"))


class Frame(NamedTuple):
    """A frame that a client has sent."""

    kind: int
    flags: int
    stream: int
    payload: bytes

    @property
    def code(self):
        """The error code of RST_STREAM or GOAWAY, or the increment of WINDOW_UPDATE."""
        return int.from_bytes(self.payload[4:8] or self.payload, "big")

    def __repr__(self):
        name = KINDS[self.kind] if self.kind < len(KINDS) else hex(self.kind)
        return f"{name}({self.stream}, flags={self.flags:#x}, {self.payload[:40]!r})"


def split_frames(wire):
    """Return the frames at the beginning of *wire*, behind a preface if there is one; and the rest.

    A part of a frame stays in the rest.
    """
    wire = bytes(wire).removeprefix(PREFACE)
    frames = []
    while len(wire) >= 9 and len(wire) >= (stop := 9 + int.from_bytes(wire[:3], "big")):
        stream = int.from_bytes(wire[5:9], "big")
        frames.append(Frame(wire[3], wire[4], stream, wire[9:stop]))
        wire = wire[stop:]
    return frames, wire


def parse_frames(wire):
    """Return the frames in *wire*, which are whole."""
    frames, rest = split_frames(wire)
    assert not rest, rest
    return frames
