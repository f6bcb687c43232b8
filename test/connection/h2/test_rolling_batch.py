"""Exchanges that begin and end one by one, as one operation; a test says when anything arrives."""

import array
import time
from contextlib import suppress

import h2.events
import h2.exceptions
import pytest
from kit.h2_frames import goaway
from kit.h2_server import Answer, Peer
from kit.h2_streams import PeerStream, bodies_of, results_of
from kit.steps import PACKAGE, Steps
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
from dugong_like.connection.h2.request_writer import MOST_QUEUED
from dugong_like.http.header_validation import NO_FIELDS, FieldLines

MOST_CODES = 1500  # bytecodes of each exchange of a large batch
MOST_CODES_OF_PUT = 2800  # the same with a body: most of it is for its length, as a field
MANY = 600_000  # bytes, more than are queued at once
EARLY = [[(":status", "103"), ("link", "</x>")]]


def numbered(request):
    """Answer with as many bytes as the path says, and to some other paths in another way."""
    _, what, *rest = request[":path"].split("/")
    if what == "echo":
        return Answer(body=request.body)
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
    """Return the outcomes, as they come; no more than *most* are open at a time.

    Those that are no path are bodies, which are sent to get them back.
    """
    coming, outcomes, count = list(reversed(paths)), [], 0
    try:
        while True:
            while coming and count < most and batch.room():
                if isinstance(given := coming.pop(), str):
                    batch.add("GET", f"/{given}", None, None)
                else:
                    batch.add("PUT", f"/echo/{len(coming)}", NO_FIELDS, given)
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
    never = batch.add("GET", "/never", None, None)
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
        with Steps(of=PACKAGE) as steps:
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
        batch.add("GET", "/never", None, None)
        batch.add("GET", "/5", None, None)
        assert right(results_of(stream, batch.co_some())[0])
        for size in (6, 300_000):
            assert bodies_of(stream, conn.co_exchange("GET", f"/{size}")) == [pattern(size)]
        batch.add("GET", "/7", None, None)
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
            batch.add("GET", f"/{path}", None, None) for path in ("never", "1", "never", "never")
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
        added = batch.add("GET", "/4", None, None)
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
        batch.add("GET", f"/{path}", None, None)
        going = batch.co_some()
        assert next(going).deadline == (1005 if path == "never" else 1050)
        going.close()
    finally:
        batch.end()
    batch = begun(conn)
    try:
        batch.add("GET", f"/{path}", None, None)
        batch.add("GET", "/7", None, None)
        (outcomes,) = results_of(stream, batch.co_some())
        assert right(outcomes)
        now[0] += 100  # nobody waits
        batch.add("GET", "/8", None, None)
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
        added = batch.add("GET", "/1", None, None)
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
    ("GET", "/wrong", {"Upgrade": "x", "Connection": "upgrade"}, None),
    ("CONNECT", "wrong:1", None, None),
    ("GET", "/wr ong", None, None),
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


# ---- bodies

# The fields of a response that comes at once, by path, and the code of the reset behind it.
EARLY_ANSWERS = {
    "/413": ([(":status", "413")], None),
    "/303": ([(":status", "303"), ("location", "/there")], 0),
    "/reset": ([(":status", "413")], 8),
    "/refused": (None, 7),
    "/cancelled": (None, 8),
}


class Stingy(Peer):
    """It opens no window by itself. Some paths it answers at once, whatever is to come of the body.

    Attributes:
        data: the bytes of each body that have come, by stream.

    """

    def __init__(self, *given, **settings):
        self.data = {}
        super().__init__(*given, **settings)

    def _follow(self, event):
        stream = getattr(event, "stream_id", None)
        if isinstance(event, h2.events.RequestReceived):
            super()._follow(event)
            self.data[stream] = 0
            path = dict(event.headers)[":path"]
            if path in EARLY_ANSWERS:
                del self._coming[stream]
                fields, code = EARLY_ANSWERS[path]
                with suppress(h2.exceptions.StreamClosedError):  # the request is complete
                    if fields is not None:
                        self.connection.send_headers(stream, fields, end_stream=True)
                    if code is not None:
                        self.connection.reset_stream(stream, code)
        elif isinstance(event, h2.events.DataReceived):
            self.data[stream] += len(event.data)
            if stream in self._coming:
                self._coming[stream].body += event.data
        else:
            super()._follow(event)

    def open_window(self, size, stream=None):
        """Open a window, by the request of that number, or that of the connection."""
        self.connection.increment_flow_control_window(size, stream)


