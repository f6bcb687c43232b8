"""How long streams are, and that nothing is left out of them where they do not tell."""

import contextlib
import gzip
import io
import os
import tempfile
from pathlib import Path

import pytest
from kit.odd_streams import Doubled, Halved, Made, Quiet, Signed, Wrapper, finish_reading, mapped
from kit.streams import finish
from kit.support import pattern

from dugong_like import POLLIN, StateError, StreamNotReady
from dugong_like.polling.stream_parts import (
    MOST_READS,
    PIECE,
    StreamPart,
    end_of,
    is_simple,
    place_of,
    put,
    real_file,
)

SHORT, LONG = pattern(1000), pattern(PIECE + 1000)
sizes = pytest.mark.parametrize("data", [b"", SHORT, LONG[:PIECE], LONG], ids=len)


def everything(part):
    data = b""
    while piece := finish(part.co_next()):
        data += piece
    assert part.taken == len(data)
    return data


class Lying(io.BytesIO):
    """Its `seek` returns what makes no sense."""

    def seek(self, *place):
        super().seek(*place)
        return -7


class Slow(Wrapper):
    """Gives 1,000 bytes at a time."""

    def read(self, size):
        return self._inner.read(min(size, 1000))


class Louder(Wrapper):
    """Changes what is read, but not how much that is."""

    def read(self, size):
        return self._inner.read(size).upper()


@sizes
@pytest.mark.parametrize("start", [0, 7])
@pytest.mark.parametrize("kind", [io.BytesIO, Quiet, Lying, Wrapper, Slow, Louder, mapped])
def test_length_is_found_out_and_the_position_stays(kind, start, data):
    if kind is mapped and not data:
        data = SHORT  # there are no empty ones
    with contextlib.closing(kind(data)) as stream:
        stream.seek(start)
        assert end_of(stream) == len(data)
        assert place_of(stream) == start
        part = StreamPart(stream, start)
        expected = data[start:].upper() if kind is Louder else data[start:]
        assert part.measure() == part.size == len(expected)
        assert everything(part) == expected


@sizes
@pytest.mark.parametrize("kind", [Doubled, Halved])
def test_length_that_does_not_agree_with_what_is_read_is_not_believed(kind, data):
    part = StreamPart(kind(data), 0)
    assert part.measure() == (None if data else 0)
    assert everything(part) == finish_reading(kind(data))


@pytest.mark.parametrize("end", [0, 4096, 10**9])
@pytest.mark.parametrize("size", [0, 1, 1000, PIECE - 1])
def test_files_that_are_made_while_they_are_read(size, end):
    part = StreamPart(Made(LONG[:size], end), 0)
    assert part.measure() == (size if size == end else None)
    assert everything(part) == LONG[:size]


def test_length_that_turns_out_to_be_wrong_at_the_end_is_an_error_and_no_shorter_body():
    for stream in (Signed(LONG), Made(LONG + b"more", len(LONG))):
        part = StreamPart(stream, 0)
        assert part.measure() == len(LONG)
        with pytest.raises(StateError, match="gives other bytes than its positions count"):
            everything(part)
    short = StreamPart(Signed(SHORT), 0)
    assert short.measure() is None
    assert everything(short) == SHORT + b"signature"


def test_stream_that_grows_meanwhile_is_sent_as_long_as_it_was():
    stream = Quiet(LONG)
    part = StreamPart(stream, 0)
    assert part.measure() == len(LONG)
    stream.seek(0, os.SEEK_END)
    stream.write(b"more")
    stream.seek(PIECE)  # what was read ahead
    assert everything(part) == LONG
    assert stream.tell() == len(LONG)


def test_streams_without_an_end_or_a_position_have_no_length():
    class NoEnd(io.BytesIO):
        def seek(self, place, whence=0):
            if whence:
                raise ValueError("only from the beginning")
            return super().seek(place)

    class NoTell(io.BytesIO):
        def tell(self):
            return None

    class Unseekable(io.BytesIO):
        def seekable(self):
            return False

    class OnlyTell:
        def tell(self):
            return 3

    assert place_of(NoEnd(SHORT)) == 0
    assert end_of(NoEnd(SHORT)) is None
    part = StreamPart(NoEnd(SHORT), 5)
    assert part.measure() is None
    assert everything(part) == SHORT[5:]
    for stream in (NoTell(SHORT), Unseekable(SHORT), OnlyTell(), object()):
        assert place_of(stream) is None
        assert end_of(stream) is None
    with open_pipe() as (reader, _):
        assert place_of(reader) is None


@contextlib.contextmanager
def open_pipe():
    ends = os.pipe()
    os.set_blocking(ends[0], False)
    with os.fdopen(ends[0], "rb") as reader, os.fdopen(ends[1], "wb", 0) as writer:
        yield reader, writer


