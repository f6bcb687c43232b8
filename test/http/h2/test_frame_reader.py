"""Frames as bytes: cut everywhere, padded, and out of order."""

import pytest
from kit.h2_frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PADDED,
    PING,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS_ACK,
    WITH_PRIORITY,
    block,
    data,
    frame,
    headers,
    ping,
    rst_stream,
    settings,
    window_update,
)

from dugong_like.http.h2.frame_reader import FrameReader
from dugong_like.http.h2.options import H2Options, H2Settings
from dugong_like.http.h2.violations import ErrorCode, Violation

BLOCK = block((":status", "200"), ("a", "b" * 50))
TWO = frame(HEADERS, END_STREAM, 5, BLOCK[:20]) + frame(CONTINUATION, END_HEADERS, 5, BLOCK[20:])
GOOD = [
    *(settings((3, 100)), SETTINGS_ACK, headers(1), headers(3, end=True), data(1, b"hello")),
    *(data(1, b"", end=True), data(1, b"x" * 300, end=True), data(3, b"pad", padding=7), ping()),
    *(data(3, b"", padding=0, end=True), data(3, b"", padding=255), rst_stream(7), TWO),
    frame(HEADERS, END_HEADERS | PADDED, 9, b"\x03" + BLOCK + bytes(3)),
    frame(HEADERS, END_HEADERS | WITH_PRIORITY, 9, bytes(5) + BLOCK),
    frame(HEADERS, END_HEADERS | PADDED | WITH_PRIORITY, 9, b"\x00" + bytes(5) + BLOCK),
    frame(HEADERS, PADDED, 9, b"\x01" + BLOCK[:5] + bytes(1))
    + frame(CONTINUATION, 0, 9, b"")
    + frame(CONTINUATION, END_HEADERS, 9, BLOCK[5:]),
    frame(0xAB, 0xFF, 2**31 - 1, b"extension"),
    frame(0xAB, 0, 2**31 + 5, b""),  # with the reserved bit
    window_update(1, 5),
]


class Recorder:
    """A handler that keeps what it gets; the parts of one DATA frame as one.

    Args:
        wholes: bytes of the responses that it takes as a whole, one after the other.

    """

    def __init__(self, *wholes):
        self.calls = []
        self.content = {}
        self.pieces = []
        self._wholes = [*wholes]

    def on_responses(self, data, at, size):
        assert size == len(data)
        while self._wholes and bytes(data[at : at + len(self._wholes[0])]) == self._wholes[0]:
            at += len(self._wholes[0])
            self.pieces.append(self._wholes.pop(0))
        return at

    def on_data(self, stream_id, data, size, end):
        self.pieces.append((stream_id, len(data), end))
        kept, counted, _ = self.content.get(stream_id, (b"", 0, False))
        assert type(data) is bytes
        self.content[stream_id] = kept + data, counted + size, end

    def on_headers(self, stream_id, block, end):
        assert type(block) is bytes
        self.calls.append((stream_id, block, end))

    def on_control(self, kind, flags, stream_id, payload):
        assert type(payload) is bytes
        self.calls.append((kind, flags, stream_id, payload))


def play(*pieces, **options):
    recorder = Recorder()
    reader = FrameReader(recorder, H2Options(**options))
    for piece in pieces:
        reader.feed(piece)
    return recorder


def refuse(code, match, *wire, **options):
    """Check that *wire* is refused as soon as that is certain, however it is cut."""
    whole = b"".join(wire)
    for pieces in ([whole], [whole[at : at + 1] for at in range(len(whole))]):
        with pytest.raises(Violation, match=match) as refused:
            play(settings(), *pieces, **options)
        assert refused.value.code == code


