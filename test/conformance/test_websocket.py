"""The cases of the Autobahn suite for WebSocket clients, told again: groups 1 to 7, 9, 12 and 13.

Each case is a table row: what the server sends, and what comes of it: the messages, the frames that
are sent back, and the close code if the WebSocket fails. Each is delivered whole and byte by byte.
"""

import struct
import zlib

import pytest
from kit.frames import (
    BINARY,
    CONT,
    PING,
    PONG,
    RSV1,
    RSV2,
    RSV3,
    TEXT,
    close,
    frame,
    parsed,
)

from dugong_like import Deflate
from dugong_like.http.websocket.frames import Frames

CLOSE = 8
MIB = 1 << 20


def outcome(frames, data, cut):
    """Return messages, replies and the code of the failure after receiving *data*."""
    for start in range(0, len(data), cut):
        frames.receive(data[start : start + cut])
    messages, parts = [], []
    while frames.pieces:
        piece = frames.pieces.popleft()
        parts.append(piece.data)
        if piece.is_last:
            whole = parts[0] if isinstance(parts[0], str) else b"".join(parts)
            if piece.is_text and isinstance(whole, bytes):
                whole = whole.decode()
            messages.append(whole)
            parts = []
    replies = [
        (opcode, payload) for opcode, payload, _, _ in parsed(b"".join(frames.take_output()))
    ]
    failure = frames.failure
    return messages, replies, None if failure is None else failure.code


def check(cases, make=lambda: Frames(20 * MIB, None), cuts=None):
    """Check each of *cases*: name, bytes, messages, replies without the close frame, code.

    A code is that with which the WebSocket fails, and the only close frame has it.
    """
    wrong = []
    for name, data, messages, replies, code in cases:
        wire = data if isinstance(data, bytes) else b"".join(data)
        for cut in cuts or {len(wire) or 1, 1 if len(wire) < 3000 else 1009}:
            got = outcome(make(), wire, cut)
            sent = got[1]
            closing = [struct.unpack("!H", payload[:2])[0] for op, payload in sent if op == CLOSE]
            others = [reply for reply in sent if reply[0] != CLOSE]
            expected = [code] if code is not None else []
            if (got[0], others, got[2], closing) != (messages, replies, code, expected):
                wrong.append((name, cut, got))
    assert not wrong


SIZES = (0, 1, 125, 126, 127, 128, 65535, 65536)


@pytest.mark.reliability(71)
def test_1_framing():
    check(
        [(f"1.1 {size}", frame(TEXT, "*" * size), ["*" * size], [], None) for size in SIZES]
        + [
            (f"1.2 {size}", frame(BINARY, b"\xfe" * size), [b"\xfe" * size], [], None)
            for size in SIZES
        ]
        + [("many", frame(TEXT, "a") * 50 + frame(BINARY, b"b"), ["a"] * 50 + [b"b"], [], None)]
    )


@pytest.mark.reliability(71)
def test_2_pings_and_pongs():
    binary = bytes([0, 0xFF, 0xFE, 0xFD, 0xFC, 0xFB, 0])
    check([
        ("2.1", frame(PING), [], [(PONG, b"")], None),
        ("2.2", frame(PING, "Hello, world!"), [], [(PONG, b"Hello, world!")], None),
        ("2.3", frame(PING, binary), [], [(PONG, binary)], None),
        ("2.4", frame(PING, b"\xfe" * 125), [], [(PONG, b"\xfe" * 125)], None),
        ("2.5", frame(PING, b"\xfe" * 126), [], [], 1002),
        ("2.7", frame(PONG), [], [], None),
        ("2.8", frame(PONG, "unsolicited pong payload"), [], [], None),
        ("2.9", frame(PONG, "unsolicited") + frame(PING, "ping"), [], [(PONG, b"ping")], None),
        (
            "2.10",
            b"".join(frame(PING, f"payload-{n}") for n in range(10)),
            [],
            [(PONG, f"payload-{n}".encode()) for n in range(10)],
            None,
        ),
        ("pong of 126", frame(PONG, b"x" * 126), [], [], 1002),
        ("close of 126", frame(CLOSE, b"\x03\xe8" + b"x" * 124), [], [], 1002),
    ])  # fmt: skip


@pytest.mark.reliability(71)
def test_3_reserved_bits():
    text = frame(TEXT, "Hello")
    cases = []
    for rsv in range(0x10, 0x80, 0x10):
        for opcode in (TEXT, BINARY, PING, PONG, CLOSE):
            bad = frame(opcode, b"\x03\xe8" if opcode == CLOSE else b"x", rsv=rsv)
            cases.append((f"3 {rsv:x} {opcode}", text + bad + text, ["Hello"], [], 1002))
    cases.append(
        ("in a fragment", frame(TEXT, "a", fin=False) + frame(CONT, "b", rsv=RSV2), [], [], 1002)
    )
    check(cases)


