"""An exchange over HTTP/2 that nobody else is under way with; a test says when anything arrives."""

import collections
import itertools
import threading

import pytest
from kit.h2_server import Answer, h2_server
from kit.h2_streams import PeerStream, bodies_of, results_of
from kit.steps import PACKAGE, Steps
from kit.streams import connection, finish
from kit.support import pattern

from dugong_like import (
    ConnectionClosed,
    ConnectionTimedOut,
    HTTPConnection,
    InvalidRequest,
    StreamReset,
    Timeouts,
)
from dugong_like.http.h2.engine import Engine
from dugong_like.polling.contract import POLLIN

MOST_CODES = 1430  # bytecodes of a GET by `co_exchange` on a connection that was used before


def numbered(request):
    """Answer with as many bytes as the path says, and to some other paths in another way."""
    _, what, *rest = request[":path"].split("/")
    if what == "never":
        return None
    if what == "early":
        early = [[(":status", "103"), ("link", "</x>")]]
        return Answer(informational=early, body=b"late")
    if what == "reset":
        return Answer(body=b"part", reset=int(rest[0]))
    if what == "status":
        return Answer(status=int(rest[0]), body=b"sorry")
    return Answer(body=pattern(int(what)))


def opened(monkeypatch, *more, app=numbered, **options):
    """Return a connection on which all usual header blocks are known, and its stream."""
    stream = PeerStream(app)
    conn = connection(monkeypatch, stream, *more, versions=("h2",), **options)
    for _ in range(2):
        assert bodies_of(stream, conn.co_exchange("GET", "/3")) == [pattern(3)]
    return conn, stream


def pump_of(conn):
    return conn._session.shared.pump


def ways(monkeypatch):
    """Count the receptions of responses as a whole, and of others."""
    counts = collections.Counter()
    for name in ("take_whole", "receive"):
        method = getattr(Engine, name)

        def counting(*args, name=name, method=method):
            result = method(*args)
            counts[name] += name == "receive" or result is not None
            return result

        monkeypatch.setattr(Engine, name, counting)
    return counts


def test_it_takes_few_steps_and_calls_of_the_system(monkeypatch):
    """A look whether anything has come, a send, a wait, and a reception."""
    conn, stream = opened(monkeypatch)
    counts = ways(monkeypatch)
    calls = collections.Counter()
    for name in ("send", "recv_into", "recv_would_block"):
        whole = getattr(stream, name)

        def counting(*args, name=name, whole=whole):
            calls[name] += 1
            return whole(*args)

        monkeypatch.setattr(stream, name, counting)
    codes = []
    for _ in range(3):
        calls.clear()
        with Steps(of=PACKAGE) as sending:
            going = conn.co_exchange("GET", "/3")
            need = next(going)
        assert need == (stream.fd, POLLIN)
        stream.arrive()
        with Steps(of=PACKAGE) as receiving:
            reply = finish(going)
        assert reply.body == pattern(3)
        codes.append(sending.codes + receiving.codes)
    assert calls == {"send": 1, "recv_into": 1, "recv_would_block": 1}
    assert codes[-1] <= MOST_CODES, codes
    assert (counts["take_whole"], counts["receive"]) == (3, 0)
    assert (reply.status, reply.stream_id, reply.length) == (200, 9, 3)
    assert conn.is_reusable()


def test_wherever_the_response_is_cut_it_is_the_same(monkeypatch):
    conn, stream = opened(monkeypatch)
    for cut in itertools.count(1):
        going = conn.co_exchange("GET", "/3")
        next(going)
        whole, stream.on_the_way = stream.on_the_way, b""
        if cut == len(whole):
            break
        stream.arrived = whole[:cut]
        next(going)
        stream.arrived = whole[cut:]
        assert finish(going).body == pattern(3), cut
        assert conn.is_reusable(), cut
    going.close()
    assert cut > 20


