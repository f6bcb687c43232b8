"""A deadline that only progress renews: each way of sending, with a clock of the test's own.

Nothing waits here: the test is the driver, and resumes each operation when its deadline says.
"""

import io
import os
import socket
import ssl
import tempfile

import pytest
from kit.streams import GrudgingStream, ScriptedStream
from kit.support import wait_until

from dugong_like import (
    POLLIN,
    POLLOUT,
    BodyFollowing,
    Budget,
    ConnectionTimedOut,
    HTTPConnection,
    MinimumRate,
    NetworkStream,
    PollNeeded,
    RateLimit,
    ScriptedTransport,
    Timeouts,
    stall,
)
from dugong_like.polling import progress_deadline
from dugong_like.polling.progress_deadline import LOOKS, ProgressDeadline, unacknowledged
from dugong_like.transport.tcp import TCPStream
from dugong_like.transport.tls.over_stream import TLSOverStream

LIMIT = 8.0  # seconds, and a look each second
LINUX = pytest.mark.skipif(os.uname().sysname != "Linux", reason="only Linux tells")


class Clock:
    """Takes the place of the module `time` there."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress_deadline, "time", clock)
    monkeypatch.setattr("dugong_like.polling.combinators.time", clock)
    return clock


class Full(ScriptedStream):
    """A stream whose peer takes nothing, but for what *takes* says.

    Args:
        clock: of the test.
        takes: for each call that sends something: seconds, and how many bytes.

    """

    def __init__(self, clock, takes=()):
        super().__init__()
        self.takes = [(clock.now + seconds, count) for seconds, count in takes]
        self._clock = clock

    def send(self, parts):
        if not self.takes or self._clock.now < self.takes[0][0]:
            return None
        data = b"".join(parts)[: self.takes.pop(0)[1]]
        self.sent += data
        return len(data)

    def recv_would_block(self):
        return True


def by_connection(stream, **options):
    """Return an operation that writes a body to *stream*."""
    conn = HTTPConnection(
        "x", 80, transport=ScriptedTransport(stream), **{"timeout": LIMIT, **options}
    )
    stream.takes.insert(0, (0, 10_000))  # the head
    conn.send_request("PUT", "/", body=BodyFollowing(1000))
    return conn.co_write(bytes(1000))


def by_network_stream(stream):
    return NetworkStream(stream, timeout=LIMIT).co_write(bytes(1000))


def by_file(stream):
    conn = HTTPConnection("x", 80, transport=ScriptedTransport(stream), timeout=LIMIT)
    stream.takes.insert(0, (0, 10_000))
    conn.send_request("PUT", "/", body=BodyFollowing(1000))
    return conn.co_sendfile(io.BytesIO(bytes(1000)))


def throttled(stream):
    return by_connection(stream, budget=Budget(upload=RateLimit(1e9)))


def at_a_minimum_rate(stream):
    return by_connection(stream, budget=Budget(minimum_rate=MinimumRate(1, 1e6)))


def in_phases(stream):
    return by_connection(stream, timeout=Timeouts(write=LIMIT))


WAYS = [by_connection, by_network_stream, by_file, throttled, at_a_minimum_rate, in_phases]


def time_out(op, clock):
    """Resume *op* at each of its deadlines until it times out; return how long that took."""
    begin = clock.now
    with pytest.raises(ConnectionTimedOut, match=r"for 8\.0 s\b"):
        for need in op:
            assert clock.now < need.deadline <= clock.now + LIMIT
            clock.now = need.deadline
    return clock.now - begin


@pytest.mark.feature("B27")
@pytest.mark.parametrize("way", WAYS)
def test_nothing_sent_ends_after_one_period(clock, way):
    assert time_out(way(Full(clock)), clock) == LIMIT


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("looks", range(1, LOOKS + 1))
def test_a_part_that_is_sent_gives_a_period_from_then_on(clock, way, looks):
    """Also at the deadline: nothing could be sent a moment, an eighth of the period, before."""
    at = looks * LIMIT / LOOKS
    assert time_out(way(Full(clock, [(at, 1)])), clock) == at + LIMIT


def test_room_that_was_there_since_the_beginning_is_found_at_the_first_look(clock):
    """So that what is below the mark of the system gives no whole period at the deadline."""
    stream = Full(clock, [(0.01, 5)])
    assert time_out(by_connection(stream), clock) <= LIMIT + LIMIT / LOOKS
    assert stream.sent.endswith(b"\r\n\r\n" + bytes(5))


@pytest.mark.parametrize("way", WAYS)
def test_who_is_resumed_too_early_waits_no_longer(clock, way):
    op = way(Full(clock))
    begin, waits = clock.now, 0
    with pytest.raises(ConnectionTimedOut):
        for _ in op:
            waits += 1
            clock.now += LIMIT / 100
    assert 99 <= waits <= 101
    assert clock.now - begin == pytest.approx(LIMIT)


@pytest.mark.parametrize("way", [by_connection, by_network_stream])
def test_who_is_slow_but_moves_is_never_cut_off(clock, way):
    stream = Full(clock, [(seconds, 100) for seconds in range(5, 55, 5)])
    op = way(stream)
    begin = clock.now
    for need in op:
        clock.now = need.deadline
    assert stream.sent.endswith(bytes(1000))
    assert clock.now - begin == 50


@pytest.mark.parametrize("way", WAYS)
def test_what_is_acknowledged_is_progress_though_nothing_can_be_sent(clock, monkeypatch, way):
    queue = [10_000]
    monkeypatch.setattr(progress_deadline, "unacknowledged", lambda fd: queue[0])
    op = way(Full(clock))
    begin = clock.now
    with pytest.raises(ConnectionTimedOut):
        for need in op:
            clock.now = need.deadline
            if clock.now - begin <= 5 * LIMIT:
                queue[0] -= 1
    assert clock.now - begin == 6 * LIMIT


def test_an_end_that_cannot_be_said_ends_after_one_period(clock):
    stream = ScriptedStream(rooms=[None] * 100)
    assert time_out(NetworkStream(stream, timeout=LIMIT).co_write_eof(), clock) == LIMIT


def test_tls_in_memory_counts_what_goes_out_below(clock, monkeypatch):
    """A record that goes out in parts is nothing sent, to who has written it."""

    class Secured(TLSOverStream):
        def __init__(self, inner):
            super().__init__(inner, ssl.create_default_context(), "x")

        def _encrypt(self, parts):
            self._outgoing.write(bytes(1000))
            return len(parts[0])

    below = Full(clock, [(seconds, 1) for seconds in range(1, 13)])
    monkeypatch.setattr(progress_deadline, "unacknowledged", lambda fd: len(below.sent))
    op = NetworkStream(Secured(below), timeout=LIMIT).co_write(b"x")
    begin = clock.now
    with pytest.raises(ConnectionTimedOut):
        for need in op:
            clock.now = need.deadline
    assert clock.now - begin == 12 * LIMIT / LOOKS + LIMIT


# ---- what is received


def test_only_what_is_received_renews_the_deadline_of_a_reader(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("dugong_like.connection.h1.reading_waits.time", clock)
    stream = GrudgingStream([(b"\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")], 5)
    conn = HTTPConnection("x", 80, transport=ScriptedTransport(stream), timeout=LIMIT)
    conn.send_request("GET", "/")
    deadlines = []
    for need in (op := conn.co_read_response()):
        deadlines.append(need.deadline)
        clock.now += 1
    op.close()
    assert len(set(deadlines)) > 3  # one for each piece
    stream.stuck = True
    begin, deadlines = clock.now, []
    with pytest.raises(ConnectionTimedOut):
        for need in conn.co_read(9):
            deadlines.append(need.deadline)
            clock.now += 0.5
    assert clock.now - begin == LIMIT
    assert set(deadlines) == {begin + LIMIT}


# ---- stall


def waiting_for(fd, mask, resumed):
    while True:
        resumed.append(fd)
        yield PollNeeded(fd, mask)


def fill(sock):
    try:
        while True:
            sock.send(bytes(10_000))
    except BlockingIOError:
        pass


@pytest.fixture
def pair():
    left, right = socket.socketpair()
    with left, right:
        left.setblocking(False)
        yield left, right


@LINUX
def test_stall_lets_go_on_who_moves_without_room(clock, pair):
    fill(pair[0])
    resumed = []
    op = stall(LIMIT, waiting_for(pair[0].fileno(), POLLOUT, resumed))
    begin = clock.now
    with pytest.raises(ConnectionTimedOut):
        for need in op:
            clock.now = need.deadline
            if clock.now - begin <= LIMIT:
                pair[1].recv(10_000)
                assert not PollNeeded(pair[0].fileno(), POLLOUT).poll(0), "the test shows nothing"
    assert LIMIT < clock.now - begin <= 2 * LIMIT
    assert len(resumed) == 1


@LINUX
def test_stall_does_not_take_the_looks_of_an_operation_for_movement(clock, pair):
    fill(pair[0])
    conn = NetworkStream(TCPStream(pair[0]), timeout=1000)
    begin = clock.now
    with pytest.raises(ConnectionTimedOut, match=r"8\.0 s\b"):
        for need in stall(LIMIT, conn.co_write(b"x")):
            clock.now = need.deadline
    assert clock.now - begin == LIMIT


def test_stall_waits_for_a_reader_in_one_piece(clock, pair):
    op = stall(LIMIT, waiting_for(pair[0].fileno(), POLLIN, []))
    needs = []
    with pytest.raises(ConnectionTimedOut):
        for need in op:
            needs.append(need)
            clock.now = need.deadline
    assert [need.deadline for need in needs] == [1000 + LIMIT]


# ---- what the system tells


@LINUX
def test_the_system_tells_what_was_not_acknowledged(pair):
    assert unacknowledged(pair[0].fileno()) == 0
    pair[0].send(bytes(1000))
    assert unacknowledged(pair[0].fileno()) >= 1000
    pair[1].recv(1000)
    assert unacknowledged(pair[0].fileno()) == 0


def test_what_is_no_socket_tells_nothing(monkeypatch):
    reader, writer = os.pipe()
    os.close(reader)
    os.close(writer)
    with tempfile.TemporaryFile() as file:
        for fd in (writer, -1, file.fileno()):
            assert unacknowledged(fd) is None
    with socket.socket() as sock:
        monkeypatch.setattr("sys.platform", "other")
        assert unacknowledged(sock.fileno()) is None


@LINUX
def test_over_tcp_a_peer_that_reads_nothing_renews_nothing(clock):
    """The system of the peer takes some more by itself, in the first moments."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sock = socket.create_connection(listener.getsockname())
        peer, _ = listener.accept()
        sock.setblocking(False)
        queued = []

        def is_at_rest():
            fill(sock)
            queued.append(unacknowledged(sock.fileno()))
            return len(queued) > 200 and len(set(queued[-200:])) == 1

        wait_until(is_at_rest)
        with peer, NetworkStream(TCPStream(sock), timeout=LIMIT) as stream:
            assert time_out(stream.co_write(bytes(100_000)), clock) == LIMIT


def test_another_descriptor_begins_anew(clock, monkeypatch):
    queue = {3: 10, 4: 20}
    monkeypatch.setattr(progress_deadline, "unacknowledged", queue.get)
    limit = ProgressDeadline(LIMIT)
    first = limit.limit(PollNeeded(3, POLLOUT))
    clock.now = first.deadline
    assert not limit.has_passed()
    limit.limit(PollNeeded(4, POLLOUT))
    clock.now = 1000 + LIMIT
    assert limit.has_passed()
    assert limit.is_for(PollNeeded(4, POLLOUT))
    assert not limit.is_for(PollNeeded(4, POLLIN))
    assert not limit.is_for(PollNeeded(3, POLLOUT))
    queue[4] = 19
    assert not limit.is_for(PollNeeded(4, POLLOUT))
    assert limit.limit(PollNeeded(4, POLLOUT, 1001.0)).deadline == 1001
