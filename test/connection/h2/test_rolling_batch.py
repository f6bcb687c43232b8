"""Exchanges that begin and end one by one, as one operation; a test says when anything arrives."""

import time

import pytest
from kit.h2_server import Answer, Peer
from kit.h2_streams import PeerStream, bodies_of, results_of
from kit.steps import Steps
from kit.streams import connection
from kit.support import pattern

from dugong_like import (
    Budget,
    ConnectionClosed,
    ConnectionTimedOut,
    GoneAway,
    H2Options,
    InvalidRequest,
    StreamReset,
    Timeouts,
)
from dugong_like.connection.connection_view import ConnectionView

MOST_CODES = 1500  # bytecodes of each exchange of a large batch
EARLY = [[(":status", "103"), ("link", "</x>")]]


def numbered(request):
    """Answer with as many bytes as the path says, and to some other paths in another way."""
    _, what, *rest = request[":path"].split("/")
    if what == "never":
        return None
    if what == "early":
        return Answer(informational=EARLY, body=b"late")
    if what == "reset":
        return Answer(body=b"part", reset=int(rest[0]))
    if what == "trailers":
        return Answer(body=b"body", trailers=[("x-a", "b")])
    return Answer(body=pattern(int(what)))


class Backwards(Peer):
    """It sends one response after the other, that to the last request first."""

    def _send_bodies(self):
        bodies, self._leaving = self._leaving, {}
        while bodies and not self._leaving:
            stream = max(bodies)
            self._leaving[stream] = bodies[stream]
            super()._send_bodies()
            if not self._leaving:
                del bodies[stream]
        self._leaving = bodies


def opened(monkeypatch, *more, make=Peer, options=None, timeout=None, budget=None, **settings):
    """Return a connection that was used before, and its stream."""
    stream = PeerStream(numbered, make, **settings)
    others = {} if budget is None else {"budget": budget}
    conn = connection(
        monkeypatch, stream, *more, versions=("h2",), http2=options, timeout=timeout, **others
    )
    assert bodies_of(stream, conn.co_exchange("GET", "/3")) == [pattern(3)]
    return conn, stream


def begun(conn):
    return conn.beside(ConnectionView).rolling_batch()


def co_each(batch, paths, most=1000):
    """Return the outcomes, as they come; no more than *most* are open at a time."""
    coming, outcomes, count = list(reversed(paths)), [], 0
    try:
        while True:
            while coming and count < most and batch.room():
                batch.add("GET", f"/{coming.pop()}", None)
                count += 1
            some = yield from batch.co_some()
            if not some:
                return outcomes
            count -= len(some)
            outcomes += some
    finally:
        batch.end()


def paths_of(outcomes):
    return [each.exchange.target[1:] for each in outcomes]


def right(outcomes):
    """Return True if each has a reply with as many bytes as its path says."""
    return all(
        each.error is None and each.reply.body == pattern(int(each.exchange.target[1:]))
        for each in outcomes
    )


@pytest.mark.parametrize("most", [1, 3, 1000])
@pytest.mark.parametrize("settings", [{}, {"max_concurrent_streams": 7}])
def test_each_exchange_has_its_outcome(monkeypatch, most, settings):
    conn, stream = opened(monkeypatch, **settings)
    sizes = [str(size) for size in [*range(40), 70_000, 300_000]]
    (outcomes,) = results_of(stream, co_each(begun(conn), sizes, most))
    assert sorted(paths_of(outcomes), key=int) == sizes
    assert right(outcomes)
    assert conn.is_reusable()


def test_all_kinds_of_responses(monkeypatch):
    conn, stream = opened(monkeypatch)
    paths = ["early", "trailers", "reset/2", "0", "reset/8", "5"]
    (outcomes,) = results_of(stream, co_each(begun(conn), paths))
    found = {each.exchange.target[1:]: each for each in outcomes}
    assert found.keys() == set(paths)
    assert found["early"].reply.body == b"late"
    assert [each.status for each in found["early"].reply.informational] == [103]
    assert found["trailers"].reply.trailers["x-a"] == "b"
    assert right([found["0"], found["5"]])
    for code in ("2", "8"):
        error = found[f"reset/{code}"].error
        assert isinstance(error, StreamReset)
        assert (error.code, error.request_sent) == (int(code), "yes")
        assert f"/reset/{code}" in error.url
    assert conn.is_reusable()


