"""WebSockets on streams of HTTP/2 (RFC 8441): beside other exchanges, and every end of one."""

import gc
import threading
from contextlib import ExitStack

import pytest
from kit import h2_frames
from kit.h2_server import RawConnection
from kit.h2_streams import PeerStream, results_of
from kit.h2_websockets import WebSocketPeer, websocket_h2_server
from kit.streams import connection, finish
from kit.support import ScriptedServer, pattern
from kit.websocket_servers import serving

from dugong_like import (
    ConnectionTimedOut,
    GoneAway,
    H2Options,
    HTTPConnection,
    InvalidRequest,
    WebSocketClosed,
    WebSocketRefused,
    both,
    run,
)
from dugong_like.connection.h2 import tunnel as tunnels

CANCEL = 8


@pytest.fixture
def open_to(monkeypatch):
    """Return a function that makes a connection to a `WebSocketPeer`, without a socket."""
    with ExitStack() as stack:

        def make(settings=None, **options):
            stream = PeerStream(make=WebSocketPeer, **settings or {})
            conn = stack.enter_context(connection(monkeypatch, stream, versions=("h2",), **options))
            return conn, stream

        yield make


def going_on(stream, *operations):
    results = results_of(stream, *operations)
    return results if len(operations) > 1 else results[0]


def settle(conn, stream):
    """Let all that both sides have to say arrive."""
    for _ in range(5):
        stream.arrive()
        conn.is_open()


def co_echo(ws, message):
    yield from ws.co_send(message)
    return (yield from ws.co_recv())


# ---- opening one


@pytest.mark.feature("A50")
def test_the_request_is_an_extended_connect(open_to):
    conn, stream = open_to()
    opening = conn.co_websocket("/chat?x=1", {"Origin": "http://a"}, subprotocols=["a", "b"])
    ws = going_on(stream, opening)

    assert (ws.subprotocol, ws.is_compressed, ws.response.status) == ("a", True, 200)
    (fields,) = stream.peer.openings
    assert [*fields.items()][:5] == [
        (":method", "CONNECT"),
        (":scheme", "http"),
        (":authority", conn.hostname),
        (":path", "/chat?x=1"),
        (":protocol", "websocket"),
    ]
    assert fields["origin"] == "http://a"
    assert fields["sec-websocket-version"] == "13"
    assert fields.keys().isdisjoint({"sec-websocket-key", "upgrade", "connection"})


@pytest.mark.parametrize("announced", [(), ((h2_frames.CONNECT_PROTOCOL, 0),)])
def test_without_the_setting_nothing_is_sent(announced):
    """Most servers do not name it (nginx, nghttpd); the h2 library does, with its value of 0."""
    paths = []

    def script(sock):
        raw = RawConnection(sock, *announced)
        stream = raw.read_until(h2_frames.HEADERS).stream
        paths.append(stream)
        raw.send(h2_frames.headers(stream, end=True))
        raw.read_to_end()

    with ScriptedServer(script) as server:
        with HTTPConnection("127.0.0.1", server.port, versions=("h2",), timeout=30) as conn:
            with pytest.raises(InvalidRequest, match=r"versions=\('http/1.1',\)") as info:
                conn.websocket("/chat")
            assert "/chat" in info.value.url
            assert conn.exchange("GET", "/").status == 200
    assert paths == [1]


def test_a_server_that_chooses_http_1(certificate, trusting):
    with serving(tls=certificate.server_context()) as port:
        versions = ("h2", "http/1.1")
        with HTTPConnection("localhost", port, trusting, versions=versions, timeout=30) as conn:
            with conn.websocket() as ws:
                ws.send("x")
                assert ws.recv() == "x"
            assert ws.response.status == 101


@pytest.mark.parametrize("headers", [{"Upgrade": "x"}, {"Sec-WebSocket-Key": "x"}, {"A b": "c"}])
def test_fields_that_cannot_be_sent(open_to, headers):
    conn, stream = open_to()
    with pytest.raises(InvalidRequest):
        going_on(stream, conn.co_websocket("/chat", headers))
    assert stream.peer.openings == []


