"""An HTTP/2 connection as its users see it, under every driver."""

import asyncio
import threading
from functools import partial

import pytest
from h2.events import RequestReceived
from kit import h2_frames
from kit.every_driver import DRIVERS, co_conversation
from kit.h2_server import Answer, Peer, RawConnection, h2_server
from kit.h2_site import h2_site
from kit.h2_streams import PeerStream, bodies_of, results_of
from kit.streams import connection as scripted
from kit.support import ScriptedServer, pattern

from dugong_like import (
    BodyFollowing,
    GoneAway,
    HTTPConnection,
    InvalidResponse,
    Request,
    StateError,
    run,
)
from dugong_like.connection.operations import MOST_TURNED_AWAY
from dugong_like.drivers import aio
from dugong_like.polling.wake import co_checkpoint


def connection(server, **options):
    options = {"timeout": 30, "versions": ("h2",), **options}
    return HTTPConnection("127.0.0.1", server.port, **options)


def echo_path(request):
    return Answer(body=request[":path"].encode() * 100)


@pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.__name__)
def test_conversation(driver):
    with h2_site() as server:
        assert driver(co_conversation(connection(server))) == "done"


@pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.__name__)
def test_exchange(driver):
    with h2_site() as server, connection(server) as conn:
        for body in (None, b"x" * 100_000, iter([b"x" * 50_000] * 2)):
            reply = driver(conn.co_exchange("PUT" if body else "GET", "/echo", {"X-A": "b"}, body))
            assert reply.body == (b"x" * 100_000 if body else b"")
            assert (reply.status, reply.http_version, reply.field("x-a")) == (200, "2", "b")
        assert conn.protocol == "h2"
    assert len(server.peers) == 1


@pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.__name__)
def test_many_exchanges_at_once(driver):
    paths = [f"/{number}" for number in range(300)]
    with h2_server(echo_path) as server, connection(server) as conn:
        replies = driver(conn.co_exchange_all([("GET", path) for path in paths]))
        assert [reply.body for reply in replies] == [path.encode() * 100 for path in paths]
        assert [reply.path for reply in replies] == paths
        assert conn.exchange_all([("PUT", "/a", None, b"body"), ("GET", "/b")])[1].path == "/b"
    assert len(server.peers) == 1


def test_one_connection_is_used_by_all_at_once():
    """Threads, tasks of two loops, and operations of one's own, each with its own response."""
    with h2_server(echo_path) as server, connection(server) as conn:
        wrong = []

        def check(path, body):
            if body != path.encode() * 100:
                wrong.append((path, body))

        def block(name):
            for number in range(10):
                path = f"/{name}/{number}"
                check(path, conn.exchange("GET", path).body)

        async def tasks(name):
            async def one(number):
                path = f"/{name}/{number}"
                check(path, (await aio.run(conn.co_exchange("GET", path))).body)

            await asyncio.gather(*map(one, range(30)))

        works = [partial(block, number) for number in range(5)]
        works += [partial(asyncio.run, tasks(name)) for name in "ab"]
        threads = [threading.Thread(target=work) for work in works]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []
        assert conn.exchange("GET", "/").body == b"/" * 100
    assert len(server.peers) == 1
    assert len(server.peers[0].requests) == 5 * 10 + 2 * 30 + 1


@pytest.mark.feature("C16", "E1")
def test_exchanges_are_read_in_any_order():
    with h2_server() as server, connection(server) as conn:
        sent = [conn.send_request("GET", f"/bytes/{size}") for size in (300_000, 10, 0)]
        for exchange, size in reversed([*zip(sent, (300_000, 10, 0), strict=True)]):
            assert exchange.read_response().status == 200
            assert exchange.read() == pattern(size)
        assert [exchange.stream_id for exchange in sent] == [1, 3, 5]
        assert not conn.response_pending()


def test_calls_of_the_connection_keep_the_order_of_requests():
    with h2_server() as server, connection(server) as conn:
        conn.send_requests([("GET", f"/bytes/{size}") for size in (5, 70_000, 0)])
        for size in (5, 70_000, 0):
            assert conn.read_response().length == size
            assert conn.readall() == pattern(size)
        assert conn.read() == b""


