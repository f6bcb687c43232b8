"""Files to be sent and received: which can be used by their descriptor, and reading the others."""

import contextlib
import errno
import gzip
import io
import os
from pathlib import Path

import pytest
from kit.streams import finish
from kit.support import pattern

from dugong_like import POLLIN, POLLOUT, FileTooShort, StreamNotReady
from dugong_like.connection.files import NotTaken, Sink, Source
from dugong_like.transport.zero_copy import PIECE

DATA = pattern(2 * PIECE + 1000)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "data"
    path.write_bytes(DATA)
    return path


class OnlyRead:
    """The least that can be called a file."""

    def __init__(self, data):
        self._file = io.BytesIO(data)

    def read(self, size):
        return self._file.read(size)


class Dribble(io.RawIOBase):
    """Gives and takes a byte at a time."""

    def __init__(self, data=b""):
        self._file = io.BytesIO(data)
        self.taken = b""

    def readinto(self, buffer):
        return self._file.readinto(memoryview(buffer)[:1])

    def write(self, data):
        self.taken += bytes(data[:1])
        return 1


def pipe_with(data):
    reader, writer = os.pipe()
    os.write(writer, data)
    os.close(writer)
    return os.fdopen(reader, "rb")


@pytest.fixture
def keep():
    """Close files at the end."""
    with contextlib.ExitStack() as stack:
        yield lambda file: stack.enter_context(file) if hasattr(file, "close") else file


def pieces(source):
    data = b""
    while piece := finish(source.co_piece()):
        data += piece
        source.sent += len(piece)
    source.restore()
    return data


@pytest.mark.parametrize("preadv", [True, False])
@pytest.mark.parametrize("kind", ["real", "raw", "memory", "gzip"])
@pytest.mark.parametrize(
    ("offset", "count"),
    [(0, None), (10, None), (0, 0), (5, 3), (0, len(DATA)), (7, PIECE), (10**9, None)],
)
def test_stretch_of_a_file_with_places(monkeypatch, path, kind, offset, count, preadv):
    if not preadv:
        monkeypatch.delattr(os, "preadv", raising=False)
    if kind == "gzip":
        path.write_bytes(gzip.compress(DATA, 1))
    opened = {
        "real": lambda: path.open("rb"),
        "raw": lambda: path.open("rb", 0),
        "memory": lambda: io.BytesIO(DATA),
        "gzip": lambda: gzip.GzipFile(path),
    }
    with opened[kind]() as file:
        file.read(3)
        source = Source(file, offset, count)
        source.measure()
        expected = DATA[offset:] if count is None else DATA[offset : offset + count]
        assert source.size == len(expected)
        assert pieces(source) == expected
        assert file.tell() == 3
        assert file.read(2) == DATA[3:5]


def test_stretches_are_for_real_files_of_known_size(path):
    with path.open("rb") as file:
        source = Source(file, 5, None)
        assert len(source.file_range(100)) == 100
        source.sent = source.size - 10
        assert len(source.file_range(100)) == 10
        assert source.file_range(0) is None
    assert Source(io.BytesIO(DATA), 0, 10).file_range(100) is None
    with Path("/proc/self/status").open("rb") as file:
        source = Source(file, 0, None)
        assert source.file_range(100) is None
        assert pieces(source).startswith(b"Name:")


@pytest.mark.parametrize("make", [pipe_with, OnlyRead, Dribble])
def test_file_without_places_is_read_from_where_it_is(make, keep):
    file = keep(make(b"hello world"))
    source = Source(file, 0, None)
    source.measure()
    assert source.size is None
    assert pieces(source) == b"hello world"
    with pytest.raises(ValueError, match="another place"):
        Source(file, 5, None)
    file = keep(make(b"hello world"))
    assert pieces(Source(file, 0, 5)) == b"hello"


def test_what_was_written_and_not_flushed_is_part_of_the_file(path):
    with path.open("r+b") as file:
        file.write(b"new!")
        source = Source(file, 0, 10)
        assert os.pread(file.fileno(), 10, 0) == b"new!" + DATA[4:10]
        assert pieces(source) == b"new!" + DATA[4:10]
        assert file.tell() == 4


def test_less_than_was_asked_for(path):
    with path.open("rb") as file, pytest.raises(FileTooShort, match="11 bytes .* 10 are left"):
        Source(file, len(DATA) - 10, 11)
    source = Source(io.BytesIO(b"123"), 1, 3)
    source.sent += len(finish(source.co_piece()))
    with pytest.raises(FileTooShort, match="1 bytes too early"):
        finish(source.co_piece())


def test_pipe_that_has_nothing_yet_is_waited_for():
    reader, writer = os.pipe2(os.O_NONBLOCK)
    with os.fdopen(reader, "rb", 0) as file:
        op = Source(file, 0, None).co_piece()
        assert tuple(next(op)) == (reader, POLLIN)
        os.write(writer, b"abc")
        assert finish(op) == b"abc"
    os.close(writer)


class Idle(io.RawIOBase):
    """Neither has nor takes anything, and there is no telling when it will."""

    def readinto(self, buffer):
        return None

    def write(self, data):
        return None


def test_stream_that_has_nothing_yet_and_cannot_be_waited_for():
    with pytest.raises(StreamNotReady, match="no descriptor"):
        finish(Source(Idle(), 0, None).co_piece())


