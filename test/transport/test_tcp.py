"""TCP streams: nothing blocks, every end is told, each half has its own descriptor."""

import os
import select
import socket
import struct
import threading
from concurrent import futures

import pytest

from dugong_like import POLLIN, POLLOUT, ConnectionClosed
from dugong_like.transport.tcp import MAX_PARTS, TCPStream, send_many


@pytest.fixture
def peers():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sock = socket.create_connection(listener.getsockname())
        other, _ = listener.accept()
    sock.setblocking(False)
    stream = TCPStream(sock)
    with other:
        yield stream, other
    stream.close()


def test_receiving_says_when_it_would_block_and_when_it_is_over(peers):
    stream, other = peers
    buffer = bytearray(10)
    assert stream.recv_into(memoryview(buffer)) is None
    assert stream.recv(10) is None
    assert stream.is_idle()
    assert not stream.buffered
    other.sendall(b"abcdef")
    need = stream.wanted_by_recv(None)
    assert need.poll(30)
    assert not stream.is_idle()
    assert stream.recv_into(memoryview(buffer)[:2]) == 2
    assert stream.recv(10) == b"cdef"
    other.close()
    assert stream.wanted_by_recv(7.0).deadline == 7.0
    assert need.poll(30)
    assert stream.recv_into(memoryview(buffer)) == 0
    assert stream.recv(10) == b""


def fill(stream):
    """Send until there is no room, and none is made by what is still on its way."""
    while stream.wanted_by_send(None).poll(0.05):
        while stream.send([bytes(100_000)]) is not None:
            pass


def test_sending_says_when_it_would_block(peers):
    stream, other = peers
    assert stream.send([b"one"]) == 3
    assert stream.send([b"two", memoryview(b"three"), b""]) == 8
    other.settimeout(30)
    assert other.recv(100) == b"onetwothree"
    fill(stream)
    assert not stream.wanted_by_send(None).poll(0)


def test_reset_is_a_lost_connection(peers):
    stream, other = peers
    other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    other.close()
    stream.wanted_by_recv(None).poll(30)
    with pytest.raises(ConnectionClosed, match="connection lost"):
        stream.recv(10)
    with pytest.raises(ConnectionClosed):
        stream.send([b"x"])
    with pytest.raises(ConnectionClosed):
        stream.send([b"x", b"y"])


@pytest.mark.parametrize("receive", ["recv", "recv_into"])
def test_reset_that_the_sender_was_told_of_is_no_end_of_the_stream(peers, receive):
    stream, other = peers
    other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    other.close()  # with RST
    assert select.select([stream.fd], [], [], 30)[0]
    with pytest.raises(ConnectionClosed, match="reset"):
        stream.send([b"x"])
    for _ in range(2):
        with pytest.raises(ConnectionClosed, match="reset"):
            stream.recv(10) if receive == "recv" else stream.recv_into(memoryview(bytearray(10)))


@pytest.mark.reliability(34)
@pytest.mark.parametrize("receive", ["recv", "recv_into", "discard"])
def test_reset_that_the_sender_is_just_being_told_of(peers, receive):
    stream, other = peers
    told, going = threading.Event(), threading.Event()

    class Telling:
        """A socket whose thread sleeps between the answer of the system and its own next step."""

        def __init__(self, sock):
            self._sock = sock

        def __getattr__(self, name):
            return getattr(self._sock, name)

        def send(self, data):
            try:
                return self._sock.send(data)
            finally:
                told.set()
                assert going.wait(20)

    def take():
        if receive == "recv_into":
            return stream.recv_into(memoryview(bytearray(10)))
        return getattr(stream, receive)(10)

    stream._sock = Telling(stream._sock)
    other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    other.close()  # with RST
    assert select.select([stream.fd], [], [], 30)[0]
    with futures.ThreadPoolExecutor(1) as pool:
        writer = pool.submit(stream.send, [b"x"])
        assert told.wait(20)
        assert take() is None  # neither the end nor a wait: it is to be asked again
        going.set()
        with pytest.raises(ConnectionClosed, match="reset"):
            writer.result(20)
        with pytest.raises(ConnectionClosed, match="reset"):
            take()


def test_reset_while_receiving_into_memory(peers):
    stream, other = peers
    other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    other.close()
    stream.wanted_by_recv(None).poll(30)
    with pytest.raises(ConnectionClosed):
        stream.recv_into(memoryview(bytearray(5)))


def test_each_half_waits_for_a_descriptor_of_its_own(peers):
    stream, _ = peers
    reading, writing = stream.wanted_by_recv(None), stream.wanted_by_send(5.0)
    assert reading.fd == stream.fd != writing.fd
    assert (reading.mask, writing.mask, writing.deadline) == (POLLIN, POLLOUT, 5.0)
    assert stream.wanted_by_send(None, watch=True) == (writing.fd, POLLIN | POLLOUT)
    stream.close()
    for fd in (reading.fd, writing.fd):
        with pytest.raises(OSError, match="Bad file"):
            os.fstat(fd)


def test_closed_by_another_thread_before_the_sender_waits(peers):
    stream, _ = peers
    sock = socket.socket()
    sender = TCPStream(sock)
    sock.close()
    with pytest.raises(ConnectionClosed, match="Bad file descriptor"):
        sender.wanted_by_send(None)
    stream.wanted_by_send(None)
    stream.close()
    with pytest.raises(ConnectionClosed, match="it was closed"):
        stream.wanted_by_send(None)


def test_closed_by_another_thread_before_the_receiver_waits(peers):
    """The number may belong to another file by now: no loop may keep it."""
    stream, _ = peers
    stream.close()
    assert stream.wanted_by_recv(None).source.closed
    assert stream.wanted_by_recv(5.0).source.closed


def test_ending_the_sending_direction_wakes_who_waits_to_send(peers):
    stream, other = peers
    fill(stream)
    need = stream.wanted_by_send(None)
    assert not need.poll(0)
    stream.shut_down_writing()
    assert need.poll(30)
    with pytest.raises(ConnectionClosed):
        stream.send([b"x"])
    other.close()
    stream.shut_down_writing()


def test_stream_that_is_given_up_leaves_the_socket_open(peers):
    stream, _ = peers
    fd = stream.wanted_by_send(None).fd
    stream.hand_over()
    os.fstat(stream.fd)
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(fd)


def test_systems_without_sendmsg_send_the_first_part():
    class Windows:
        def send(self, part):
            return len(part)

    assert send_many(Windows(), [b"abc", b"de"]) == 3


def test_parts_beyond_those_of_one_call_of_the_system_are_not_looked_at():
    class Parts(list):
        def __iter__(self):
            raise AssertionError("it was asked for all of them")

    mine, other = socket.socketpair()
    with mine, other:
        assert send_many(mine, Parts([b"ab"] * 10_000)) == 2 * MAX_PARTS
        assert other.recv(1 << 16) == b"ab" * MAX_PARTS
