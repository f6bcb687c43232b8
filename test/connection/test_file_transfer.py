"""Bodies from files and into files: the same bytes whoever moves them, and every failure told."""

import errno
import hashlib
import io
import json
import os
import random
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from kit.cases import rest_slow
from kit.every_driver import DRIVERS
from kit.odd_streams import Doubled, Made, Quiet, finish_reading, mapped
from kit.pipe_ends import Drain, Feed, pipe
from kit.streams import END, WOULD_BLOCK, BulkyScript, ScriptedStream, connection, finish
from kit.support import ScriptedServer, answering, pattern, read_exactly, read_head

from dugong_like import (
    BodyFollowing,
    ConnectionClosed,
    ConnectionTimedOut,
    ExcessBodyData,
    FileTooShort,
    HTTPConnection,
    Request,
    StateError,
    StreamNotReady,
    Timeouts,
    run,
    stall,
)
from dugong_like.connection import file_transfer as transfers_module
from dugong_like.connection import files as files_module
from dugong_like.drivers.loop import Loop
from dugong_like.polling.binary_streams import co_flush
from dugong_like.polling.contract import POLLIN, POLLOUT
from dugong_like.polling.fairness import TURN
from dugong_like.transport import zero_copy as bulk
from dugong_like.transport.buffer import LOW_WATER
from dugong_like.transport.tcp import TCPStream
from dugong_like.transport.zero_copy import PATIENCE

DATA = pattern(300_000)
ANSWER = b"HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
LOST = ConnectionClosed("scripted", request_sent="maybe")
SIZED = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
linux = pytest.mark.skipif(sys.platform != "linux", reason="the system moves bytes on Linux")
both_ways = pytest.mark.parametrize("made", [BulkyScript, ScriptedStream], ids=["moved", "read"])
framed = pytest.mark.parametrize("length", [None, len(DATA)], ids=["chunked", "sized"])


@pytest.fixture
def file():
    with tempfile.TemporaryFile() as file:
        file.write(DATA)
        file.seek(11)
        yield file


@pytest.fixture(autouse=True)
def no_spare_pipe():
    yield
    bulk._drop_inherited()


@pytest.fixture
def small(monkeypatch):
    """Have everything be done in small steps."""
    monkeypatch.setattr(transfers_module, "MAX_CHUNK", 70_000)
    monkeypatch.setattr(files_module, "PIECE", 50_000)


def body_of(wire):
    """Return the body of the only request that was sent."""
    head, _, body = wire.partition(b"\r\n\r\n")
    if b"chunked" not in head:
        return body
    whole = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        size = int(size, 16)
        assert body[size : size + 2] == b"\r\n"
        whole, body = whole + body[:size], body[size + 2 :]
    return whole


# ---- sending, into scripts


@both_ways
@framed
@pytest.mark.parametrize("seed", rest_slow(4, range(20)))
def test_body_does_not_depend_on_what_the_network_takes(
    monkeypatch, file, small, made, length, seed
):
    dice = random.Random(seed)
    most = dice.choice([100, 10_000, 100_000])
    rooms = [dice.choice([WOULD_BLOCK, dice.randint(1, most)]) for _ in range(20_000)]
    stream = made([], rooms)
    conn = connection(monkeypatch, stream)
    finish(conn.co_send_request("PUT", "/", body=BodyFollowing(length)), 30_000)
    assert finish(conn.co_sendfile(file, 0, 100_000), 30_000) == 100_000
    assert finish(conn.co_sendfile(file, 100_000, 5), 30_000) == 5
    finish(conn.co_write(DATA[100_005:100_010]), 30_000)
    assert finish(conn.co_sendfile(file, 100_010), 30_000) == len(DATA) - 100_010
    finish(conn.co_finish(), 30_000)

    assert body_of(stream.sent) == DATA
    assert file.tell() == 11


@both_ways
def test_empty_files(monkeypatch, made):
    stream = made()
    conn = connection(monkeypatch, stream)
    for length in (0, None, 5):
        conn.send_request("PUT", "/", body=BodyFollowing(length))
        with tempfile.TemporaryFile() as empty:
            assert conn.sendfile(empty) == 0
            assert conn.sendfile(io.BytesIO(b"abc"), 3) == 0
        if length:
            conn.write(b"12345")
        conn.finish()
    assert stream.sent.endswith(b"\r\n\r\n12345")


def test_there_has_to_be_a_body_to_write(monkeypatch, file):
    conn = connection(monkeypatch, ScriptedStream())
    for _ in range(2):
        with pytest.raises(StateError, match="no body to write"):
            conn.sendfile(file)
        conn.send_request("GET", "/")
    conn = connection(monkeypatch, ScriptedStream())
    conn.send_request("PUT", "/", body=BodyFollowing(5), expect100=True)
    with pytest.raises(StateError, match="100"):
        conn.sendfile(file, 0, 5)


@both_ways
@pytest.mark.parametrize("in_memory", [False, True])
@pytest.mark.parametrize("numbers", [(0,), (0, 6), (len(DATA) - 6,)])
def test_too_much_sends_nothing_and_breaks_the_connection(
    monkeypatch, file, made, in_memory, numbers
):
    if in_memory:
        file = io.BytesIO(DATA)
    stream = made()
    conn = connection(monkeypatch, stream)
    conn.send_request("PUT", "/", body=BodyFollowing(5))
    head = stream.sent
    with pytest.raises(ExcessBodyData, match="bytes of body data where 5 were announced"):
        conn.sendfile(file, *numbers)
    assert stream.sent == head
    assert_broken(conn)


