"""The wire dump: every byte once, with its direction and its time."""

import io
import os
import re
from pathlib import Path

import pytest
from kit.every_driver import DRIVERS, co_conversation
from kit.pipe_ends import Drain, Feed, pipe
from kit.streams import ScriptedStream, connection, finish
from kit.support import ScriptedServer, answering, open_descriptors, pattern, wait_until
from kit.ways import WAYS

from dugong_like import HTTPConnection, StreamNotReady, Timeouts, run
from dugong_like.polling.binary_streams import co_flush
from dugong_like.transport.filters.wire_dump import WireDump, beginning, read_dump

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BIG = b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + pattern(300_000)


def bytes_of(file, direction):
    file.seek(0)
    return b"".join(data for way, _, data in read_dump(file) if way == direction)


def co_get(conn):
    yield from conn.co_send_request("GET", "/")
    yield from conn.co_read_response()
    return (yield from conn.co_readall())


@pytest.mark.feature("B51")
@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_what_goes_out_in_pieces_is_there_once(monkeypatch, piece):
    stream = ScriptedStream(rooms=[piece, None] * 400)
    file = io.BytesIO()
    conn = connection(monkeypatch, stream, trace_file=file)
    finish(conn.co_send_request("PUT", "/", body=pattern(100)))
    stream.incoming.append(OK)
    finish(conn.co_read_response())
    finish(conn.co_readall())
    finish(conn.co_close())

    assert bytes_of(file, ">") == stream.sent
    assert bytes_of(file, "<") == OK
    assert not file.closed


@pytest.mark.feature("B51")
@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("driver", [run, *DRIVERS[1:7:2]])
def test_the_whole_conversation_is_there(start, trusting, driver, tls):
    server = start("uvicorn-httptools", tls=tls)
    file = io.BytesIO()
    conn = HTTPConnection(
        "localhost", server.port, trusting if tls else None, timeout=30, trace_file=file
    )
    assert driver(co_conversation(conn)) == "done"

    sent, received = bytes_of(file, ">"), bytes_of(file, "<")
    assert sent.startswith(b"GET /bytes/1024 HTTP/1.1\r\n")
    assert sent.count(b"PUT /upload HTTP/1.1\r\n") == 4
    assert len(sent) > 1_000_000
    assert received.count(b"HTTP/1.1 200") == 10
    assert pattern(300_000) in received


def test_the_format():
    with ScriptedServer(answering(BIG)) as server:
        file = io.BytesIO()
        with HTTPConnection("127.0.0.1", server.port, trace_file=file) as conn:
            assert run(co_get(conn)) == pattern(300_000)
            buffered = file.getvalue()
        text = file.getvalue()

    stamp = rb"# \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+\+00:00 "
    assert re.match(stamp + rb"opened\n> \d+\.\d{6} \d+\nGET / HTTP/1\.1\r\n", text)
    assert re.search(rb"\r\n\r\n\n< \d+\.\d{6} \d+\nHTTP/1\.1 200 OK\r\n", text)
    assert re.search(rb"\n" + stamp + rb"closed\n$", text)
    assert text.startswith(buffered)
    seconds = [when for _, when, _ in read_dump(io.BytesIO(text))]
    assert seconds == sorted(seconds)


@pytest.mark.feature("B51")
def test_a_path_is_added_to_and_may_number_the_connections(tmp_path):
    with ScriptedServer(answering(OK)) as server:
        for name in ("one", "many-%d"):
            path = tmp_path / name
            conn = HTTPConnection("127.0.0.1", server.port, trace_file=path)
            for _ in range(2):
                assert run(co_get(conn)) == b"ok"
                conn.disconnect()

    assert sorted(os.listdir(tmp_path)) == ["many-1", "many-2", "one"]
    assert (tmp_path / "one").read_bytes().count(b" opened\n") == 2
    assert (tmp_path / "many-2").read_bytes().count(b" closed\n") == 1
    assert (tmp_path / "one").stat().st_mode & 0o777 == 0o600


def test_a_file_that_cannot_be_opened_leaves_nothing_open(tmp_path):
    with ScriptedServer(answering(OK)) as server:
        conn = HTTPConnection("127.0.0.1", server.port, trace_file=tmp_path / "no" / "where")
        with pytest.raises(FileNotFoundError):
            conn.connect()
        assert conn._session.shared.stream is None


class FullDisk(io.BytesIO):
    def write(self, data):
        raise OSError(28, "No space left on device")


def test_a_file_that_cannot_be_written_ends_the_operation(tmp_path):
    with ScriptedServer(answering(OK)) as server:
        conn = HTTPConnection("127.0.0.1", server.port, trace_file=FullDisk())
        with pytest.raises(OSError, match="No space"):
            conn.connect()
        assert conn._session.shared.stream is None


def test_a_file_may_take_a_part_at_a_time():
    class Slow(io.BytesIO):
        def write(self, data):
            return super().write(data[:3])

    file = Slow()
    stream = WireDump(file).wrap(ScriptedStream([b"hello"]))
    assert stream.recv(10) == b"hello"
    stream.close()
    stream.close()

    assert bytes_of(file, "<") == b"hello"
    assert file.getvalue().count(b"closed") == 1


