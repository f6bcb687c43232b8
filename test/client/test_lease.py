"""Leases of a pool by themselves: connections that are none, and a clock that is moved by hand."""

import warnings

import pytest
from kit.pooled import Clock, origin, places, pool_of, step


def test_giving_back_twice_has_no_effect():
    pool, connector = pool_of()
    lease = pool.try_acquire(origin())
    lease.release()
    lease.release()
    lease.discard()
    assert places(pool) == (1, 0)
    assert connector.made[0].closings == 0
    other = pool.try_acquire(origin())
    lease.release()
    lease.discard()
    assert places(pool) == (0, 1)
    other.discard()
    other.discard()
    assert connector.made[0].closings == 1
    assert places(pool) == (0, 0)
    assert "given back" in repr(other)


def test_lease_as_context_manager():
    pool, connector = pool_of()
    with pool.try_acquire(origin()) as lease:
        assert lease.connection is connector.made[0]
    assert places(pool) == (1, 0)
    with pytest.raises(KeyError), pool.try_acquire(origin()):
        connector.made[0].reusable = False  # as something is under way
        raise KeyError
    assert places(pool) == (0, 0)


def test_forgotten_lease_is_discarded_with_a_warning():
    pool, connector = pool_of(max_connections=1)
    lease = pool.try_acquire(origin())
    waiting = pool.co_acquire(origin())
    assert step(waiting) is None
    with pytest.warns(ResourceWarning, match="host0.test was neither released nor discarded"):
        del lease
    assert connector.made[0].closings == 1
    lease = step(waiting)
    assert lease.connection is connector.made[1]
    lease.release()
    assert pool.stats()["http://host0.test"].ended == {"lost": 1}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del lease


def test_limit_of_requests_counts_those_of_the_lease():
    pool, _ = pool_of(max_requests=3)
    pool.try_acquire(origin()).release()
    lease = pool.try_acquire(origin())

    assert lease.reused
    assert not lease.is_at_limit(1)
    assert lease.is_at_limit(2)
    lease.release(requests=2)
    assert lease.is_at_limit(0)  # it has no connection any more
    assert places(pool) == (0, 0)


def test_one_that_was_handed_over_has_no_effect():
    pool, connector = pool_of()
    lease = pool.try_acquire(origin())
    held = lease.held

    lease.hand_over()
    lease.release()
    lease.discard()

    assert places(pool) == (0, 1)
    assert lease.held == []
    pool.put_back(held)
    assert places(pool) == (1, 0)
    assert connector.made[0].closings == 0


def test_connection_has_rested_after_the_limit_for_a_ping(monkeypatch):
    clock = Clock(monkeypatch)
    pool, _ = pool_of(ping_after=10, keepalive_expiry=60)
    lease = pool.try_acquire(origin())
    lease.release()
    clock.now += 9.9
    lease = pool.try_acquire(origin())
    assert not lease.has_rested()
    lease.release()
    clock.now += 10
    lease = pool.try_acquire(origin())
    assert lease.has_rested()
    lease.release()
    assert not lease.has_rested()  # it has no connection any more


def test_keep_alive_has_to_be_a_string_and_the_connection_is_given_back_all_the_same():
    pool, _ = pool_of()
    lease = pool.try_acquire(origin())
    with pytest.raises(TypeError):
        lease.release(5)
    assert places(pool) == (1, 0)
