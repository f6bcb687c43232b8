"""The pool by itself: connections that are none, and a clock that is moved by hand."""

from math import inf

import pytest
from kit.pooled import Clock, FakeConnector, origin, places, pool_of, step
from kit.steps import Steps

from dugong_like import (
    ConnectFailed,
    ConnectionClosed,
    InvalidOption,
    Limits,
    Pool,
    PoolTimedOut,
    StateError,
    Timeouts,
    run,
)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def used(pool, number=0, **released):
    """Take a connection and give it back; return it."""
    lease = pool.try_acquire(origin(number))
    conn = lease.connection
    lease.release(**released)
    return conn


# ---- taking and giving back


def test_connection_that_was_used_last_is_taken_first():
    pool, connector = pool_of()
    leases = [pool.try_acquire(origin()) for _ in range(3)]
    assert [lease.reused for lease in leases] == [False] * 3
    assert len({lease.connection for lease in leases}) == 3
    for lease in leases:
        lease.release()
    again = [pool.try_acquire(origin()) for _ in range(3)]
    assert [lease.connection for lease in again] == connector.made[::-1]
    assert [lease.reused for lease in again] == [True] * 3
    assert [lease.origin for lease in again] == [origin()] * 3
    for lease in again:
        lease.release()
    assert places(pool) == (3, 0)


def test_connections_are_shared_by_what_the_connector_says():
    from dugong_like import Origin

    pool, connector = pool_of()
    conn = used(pool)
    lease = pool.try_acquire(Origin("ws", "host0.test"))
    assert lease.connection is conn
    lease.release()
    other = pool.try_acquire(Origin("https", "host0.test"))
    assert other.connection is not conn
    other.release()
    assert len(connector.made) == 2


@pytest.mark.parametrize("reusable", [False, True])
def test_connection_that_cannot_be_reused_is_closed(reusable):
    pool, connector = pool_of()
    lease = pool.try_acquire(origin())
    lease.connection.reusable = reusable
    if not reusable:
        lease.connection.close_reason = ConnectionClosed("gone")
    lease.release()
    assert connector.open() == reusable
    assert places(pool) == (int(reusable), 0)
    ended = {} if reusable else {"ConnectionClosed": 1}
    assert pool.stats()["http://host0.test"].ended == ended


def test_time_limits_that_a_user_has_set_do_not_reach_the_next():
    pool, connector = pool_of()
    lease = pool.try_acquire(origin())
    lease.connection.timeout = 5
    lease.release()
    assert connector.made[0].timeout is None


def test_failure_to_make_a_connection_takes_no_place():
    pool, connector = pool_of(max_connections=1)
    connector.failure = InvalidOption("no such file")
    with pytest.raises(InvalidOption):
        pool.try_acquire(origin())
    with pytest.raises(InvalidOption):
        run(pool.co_acquire(origin()))
    assert places(pool) == (0, 0)
    connector.failure = None
    lease = pool.try_acquire(origin())
    waiting = pool.co_acquire(origin(1))
    assert step(waiting) is None
    connector.failure = InvalidOption("no such file")
    lease.release()
    with pytest.raises(InvalidOption):
        next(waiting)
    assert places(pool) == (0, 0)


def test_failure_to_close_is_reported_and_nothing_else(monkeypatch):
    reported = []
    monkeypatch.setattr("sys.excepthook", lambda *exc: reported.append(exc[1]))
    pool, connector = pool_of()
    lease = pool.try_acquire(origin())
    problem = LookupError("a trace")

    def close():
        raise problem

    lease.connection.close = close
    lease.discard()
    assert reported == [problem]
    assert places(pool) == (0, 0)


# ---- waiting


@pytest.mark.feature("C23")
def test_first_come_first_served():
    pool, _ = pool_of(max_connections=1)
    lease = pool.try_acquire(origin())
    assert pool.try_acquire(origin()) is None
    waiting = [pool.co_acquire(origin()) for _ in range(5)]
    for operation in waiting:
        assert step(operation) is None
    for number, operation in enumerate(waiting):
        conn = lease.connection
        lease.release()
        assert pool.try_acquire(origin()) is None  # nobody comes in between
        assert [step(each) for each in waiting[number + 1 :]] == [None] * (4 - number)
        lease = step(operation)
        assert lease.connection is conn
    lease.release()
    assert places(pool) == (1, 0)