def grant(stream, size, *numbers):
    """Have the server open windows of streams, or that of the connection."""
    for number in numbers or [None]:
        stream.peer.open_window(size, number)
    stream.on_the_way += stream.peer.connection.data_to_send()


def stingy(monkeypatch, window, **more):
    return opened(monkeypatch, make=Stingy, initial_window_size=window, **more)


def engine_of(conn):
    return conn._session.shared.pump.engine


def echoed(outcomes, bodies):
    """Return True if each body has come back, once."""
    found = sorted(bytes(each.reply.body) for each in outcomes if each.error is None)
    return found == sorted(bytes(body) for body in bodies)


@pytest.mark.parametrize("most", [1, 3, 1000])
@pytest.mark.parametrize("settings", [
    {},
    {"max_concurrent_streams": 7},
    {"initial_window_size": 1},
    {"initial_window_size": 1000},
    {"initial_window_size": 1 << 20},
], ids=str)  # fmt: skip
def test_each_body_is_sent_once(monkeypatch, most, settings):
    conn, stream = opened(monkeypatch, **settings)
    long = {1: 40, 1000: 40_000}.get(settings.get("initial_window_size"), MANY)
    sizes = [0, 1, 5, 1024, 1025, 4096, 65535, 65536, 70_000, 262144, 262145, 500_000, 3, MANY]
    bodies = [pattern(min(size, long) + number) for number, size in enumerate(sizes)]
    gets = [str(size) for size in range(100, 108)]
    given = [each for pair in zip(bodies, gets, strict=False) for each in pair] + bodies[8:]
    (outcomes,) = results_of(stream, co_each(begun(conn), given, most), turns=1000)
    assert echoed([each for each in outcomes if each.exchange.method == "PUT"], bodies)
    assert right([each for each in outcomes if each.exchange.method == "GET"])
    assert len(outcomes) == len(given)
    assert conn.is_reusable()


@pytest.mark.parametrize("body", [
    b"", b"abc", bytearray(b"abc"), memoryview(b"a-b-c")[::2].tobytes(), array.array("H", [1, 2]),
    memoryview(bytearray(MANY)),
], ids=type)  # fmt: skip
def test_bodies_of_any_type_in_memory(monkeypatch, body):
    conn, stream = opened(monkeypatch)
    (outcomes,) = results_of(stream, co_each(begun(conn), [body] * 3))
    assert echoed(outcomes, [body] * 3)
    for request in stream.peer.requests[1:]:
        assert request["content-length"] == str(len(memoryview(body).cast("B")))


def test_fields_that_were_seen_before_are_those_of_the_first_time(monkeypatch):
    conn, stream = opened(monkeypatch)
    fields = FieldLines([("content-type", "text/x")])
    batch = begun(conn)
    try:
        for method, body in [("PUT", b"a"), ("PUT", b"bc"), ("PUT", None), ("PUT", b"d"),
                             ("POST", None), ("POST", b"ef"), ("DELETE", None), ("DELETE", b"g"),
                             ("DELETE", b""), ("PUT", b"")]:  # fmt: skip
            batch.add(method, f"/echo/{method}", fields, body)
        results_of(stream, batch.co_some())
    finally:
        batch.end()
    seen = [(each[":method"], each["content-type"], each["content-length"], each.body)
            for each in stream.peer.requests[1:]]  # fmt: skip
    assert seen == [
        ("PUT", "text/x", "1", b"a"), ("PUT", "text/x", "2", b"bc"), ("PUT", "text/x", "0", b""),
        ("PUT", "text/x", "1", b"d"), ("POST", "text/x", "0", b""), ("POST", "text/x", "2", b"ef"),
        ("DELETE", "text/x", None, b""), ("DELETE", "text/x", "1", b"g"),
        ("DELETE", "text/x", "0", b""), ("PUT", "text/x", "0", b""),
    ]  # fmt: skip


def test_a_body_takes_few_steps(monkeypatch):
    conn, stream = opened(monkeypatch, max_concurrent_streams=100)
    for _ in range(3):
        with Steps(of=PACKAGE) as steps:
            (outcomes,) = results_of(stream, co_each(begun(conn), [b"abc"] * 100))
        assert echoed(outcomes, [b"abc"] * 100)
    codes = steps.codes / 100
    assert codes <= MOST_CODES_OF_PUT, codes


