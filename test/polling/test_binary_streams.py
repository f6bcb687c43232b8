"""Streams that others opened: no byte is lost or written twice, and none is made up."""

import gzip
import io
import os
import tempfile

import pytest
from kit.pipe_ends import Drain, Feed, pipe
from kit.streams import finish
from kit.support import pattern
from kit.ways import WAYS

from dugong_like import POLLIN, POLLOUT, StateError, StreamNotReady
from dugong_like.polling.binary_streams import (
    MAX_COPY,
    MAX_USELESS,
    BinaryReader,
    BinaryWriter,
    check_opened,
    co_flush,
    co_read_some,
    co_write_all,
    prefers_readinto,
)

DATA = pattern(300_001)  # several times what a pipe holds


class Script(io.RawIOBase):
    """A raw stream whose calls return, or raise, what a list says.

    Attributes:
        taken: the bytes that writing has taken.

    """

    def __init__(self, *results, fd=None):
        self.results = list(results)
        self.taken = b""
        self._fd = fd

    def fileno(self):
        return super().fileno() if self._fd is None else self._fd

    def _next(self):
        result = self.results.pop(0) if len(self.results) > 1 else self.results[0]
        if isinstance(result, BaseException):
            raise result
        return result

    def write(self, data):
        try:
            count = self._next()
        except BlockingIOError as exc:
            self.taken += bytes(data[: getattr(exc, "characters_written", 0)])
            raise
        if isinstance(count, int) and count > 0:
            self.taken += bytes(data[:count])
        return count

    def readinto(self, buffer):
        data = self._next()
        if isinstance(data, bytes):
            buffer[: len(data)] = data
            return len(data)
        return data

    def flush(self):
        if not self.closed:
            self._next()

    def close(self):
        self.results = [None]  # closing flushes
        super().close()


class Duck:
    """No `io.IOBase` at all: it has the methods that it is given."""

    def __init__(self, **methods):
        vars(self).update(methods)


def would_block(count):
    return BlockingIOError(11, "full", count)


def raw(fd):
    return io.FileIO(fd, "wb", closefd=False)


def buffered(fd):
    return io.BufferedWriter(raw(fd), 8192)


class Retold:
    """A wrapper that is no `io.IOBase`, around a stream."""

    def __init__(self, inner):
        self._inner = inner

    def __getattr__(self, name):
        return getattr(self._inner, name)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("blocks", [True, False])
@pytest.mark.parametrize("make", [raw, buffered, lambda fd: Retold(buffered(fd))])
def test_everything_arrives_once_whatever_the_kind_of_stream(make, blocks, way):
    with pipe(writer_blocks=blocks) as (reader, writer):
        drain = Drain(reader)
        drain.start()
        stream = make(writer)
        for piece in (DATA[:1], DATA[1:], b""):
            assert way(co_write_all(stream, piece)) == len(piece)
        way(co_flush(stream))
        writer.close()
        drain.join()

    assert drain.data == DATA


@pytest.mark.parametrize("data", [b"abcd", bytearray(b"abcd"), memoryview(b"abcd").cast("H")])
@pytest.mark.parametrize("counts", [[4], [1, 2, 1], [1]])
def test_short_writes_are_gone_on_with(data, counts):
    stream = Script(*counts)

    assert finish(co_write_all(stream, data)) == 4
    assert stream.taken == b"abcd"


@pytest.mark.parametrize("full", [None, 0, would_block(0), BlockingIOError()])
def test_writing_waits_where_nothing_is_taken(full):
    with pipe() as (_, writer):
        stream = Script(2, full, full, 3, full, 4, fd=writer)
        op = co_write_all(stream, b"123456789")
        needs = [tuple(need) for need in op]

    assert needs == [(writer, POLLOUT)] * 3
    assert stream.taken == b"123456789"


def test_what_was_taken_in_spite_of_blocking_counts():
    with pipe() as (_, writer):
        stream = Script(would_block(3), would_block(0), 2, fd=writer)
        op = co_write_all(stream, b"12345")

        assert len(list(op)) == 1
    assert stream.taken == b"12345"


@pytest.mark.parametrize("full", [None, 0, would_block(0)])
def test_without_descriptor_there_is_an_error_that_says_what_was_taken(full):
    writer = BinaryWriter(Script(3, would_block(2), full))

    with pytest.raises(StreamNotReady, match="Script takes nothing now, and has no desc") as info:
        finish(writer.co_write_all(b"12345678"))
    assert info.value.characters_written == writer.written == 5
    assert isinstance(info.value, BlockingIOError)


@pytest.mark.parametrize("count", [-1, 10, 1 << 70, "2", 2.0, b""])
def test_counts_of_writing_that_make_no_sense(count):
    writer = BinaryWriter(Script(2, count))

    with pytest.raises(StateError, match="write returned .* where at most 7 bytes"):
        finish(writer.co_write_all(b"123456789"))
    assert writer.written == 2


