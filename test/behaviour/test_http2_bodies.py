"""Several request bodies that are open at once on one HTTP/2 connection, each by its exchange."""

import io
from concurrent.futures import ThreadPoolExecutor

import h2.events
import pytest
from kit.every_driver import DRIVERS
from kit.h2_server import Answer, Peer, h2_server
from kit.support import ScriptedServer, pattern

from dugong_like import (
    AnsweredEarly,
    BodyFollowing,
    HTTPConnection,
    StateError,
    StreamReset,
    run,
)
from dugong_like.polling.combinators import several

COUNT = 20
PIECE = 300
WINDOW = 100  # bytes of a stream


class Live(Peer):
    """A `Peer` that sends each piece of a body back as it comes, with the trailers.

    ``/early`` is answered at its first bytes, and ``/reset`` is reset then.
    """

    def __init__(self, **settings):
        super().__init__(**settings)
        self._paths = {}

    def _follow(self, event):
        connection, stream = self.connection, getattr(event, "stream_id", None)
        if stream in self._gone and not isinstance(event, h2.events.DataReceived):
            return
        if isinstance(event, h2.events.RequestReceived):
            self._paths[stream] = dict(event.headers)[":path"]
            if self._paths[stream] == "/echo":
                connection.send_headers(stream, [(":status", "200")])
        elif isinstance(event, h2.events.DataReceived):
            if size := event.flow_controlled_length:
                connection.increment_flow_control_window(size)
            self._take_data(event, stream)
        elif isinstance(event, h2.events.TrailersReceived):
            connection.send_headers(stream, event.headers, end_stream=True)
            self._paths.pop(stream)
        elif isinstance(event, h2.events.StreamEnded):
            if stream in self._paths:
                connection.end_stream(stream)
        else:
            super()._follow(event)

    def _take_data(self, event, stream):
        connection, path = self.connection, self._paths.get(stream)
        if stream in self._gone or path is None:
            return
        if path == "/echo":
            if event.stream_ended is None:
                connection.increment_flow_control_window(event.flow_controlled_length, stream)
            connection.send_data(stream, event.data)
            return
        del self._paths[stream]
        if path == "/early":
            connection.send_headers(stream, [(":status", "413")])
            connection.send_data(stream, b"no", end_stream=True)
        connection.reset_stream(stream, 0 if path == "/early" else 8)
        self._gone.add(stream)


@pytest.fixture
def live():
    """Return a connection to a `Live` that has its settings, and the `Live` itself."""
    peers = []

    def serve(sock):
        peer = Live(initial_window_size=WINDOW)
        peers.append(peer)
        sock.sendall(peer.take(b""))
        while wire := sock.recv(65536):
            sock.sendall(peer.take(wire))

    with ScriptedServer(serve) as server:
        options = {"versions": ("h2",), "timeout": 60}
        with HTTPConnection("127.0.0.1", server.port, **options) as conn:
            conn.ping()
            yield conn, peers[0]


def co_open(conn, path="/echo", length=None):
    return (yield from conn.co_send_request("PUT", path, None, BodyFollowing(length)))


def co_read_exactly(exchange, size):
    got = b""
    while len(got) < size:
        piece = yield from exchange.co_read(size - len(got))
        assert piece
        got += piece
    return got


def co_talk(exchange, number, rounds):
    """Write a piece, read what has come of it, and so on; end with trailers."""
    for turn in range(rounds):
        piece = b"%d %d " % (number, turn) * 50
        yield from exchange.co_write(piece)
        assert (yield from co_read_exactly(exchange, len(piece))) == piece
    assert exchange.body_owed == float("inf")
    yield from exchange.co_finish({"X-Number": str(number)})
    assert (yield from exchange.co_readall()) == b""


