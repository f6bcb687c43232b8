"""Frames: what is added to the library that reads them, and how its decisions come out."""

import secrets
import zlib

import pytest
from kit.frames import (
    BINARY,
    CONT,
    PING,
    PONG,
    RSV1,
    TEXT,
    close,
    close_codes,
    frame,
    parsed,
)

from dugong_like import Deflate, InvalidFrame, MessageTooLarge
from dugong_like.http.websocket.frames import Frames

MIB = 1 << 20


def deflated(data, level=9):
    encoder = zlib.compressobj(level, wbits=-15)
    return (encoder.compress(data) + encoder.flush(zlib.Z_SYNC_FLUSH))[:-4]


def compressing(max_message=MIB, max_fragment=None):
    extension = Deflate().offer().process_response_params([], [])
    return Frames(max_message, max_fragment, extension)


def sent(frames):
    return b"".join(frames.take_output())


# ---- sending


def test_what_is_sent_is_masked_with_random_keys():
    frames = Frames(MIB, None)
    keys = set()
    for _ in range(100):
        frames.send("x" * 10)
        data = sent(frames)
        assert data[1] & 0x80
        keys.add(data[2:6])

    assert len(keys) == 100


@pytest.mark.reliability(71)
def test_masks_come_from_a_secure_generator(monkeypatch):
    """RFC 6455 section 10.3: they must not be predictable."""
    made = []

    def token_bytes(count):
        made.append(bytes([len(made) + 1]) * count)
        return made[-1]

    monkeypatch.setattr(secrets, "token_bytes", token_bytes)
    frames = Frames(MIB, None)
    frames.send("a")
    frames.send_ping(b"b")
    frames.send_close(1000, "")
    data = frames.take_output()

    assert made == [b"\1" * 4, b"\2" * 4, b"\3" * 4]
    assert [part[2:6] for part in data] == made


def test_kinds_of_frames():
    frames = Frames(MIB, None)
    assert not frames.output
    frames.send("ü")
    frames.send(memoryview(b"\0\1"))
    frames.send("a", is_last=False)
    frames.send_more("b", is_last=True)
    frames.send_ping(b"1")
    frames.send_pong(b"2")
    assert frames.output
    size = frames.output_size()
    data = sent(frames)

    assert len(data) == size
    assert parsed(data) == [
        (TEXT, "ü".encode(), True, False),
        (BINARY, b"\0\1", True, False),
        (TEXT, b"a", False, False),
        (CONT, b"b", True, False),
        (PING, b"1", True, False),
        (PONG, b"2", True, False),
    ]
    assert frames.output_size() == 0


def test_surrogates_are_not_sent():
    frames = Frames(MIB, None)
    with pytest.raises(UnicodeEncodeError):
        frames.send("\ud800")
    assert not frames.output
    assert frames.send("fine")


def test_after_the_close_frame_nothing_is_sent():
    frames = Frames(MIB, None)
    assert frames.is_open
    frames.send_close(1000, "bye")
    assert close_codes(sent(frames)) == [1000]
    assert not frames.is_open
    assert frames.send("late") is False
    assert not frames.output


# ---- receiving


def test_pongs_and_pings_are_noticed():
    frames = Frames(MIB, None)
    frames.receive(frame(PONG, b"1") + frame(PING, b"2"))
    assert list(frames.pongs) == [b"1"]
    assert frames.pings is None
    frames.pings = frames.pongs.copy()
    frames.receive(frame(PING, b"3"))
    assert list(frames.pings) == [b"1", b"3"]
    assert [payload for _, payload, _, _ in parsed(sent(frames))] == [b"2", b"3"]


def test_text_is_checked_before_what_follows_it_counts():
    """A close frame in the same packet does not hide it."""
    frames = Frames(MIB, None)
    frames.receive(frame(TEXT, b"\xff") + close(1000))

    assert close_codes(sent(frames)) == [1007]
    assert isinstance(frames.failure, InvalidFrame)
    assert frames.failure.code == 1007
    assert frames.close[0] == 1007


def test_messages_before_a_failure_count():
    frames = Frames(MIB, None)
    frames.receive(frame(TEXT, "good") + frame(3, b"") + frame(TEXT, "bad"))

    assert [piece.data for piece in frames.pieces] == ["good"]
    assert frames.failure.code == 1002
    assert frames.is_over
    assert not frames.is_ended


def test_the_end_without_a_close_frame():
    frames = Frames(MIB, None)
    frames.end()

    assert frames.is_over
    assert frames.is_ended
    assert frames.failure is None
    assert frames.close == (1006, "")
    frames.end()


def test_close_code_is_that_of_the_server():
    for data, expected in ((close(), (1005, "")), (close(4711, "ü"), (4711, "ü"))):
        frames = Frames(MIB, None)
        frames.receive(data)
        assert frames.close == expected
        assert frames.closed_by_both
        assert len(parsed(sent(frames))) == 1


