"""What HTTP/2 has and HTTP/1.1 has not, once under each driver."""

from functools import partial

import h2.events
import pytest
from kit import h2_frames
from kit.every_driver import DRIVERS
from kit.h2_server import Answer, Peer, h2_server
from kit.support import ScriptedServer, pattern

from dugong_like import (
    BodyFollowing,
    Client,
    H2Options,
    H2Settings,
    HTTPConnection,
    InvalidOption,
    ProtocolNotNegotiated,
    Request,
    StateError,
    StreamReset,
    both,
)

MOST = 2**31 - 1
WINDOW = 10  # bytes of a stream
CONNECTION = 65535  # bytes: the least that there is


class Live(Peer):
    """A `Peer` that sends the body of a request back as it comes, behind the head."""

    def _follow(self, event):
        if isinstance(event, h2.events.RequestReceived):
            self.connection.send_headers(event.stream_id, [(":status", "200")])
        elif isinstance(event, h2.events.DataReceived):
            self.connection.send_data(event.stream_id, event.data)
        elif isinstance(event, h2.events.StreamEnded):
            self.connection.end_stream(event.stream_id)


class Leaving(Peer):
    """A `Peer` that sends GOAWAY behind the response to ``/leave``."""

    def take(self, wire):
        back = super().take(wire)
        if self.requests and self.requests[-1][":path"] == "/leave":
            back += h2_frames.goaway(self.requests.pop().stream)
        return back


def serve(kind, sock):
    peer = kind()
    sock.sendall(peer.take(b""))
    while wire := sock.recv(65536):
        sock.sendall(peer.take(wire))


def connected(server, **options):
    return HTTPConnection("127.0.0.1", server.port, versions=("h2",), timeout=60, **options)


def co_get(conn, size):
    """Send a request, and read the head of its response."""
    exchange = yield from conn.co_send_request("GET", f"/bytes/{size}")
    response = yield from exchange.co_read_response()
    assert response.length == size
    return exchange


def co_read_exactly(exchange, size):
    got = b""
    while len(got) < size:
        piece = yield from exchange.co_read(size - len(got))
        assert piece
        got += piece
    return got


@pytest.mark.feature("A28", "A29")
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_stream_sends_what_its_window_allows(driver):
    """And no more until it is opened, whatever was read; another stream goes on meanwhile."""
    options = H2Options(auto_window=False, stream_window=WINDOW)

    def co_use(conn, server):
        exchange = yield from co_get(conn, 25)
        other = yield from co_get(conn, WINDOW)
        got = yield from co_read_exactly(exchange, WINDOW)
        assert (yield from other.co_readall()) == pattern(WINDOW)
        yield from conn.co_ping()  # behind it the server would have sent more
        (peer,) = server.peers
        assert peer.connection.local_flow_control_window(exchange.stream_id) == 0
        for size in (7, 8):
            exchange.update_window(size)
            got += yield from co_read_exactly(exchange, size)
        assert (yield from exchange.co_readall()) == b""
        exchange.update_window(1)  # no effect
        return got

    with h2_server() as server, connected(server, http2=options) as conn:
        assert driver(co_use(conn, server)) == pattern(25)


@pytest.mark.feature("A28", "A29")
@pytest.mark.parametrize("driver", DRIVERS)
def test_all_streams_send_what_the_window_of_the_connection_allows(driver):
    options = H2Options(
        auto_window=False, stream_window=2 * CONNECTION, connection_window=CONNECTION
    )

    def co_use(conn, server):
        exchange = yield from co_get(conn, CONNECTION + 10)
        got = yield from co_read_exactly(exchange, CONNECTION)
        yield from conn.co_ping()
        (peer,) = server.peers
        assert peer.connection.outbound_flow_control_window == 0
        conn.update_window(10)
        return got + (yield from exchange.co_readall())

    with h2_server() as server, connected(server, http2=options) as conn:
        assert driver(co_use(conn, server)) == pattern(CONNECTION + 10)


def test_windows_of_callbacks():
    options, pieces = H2Options(auto_window=False, stream_window=WINDOW), []

    def on_body(http_stream, chunk, **more):
        pieces.append(chunk)
        http_stream.update_window(len(chunk))

    with h2_server() as server, connected(server, http2=options) as conn:
        stream = conn.request(Request("GET", "/bytes/1000"), on_body=on_body)
        with pytest.raises(StateError, match="not sent"):
            stream.update_window(1)
        assert stream.run() == 200
    assert b"".join(pieces) == pattern(1000)


def test_windows_that_cannot_be():
    with h2_server() as server, connected(server) as conn:
        exchange = conn.send_request("GET", "/bytes/100000")
        for target in (conn, exchange):
            for size in (0, -1, MOST + 1):
                with pytest.raises(InvalidOption):
                    target.update_window(size)
            with pytest.raises(TypeError):
                target.update_window("1")
        with pytest.raises(InvalidOption, match="at most"):
            exchange.update_window(MOST)
        exchange.read_response()
        assert exchange.readall() == pattern(100_000)
    assert exchange.update_window(1) is None  # the connection has ended


def test_http_1_has_no_windows():
    def serve(sock):
        sock.recv(65536)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    with ScriptedServer(serve) as server, HTTPConnection("127.0.0.1", server.port) as conn:
        exchange = conn.send_request("GET", "/")
        exchange.update_window(5)
        with pytest.raises(InvalidOption):
            exchange.update_window(0)
        with pytest.raises(StateError, match="not with HTTP/1.1"):
            conn.update_window(5)
        assert (exchange.read_response().status, exchange.read()) == (200, b"ok")


