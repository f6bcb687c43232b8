"""Chunked bodies, cut everywhere; and the chunks that we write."""

import pytest

from dugong_like import ConnectionClosed, InvalidResponse
from dugong_like.http.h1.chunked import ChunkedBody, chunk_start, last_chunk
from dugong_like.http.h1.limits import MAX_CHUNK_LINE, MAX_EXTENSIONS, Limits
from dugong_like.transport.buffer import ReceiveBuffer


def play(pieces, limits=None):
    """Return payload, trailers and whether the body is complete."""
    body = ChunkedBody(limits or Limits())
    buffer = ReceiveBuffer(16)
    payload = b""
    owed = 0
    for piece in pieces:
        for at in range(0, len(piece), 4096):
            part = piece[at : at + 4096]
            while len(buffer.room()) < len(part):
                size = len(buffer.data)
                fill = buffer.room()
                buffer.end += len(fill)  # full, so that the next room() is larger
                buffer.room()
                buffer.end -= len(fill)
                assert len(buffer.data) >= size
            buffer.room()[: len(part)] = part
            buffer.end += len(part)
            while owed or (owed := body.next(buffer)):
                taken = buffer.take(owed)
                owed -= len(taken)
                payload += taken
                if not taken:
                    break
    return payload, body.trailers, not owed and body.next(buffer) == 0


def cuts(wire):
    for cut in range(len(wire) + 1):
        yield wire[:cut], wire[cut:]
    yield tuple(bytes([byte]) for byte in wire)


GOOD = {
    b"0\r\n\r\n": (b"", b""),
    b"5\r\nhello\r\n0\r\n\r\n": (b"hello", b""),
    b"00005\r\nhello\r\n000\r\n\r\n": (b"hello", b""),
    b"0000000000000000000000005\r\nhello\r\n0\r\n\r\n": (b"hello", b""),
    b"A\r\n0123456789\r\na\r\n\r\n\r\n\r\n\r\n\r\n\r\n0\r\n\r\n": (
        b"0123456789\r\n\r\n\r\n\r\n\r\n", b"",
    ),
    b"5;a=b\r\nhello\r\n0;last\r\n\r\n": (b"hello", b""),
    b'5 ;\t a = "x;y" ; b\r\nhello\r\n0\r\n\r\n': (b"hello", b""),
    b"5;\xff\r\nhello\r\n0\r\n\r\n": (b"hello", b""),
    b"1\r\na\r\n1\r\nb\r\n0\r\nX: y\r\n z\r\nX: 2\r\n\r\n": (b"ab", b"X: y z\r\nX: 2\r\n"),
}  # fmt: skip

BAD = [
    b"-5\r\nhello\r\n", b"+5\r\nhello\r\n", b"0x5\r\nhello\r\n", b"5_0\r\n", b"\r\n", b" 5\r\n",
    b"5 \r\nhello\r\n", b"5\nhello\r\n", b"5\rhello", b"5;a\nhello", b"5;a\rb\r\nhello", b"g\r\n",
    b"\xb2\r\n", b"5;a\0\r\nhello", b"10000000000000000\r\n", b"fffffffffffffffff\r\n",
    b"5\r\nhello0\r\n\r\n", b"5\r\nhello\n0\r\n\r\n", b"5\r\nhello\rX", b"5\r\nhelloX\r\n",
    b"0\r\nbad\r\n\r\n", b"0\r\n X: y\r\n\r\n", b"0\r\nX : y\r\n\r\n", b"0\r\n\n", b"0\n\r\n",
    b"5\r\nhello\r\n\r\n0\r\n\r\n",
]  # fmt: skip


@pytest.mark.parametrize("wire", GOOD)
def test_bodies_however_they_are_cut(wire):
    for pieces in cuts(wire):
        assert play(pieces) == (*GOOD[wire], True)


@pytest.mark.feature("B35")
@pytest.mark.parametrize("wire", BAD)
def test_faulty_framing_however_it_is_cut(wire):
    for pieces in cuts(wire):
        with pytest.raises(InvalidResponse):
            play(pieces)