@pytest.mark.parametrize(("path", "body"), [("/refused", b"no"), ("/refused/70000", None)])
def test_a_refusal_has_its_response(open_to, path, body):
    conn, stream = open_to()
    with pytest.raises(WebSocketRefused, match="403 instead of 200") as info:
        going_on(stream, conn.co_websocket(path))

    assert info.value.response.status == 403
    assert getattr(info.value.response, "body", None) == body
    settle(conn, stream)
    assert going_on(stream, conn.co_exchange("GET", "/")).body == b"hello"
    assert stream.peer.connection.open_inbound_streams == 0


@pytest.mark.parametrize("end", ["late", "cut"])
def test_a_refusal_whose_body_does_not_end_is_one(monkeypatch, end):
    monkeypatch.setattr("dugong_like.connection.refusals.MAX_REFUSAL_TIME", 0.05)

    def script(sock):
        raw = RawConnection(sock, (h2_frames.CONNECT_PROTOCOL, 1))
        stream = raw.read_until(h2_frames.HEADERS).stream
        raw.send(h2_frames.headers(stream, (":status", "403")) + h2_frames.data(stream, b"no"))
        if end == "cut":
            raw.send(h2_frames.rst_stream(stream, 2))
        raw.read_to_end()

    with ScriptedServer(script) as server:
        with HTTPConnection("127.0.0.1", server.port, versions=("h2",), timeout=60) as conn:
            with pytest.raises(WebSocketRefused, match="403 instead of 200") as info:
                conn.websocket("/chat")
            assert (info.value.response.status, info.value.response.body) == (403, None)
            assert conn.is_open()


def test_opening_that_is_given_up_resets_the_stream(open_to):
    conn, stream = open_to()
    going_on(stream, conn.co_exchange("GET", "/"))
    opening = conn.co_websocket("/chat")
    next(opening)
    opening.close()
    settle(conn, stream)

    assert stream.peer.resets == [CANCEL]
    assert conn.is_reusable()


def test_a_connection_that_takes_no_further_stream_is_followed_by_another_one():
    with websocket_h2_server() as server:
        with HTTPConnection("127.0.0.1", server.port, versions=("h2",), timeout=30) as conn:
            first = conn.websocket("/last")
            second = conn.websocket("/chat")
            for ws in (first, second):
                ws.send("x")
                assert ws.recv() == "x"
            old = first._stream._shared
            first.close()
            assert old.stream is None  # its last stream has ended
            second.close()
    assert len(server.peers) == 2


# ---- messages


@pytest.mark.feature("D21")
def test_other_exchanges_go_on_beside_it(open_to):
    conn, stream = open_to()
    ws, other = (going_on(stream, conn.co_websocket("/chat")) for _ in range(2))
    got = going_on(
        stream,
        co_echo(ws, "a" * 300_000),
        conn.co_exchange("GET", "/bytes/300000"),
        co_echo(other, b"b" * 300_000),
        conn.co_exchange("PUT", "/echo", None, pattern(200_000)),
    )

    assert got[0] == "a" * 300_000
    assert got[1].body == pattern(300_000)
    assert got[2] == b"b" * 300_000
    assert got[3].body == pattern(200_000)


@pytest.mark.parametrize("window", [1, 1000])
def test_small_windows_on_both_sides(window):
    options = {"http2": H2Options(stream_window=1000), "versions": ("h2",), "timeout": 30}
    with websocket_h2_server(initial_window_size=window) as server:
        with HTTPConnection("127.0.0.1", server.port, **options) as conn:
            ws = conn.websocket("/chat", deflate=False)
            message = "x" * (30 * window + 20_000 * (window > 1))
            for _ in range(2):
                assert run(both(ws.co_recv(), ws.co_send(message))) == (message, None)
            ws.close()
            assert conn.exchange("GET", "/bytes/5000").body == pattern(5000)


def test_a_message_counts_as_sent_when_the_system_has_it(open_to):
    conn, stream = open_to()
    ws = going_on(stream, conn.co_websocket("/chat", deflate=False))
    stream.room = 1000
    sending = ws.co_send(b"x" * 5000)
    for _ in range(3):
        next(sending)
        stream.room = 100
    stream.room = 1 << 30
    going_on(stream, sending)
    assert going_on(stream, ws.co_recv()) == b"x" * 5000


