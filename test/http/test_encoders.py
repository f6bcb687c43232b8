"""Compressed bodies of requests: whole and while they are sent, decoded again by others."""

import asyncio
import gzip
import io
import os
import sys
import tracemalloc
import zlib

import pytest
from kit.streams import finish
from kit.support import pattern

from dugong_like import (
    BodyFollowing,
    HTTPConnection,
    Request,
    ScriptedTransport,
    StateError,
    StreamNotReady,
)
from dugong_like.http.codings import decode_all
from dugong_like.http.decompressors import brotli_module, zstd_module
from dugong_like.http.encoders import (
    LEVELS,
    AsyncEncodedBody,
    EncodedBody,
    compressor,
    encode_all,
    encoded_body,
)
from dugong_like.http.multipart import multipart
from dugong_like.http.request import Source

LONG = b"".join(b"%d, " % number for number in range(60_000))
CODINGS = ["gzip", "deflate", "br", "zstd"]
DECOMPRESS = {
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
    "br": lambda data: brotli_module().decompress(data),
    "zstd": lambda data: zstd_module().decompress(data),
}
MODULES = {"br": "brotli", "zstd": "backports.zstd"}

codings = pytest.mark.parametrize("coding", CODINGS)


@pytest.fixture(autouse=True)
def _has_libraries():
    pytest.importorskip("brotli")
    if zstd_module() is None:
        pytest.skip("zstd is not installed")


def sent(source):
    assert source.begin() is None
    found = b""
    while data := finish(source.co_next()):
        found += data
    return found


@codings
@pytest.mark.parametrize("data", [b"", b"x", LONG, pattern(100_000)], ids=len)
def test_whole_bodies(coding, data):
    encoded = encode_all(data, coding)

    assert DECOMPRESS[coding](encoded) == data
    assert decode_all(encoded, coding) == data
    for same in (bytearray(data), memoryview(data)):
        assert encoded_body(same, coding) == encoded
    assert data is not LONG or len(encoded) < len(data) / 2


@codings
def test_levels(coding):
    lowest, highest, usual = LEVELS[coding]

    assert encode_all(LONG, coding) == encode_all(LONG, coding, usual)
    assert len(encode_all(LONG[:50_000], coding, highest)) < len(encode_all(LONG, coding, lowest))
    for level in (lowest - 1, highest + 1):
        with pytest.raises(ValueError, match=f"level of {coding} is {lowest} to {highest}"):
            compressor(coding, level)
    for level in ("6", 6.0, True):
        with pytest.raises(TypeError, match="level is a number"):
            compressor(coding, level)


@pytest.mark.parametrize("coding", ["", "identity", "compress", "GZIP", None])
def test_other_codings_are_refused(coding):
    for encode in (encode_all, encoded_body):
        with pytest.raises(ValueError, match="a content coding is one of gzip, deflate, br, zstd"):
            encode(b"", coding)
    with pytest.raises(ValueError, match="a content coding is one of"):
        encoded_body([b""], coding)


@pytest.mark.parametrize("coding", ["br", "zstd"])
def test_without_its_library_a_coding_is_refused(coding, monkeypatch):
    for name in ("brotli", "backports.zstd", "compression", "compression.zstd"):
        monkeypatch.setitem(sys.modules, name, None)
    if "backports" in sys.modules:
        monkeypatch.delattr(sys.modules["backports"], "zstd", raising=False)
    with pytest.raises(ImportError, match=rf"pip install dugong-like\[{coding}\]"):
        encoded_body(b"", coding)


@codings
@pytest.mark.parametrize(
    ("make", "content"),
    [
        (lambda: io.BytesIO(LONG), LONG),
        (lambda: [LONG[:10], b"", LONG[10:]], LONG),
        (list, b""),
        (lambda: (b"x",), b"x"),
        (lambda: io.BytesIO(b""), b""),
        (lambda: multipart({"a": "b"}, boundary="B"), multipart({"a": "b"}, boundary="B").read()),
    ],
)
def test_bodies_that_are_compressed_while_they_are_sent(coding, make, content):
    body = encoded_body(make(), coding)
    source = Source(body)

    assert isinstance(body, EncodedBody)
    assert source.rewindable()
    for _ in range(2):
        assert decode_all(sent(source), coding) == content