def test_a_response_is_given_before_one_that_is_late(monkeypatch):
    conn, stream = opened(monkeypatch, max_concurrent_streams=3)
    batch = begun(conn)
    never = batch.add("GET", "/never", None)
    going = co_each(batch, [*"123456789"])
    needs = next(going)
    for _ in range(9):
        stream.arrive()
        assert needs[0] == stream.fd
        needs = next(going)
    batch.cancel(never)
    (outcomes,) = results_of(stream, going)
    assert sorted(paths_of(outcomes)) == [*"123456789"]
    assert right(outcomes)
    assert conn.is_reusable()


def test_it_takes_few_steps_and_calls_of_the_system(monkeypatch):
    conn, stream = opened(monkeypatch, max_concurrent_streams=100)
    for _ in range(3):
        with Steps("dugong_like") as steps:
            (outcomes,) = results_of(stream, co_each(begun(conn), ["3"] * 100))
        assert right(outcomes)
    codes = steps.codes / 100
    assert codes <= MOST_CODES, codes


@pytest.mark.parametrize("options", [
    {"connection_window": 65535},
    {"connection_window": 65535, "window_update_threshold": 65535},
    {"max_stream_window": 4000, "stream_window": 4000},
    {"max_stream_window": 4000, "stream_window": 4000, "window_update_threshold": 3990},
    {},
], ids=str)  # fmt: skip
@pytest.mark.parametrize("make", [Peer, Backwards])
def test_bodies_larger_than_the_windows(monkeypatch, options, make):
    conn, stream = opened(monkeypatch, make=make, options=H2Options(**options))
    sizes = ["40000", "3", "41000", "42000", "0", "43000", "44000"]
    for _ in range(2):
        (outcomes,) = results_of(stream, co_each(begun(conn), sizes))
        assert sorted(paths_of(outcomes)) == sorted(sizes)
        assert right(outcomes)
    assert conn.is_reusable()


@pytest.mark.parametrize("steps", range(5))
def test_ended_at_any_wait_it_leaves_nothing(monkeypatch, steps):
    conn, stream = opened(monkeypatch, max_concurrent_streams=3)
    going = co_each(begun(conn), ["never", "3", "300000", "5", "6", "7"])
    for _ in range(steps):
        next(going)
        stream.arrive()
    going.close()
    assert conn.is_reusable()
    assert bodies_of(stream, conn.co_exchange("GET", "/4")) == [pattern(4)]


def test_while_it_rests_others_go_on(monkeypatch):
    """They lead, and have the room that it has left."""
    conn, stream = opened(monkeypatch, max_concurrent_streams=2)
    batch = begun(conn)
    try:
        batch.add("GET", "/never", None)
        batch.add("GET", "/5", None)
        assert right(results_of(stream, batch.co_some())[0])
        for size in (6, 300_000):
            assert bodies_of(stream, conn.co_exchange("GET", f"/{size}")) == [pattern(size)]
        batch.add("GET", "/7", None)
        other = conn.co_exchange("GET", "/8")
        outcomes, reply = results_of(stream, batch.co_some(), other)
        assert right(outcomes)
        assert reply.body == pattern(8)
    finally:
        batch.end()
    assert conn.is_reusable()


def test_room_is_left_to_those_who_wait(monkeypatch):
    conn, stream = opened(monkeypatch, max_concurrent_streams=1)
    going = co_each(begun(conn), [*"123456"])
    needs = [next(going)]
    other = conn.co_exchange("GET", "/50")
    needs.append(next(other))
    outcomes, reply = results_of(stream, going, other, needs=needs)
    assert right(outcomes)
    assert len(outcomes) == 6
    assert reply.body == pattern(50)