def test_too_much_in_a_pipe_sends_no_more_than_was_announced(monkeypatch):
    reader, writer = os.pipe()
    os.write(writer, b"hello world")
    os.close(writer)
    stream = ScriptedStream()
    conn = connection(monkeypatch, stream)
    conn.send_request("PUT", "/", body=BodyFollowing(7))
    monkeypatch.setattr(files_module, "PIECE", 5)
    with os.fdopen(reader, "rb") as file, pytest.raises(ExcessBodyData):
        conn.sendfile(file)
    assert body_of(stream.sent) == b"hello"
    assert_broken(conn)


@both_ways
def test_file_shorter_than_asked_for_is_refused_at_first(monkeypatch, file, made):
    stream = made()
    conn = connection(monkeypatch, stream)
    conn.send_request("PUT", "/", body=BodyFollowing())
    with pytest.raises(FileTooShort):
        conn.sendfile(file, 10, len(DATA))
    conn.write(b"x")
    conn.finish()
    assert body_of(stream.sent) == b"x"


def assert_broken(conn):
    for call in (conn.connect, conn.finish, conn.read_response):
        with pytest.raises((ConnectionClosed, StateError)):
            call()
    with pytest.raises(ConnectionClosed, match=r"broken until reset\(\)"):
        conn.connect()


@framed
def test_memory_shorter_than_asked_for(monkeypatch, length):
    conn = connection(monkeypatch, ScriptedStream())
    conn.send_request("PUT", "/", body=BodyFollowing(length))
    with pytest.raises(FileTooShort, match="1 bytes too early"):
        conn.sendfile(io.BytesIO(b"123"), 1, 3)
    assert_broken(conn)


class Interrupt(BaseException):
    """What a signal handler raises."""


class Bad(io.RawIOBase):
    """A file of which the second half cannot be read."""

    def __init__(self, error):
        self._error = error
        self._pieces = [b"good"]

    def readinto(self, buffer):
        if self._pieces:
            buffer[:4] = self._pieces.pop()
            return 4
        raise self._error


@framed
@pytest.mark.parametrize("error", [OSError(errno.EIO, "bad disk"), ValueError("odd"), Interrupt()])
def test_file_that_cannot_be_read_breaks_the_connection(monkeypatch, length, error):
    conn = connection(monkeypatch, ScriptedStream())
    conn.send_request("PUT", "/", body=BodyFollowing(length))
    with pytest.raises(type(error)) as failure:
        conn.sendfile(Bad(error), 0, 8)
    assert failure.value is error
    assert_broken(conn)


@both_ways
@framed
def test_answer_while_sending_ends_it_and_can_be_read(monkeypatch, file, small, made, length):
    stream = made([], [1000, WOULD_BLOCK, 30_000, *[WOULD_BLOCK] * 100])
    conn = connection(monkeypatch, stream, made([OK]))
    exchange = conn.send_request("PUT", "/", body=BodyFollowing(length))
    stream.incoming = [WOULD_BLOCK, ANSWER]
    with pytest.raises(ConnectionClosed, match="answered 413") as failure:
        finish(conn.co_sendfile(file))
    assert failure.value.request_sent == "yes"
    assert not exchange.sent
    assert finish(conn.co_read_response()).status == 413
    assert finish(conn.co_readall()) == b"no"
    assert conn.send_request("GET", "/next") is not exchange


@both_ways
@framed
def test_answer_is_noticed_also_by_who_never_waits(monkeypatch, made, length):
    stream = made()
    stream.sent = bytearray()
    conn = connection(monkeypatch, stream)
    size = 16 << 20
    conn.send_request("PUT", "/", body=BodyFollowing(length and size))
    stream.incoming = [ANSWER]
    taken = stream.send
    stream.send = lambda parts: taken(parts[:1] if len(parts[0]) < 1000 else [parts[0][:70_000]])
    if made is BulkyScript:
        stream.send = lambda parts: taken(
            [parts[0] if isinstance(parts[0], bytes) else some(parts[0])]
        )
    with tempfile.TemporaryFile() as file:
        file.truncate(size)
        with pytest.raises(ConnectionClosed, match="answered 413"):
            finish(conn.co_sendfile(file))
    assert len(stream.sent) <= TURN + 300_000


def some(part):
    """Return the beginning of a part, as a socket takes it."""
    if isinstance(part, bulk.FileRange):
        return bulk.FileRange(part._file, part._offset, min(part._size, 70_000))
    return part[:70_000]


@both_ways
@framed
def test_others_have_their_turn(monkeypatch, made, length):
    stream = made()
    stream.sent = bytearray()
    conn = connection(monkeypatch, stream)
    size = 8 << 20
    conn.send_request("PUT", "/", body=BodyFollowing(length and size))
    taken = stream.send
    stream.send = lambda parts: taken([some(parts[0])])
    with tempfile.TemporaryFile() as file:
        file.truncate(size)
        waits = sum(1 for _ in conn.co_sendfile(file))
    assert size // TURN - 2 <= waits <= 2 * size // TURN