@pytest.mark.feature("A34", "A35")
@pytest.mark.parametrize("driver", DRIVERS)
def test_settings_of_both_sides(driver):
    """Those of the server are reported each time; those of ours are in its hands first."""
    told = []
    ours = H2Options(settings=H2Settings(header_table_size=1000), max_list=5000)

    def co_use(conn, server):
        yield from conn.co_ping()
        (peer,) = server.peers
        peer.change({3: 7})
        while conn.concurrency != 7:
            yield from conn.co_exchange("GET", "/")
        return peer.connection.remote_settings

    with h2_server(max_concurrent_streams=9) as server:
        with connected(server, http2=ours, on_settings=told.append) as conn:
            theirs = driver(co_use(conn, server))
            assert (theirs.header_table_size, theirs.max_header_list_size) == (1000, 5000)
            assert [each.max_concurrent_streams for each in told] == [9, 7]
            assert told[-1] == conn.remote_settings


@pytest.mark.feature("A36", "A37")
@pytest.mark.parametrize("driver", DRIVERS)
def test_both_directions_at_once(driver):
    """In turns: each piece comes back before the next one is written; and two such exchanges."""

    def co_talk(conn):
        exchange = yield from conn.co_send_request("PUT", "/", body=BodyFollowing())
        response = yield from exchange.co_read_response()
        assert (response.status, response.length) == (200, None)
        for number in range(20):
            piece = b"%d" % number * 300
            yield from conn.co_write(piece)
            assert (yield from co_read_exactly(exchange, len(piece))) == piece
        assert not exchange.complete
        yield from conn.co_finish()
        assert (yield from exchange.co_readall()) == b""
        assert exchange.complete

    def co_write(conn, data):
        for at in range(0, len(data), 7000):
            yield from conn.co_write(data[at : at + 7000])
        yield from conn.co_finish()

    def co_use(conn):
        yield from co_talk(conn)
        exchange = yield from conn.co_send_request("PUT", "/", body=BodyFollowing())
        yield from exchange.co_read_response()
        _, got = yield from both(co_write(conn, pattern(50_000)), exchange.co_readall())
        return got

    with ScriptedServer(partial(serve, Live)) as server, connected(server) as conn:
        assert driver(co_use(conn)) == pattern(50_000)


@pytest.mark.feature("C30")
@pytest.mark.parametrize("driver", DRIVERS)
def test_ping_trailers_and_priority(driver):
    """RFC 9113 section 6.7, RFC 9110 section 6.5, RFC 9218: also by a client."""

    def app(request):
        trailers = [("x-length", str(len(request.body))), *request.trailers]
        return Answer(fields=[("x-priority", request["priority"])], trailers=trailers)

    def co_use(conn, client, url):
        assert (yield from conn.co_ping()) > 0
        yield from conn.co_send_request("PUT", "/", {"Priority": "u=1, i"}, BodyFollowing())
        yield from conn.co_write(b"four")
        yield from conn.co_finish({"X-Sum": "4"})
        response = yield from conn.co_read_response()
        yield from conn.co_readall()
        fields = {"Priority": "u=7"}
        other = yield from client.co_put(url, headers=fields, content=b"12345")
        yield from client.co_close()
        return response, other

    with h2_server(app) as server, connected(server) as conn:
        client = Client(versions=("h2",))
        url = f"http://127.0.0.1:{server.port}/"
        response, other = driver(co_use(conn, client, url))
    assert response.headers["x-priority"] == "u=1, i"
    assert response.trailer_pairs() == [("x-length", "4"), ("x-sum", "4")]
    assert (other.headers["x-priority"], other.trailers["x-length"]) == ("u=7", "5")


@pytest.mark.feature("A32")
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_server_that_does_not_choose_it(certificate, trusting, driver):
    tls = certificate.server_context()
    tls.set_alpn_protocols(["http/1.1"])
    with ScriptedServer(lambda sock: sock.recv(1), tls) as server:
        with HTTPConnection("localhost", server.port, trusting, versions=("h2",)) as conn:
            with pytest.raises(ProtocolNotNegotiated):
                driver(conn.co_exchange("GET", "/"))


@pytest.mark.feature("C9", "C16")
@pytest.mark.parametrize("driver", DRIVERS)
def test_events(driver):
    """With the numbers of their streams; PING, resets and GOAWAY are told of as well."""
    events = []

    def named(name):
        return [info for event, info in events if event == f"http2.{name}"]

    def co_use(conn):
        yield from conn.co_ping()
        yield from conn.co_exchange("GET", "/")
        try:
            yield from conn.co_exchange("GET", "/reset/2")
        except StreamReset:
            pass
        given_up = yield from conn.co_send_request("GET", "/bytes/100000")
        given_up.abandon()
        yield from conn.co_exchange("GET", "/leave")

    with ScriptedServer(partial(serve, Leaving)) as server:
        with connected(server, trace=lambda *event: events.append(event)) as conn:
            driver(co_use(conn))
    streams = [info["stream_id"] for info in named("send_request_headers.complete")]
    assert streams == [1, 3, 5, 7]
    assert [info["stream_id"] for info in named("response_closed.complete")] == [1, 7]
    assert [info["seconds"] > 0 for info in named("ping")] == [True]
    assert named("reset") == [
        {"stream_id": 3, "code": 2, "by": "server"},
        {"stream_id": 5, "code": 8, "by": "client"},
    ]
    assert [(info["last_id"], info["code"]) for info in named("goaway")] == [(7, 0)]