def test_a_stream_is_sent_from_its_present_position():
    stream = io.BytesIO(b"0123456789")
    stream.seek(4)
    source = Source(encoded_body(stream, "gzip"))

    for _ in range(2):
        assert gzip.decompress(sent(source)) == b"456789"


def test_an_iterator_is_sent_once():
    source = Source(encoded_body(iter([b"abc"]), "gzip"))

    assert not source.rewindable()
    assert gzip.decompress(sent(source)) == b"abc"
    with pytest.raises(StateError):
        source.begin()


@codings
def test_memory_is_bounded(coding):
    body = encoded_body((LONG[:50_000] for _ in range(700)), coding, LEVELS[coding].lowest)
    body.read(1)
    memory = bytearray(65536)
    tracemalloc.start()
    while body.readinto(memory):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000  # of 35 MB in pieces of 50 KB


def test_a_non_blocking_stream_is_waited_for():
    receiver, sender = os.pipe()
    os.set_blocking(receiver, False)
    with io.FileIO(receiver, "rb") as stream:
        source = Source(encoded_body(stream, "gzip"))
        source.begin()
        op = source.co_next()
        assert next(op).fd == receiver
        os.write(sender, b"abc")
        os.close(sender)
        found = b""
        while data := finish(op):
            found += data
            op = source.co_next()
    assert gzip.decompress(found) == b"abc"


def test_a_stream_that_cannot_be_waited_for():
    class Never(io.RawIOBase):
        def readable(self):
            return True

        def readinto(self, memory):
            return None

    with pytest.raises(StreamNotReady):
        encoded_body(Never(), "gzip").read(1)


def test_moving():
    body = encoded_body([LONG], "gzip")
    with pytest.raises(OSError):
        body.fileno()
    assert (body.readable(), body.seekable(), body.tell()) == (True, True, 0)
    first = body.read(10)
    assert body.tell() == body.seek(10) == body.seek(0, os.SEEK_CUR) == 10
    for place, whence in ((5, 0), (0, os.SEEK_END), (1, os.SEEK_CUR)):
        with pytest.raises(io.UnsupportedOperation):
            body.seek(place, whence)
    assert body.seek(0) == 0
    assert body.read(10) == first


@pytest.mark.parametrize("body", [5, "text", BodyFollowing(5), object()])
def test_other_bodies_are_refused(body):
    with pytest.raises(TypeError):
        encoded_body(body, "gzip")


def test_no_body_stays_none():
    assert encoded_body(None, "gzip") is None


def test_items_have_to_be_bytes():
    with pytest.raises(TypeError, match="a body consists of bytes, not of str"):
        encoded_body(["text"], "gzip").read()


@codings
def test_on_the_wire(coding):
    transport = ScriptedTransport([b"HTTP/1.1 204 No Content\r\n\r\n"])
    with HTTPConnection("h", transport=transport) as conn:
        body = encoded_body([LONG], coding)
        conn.send(Request("PUT", "/", {"Content-Encoding": coding}, body))
        assert conn.read_response().status == 204
    head, _, rest = transport.streams[0].sent.partition(b"\r\n\r\n")
    assert b"Transfer-Encoding: chunked" in head
    content = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        content, rest = content + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    assert decode_all(content, coding) == LONG


class Pieces:
    """An asynchronous iterable that says how often it was closed."""

    def __init__(self, *pieces):
        self.pieces = pieces
        self.closed = 0

    async def __aiter__(self):
        try:
            for piece in self.pieces:
                yield piece
        finally:
            self.closed += 1


@codings
def test_asynchronous_iterables(coding):
    async def main():
        return [data async for data in body]

    pieces = Pieces(LONG[:10], bytearray(LONG[10:]))
    body = encoded_body(pieces, coding)
    assert isinstance(body, AsyncEncodedBody)
    for _ in range(2):
        found = asyncio.run(main())
        assert all(found)
        assert decode_all(b"".join(found), coding) == LONG
    assert pieces.closed == 2


def test_an_asynchronous_iterable_is_closed_when_the_body_is():
    async def main():
        async for _ in (iterator := aiter(body)):
            break
        await iterator.aclose()

    pieces = Pieces(os.urandom(100_000), b"more")
    body = encoded_body(pieces, "gzip")
    asyncio.run(main())
    assert pieces.closed == 1
    with pytest.raises(TypeError, match="a body consists of bytes"):
        body = encoded_body(Pieces("text"), "gzip")
        asyncio.run(main())