@pytest.mark.reliability(71)
def test_4_opcodes():
    text = frame(TEXT, "Hello")
    check([
        (f"4 {opcode}", text + frame(opcode, payload) + frame(PING), ["Hello"], [], 1002)
        for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)
        for payload in (b"", b"reserved opcode payload")
    ])  # fmt: skip


@pytest.mark.reliability(71)
def test_5_fragmentation():
    first, last = frame(TEXT, "fragment1", fin=False), frame(CONT, "fragment2")
    middle = frame(CONT, "fragment2", fin=False)
    whole = "fragment1fragment2"
    ping, pong = frame(PING, "ping payload"), (PONG, b"ping payload")
    check([
        ("5.1", frame(PING, "x", fin=False) + frame(CONT, "y"), [], [], 1002),
        ("5.2", frame(PONG, "x", fin=False) + frame(CONT, "y"), [], [], 1002),
        ("close in fragments", frame(CLOSE, b"\x03\xe8", fin=False), [], [], 1002),
        ("5.3", first + last, [whole], [], None),
        ("5.6", first + ping + last, [whole], [pong], None),
        ("5.9", frame(CONT, "non-continuation") + frame(TEXT, "Hello"), [], [], 1002),
        ("5.12", frame(CONT, "x", fin=False) + frame(TEXT, "Hello"), [], [], 1002),
        ("5.15", first + last + frame(CONT, "x", fin=False) + frame(TEXT, "y"), [whole], [], 1002),
        ("5.18", first + frame(TEXT, "fragment2"), [], [], 1002),
        ("text in binary", frame(BINARY, b"x", fin=False) + frame(TEXT, "y"), [], [], 1002),
        (
            "5.19",
            first + middle + ping + frame(CONT, "3", fin=False) + ping + frame(CONT, "4"),
            ["fragment1fragment234"],
            [pong, pong],
            None,
        ),
        ("empty ones", frame(TEXT, "", fin=False) + frame(CONT, "", fin=False) * 3 + frame(CONT),
         [""], [], None),
        ("6.1.3", frame(TEXT, "", fin=False) + frame(CONT, "middle", fin=False) + frame(CONT),
         ["middle"], [], None),
        ("binary", frame(BINARY, b"\xff", fin=False) + frame(CONT, b"\xfe"),
         [b"\xff\xfe"], [], None),
        ("each byte", frame(TEXT, "a", fin=False) + frame(CONT, "b", fin=False) * 500 + frame(CONT),
         ["a" + "b" * 500], [], None),
    ])  # fmt: skip


VALID = [
    "", "\0", "κόσμε", "Hello-µ@ßöäüàá-UTF-8!!",
    "\u0080", "\u07ff", "\u0800", "\uffff", "\U00010000", "\U0010ffff",
    "\ud7ff", "\ue000", "\ufffd", "\ufffe", "\U0001fffe", "\U0010fffe",
]  # fmt: skip
INVALID = [
    # 6.3 and 6.4: invalid bytes between valid ones, and beyond U+10FFFF
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80edited",
    # 6.8 to 6.10: sequences of five and six bytes, and beyond the end
    b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80", b"\xf7\xbf\xbf\xbf",
    b"\xfb\xbf\xbf\xbf\xbf", b"\xfd\xbf\xbf\xbf\xbf\xbf", b"\xf4\x90\x80\x80",
    # 6.12: continuation bytes alone
    b"\x80", b"\xbf", b"\x80\xbf", bytes(range(0x80, 0xC0)),
    # 6.13: lonely first bytes
    *(bytes([first]) + b" " for first in range(0xC0, 0xFE)),
    # 6.14: the last byte is missing
    b"\xc0", b"\xe0\x80", b"\xf0\x80\x80", b"\xdf", b"\xef\xbf", b"\xf7\xbf\xbf",
    # 6.16: impossible bytes
    b"\xfe", b"\xff", b"\xfe\xfe\xff\xff",
    # 6.17 to 6.19: overlong forms
    b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xf8\x80\x80\x80\xaf",
    b"\xc1\xbf", b"\xe0\x9f\xbf", b"\xf0\x8f\xbf\xbf", b"\xc0\x80", b"\xe0\x80\x80",
    # 6.20 and 6.21: surrogates, single and in pairs
    b"\xed\xa0\x80", b"\xed\xad\xbf", b"\xed\xae\x80", b"\xed\xaf\xbf", b"\xed\xb0\x80",
    b"\xed\xbe\x80", b"\xed\xbf\xbf", b"\xed\xa0\x80\xed\xb0\x80", b"\xed\xaf\xbf\xed\xbf\xbf",
]  # fmt: skip