def test_windows_that_change_by_settings(monkeypatch):
    """Also to less than nothing, while bodies wait for them."""
    conn, stream = opened(monkeypatch, initial_window_size=100)
    bodies = [pattern(size) for size in (5000, 3000, 70_000, 400)]
    going = co_each(begun(conn), bodies)
    next(going)
    for size in (10, 5000, 0, 1 << 20):
        stream.peer.change({4: size})
    (outcomes,) = results_of(stream, going)
    assert echoed(outcomes, bodies)
    assert conn.is_reusable()


def test_one_without_a_window_leaves_the_others_alone(monkeypatch):
    conn, stream = stingy(monkeypatch, 1000)
    batch = begun(conn)
    try:
        late = batch.add("PUT", "/echo/late", None, pattern(1500))
        small = batch.add("PUT", "/echo/small", None, pattern(900))
        (outcomes,) = results_of(stream, batch.co_some())
        assert [each.exchange for each in outcomes] == [small]
        batch.add("GET", "/7", None, None)
        assert right(results_of(stream, batch.co_some())[0])
        grant(stream, 400, 3)
        going = batch.co_some()
        need = next(going)
        stream.arrive()
        need = next(going)
        assert stream.peer.data[3] == 1400
        grant(stream, 100, 3)
        (outcomes,) = results_of(stream, going, needs=[need])
        assert [each.exchange for each in outcomes] == [late]
        assert echoed(outcomes, [pattern(1500)])
        assert late.sent
    finally:
        batch.end()
    assert conn.is_reusable()


def test_the_window_of_the_connection_is_shared_in_order(monkeypatch):
    conn, stream = stingy(monkeypatch, 1 << 20)
    bodies = [pattern(30_000 + number) for number in range(4)]
    going = co_each(begun(conn), bodies)
    need = next(going)
    stream.arrive()
    assert [*stream.peer.data.values()][1:] == [30_000, 30_001, 65_535 - 60_001, 0]
    for size in (1, 24_000, 40_000):
        grant(stream, size)
        stream.arrive()
        need = next(going)
    (outcomes,) = results_of(stream, going, needs=[need])
    assert echoed(outcomes, bodies)
    assert conn.is_reusable()


@pytest.mark.parametrize("path", ["/413", "/303"])
@pytest.mark.parametrize("size", [500, 5000])
def test_a_response_before_the_body_has_left(monkeypatch, path, size):
    """It is the outcome, and no more of the body is sent."""
    conn, stream = stingy(monkeypatch, 1000)
    batch = begun(conn)
    try:
        batch.add("PUT", path, None, pattern(size))
        batch.add("PUT", "/echo/1", None, b"abc")
        outcomes = []
        while len(outcomes) < 2:
            outcomes += results_of(stream, batch.co_some())[0]
        found = {each.exchange.target: each for each in outcomes}
        assert found[path].error is None
        assert found[path].reply.status == int(path[1:])
        assert found["/echo/1"].reply.body == b"abc"
        grant(stream, 5000)
        batch.add("GET", "/5", None, None)
        assert right(results_of(stream, batch.co_some())[0])
        assert stream.peer.data[3] == min(size, 1000)
    finally:
        batch.end()
    resets = [each.error_code for each in stream.peer.events
              if isinstance(each, h2.events.StreamReset)]  # fmt: skip
    assert resets == ([0] if (path, size) == ("/413", 5000) else [])
    assert conn.is_reusable()


@pytest.mark.parametrize(("path", "code", "sent"), [
    ("/refused", 7, "no"), ("/cancelled", 8, "maybe"), ("/reset", 8, None),
])  # fmt: skip
def test_a_stream_that_is_reset_before_the_body_has_left(monkeypatch, path, code, sent):
    """Behind a complete response it changes nothing of that."""
    conn, stream = stingy(monkeypatch, 1000)
    (outcomes,) = results_of(stream, co_paths(begun(conn), [path, "/echo/1"], pattern(1500), b"x"))
    found = {each.exchange.target: each for each in outcomes}
    assert found["/echo/1"].reply.body == b"x"
    if sent is None:
        assert found[path].reply.status == 413
    else:
        error = found[path].error
        assert isinstance(error, StreamReset)
        assert (error.code, error.request_sent) == (code, sent)
    assert conn.is_reusable()