@both_ways
@framed
@pytest.mark.parametrize("waits", range(1, 7))
def test_given_up_in_the_middle_breaks_the_connection(
    monkeypatch, file, small, made, length, waits
):
    stream = made([], [1000, *[WOULD_BLOCK, 27_000] * 1000])
    conn = connection(monkeypatch, stream)
    conn.send_request("PUT", "/", body=BodyFollowing(length))
    operation = conn.co_sendfile(file)
    for _ in range(waits):
        next(operation)
    with pytest.raises(StateError, match="another operation is sending"):
        conn.sendfile(file)
    operation.close()
    assert_broken(conn)
    assert file.tell() == 11


@both_ways
@framed
@pytest.mark.parametrize("waits", range(1, 12))
def test_lost_at_any_wait(monkeypatch, file, small, made, length, waits):
    stream = made([], [1000, *[WOULD_BLOCK, 27_000] * (waits - 1), WOULD_BLOCK, LOST])
    conn = connection(monkeypatch, stream)
    conn.send_request("PUT", "/", body=BodyFollowing(length))
    with pytest.raises(ConnectionClosed, match="scripted") as failure:
        finish(conn.co_sendfile(file))
    assert failure.value.request_sent == "maybe"
    assert file.tell() == 11


@both_ways
def test_time_limit(monkeypatch, file, made):
    stream = made([], [1000, *[WOULD_BLOCK] * 1_000_000])
    conn = connection(monkeypatch, stream, timeout=0.01)
    conn.send_request("PUT", "/", body=BodyFollowing(len(DATA)))
    with pytest.raises(ConnectionTimedOut):
        finish(conn.co_sendfile(file), 1_000_000)
    assert_broken(conn)


@linux
def test_file_that_shrinks_while_it_is_sent(file):
    def handler(sock):
        read_head(sock)
        while sock.recv(1 << 20):
            pass

    def shrink(*args):
        os.ftruncate(args[1], 1000)
        return sendfile(*args)

    sendfile = os.sendfile
    for length in (None, len(DATA)):
        with ScriptedServer(handler) as server, HTTPConnection("127.0.0.1", server.port) as conn:
            conn.send_request("PUT", "/", body=BodyFollowing(length))
            with pytest.MonkeyPatch.context() as patch, pytest.raises(FileTooShort):
                patch.setattr(os, "sendfile", shrink)
                conn.sendfile(file)
            assert_broken(conn)
        file.truncate(len(DATA))


# ---- receiving, from scripts


def chunks(data, size):
    wire = b"".join(
        b"%x;a=b\r\n%b\r\n" % (len(data[at : at + size]), data[at : at + size])
        for at in range(0, len(data), size)
    )
    return CHUNKED + wire + b"0\r\nX: y\r\n\r\n"


RESPONSES = {
    "sized": SIZED % len(DATA) + DATA,
    "chunked": chunks(DATA, 7000),
    "large chunks": chunks(DATA, 110_000),
    "until close": b"HTTP/1.1 200 OK\r\n\r\n" + DATA,
}


def cut(wire, size):
    """Return what `ScriptedStream.recv` gives: pieces of *size* bytes with waits in between."""
    pieces = [wire[at : at + size] for at in range(0, len(wire), size)]
    return [given for piece in pieces for given in (piece, WOULD_BLOCK)]


def begin(monkeypatch, made, wire, size=40_000, **options):
    """Return a connection to which *wire* is the response, its head read, and the stream."""
    stream = made([*cut(wire, size), END])
    conn = connection(monkeypatch, stream, **options)
    conn.send_request("GET", "/")
    finish(conn.co_read_response())
    return conn, stream


@pytest.mark.feature("A30")
@both_ways
@pytest.mark.parametrize("kind", RESPONSES)
@pytest.mark.parametrize("size", [100, 3000, 65_536, 10**6])
@pytest.mark.parametrize("buffer_size", rest_slow(1, [4096, 65_536]))
@pytest.mark.parametrize("mode", ["w+b", "a+b", "memory"])
def test_body_is_the_same_in_a_file(monkeypatch, tmp_path, made, kind, size, buffer_size, mode):
    wire = RESPONSES[kind]
    conn, stream = begin(monkeypatch, made, wire, size, buffer_size=buffer_size)
    with io.BytesIO() if mode == "memory" else (tmp_path / "x").open(mode) as file:
        file.write(b"before")
        assert finish(conn.co_recv_to_file(file), 100_000) == len(DATA)
        assert finish(conn.co_recv_to_file(file)) == 0
        assert file.tell() == len(DATA) + 6
        file.write(b"behind")
        file.seek(0)
        assert file.read() == b"before" + DATA + b"behind"
    assert conn.read() == b""
    if mode == "w+b" and made is BulkyScript and kind != "chunked":
        assert stream.moved > 0
    assert bulk._spare == [] or len(bulk._spare) == 1


@both_ways
def test_next_response_is_left_alone(monkeypatch, made):
    stream = made(cut(RESPONSES["sized"] * 2 + RESPONSES["large chunks"], 50_000))
    conn = connection(monkeypatch, stream)
    for _ in range(3):
        conn.send_request("GET", "/")
    for _ in range(3):
        finish(conn.co_read_response())
        with tempfile.TemporaryFile() as file:
            assert finish(conn.co_recv_to_file(file)) == len(DATA)
            assert file.seek(0) == 0
            assert file.read() == DATA