@pytest.mark.feature("C23")
def test_waiters_of_other_origins_are_served_in_the_same_order():
    pool, connector = pool_of(max_connections=2)
    leases = [pool.try_acquire(origin(0)), pool.try_acquire(origin(0))]
    waiting = [pool.co_acquire(origin(number)) for number in (1, 0, 1)]
    for operation in waiting:
        assert step(operation) is None
    leases[0].release()  # closed, to make room
    assert leases[0].connection.closings == 1
    assert step(waiting[1]) is step(waiting[2]) is None
    first = step(waiting[0])
    assert first.origin == origin(1)
    leases[1].release()
    assert leases[1].connection.closings == 0
    second = step(waiting[1])
    assert second.connection is leases[1].connection
    second.release()
    third = step(waiting[2])
    assert third.origin == origin(1)
    first.release()
    third.release()
    assert connector.open() == 2
    assert pool.stats()["http://host0.test"].ended == {"room made": 2}


@pytest.mark.parametrize("way", ["close", "throw"])
def test_one_that_leaves_is_passed_over(way):
    pool, _ = pool_of(max_connections=1)
    lease = pool.try_acquire(origin())
    first, second = pool.co_acquire(origin()), pool.co_acquire(origin())
    assert step(first) is step(second) is None
    if way == "close":
        first.close()
    else:
        with pytest.raises(KeyboardInterrupt):
            first.throw(KeyboardInterrupt)
    lease.release()
    step(second).release()
    assert places(pool) == (1, 0)


@pytest.mark.parametrize("same", [True, False])
def test_one_that_leaves_when_it_has_just_been_served_passes_it_on(same):
    pool, _ = pool_of(max_connections=1)
    lease = pool.try_acquire(origin())
    first, second = pool.co_acquire(origin(not same)), pool.co_acquire(origin())
    assert step(first) is step(second) is None
    lease.release()
    first.close()
    step(second).release()
    assert places(pool) == (1, 0)


def test_operation_that_was_never_begun_takes_nothing():
    pool, connector = pool_of()
    pool.co_acquire(origin()).close()
    assert connector.made == []


def test_limit_of_one_origin_keeps_nobody_else_waiting():
    pool, _ = pool_of(max_connections=3, max_per_origin=1)
    first = pool.try_acquire(origin(0))
    blocked = [pool.co_acquire(origin(0)) for _ in range(2)]
    for operation in blocked:
        assert step(operation) is None
    other = pool.try_acquire(origin(1))
    assert other is not None
    assert step(blocked[0]) is None
    other.discard()
    third = pool.try_acquire(origin(2))
    assert step(blocked[0]) is None
    first.discard()  # a place of the origin, and not a connection
    lease = step(blocked[0])
    assert step(blocked[1]) is None
    lease.release()
    last = step(blocked[1])
    assert last.connection is lease.connection
    last.release()
    third.release()
    assert places(pool) == (2, 0)


def test_both_limits_together():
    pool, _ = pool_of(max_connections=2, max_per_origin=1)
    a, b = pool.try_acquire(origin(0)), pool.try_acquire(origin(1))
    waiting = [pool.co_acquire(origin(number)) for number in (0, 2, 1, 0)]
    for operation in waiting:
        assert step(operation) is None
    b.release()  # the first one has to wait for its origin: the second one takes the place
    assert step(waiting[0]) is None
    c = step(waiting[1])
    assert b.connection.closings == 1
    c.release()
    assert step(waiting[0]) is None
    d = step(waiting[2])
    a.release()
    e = step(waiting[0])
    assert step(waiting[3]) is None
    e.release()
    f = step(waiting[3])
    d.release()
    f.release()
    assert places(pool) == (2, 0)


