"""Streams of shared connections, without sockets: connections only say what they are asked."""

import gc
import time
from weakref import ref

import pytest
from kit.pooled import FakeConnector, origin, places, step

from dugong_like import (
    ConnectFailed,
    ConnectionTimedOut,
    Limits,
    Pool,
    PoolTimedOut,
    StateError,
    Timeouts,
    run,
)
from dugong_like.client import lease as lease_
from dugong_like.client import pool as pool_
from dugong_like.client import share as share_
from dugong_like.client import sharing as sharing_
from dugong_like.client.share import Share, StreamLease
from dugong_like.client.sharing import Sharing
from dugong_like.connection.connection_view import ConnectionView, bytes_received
from dugong_like.polling.wake import Wake


class Server:
    """What the connections of a test meet.

    Attributes:
        protocol: that it chooses.
        concurrency: streams of a connection.
        gate: connecting waits for it, if it is there.
        failure: of connecting.
        answers: True if it answers PING.

    """

    def __init__(self, protocol="h2", concurrency=2):
        self.protocol = protocol
        self.concurrency = concurrency
        self.gate = None
        self.failure = None
        self.answers = True


class View:
    """What one user of a connection has of it."""

    def __init__(self, whole):
        self.whole = whole
        self.quiet = True
        self.given_up = 0

    def is_quiet(self):
        return self.quiet

    def disconnect(self):
        self.given_up += 1

    def co_ping(self):
        return self.whole.co_answer_ping()


class Connector(FakeConnector):
    """Makes connections that find out the protocol when they are opened."""

    def __init__(self, server, **timeouts):
        super().__init__(**timeouts)
        self._server = server

    def connection(self, at):
        conn, server = super().connection(at), self._server
        conn.protocol, conn.concurrency = "http/1.1", server.concurrency
        connected = conn.open = False

        def co_connect():
            nonlocal connected
            conn.connecting += 1
            if server.gate is not None:
                yield from server.gate.co_wait()
            if server.failure is not None:
                raise server.failure
            conn.protocol, conn.open = server.protocol, True
            connected = True

        def co_answer_ping():
            conn.pings += 1
            yield from () if server.gate is None else server.gate.co_wait()
            if not server.answers:
                raise ConnectionTimedOut("no answer to PING")

        conn.pings = conn.received = 0
        conn.co_answer_ping = co_answer_ping
        conn.beside = lambda made: conn.received if made is bytes_received else View(conn)
        conn.co_connect = co_connect
        conn.is_open = lambda: conn.open and not conn.closings
        conn.is_reusable = lambda: not conn.closings and (conn.open or not connected)
        return conn


def sharing_of(protocol="h2", concurrency=2, timeouts=None, **limits):
    """Return a `Sharing`, its pool, what makes the connections, and what they meet."""
    server = Server(protocol, concurrency)
    connector = Connector(server, **(timeouts or {}))
    pool = Pool(connector, Limits(**limits))
    return Sharing(pool), pool, connector, server


def used(connector, leases):
    """Return the numbers of the connections of *leases*."""
    return [connector.made.index(lease.connection.whole) for lease in leases]


def took(operation):
    """Resume *operation*, which is to end."""
    lease = step(operation)
    assert lease is not None
    return lease


def test_streams_of_one_connection():
    sharing, pool, connector, _ = sharing_of()
    assert sharing.try_acquire(origin()) is None  # it would have to be opened
    first = took(sharing.co_acquire(origin()))
    assert not first.reused
    second = sharing.try_acquire(origin())
    assert first.connection.whole is second.connection.whole is connector.made[0]
    assert first.connection is not second.connection
    assert first.reused  # since it is lent twice
    assert second.reused
    assert first.origin == second.origin == origin()
    assert places(pool) == (0, 1)
    first.release()
    second.discard()
    first.release()  # which has no effect
    assert (first.connection.given_up, second.connection.given_up) == (0, 1)
    assert places(pool) == (1, 0)
    assert connector.made[0].closings == 0
    third = took(sharing.co_acquire(origin()))
    assert third.connection.whole is connector.made[0]
    assert third.reused
    assert connector.made[0].connecting == 1
    third.release()
    assert "given back" in repr(third)