def test_what_an_interrupted_readall_had_is_written_too(monkeypatch):
    conn, _ = begin(monkeypatch, BulkyScript, RESPONSES["sized"])
    reading = conn.co_readall()
    for _ in range(3):
        next(reading)
    reading.close()
    with tempfile.TemporaryFile() as file:
        assert finish(conn.co_recv_to_file(file)) == len(DATA)
        file.seek(0)
        assert file.read() == DATA


def test_there_has_to_be_a_body_to_read(monkeypatch):
    conn = connection(monkeypatch, ScriptedStream())
    with pytest.raises(StateError, match="no body to read"):
        conn.recv_to_file(io.BytesIO())
    with pytest.raises(TypeError):
        conn.recv_to_file(io.StringIO())


class Limited(io.RawIOBase):
    """A file that takes so many bytes, a few at a time."""

    def __init__(self, room):
        self.room = room
        self.data = b""

    def write(self, data):
        if not self.room:
            raise OSError(errno.ENOSPC, "full")
        data = bytes(data[: min(self.room, 1000)])
        self.room -= len(data)
        self.data += data
        return len(data)


@both_ways
@pytest.mark.parametrize("kind", RESPONSES)
@pytest.mark.parametrize("room", [0, 1, 999, 70_001, len(DATA) - 1])
def test_full_file_leaves_the_rest_to_be_read(monkeypatch, made, kind, room):
    conn, _ = begin(monkeypatch, made, RESPONSES[kind])
    file = Limited(room)
    with pytest.raises(OSError, match="full"):
        finish(conn.co_recv_to_file(file))
    assert len(file.data) == room
    assert file.data + finish(conn.co_readall()) == DATA
    assert not conn.response_pending()


def splice_with(room):
    """Return an `os.splice` into a file system that has *room* bytes left."""
    moves = os.splice

    def splice(source, target, count, **options):
        nonlocal room
        if room == 0:
            raise OSError(errno.ENOSPC, "full")
        done = moves(source, target, min(count, room, 1000), **options)
        room -= done
        return done

    return splice


@linux
@pytest.mark.parametrize("kind", RESPONSES)
@pytest.mark.parametrize("room", [0, 1, 999, 70_001, 150_000])
def test_full_disk_leaves_the_rest_to_be_read(monkeypatch, kind, room):
    conn, _ = begin(monkeypatch, BulkyScript, RESPONSES[kind])
    monkeypatch.setattr(os, "splice", splice_with(room))
    with tempfile.TemporaryFile() as file:
        try:
            finish(conn.co_recv_to_file(file))
        except OSError as exc:
            assert exc.errno == errno.ENOSPC
        else:
            assert "chunk" in kind  # enough of it came through the buffer
        assert file.tell() == os.fstat(file.fileno()).st_size
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        data = file.read()
        assert len(data) == size
        assert data + finish(conn.co_readall()) == DATA


@linux
def test_file_that_cannot_be_written(monkeypatch, tmp_path):
    (tmp_path / "x").write_bytes(b"as it was")
    conn, _ = begin(monkeypatch, BulkyScript, RESPONSES["sized"])
    for buffering in (0, -1):
        with (tmp_path / "x").open("rb", buffering) as file, pytest.raises(OSError):
            finish(conn.co_recv_to_file(file))
    closed = (tmp_path / "y").open("wb")
    closed.close()
    with pytest.raises(ValueError, match="closed"):
        finish(conn.co_recv_to_file(closed))
    with (tmp_path / "y").open("wb") as file:
        reading = conn.co_recv_to_file(file)
        next(reading)
        at = file.tell()
    with pytest.raises(ValueError, match="closed"):
        finish(reading)
    data = (tmp_path / "y").read_bytes()
    assert len(data) == at > 0
    assert data + finish(conn.co_readall()) == DATA
    assert (tmp_path / "x").read_bytes() == b"as it was"


@linux
@pytest.mark.parametrize("call", ["pipe2", "splice"])
@pytest.mark.parametrize("number", [errno.EMFILE, errno.EINVAL, errno.ENOSYS])
def test_system_that_cannot(monkeypatch, call, number):
    def fail(*args, **options):
        raise OSError(number, "no")

    if (call, number) == ("splice", errno.EMFILE):
        return  # never said there
    monkeypatch.setattr(os, call, fail)
    conn, _ = begin(monkeypatch, BulkyScript, RESPONSES["sized"])
    with tempfile.TemporaryFile() as file:
        assert finish(conn.co_recv_to_file(file)) == len(DATA)
        file.seek(0)
        assert file.read() == DATA


@linux
@pytest.mark.parametrize("real", [True, False])
def test_signal_in_the_middle_breaks_the_connection_and_the_pipe(monkeypatch, real):
    def interrupt(*args, **options):
        raise Interrupt

    conn, _ = begin(monkeypatch, BulkyScript, RESPONSES["sized"])
    monkeypatch.setattr(os, "splice", interrupt)
    monkeypatch.setattr(Limited, "write", interrupt)
    with tempfile.TemporaryFile() if real else Limited(10) as file, pytest.raises(Interrupt):
        finish(conn.co_recv_to_file(file))
    assert bulk._spare == []
    with pytest.raises(ConnectionClosed, match="reading was interrupted by Interrupt"):
        finish(conn.co_readall())


