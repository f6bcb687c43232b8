"""Frame headers, and the payload of SETTINGS."""

import pytest

from dugong_like.http.h2 import frames
from dugong_like.http.h2.frames import (
    SettingId,
    decode_settings,
    encode_settings,
    frame_header,
    read_frame_header,
)
from dugong_like.http.h2.violations import ErrorCode, Violation


def test_header_has_length_type_flags_and_stream():
    header = frame_header(0x010203, frames.HEADERS, frames.END_STREAM | frames.END_HEADERS, 0x7FEE)

    assert header == b"\x01\x02\x03\x01\x05\x00\x00\x7f\xee"
    assert len(header) == frames.HEADER_SIZE
    assert read_frame_header(b"xy" + header + b"z", 2) == (0x010203, 1, 5, 0x7FEE)


def test_reserved_bit_of_the_stream_is_ignored():
    assert read_frame_header(b"\0\0\0\0\0\xff\xff\xff\xff", 0) == (0, 0, 0, 2**31 - 1)


def test_names_of_types():
    assert [getattr(frames, name) for name in frames.NAMES] == list(range(10))


def test_settings_are_encoded_and_decoded():
    pairs = [(SettingId.INITIAL_WINDOW_SIZE, 2**31 - 1), (SettingId.ENABLE_PUSH, 0)]
    payload = encode_settings(pairs)

    assert payload == b"\0\x04\x7f\xff\xff\xff\0\x02\0\0\0\0"
    assert decode_settings(payload) == pairs
    assert decode_settings(b"") == []


def test_unknown_settings_are_left_out():
    assert decode_settings(b"\x0a\x0a\0\0\0\x01" + encode_settings([(3, 7)])) == [(3, 7)]


PROTOCOL, FLOW = ErrorCode.PROTOCOL_ERROR, ErrorCode.FLOW_CONTROL_ERROR


@pytest.mark.parametrize(
    ("identifier", "value", "code"),
    [
        (SettingId.ENABLE_PUSH, 1, PROTOCOL),  # by a server (RFC 9113 section 6.5.2)
        (SettingId.ENABLE_PUSH, 2, PROTOCOL),
        (SettingId.INITIAL_WINDOW_SIZE, 2**31, FLOW),
        (SettingId.MAX_FRAME_SIZE, 16383, PROTOCOL),
        (SettingId.MAX_FRAME_SIZE, 2**24, PROTOCOL),
        (SettingId.ENABLE_CONNECT_PROTOCOL, 2, PROTOCOL),  # RFC 8441 section 3
        (SettingId.NO_RFC7540_PRIORITIES, 2, PROTOCOL),  # RFC 9218 section 2.1
    ],
)
def test_values_out_of_range(identifier, value, code):
    with pytest.raises(Violation, match=f"SETTINGS_{identifier.name} of {value}") as info:
        decode_settings(encode_settings([(identifier, value)]))

    assert info.value.code is code


@pytest.mark.parametrize("size", [1, 5, 7, 11])
def test_cut_settings(size):
    with pytest.raises(Violation, match="section 6.5") as info:
        decode_settings(bytes(size))

    assert info.value.code is ErrorCode.FRAME_SIZE_ERROR