def test_view_of_a_user_that_has_ended_in_order_is_used_again():
    sharing, _, _, _ = sharing_of(concurrency=9)
    first, second, third = (took(sharing.co_acquire(origin())) for _ in range(3))
    first.release()
    second.connection.quiet = False  # a response was not read to its end
    second.release()
    assert second.connection.given_up == 1
    again, other = sharing.try_acquire(origin()), sharing.try_acquire(origin())
    assert again.connection is first.connection
    assert other.connection is not second.connection
    for lease in (third, again, other):
        lease.release()


class WatchedLock:
    """The lock of a `Sharing`, which says if it is held."""

    def __init__(self, lock):
        self._lock = lock
        self.held = 0

    def __enter__(self):
        self._lock.acquire()
        self.held += 1

    def __exit__(self, *_):
        self.held -= 1
        self._lock.release()


def test_requests_are_counted_under_the_lock_only(monkeypatch):
    """Or one of two threads that count at once would be forgotten."""
    sharing, pool, _, _ = sharing_of(concurrency=9)
    sharing._changing = lock = WatchedLock(sharing._changing)
    changes = []

    class Counted(Share):
        __slots__ = ("number",)

        @property
        def served(self):
            return self.number

        @served.setter
        def served(self, number):
            changes.append((number, lock.held))
            self.number = number

    monkeypatch.setattr(sharing_, "Share", Counted)
    first, unused, batch = (took(sharing.co_acquire(origin())) for _ in range(3))
    unused.release(requests=0)
    batch.connection.rolling_batch = lambda: "batch"
    assert batch.begin_batch() == "batch"
    batch.count(5)
    batch.count(-1)
    for lease in (first, unused, batch):
        lease.release()
    assert [number for number, _ in changes] == [0, 0, 1, 2, 3, 2, 1, 6, 5]
    assert all(held for _, held in changes)
    assert places(pool) == (1, 0)


def known(**options):
    """Return a `Sharing` that has an idle connection, its pool, and what makes connections."""
    sharing, pool, connector, _ = sharing_of(**options)
    took(sharing.co_acquire(origin())).release()
    assert places(pool) == (1, 0)
    return sharing, pool, connector


def test_stream_of_an_idle_connection_is_taken_at_once():
    sharing, pool, connector = known()
    here = pool._origin_pool(origin())
    lease = sharing.take_stream(here, origin())
    other = sharing.take_stream(here, origin())
    assert lease.connection.whole is other.connection.whole is connector.made[0]
    assert sharing.take_stream(here, origin()) is None  # both streams are used
    assert places(pool) == (0, 1)
    lease.release()
    other.release()
    assert places(pool) == (1, 0)
    third = sharing.take_stream(here, origin())
    assert third.connection is other.connection
    third.release()


def test_what_is_kept_of_a_connection_is_used_again_until_it_is_connected_anew():
    sharing, pool, connector = known()
    here = pool._origin_pool(origin())
    shares = []
    for renewals in (0, 0, 1, 1):
        connector.made[0].renewals = renewals
        lease = sharing.take_stream(here, origin())
        assert lease.reused
        shares.append((lease._from, lease.connection))
        lease.release()
    assert shares[0] == shares[1] != shares[2] == shares[3]
    assert shares[0][1] is not shares[2][1]  # that is a view of a session which has ended
    lease = took(sharing.co_acquire(origin()))  # the same in the way of those that may wait
    assert (lease._from, lease.connection) == shares[3]
    lease.release()


def test_nothing_is_kept_of_a_connection_that_has_ended():
    ways = {
        "pool closed": lambda pool, _: pool.close(),
        "expired": lambda pool, _: pool._close_expired(time.monotonic() + 3600),
        "room made": lambda pool, _: pool.acquire(origin(2)).discard(),
        "discarded": lambda pool, _: pool.acquire(origin()).discard(),
        "avoided": lambda _, lease: (lease.avoid(), lease.release()),
    }
    for name, end in ways.items():
        sharing, pool, connector = known(max_connections=1)
        gc.collect()
        gc.disable()
        try:
            lease = sharing.take_stream(pool._origin_pool(origin()), origin())
            view = ref(lease.connection)
            if name != "avoided":
                lease.release()
                assert view() is not None
            end(pool, lease)
            lease = None
            assert view() is None, name
            assert connector.made[0].closings == 1, name
            assert not any(at.shares for at in sharing._known.values())
        finally:
            gc.enable()