def test_every_frame_cut_at_every_byte():
    wire = b"".join(GOOD)
    whole = play(wire)
    assert whole.content == {
        1: (b"hello" + b"x" * 300, 305, True),
        3: (b"pad", 3 + 8 + 1 + 256, False),
    }
    assert [call for call in whole.calls if len(call) == 3] == [
        *((1, block((":status", "200")), False), (3, block((":status", "200")), True)),
        *((5, BLOCK, True), (9, BLOCK, False), (9, BLOCK, False), (9, BLOCK, False)),
        (9, BLOCK, False),
    ]
    assert (0xAB, 0, 5, b"") in whole.calls
    ways = [[wire[:cut], wire[cut:]] for cut in range(len(wire) + 1)]
    ways += [
        [wire[at : at + size] for at in range(0, len(wire), size)] for size in (1, 2, 3, 7, 9, 10)
    ]
    ways += [map(memoryview, ways[50]), map(memoryview, ways[-3])]
    for pieces in ways:
        recorder = play(*pieces)
        assert (recorder.calls, recorder.content) == (whole.calls, whole.content)


def handed_over(*wire, wholes=(), **options):
    """Return the pieces of content that come of *wire*, which arrives at once."""
    recorder = Recorder(*wholes)
    reader = FrameReader(recorder, H2Options(**options))
    reader.feed(settings())
    reader.feed(memoryview(b"".join(wire)))
    return recorder.pieces


def test_frames_of_content_in_a_row_are_handed_over_together():
    large = data(1, bytes(9000))
    assert handed_over(*[large] * 5) == [(1, 45_000, False)]
    assert handed_over(large, large, data(1, b"end", end=True)) == [(1, 18_003, True)]
    assert handed_over(large, data(1, b"end", end=True), large) == [
        (1, 9003, True),
        (1, 9000, False),  # which is a violation, for the handler to see
    ]
    assert handed_over(large, large, data(3, b"other"), large) == [
        (1, 18_000, False),
        (3, 5, False),
        (1, 9000, False),
    ]
    assert handed_over(large, data(1, b""), data(1, b""), large) == [
        *((1, 9000, False), (1, 0, False), (1, 0, False), (1, 9000, False)),
    ]
    assert handed_over(large, data(1, b"x", padding=3), ping(), large, large[:50]) == [
        *((1, 9000, False), (1, 1, False), (1, 9000, False), (1, 41, False)),
    ]
    with pytest.raises(Violation, match="DATA of 16385 bytes"):
        handed_over(large, data(1, bytes(16385)))


def test_whole_responses_are_handed_over_as_such_if_they_are_taken():
    """The handler sees where one may begin, and the reader goes on behind those that it takes."""
    one, other = (
        headers(number) + data(number, b"hello", end=True, padding=padding)
        for number, padding in ((1, 0), (3, 2))
    )
    content = [(1, 5, True), (3, 5, True)]
    assert handed_over(one, other, wholes=[one, other]) == [one, other]
    assert handed_over(one, other, wholes=[one]) == [one, content[1]]
    assert handed_over(other, ping(), one, wholes=[one]) == [content[1], one]
    assert handed_over(one, other, wholes=[other]) == [content[0], other]
    assert handed_over(one, other) == content
    cut = frame(HEADERS, 0, 1, BLOCK[:5]) + frame(CONTINUATION, END_HEADERS, 1, BLOCK[5:])
    padded = frame(HEADERS, END_HEADERS | PADDED, 1, b"\0" + BLOCK)
    for begin in (headers(1, end=True), padded, cut):
        whole = begin + data(1, b"hello", end=True)
        assert handed_over(whole, wholes=[whole]) == content[:1]


def test_content_is_handed_over_before_its_frame_is_complete():
    wire = data(1, b"x" * 1000, end=True)
    recorder = play(settings(), wire[:509])
    assert recorder.content == {1: (b"x" * 500, 500, False)}


@pytest.mark.parametrize("start", [b"HTTP/1.1 400 Bad Request\r\n", b"HTTP/1.0 400 No\r\n"])
def test_a_server_of_http_1_is_named(start):
    with pytest.raises(Violation, match=r"this is not HTTP/2, but HTTP/1: .*section 3.4.*HTTP/1"):
        play(start)


