"""One connection for several requests: who gets it, and what becomes of it in the end."""

import pytest
from kit.pooled import origin, places, pool_of, step

from dugong_like import run
from dugong_like.client.held import HeldConnection


def taken(held, pool, number=0):
    lease = held.over(pool).try_acquire(origin(number))
    return lease if lease is not None else run(held.over(pool).co_acquire(origin(number), None))


def test_same_connection_for_all():
    pool, connector = pool_of(max_connections=1)
    held = HeldConnection()
    for number in range(3):
        lease = taken(held, pool)
        assert lease.connection is connector.made[0]
        assert lease.reused is (number > 0)
        lease.release("timeout=5")
        assert places(pool) == (0, 1)  # nobody else gets it meanwhile
    held.end()
    assert places(pool) == (0, 0)
    assert connector.made[0].closings == 1  # it may be authenticated


def test_connection_that_was_used_once_goes_back():
    pool, connector = pool_of()
    held = HeldConnection()
    taken(held, pool).release()
    held.end()
    assert places(pool) == (1, 0)
    assert connector.open() == 1


@pytest.mark.parametrize("rounds", [1, 2])
def test_end_while_the_last_response_is_read(rounds):
    pool, connector = pool_of()
    held = HeldConnection()
    for number in range(rounds):
        lease = taken(held, pool)
        if number < rounds - 1:
            lease.release()
    held.end()
    assert places(pool) == (0, 1)
    lease.release()
    lease.release()
    lease.discard()
    assert places(pool) == ((1, 0) if rounds == 1 else (0, 0))


def test_connection_that_was_closed_is_replaced():
    pool, connector = pool_of()
    held = HeldConnection()
    first = taken(held, pool)
    first.connection.reusable = False
    first.release()
    second = taken(held, pool)
    assert second.connection is not first.connection
    assert not second.reused
    second.discard()
    held.end()
    assert places(pool) == (0, 0)
    assert connector.open() == 0


def test_another_origin_gets_its_own():
    pool, connector = pool_of()
    held = HeldConnection()
    taken(held, pool).release()
    other = taken(held, pool, 1)
    assert other.connection is connector.made[1]
    assert places(pool) == (1, 1)
    other.release()
    held.end()
    assert places(pool) == (2, 0)


def test_waiting_for_the_first():
    pool, _ = pool_of(max_connections=1)
    lease = pool.try_acquire(origin())
    held = HeldConnection()
    assert held.over(pool).try_acquire(origin()) is None
    op = held.over(pool).co_acquire(origin(), None)
    assert step(op) is None
    lease.release()
    got = step(op)
    assert got.reused
    got.release()
    held.end()
    assert places(pool) == (1, 0)


def test_a_use_without_a_request_does_not_count():
    pool, connector = pool_of(max_requests=2)
    held = HeldConnection()
    taken(held, pool).release(requests=0)
    taken(held, pool).release()
    held.end()
    assert places(pool) == (1, 0)

    taken(HeldConnection(), pool).discard()
    assert len(connector.made) == 1


def test_a_use_without_a_request_leaves_what_the_server_has_said():
    pool, connector = pool_of()
    held = HeldConnection()
    taken(held, pool).release("max=1")
    taken(held, pool).release(requests=0)
    held.end()
    assert places(pool) == (1, 0)

    pool.try_acquire(origin()).release()
    assert places(pool) == (0, 0)