def co_paths(batch, paths, *bodies):
    """Return the outcomes of a PUT to each path."""
    try:
        for path, body in zip(paths, bodies, strict=True):
            batch.add("PUT", path, None, body)
        outcomes = []
        while len(outcomes) < len(paths):
            outcomes += yield from batch.co_some()
        return outcomes
    finally:
        batch.end()


def test_goaway_while_bodies_wait(monkeypatch):
    """Those before its number go on, the others were not processed, also if a part has left."""
    conn, stream = stingy(monkeypatch, 1000, max_concurrent_streams=3)
    batch = begun(conn)
    try:
        one, *others = (batch.add("PUT", f"/echo/{n}", None, pattern(1500)) for n in range(4))
        going = batch.co_some()
        needs = [next(going)]
        stream.arrive()
        grant(stream, 500, 3)
        stream.on_the_way += goaway(3, 0)
        (outcomes,) = results_of(stream, going, needs=needs)
        assert batch.is_over
        assert batch.take_unsent() == [others[2]]
        while len(outcomes) < 3:
            outcomes += results_of(stream, batch.co_some())[0]
        found = {each.exchange: each for each in outcomes}
        assert found[one].reply.body == pattern(1500)
        for exchange in others[:2]:
            assert isinstance(found[exchange].error, GoneAway)
            assert found[exchange].error.request_sent == "no"
    finally:
        batch.end()


def test_the_end_of_the_connection_while_bodies_wait(monkeypatch):
    """What has not left says so; of the others nobody knows."""
    conn, stream = stingy(monkeypatch, 1000)
    stream.room = 700
    batch = begun(conn)
    try:
        batch.add("PUT", "/echo/0", None, pattern(1500))
        batch.add("PUT", "/echo/1", None, pattern(500))
        going = batch.co_some()
        next(going)
        stream.end()
        (outcomes,) = results_of(stream, going)
        assert [type(each.error) for each in outcomes] == [ConnectionClosed] * 2
        assert [each.error.request_sent for each in outcomes] == ["maybe", "no"]
    finally:
        batch.end()


def test_a_body_that_may_not_be_sent_is_late_by_the_limit_for_writing(monkeypatch):
    """The others go on; what is sent, or a window that opens, begins the limit anew."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    conn, stream = stingy(monkeypatch, 1000, timeout=Timeouts(stall=90, write=5, head=20))
    batch = begun(conn)
    try:
        batch.add("PUT", "/echo/late", None, pattern(1500))
        batch.add("GET", "/never", None, None)
        going = batch.co_some()
        assert next(going).deadline == 1005
        now[0] += 3
        grant(stream, 100, 3)
        stream.arrive()
        assert next(going).deadline == 1008
        now[0] = 1008
        with pytest.raises(StopIteration) as end:
            next(going)
        ((exchange, reply, error),) = end.value.value
        assert (exchange.target, reply) == ("/echo/late", None)
        assert (error.phase, error.request_sent) == ("write", "maybe")
        assert "nothing could be sent" in str(error)
        assert "1,100 of 1,500 bytes of the body written" in str(error)
        going = batch.co_some()
        need = next(going)
        assert need.deadline == 1020  # it counts from the complete request
        now[0] = 1020
        with pytest.raises(StopIteration) as end:
            next(going)
        assert [each.error.phase for each in end.value.value] == ["head"]
    finally:
        batch.end()
    assert conn.is_reusable()


def test_the_limit_for_the_head_counts_from_the_complete_request(monkeypatch):
    """Also of one without a body that is behind another body."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    conn, stream = opened(
        monkeypatch, initial_window_size=1 << 20, timeout=Timeouts(stall=90, write=50, head=5)
    )
    stream.room = 1000
    batch = begun(conn)
    try:
        batch.add("PUT", "/never", None, pattern(3000))
        batch.add("GET", "/never", None, None)
        going = batch.co_some()
        assert next(going).deadline == 1050
        for _ in range(3):
            now[0] += 30
            stream.room = 600
            assert next(going).deadline == now[0] + 50
        now[0] += 30
        stream.room = 5000
        assert next(going).deadline == now[0] + 5
        now[0] += 5
        with pytest.raises(StopIteration) as end:
            next(going)
        assert [each.error.phase for each in end.value.value] == ["head", "head"]
    finally:
        batch.end()
    assert conn.is_reusable()


