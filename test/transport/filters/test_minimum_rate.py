"""Connections that have to move something, by a clock of the test; see also test_rates.py."""

import pytest
from kit.streams import ScriptedStream

from dugong_like import ConnectionTimedOut, MinimumRate
from dugong_like.transport.filters.minimum_rate import RECEIVING, SENDING, Meter, MeteredStream


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test moves, in `clock.now`."""

    class Clock:
        now = 1000.0

    monkeypatch.setattr(
        "dugong_like.transport.filters.minimum_rate.time.monotonic", lambda: Clock.now
    )
    return Clock


@pytest.mark.feature("A56")
def test_waits_end_when_the_interval_does(clock):
    meter = Meter(MinimumRate(100, 10))

    assert meter.wait(RECEIVING, None) == 1010
    assert meter.wait(RECEIVING, 1003) == 1003
    assert meter.wait(SENDING, 2000) == 1010


@pytest.mark.feature("A56")
def test_error_names_rate_limit_and_interval(clock):
    meter = Meter(MinimumRate(100, 10))
    meter.wait(RECEIVING, None)
    clock.now += 4
    meter.leave(RECEIVING, 900)
    meter.wait(RECEIVING, None)
    clock.now += 6

    with pytest.raises(ConnectionTimedOut) as caught:
        meter.wait(RECEIVING, None)
    assert str(caught.value) == (
        "90.0 bytes per second for 10.0 seconds: less than the lowest rate, "
        "100 bytes per second over 10 seconds"
    )
    assert caught.value.phase == "rate"
    assert meter.wait(RECEIVING, None) == 1020  # who goes on has a whole interval


@pytest.mark.parametrize("moved", [1000, 1001, 100_000])
def test_enough_begins_a_new_interval(clock, moved):
    meter = Meter(MinimumRate(100, 10))
    meter.wait(SENDING, None)
    clock.now += 10
    meter.leave(SENDING, moved)
    assert meter.wait(SENDING, None) == 1020  # what was too much is forgotten
    clock.now += 10
    with pytest.raises(ConnectionTimedOut, match=r"^0\.0 bytes"):
        meter.wait(SENDING, None)


def test_time_counts_only_while_somebody_waits(clock):
    meter = Meter(MinimumRate(100, 10))
    for _ in range(9):
        meter.wait(RECEIVING, None)
        clock.now += 1
        meter.leave(RECEIVING)
        clock.now += 1000  # the program does something else
        meter.leave(RECEIVING)
    assert meter.wait(RECEIVING, None) == clock.now + 1


def test_two_who_wait_at_the_same_time_are_counted_once(clock):
    meter = Meter(MinimumRate(100, 10))
    meter.wait(RECEIVING, None)
    clock.now += 2
    meter.wait(SENDING, None)
    clock.now += 2
    meter.leave(SENDING, 500)
    clock.now += 2
    assert meter.wait(SENDING, None) == 1010
    clock.now += 4
    meter.leave(SENDING, 500)

    assert meter.wait(RECEIVING, None) == 1020  # who waits for the answer waits for the upload


def test_bytes_that_came_without_waiting_count(clock):
    meter = Meter(MinimumRate(100, 10))
    meter.leave(RECEIVING, 1000)
    meter.wait(RECEIVING, None)
    clock.now += 10

    assert meter.wait(RECEIVING, None) == 1020


def test_new_exchange_and_no_exchange(clock):
    meter = Meter(MinimumRate(100, 10))
    meter.wait(RECEIVING, None)
    clock.now += 9
    meter.restart()
    clock.now += 9
    assert meter.wait(RECEIVING, None) == 1019
    meter.stop()
    clock.now += 900
    assert meter.wait(RECEIVING, None) is None
    assert meter.wait(RECEIVING, 3000) == 3000


def test_stream_counts_what_it_moves(clock):
    inner = ScriptedStream([None, b"abc", b"defg"], [None, 5])
    stream = MeteredStream(inner, Meter(MinimumRate(1, 10)))

    assert stream.recv(10) is None
    assert stream.wanted_by_recv(None) == (inner.fd, 1)
    assert stream.wanted_by_recv(None).deadline == 1010
    assert stream.send([b"hello"]) is None
    assert stream.wanted_by_send(None, watch=True) == (inner.fd + 1, 5)
    assert stream.wanted_by_send(1001).deadline == 1001
    clock.now += 10
    assert stream.recv(10) == b"abc"
    assert stream.recv_into(memoryview(bytearray(10))) == 4
    assert stream.send([b"hello"]) == 5
    assert stream.wanted_by_recv(None).deadline == 1020
    clock.now += 10
    with pytest.raises(ConnectionTimedOut):
        stream.wanted_by_send(None)
    with pytest.raises(ConnectionTimedOut):
        clock.now += 10
        stream.wanted_by_recv(None)