def test_user_that_ends_a_second_time_leaves_the_next_one_alone(monkeypatch):
    """The finalizer of one that was interrupted ends it again, perhaps in another thread."""
    sharing, pool, _ = known()
    here, at = pool._origin_pool(origin()), sharing._at(origin())
    former = sharing.take_stream(here, origin())
    share = former._from
    former.release()
    lease = sharing.take_stream(here, origin())
    sharing.end(at, share, former._mine)
    assert (places(pool), at.shares) == ((0, 1), [share])
    lease.release()
    assert (places(pool), at.shares) == ((1, 0), [])

    put_back, taken = Pool.put_back, []

    def taking(*args, **more):
        monkeypatch.undo()
        taken.append(sharing.take_stream(here, origin()))  # by another thread in this moment
        put_back(*args, **more)

    monkeypatch.setattr(Pool, "put_back", taking)
    sharing.end(at, share, former._mine)
    assert (places(pool), at.shares) == ((0, 1), [share])
    other = sharing.try_acquire(origin())
    assert other.whole is taken[0].whole
    for lease in (other, taken[0]):
        lease.release()
    assert (places(pool), at.shares, share.has_ended) == ((1, 0), [], True)


def test_connection_that_is_lent_again_while_it_is_given_back(monkeypatch):
    """Another thread takes it, idle, before the first has noted that it is not shared any more."""
    sharing, pool, _ = known()
    at = sharing._at(origin())
    lease = sharing.take_stream(pool._origin_pool(origin()), origin())
    put_back, taken = Pool.put_back, []

    def given_back(*args, **more):
        monkeypatch.undo()
        put_back(*args, **more)
        taken.append(sharing._checked(at, pool.acquire(origin())))

    monkeypatch.setattr(Pool, "put_back", given_back)
    lease.release()
    assert (places(pool), at.shares) == ((0, 1), [taken[0]._from])
    taken[0].release()
    assert (places(pool), at.shares) == ((1, 0), [])


def test_stream_is_not_taken_at_once_if_that_is_not_possible():
    sharing, pool, connector = known()
    here = pool._origin_pool(origin())
    here.idle[-1].due = 0.0
    assert sharing.take_stream(here, origin()) is None  # it is too old
    sharing, pool, connector = known()
    here = pool._origin_pool(origin())
    connector.made[0].open = False
    connector.made[0].is_reusable = lambda: False
    assert sharing.take_stream(here, origin()) is None
    assert places(pool) == (0, 0)
    sharing.note_http_1(origin())
    assert sharing.take_stream(here, origin()) is None


def test_no_second_connection_if_another_one_takes_the_idle_one_meanwhile(monkeypatch):
    sharing, pool, connector = known()
    here = pool._origin_pool(origin())
    others = []
    may_open = Sharing._may_open

    def overtaken(self, at):
        if not others:
            others.append(sharing.take_stream(here, origin()))
        return may_open(self, at)

    monkeypatch.setattr(Sharing, "_may_open", overtaken)
    lease = took(sharing.co_acquire(origin()))
    assert lease.connection.whole is others[0].connection.whole
    assert len(connector.made) == 1
    lease.release()
    others[0].release()


def test_no_second_connection_while_the_first_is_given_back():
    sharing, pool, connector = known()
    lease = took(sharing.co_acquire(origin()))
    put_back = type(pool).put_back
    others = []

    def slowly(*args, **more):
        others.append(sharing.co_acquire(origin()))
        next(others[0])  # it waits, as there is neither a shared nor an idle one
        put_back(*args, **more)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(type(pool), "put_back", slowly)
        lease.release()
    other = took(others[0])
    assert other.connection.whole is connector.made[0]
    assert len(connector.made) == 1
    other.release()


def test_further_connection_only_when_the_streams_are_used_up():
    sharing, pool, connector, _ = sharing_of(concurrency=3)
    leases = [took(sharing.co_acquire(origin())) for _ in range(7)]
    assert used(connector, leases) == [
        0,
        0,
        0,
        1,
        1,
        1,
        2,
    ]
    leases[1].release()
    again = sharing.try_acquire(origin())
    assert again.connection.whole is connector.made[0]
    for lease in (*leases, again):
        lease.release()
    assert places(pool) == (3, 0)


def test_one_opens_and_the_others_wait_for_the_protocol():
    sharing, pool, connector, server = sharing_of(concurrency=10)
    with Wake() as server.gate:
        waiting = [sharing.co_acquire(origin()) for _ in range(5)]
        assert [step(each) for each in waiting] == [None] * 5
        assert len(connector.made) == 1
        server.gate.set()
        leases = [took(each) for each in waiting]
    assert {lease.connection.whole for lease in leases} == {connector.made[0]}
    for lease in leases:
        lease.release()
    assert places(pool) == (1, 0)