@both_ways
@pytest.mark.parametrize("kind", ["sized", "chunked", "large chunks"])
def test_early_end_is_an_error_and_what_arrived_is_in_the_file(monkeypatch, made, kind):
    conn, _ = begin(monkeypatch, made, RESPONSES[kind][:-1000])
    with tempfile.TemporaryFile() as file:
        with pytest.raises(ConnectionClosed, match="ended"):
            finish(conn.co_recv_to_file(file))
        at = file.tell()
        file.seek(0)
        data = file.read()
    assert len(data) == at
    assert DATA.startswith(data)
    assert len(data) >= len(DATA) - 1000


# ---- low-water marks

WAYS = {
    "readall": lambda conn: conn.co_readall(),
    "discard": lambda conn: conn.co_discard(),
    "recv_to_file": lambda conn: conn.co_recv_to_file(io.BytesIO()),
}
LARGE = 4 * LOW_WATER


def waiting(stream):
    """Have nothing there at first, and then a little."""
    stream.incoming = [SIZED % LARGE]
    return stream


@pytest.mark.parametrize("way", WAYS)
def test_much_is_waited_for_while_much_is_missing(monkeypatch, way):
    stream = waiting(BulkyScript())
    conn = connection(monkeypatch, stream, timeout=60)
    conn.send_request("GET", "/")
    conn.read_response()
    operation = WAYS[way](conn)
    left = LARGE
    while left > 0:
        need = next(operation)
        soon = need.deadline <= time.monotonic() + PATIENCE
        if left >= 2 * LOW_WATER:
            assert (stream.low_water, soon) == (LOW_WATER, True)
            assert next(operation).deadline > time.monotonic() + 10  # nothing came: the first byte
            assert stream.low_water == 1
        else:
            assert (stream.low_water, soon) == (1, False)
        stream.incoming.append(bytes(50_000 if left > 50_000 else left))
        left -= 50_000
    finish(operation)
    assert LOW_WATER in stream.marks


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("end", ["close", "time-out"])
def test_next_operation_waits_for_the_first_byte(monkeypatch, way, end):
    stream = waiting(BulkyScript())
    conn = connection(monkeypatch, stream)
    conn.send_request("GET", "/")
    conn.read_response()
    operation = WAYS[way](conn)
    next(operation)
    assert stream.low_water == LOW_WATER
    if end == "close":
        operation.close()
    else:
        with pytest.raises(ConnectionTimedOut):
            operation.throw(ConnectionTimedOut())
    reading = conn.co_read(1 << 20)
    next(reading)
    assert stream.low_water == 1


@pytest.mark.parametrize("way", ["read", "readinto"])
def test_operations_that_return_what_there_is_wait_for_the_first_byte(monkeypatch, way):
    stream = waiting(BulkyScript())
    conn = connection(monkeypatch, stream)
    conn.send_request("GET", "/")
    conn.read_response()
    size = 1 << 20
    operation = conn.co_read(size) if way == "read" else conn.co_readinto(bytearray(size))
    assert next(operation).deadline is None
    operation.close()
    assert set(stream.marks) == {1}


def test_head_behind_a_body_that_nobody_reads_is_waited_for_as_always(monkeypatch):
    stream = waiting(BulkyScript())
    conn = connection(monkeypatch, stream)
    boring = conn.send_request("GET", "/boring")
    conn.send_request("GET", "/")
    conn.read_response()
    boring.abandon()
    operation = conn.co_read_response()
    next(operation)
    assert stream.low_water == LOW_WATER
    stream.incoming = [bytes(LARGE), b"HTTP/1.1"]
    next(operation)
    assert stream.low_water == 1


@linux
@pytest.mark.parametrize(
    "how",
    [
        run,
        *(pytest.param(how, marks=pytest.mark.slow) for how in (stall, "no deadlines")),
    ],
)
def test_drip_below_the_mark_is_no_stall(how):
    """The server sends a little, and nothing more until the time is nearly over."""
    size = LARGE + 10_000

    def drip(limit, sock):
        read_head(sock)
        sock.sendall(SIZED % size)
        pieces = [bytes(1000)] * 8  # more than the limit, all together
        for piece in (*pieces, bytes(size - 8_001), b"x"):
            if len(piece) <= 1000:
                time.sleep(0.15 * limit)
            sock.sendall(piece)
        sock.recv(1)

    def co_get(conn, way):
        yield from conn.co_send_request("GET", "/")
        yield from conn.co_read_response()
        if way in WAYS:
            yield from WAYS[way](conn)
        elif way == "read":
            while (yield from conn.co_read(1 << 20)):
                pass
        else:
            buffer = bytearray(1 << 20)
            while (yield from conn.co_readinto(buffer)):
                pass

    def get(limit, server, way):
        with HTTPConnection("127.0.0.1", server.port, timeout=limit) as conn:
            if how is run:
                run(co_get(conn, way))
            elif how == "no deadlines":
                conn.timeout = None
                for need in co_get(conn, way):
                    assert need.poll(30)
            else:
                conn.timeout = None
                run(how(limit, co_get(conn, way)))
            assert not conn.response_pending()

    ways = [*WAYS, "readinto", "read"]
    # A busy machine may be late, and the limit right to pass: the first that is enough is.
    for limit in (1, 5, 25):
        with (
            ScriptedServer(partial(drip, limit)) as server,
            ThreadPoolExecutor(len(ways)) as threads,  # at the same time: they mostly wait
        ):
            ends = [threads.submit(get, limit, server, way) for way in ways]
        if not any(isinstance(end.exception(), ConnectionTimedOut) for end in ends):
            break
    assert [end.result() for end in ends] == [None] * len(ways)