def test_stream_that_does_not_go_back_is_an_error_and_no_empty_body():
    class Stuck(io.BytesIO):
        def seek(self, place, whence=0):
            return super().seek(0, os.SEEK_END)

    with pytest.raises(StateError, match="put to position 0 and is at 1000"):
        end_of(Stuck(SHORT))
    with pytest.raises(StateError, match="put to position 0 and is at 1000"):
        put(Stuck(SHORT), 0)
    stuck = Stuck(SHORT)
    stuck.seek(0)
    with pytest.raises(StateError, match="put to position 5 and is at 1000"):
        finish(StreamPart(stuck, 5).co_next())


@pytest.mark.parametrize("measured", [True, False])
def test_behind_the_end_there_is_nothing(measured):
    packed = io.BytesIO(gzip.compress(SHORT))
    for stream in (io.BytesIO(SHORT), Quiet(SHORT), gzip.GzipFile(fileobj=packed)):
        part = StreamPart(stream, 5000)
        if measured:
            assert part.measure() == 0
        assert everything(part) == b""


def test_a_part_of_given_size_is_not_measured():
    part = StreamPart(Made(SHORT), 3, 10)
    assert part.measure() == 10
    assert everything(part) == SHORT[3:13]
    part = StreamPart(io.BytesIO(SHORT), 990, 20)  # whoever sends it sees that it is short
    assert everything(part) == SHORT[990:]


def test_nothing_yet_is_waited_for_and_has_no_length():
    with open_pipe() as (reader, writer):
        part = StreamPart(reader, None)
        assert part.measure() is None
        op = part.co_next()
        assert tuple(next(op)) == (reader.fileno(), POLLIN)
        writer.write(b"abc")
        assert finish(op) == b"abc"
        writer.close()
        assert everything(StreamPart(reader, None)) == b""

    class Empty(Quiet):
        def readinto(self, buffer):
            return None

    part = StreamPart(Empty(SHORT), 0)
    assert part.measure() is None
    with pytest.raises(StreamNotReady):
        finish(part.co_next())


def test_text_is_refused_before_anything_is_sent():
    class Text(Wrapper):
        def read(self, size):
            return "text"

    with pytest.raises(TypeError, match="gives str where bytes are needed"):
        StreamPart(Text(SHORT), 0).measure()


def test_what_is_known_to_be_simple(tmp_path):
    (tmp_path / "a").write_bytes(SHORT)
    (tmp_path / "empty").touch()
    with (tmp_path / "a").open("rb") as file, (tmp_path / "empty").open("rb") as empty:
        assert is_simple(file)
        assert is_simple(io.BytesIO())
        assert not any(map(is_simple, (empty, Quiet(SHORT), mapped(SHORT), Wrapper(SHORT))))
        assert StreamPart(empty, 0).measure() == 0


@pytest.mark.parametrize("name", ["/proc/version", "/proc/self/status"])
def test_files_of_proc(name):
    path = Path(name)
    if not path.exists():
        pytest.skip("needs /proc")
    with path.open("rb") as file:
        part = StreamPart(file, 0)
        assert part.measure() is None
        assert len(everything(part)) > 50


def test_real_files_are_those_of_open(tmp_path):
    for mode in ("rb", "r+b", "ab", "w+b"):
        for buffering in (-1, 0):
            with (tmp_path / "other").open(mode if mode != "rb" else "w+b", buffering) as file:
                assert real_file(file) is file
    with tempfile.TemporaryFile() as file:
        assert real_file(file) is file
    with tempfile.NamedTemporaryFile() as file:
        assert real_file(file) is file.file


def test_other_files_are_not(tmp_path):
    path = tmp_path / "data"

    class Reversed(io.FileIO):
        """What it gives is not what is there."""

    with gzip.open(path, "wb") as file:
        assert real_file(file) is None
        assert real_file(io.BufferedWriter(file)) is None
    with Reversed(path) as file:
        assert real_file(file) is None
    with open_pipe() as (file, _), Path(os.devnull).open("rb") as device:
        assert real_file(file) is real_file(device) is None
    assert real_file(io.BytesIO()) is real_file(Wrapper(b"")) is None
    with tempfile.SpooledTemporaryFile() as file:
        assert real_file(file) is None


class Crumbs(Wrapper):
    """Gives one byte at a time, and counts how often."""

    reads = 0

    def read(self, size):
        self.reads += 1
        return self._inner.read(min(size, 1))


@pytest.mark.parametrize("length", [10, MOST_READS - 1, MOST_READS, MOST_READS + 1, 5000])
def test_a_stream_that_gives_little_is_not_read_for_long_to_measure_it(length):
    stream = Crumbs(pattern(length))
    part = StreamPart(stream, 0)

    assert part.measure() == length
    assert stream.reads <= MOST_READS
    assert everything(part) == pattern(length)


@pytest.mark.parametrize("length", [10, 5000])
def test_a_stream_that_gives_little_and_other_bytes_than_it_counts_is_found_out(length):
    class Lying(Crumbs):
        def tell(self):
            return 2 * self._inner.tell()

    part = StreamPart(Lying(pattern(length)), 0)

    assert part.measure() is None
    assert everything(part) == pattern(length)
