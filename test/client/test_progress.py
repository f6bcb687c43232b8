"""The progress of request bodies: what the function is called with, for every kind of body."""

import io
import tempfile

import pytest
from kit.support import ScriptedServer, read_head
from kit.ways import on_asyncio, on_trio

from dugong_like import Client, run
from dugong_like.client.progress import ProgressBody, with_progress
from dugong_like.http.request import PIECE

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def taken(body):
    """Read all of *body*, and return it."""
    pieces = []
    while piece := run(body.co_read(1)):
        pieces.append(bytes(piece))
    return b"".join(pieces)


@pytest.mark.parametrize(
    ("body", "total", "steps"),
    [
        (b"abc", 3, [3]),
        (bytearray(b"abc"), 3, [3]),
        (memoryview(b"abc"), 3, [3]),
        (io.BytesIO(b"abc"), 3, [3]),
        ([b"ab", b"c"], None, [2, 3]),
        ((piece for piece in [b"ab", b"c"]), None, [2, 3]),
        (b"", 0, []),
        (b"x" * (PIECE + 1), PIECE + 1, [PIECE, PIECE + 1]),
    ],
)
def test_calls(body, total, steps):
    seen = []
    one = ProgressBody(body, lambda done, all_: seen.append((done, all_)))
    assert one.length == total
    assert len(taken(one)) == (steps[-1] if steps else 0)
    assert seen == [(done, total) for done in steps]


def test_body_that_is_sent_again_begins_with_nothing():
    seen = []
    one = ProgressBody([b"ab", b"c"], lambda done, all_: seen.append(done))
    assert one.rewindable()
    run(one.co_read(1))
    one.rewind()
    assert taken(one) == b"abc"
    assert seen == [2, 3]
    read = ProgressBody(iter([b"x"]), print)
    assert taken(read) == b"x"
    assert not read.rewindable()


def test_file_that_has_been_read_a_little():
    file = io.BytesIO(b"abcdef")
    file.seek(2)
    one = ProgressBody(file, lambda *_: None)
    assert (one.length, taken(one)) == (4, b"cdef")
    one.rewind()
    assert taken(one) == b"cdef"


def test_wrong_function():
    with pytest.raises(TypeError, match="progress"):
        with_progress(b"", 1)


def test_exception_of_the_function_ends_the_request():
    def fail(done, total):
        raise LookupError

    with pytest.raises(LookupError):
        taken(ProgressBody(b"abc", fail))


class Pieces:
    def __aiter__(self):
        return self.generate()

    async def generate(self):
        yield b"ab"
        yield b"c"


@pytest.mark.parametrize("way", [run, on_asyncio, on_trio])
@pytest.mark.parametrize("kind", ["bytes", "file", "pieces", "async"])
def test_last_call_says_that_all_was_sent(way, kind):
    def handler(sock):
        head = read_head(sock)
        wanted = b"abc" if b"ontent-Length: 3" in head else b"0\r\n\r\n"
        data = b""
        while not data.endswith(wanted):
            data += sock.recv(100)
        sock.sendall(OK)

    if kind == "async" and way is run:
        return
    seen = []
    with tempfile.TemporaryFile() as file, ScriptedServer(handler) as server, Client() as client:
        file.write(b"abc")
        file.seek(0)
        body = {"bytes": b"abc", "file": file, "pieces": [b"ab", b"c"], "async": Pieces()}[kind]
        op = client.co_put(
            f"http://127.0.0.1:{server.port}/",
            content=body,
            progress=lambda done, total: seen.append((done, total)),
        )
        assert way(op).status_code == 200
    assert seen[-1] == (3, None if kind in {"pieces", "async"} else 3)