def test_interrupting_loses_nothing(open_to):
    conn, stream = open_to()
    ws = going_on(stream, conn.co_websocket("/chat", deflate=False))
    stream.room = 100
    for operation in (ws.co_send("one"), ws.co_send("x" * 5000), ws.co_recv()):
        try:
            next(operation)
        except StopIteration:
            continue
        operation.close()
    stream.room = 1 << 30
    assert going_on(stream, ws.co_recv()) == "one"
    assert going_on(stream, ws.co_recv()) == "x" * 5000


def test_a_message_behind_the_head(open_to):
    conn, stream = open_to()
    ws = going_on(stream, conn.co_websocket("/greeting"))
    assert going_on(stream, ws.co_recv()) == "welcome"


def test_threads_send_receive_and_request_at_once():
    with websocket_h2_server() as server:
        with HTTPConnection("127.0.0.1", server.port, versions=("h2",), timeout=30) as conn:
            ws = conn.websocket("/chat")
            sizes = []

            def ask():
                sizes.extend(len(conn.exchange("GET", "/bytes/50000").body) for _ in range(5))

            works = [lambda: [ws.send("x" * 5000) for _ in range(20)], ask, ask]
            threads = [threading.Thread(target=work) for work in works]
            for thread in threads:
                thread.start()
            assert [ws.recv() for _ in range(20)] == ["x" * 5000] * 20
            for thread in threads:
                thread.join()
            ws.close()
    assert sizes == [50_000] * 10
    assert len(server.peers) == 1


def test_over_tls(certificate, trusting):
    tls = certificate.server_context()
    tls.set_alpn_protocols(["h2"])
    with websocket_h2_server(tls) as server:
        versions = ("h2", "http/1.1")
        with HTTPConnection(
            "localhost", server.port, trusting, versions=versions, timeout=30
        ) as conn:
            with conn.websocket("/chat") as ws:
                ws.send("x" * 100_000)
                assert ws.recv() == "x" * 100_000
            assert conn.protocol == "h2"
            assert server.peers[0].openings[0][":scheme"] == "https"


def test_time_limit_of_a_message():
    with websocket_h2_server() as server:
        with HTTPConnection("127.0.0.1", server.port, versions=("h2",), timeout=30) as conn:
            with conn.websocket("/chat") as ws:
                with pytest.raises(ConnectionTimedOut, match=r"no message came for 0\.001 s"):
                    ws.recv(0.001)
                ws.send("x")
                assert ws.recv(30) == "x"


def test_a_server_that_answers_no_ping():
    with websocket_h2_server() as server:
        with HTTPConnection("127.0.0.1", server.port, versions=("h2",), timeout=30) as conn:
            ws = conn.websocket("/deaf", ping_interval=0.001, ping_timeout=0.001)
            with pytest.raises(ConnectionTimedOut) as info:
                ws.recv()
            assert info.value.phase == "pong"
            assert conn.exchange("GET", "/").body == b"hello"
    assert server.peers[0].resets == [CANCEL]


# ---- every end


def test_closing_ends_the_stream_and_not_the_connection(open_to):
    conn, stream = open_to()
    ws = going_on(stream, conn.co_websocket("/chat"))
    going_on(stream, ws.co_close(1000, "bye"))
    settle(conn, stream)

    assert (ws.close_code, stream.peer.ended, stream.peer.resets) == (1000, [1], [])
    assert conn.is_reusable()
    assert going_on(stream, conn.co_exchange("GET", "/")).body == b"hello"


def abort(ws):
    ws.abort()


def forget(ws):
    del ws
    gc.collect()


@pytest.mark.parametrize("end", [abort, forget])
def test_what_is_given_up_resets_the_stream(open_to, end):
    conn, stream = open_to()
    opened = [going_on(stream, conn.co_websocket("/chat"))]
    end(opened.pop())
    gc.collect()
    settle(conn, stream)

    assert stream.peer.resets == [CANCEL]
    assert conn.is_reusable()


