"""What the system moves between sockets and files: the same bytes, and every failure is told."""

import errno
import fcntl
import os
import select
import socket
import struct
import sys
import termios
from pathlib import Path

import pytest
from kit.support import in_child, open_descriptors, pattern, wait_until

from dugong_like import ConnectionClosed, FileTooShort
from dugong_like.transport import zero_copy as bulk
from dugong_like.transport.stream import rest
from dugong_like.transport.tcp import TCPStream
from dugong_like.transport.zero_copy import CannotSplice, FileFailed, FileRange, Pipe

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux does this")
DATA = pattern(300_000)


@pytest.fixture
def peers():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sock = socket.create_connection(listener.getsockname())
        other, _ = listener.accept()
    sock.setblocking(False)
    stream = TCPStream(sock)
    other.settimeout(30)
    with other:
        yield stream, other
    stream.close()


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "data"
    path.write_bytes(DATA)
    with path.open("r+b") as file:
        yield file


@pytest.fixture(autouse=True)
def no_spare_pipe():
    yield
    bulk._drop_inherited()


def send_all(stream, other, parts):
    """Send *parts* and return what comes out."""
    total = sum(map(len, parts))
    received = b""
    while parts or len(received) < total:
        if parts:
            parts = rest(parts, stream.send(parts) or 0)
        received += other.recv(1 << 20)
    return received


@pytest.mark.parametrize("way", ["sendfile", "unable", "missing"])
def test_stretches_go_out_between_other_parts(monkeypatch, peers, file, way):
    stream, other = peers
    if way == "missing":
        monkeypatch.delattr(os, "sendfile")
    elif way == "unable":

        def unable(*args):
            raise OSError(errno.EINVAL, "not with this file")

        monkeypatch.setattr(os, "sendfile", unable)
    file.seek(7)
    parts = [b"begin", FileRange(file, 10, 200_000), b"middle", FileRange(file, 0, 3), b"end"]

    received = send_all(stream, other, parts)
    assert received == b"begin" + DATA[10:200_010] + b"middle" + DATA[:3] + b"end"
    assert file.tell() == 7


def test_sending_a_stretch_says_when_it_would_block(peers, file):
    stream, _ = peers
    while (count := stream.send([FileRange(file, 0, len(DATA))])) is not None:
        assert count > 0
    assert stream.send([b"x", FileRange(file, 0, 5)]) is None


def test_file_that_is_shorter_than_it_was(peers, file):
    stream, other = peers
    file.truncate(10)
    assert stream.send([FileRange(file, 0, 20)]) == 10
    with pytest.raises(FileTooShort, match="10 bytes too early"):
        stream.send([FileRange(file, 10, 10)])
    assert isinstance(FileTooShort(), EOFError)


def test_errors_of_files_are_no_errors_of_the_connection(monkeypatch, peers, file, tmp_path):
    stream, _ = peers

    def fail(*args):
        raise OSError(errno.EIO, "bad disk")

    with (tmp_path / "written").open("wb") as unreadable, pytest.raises(FileFailed) as failure:
        stream.send([FileRange(unreadable, 0, 10)])
    assert failure.value.error.errno == errno.EBADF
    monkeypatch.setattr(os, "sendfile", fail)
    with pytest.raises(FileFailed, match="bad disk"):
        stream.send([FileRange(file, 0, 10)])
    monkeypatch.delattr(os, "sendfile")
    monkeypatch.setattr(os, "pread", fail)
    with pytest.raises(FileFailed, match="bad disk"):
        stream.send([FileRange(file, 0, 10)])
    file.close()
    with pytest.raises(ValueError, match="closed file"):
        stream.send([FileRange(file, 0, 10)])
    assert stream.send([b"fine"]) == 4


def reset(other):
    other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    other.close()


def test_connection_lost_while_a_file_is_sent_or_received(peers, file):
    stream, other = peers
    reset(other)
    assert select.select([stream.fd], [], [], 30)[0]
    with pytest.raises(ConnectionClosed):
        for _ in range(3):
            stream.send([FileRange(file, 0, 10)])
    with pytest.raises(ConnectionClosed):
        for _ in range(2):
            stream.discard(10)  # the end of the stream is none if the sender was told first
    stream.close()
    with pytest.raises(ConnectionClosed):
        stream.send([FileRange(file, 0, 10)])


def test_reset_is_told_to_who_splices(peers):
    stream, other = peers
    pipe = Pipe.borrow()
    reset(other)
    assert select.select([stream.fd], [], [], 30)[0]
    with pytest.raises(ConnectionClosed):
        stream.recv_into_pipe(pipe, 10)
    pipe.close()


def test_what_is_discarded_is_gone_and_no_more(peers):
    stream, other = peers
    assert stream.discard(10) is None
    other.sendall(b"0123456789abc")
    assert stream.wanted_by_recv(None).poll(30)
    assert stream.discard(10) == 10
    assert stream.recv(10) == b"abc"
    other.close()
    assert stream.wanted_by_recv(None).poll(30)
    assert stream.discard(10) == 0