# What a server says that takes no request, on each of its connections.
TURNING_AWAY = {
    "goaway after the request": (h2_frames.HEADERS, h2_frames.goaway(0)),
    "goaway at once": (None, h2_frames.goaway(0)),
    "goaway that allows requests, and its end": (None, h2_frames.goaway() + h2_frames.goaway(0)),
    "no HTTP/2": (None, b"HTTP/1.1 400 Bad Request\r\n\r\n"),
}
CALLS = {
    "exchange": lambda conn: conn.co_exchange("GET", "/"),
    "exchange with a body": lambda conn: conn.co_exchange("PUT", "/", None, b"x"),
    "exchange_all": lambda conn: conn.co_exchange_all([("GET", "/"), ("GET", "/b")]),
    "send_request": lambda conn: conn.co_send_request("GET", "/"),
    "websocket": lambda conn: conn.co_websocket("/"),
}


@pytest.mark.parametrize("said", TURNING_AWAY)
def test_server_that_turns_each_connection_away_ends_the_call(said):
    """It was asked again without end, by thousands of connections a second."""
    after, answer = TURNING_AWAY[said]

    def script(sock):
        raw = RawConnection(sock, (h2_frames.CONNECT_PROTOCOL, 1))
        if after is not None:
            raw.read_until(after)
        raw.send(answer)
        raw.read_to_end()

    with ScriptedServer(script) as server:
        for name, call in CALLS.items():
            before = server.connections
            with connection(server) as conn:
                # Connected to before anything is sent, so the answer may be there in time.
                with pytest.raises((GoneAway, InvalidResponse)) as info:
                    run(conn.co_connect())
                    run(call(conn))
                    conn.read_response()
            assert info.value.url.startswith(f"http://127.0.0.1:{server.port}"), name
            assert server.connections - before <= MOST_TURNED_AWAY + 1, name
        assert info.value.request_sent in {"no", "yes"}


def test_connections_that_this_side_has_closed_do_not_count():
    with h2_server() as server, connection(server) as conn:
        for _ in range(MOST_TURNED_AWAY + 1):
            conn.connect()
            conn.disconnect()
        assert conn.exchange("GET", "/").body == b"hello"


def test_ping_and_settings():
    told = []
    with h2_server() as server, connection(server, on_settings=told.append) as conn:
        assert conn.remote_settings is None
        assert 0 < conn.ping() < 30
        assert conn.remote_settings.max_frame_size == 16384
        assert told == [conn.remote_settings]
        assert [run(conn.co_ping()) > 0 for _ in range(3)] == [True] * 3


def test_serving_answers_ping_while_nothing_else_is_done():
    """And it ends with the connection."""
    with h2_server() as server, connection(server) as conn:
        conn.ping()
        serving = threading.Thread(target=conn.serve)
        serving.start()
        peer = server.peers[0]
        assert conn.exchange("GET", "/").body == b"hello"  # beside it
        conn.disconnect()
        serving.join(30)
        assert not serving.is_alive()
        assert peer.requests


def test_serving_sees_what_the_server_says(monkeypatch):
    stream = PeerStream()
    conn = scripted(monkeypatch, stream, versions=("h2",))
    assert bodies_of(stream, conn.co_exchange("GET", "/")) == [b"hello"]
    serving = conn.co_serve()
    next(serving)
    stream.peer.connection.ping(b"12345678")
    stream.on_the_way += stream.peer.connection.data_to_send()
    stream.arrive()
    next(serving)
    assert any(type(event).__name__ == "PingAckReceived" for event in stream.peer.events)
    stream.end()
    with pytest.raises(StopIteration):
        next(serving)
    assert "has closed the connection" in str(conn.close_reason)


def test_what_http_1_does_not_have():
    conn = HTTPConnection("127.0.0.1", 1)
    assert (conn.protocol, conn.remote_settings) == ("http/1.1", None)
    with ScriptedServer(lambda sock: sock.recv(1)) as server:
        plain = HTTPConnection("127.0.0.1", server.port)
        with plain, pytest.raises(StateError, match="PING goes with HTTP/2"):
            plain.ping()
        with plain, pytest.raises(StateError, match="goes with HTTP/2"):
            plain.serve()


# What is under way on a session when another one takes its place, each up to its first wait.
def co_in_steps(conn):
    exchange = yield from conn.co_send_request("GET", "/")
    yield from exchange.co_read_response()
    yield from exchange.co_readall()


def co_with_a_body(conn):
    exchange = yield from conn.co_send_request("PUT", "/echo", None, BodyFollowing(None))
    yield from co_checkpoint()
    yield from exchange.co_finish()
    yield from exchange.co_read_response()
    yield from exchange.co_readall()