def split(payload, opcode=TEXT):
    """Return *payload* as a message with a frame for each byte."""
    pieces = [payload[at : at + 1] for at in range(len(payload))] or [b""]
    wire = b""
    for number, piece in enumerate(pieces):
        wire += frame(opcode if not number else CONT, piece, fin=number == len(pieces) - 1)
    return wire


@pytest.mark.reliability(71)
def test_6_utf_8():
    cases = []
    for text in VALID:
        data = text.encode()
        cases += [
            (text, frame(TEXT, data), [text], [], None),
            (f"split {text}", split(data), [text], [], None),
            (f"binary {text}", frame(BINARY, data), [data], [], None),
        ]
    for data in INVALID:
        cases += [
            (data, frame(TEXT, data), [], [], 1007),
            (data, frame(TEXT, b"good" + data + b"good") + close(1000), [], [], 1007),
            (data, split(data), [], [], 1007),
            (data, frame(BINARY, data), [data], [], None),
        ]
    check(cases)


def test_6_invalid_text_is_noticed_before_the_message_ends():
    """6.3 and 6.4: with the frame that makes it invalid."""
    for data in INVALID[:2]:
        frames = Frames(MIB, None)
        frames.receive(frame(TEXT, data, fin=False))
        assert frames.failure is not None


@pytest.mark.reliability(71)
def test_7_closing():
    good = [1000, 1001, 1002, 1003, *range(1007, 1015), 3000, 3999, 4000, 4999]
    bad = [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]
    wrong = []
    for name, payload, code, reason in [
        ("7.3.1", b"", 1005, ""),
        ("7.3.4", b"\x03\xe8Hello World!", 1000, "Hello World!"),
        ("7.3.5", b"\x03\xe8" + b"*" * 123, 1000, "*" * 123),
        *((f"7.7 {code}", struct.pack("!H", code), code, "") for code in good),
    ]:
        for after in (b"", frame(PING), frame(TEXT, "late"), b"\xff" * 50):  # 7.1.2 to 7.1.5
            frames = Frames(MIB, None)
            got = outcome(frames, frame(TEXT, "Hello") + frame(CLOSE, payload) + after, 10_000)
            if got != (["Hello"], [(CLOSE, payload)], None) or frames.close != (code, reason):
                wrong.append((name, after, got, frames.close))
    assert not wrong
    check([
        ("7.3.2", frame(CLOSE, b"\x03"), [], [], 1002),
        ("7.3.6", frame(CLOSE, b"\x03\xe8" + b"*" * 124), [], [], 1002),
        ("7.5.1", close(1000, b"\xce\xba\xed\xa0\x80edited"), [], [], 1007),
        *((f"7.9 {code}", close(code), [], [], 1002) for code in bad),
        *((f"7.9 {code} with reason", close(code, "why"), [], [], 1002) for code in bad),
    ])  # fmt: skip


def test_7_a_close_frame_in_the_middle_of_a_message():
    """7.1.5: it is as good as behind the message, which does not count (RFC 6455 section 5.4)."""
    for opcode in (TEXT, BINARY):
        frames = Frames(MIB, None)
        wire = frame(opcode, "fragment1", fin=False) + close(1000) + frame(CONT, "fragment2")
        assert outcome(frames, wire, 1000) == ([], [(CLOSE, b"\x03\xe8")], None)
        assert frames.close == (1000, "")


def test_7_the_second_close_frame():
    """7.1.1: the answer to one's own close frame is not answered again."""
    frames = Frames(MIB, None)
    frames.send_close(1000, "")
    frames.take_output()

    assert outcome(frames, frame(TEXT, "late") + close(1000), 1) == (["late"], [], None)
    assert frames.closed_by_both


@pytest.mark.reliability(71)
def test_9_sizes():
    big = b"\xfe" * (4 * MIB)
    text = "ü" * (2 * MIB)
    parts = [text.encode()[at : at + 65536] for at in range(0, 4 * MIB, 65536)]
    fragments = [
        frame(CONT if number else TEXT, part, fin=part is parts[-1])
        for number, part in enumerate(parts)
    ]
    check(
        [
            ("9.1", frame(TEXT, text), [text], [], None),
            ("9.2", frame(BINARY, big), [big], [], None),
            ("9.3", fragments, [text], [], None),
        ],
        cuts=[65536],
    )