def test_bytes_move_through_a_pipe_into_a_file(peers, file):
    stream, other = peers
    pipe = Pipe.borrow()
    assert stream.recv_into_pipe(pipe, 10) is None
    other.sendall(b"0123456789abc")
    assert stream.wanted_by_recv(None).poll(30)
    assert stream.recv_into_pipe(pipe, 10) == 10
    assert sum(pipe.empty(file.fileno(), 10)) == 10
    assert os.pread(file.fileno(), 11, 0) == b"0123456789" + DATA[10:11]
    assert stream.recv_into_pipe(pipe, 10) == 3
    assert pipe.take() == b"abc"
    assert pipe.take() == b""
    other.close()
    assert stream.wanted_by_recv(None).poll(30)
    assert stream.recv_into_pipe(pipe, 10) == 0
    pipe.give_back()


def test_pipe_that_cannot_be_emptied_keeps_the_bytes(peers, tmp_path):
    stream, other = peers
    other.sendall(b"0123456789")
    assert stream.wanted_by_recv(None).poll(30)
    pipe = Pipe.borrow()
    assert stream.recv_into_pipe(pipe, 10) == 10
    with (tmp_path / "log").open("ab") as file, pytest.raises(CannotSplice):
        list(pipe.empty(file.fileno(), 10))
    with Path(os.devnull).open("rb") as file, pytest.raises(OSError, match="Bad file descriptor"):
        list(pipe.empty(file.fileno(), 10))
    assert pipe.take() == b"0123456789"
    pipe.close()


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS, errno.EPERM])
def test_system_that_does_not_splice(monkeypatch, peers, number):
    def fail(*args, **options):
        raise OSError(number, "no")

    stream, _ = peers
    pipe = Pipe.borrow()
    monkeypatch.setattr(os, "splice", fail)
    with pytest.raises(CannotSplice):
        stream.recv_into_pipe(pipe, 10)
    pipe.close()
    monkeypatch.delattr(os, "splice")
    assert not bulk.can_splice()


def test_one_pipe_is_kept_and_a_child_process_does_not_use_it():
    before = open_descriptors()
    first, second = Pipe.borrow(), Pipe.borrow()
    first.give_back()
    second.give_back()
    assert open_descriptors() <= before + 2  # fewer if one was kept before
    assert Pipe.borrow() is first
    first.give_back()
    assert in_child(lambda: len(bulk._spare)) == 0
    assert len(bulk._spare) == 1


def test_no_descriptors_left_for_a_pipe(monkeypatch):
    def fail(*args):
        raise OSError(errno.EMFILE, "too many")

    monkeypatch.setattr(os, "pipe2", fail)
    with pytest.raises(CannotSplice):
        Pipe.borrow()


def test_pipe_may_be_small(monkeypatch):
    def fail(*args):
        raise PermissionError("too many pages")

    monkeypatch.setattr(fcntl, "fcntl", fail)
    Pipe().close()


def readable(stream, seconds=30):
    return bool(select.select([stream.fd], [], [], seconds)[0])


def has_arrived(stream, count):
    """Return whether so many bytes are there; a wait that has a mark would not tell."""
    there = fcntl.ioctl(stream.fd, termios.FIONREAD, bytes(4))
    return int.from_bytes(there, sys.byteorder) >= count


def test_low_water_mark_delays_readiness_but_not_the_end(peers):
    stream, other = peers
    assert stream.wanted_by_gathering(1000, 7.0).deadline == 7.0
    assert stream.waiting
    other.sendall(bytes(999))
    wait_until(lambda: has_arrived(stream, 999))
    assert not readable(stream, 0.05)
    assert len(stream.recv(10)) == 10  # whoever asks gets what there is
    assert not stream.wait_to_gather(1000, 0.01)
    assert stream.waiting
    other.sendall(bytes(11))
    assert readable(stream)
    assert stream.wait_to_gather(1000, 0.01)
    assert len(stream.recv(1000)) == 1000
    other.close()
    assert readable(stream)
    stream.close()
    stream.wanted_by_gathering(500, None)  # does no harm


WAITS = {
    "wanted_by_recv": lambda stream: stream.wanted_by_recv(None).poll(0),
    "wait_to_recv": lambda stream: stream.wait_to_recv(0),
    "recv_would_block": lambda stream: not stream.recv_would_block(),
    "is_idle": lambda stream: not stream.is_idle(),
    "wanted_by_send": lambda stream: select.select(
        [stream.wanted_by_send(1, watch=True)[0]], [], [], 0
    )[0],
}


@pytest.mark.parametrize("wait", WAITS)
def test_everybody_else_sees_the_first_byte(peers, wait):
    stream, other = peers
    for _ in range(2):
        stream.wanted_by_gathering(1000, None)
        other.sendall(b"x")
        wait_until(lambda: has_arrived(stream, 1))
        assert not readable(stream, 0.05)
        assert WAITS[wait](stream)
        assert stream.recv(10) == b"x"
        stream.wanted_by_recv(None)


@pytest.mark.parametrize("size", [2048, 65536])
def test_mark_above_the_receive_buffer_does_not_stall(size):
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
        sock.connect(listener.getsockname())
        sock.setblocking(False)
        bulk.set_low_water(sock, 1 << 20)
        other, _ = listener.accept()
        with other:
            other.setblocking(False)
            got = 0
            while got < 500_000:
                try:
                    other.send(bytes(10_000))
                except BlockingIOError:
                    assert select.select([sock], [], [], 30)[0]
                    got += len(sock.recv(1 << 20))


def test_reset_wakes_also_below_the_mark(peers):
    stream, other = peers
    stream.wanted_by_gathering(1000, None)
    other.sendall(bytes(10))
    reset(other)
    assert readable(stream)