def test_each_has_a_connection_if_the_server_chooses_http_1():
    sharing, pool, connector, server = sharing_of("http/1.1")
    with Wake() as server.gate:
        waiting = [sharing.co_acquire(origin()) for _ in range(3)]
        assert [step(each) for each in waiting] == [None] * 3
        server.gate.set()
        leases = [took(each) for each in waiting]
    assert len({lease.connection for lease in leases}) == 3
    assert not any(isinstance(lease, StreamLease) for lease in leases)
    leases.append(sharing.try_acquire(origin()))  # without having been opened
    for lease in leases:
        lease.release()
    assert places(pool) == (4, 0)
    assert [conn.connecting for conn in connector.made] == [1, 0, 0, 0]


def test_server_that_chooses_http_2_later():
    sharing, _, connector, server = sharing_of("http/1.1")
    took(sharing.co_acquire(origin())).discard()
    server.protocol = "h2"
    lease = sharing.try_acquire(origin())
    run(lease.connection.co_connect())
    lease.release()
    first, second = sharing.try_acquire(origin()), sharing.try_acquire(origin())
    assert first.connection.whole is second.connection.whole is connector.made[1]
    first.release()
    second.release()


def test_the_next_opens_if_the_first_gives_up():
    sharing, pool, connector, server = sharing_of()
    with Wake() as server.gate:
        first, second, third = (sharing.co_acquire(origin()) for _ in range(3))
        assert [step(each) for each in (first, second, third)] == [None] * 3
        first.close()
        assert connector.made[0].closings == 1
        assert [step(each) for each in (second, third)] == [None] * 2
        assert len(connector.made) == 2
        server.gate.set()
        leases = [took(second), took(third)]
    assert {lease.connection.whole for lease in leases} == {connector.made[1]}
    for lease in leases:
        lease.release()
    assert places(pool) == (1, 0)


def test_failures_are_not_waited_for_one_after_the_other():
    sharing, pool, connector, server = sharing_of(concurrency=9)
    with Wake() as server.gate:
        waiting = [sharing.co_acquire(origin()) for _ in range(4)]
        assert [step(each) for each in waiting] == [None] * 4
        server.failure = ConnectFailed("refused")
        server.gate.set()
        with pytest.raises(ConnectFailed):
            step(waiting[0])
        server.gate.clear()
        assert [step(each) for each in waiting[1:]] == [None] * 3
        assert len(connector.made) == 4  # all at the same time
        server.gate.set()
        for each in waiting[1:]:
            with pytest.raises(ConnectFailed):
                step(each)
    assert places(pool) == (0, 0)
    server.gate = server.failure = None
    leases = [took(sharing.co_acquire(origin())) for _ in range(3)]
    assert len({lease.connection.whole for lease in leases}) == 1
    for lease in leases:
        lease.release()


def test_waiting_for_a_stream_if_there_may_be_no_further_connection():
    sharing, pool, connector, _ = sharing_of(max_per_origin=1)
    first, second = (took(sharing.co_acquire(origin())) for _ in range(2))
    third, fourth = (sharing.co_acquire(origin()) for _ in range(2))
    assert [step(third), step(fourth)] == [None, None]
    assert sharing.try_acquire(origin()) is None
    second.release()
    assert sharing.try_acquire(origin()) is None  # others have waited
    assert step(fourth) is None
    lease = took(third)
    first.release()
    leases = [lease, took(fourth)]
    for each in leases:
        each.release()
    assert len(connector.made) == 1
    assert places(pool) == (1, 0)


def test_waiting_ends_when_the_server_allows_more_streams(monkeypatch):
    told = []

    def watched(changed, config, session):
        told.append(changed)

    monkeypatch.setattr(sharing_, "watch_room", watched)
    sharing, _, connector, _ = sharing_of(concurrency=1, max_per_origin=1)
    first = took(sharing.co_acquire(origin()))
    conn = connector.made[0]
    conn.beside = lambda make: View(conn) if make is ConnectionView else make(None, None)
    waiting = [sharing.co_acquire(origin()) for _ in range(2)]
    assert [step(each) for each in waiting] == [None, None]
    conn.concurrency = 3
    told[-1]()
    leases = [first, *(took(each) for each in waiting)]
    assert len(connector.made) == 1
    for lease in leases:
        lease.release()