def test_time_limit(clock):
    pool = Pool(FakeConnector(pool=5), Limits(max_connections=2, max_per_origin=2))
    leases = [pool.try_acquire(origin()) for _ in range(2)]
    limited, explicit = pool.co_acquire(origin()), pool.co_acquire(origin(), 1002)
    endless = pool.co_acquire(origin(), inf)
    assert next(limited).deadline == 1005
    assert next(explicit).deadline == 1002
    assert next(endless).deadline is None
    clock.now = 1005
    with pytest.raises(PoolTimedOut) as caught:
        next(limited)
    assert caught.value.phase == "pool"
    assert (caught.value.busy, caught.value.waited) == (2, 5)
    assert caught.value.origin == "http://host0.test"
    assert caught.value.request_sent == "no"
    assert str(caught.value) == (
        "no connection to http://host0.test became free within 5 s (Timeouts(pool=5)): "
        "2 are busy, 2 of them with this origin, 2 others wait for one"
    )
    with pytest.raises(PoolTimedOut, match=r"within 2 s \(deadline\): "):
        next(explicit)
    leases[0].release()
    step(endless).release()
    leases[1].release()
    assert places(pool) == (2, 0)


# ---- what ends a connection


@pytest.mark.feature("C25")
def test_idle_connections_expire(clock):
    pool, connector = pool_of(keepalive_expiry=60)
    used(pool)
    clock.now += 59.9
    assert used(pool) is connector.made[0]
    clock.now += 60
    assert used(pool) is connector.made[1]
    assert connector.made[0].closings == 1
    stats = pool.stats()["http://host0.test"]
    assert (stats.opened, stats.reused, stats.expired) == (2, 1, 1)
    assert stats.ended == {"expired": 1}


def test_others_that_have_expired_are_closed_as_well(clock):
    pool, connector = pool_of(keepalive_expiry=60)
    leases = [pool.try_acquire(origin(number)) for number in (0, 0, 1, 2)]
    for lease in leases:
        lease.release()
        clock.now += 10
    clock.now += 35  # 75, 65, 55 and 45 seconds
    pool.try_acquire(origin(3)).release()
    assert [conn.closings for conn in connector.made] == [1, 1, 0, 0, 0]
    assert used(pool, 0) not in connector.made[:2]


@pytest.mark.feature("D25")
def test_without_keep_alive_each_connection_is_used_once(clock):
    for limits in ({"keepalive_expiry": 0}, {"max_keepalive": 0}, {"max_keepalive_per_origin": 0}):
        pool, connector = pool_of(**limits)
        assert used(pool) is not used(pool)
        assert connector.open() == 0
        assert places(pool) == (0, 0)


@pytest.mark.feature("C25")
def test_what_the_server_says_about_keeping_the_connection(clock):
    pool, connector = pool_of()
    used(pool, keep_alive="timeout=5, max=100")
    clock.now += 3.9
    assert used(pool) is connector.made[0]
    clock.now += 4
    assert used(pool, keep_alive="timeout=300") is connector.made[1]
    clock.now += 59.9  # and not longer than the limit of the pool
    assert used(pool) is connector.made[1]
    clock.now += 60
    assert used(pool) is connector.made[2]
    used(pool, keep_alive="timeout=1")
    assert connector.open() == 0
    used(pool, keep_alive="max=0")
    assert connector.open() == 0
    assert [used(pool, keep_alive="max=1"), used(pool), used(pool)] == [
        connector.made[4], connector.made[4], connector.made[5],
    ]  # fmt: skip
    with pytest.raises(TypeError, match="Keep-Alive is a string"):
        pool.try_acquire(origin()).release(keep_alive=5)


@pytest.mark.feature("C22", "C24")
def test_age_and_requests(clock):
    pool, connector = pool_of(max_age=100, max_requests=3)
    assert [used(pool) for _ in range(4)] == [connector.made[0]] * 3 + [connector.made[1]]
    clock.now += 50
    assert used(pool) is connector.made[1]
    clock.now += 49
    lease = pool.try_acquire(origin())
    assert lease.connection is connector.made[1]
    clock.now += 2
    lease.discard()
    lease = pool.try_acquire(origin())
    clock.now += 100
    lease.release()
    assert connector.open() == 0
    assert pool.stats()["http://host0.test"].ended == {
        "max requests": 1, "discarded": 1, "too old": 1
    }  # fmt: skip


