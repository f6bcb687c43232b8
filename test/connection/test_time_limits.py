"""Time limits taken apart."""

import time

import pytest

from dugong_like import ConnectionTimedOut, ContinueTimedOut, Timeouts
from dugong_like.connection.exchange import Exchange
from dugong_like.connection.time_limits import OwnLimits, co_until_continue
from dugong_like.polling.wake import Wake


def test_number_is_the_limit_for_every_wait():
    limits = OwnLimits(3)
    assert (limits.timeout, limits.write_timeout, limits.head_timeout) == (3, 3, 3)
    assert (limits.head_limit, limits.total) == (None, None)
    limits.limit(None)
    assert (limits.timeout, limits.write_timeout, limits.head_timeout) == (None, None, None)


def test_limits_by_phase():
    limits = OwnLimits(Timeouts(read=1, write=2, head=3, total=4))
    assert (limits.timeout, limits.write_timeout) == (1, 2)
    assert (limits.head_limit, limits.total) == (3, 4)
    assert limits.timeouts.total == 4


@pytest.mark.parametrize("limit", [-1, "3"])
def test_invalid_limit_is_refused(limit):
    with pytest.raises((ValueError, TypeError)):
        OwnLimits(limit)


def expecting(wake, error=None):
    """Return an exchange that expects 100 (Continue), and what reads its response."""
    exchange = Exchange("PUT", "/")
    exchange.expects_continue = True
    return exchange, reading(wake, error)


def reading(wake, error):
    yield wake.need()
    raise error


@pytest.mark.parametrize("own", [True, False])
def test_limit_for_100_is_over_whatever_other_limit_is_over_then(monkeypatch, own):
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with Wake() as wake:
        error = ConnectionTimedOut("nothing arrived", phase="read")
        exchange, going = expecting(wake, error)
        going = co_until_continue(going, exchange, 5)
        assert next(going).deadline == 1005
        now[0] = 1005.0 if own else 1004.0
        with pytest.raises(ContinueTimedOut if own else ConnectionTimedOut) as caught:
            next(going)
        assert (caught.value is error) is not own
        assert exchange.expects_continue is not own


def test_limit_of_the_caller_is_not_that_for_100(monkeypatch):
    """However late it comes: the caller does not want to go on."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with Wake() as wake:
        exchange, going = expecting(wake)
        going = co_until_continue(going, exchange, 5)
        next(going)
        now[0] = 1006.0
        with pytest.raises(ConnectionTimedOut, match="^mine$"):
            going.throw(ConnectionTimedOut("mine"))
        assert exchange.expects_continue