def test_failures_of_the_stream_come_through_and_what_was_taken_is_known():
    writer = BinaryWriter(Script(2, OSError(28, "no space left")))

    with pytest.raises(OSError, match="no space"):
        finish(writer.co_write_all(b"123456789"))
    assert writer.written == 2


def test_a_stream_that_never_takes_anything_is_not_waited_for_for_ever():
    with pipe() as (_, writer):
        for step in (co_write_all(Script(0, fd=writer), b"x"), co_flush(blocked(writer))):
            with pytest.raises(StreamNotReady, match="although its descriptor is ready"):
                finish(step, MAX_USELESS + 2)


def blocked(fd):
    return Script(would_block(0), fd=fd)


def test_needless_resumptions_do_not_count_as_attempts_in_vain():
    with pipe(writer_blocks=False) as (reader, writer):
        stream = raw(writer)
        while stream.write(bytes(65536)):
            pass
        op = co_write_all(stream, b"x")
        for _ in range(2 * MAX_USELESS):
            next(op)
        os.read(reader, 65536)
        assert list(op) == []


def test_objects_that_return_nothing_have_taken_everything():
    pieces = []
    memory = bytearray(pattern(MAX_COPY + 5))
    assert finish(co_write_all(Duck(write=pieces.append), memory)) == MAX_COPY + 5
    memory[:3] = b"???"

    assert b"".join(pieces) == pattern(MAX_COPY + 5)


def test_buffered_streams_that_forget_to_return_the_number_have_taken_everything():
    class Quiet(io.BytesIO):
        def write(self, data):
            super().write(data)

    stream = Quiet()
    assert finish(co_write_all(stream, b"abc")) == 3
    assert stream.getvalue() == b"abc"


def test_none_that_may_come_from_a_full_stream_below_is_not_taken_for_success():
    with pipe(writer_blocks=False) as (_, writer):
        stream = Retold(raw(writer))
        op = co_write_all(stream, DATA)
        with pytest.raises(StateError, match="whether it has taken anything cannot be known"):
            finish(op)


@pytest.mark.parametrize("way", WAYS)
def test_flush_waits_too(way):
    with pipe(writer_blocks=False) as (reader, writer):
        stream = buffered(writer)
        with pytest.raises(BlockingIOError) as info:
            stream.write(DATA)
        taken = info.value.characters_written
        op = co_flush(stream)
        assert tuple(next(op)) == (writer, POLLOUT)
        drain = Drain(reader)
        drain.start()
        way(op)
        writer.close()
        drain.join()

    assert drain.data == DATA[:taken]


def test_flush_that_does_not_exist_or_fails():
    finish(co_flush(Duck(write=len)))
    with pytest.raises(OSError, match="full"):
        finish(co_flush(Script(OSError(28, "full"))))
    with pytest.raises(StreamNotReady):
        finish(co_flush(Script(would_block(0))))


@pytest.mark.parametrize("stream", [io.StringIO(), "name", None, 5, object()])
def test_other_things_are_no_binary_streams(stream, tmp_path):
    for use in (
        lambda: co_write_all(stream, b"x"),
        lambda: co_flush(stream),
        lambda: co_read_some(stream, 1),
    ):
        with pytest.raises(TypeError, match=r"is no binary file to .*buffer attribute"):
            use()


def test_closed_streams_say_so():
    stream = io.BytesIO(b"abc")
    stream.close()
    for op in (co_write_all(stream, b"x"), co_flush(stream), co_read_some(stream, 5)):
        with pytest.raises(ValueError, match="closed"):
            finish(op)


# ---- reading


def everything(way, stream, size=70_000):
    data = []
    while piece := way(co_read_some(stream, size)):
        assert len(piece) <= size
        data.append(piece)
    return b"".join(data)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("blocks", [True, False])
@pytest.mark.parametrize("buffering", [0, 100, 8192])
@pytest.mark.parametrize("retold", [True, False])
def test_a_pipe_is_read_to_its_end_and_not_to_its_first_pause(retold, buffering, blocks, way):
    with pipe(reader_blocks=blocks) as (reader, writer):
        feeder = Feed(writer, DATA)
        stream = open(reader, "rb", buffering, closefd=False)  # noqa: SIM115 - a number
        op = co_read_some(stream, 10)
        if not blocks:
            assert tuple(next(op)) == (reader, POLLIN)
        feeder.start()
        data = way(op) + everything(way, Retold(stream) if retold else stream)
        feeder.join()

    assert data == DATA


def test_none_is_not_the_end():
    with pipe() as (reader, _):
        stream = Script(b"a", None, b"b", would_block(0), None, b"", fd=reader)

        assert finish(co_read_some(stream, 5)) == b"a"
        assert finish(co_read_some(stream, 5)) == b"b"
        assert finish(co_read_some(stream, 5)) == b""