def co_with_a_body_answered_early(conn):
    """The rest of the request is reset when the response has been read."""
    exchange = yield from conn.co_send_request("PUT", "/early", None, BodyFollowing(None))
    yield from exchange.co_read_response()
    yield from exchange.co_readall()


def co_abandoned(conn):
    exchange = yield from conn.co_send_request("GET", "/")
    yield from co_checkpoint()
    exchange.abandon()


UNDER_WAY = {
    "ping": lambda conn: conn.co_ping(),
    "exchange": lambda conn: conn.co_exchange("GET", "/"),
    "exchange_all": lambda conn: conn.co_exchange_all([("GET", "/")]),
    "in steps": co_in_steps,
    "a body": co_with_a_body,
    "a body that is answered early": co_with_a_body_answered_early,
    "abandoned": co_abandoned,
}


class EarlyPeer(Peer):
    """Answers requests for ``/early`` before they are complete."""

    def _follow(self, event):
        super()._follow(event)
        if isinstance(event, RequestReceived) and dict(event.headers)[":path"] == "/early":
            self.connection.send_headers(event.stream_id, [(":status", "200")], end_stream=True)


def replaced_while(monkeypatch, under_way):
    """Return a connection with its second session, the streams of both, and what is under way."""
    first, second = PeerStream(make=EarlyPeer), PeerStream()
    conn = scripted(monkeypatch, first, second, versions=("h2",))
    assert bodies_of(first, conn.co_exchange("GET", "/")) == [b"hello"]
    going = UNDER_WAY[under_way](conn)
    need = next(going)

    first.arrived = h2_frames.goaway(3)  # before all that is on its way
    if need.fd == first.fd:
        assert next(going).fd == first.fd
    other = conn.co_exchange("GET", "/")
    while not second.peer.requests:
        next(other)
    assert bodies_of(second, other) == [b"hello"]
    assert (conn.renewals, first.closed) == (1, False)
    return conn, first, second, going


@pytest.mark.parametrize("under_way", UNDER_WAY)
def test_a_replaced_session_is_closed_behind_what_is_under_way(monkeypatch, under_way):
    """It stayed open for ever if that was no whole exchange, such as a PING."""
    conn, first, second, going = replaced_while(monkeypatch, under_way)

    results_of(first, going)

    assert (first.closed, second.closed) == (True, False)
    conn.close()


@pytest.mark.parametrize("under_way", ["ping", "exchange", "exchange_all", "a body"])
def test_a_replaced_session_is_closed_if_what_is_under_way_is_given_up(monkeypatch, under_way):
    conn, first, second, going = replaced_while(monkeypatch, under_way)

    going.close()
    if under_way == "a body":
        assert not first.closed
        conn.close()

    assert first.closed
    conn.close()


@pytest.mark.parametrize("end", ["close", "disconnect", "__del__"])
@pytest.mark.parametrize("under_way", UNDER_WAY)
def test_closing_a_connection_closes_replaced_sessions(monkeypatch, under_way, end):
    """Their exchanges end with them, as those of the present one do."""
    conn, first, second, going = replaced_while(monkeypatch, under_way)

    getattr(conn, end)()

    going.close()
    assert (first.closed, second.closed) == (True, True)


def test_disconnecting_beside_an_active_stream_closes_replaced_sessions(monkeypatch):
    """The present one is closed by whoever drives that stream."""
    conn, first, second, going = replaced_while(monkeypatch, "a body")
    active = conn.request(Request("GET", "/"))
    active.activate()
    driving = active.co_run()
    next(driving)

    conn.disconnect()

    going.close()
    assert (first.closed, second.closed) == (True, False)
    driving.close()
    assert second.closed


def test_a_replaced_session_that_is_only_served_is_closed(monkeypatch):
    """Serving it ends then: the server might wait for that, as well."""
    first, second = PeerStream(), PeerStream()
    conn = scripted(monkeypatch, first, second, versions=("h2",))
    assert bodies_of(first, conn.co_exchange("GET", "/")) == [b"hello"]
    serving = conn.co_serve()
    next(serving)
    first.arrived = h2_frames.goaway(1)
    next(serving)

    assert bodies_of(second, conn.co_exchange("GET", "/")) == [b"hello"]

    assert first.ended  # which wakes it
    assert results_of(first, serving) == [None]
    assert (first.closed, second.closed) == (True, False)
    conn.close()