def test_a_stream_that_the_server_resets(open_to):
    conn, stream = open_to()
    ws = going_on(stream, conn.co_websocket("/reset"))
    with pytest.raises(WebSocketClosed, match="CANCEL") as info:
        going_on(stream, co_echo(ws, "x"))

    assert info.value.code == 1006
    assert going_on(stream, conn.co_exchange("GET", "/")).body == b"hello"


def test_an_operation_that_only_waits_for_another_one_does_not_spin(open_to):
    conn, stream = open_to()
    going_on(stream, conn.co_exchange("GET", "/"))
    leader = conn.co_ping()
    ws = going_on(stream, conn.co_websocket("/chat"))
    stream.on_the_way = b""
    next(leader)  # it is the one that receives
    receiving = ws.co_recv()
    pinging = ws.co_ping()
    for operation in (receiving, pinging):
        next(operation)
    stream.on_the_way = h2_frames.rst_stream(ws.response.stream_id, CANCEL)
    stream.arrive()
    next(leader)

    next(pinging)  # needlessly: the one that receives has not been resumed
    for operation in (receiving, pinging):
        with pytest.raises(WebSocketClosed, match="CANCEL"):
            finish(operation)
    leader.close()


def test_the_connection_is_lost(open_to):
    conn, stream = open_to()
    ws = going_on(stream, conn.co_websocket("/chat"))
    receiving = ws.co_recv()
    next(receiving)
    stream.end()
    with pytest.raises(WebSocketClosed) as info:
        finish(receiving)
    assert info.value.code == 1006


def test_goaway_of_the_server_lets_it_go_on(open_to):
    conn, stream = open_to()
    ws = going_on(stream, conn.co_websocket("/chat"))
    stream.on_the_way += h2_frames.goaway(1)  # h2 would take nothing more itself
    settle(conn, stream)

    assert isinstance(conn._session.shared.pump.engine.goaway, GoneAway)
    assert going_on(stream, co_echo(ws, "x")) == "x"
    going_on(stream, ws.co_close())


@pytest.mark.parametrize("end", ["close", "reset", "garbage", "close the connection"])
def test_a_replaced_connection_is_closed_behind_its_last_websocket(monkeypatch, end):
    first, second = (PeerStream(make=WebSocketPeer) for _ in range(2))
    conn = connection(monkeypatch, first, second, versions=("h2",))
    ws = going_on(first, conn.co_websocket("/chat"))
    first.on_the_way += h2_frames.goaway(1)
    settle(conn, first)
    assert going_on(second, conn.co_exchange("GET", "/")).status == 200
    assert going_on(first, co_echo(ws, "x")) == "x"
    assert not first.closed

    if end == "close":
        going_on(first, ws.co_close())
    elif end == "reset":
        ws.abort()
    elif end == "garbage":
        del ws
        gc.collect()
    else:
        conn.close()

    assert (first.closed, second.closed) == (True, end == "close the connection")
    conn.close()


def test_closing_the_connection_wakes_who_receives():
    with websocket_h2_server() as server:
        conn = HTTPConnection("127.0.0.1", server.port, versions=("h2",), timeout=30)
        ws = conn.websocket("/silent")
        failures = []

        def receive():
            try:
                ws.recv()
            except WebSocketClosed as exc:
                failures.append(exc.code)

        thread = threading.Thread(target=receive)
        thread.start()
        conn.disconnect()
        thread.join()
    assert failures == [1006]


def test_a_server_that_takes_nothing_for_too_long(open_to, monkeypatch):
    conn, stream = open_to({"initial_window_size": 0}, timeout=30)
    settle(conn, stream)
    ws = going_on(stream, conn.co_websocket("/silent", deflate=False))
    sending = ws.co_send(b"x" * 10)
    need = next(sending)
    assert need.deadline is not None
    monkeypatch.setattr(tunnels.ProgressDeadline, "has_passed", lambda _: True)
    with pytest.raises(ConnectionTimedOut, match="nothing could be sent for 30 s") as info:
        next(sending)

    assert info.value.phase == "write"
    settle(conn, stream)
    assert stream.peer.resets == [CANCEL]
    assert conn.is_reusable()
