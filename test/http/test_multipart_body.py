"""Bodies of forms with files: length, memory, position, sending twice, and odd files."""

import asyncio
import gc
import io
import os
import tracemalloc
from pathlib import Path

import pytest
from kit.odd_streams import Doubled, Halved, Made, Quiet, Signed, Wrapper, mapped
from kit.streams import finish
from kit.support import open_descriptors, pattern

from dugong_like import (
    AsyncConnection,
    FileTooShort,
    HTTPConnection,
    Request,
    ScriptedTransport,
    StateError,
    StreamNotReady,
)
from dugong_like.http.multipart import multipart
from dugong_like.http.multipart_body import AsyncMultipart, Multipart
from dugong_like.http.request import Source

GIB = 1 << 30
LONG = pattern(200_000)
HEAD = b'--B\r\nContent-Disposition: form-data; name="f"; filename="a"\r\nContent-Type: a/b\r\n\r\n'
TAIL = b"\r\n--B--\r\n"
REPLY = b"HTTP/1.1 204 No Content\r\n\r\n"


def form_of(*files):
    return multipart(files=[("f", ("a", file, "a/b")) for file in files], boundary="B")


def sent(source):
    """Return the bytes of a body as a connection reads them, and the length that it announces."""
    length = source.begin()
    found = b""
    while data := finish(source.co_next()):
        found += data
    return found, length


def body(*contents):
    return b"\r\n".join(HEAD + content for content in contents) + TAIL


class Large(io.RawIOBase):
    """A file of 10 GiB that is in no memory and on no disk."""

    size = 10 * GIB

    def __init__(self):
        super().__init__()
        self.place = 0

    def readable(self):
        return True

    def seekable(self):
        return True

    def seek(self, place, whence=0):
        self.place = {0: 0, 1: self.place, 2: self.size}[whence] + place
        return self.place

    def tell(self):
        return self.place

    def readinto(self, memory):
        count = min(len(memory), self.size - self.place)
        self.place += count
        return count


class Pipe(io.RawIOBase):
    """Has no positions."""

    def __init__(self, *pieces):
        super().__init__()
        self.pieces = list(pieces)

    def readable(self):
        return True

    def readinto(self, memory):
        data = self.pieces.pop(0) if self.pieces else b""
        if data is None:
            return None
        memory[: len(data)] = data
        return len(data)


class Awaited:
    """A file as anyio and trio make them: its methods are coroutine functions."""

    def __init__(self, data):
        self.inner = io.BytesIO(data)

    async def read(self, size):
        await asyncio.sleep(0)
        return self.inner.read(size)

    async def tell(self):
        return self.inner.tell()

    async def seek(self, place):
        return self.inner.seek(place)


class AwaitedOnce:
    """Such a file without positions."""

    def __init__(self, data):
        self.inner = io.BytesIO(data)

    async def read(self, size):
        return self.inner.read(size)


