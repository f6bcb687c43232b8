"""A stream that keeps to a rate, in single steps; see also test_rates.py."""

from types import SimpleNamespace

from kit.streams import ScriptedStream

from dugong_like import RateLimit
from dugong_like.transport.filters.throttle import ThrottledStream

MANY = bytes(100_000)


def used_up(rate=100_000):
    limit = RateLimit(rate)
    limit.spend(limit.burst)
    return limit


def test_without_a_share_it_says_that_it_would_block(monkeypatch):
    now = 1000.0
    monkeypatch.setattr("dugong_like.polling.rates.time", SimpleNamespace(monotonic=lambda: now))
    inner = ScriptedStream([b"hello"])
    stream = ThrottledStream(inner, used_up(), used_up())
    try:
        assert stream.recv(10) is None
        assert stream.recv_into(memoryview(bytearray(10))) is None
        assert stream.waiting
        assert stream.send([b"abc"]) is None
        reading, writing = stream.wanted_by_recv(None), stream.wanted_by_send(None, watch=True)
        for need in (reading, writing):
            assert need.fd not in {inner.fd, inner.fd + 1}
            assert now < need.deadline < now + 1
        assert reading.fd != writing.fd
        assert stream.wanted_by_recv(now).deadline == now
        now += 0.03
        assert stream.recv(10) == b"hello"
        assert stream.wanted_by_recv(None).fd == inner.fd
        assert stream.send([b"abc"]) == 3
    finally:
        stream.close()


def test_a_share_is_all_that_is_moved():
    inner = ScriptedStream([MANY, MANY])
    stream = ThrottledStream(inner, RateLimit(1000, 500), RateLimit(1000, 500))

    assert len(stream.recv(1 << 20)) == 500
    assert stream.send([b"a" * 300, b"b" * 300]) == 500
    assert inner.sent == b"a" * 300 + b"b" * 200
    stream.close()


def test_tls_sees_again_what_it_did_not_take():
    inner = ScriptedStream(rooms=[None])
    stream = ThrottledStream(inner, None, RateLimit(1000, 500))
    assert stream.send([MANY]) is None
    stream._upload._limit.spend(500)  # another connection was faster

    assert stream.send([MANY]) == 500
    stream.close()


def test_one_direction_may_be_free():
    inner = ScriptedStream([MANY])
    stream = ThrottledStream(inner, None, used_up(1))

    assert len(stream.recv(1 << 20)) == len(MANY)
    stream.close()


def test_who_waits_is_woken_at_the_end():
    stream = ThrottledStream(ScriptedStream(), used_up(1), used_up(1))
    stream.recv(1)
    stream.send([b"x"])
    needs = [stream.wanted_by_recv(None), stream.wanted_by_send(None)]
    assert not any(need.poll(0) for need in needs)
    stream.shut_down_writing()
    assert needs[1].poll(0)
    stream.shut_down()
    assert needs[0].poll(0)
    stream.close()