def test_one_that_comes_meanwhile_is_served_by_it(monkeypatch):
    conn, stream = opened(monkeypatch)
    first, other = conn.co_exchange("GET", "/3"), conn.co_exchange("GET", "/5")
    needs = [next(first), next(other)]
    assert bodies_of(stream, first, other, needs=needs) == [pattern(3), pattern(5)]
    first, other = conn.co_exchange("GET", "/never"), conn.co_exchange("GET", "/5")
    next(first)
    next(other)  # it gathers
    need = next(other)
    assert not need.poll(0)
    first.close()
    assert need.poll(0)  # or nobody would lead
    assert bodies_of(stream, other) == [pattern(5)]
    assert conn.is_reusable()
    assert pump_of(conn).is_free()


def test_the_other_one_leads_when_it_has_ended(monkeypatch):
    conn, stream = opened(monkeypatch)
    first, other = conn.co_exchange("GET", "/3"), conn.co_exchange("GET", "/never")
    next(first)
    next(other)  # it gathers
    next(other)  # and has sent
    stream.arrive()
    assert finish(first).body == pattern(3)
    assert not pump_of(conn).is_free()
    assert next(other) == (stream.fd, POLLIN)
    other.close()
    assert pump_of(conn).is_free()


@pytest.mark.parametrize("how", ["close", "throw"])
def test_one_that_is_given_up_is_reset(monkeypatch, how):
    conn, stream = opened(monkeypatch)
    going = conn.co_exchange("GET", "/never")
    next(going)
    if how == "close":
        going.close()
    else:
        with pytest.raises(ConnectionTimedOut):
            going.throw(ConnectionTimedOut("of mine"))
    assert type(stream.peer.events[-1]).__name__ == "StreamReset"
    assert pump_of(conn).is_free()
    assert conn.is_reusable()
    assert bodies_of(stream, conn.co_exchange("GET", "/3")) == [pattern(3)]


def test_one_that_cannot_be_sent_at_once_goes_on(monkeypatch):
    for room in range(1, 20):
        conn, stream = opened(monkeypatch)
        stream.room = room
        going = conn.co_exchange("GET", "/3")
        need = next(going)
        stream.room = 1 << 30
        assert bodies_of(stream, going, needs=[need]) == [pattern(3)], room
        conn.close()


def test_other_responses_than_usual_ones(monkeypatch):
    conn, stream = opened(monkeypatch)
    assert bodies_of(stream, conn.co_exchange("GET", "/early")) == [b"late"]
    assert bodies_of(stream, conn.co_exchange("GET", "/100000")) == [pattern(100000)]
    assert bodies_of(stream, conn.co_exchange("HEAD", "/0")) == [b""]
    assert bodies_of(stream, conn.co_exchange("GET", "/0")) == [b""]
    (reply,) = results_of(stream, conn.co_exchange("GET", "/status/404"))
    assert (reply.status, reply.body) == (404, b"sorry")
    with pytest.raises(StreamReset, match="GET http://script.test/reset/2") as failure:
        bodies_of(stream, conn.co_exchange("GET", "/reset/2"))
    assert failure.value.request_sent == "yes"
    with pytest.raises(InvalidRequest, match="Connection"):
        next(conn.co_exchange("GET", "/3", {"Connection": "close"}))
    assert bodies_of(stream, conn.co_exchange("GET", "/3")) == [pattern(3)]
    assert conn.renewals == 0


def test_it_is_sent_again_if_the_server_has_not_processed_it(monkeypatch):
    second = PeerStream(numbered)
    conn, stream = opened(monkeypatch, second)
    stream.peer.app = lambda _: None
    going = conn.co_exchange("GET", "/3")
    next(going)
    stream.peer.connection.close_connection(last_stream_id=1)
    stream.on_the_way += stream.peer.connection.data_to_send()
    stream.arrive()
    assert bodies_of(second, going) == [pattern(3)]
    assert conn.renewals == 1
    assert stream.closed


def test_the_end_of_the_connection(monkeypatch):
    conn, stream = opened(monkeypatch)
    going = conn.co_exchange("GET", "/never")
    next(going)
    stream.end()
    with pytest.raises(ConnectionClosed, match="/never: the server has closed") as failure:
        next(going)
    assert failure.value.request_sent == "maybe"
    assert not conn.is_open()
    conn, stream = opened(monkeypatch)
    going = conn.co_exchange("GET", "/never")
    next(going)
    conn.disconnect()
    with pytest.raises(ConnectionClosed, match="closed meanwhile"):
        next(going)
    assert stream.closed