def test_no_more_is_queued_than_others_may_have_to_wait_for(monkeypatch):
    conn, stream = opened(monkeypatch, initial_window_size=1 << 30)
    grant_connection = stream.peer.connection.increment_flow_control_window
    grant_connection(1 << 30)
    stream.on_the_way += stream.peer.connection.data_to_send()
    bodies = [pattern(size) for size in (MANY, 200_000, 200_000, MANY, 5)]
    going = co_each(begun(conn), bodies)
    next(going)
    most, output = 0, engine_of(conn).output
    while True:
        stream.room = 50_000
        stream.arrive()
        try:
            next(going)
        except StopIteration as end:
            outcomes = end.value
            break
        most = max(most, output.queued - output.sent)
    assert echoed(outcomes, bodies)
    assert MOST_QUEUED <= most <= 2 * MOST_QUEUED + 1000


@pytest.mark.parametrize("steps", range(6))
@pytest.mark.parametrize("window", [100, 1 << 20])
def test_ended_at_any_wait_a_body_leaves_nothing(monkeypatch, steps, window):
    conn, stream = opened(monkeypatch, initial_window_size=window, max_concurrent_streams=3)
    stream.room = 5000
    going = co_each(begun(conn), [pattern(9000), "3", pattern(300_000), "5", pattern(4)])
    for _ in range(steps):
        next(going)
        stream.room += 2000
        stream.arrive()
    going.close()
    stream.room = 1 << 30
    assert conn.is_reusable()
    assert bodies_of(stream, conn.co_exchange("GET", "/4")) == [pattern(4)]


def test_a_body_may_be_changed_when_it_is_given_up(monkeypatch):
    """What was queued of it is sent as it was."""
    conn, stream = opened(monkeypatch, initial_window_size=1 << 20)
    body = bytearray(b"a" * 5000)
    stream.room = 500
    batch = begun(conn)
    try:
        added = batch.add("PUT", "/never", None, body)
        going = batch.co_some()
        next(going)
        batch.cancel(added)
        body[:] = b"b" * 5000
        body.extend(b"more")
        going.close()
    finally:
        batch.end()
    stream.room = 1 << 30
    assert bodies_of(stream, conn.co_exchange("GET", "/4")) == [pattern(4)]
    data = [each.data for each in stream.peer.events if isinstance(each, h2.events.DataReceived)]
    assert b"".join(data) == b"a" * 5000
    assert conn.is_reusable()


def test_others_share_the_windows(monkeypatch):
    """Also an operation by itself."""
    conn, stream = opened(monkeypatch, initial_window_size=3000)
    bodies = [pattern(70_000 + number) for number in range(3)]
    going = co_each(begun(conn), bodies)
    other = conn.co_exchange("PUT", "/echo/x", None, pattern(90_000))
    outcomes, reply = results_of(stream, going, other)
    assert echoed(outcomes, bodies)
    assert reply.body == pattern(90_000)
    assert conn.is_reusable()


def test_a_response_before_the_body_has_left_makes_room_for_others(monkeypatch):
    conn, stream = stingy(monkeypatch, 1000, max_concurrent_streams=1)
    going = co_paths(begun(conn), ["/413"], pattern(5000))
    outcomes, reply = results_of(stream, going, conn.co_exchange("GET", "/5"))
    assert [each.reply.status for each in outcomes] == [413]
    assert reply.body == pattern(5)
    assert conn.is_reusable()


def test_a_response_that_begins_before_the_body_has_left(monkeypatch):
    """The rest of the body is sent nevertheless."""

    class Beginning(Stingy):
        def _follow(self, event):
            super()._follow(event)
            if isinstance(event, h2.events.RequestReceived) and event.stream_id == 3:
                self.connection.send_headers(3, [(":status", "200")])

        def answer(self, request):
            if request.stream != 3:
                super().answer(request)
            else:
                self.connection.send_data(3, request.body, end_stream=True)

    conn, stream = opened(monkeypatch, make=Beginning, initial_window_size=1000)
    going = co_each(begun(conn), [pattern(1500)])
    need = next(going)
    stream.arrive()
    need = next(going)
    grant(stream, 500, 3)
    (outcomes,) = results_of(stream, going, needs=[need])
    assert echoed(outcomes, [pattern(1500)])
    assert conn.is_reusable()
