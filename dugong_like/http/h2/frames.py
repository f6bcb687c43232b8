"""Frames of HTTP/2: their header, types, flags and settings (RFC 9113 sections 4 and 6).

Not here: error codes (violations.py), what frames do to a connection and its streams
(engine.py, stream.py), and header blocks (hpack_encoder.py, hpack_decoder.py).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from enum import IntEnum
from typing import Final

from .violations import ErrorCode, Violation

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # section 3.4
HEADER_SIZE: Final = 9  # bytes of a frame header (section 4.1)
DEFAULT_FRAME_SIZE: Final = 16384  # bytes of payload, and the least that a peer has to allow
LARGEST_FRAME_SIZE: Final = 2**24 - 1
DEFAULT_WINDOW: Final = 65535  # bytes, of streams and of the connection (section 6.9.2)
MAX_WINDOW: Final = 2**31 - 1
MAX_STREAM_ID: Final = 2**31 - 1
MAX_SETTING: Final = 2**32 - 1

PING_SIZE: Final = 8  # bytes, of opaque data (section 6.7)
PRIORITY_SIZE: Final = 5  # bytes of PRIORITY, or in front of a header block (section 6.3)

# Types. Plain numbers, as looking up the members of an enumeration is slow; names are in NAMES.
DATA: Final = 0x0
HEADERS: Final = 0x1
PRIORITY: Final = 0x2
RST_STREAM: Final = 0x3
SETTINGS: Final = 0x4
PUSH_PROMISE: Final = 0x5
PING: Final = 0x6
GOAWAY: Final = 0x7
WINDOW_UPDATE: Final = 0x8
CONTINUATION: Final = 0x9
NAMES: Final = (
    *("DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS"),
    *("PUSH_PROMISE", "PING", "GOAWAY", "WINDOW_UPDATE", "CONTINUATION"),
)

# Flags.
END_STREAM: Final = 0x1  # of DATA and HEADERS
ACK: Final = 0x1  # of SETTINGS and PING
END_HEADERS: Final = 0x4  # of HEADERS and CONTINUATION
PADDED: Final = 0x8  # of DATA and HEADERS
WITH_PRIORITY: Final = 0x20  # of HEADERS


class SettingId(IntEnum):
    """Identifiers of settings (section 6.5.2; RFC 8441 section 3; RFC 9218 section 2.1)."""

    HEADER_TABLE_SIZE = 0x1
    ENABLE_PUSH = 0x2
    MAX_CONCURRENT_STREAMS = 0x3
    INITIAL_WINDOW_SIZE = 0x4
    MAX_FRAME_SIZE = 0x5
    MAX_HEADER_LIST_SIZE = 0x6
    ENABLE_CONNECT_PROTOCOL = 0x8
    NO_RFC7540_PRIORITIES = 0x9


# Smallest and largest value of each setting, and the error of another one (section 6.5.2).
RANGES: Final[dict[int, tuple[int, int, ErrorCode]]] = {
    SettingId.HEADER_TABLE_SIZE: (0, MAX_SETTING, ErrorCode.PROTOCOL_ERROR),
    SettingId.ENABLE_PUSH: (0, 0, ErrorCode.PROTOCOL_ERROR),  # no server may say 1, no client does
    SettingId.MAX_CONCURRENT_STREAMS: (0, MAX_SETTING, ErrorCode.PROTOCOL_ERROR),
    SettingId.INITIAL_WINDOW_SIZE: (0, MAX_WINDOW, ErrorCode.FLOW_CONTROL_ERROR),
    SettingId.MAX_FRAME_SIZE: (DEFAULT_FRAME_SIZE, LARGEST_FRAME_SIZE, ErrorCode.PROTOCOL_ERROR),
    SettingId.MAX_HEADER_LIST_SIZE: (0, MAX_SETTING, ErrorCode.PROTOCOL_ERROR),
    SettingId.ENABLE_CONNECT_PROTOCOL: (0, 1, ErrorCode.PROTOCOL_ERROR),
    SettingId.NO_RFC7540_PRIORITIES: (0, 1, ErrorCode.PROTOCOL_ERROR),
}

_frame_header = struct.Struct(">LBL")  # length and type, flags, stream
_setting = struct.Struct(">HL")
pack_header = _frame_header.pack
unpack_header = _frame_header.unpack_from
# The same in other parts: 65,536 bytes of length, the rest of it, type and flags, stream.
unpack_short_header = struct.Struct(">BHHL").unpack_from


def frame_header(length: int, kind: int, flags: int, stream_id: int) -> bytes:
    """Return the header of a frame.

    Args:
        length: bytes of its payload.
        kind: its type.
        flags: its flags.
        stream_id: its stream, 0 for the connection.

    """
    return pack_header(length << 8 | kind, flags, stream_id)


def read_frame_header(
    data: bytes | bytearray | memoryview, place: int
) -> tuple[int, int, int, int]:
    """Return length, type, flags and stream of the frame header at ``data[place:]``.

    The reserved bit of the stream is ignored (section 4.1).
    """
    length_and_kind, flags, stream_id = unpack_header(data, place)
    return length_and_kind >> 8, length_and_kind & 0xFF, flags, stream_id & MAX_STREAM_ID


def encode_settings(settings: Iterable[tuple[int, int]]) -> bytes:
    """Return the payload of a SETTINGS frame: pairs of identifier and value, which are valid."""
    return b"".join([_setting.pack(identifier, value) for identifier, value in settings])


def decode_settings(payload: bytes | bytearray | memoryview) -> list[tuple[int, int]]:
    """Return identifiers and values in the payload of a SETTINGS frame, in order.

    Unknown ones are left out (section 6.5.2).

    Raises:
        Violation: it is cut, or a value is out of its range.

    """
    if len(payload) % _setting.size:
        raise Violation(
            ErrorCode.FRAME_SIZE_ERROR,
            f"SETTINGS of {len(payload)} bytes, not a multiple of {_setting.size} (RFC 9113 "
            "section 6.5)",
        )
    settings = []
    for identifier, value in _setting.iter_unpack(payload):
        if identifier not in RANGES:
            continue
        least, most, code = RANGES[identifier]
        if not least <= value <= most:
            name = SettingId(identifier).name
            raise Violation(
                code,
                f"SETTINGS_{name} of {value}: it is from {least} to {most} (RFC 9113 section "
                "6.5.2)",
            )
        settings.append((identifier, value))
    return settings


def frame_name(kind: int) -> str:
    """Return the name of a type of frames."""
    return NAMES[kind] if kind < len(NAMES) else f"a frame of type {kind:#x}"


def check_id(kind: int, stream_id: int) -> int:
    """Return *stream_id* of a frame that belongs to a stream.

    Raises:
        Violation: it is 0, which is the connection.

    """
    if not stream_id:
        raise Violation(
            ErrorCode.PROTOCOL_ERROR,
            f"{frame_name(kind)} without a stream (RFC 9113 section 5.1.1)",
        )
    return stream_id