def test_stream_for_one_that_has_given_up_goes_to_the_next():
    sharing, _, _, _ = sharing_of(concurrency=1, max_per_origin=1)
    lease = took(sharing.co_acquire(origin()))
    first, second = (sharing.co_acquire(origin()) for _ in range(2))
    assert [step(first), step(second)] == [None, None]
    lease.release()
    first.close()
    took(second).release()


def test_waiting_has_a_limit():
    sharing, _, _, _ = sharing_of(concurrency=1, timeouts={"pool": 0.01}, max_per_origin=1)
    lease = took(sharing.co_acquire(origin()))
    with pytest.raises(PoolTimedOut, match=r"no stream to .*: 1 are in use, on 1 conn") as caught:
        run(sharing.co_acquire(origin()))
    assert (caught.value.origin, caught.value.busy) == (str(origin()), 1)
    lease.release()


def test_connection_that_has_ended_gets_no_further_stream():
    sharing, pool, connector, _ = sharing_of()
    first = took(sharing.co_acquire(origin()))
    connector.made[0].open = False
    second = took(sharing.co_acquire(origin()))
    assert second.connection.whole is connector.made[1]
    assert connector.made[0].closings == 0  # as the first is still there
    first.release()
    assert connector.made[0].closings == 1
    second.release()
    assert places(pool) == (1, 0)


def test_limits_of_requests_and_age_hold_for_streams():
    sharing, pool, connector, _ = sharing_of(concurrency=9, max_requests=3)
    leases = [took(sharing.co_acquire(origin())) for _ in range(4)]
    assert used(connector, leases) == [0, 0, 0, 1]
    for lease in leases:
        lease.release()
    assert connector.made[0].closings == 1
    assert pool.stats()[str(origin())].ended == {"max requests": 1}
    two = [took(sharing.co_acquire(origin())) for _ in range(3)]
    assert used(connector, two) == [1, 1, 2]
    for lease in two:
        lease.release()


def test_stream_on_which_nothing_was_sent_does_not_count():
    sharing, _, connector, _ = sharing_of(concurrency=9, max_requests=3)
    took(sharing.co_acquire(origin())).release()
    took(sharing.co_acquire(origin())).release(requests=0)
    leases = [took(sharing.co_acquire(origin())) for _ in range(3)]
    leases[0].release(requests=0)
    leases.append(took(sharing.co_acquire(origin())))
    assert used(connector, leases) == [0, 0, 1, 0]
    for lease in leases:
        lease.release()


def test_connection_that_had_no_request_counts_as_kept():
    sharing, _, connector, _ = sharing_of(concurrency=9)
    first = took(sharing.co_acquire(origin()))
    assert not first.reused
    first.release(requests=0)
    second = took(sharing.co_acquire(origin()))
    assert (used(connector, [second]), second.reused) == ([0], True)
    second.release()


def test_lost_stream_is_given_back_with_a_warning():
    sharing, pool, _, _ = sharing_of(concurrency=1, max_per_origin=1)
    lease = took(sharing.co_acquire(origin()))
    waiting = sharing.co_acquire(origin())
    assert step(waiting) is None
    with pytest.warns(ResourceWarning, match="was not given back"):
        del lease
    took(waiting).release()
    assert places(pool) == (1, 0)


def test_time_limits_hold_for_opening():
    sharing, _, connector, _ = sharing_of()
    limits = Timeouts(connect=3)
    took(sharing.co_acquire(origin(), None, limits)).release()
    assert connector.made[0].timeout is None  # put back
    connector.made[0].open = False  # an idle one is opened again
    limited, co_connect = [], connector.made[0].co_connect

    def co_noting():
        limited.append(connector.made[0].timeout)
        yield from co_connect()

    connector.made[0].co_connect = co_noting
    took(sharing.co_acquire(origin(), None, limits)).release()
    assert limited == [limits]


def test_closing_the_pool_ends_waiting():
    sharing, pool, connector, _ = sharing_of(concurrency=1, max_per_origin=1)
    lease = took(sharing.co_acquire(origin()))
    waiting = sharing.co_acquire(origin())
    assert step(waiting) is None
    pool.close()
    sharing.wake_all()
    with pytest.raises(StateError, match="closed"):
        step(waiting)
    lease.release()
    assert connector.made[0].closings == 1
    with pytest.raises(StateError, match="closed"):
        sharing.try_acquire(origin())