@pytest.mark.parametrize("wire", GOOD)
def test_incomplete_bodies_say_so(wire):
    for cut in range(len(wire)):
        assert not play([wire[:cut]])[2]


def test_end_of_the_stream_is_never_the_end_of_the_body():
    body = ChunkedBody(Limits())
    with pytest.raises(ConnectionClosed, match="body: without the last") as failure:
        body.end_of_stream(0, 0)
    assert failure.value.request_sent == "yes"
    with pytest.raises(ConnectionClosed, match="without 3 bytes of a chunk"):
        body.end_of_stream(3, 0)
    buffer = ReceiveBuffer(16)
    buffer.room()[:3] = b"0\r\n"
    buffer.end += 3
    assert body.next(buffer) is None
    with pytest.raises(ConnectionClosed, match="without the end of the trailer section"):
        body.end_of_stream(0, 0)


@pytest.mark.parametrize("start", [b"5;", b"0" * 10, b"5 ;"])
@pytest.mark.parametrize("size", [1000, 100_000])
def test_endless_size_lines_are_refused(start, size):
    endless = start + (b"0" if start.startswith(b"00") else b"x") * (2 * MAX_CHUNK_LINE)
    with pytest.raises(InvalidResponse):
        play([endless[at : at + size] for at in range(0, len(endless), size)])


NEVER = [b"x", b"5x", b"5\n", b"5\rx", b"5 x", b"f" * 17, b"00" + b"1" * 17, b"5;a\rb", b"5;a\0"]


@pytest.mark.parametrize(
    "wire", [*NEVER, *(b"5;" + b"e" * 500 + end for end in (b"\rb", b"\0", b"\n"))]
)
def test_size_line_that_cannot_become_right_is_refused_at_once(wire):
    body = ChunkedBody(Limits())
    buffer = ReceiveBuffer()
    with pytest.raises(InvalidResponse):
        for byte in wire:
            buffer.room()[0] = byte
            buffer.end += 1
            assert body.next(buffer) is None


def test_limits_of_size_lines_can_be_set():
    with pytest.raises(InvalidResponse, match="more than 20 bytes"):
        play([b"5;" + b"x" * 30], Limits(chunk_line=20))
    with pytest.raises(InvalidResponse, match="more than 3 bytes"):
        play([b"1;x\r\na\r\n1;x\r\n"], Limits(extensions=3))
    with pytest.raises(InvalidResponse, match="at most 1 are taken"):
        play([b"0\r\nA: b\r\nA: b\r\n\r\n"], Limits(fields=1))


def test_extensions_of_all_chunks_together_are_bounded():
    chunk = b"1;" + b"x" * 1000 + b"\r\na\r\n"
    few = MAX_EXTENSIONS // 1001

    assert play([chunk * few])[0] == b"a" * few
    with pytest.raises(InvalidResponse, match=f"{MAX_EXTENSIONS} bytes of chunk extensions"):
        play([chunk * (few + 1)])


def test_ten_thousand_chunks_of_one_byte():
    assert play([b"1\r\nx\r\n" * 10_000 + b"0\r\n\r\n"]) == (b"x" * 10_000, b"", True)


def test_trailers_have_limits():
    with pytest.raises(InvalidResponse, match="300 bytes"):
        play([b"0\r\n" + b"A: b\r\n" * 100], Limits(header_size=300))


def test_nothing_is_allocated_for_announced_sizes():
    body = ChunkedBody(Limits())
    buffer = ReceiveBuffer(64)
    buffer.room()[:18] = b"ffffffffffffffff\r\n"
    buffer.end += 18

    assert body.next(buffer) == 2**64 - 1
    assert len(buffer.data) == 64


@pytest.mark.feature("B7")
def test_chunks_that_we_write_are_chunks_that_we_read():
    data = bytes(range(256))
    wire = chunk_start(len(data)) + data + b"\r\n" + last_chunk(b"X: y\r\n")

    assert wire.startswith(b"100\r\n")
    assert play([wire]) == (data, b"X: y\r\n", True)
    assert last_chunk() == b"0\r\n\r\n"