@pytest.mark.reliability(71)
def test_lengths_and_masks_that_are_not_allowed():
    check([
        ("masked", frame(TEXT, "Hello", mask=b"abcd"), [], [], 1002),
        ("masked ping", frame(PING, "Hello", mask=b"\0\0\0\0"), [], [], 1002),
        ("length of 63 bits", frame(BINARY, length=2**63 - 1), [], [], 1009),
        ("length with the highest bit", b"\x82\x7f" + b"\xff" * 8, [], [], 1009),
        ("close of 16 bits", b"\x88\x7e\x00\x7e" + b"x" * 126, [], [], 1002),
        ("nothing but rubbish", b"HTTP/1.1 200 OK\r\n\r\n" * 10, [], [], 1002),
    ])  # fmt: skip


def agreed(server_bits=15, *, no_context=False):
    """Return frames with compression, and what a server compresses with."""
    offer = Deflate(
        server_no_context_takeover=no_context,
        client_no_context_takeover=no_context,
        server_max_window_bits=None if server_bits == 15 else server_bits,
    ).offer()
    response = [("server_no_context_takeover", None)] if no_context else []
    if server_bits != 15:
        response.append(("server_max_window_bits", str(server_bits)))
    return Frames(20 * MIB, None, offer.process_response_params(response, []))


class Encoder:
    """Compresses messages as a server does."""

    def __init__(self, bits=15, no_context=False):
        self._bits = bits
        self._no_context = no_context
        self._encoder = zlib.compressobj(wbits=-bits)

    def __call__(self, data, opcode=TEXT, cut=None):
        if self._no_context:
            self._encoder = zlib.compressobj(wbits=-self._bits)
        packed = self._encoder.compress(data) + self._encoder.flush(zlib.Z_SYNC_FLUSH)
        packed = packed[:-4]
        cut = cut or len(packed) or 1
        pieces = [packed[at : at + cut] for at in range(0, len(packed), cut)]
        return b"".join(
            frame(CONT if number else opcode, piece, number == len(pieces) - 1,
                  0 if number else RSV1)
            for number, piece in enumerate(pieces)
        )  # fmt: skip


SIZES_12 = (16, 64, 256, 1024, 4096, 8192, 16384, 32768, 65536, 131072)


@pytest.mark.reliability(71)
def test_12_and_13_compression():
    wrong = []
    text = ("{'name': 'value', 'number': 12345, 'nested': {'grüße': 'Ω'}}\n" * 3000).encode()
    for bits in (9, 12, 15):
        for no_context in (False, True):
            for cut in (None, 7, 1000):
                frames, encoder = agreed(bits, no_context=no_context), Encoder(bits, no_context)
                for size in SIZES_12:
                    data = text[:size].decode(errors="ignore").encode()
                    got = outcome(frames, encoder(data, cut=cut), 100_000)
                    binary = outcome(frames, encoder(data, BINARY, cut), 8191)
                    if got != ([data.decode()], [], None) or binary != ([data], [], None):
                        wrong.append((bits, no_context, cut, size))
    assert not wrong


@pytest.mark.reliability(71)
def test_compression_and_control_frames():
    encoder = Encoder()
    data = encoder(b"Hello " * 100, cut=10)
    assert outcome(agreed(), data, 1) == (["Hello " * 100], [], None)
    check(
        [
            ("RSV1 in a continuation", frame(TEXT, b"", False, RSV1) + frame(CONT, b"x", rsv=RSV1),
             [], [], 1002),
            ("RSV1 in a ping", frame(PING, b"x", rsv=RSV1), [], [], 1002),
            ("RSV1 in a close frame", frame(CLOSE, b"\x03\xe8", rsv=RSV1), [], [], 1002),
            ("RSV2", frame(TEXT, b"\0", rsv=RSV1 | RSV2), [], [], 1002),
            ("RSV3", frame(TEXT, b"\0", rsv=RSV3), [], [], 1002),
            ("no deflate", frame(TEXT, b"\xff" * 20, rsv=RSV1), [], [], 1002),
            ("text in it is not UTF-8", Encoder()(b"\xff\xfe"), [], [], 1007),
            ("ping between", frame(TEXT, b"\xf2\x48", False, RSV1) + frame(PING, b"1")
             + frame(CONT, b"\xcd\xc9\xc9\x07\x00"), ["Hello"], [(PONG, b"1")], None),
        ],
        make=agreed,
    )  # fmt: skip