# ---- limits


@pytest.mark.reliability(71)
def test_limit_counts_bytes_of_the_whole_message():
    def received(*parts, limit=100):
        frames = Frames(limit, None)
        for part in parts:
            frames.receive(part)
        return frames

    assert received(frame(BINARY, b"x" * 100)).failure is None
    assert received(frame(TEXT, "ü" * 50)).failure is None
    fragments = frame(TEXT, "x" * 60, fin=False), frame(CONT, "x" * 40)
    assert received(*fragments).failure is None
    assert received(*fragments, *fragments).failure is None
    for too_much in (
        [frame(BINARY, b"x" * 101)],
        [frame(BINARY, length=101)],  # before the payload arrives
        [frame(BINARY, length=2**63 - 1)],
        [frame(TEXT, "x" * 60, fin=False), frame(CONT, "x" * 41)],
        [frame(BINARY, b"x" * 60, fin=False), frame(CONT, length=41, fin=False)],
    ):
        frames = received(*too_much)
        assert isinstance(frames.failure, MessageTooLarge)
        assert close_codes(sent(frames)) == [1009]
        assert "larger than max_message (100 bytes) allows" in str(frames.failure)
        assert frames.close[0] == frames.failure.code == 1009
    assert received(frame(BINARY, b"x" * 70_000), limit=None).failure is None


@pytest.mark.reliability(71)
def test_limit_counts_decompressed_bytes():
    bomb = deflated(bytes(50 * MIB))
    assert len(bomb) < MIB // 16
    frames = compressing(MIB)
    frames.receive(frame(BINARY, bomb, rsv=RSV1))
    assert isinstance(frames.failure, MessageTooLarge)
    assert close_codes(sent(frames)) == [1009]

    half = deflated(bytes(600_000))
    frames = compressing(MIB)
    frames.receive(frame(BINARY, half + b"\0\0\xff\xff", fin=False, rsv=RSV1))
    assert frames.failure is None
    frames.receive(frame(CONT, half))
    assert isinstance(frames.failure, MessageTooLarge)


def test_limit_is_exact_with_compression():
    """Random bytes do not get smaller: the frame is larger than the message."""
    data = secrets.token_bytes(1000)
    packed = deflated(data)
    assert len(packed) > 1000
    for limit, is_good in ((1000, True), (999, False)):
        frames = compressing(limit)
        frames.receive(frame(BINARY, packed, rsv=RSV1))
        assert (frames.failure is None) is is_good
        if is_good:
            assert frames.pieces[0].data == data


def test_limit_of_a_fragment():
    frames = Frames(None, 10)
    frames.receive(frame(BINARY, b"x" * 10, fin=False) * 1)
    frames.receive(frame(CONT, b"x" * 10, fin=False) * 100)
    assert frames.failure is None
    frames.receive(frame(CONT, length=11))
    assert isinstance(frames.failure, MessageTooLarge)
    frames = compressing(None, 10)
    frames.receive(frame(BINARY, deflated(b"x" * 11), rsv=RSV1))
    assert isinstance(frames.failure, MessageTooLarge)


@pytest.mark.reliability(71)
def test_broken_compression():
    for payload in (b"\xff\xff\xff", b"\x07", deflated(b"x" * 100)[:-3] + b"\xff\xff\xff"):
        frames = compressing()
        frames.receive(frame(BINARY, payload, rsv=RSV1))
        assert isinstance(frames.failure, InvalidFrame), payload
        assert close_codes(sent(frames)) == [1002]
    frames = Frames(MIB, None)  # not negotiated
    frames.receive(frame(BINARY, deflated(b"x"), rsv=RSV1))
    assert frames.failure.code == 1002


def test_uncompressed_messages_in_between():
    frames = compressing()
    frames.receive(frame(TEXT, "plain") + frame(TEXT, deflated(b"packed"), rsv=RSV1))
    frames.receive(frame(TEXT, "plain"))

    assert [piece.data for piece in frames.pieces] == ["plain", "packed", "plain"]


def test_the_end_of_the_compression_of_a_message_does_not_have_to_be_full():
    """RFC 7692 section 7.2.3: a final block, no block, and an empty message."""
    encoder = zlib.compressobj(wbits=-15)
    final = encoder.compress(b"Hello") + encoder.flush()
    for payload, expected in (
        (b"\xf2\x48\xcd\xc9\xc9\x07\x00", "Hello"),  # section 7.2.3.1
        (b"\x00\x05\x00\xfa\xffHello\x00", "Hello"),  # section 7.2.3.3
        (b"\x00", ""),
        (final + b"\x00", "Hello"),  # section 7.2.3.4
    ):
        frames = compressing()
        frames.receive(frame(TEXT, payload, rsv=RSV1))
        assert frames.failure is None
        assert frames.pieces[0].data == expected
