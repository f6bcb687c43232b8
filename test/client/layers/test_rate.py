"""The rate of requests: when each may go, in which order, and what one that is given up leaves."""

import pytest
from kit.sending import Sends, ToldTime, arriving, request_to
from kit.support import open_descriptors

from dugong_like import InvalidOption, RequestRate
from dugong_like.client.layers import rate as rate_


@pytest.fixture
def time(monkeypatch):
    return ToldTime(monkeypatch, rate_)


def rate_of(time, *args, **options):
    return RequestRate(*args, **options, clock=lambda: time.now)


def started(rate, url="http://a.test/"):
    """Return a request that waits, and what sends it."""
    sends = Sends(arriving())
    op = rate(request_to(url), sends)
    return op, next(op), sends


def goes_at_once(rate, url="http://a.test/"):
    op = rate(request_to(url), Sends(arriving()))
    try:
        next(op)
    except StopIteration:
        return True
    op.close()
    return False


def test_requests_come_one_after_the_other(time):
    rate = rate_of(time, 4)
    for _ in range(4):
        time.finish(rate(request_to(), Sends(arriving())))
    assert time.waits == [0.25] * 3


def test_it_shows_its_limits():
    assert repr(RequestRate(0.5, 3)) == "RequestRate(0.5, burst=3, per_origin=True)"
    assert repr(RequestRate(7, per_origin=False)) == "RequestRate(7, burst=1, per_origin=False)"


def test_burst_after_a_pause(time):
    rate = rate_of(time, 2, 3)
    for _ in range(5):
        time.finish(rate(request_to(), Sends(arriving())))
    assert time.waits == [0.5, 0.5]
    time.now += 1.0  # for two more
    assert [goes_at_once(rate) for _ in range(3)] == [True, True, False]
    time.now += 100
    assert [goes_at_once(rate) for _ in range(4)] == [True, True, True, False]


def test_origins_are_counted_separately_unless_told_otherwise(time):
    for per_origin in (True, False):
        rate = rate_of(time, 1, per_origin=per_origin)
        assert goes_at_once(rate)
        assert goes_at_once(rate, "http://b.test/") is per_origin
        assert goes_at_once(rate, "http://a.test:81/") is per_origin


def test_order_is_that_of_coming(time):
    rate = rate_of(time, 1)
    assert goes_at_once(rate)
    waiting = [started(rate) for _ in range(3)]
    assert [need.deadline - time.now for _, need, _ in waiting] == [1, 2, 3]
    time.now += 10
    for op, _, sends in waiting:
        with pytest.raises(StopIteration):
            next(op)
        assert len(sends.requests) == 1


@pytest.mark.parametrize("gone", range(4))
def test_those_behind_one_that_is_given_up_move_up(time, gone):
    rate = rate_of(time, 1)
    assert goes_at_once(rate)
    waiting = [started(rate) for _ in range(4)]
    waiting.pop(gone)[0].close()
    begun = time.now
    times = []
    for op, _, _ in waiting:
        time.finish(op)
        times.append(time.now - begun)
    assert times == [1, 2, 3]
    assert started(rate)[1].deadline - time.now == 1


def test_nothing_is_left_open(time):
    rate = rate_of(time, 1)
    before = open_descriptors()
    assert goes_at_once(rate)
    waiting = [started(rate) for _ in range(20)]
    for op, _, _ in waiting[::2]:
        op.close()
    for op, _, _ in waiting[1::2]:
        time.finish(op)
    assert open_descriptors() <= before
    assert rate._lines[request_to("http://a.test/").url.origin].waiting == []


def test_only_origins_that_need_not_wait_are_forgotten(time, monkeypatch):
    monkeypatch.setattr(rate_, "MOST_ORIGINS", 3)
    rate = rate_of(time, 1)
    places = [f"http://h{number}.test/" for number in range(6)]
    assert all(goes_at_once(rate, place) for place in places)
    assert not any(goes_at_once(rate, place) for place in places)
    time.now += 100
    assert goes_at_once(rate, "http://new.test/")
    assert len(rate._lines) == 3


@pytest.mark.parametrize(
    ("args", "options", "error"),
    [
        ((0,), {}, InvalidOption),
        ((float("inf"),), {}, InvalidOption),
        (("1",), {}, TypeError),
        ((1, 0), {}, InvalidOption),
        ((1, 1.5), {}, TypeError),
        ((1,), {"per_origin": "no"}, TypeError),
        ((1,), {"clock": 1}, TypeError),
    ],
)
def test_wrong_arguments(args, options, error):
    with pytest.raises(error):
        RequestRate(*args, **options)