def test_origins_are_forgotten_when_nothing_is_in_use():
    sharing, _, _, _ = sharing_of(max_connections=3000)
    kept = took(sharing.co_acquire(origin()))
    for number in range(1, 1200):
        took(sharing.co_acquire(origin(number))).release()
    assert len(sharing._known) < 1100
    again = sharing.try_acquire(origin())
    assert again.connection.whole is kept.connection.whole
    again.release()
    kept.release()


def test_one_that_opens_alone_makes_no_flag(monkeypatch):
    def no_flag(_):
        raise AssertionError("it need not be woken")

    sharing, pool, _, _ = sharing_of()
    monkeypatch.setattr("dugong_like.client.sharing.Wake", no_flag)
    for _ in range(2):  # a new connection, and one that was idle
        took(sharing.co_acquire(origin())).release()
    assert places(pool) == (1, 0)


# ---- connections that have rested


@pytest.fixture
def later(monkeypatch):
    """A function that moves the clock of pools forward."""
    ahead = 0.0

    def moved(seconds):
        nonlocal ahead
        ahead += seconds

    for module in (lease_, pool_, share_, sharing_):
        monkeypatch.setattr(module, "monotonic", lambda: time.monotonic() + ahead)
    return moved


def pings(connector):
    return [conn.pings for conn in connector.made]


def test_connection_that_was_idle_for_long_is_asked_once_before_it_is_used(later):
    sharing, pool, connector = known(keepalive_expiry=600)
    for seconds, counts in ((50, [0]), (70, [1]), (50, [1]), (400, [2])):
        later(seconds)
        leases = [took(sharing.co_acquire(origin())) for _ in range(2)]
        assert pings(connector) == counts
        for lease in leases:
            lease.release()
    later(601)
    took(sharing.co_acquire(origin())).release()
    assert pings(connector) == [2, 0]  # it has expired
    assert pool.stats()[str(origin())].ended == {"expired": 1}


@pytest.mark.parametrize(("after", "count"), [(None, 0), (0, 3), (1000, 1)])
def test_whether_and_when_connections_are_asked(later, after, count):
    sharing, _, connector = known(keepalive_expiry=None, ping_after=after)
    for seconds in (0, 500, 100_000):
        later(seconds)
        took(sharing.co_acquire(origin())).release()
    assert pings(connector) == [count]


def test_connection_that_does_not_answer_is_replaced_and_others_wait_for_that(later):
    sharing, pool, connector, server = sharing_of(concurrency=9, keepalive_expiry=600)
    took(sharing.co_acquire(origin())).release()
    later(100)
    server.answers = False
    with Wake() as server.gate:
        waiting = [sharing.co_acquire(origin()) for _ in range(3)]
        assert [step(each) for each in waiting] == [None] * 3
        assert pings(connector) == [1]
        server.gate.set()
        leases = [took(each) for each in waiting]
    assert used(connector, leases) == [1, 1, 1]
    assert pings(connector) == [1, 0]
    for lease in leases:
        lease.release()
    assert connector.made[0].closings == 1
    assert pool.stats()[str(origin())].ended == {"discarded": 1}
    assert places(pool) == (1, 0)


def test_operation_that_is_closed_while_it_asks_leaves_that_to_the_next(later):
    sharing, pool, connector, server = sharing_of(concurrency=9, keepalive_expiry=600)
    took(sharing.co_acquire(origin())).release()
    later(100)
    with Wake() as server.gate:
        first, second = (sharing.co_acquire(origin()) for _ in range(2))
        assert [step(first), step(second)] == [None, None]
        first.close()
        server.gate.set()
        took(second).release()
    assert [conn.closings for conn in connector.made] == [1, 0]
    assert places(pool) == (1, 0)


@pytest.mark.parametrize("in_use", [True, False])
@pytest.mark.parametrize("is_open", [True, False])
def test_what_arrives_shows_that_a_connection_lives_if_the_answer_is_late(later, is_open, in_use):
    """On a line that the body of another exchange fills, or one that was given up."""
    sharing, _, connector, server = sharing_of(concurrency=9, keepalive_expiry=600)
    other = took(sharing.co_acquire(origin()))
    if not in_use:
        other.release()
    later(100)
    server.answers = False
    with Wake() as server.gate:
        going = sharing.co_acquire(origin())
        assert step(going) is None
        connector.made[0].received += 1
        connector.made[0].open = is_open
        server.gate.set()
        lease = took(going)
    assert used(connector, [lease]) == ([0] if is_open else [1])
    lease.release()
    other.release()