@linux
@pytest.mark.parametrize("way", ["read", "readinto"])
def test_blocking_twins_do_not_wait_long_for_more(way):
    def handler(sock):
        read_head(sock)
        sock.sendall(SIZED % (1 << 20) + b"first")
        assert read_exactly(sock, 1) == b"?"
        sock.sendall(bytes((1 << 20) - 5))
        sock.recv(1)

    with ScriptedServer(handler) as server:
        with HTTPConnection("127.0.0.1", server.port, timeout=30) as conn:
            conn.send_request("GET", "/")
            conn.read_response()
            assert conn.read(5) == b"first"
            began = time.monotonic()
            conn.timeout = 0.05
            with pytest.raises(ConnectionTimedOut):
                conn.read(1 << 20) if way == "read" else conn.readinto(bytearray(1 << 20))
            assert 0.05 <= time.monotonic() - began < 20
            conn.timeout = 5
            conn._session.shared.stream.send([b"?"])
            if way == "read":
                assert len(conn.read(1 << 20)) > 0
            else:
                assert conn.readinto(bytearray(1 << 20)) > 0
            conn.discard()


@pytest.mark.parametrize("way", ["read", "readinto"])
def test_short_read_does_not_hide_what_has_happened_since(monkeypatch, way):
    stream = waiting(BulkyScript())
    conn = connection(monkeypatch, stream, waiting(BulkyScript()))

    def take(size):
        if way == "read":
            return len(conn.read(size))
        return conn.readinto(bytearray(size))

    conn.send_request("GET", "/")
    conn.read_response()
    stream.incoming = [b"a few bytes"]
    assert take(1 << 20) == 11
    writing = conn.co_send_request("PUT", "/", body=bytes(10))
    stream.rooms = [5, WOULD_BLOCK]
    next(writing)
    writing.close()
    with pytest.raises(ConnectionClosed, match="given up in the middle"):
        take(1 << 20)
    conn.reset()
    with pytest.raises(ConnectionClosed, match="closed meanwhile"):
        take(1 << 20)
    conn.send_request("GET", "/")
    with pytest.raises(StateError, match="no body to read"):
        take(1 << 20)


# ---- real servers


FORCED = ["system", "no calls", "no bulk"]


@pytest.fixture(params=FORCED)
def forced(request, monkeypatch):
    """Take away what the system could do."""
    if request.param == "no calls":
        for call in ("sendfile", "splice", "preadv"):
            monkeypatch.delattr(os, call, raising=False)
    elif request.param == "no bulk":
        monkeypatch.setattr(TCPStream, "bulk", None)
    return request.param


@pytest.fixture(scope="module")
def large(request):
    """A file that is larger than anything in between takes at once; and how many bytes it has."""
    count = 64 if request.config.getoption("--slow") else 16
    with tempfile.TemporaryFile() as file:
        for _ in range(count):
            file.write(pattern(1 << 20))
        yield file, count << 20


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
@framed
@pytest.mark.parametrize("name", rest_slow(1, ["granian", "haproxy"]))
def test_large_files_both_ways(start, trusting, large, forced, name, tls, length):
    server = start(name, tls=tls)
    large, size = large
    large.seek(0)
    digest = hashlib.file_digest(large, "sha256").hexdigest()
    context = trusting if tls else None
    with HTTPConnection("localhost", server.port, context, timeout=60) as conn:
        conn.send_request("PUT", "/upload", body=BodyFollowing(length and size))
        assert conn.sendfile(large) == size
        conn.finish()
        assert conn.read_response().status == 200
        received = json.loads(conn.readall())
        assert (received["length"], received["sha256"]) == (size, digest)

        kind = "bytes" if length else "chunked"
        conn.send_request("GET", f"/{kind}/{size}")
        conn.read_response()
        with tempfile.TemporaryFile() as file:
            assert conn.recv_to_file(file) == size
            assert file.tell() == size
            file.seek(0)
            received = hashlib.file_digest(file, "sha256").hexdigest()
        expected = hashlib.sha256()
        left = size
        for piece in pieces_of_the_pattern(size):
            expected.update(piece)
            left -= len(piece)
        assert received == expected.hexdigest()

        conn.send_request("GET", f"/{kind}/{size}")
        conn.read_response()
        conn.discard()
        conn.send_request("GET", "/bytes/5")
        conn.read_response()
        assert conn.readall() == pattern(5)


def pieces_of_the_pattern(size):
    whole = pattern(1 << 20)[: 251 * 4177]
    while size:
        yield whole[:size]
        size -= len(whole[:size])