@pytest.mark.feature("C45")
def test_surplus_is_what_is_idle_and_not_what_there_is():
    """httpcore 1.0 counts all connections, and closes idle ones while there is room."""
    pool, connector = pool_of(max_keepalive=2, max_keepalive_per_origin=2)
    leases = [pool.try_acquire(origin()) for _ in range(5)]
    leases[0].release()
    leases[1].release()
    assert connector.open() == 5
    leases[2].release()
    assert [conn.closings for conn in connector.made] == [1, 0, 0, 0, 0]  # the longest idle one
    assert places(pool) == (2, 2)
    for lease in leases:
        lease.release()
    assert pool.stats()["http://host0.test"].ended == {"surplus": 3}


def test_surplus_of_the_whole_pool():
    pool, connector = pool_of(max_keepalive=3)
    for number in range(5):
        used(pool, number)
    assert [conn.closings for conn in connector.made] == [1, 1, 0, 0, 0]


def test_longest_idle_connection_makes_room():
    pool, connector = pool_of(max_connections=3)
    for number in range(3):
        used(pool, number)
    used(pool, 0)
    lease = pool.try_acquire(origin(3))
    assert [conn.closings for conn in connector.made] == [0, 1, 0, 0]
    lease.release()


def test_connection_that_was_renewed_counts_as_stale_and_begins_anew(clock):
    pool, connector = pool_of(max_age=100, max_requests=3)
    used(pool, keep_alive="max=1")
    clock.now += 99 - 60
    lease = pool.try_acquire(origin())
    lease.connection.renewals += 1
    lease.release(keep_alive="max=9")
    clock.now += 55
    assert used(pool) is used(pool) is connector.made[0]
    assert used(pool) is connector.made[1]
    stats = pool.stats()["http://host0.test"]
    assert (stats.stale, stats.opened) == (1, 3)


def test_connection_that_was_given_back_without_a_request_may_be_stale_as_well():
    pool, connector = pool_of()
    first = pool.try_acquire(origin())
    assert not first.reused
    first.release(requests=0)
    second = pool.try_acquire(origin())
    assert (second.reused, second.connection) == (True, connector.made[0])
    second.connection.renewals += 1
    second.release(requests=0)
    assert pool.try_acquire(origin()).discard() is None
    stats = pool.stats()["http://host0.test"]
    assert (stats.stale, stats.opened) == (1, 2)


# ---- the whole


def test_closed_pool():
    pool, connector = pool_of(max_connections=2)
    busy, idle = pool.try_acquire(origin(0)), pool.try_acquire(origin(1))
    third = pool.co_acquire(origin(2))
    assert step(third) is None
    pool.close()
    with pytest.raises(StateError, match="the pool was closed while a connection to http://host2"):
        next(third)
    idle.release()
    assert connector.made[1].closings == 1
    assert connector.made[0].closings == 0
    busy.discard()
    for call in (pool.try_acquire, pool.acquire, pool.warm):
        for number in (0, 5):
            message = f"^the pool was closed: it has no connection to {origin(number)}$"
            with pytest.raises(StateError, match=message):
                call(origin(number))
    pool.close()
    run(pool.co_close())
    assert places(pool) == (0, 0)
    assert connector.open() == 0
    assert "closed" in repr(pool)


def test_close_ends_idle_connections():
    with pool_of()[0] as pool:
        conns = [used(pool, number) for number in range(3)]
        assert repr(pool) == "<Pool: 3 idle, 0 busy, 0 waiting, origins: 3>"
    assert [conn.closings for conn in conns] == [1, 1, 1]


def test_warm():
    pool, connector = pool_of(max_connections=4, max_keepalive_per_origin=3)
    assert pool.warm(origin(), 2) == 2
    assert [conn.connecting for conn in connector.made] == [1, 1]
    assert pool.warm(origin(), 9) == 3
    assert len(connector.made) == 3
    lease = pool.try_acquire(origin())
    assert lease.reused
    lease.release()
    assert pool.warm(origin()) == 3
    assert pool.warm(origin(), 0) == 3
    stats = pool.stats()["http://host0.test"]
    assert (stats.idle, stats.opened, stats.reused) == (3, 3, 1)
    with pytest.raises(InvalidOption):
        pool.warm(origin(), -1)