@pytest.mark.parametrize("start", [ping(), headers(1), data(1, b"x"), b"\0" * 9, b"\xff" * 50])
def test_settings_come_first(start):
    for pieces in ([start], [start[at : at + 1] for at in range(len(start))]):
        with pytest.raises(
            Violation, match=r"the first frame has to be SETTINGS \(RFC 9113"
        ) as exc:
            play(*pieces)
        assert exc.value.code == ErrorCode.PROTOCOL_ERROR


def test_frames_beyond_the_largest_size_are_refused_at_their_header():
    for kind in (DATA, HEADERS, PING, 0xAB):
        message = "of 16385 bytes; at most 16384 are taken"
        refuse(ErrorCode.FRAME_SIZE_ERROR, message, frame(kind, 0, 1, b"", length=16385))
    larger = H2Settings(max_frame_size=20_000)
    play(settings(), data(1, bytes(20_000)), settings=larger)
    refuse(
        ErrorCode.FRAME_SIZE_ERROR,
        "at most 20000",
        frame(DATA, 0, 1, b"", length=20_001),
        settings=larger,
    )


def test_padding_that_does_not_fit():
    for kind in (DATA, HEADERS):
        flags = PADDED | END_HEADERS if kind == HEADERS else PADDED
        refuse(ErrorCode.FRAME_SIZE_ERROR, "without its length", frame(kind, flags, 1))
        for payload in (b"\x01", b"\x05hell", b"\xff" + bytes(254)):
            refuse(ErrorCode.PROTOCOL_ERROR, "of padding", frame(kind, flags, 1, payload))
        play(settings(), frame(kind, flags, 1, b"\x04" + bytes(4)))


def test_a_priority_that_does_not_fit():
    for payload in (b"", bytes(4)):
        wire = frame(HEADERS, END_HEADERS | WITH_PRIORITY, 1, payload)
        refuse(ErrorCode.FRAME_SIZE_ERROR, "too short for its priority", wire)
    wire = frame(HEADERS, END_HEADERS | WITH_PRIORITY | PADDED, 1, b"\x02" + bytes(6))
    refuse(ErrorCode.FRAME_SIZE_ERROR, "too short for its priority", wire)


START = frame(HEADERS, 0, 1, BLOCK[:9])


@pytest.mark.parametrize(
    "between", [ping(), data(1, b"x"), data(3, b""), headers(1), headers(3), settings(),
    rst_stream(1), frame(0xAB), frame(PUSH_PROMISE, 0, 1, bytes(9)), window_update(0, 1)],
)  # fmt: skip
def test_nothing_may_be_between_the_parts_of_a_block(between):
    refuse(ErrorCode.PROTOCOL_ERROR, "inside of a header block of stream 1", START, between)


def test_continuation_where_none_may_be():
    end = frame(CONTINUATION, END_HEADERS, 1, BLOCK[9:])
    refuse(ErrorCode.PROTOCOL_ERROR, "without HEADERS in front", end)
    refuse(ErrorCode.PROTOCOL_ERROR, "without HEADERS in front", START, end, end)
    refuse(ErrorCode.PROTOCOL_ERROR, "without HEADERS in front", headers(1), end)
    other = frame(CONTINUATION, END_HEADERS, 3, BLOCK[9:])
    refuse(ErrorCode.PROTOCOL_ERROR, "stream 3 inside of a header block of stream 1", START, other)
    refuse(ErrorCode.PROTOCOL_ERROR, "HEADERS without a stream", frame(HEADERS, 0, 0, BLOCK))


def test_endless_header_blocks():
    part = frame(CONTINUATION, 0, 1, b"")
    refuse(
        ErrorCode.ENHANCE_YOUR_CALM, "4 frames and 9 bytes", START, part * 3, max_continuations=2
    )
    play(settings(), START, part * 2, max_continuations=2)
    big = frame(CONTINUATION, 0, 1, bytes(10_000))
    refuse(ErrorCode.ENHANCE_YOUR_CALM, "at most 9 and 26384", START, big * 3, max_list=10_000)


def test_short_control_frames_are_left_to_the_handler():
    recorder = play(settings(), frame(RST_STREAM, 0, 1, b"12"))
    assert recorder.calls[-1] == (RST_STREAM, 0, 1, b"12")