@pytest.mark.feature("A36", "A37")
@pytest.mark.parametrize("driver", DRIVERS)
def test_twenty_bodies_in_turns(live, driver):
    """One operation writes a piece of each, and reads it back, before the next piece of any."""
    conn, _ = live

    def co_use():
        exchanges, responses = [], []
        for _ in range(COUNT):
            exchange = yield from co_open(conn)
            exchanges.append(exchange)
            responses.append((yield from exchange.co_read_response()))
        for turn in range(3):
            pieces = [b"%d %d " % (number, turn) * PIECE for number in range(COUNT)]
            for exchange, piece in zip(exchanges, pieces, strict=True):
                yield from exchange.co_write(piece)
            for exchange, piece in reversed([*zip(exchanges, pieces, strict=True)]):
                assert (yield from co_read_exactly(exchange, len(piece))) == piece
        for number, exchange in enumerate(exchanges):
            yield from exchange.co_finish({"X-Number": str(number)})
        for exchange in reversed(exchanges):
            assert (yield from exchange.co_readall()) == b""
            assert exchange.complete
            assert exchange.body_owed is None
        return [response.trailers["x-number"] for response in responses]

    assert driver(co_use()) == [str(number) for number in range(COUNT)]
    assert not conn.response_pending()
    assert conn.renewals == 0


@pytest.mark.parametrize("driver", DRIVERS)
def test_bodies_written_by_operations_at_once(live, driver):
    conn, _ = live

    def co_one(number, exchange):
        response = yield from exchange.co_read_response()
        yield from co_talk(exchange, number, 2)
        return response.trailers["x-number"]

    def co_use():
        talks, results = [], []
        for number in range(COUNT):
            talks.append(co_one(number, (yield from co_open(conn))))
        yield from several(talks, results, COUNT)
        return sorted(results, key=int)

    assert driver(co_use()) == [str(number) for number in range(COUNT)]


def test_bodies_written_by_threads(live):
    conn, _ = live
    exchanges = [conn.send_request("PUT", "/echo", body=BodyFollowing()) for _ in range(COUNT)]

    def talk(number):
        exchange = exchanges[number]
        response = exchange.read_response()
        for turn in range(3):
            piece = b"%d %d " % (number, turn) * 50
            exchange.write(piece)
            got = b""
            while len(got) < len(piece):
                got += exchange.read(len(piece) - len(got))
            assert got == piece
        exchange.finish({"X-Number": str(number)})
        assert exchange.read() == b""
        return int(response.trailers["x-number"])

    with ThreadPoolExecutor(COUNT) as pool:
        assert [*pool.map(talk, range(COUNT))] == [*range(COUNT)]


@pytest.mark.parametrize("driver", DRIVERS)
def test_what_ends_one_body_leaves_the_others_alone(live, driver):
    """A response that comes before the body has ended, RST_STREAM, and one that is given up."""
    conn, peer = live

    def co_until(exchange, error):
        """Write until *error* comes, at the latest when the window is used up."""
        try:
            for _ in range(WINDOW + 1):
                yield from exchange.co_write(b"x")
        except error as exc:
            return exc
        raise AssertionError(f"no {error.__name__}")

    def co_use():
        kept = []
        for path in ("/early", "/reset", "/echo"):
            kept.append((yield from co_open(conn)))
            exchange = yield from co_open(conn, path)
            yield from kept[-1].co_read_response()
            if path == "/early":
                exc = yield from co_until(exchange, AnsweredEarly)
                assert exc.response.status == 413
                assert (yield from exchange.co_read_response()).status == 413
                assert (yield from exchange.co_readall()) == b"no"
            elif path == "/reset":
                exc = yield from co_until(exchange, StreamReset)
                assert exc.code == 8
            else:
                exchange.abandon()
            assert exchange.body_owed is None
            try:
                yield from exchange.co_write(b"x")
            except StateError as exc:
                assert "no body to write" in str(exc)
            else:
                raise AssertionError(path)
            for number, each in enumerate(kept):
                piece = b"%d" % number * PIECE
                yield from each.co_write(piece)
                assert (yield from co_read_exactly(each, PIECE)) == piece
        for number, each in enumerate(kept):
            yield from co_talk(each, number, 1)
        yield from conn.co_ping()
        return len(kept)

    assert driver(co_use()) == 3
    resets = [event.stream_id for event in peer.events if isinstance(event, h2.events.StreamReset)]
    assert 11 in resets  # the one that was given up: streams 1, 3, ... in the order above
    assert conn.renewals == 0