def test_what_has_come_before_is_looked_at_first(monkeypatch):
    second = PeerStream(numbered)
    conn, stream = opened(monkeypatch, second)
    stream.peer.connection.close_connection()
    stream.on_the_way += stream.peer.connection.data_to_send()
    stream.arrive()
    sent = len(stream.peer.requests)
    assert bodies_of(second, conn.co_exchange("GET", "/3")) == [pattern(3)]
    assert len(stream.peer.requests) == sent
    conn, stream = opened(monkeypatch)
    stream.peer.connection.ping(b"12345678")
    stream.on_the_way += stream.peer.connection.data_to_send()
    stream.arrive()
    assert bodies_of(stream, conn.co_exchange("GET", "/3")) == [pattern(3)]
    assert any(type(event).__name__ == "PingAckReceived" for event in stream.peer.events)


def test_updates_of_windows_go_with_the_next_request(monkeypatch):
    """A send of its own would cost as much as the request."""
    from dugong_like import H2Options

    conn, stream = opened(monkeypatch, http2=H2Options(connection_window=65535))
    sends = []
    send = stream.send
    monkeypatch.setattr(stream, "send", lambda parts: sends.append(parts) or send(parts))
    for _ in range(20):
        assert bodies_of(stream, conn.co_exchange("GET", "/10000")) == [pattern(10000)]
    assert len(sends) == 20
    updates = [event for event in stream.peer.events if type(event).__name__ == "WindowUpdated"]
    assert sum(event.delta for event in updates if not event.stream_id) >= 150_000


@pytest.mark.parametrize("limit", ["read", "head", "stall"])
def test_time_limits(monkeypatch, limit):
    now = [100.0]
    conn, stream = opened(monkeypatch, timeout=Timeouts(**{limit: 3.0}))
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    going = conn.co_exchange("GET", "/never")
    assert next(going).deadline == 103.0
    now[0] = 102.0
    assert next(going).deadline == 103.0
    now[0] = 103.5
    with pytest.raises(ConnectionTimedOut) as failure:
        next(going)
    assert failure.value.request_sent == "maybe"
    assert failure.value.phase == ("read" if limit == "stall" else limit)
    assert bodies_of(stream, conn.co_exchange("GET", "/3")) == [pattern(3)]


# ---- blocking


@pytest.mark.parametrize("timeout", [0.05, Timeouts(head=0.05), Timeouts(total=0.05)])
def test_a_blocking_call_gives_up_in_time_and_resets(timeout):
    with h2_server(numbered) as server:
        conn = HTTPConnection("127.0.0.1", server.port, versions=("h2",), timeout=20)
        with conn:
            for _ in range(2):
                assert conn.exchange("GET", "/3").body == pattern(3)
            conn.timeout = timeout
            with pytest.raises(ConnectionTimedOut, match="/never"):
                conn.exchange("GET", "/never")
            conn.timeout = 20
            assert conn.exchange("GET", "/3").body == pattern(3)
            assert len(server.peers) == 1
            assert pump_of(conn).is_free()


def test_threads_join_one_that_waits():
    """It leads, and receives what is for them."""
    with (
        h2_server(numbered) as server,
        HTTPConnection("127.0.0.1", server.port, versions=("h2",), timeout=20) as conn,
    ):
        conn.exchange("GET", "/3")
        failures = []

        def waits():
            try:
                conn.exchange("GET", "/never")
            except ConnectionClosed as exc:
                failures.append(exc)

        thread = threading.Thread(target=waits)
        thread.start()
        while not conn.is_open() or len(server.peers[0].requests) < 2:
            conn.ping()
        for size in range(100):
            assert conn.exchange("GET", f"/{size}").body == pattern(size)
        conn.disconnect()
        thread.join()
        assert len(failures) == 1