@pytest.mark.parametrize("buffering", [0, 8192])
@pytest.mark.parametrize("blocks", [False, True])
@pytest.mark.parametrize("driver", WAYS)
def test_a_pipe_gets_every_byte_once(driver, blocks, buffering):
    def co_use(conn):
        yield from co_get(conn)
        yield from conn.co_close()

    with ScriptedServer(answering(BIG)) as server, pipe(writer_blocks=blocks) as (reader, writer):
        drain = Drain(reader)
        drain.start()
        file = os.fdopen(writer, "wb", buffering, closefd=False)
        try:
            driver(co_use(HTTPConnection("127.0.0.1", server.port, trace_file=file)))
            run(co_flush(file))
        finally:
            writer.close()
            drain.join()

    assert bytes_of(io.BytesIO(drain.data), "<") == BIG


LIMITS = [0.3, Timeouts(write=0.3, total=60), Timeouts(stall=60, total=0.3)]


@pytest.mark.parametrize(
    ("driver", "limits"),
    [*((driver, 0.3) for driver in WAYS), *((run, each) for each in LIMITS[1:])],
)
def test_a_pipe_that_nobody_reads_ends_the_operation(driver, limits):
    with ScriptedServer(answering(OK)) as server, pipe(writer_blocks=False) as (reader, writer):
        file = os.fdopen(writer, "wb", 0, closefd=False)
        filled = 0
        while count := file.write(bytes(65536)):
            filled += count
        conn = HTTPConnection("127.0.0.1", server.port, timeout=limits, trace_file=file)
        with pytest.raises(TimeoutError) as problem:
            driver(co_get(conn))
        assert not conn.is_open()
        assert len(os.read(reader, 1 << 20)) == filled

    assert problem.value.filename == "trace_file"
    assert problem.value.strerror == "nothing could be written for 0.3 s (bytes written before: 0)"


def test_a_pipe_that_stands_still_is_not_waited_for_again_until_it_is_read():
    with pipe(writer_blocks=False) as (reader, writer):
        file = os.fdopen(writer, "wb", 0, closefd=False)
        dump = WireDump(file, 0.01)
        stream = dump.wrap(ScriptedStream([pattern(100_000), b"more", b"and more"]))
        with pytest.raises(TimeoutError) as problem:
            stream.recv(100_000)
        stream._patience = 1000  # seconds, which are not waited for
        with pytest.raises(TimeoutError):
            stream.recv(100_000)
        data = os.read(reader, 1 << 20)
        assert f"(bytes written before: {len(data)})" in str(problem.value)
        assert stream.recv(100_000) == b"and more"
        stream.close()
        data += os.read(reader, 1 << 20)

    assert bytes_of(io.BytesIO(data), "<") == pattern(100_000) + b"moreand more"


def test_a_record_that_was_cut_off_is_gone_on_with():
    class Choking(io.RawIOBase):
        """Takes 60 bytes, then nothing, then everything."""

        room = 60

        def __init__(self):
            self.data = b""

        def write(self, data):
            taken = bytes(data[: self.room])
            self.room -= len(taken)
            self.data += taken
            return len(taken) or None

    file = Choking()
    stream = WireDump(file).wrap(ScriptedStream([b"hello", b"world"]))
    with pytest.raises(StreamNotReady):
        stream.recv(10)
    with pytest.raises(StreamNotReady):
        stream.recv(10)
    file.room = 1000
    stream.close()

    assert bytes_of(io.BytesIO(file.data), "<") == b"helloworld"


@pytest.mark.parametrize("way", ["a byte at a time", "in a pipe", "in a pipe that does not block"])
def test_a_dump_is_read_from_any_binary_stream(way):
    file = io.BytesIO()
    stream = WireDump(file).wrap(ScriptedStream([pattern(100_000)]))
    received = b""
    while len(received) < 100_000:
        received += stream.recv(30_000)
    stream.close()

    if way == "a byte at a time":
        file.seek(0)
        assert b"".join(data for _, _, data in read_dump(Dribbling(file))) == received
        return
    with pipe(reader_blocks=way == "in a pipe") as (reader, writer):
        feed = Feed(writer, file.getvalue())
        feed.start()
        end = os.fdopen(reader, "rb", 0, closefd=False)
        data = b"".join(data for _, _, data in read_dump(end))
        feed.join()
    assert data == received


class Dribbling(io.RawIOBase):
    def __init__(self, file):
        self._file = file

    def readinto(self, buffer):
        data = self._file.read(1)
        buffer[: len(data)] = data
        return len(data)


@pytest.mark.parametrize("file", [io.StringIO(), 5, object()])
def test_what_is_no_binary_file_is_refused_when_the_connection_is_made(file):
    with pytest.raises(TypeError, match="a path or a binary file"):
        HTTPConnection("h", trace_file=file)


def test_what_is_no_dump_is_refused():
    for wrong in (b"> 0.1 5\nab", b"> 0.1 2\nabc\n", b"* 0.1 2\nab\n", b"nonsense\n"):
        with pytest.raises(ValueError, match=r".+"):
            list(read_dump(io.BytesIO(wrong)))


def test_beginning():
    assert list(beginning([b"ab", b"cd", b"ef"], 3)) == [b"ab", b"c"]
    assert list(beginning([b"ab"], 0)) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is full")
def test_a_full_disk_leaves_nothing_open():
    with ScriptedServer(answering(OK)) as server:
        before = open_descriptors()
        conn = HTTPConnection("127.0.0.1", server.port, trace_file="/dev/full")
        with pytest.raises(OSError, match="No space left"):
            conn.connect()
        wait_until(lambda: open_descriptors() <= before)
        assert not conn.is_open()