def test_what_the_server_has_not_taken_says_so(monkeypatch):
    """After GOAWAY; what was added meanwhile is given back."""
    conn, stream = opened(monkeypatch)
    batch = begun(conn)
    try:
        kept, one, *refused = (
            batch.add("GET", f"/{path}", None) for path in ("never", "1", "never", "never")
        )
        going = batch.co_some()
        next(going)
        last = stream.peer.requests[-3].stream
        stream.peer.connection.close_connection(last_stream_id=last)
        stream.on_the_way += stream.peer.connection.data_to_send()
        (outcomes,) = results_of(stream, going)
        found = {each.exchange: each for each in outcomes}
        assert found.keys() == {one, *refused}
        assert kept not in found
        assert right([found[one]])
        for exchange in refused:
            assert isinstance(found[exchange].error, GoneAway)
            assert found[exchange].error.request_sent == "no"
        assert batch.is_over
        assert batch.room() == 0
        added = batch.add("GET", "/4", None)
        assert results_of(stream, batch.co_some()) == [[]]
        assert batch.take_unsent() == [added]
    finally:
        stream.peer.take = lambda wire: b""  # it is not interested
        batch.end()


def test_the_end_of_the_connection_ends_all(monkeypatch):
    conn, stream = opened(monkeypatch)
    going = co_each(begun(conn), ["never", "1", "never"])
    next(going)
    stream.end()
    (outcomes,) = results_of(stream, going)
    assert [type(each.error) for each in outcomes if each.reply is None] == [ConnectionClosed] * 2
    assert right([each for each in outcomes if each.reply is not None])
    assert all(each.error is None or each.error.request_sent == "maybe" for each in outcomes)


@pytest.mark.parametrize(("timeout", "path", "what"), [
    (5, "never", "no response head arrived"),
    (Timeouts(stall=5), "never", "no response head arrived"),
    (Timeouts(stall=50, head=5), "never", "no response head arrived"),
    (Timeouts(stall=5, head=50), "300000", "more of the body"),
], ids=str)  # fmt: skip
def test_one_that_is_late_leaves_the_others_alone(monkeypatch, timeout, path, what):
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    options = H2Options(stream_window=1000, max_stream_window=1000, auto_window=False)
    conn, stream = opened(monkeypatch, options=options, timeout=timeout)
    batch = begun(conn)
    try:
        batch.add("GET", f"/{path}", None)
        going = batch.co_some()
        assert next(going).deadline == (1005 if path == "never" else 1050)
        going.close()
    finally:
        batch.end()
    batch = begun(conn)
    try:
        batch.add("GET", f"/{path}", None)
        batch.add("GET", "/7", None)
        (outcomes,) = results_of(stream, batch.co_some())
        assert right(outcomes)
        now[0] += 100  # nobody waits
        batch.add("GET", "/8", None)
        (outcomes,) = results_of(stream, batch.co_some())
        assert paths_of(outcomes) == ["8"]
        going = batch.co_some()
        now[0] = next(going).deadline
        with pytest.raises(StopIteration) as end:
            next(going)
        ((exchange, reply, error),) = end.value.value
        assert (exchange.target, reply) == (f"/{path}", None)
        assert isinstance(error, ConnectionTimedOut)
        assert what in str(error)
    finally:
        batch.end()
    assert conn.is_reusable()


def test_no_room_for_too_long_is_an_error(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    conn, stream = opened(monkeypatch, max_concurrent_streams=1, timeout=5)
    other = conn.co_exchange("GET", "/never")
    next(other)
    batch = begun(conn)
    try:
        added = batch.add("GET", "/1", None)
        going = batch.co_some()
        now[0] = next(going).deadline
        with pytest.raises(ConnectionTimedOut, match="no stream could .* 1 of 1 that are allowed"):
            next(going)
        assert batch.take_unsent() == [added]
    finally:
        batch.end()
        other.close()
    assert conn.is_reusable()


@pytest.mark.parametrize("wrong", [
    ("GET", "/wrong", {"Upgrade": "x", "Connection": "upgrade"}),
    ("CONNECT", "wrong:1", None),
    ("GET", "/wr ong", None),
], ids=str)  # fmt: skip
def test_what_cannot_be_sent_is_refused_when_it_is_added(monkeypatch, wrong):
    conn, stream = opened(monkeypatch)
    before = len(stream.peer.requests)
    batch = begun(conn)
    try:
        with pytest.raises(InvalidRequest):
            batch.add(*wrong)
        assert results_of(stream, batch.co_some()) == [[]]
    finally:
        batch.end()
    assert len(stream.peer.requests) == before


def test_no_batch_where_each_exchange_is_limited_in_size(monkeypatch):
    conn, _ = opened(monkeypatch, budget=Budget(max_body=10))
    assert begun(conn) is None