def test_writers_that_wait_for_the_window_of_the_connection():
    """It is shared by all streams: each goes on when it opens."""

    class Late(Peer):
        """A `Peer` that opens the window of the connection when a PING comes, and no sooner."""

        used = 0

        def _follow(self, event):
            if isinstance(event, h2.events.DataReceived):
                self.used += event.flow_controlled_length
                self._coming[event.stream_id].body += event.data
            elif isinstance(event, h2.events.PingReceived) and self.used:
                self.connection.increment_flow_control_window(self.used)
                self.used = 0
            else:
                super()._follow(event)

    def serve(sock):
        peer = Late(initial_window_size=1 << 20)
        sock.sendall(peer.take(b""))
        while wire := sock.recv(65536):
            sock.sendall(peer.take(wire))

    def co_send(exchange):
        yield from exchange.co_write(pattern(60_000))
        yield from exchange.co_finish()

    def co_open_window(conn, exchanges):
        while any(each.body_owed is not None for each in exchanges):
            yield from conn.co_ping()

    with ScriptedServer(serve) as server:
        options = {"versions": ("h2",), "timeout": 60}
        with HTTPConnection("127.0.0.1", server.port, **options) as conn:
            conn.ping()
            exchanges = [conn.send_request("PUT", "/", body=BodyFollowing()) for _ in range(3)]
            run(several([*map(co_send, exchanges), co_open_window(conn, exchanges)], [], 4))
            for exchange in exchanges:
                assert exchange.read_response().status == 200
                assert exchange.read() == b"hello"


def test_a_file_and_calls_of_the_connection(live):
    """`write` of the connection is for the request that was sent last."""
    conn, _ = live
    first = conn.send_request("PUT", "/echo", body=BodyFollowing(1000))
    second = conn.send_request("PUT", "/echo", body=BodyFollowing())
    assert (first.body_owed, second.body_owed, conn.body_owed) == (1000, *[float("inf")] * 2)
    conn.write(b"second")
    assert first.sendfile(io.BytesIO(pattern(900)), 100) == 800
    first.write(pattern(200))
    assert first.body_owed is None
    assert conn.read_response().status == 200
    assert conn.read() == pattern(900)[100:] + pattern(200)
    first.finish()
    first.write(b"")
    conn.finish()
    assert conn.read_response().status == 200
    assert second.read() == b"second"
    with pytest.raises(StateError, match="there is no body to write: .*complete"):
        first.write(b"more")


@pytest.mark.parametrize("driver", DRIVERS)
def test_trailers_of_a_whole_exchange(driver):
    """Those of a body that is read by operations; and a request whose body fails is reset."""

    class Body:
        length = None

        def __init__(self, *pieces):
            self.pieces = [*pieces]

        def co_read(self, size):
            yield from ()
            if self.pieces and self.pieces[0] is None:
                raise ZeroDivisionError
            return self.pieces.pop(0) if self.pieces else b""

        def trailers(self):
            return {"X-Sum": "2"}

    def app(request):
        return Answer(body=request.body, trailers=request.trailers)

    def co_use(conn):
        reply = yield from conn.co_exchange("PUT", "/", None, Body(b"one", b"two"))
        with pytest.raises(ZeroDivisionError):
            yield from conn.co_exchange("PUT", "/", None, Body(b"one", None))
        yield from conn.co_ping()
        return reply.body, reply.trailers["x-sum"], conn.renewals

    with h2_server(app) as server:
        options = {"versions": ("h2",), "timeout": 60}
        with HTTPConnection("127.0.0.1", server.port, **options) as conn:
            assert driver(co_use(conn)) == (b"onetwo", "2", 0)
            events = server.peers[0].events
            resets = [each for each in events if isinstance(each, h2.events.StreamReset)]
            assert [each.stream_id for each in resets] == [3]