@linux
@pytest.mark.parametrize("driver", ["run", "loop"])
def test_upload_and_download_at_once(start, driver):
    """Two connections of one loop, the same file sent on both."""
    server = start("granian")

    def co_put(file):
        conn = HTTPConnection("localhost", server.port, timeout=60)
        yield from conn.co_send_request("PUT", "/upload", body=BodyFollowing())
        yield from conn.co_sendfile(file)
        yield from conn.co_finish()
        yield from conn.co_read_response()
        return json.loads((yield from conn.co_readall()))["sha256"]

    with tempfile.TemporaryFile() as file, Loop() as loop:
        file.write(pattern(3_000_000))
        tasks = [loop.spawn(co_put(file)) for _ in range(3)]
        loop.run_all()
        expected = hashlib.sha256(pattern(3_000_000)).hexdigest()
        assert [task.result() for task in tasks] == [expected] * 3


@linux
def test_reset_in_the_middle_of_a_file():
    def handler(sock):
        import socket
        import struct

        read_head(sock)
        sock.sendall(SIZED % (1 << 20) + pattern(300_000))
        time.sleep(0.05)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with ScriptedServer(handler) as server, tempfile.TemporaryFile() as file:
        with HTTPConnection("127.0.0.1", server.port, timeout=30) as conn:
            conn.send_request("GET", "/")
            conn.read_response()
            with pytest.raises(ConnectionClosed):
                conn.recv_to_file(file)
            at = file.tell()
            file.seek(0)
            assert file.read() == pattern(at)


# ---- streams that do not block


def buffered(fd):
    return os.fdopen(fd, "wb", 8192, closefd=False)


def unbuffered(fd):
    return os.fdopen(fd, "wb", 0, closefd=False)


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("make", [buffered, unbuffered])
@pytest.mark.parametrize("blocks", [False, True])
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_pipe_gets_everything_once(start, trusting, driver, blocks, make, tls):
    server = start("uvicorn-httptools", tls=tls)

    def co_get(file):
        yield from conn.co_send_request("GET", "/bytes/400000")
        yield from conn.co_send_request("GET", "/chunked/300000")
        for size in (400_000, 300_000):
            yield from conn.co_read_response()
            assert (yield from conn.co_recv_to_file(file)) == size
        yield from co_flush(file)

    with (
        HTTPConnection("localhost", server.port, trusting if tls else None, timeout=30) as conn,
        pipe(writer_blocks=blocks) as (reader, writer),
    ):
        drain = Drain(reader)
        drain.start()
        try:
            driver(co_get(make(writer)))
        finally:
            writer.close()
            drain.join()

    assert drain.data == pattern(400_000) + pattern(300_000)


@pytest.mark.parametrize("length", [None, 300_000], ids=["chunked", "sized"])
@pytest.mark.parametrize("buffering", [0, 8192])
@pytest.mark.parametrize("blocks", [False, True])
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_pipe_is_sent_to_its_end(start, driver, blocks, buffering, length):
    server = start("uvicorn-httptools")
    data = pattern(300_000)

    def co_put(file):
        yield from conn.co_send_request("PUT", "/upload", body=BodyFollowing(length))
        assert (yield from conn.co_sendfile(file)) == len(data)
        yield from conn.co_finish()
        yield from conn.co_read_response()
        return json.loads((yield from conn.co_readall()))["sha256"]

    with (
        HTTPConnection("localhost", server.port, timeout=30) as conn,
        pipe(reader_blocks=blocks) as (reader, writer),
    ):
        op = co_put(os.fdopen(reader, "rb", buffering, closefd=False))
        if not blocks:
            while next(op).fd != reader:  # until it waits for the pipe, in which is nothing
                pass
        feed = Feed(writer, data)
        feed.start()
        try:
            digest = driver(op)
        finally:
            feed.join()

    assert digest == hashlib.sha256(data).hexdigest()


@both_ways
@pytest.mark.parametrize("kind", RESPONSES)
def test_nobody_else_reads_while_a_full_file_is_waited_for(monkeypatch, made, kind):
    conn, _ = begin(monkeypatch, made, RESPONSES[kind])
    with pipe(writer_blocks=False) as (reader, writer):
        op = conn.co_recv_to_file(unbuffered(writer))
        while next(op) != (writer, POLLOUT):
            pass
        with pytest.raises(StateError, match="another operation is reading"):
            conn.readall()
        op.close()  # nothing is lost: what the pipe has not taken is still to be read
        there = os.read(reader, 1 << 20)

    assert there + finish(conn.co_readall()) == DATA


@both_ways
def test_limits_of_an_operation_hold_while_a_full_file_is_waited_for(monkeypatch, made):
    limits = [(None, False), (10, False), (Timeouts(read=10), False), (Timeouts(total=1000), True)]
    for timeout, limited in limits:
        conn, _ = begin(monkeypatch, made, RESPONSES["sized"], timeout=timeout)
        with pipe(writer_blocks=False) as (_, writer):
            op = conn.co_recv_to_file(unbuffered(writer))
            while (need := next(op)) != (writer, POLLOUT):
                pass
            assert (need.deadline is not None) is limited
            op.close()


TO_WAIT_FOR_FILES = {
    "sendfile": lambda conn, file: conn.co_sendfile(file),
    "a body that is a stream": lambda conn, file: conn.co_send(Request("PUT", "/", body=file)),
    "recv_to_file": lambda conn, file: conn.co_recv_to_file(file),
}