@pytest.mark.parametrize("none_yet", [None, would_block(0)])
@pytest.mark.parametrize("name", ["readinto", "read", "read1"])
def test_nothing_yet_without_descriptor_is_an_error(name, none_yet):
    def method(_):
        if none_yet is not None:
            raise none_yet

    with pytest.raises(StreamNotReady, match="Duck has nothing to read now, and has no desc"):
        finish(co_read_some(Duck(**{name: method}), 5))
    reader = BinaryReader(Duck(**{name: method}))
    assert reader.read_into(memoryview(bytearray(5))) is None
    with pytest.raises(StreamNotReady, match="has no desc"):
        reader.need()


def test_a_stream_that_never_has_anything_is_not_waited_for_for_ever():
    with pipe() as (reader, writer):
        writer.close()  # its end is something to read
        with pytest.raises(StreamNotReady, match="although its desc"):
            finish(co_read_some(Script(None, fd=reader), 5), MAX_USELESS + 2)


@pytest.mark.parametrize("count", [-1, 6, "2", 2.0, b""])
def test_counts_of_reading_that_make_no_sense(count):
    with pytest.raises(StateError, match="readinto returned .* where at most 5 bytes"):
        finish(co_read_some(Duck(readinto=lambda _: count), 5))


@pytest.mark.parametrize("name", ["read", "read1"])
def test_more_than_was_asked_for_is_an_error(name):
    stream = Duck(**{name: lambda _: b"123456"})
    with pytest.raises(StateError, match="Duck gave 6 bytes where 5 were asked for"):
        finish(co_read_some(stream, 5))


@pytest.mark.parametrize("name", ["read", "read1"])
@pytest.mark.parametrize("data", ["text", 5, [1]])
def test_text_is_no_data_and_the_error_says_what_is(name, data):
    stream = Duck(**{name: lambda _: data})
    with pytest.raises(TypeError, match=f"gives {type(data).__name__} where bytes are needed"):
        finish(co_read_some(stream, 5))
    with pytest.raises(TypeError) as caught:
        BinaryReader(stream).read_into(memoryview(bytearray(5)))
    assert ("opened without 'b'" in str(caught.value)) == (data == "text")


@pytest.mark.parametrize("size", [0, -1])
def test_sizes_that_make_no_sense(size):
    with pytest.raises(ValueError, match="cannot be read"):
        finish(co_read_some(io.BytesIO(b"x"), size))


@pytest.mark.parametrize("give", [bytes, bytearray, memoryview, lambda data: memoryview(data)[::1]])
def test_whatever_is_bytes_like_will_do(give):
    pieces = [b"ab", b""]
    stream = Duck(read=lambda _: give(pieces.pop(0)))

    assert finish(co_read_some(stream, 5)) == b"ab"
    assert finish(co_read_some(stream, 5)) == b""


def test_reading_into_memory_gives_the_same():
    for stream in (io.BytesIO(b"abc"), Duck(read=io.BytesIO(b"abc").read)):
        reader = BinaryReader(stream)
        memory = memoryview(bytearray(2))
        assert reader.read_into(memory) == 2
        assert memory == b"ab"
        assert reader.read_into(memory) == 1
        assert memory == b"cb"
        assert reader.read_into(memory) == 0


class Shouting(io.BytesIO):
    """Changes `read` alone."""

    def read(self, size=-1):
        return super().read(size).upper()


class Whispering(io.BytesIO):
    """Changes `readinto` alone."""

    def readinto(self, buffer):
        count = super().readinto(buffer)
        buffer[:count] = bytes(buffer[:count]).lower()
        return count


class Digits(io.BufferedIOBase):
    """Has `read` alone, which is enough for a buffered stream."""

    def read(self, size=-1):
        return b"7" * size


def test_a_stream_is_read_with_the_method_that_was_changed(tmp_path):
    assert finish(co_read_some(Shouting(b"Abc"), 5)) == b"ABC"
    assert finish(co_read_some(Whispering(b"Abc"), 5)) == b"abc"
    assert finish(co_read_some(Digits(), 3)) == b"777"
    packed = gzip.compress(b"abc")
    assert finish(co_read_some(gzip.GzipFile(fileobj=io.BytesIO(packed)), 5)) == b"abc"
    with tempfile.TemporaryFile() as file, tempfile.NamedTemporaryFile() as named:
        assert prefers_readinto(file)
        assert not prefers_readinto(named)


def test_files_that_were_opened_for_the_other_direction_are_refused(tmp_path):
    path = tmp_path / "file"
    for buffering in (-1, 0):
        with path.open("wb", buffering=buffering) as file:
            check_opened(file, "writing")
            with pytest.raises(ValueError, match=r"file' was not opened for reading"):
                check_opened(file, "reading")
        with path.open("rb", buffering=buffering) as file:
            check_opened(file, "reading")
            with pytest.raises(ValueError, match=r"file' was not opened for writing"):
                check_opened(file, "writing")
        with path.open("r+b", buffering=buffering) as file:
            check_opened(file, "reading")
            check_opened(file, "writing")
    with pytest.raises(ValueError, match="closed file"):
        check_opened(file, "reading")
    check_opened(Script(), "reading")  # such objects seldom say what they can do