@pytest.mark.parametrize("phase", ["", "total", "pool"])
def test_limit_of_the_caller_ends_it_while_it_asks(later, phase):
    """It says nothing about the connection, and no other one is opened."""
    sharing, pool, connector, server = sharing_of(concurrency=9, keepalive_expiry=600)
    took(sharing.co_acquire(origin())).release()
    later(100)
    with Wake() as server.gate:
        going = sharing.co_acquire(origin())
        assert step(going) is None
        with pytest.raises(ConnectionTimedOut, match="^mine$"):
            going.throw(ConnectionTimedOut("mine", phase=phase))
    assert len(connector.made) == 1
    server.gate = None
    took(sharing.co_acquire(origin())).release()
    assert places(pool) == (1, 0)


@pytest.mark.parametrize("answers", [True, False])
def test_connection_with_a_long_exchange_is_asked_as_well(later, answers):
    sharing, pool, connector, server = sharing_of(concurrency=9)
    long = took(sharing.co_acquire(origin()))
    later(100)
    server.answers = answers
    assert sharing.try_acquire(origin()) is None
    leases = [took(sharing.co_acquire(origin())) for _ in range(2)]
    assert used(connector, leases) == ([0, 0] if answers else [1, 1])
    assert connector.made[0].pings == 1
    assert connector.made[0].closings == 0  # the long one has its own time limits
    for lease in (long, *leases):
        lease.release()
    assert connector.made[0].closings == (0 if answers else 1)
    assert places(pool) == (1, 0)


def test_request_that_goes_directly_leaves_asking_to_others(later):
    _, pool, _, _ = sharing_of(keepalive_expiry=600)
    sharing = pool._shared()
    took(sharing.co_acquire(origin())).release()
    sharing.take_stream(pool._origin_pool(origin()), origin()).release()
    later(100)
    assert sharing.take_stream(pool._origin_pool(origin()), origin()) is None


# ---- connections on which there was no answer


@pytest.mark.parametrize("is_shared", [False, True])
@pytest.mark.parametrize(
    ("arrived", "answers", "count", "next_one"),
    [(0, True, 1, 0), (0, False, 1, 1), (1, True, 0, 0)],
    ids=["alive", "dead", "something has arrived"],
)
def test_connection_without_an_answer_is_asked(is_shared, arrived, answers, count, next_one):
    """Before its next use, unless something has arrived since; whether others use it or not."""
    sharing, pool, connector, server = sharing_of(concurrency=9)
    other = took(sharing.co_acquire(origin())) if is_shared else None
    lease = took(sharing.co_acquire(origin()))
    lease.doubt()
    lease.discard()
    server.answers = answers
    connector.made[0].received += arrived
    for _ in range(2):  # and the one after that is not asked again
        lease = took(sharing.co_acquire(origin()))
        assert used(connector, [lease]) == [next_one]
        lease.release()
    if is_shared or not arrived:
        assert connector.made[0].pings == count
    else:  # it was silent when it became idle, and is asked in any case
        assert connector.made[0].pings == 1
    if other is not None:
        other.release()
    assert connector.made[0].closings == (not answers)
    assert places(pool) == (1, 0)


def test_stream_of_an_idle_connection_that_is_to_be_asked_is_not_taken_at_once():
    _, pool, _, _ = sharing_of()
    sharing = pool._shared()
    lease = took(sharing.co_acquire(origin()))
    lease.doubt()
    lease.discard()
    assert sharing.take_stream(pool._origin_pool(origin()), origin()) is None
    took(sharing.co_acquire(origin())).release()
    sharing.take_stream(pool._origin_pool(origin()), origin()).release()


@pytest.mark.parametrize("after", [None, 1e9])
def test_connections_that_are_never_asked_are_not_doubted(after):
    sharing, _, connector, _ = sharing_of(ping_after=after)
    for _ in range(3):
        lease = took(sharing.co_acquire(origin()))
        lease.doubt()
        lease.discard()
    assert pings(connector) == [0 if after is None else 2]
    took(sharing.co_acquire(origin())).release()
    took(sharing.co_acquire(origin())).release()
    assert pings(connector) == [0 if after is None else 3]