@pytest.mark.parametrize("limit", ["total", "stall"])
@pytest.mark.parametrize("name", TO_WAIT_FOR_FILES)
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_file_that_stands_still_is_not_waited_for_longer_than_was_said(driver, name, limit):
    """The other limits, of which stall() sets one, are about the server."""
    receives = name == "recv_to_file"
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(DATA)
    with (
        ScriptedServer(answering(head + DATA) if receives else idle) as server,
        pipe(reader_blocks=False, writer_blocks=False) as (reader, writer),
        HTTPConnection("127.0.0.1", server.port, timeout=60) as conn,
    ):
        conn.connect()
        if name == "sendfile":
            conn.send_request("PUT", "/", body=BodyFollowing(5))
        if receives:
            conn.send_request("GET", "/")
            conn.read_response()
        file = os.fdopen(
            writer if receives else reader, "wb" if receives else "rb", 0, closefd=False
        )
        if limit == "total":
            conn.timeout = Timeouts(read=60, write=60, total=0.05)
        op = TO_WAIT_FOR_FILES[name](conn, file)
        with pytest.raises(ConnectionTimedOut) as problem:
            driver(op if limit == "total" else stall(0.05, op))

        conn.timeout = 60
        assert problem.value.phase == ("total" if limit == "total" else "")
        assert problem.value.url == f"http://127.0.0.1:{server.port}/"
        if receives:  # nothing is lost
            writer.close()
            os.set_blocking(reader, True)
            with os.fdopen(reader, "rb", closefd=False) as there:
                assert there.read() + conn.readall() == DATA
        else:
            assert_broken(conn)


def idle(sock):
    while sock.recv(65536):
        pass


class Grudging(Limited):
    """A file that is full after so many bytes, and cannot be waited for."""

    def write(self, data):
        return super().write(data) if self.room else self.refuse(data)

    def refuse(self, data):
        return None


class Partial(Grudging):
    """One that takes a part of what it refuses, as buffers do."""

    def refuse(self, data):
        taken = bytes(data[:10])
        self.data += taken
        self.refuse = lambda data: 0
        raise BlockingIOError(errno.EAGAIN, "full", len(taken))


@both_ways
@pytest.mark.parametrize("kind", RESPONSES)
@pytest.mark.parametrize("room", [0, 1, 999, 70_001])
@pytest.mark.parametrize("file_kind", [Grudging, Partial])
def test_what_a_full_file_does_not_take_is_still_to_be_read(
    monkeypatch, made, kind, room, file_kind
):
    conn, _ = begin(monkeypatch, made, RESPONSES[kind])
    file = file_kind(room)
    with pytest.raises(StreamNotReady, match="takes nothing now") as info:
        finish(conn.co_recv_to_file(file))
    assert info.value.characters_written == len(file.data) >= room
    assert info.value.request_sent == "yes", "a POST would be repeated"
    assert file.data + finish(conn.co_readall()) == DATA
    assert not conn.response_pending()


def test_file_that_returns_nonsense_loses_nothing(monkeypatch):
    class Odd(io.RawIOBase):
        def write(self, data):
            return len(data) + 1

    conn, _ = begin(monkeypatch, ScriptedStream, RESPONSES["sized"])
    with pytest.raises(StateError, match="returned"):
        finish(conn.co_recv_to_file(Odd()))
    assert finish(conn.co_readall()) == DATA


def test_pipe_that_has_nothing_yet_and_cannot_be_waited_for_breaks_the_connection(monkeypatch):
    class Idle(io.RawIOBase):
        def readinto(self, buffer):
            return None

    conn = connection(monkeypatch, ScriptedStream())
    conn.send_request("PUT", "/", body=BodyFollowing(5))
    with pytest.raises(StreamNotReady, match="has nothing to read now"):
        conn.sendfile(Idle())
    assert_broken(conn)


@framed
def test_given_up_while_it_waits_for_a_pipe_breaks_the_connection(monkeypatch, length):
    conn = connection(monkeypatch, ScriptedStream())
    conn.send_request("PUT", "/", body=BodyFollowing(length))
    with pipe(reader_blocks=False) as (reader, writer):
        os.write(writer, b"abc")
        op = conn.co_sendfile(os.fdopen(reader, "rb", 0, closefd=False))
        while next(op) != (reader, POLLIN):
            pass
        op.close()
    assert_broken(conn)


@pytest.mark.parametrize("kind", [io.BytesIO, Quiet, Doubled, mapped, Made])
@pytest.mark.parametrize("length", ["chunked", "sized"])
def test_files_of_any_kind_are_sent_from_an_offset_and_stay_where_they_are(
    monkeypatch, kind, length
):
    expected = finish_reading(kind(DATA), 7)
    stream = ScriptedStream()
    conn = connection(monkeypatch, stream)
    file = kind(DATA)
    file.seek(3)
    conn.send_request(
        "PUT", "/", body=BodyFollowing(None if length == "chunked" else len(expected))
    )
    assert conn.sendfile(file, 7) == len(expected)
    conn.finish()
    assert body_of(stream.sent) == expected
    assert file.tell() == 3


def test_a_file_that_is_too_short_from_the_beginning_names_the_request(monkeypatch, tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"abc")
    conn = connection(monkeypatch, ScriptedStream([]))
    finish(conn.co_send_request("PUT", "/f", body=BodyFollowing(10)))
    with (
        file.open("rb") as source,
        pytest.raises(FileTooShort, match="^PUT http://.*/f: ") as caught,
    ):
        finish(conn.co_sendfile(source, count=10))
    assert caught.value.method == "PUT"