@pytest.mark.parametrize("use", [lambda file: Source(file, 0, None), Sink])
@pytest.mark.parametrize("file", [io.StringIO(), "name", None, 3])
def test_no_binary_file(use, file, path):
    with pytest.raises(TypeError, match="is no binary file"):
        use(file)
    with path.open() as text, pytest.raises(TypeError, match="TextIOWrapper"):
        use(text)


@pytest.mark.parametrize("use", [lambda file: Source(file, 0, None), Sink])
def test_closed_file(use, path):
    file = path.open("r+b")
    file.close()
    with pytest.raises(ValueError, match="closed"):
        use(file)


def test_numbers_that_make_no_sense():
    file = io.BytesIO(b"x")
    for name, numbers in (("offset", (-1, None)), ("count", (0, -1))):
        with pytest.raises(ValueError, match=f"^{name} cannot be -1 bytes$"):
            Source(file, *numbers)
    wrong = [("offset", (1.5, None)), ("offset", ("0", None)), ("count", (0, "1"))]
    for name, numbers in wrong:
        with pytest.raises(TypeError, match=f"^{name} is a number of bytes, not "):
            Source(file, *numbers)


def test_restoring_a_closed_file_is_no_error():
    file = io.BytesIO(b"x")
    source = Source(file, 0, 1)
    finish(source.co_piece())
    file.close()
    source.restore()


@pytest.mark.parametrize("mode", ["r+b", "w+b", "ab", "wb"])
@pytest.mark.parametrize("buffering", [-1, 0])
def test_sink_writes_where_the_file_stands_and_takes_it_along(path, mode, buffering):
    with path.open(mode, buffering) as file:
        start = file.write(b"head")
        if mode == "r+b":
            assert file.read(4) == DATA[4:8]
            start = 8
        if mode == "ab":
            start = len(DATA) + 4
        sink = Sink(file)
        assert sink.splices
        assert sink.write(memoryview(b"hello ")) == 6
        assert sink.write(memoryview(b"world")) == 5
        sink.settle()
        assert sink.written == 11
        assert file.tell() == start + 11
        file.write(b"tail")
    data = path.read_bytes()
    assert data[start : start + 15] == b"hello worldtail"


def test_sink_that_takes_less_and_one_that_says_nothing():
    raw = Dribble()
    sink = Sink(raw)
    assert sink.write(memoryview(b"abc")) == 1
    assert (raw.taken, sink.written) == (b"a", 1)

    class Keeper(list):
        """Keeps what it gets, which may not change afterwards."""

        def write(self, data):
            self.append(data)

    keeper = Keeper()
    memory = bytearray(b"abc")
    assert Sink(keeper).write(memoryview(memory)) == 3
    memory[:] = b"xyz"
    assert keeper == [b"abc"]


def test_sink_that_fails():
    class Full(io.RawIOBase):
        def write(self, data):
            raise OSError(errno.ENOSPC, "full")

    sink = Sink(Full())
    with pytest.raises(NotTaken):
        sink.write(memoryview(b"abc"))
    assert isinstance(sink.failure, OSError)
    assert sink.written == 0
    sink.settle()


def test_sink_that_is_full_is_not_one_that_fails():
    reader, writer = os.pipe2(os.O_NONBLOCK)
    with os.fdopen(writer, "wb", 0) as file:
        sink = Sink(file)
        with pytest.raises(NotTaken):
            while True:
                sink.write(memoryview(DATA))
        assert sink.failure is None
        assert tuple(sink.wanted()) == (writer, POLLOUT)
        assert sink.written == len(os.read(reader, 1 << 20))
    os.close(reader)
    sink = Sink(Idle())
    with pytest.raises(NotTaken):
        sink.write(memoryview(DATA))
    with pytest.raises(StreamNotReady) as info:
        sink.wanted()
    assert info.value.characters_written == 0


@pytest.mark.parametrize("size", [0, 20])
@pytest.mark.parametrize("said", [0, 4096])
def test_size_of_a_file_in_which_nothing_is_stored_is_looked_at(monkeypatch, tmp_path, said, size):
    path = tmp_path / "made by the kernel"
    path.write_bytes(DATA[:size])
    status = os.stat_result([*path.stat()[:6], said, *path.stat()[7:10]], {"st_blocks": 0})
    monkeypatch.setattr(os, "fstat", lambda fd: status)
    with path.open("rb") as file:
        source = Source(file, 0, None)
        assert source.size == (size if size == said else None)
        assert not source.file_range(10)
        assert pieces(source) == DATA[:size]


def test_holes_are_data(tmp_path):
    with (tmp_path / "hole").open("w+b") as file:
        file.truncate(10 << 20)
        assert Source(file, 5, None).size == (10 << 20) - 5


@pytest.mark.skipif(not Path("/sys/kernel").exists(), reason="needs /sys")
def test_files_of_sys_are_shorter_than_they_say():
    for path in Path("/sys/kernel").iterdir():
        if path.is_file() and os.access(path, os.R_OK) and path.stat().st_size == 4096:
            break
    else:
        pytest.skip("there is none")
    with path.open("rb") as file:
        assert pieces(Source(file, 0, None)) == path.read_bytes()


def test_settling_a_closed_file_is_no_error(path):
    file = path.open("r+b")
    sink = Sink(file)
    file.close()
    sink.settle()
    with pytest.raises(NotTaken):
        sink.write(memoryview(b"abc"))
    assert isinstance(sink.failure, ValueError)