def test_failure_to_warm_takes_no_place():
    pool, connector = pool_of()
    made = connector.connection

    def failing(origin):
        conn = made(origin)
        if len(connector.made) == 2:

            def co_connect():
                conn.reusable = False
                raise ConnectFailed("refused")
                yield

            conn.co_connect = co_connect
        return conn

    connector.connection = failing
    with pytest.raises(ConnectFailed):
        pool.warm(origin(), 3)
    assert places(pool) == (2, 0)


def test_arguments_are_checked():
    connector = FakeConnector()
    for wrong in (None, FakeConnector, 5):
        with pytest.raises(TypeError, match="connector is a Connector"):
            Pool(wrong)
    with pytest.raises(TypeError, match="limits is Limits"):
        Pool(connector, 5)
    with pytest.raises(InvalidOption, match="deadline"):
        run(Pool(connector).co_acquire(origin(), float("nan")))
    assert Pool(connector).limits == Limits()
    assert Timeouts(pool=3).pool == 3


def test_forgotten_pool_leaves_no_connection():
    pool, connector = pool_of()
    lease = pool.try_acquire(origin())
    used(pool, 1)
    lease.release()
    import weakref

    gone = weakref.ref(pool), weakref.ref(pool._known[origin()])
    del pool, lease
    assert [each() for each in gone] == [None, None]


def test_number_of_origins_that_are_known_is_bounded():
    pool, _ = pool_of(max_connections=5)
    for number in range(3000):
        used(pool, number)
    assert len(pool.stats()) <= 1005
    assert len(pool._known) <= 1000


def steps_of(call):
    """Return how many bytecodes, and calls of functions of Python, *call* takes."""
    with Steps() as steps:
        call()
    return steps.codes, steps.frames


@pytest.mark.parametrize("limits", [{}, {"max_per_origin": 2, "max_age": 100}])
def test_steps_do_not_depend_on_how_many_connections_there_are(limits):
    """Unlike those of a machine's clock, these are the same each time."""
    counts = []
    for origins, connections in [(1, 1), (1, 100), (1000, 1)]:
        limits = {**limits, "max_per_origin": connections} if "max_per_origin" in limits else limits
        pool, _ = pool_of(
            max_connections=None, max_keepalive=None, max_keepalive_per_origin=None, **limits
        )
        for number in range(origins):
            leases = [pool.try_acquire(origin(number)) for _ in range(connections)]
            for lease in leases:
                lease.release()
        where = origin(origins // 2)

        def use(pool=pool, where=where):
            pool.try_acquire(where).release()

        use()
        counts.append(steps_of(use))
        pool.close()
    assert len(set(counts)) == 1
    codes, calls = counts[0]
    assert codes <= 400
    assert calls <= 13


def test_waiting_and_serving_take_as_many_steps_with_many_waiters():
    counts = []
    for many in (1, 60):
        pool, _ = pool_of(max_connections=1)
        lease = pool.try_acquire(origin())
        waiting = [pool.co_acquire(origin(number % 7)) for number in range(many)]
        for operation in waiting:
            step(operation)
        last = pool.co_acquire(origin())
        codes = steps_of(lambda last=last: step(last))[0]
        codes += steps_of(lease.release)[0]
        codes += steps_of(last.close)[0]
        counts.append(codes)
        for operation in waiting:
            operation.close()
    assert counts[1] < counts[0] * 1.1  # a heap of 7


def test_whether_connections_are_shared_is_known_for_each_origin():
    pool, _ = pool_of()
    assert not pool.is_shared(origin())
    pool.set_shared(origin(), is_shared=True)
    assert pool.is_shared(origin())
    assert not pool.is_shared(origin(1))
    pool.close()
    with pytest.raises(StateError):
        pool.is_shared(origin(2))
