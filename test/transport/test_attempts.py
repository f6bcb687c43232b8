"""Waiting for a stream: calls that block are made again, until the time is over."""

import socket
import time

import pytest
from kit.streams import WOULD_BLOCK, ScriptedStream, finish

from dugong_like import ConnectionTimedOut, run
from dugong_like.transport.attempts import WholeLimit, co_attempts, co_receive
from dugong_like.transport.tcp import TCPStream


@pytest.fixture
def stream():
    """Return a stream whose peer says nothing."""
    sock, other = socket.socketpair()
    sock.setblocking(False)
    stream = TCPStream(sock)
    with other:
        yield stream
    stream.close()


def test_attempt_is_repeated_until_it_succeeds_or_the_time_is_over(stream):
    answers = iter([None, None, 5])

    operation = co_attempts(
        lambda argument: next(answers), None, WholeLimit(stream.wanted_by_recv, None)
    )
    for _ in range(3):
        next(operation)
    with pytest.raises(StopIteration) as end:
        next(operation)
    assert end.value.value == 5
    start = time.monotonic()
    with pytest.raises(ConnectionTimedOut, match=r"nothing arrived for 0\.05 s \(timeout="):
        run(co_attempts(stream.recv, 10, WholeLimit(stream.wanted_by_recv, 0.05)))
    assert time.monotonic() - start < 20


def test_peer_is_told_what_has_arrived_when_more_is_waited_for():
    stream = ScriptedStream([WOULD_BLOCK, b"x", b"y"])

    assert finish(co_receive(stream, stream.recv, 10, None)) == b"x"
    assert stream.acknowledged == 1
    assert finish(co_receive(stream, stream.recv, 10, None)) == b"y"
    assert stream.acknowledged == 1