@pytest.mark.feature("D5")
@pytest.mark.parametrize("content", [b"", b"x", LONG], ids=len)
@pytest.mark.parametrize("kind", [bytes, io.BytesIO, Wrapper, Quiet, "file", "path", "buffered"])
def test_the_length_is_known_and_the_body_may_be_sent_again(kind, content, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(content)
    if kind == "path":
        value = path
    elif isinstance(kind, str):
        value = path.open("rb", buffering=0 if kind == "file" else -1)
    else:
        value = kind(content)
    form = form_of(value, b"second")
    source = Source(form)

    expected = body(content, b"second")
    assert form.length == len(expected)
    assert source.rewindable()
    for _ in range(2):
        assert sent(source) == (expected, len(expected))
    if isinstance(kind, str) and kind != "path":
        value.close()


def test_a_file_is_sent_from_its_present_position_each_time():
    file = io.BytesIO(b"0123456789")
    file.seek(4)
    form = form_of(file, file)
    source = Source(form)
    file.seek(9)

    for _ in range(2):
        assert sent(source)[0] == body(b"456789", b"456789")


def test_memory_may_have_elements_of_any_size():
    assert form_of(memoryview(b"abcdefgh").cast("I")).read() == body(b"abcdefgh")


@pytest.mark.parametrize(
    ("stream", "content", "length"),
    [
        (lambda: mapped(LONG), LONG, len(LONG)),
        (lambda: Made(LONG), LONG, None),
        (lambda: Made(b"abc", end=4096), b"abc", None),
        (lambda: Doubled(LONG), b"".join(bytes([byte]) * 2 for byte in LONG), None),
        (lambda: Halved(LONG), LONG[::2], None),
        (lambda: Signed(b"abc"), b"abcsignature", None),
        (lambda: Pipe(b"abc", LONG[:5000]), b"abc" + LONG[:5000], None),
    ],
    ids=["mmap", "made", "made-page", "doubled", "halved", "signed", "pipe"],
)
def test_streams_that_do_not_tell_their_length(stream, content, length):
    form = form_of(stream(), b"second")

    expected = body(content, b"second")
    assert form.length == (None if length is None else len(expected))
    assert sent(Source(form)) == (expected, form.length)


def test_a_file_of_the_kernel(tmp_path):
    with Path("/proc/self/limits").open("rb", buffering=0) as file:
        form = form_of(file)
        assert form.length is None
        found, length = sent(Source(form))
        file.seek(0)
        assert (found, length) == (body(file.read()), None)


def test_what_cannot_be_read_again_is_not_sent_a_second_time():
    form = form_of(Pipe(b"abc"))
    source = Source(form)

    assert not source.rewindable()
    assert sent(source) == (body(b"abc"), None)
    with pytest.raises(StateError, match="cannot be read a second time"):
        source.begin()
    with pytest.raises(io.UnsupportedOperation):
        form.seek(0)
    assert sent(Source(form)) == (b"", None)


def test_one_pipe_is_no_two_files():
    pipe = Pipe(b"abc")
    with pytest.raises(ValueError, match="twice"):
        form_of(pipe, pipe)


def test_files_that_grow_or_shrink_meanwhile(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(LONG)
    for value in (path, path.open("rb")):
        form = form_of(value)
        with path.open("ab") as file:
            file.write(b"one more line")
        assert sent(Source(form)) == (body(LONG), len(body(LONG)))
        os.truncate(path, 100)
        form.seek(0)
        with pytest.raises(FileTooShort, match="100 bytes instead of 200000"):
            sent(Source(form))
        path.write_bytes(LONG)
        if value is not path:
            value.close()


def test_ten_gibibytes_have_a_length_and_are_not_in_memory():
    file = Large()
    form = form_of(file)
    assert form.length == 10 * GIB + len(HEAD + TAIL)
    memory = memoryview(bytearray(1 << 20))
    tracemalloc.start()
    total = form.readinto(memory)
    for _ in range(200):
        total += form.readinto(memory)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert total == 201 << 20
    assert peak < 1 << 20


@pytest.mark.feature("D5")
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_ten_gibibytes_are_sent_in_bounded_memory(tmp_path):
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(10 * GIB)
    memory = memoryview(bytearray(1 << 22))
    tracemalloc.start()
    form = form_of(path)
    total = 0
    while count := form.readinto(memory):
        total += count
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert total == 10 * GIB + len(HEAD + TAIL)
    assert form.length in {None, total}  # a file that is one hole may be one of the kernel
    assert peak < 1 << 20


def test_a_non_blocking_file_is_waited_for():
    receiver, sender = os.pipe()
    os.set_blocking(receiver, False)
    with io.FileIO(receiver, "rb") as file:
        source = Source(form_of(b"first", file))
        source.begin()
        found = bytes(finish(source.co_next()))
        assert found.endswith(HEAD)
        op = source.co_next()
        assert next(op).fd == receiver
        os.write(sender, b"abc")
        found += bytes(finish(op))
        os.close(sender)
        while data := finish(source.co_next()):
            found += data
    assert found == body(b"first", b"abc")


def test_a_non_blocking_file_without_descriptor_cannot_be_waited_for():
    source = Source(form_of(Pipe(b"abc", None)))
    source.begin()

    with pytest.raises(StreamNotReady):
        while finish(source.co_next()):
            pass


def test_moving():
    form = form_of(LONG)
    assert (form.readable(), form.seekable(), form.tell()) == (True, True, 0)
    with pytest.raises(OSError):
        form.fileno()
    first = form.read(10)
    assert form.tell() == form.seek(10) == form.seek(0, os.SEEK_CUR) == 10
    for place, whence in ((5, 0), (-1, os.SEEK_END), (1, os.SEEK_CUR), (0, 7)):
        with pytest.raises(io.UnsupportedOperation):
            form.seek(place, whence)
    assert form.seek(0, os.SEEK_END) == form.length
    assert form.read() == b""
    assert form.seek(0) == 0
    assert form.read().startswith(first)


def test_paths_are_open_only_while_they_are_read(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(LONG)
    gc.collect()  # of other tests
    before = open_descriptors()
    form = form_of(path, path)
    assert open_descriptors() == before
    form.read(1000)
    assert open_descriptors() == before + 1
    form.read()
    assert open_descriptors() == before
    form.seek(0)
    for end in (lambda: form.seek(0), form.close):
        form.read(1000)
        assert open_descriptors() == before + 1
        end()
        assert open_descriptors() == before
    forgotten = form_of(path)
    forgotten.read(1000)
    del forgotten
    gc.collect()
    assert open_descriptors() == before


def test_closing_leaves_the_files_of_the_caller_open():
    file = io.BytesIO(b"abc")
    with form_of(file) as form:
        form.read(100)
    assert form.closed
    assert not file.closed


@pytest.mark.feature("D5", "E14")
def test_on_the_wire():
    with HTTPConnection("h", transport=(transport := ScriptedTransport([REPLY, REPLY]))) as conn:
        for file in (io.BytesIO(LONG), Pipe(LONG[:1000])):
            form = form_of(file)
            conn.send(Request("POST", "/", {"Content-Type": form.content_type}, form))
            assert conn.read_response().status == 204
            conn.discard()
    wire = transport.streams[0].sent
    assert b"Content-Type: multipart/form-data; boundary=B\r\n" in wire
    assert b"Content-Length: %d\r\n" % len(body(LONG)) in wire
    assert body(LONG) in wire
    assert b"Transfer-Encoding: chunked\r\n" in wire


async def pieces_of(form):
    return b"".join([bytes(piece) async for piece in form])


def test_files_whose_methods_are_coroutines(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"third")
    file = Awaited(b"skipped" + LONG)
    file.inner.seek(7)
    form = form_of(b"first", file, path)

    assert isinstance(form, AsyncMultipart)
    assert form.length is None
    assert form.content_type == "multipart/form-data; boundary=B"
    for _ in range(2):
        assert asyncio.run(pieces_of(form)) == body(b"first", LONG, b"third")


def test_such_a_file_without_positions_is_sent_once():
    form = form_of(AwaitedOnce(LONG))

    assert asyncio.run(pieces_of(form)) == body(LONG)
    with pytest.raises(StateError, match="AwaitedOnce has been read"):
        asyncio.run(pieces_of(form))


def test_such_a_file_of_text_is_refused():
    file = Awaited(b"")
    file.inner = io.StringIO("text")
    with pytest.raises(TypeError, match="opened as text"):
        asyncio.run(pieces_of(form_of(file)))


def test_other_files_beside_it_have_to_be_ready():
    with pytest.raises(StreamNotReady):
        asyncio.run(pieces_of(form_of(Awaited(b""), Pipe(None))))


def test_files_of_trio():
    trio = pytest.importorskip("trio")

    async def main():
        async with await trio.open_file("/dev/null", "rb") as file:
            return await pieces_of(form_of(file))

    assert trio.run(main) == body(b"")


def test_a_blocking_connection_refuses_them():
    with HTTPConnection("h", transport=ScriptedTransport([REPLY])) as conn:
        with pytest.raises(TypeError, match="AsyncMultipart"):
            conn.send(Request("POST", "/", None, form_of(Awaited(b""))))


def test_an_asynchronous_connection_sends_both():
    transport = ScriptedTransport([REPLY, REPLY])

    async def main():
        async with AsyncConnection(HTTPConnection("h", transport=transport)) as conn:
            for form in (form_of(Awaited(b"abc")), form_of(b"def")):
                await conn.send(Request("POST", "/", None, form))
                await conn.read_response()
                await conn.discard()

    asyncio.run(main())
    assert isinstance(form_of(b""), Multipart)
    assert b"abc" in transport.streams[0].sent
    assert body(b"def") in transport.streams[0].sent
