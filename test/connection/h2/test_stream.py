"""The stream of one exchange over HTTP/2: both halves at once, and ends of all kinds."""

import pytest
from kit.h2_server import Answer, h2_server
from kit.h2_streams import PeerStream, bodies_of, going_on, results_of
from kit.streams import connection, finish

from dugong_like import (
    BodyFollowing,
    ConnectionClosed,
    DugongError,
    HTTPConnection,
    StateError,
    StreamReset,
    both,
    run,
)
from dugong_like.connection.connection_view import ConnectionView
from dugong_like.polling.combinators import own_error


@pytest.mark.feature("A37")
def test_both_directions_at_once(open_to):
    """The response begins, and goes on, while the request is being written."""
    conn, stream = open_to(lambda request: None)
    exchange = going_on(stream, conn.co_send_request("POST", "/", body=BodyFollowing()))
    peer = stream.peer.connection
    peer.send_headers(exchange.stream_id, [(":status", "200")])
    stream.on_the_way += peer.data_to_send()
    assert going_on(stream, exchange.co_read_response()).status == 200
    for number in range(3):
        piece = b"%d" % number

        def co_answered():
            return (yield from exchange.co_read(10))

        reading = co_answered()
        next(reading)
        going_on(stream, conn.co_write(piece))
        peer.send_data(exchange.stream_id, piece * 2)
        stream.on_the_way += peer.data_to_send()
        assert going_on(stream, reading) == piece * 2
    going_on(stream, conn.co_finish())
    peer.end_stream(exchange.stream_id)
    stream.on_the_way += peer.data_to_send()
    assert going_on(stream, exchange.co_readall()) == b""


def test_a_writer_and_a_reader_are_two_operations():
    with (
        h2_server(initial_window_size=10) as server,
        HTTPConnection("127.0.0.1", server.port, versions=("h2",), timeout=20) as conn,
    ):
        conn.ping()  # it has SETTINGS then
        exchange = conn.send_request("PUT", "/echo", body=BodyFollowing())

        def co_write():
            for _ in range(5):
                yield from conn.co_write(b"x" * 30)
            yield from conn.co_finish()

        def co_read():
            yield from exchange.co_read_response()
            return (yield from exchange.co_readall())

        assert run(both(co_write(), co_read()))[1] == b"x" * 150


def test_a_stream_that_is_reset(open_to):
    conn, stream = open_to()
    with pytest.raises(StreamReset, match="GET http://script.test/reset/2: ") as failure:
        going_on(stream, conn.co_exchange("GET", "/reset/2"))
    assert (failure.value.code, failure.value.request_sent) == (2, "yes")
    assert failure.value.retryable
    exchange = going_on(stream, conn.co_send_request("GET", "/reset/8"))
    assert going_on(stream, exchange.co_read_response()).status == 200
    with pytest.raises(StreamReset):
        going_on(stream, exchange.co_readall())
    assert not conn.response_pending()
    assert bodies_of(stream, conn.co_exchange("GET", "/")) == [b"hello"]
    assert conn.renewals == 0


def test_a_stream_that_is_refused(open_to):
    conn, stream = open_to(lambda request: None)
    going = conn.co_exchange("GET", "/")
    next(going)
    peer = stream.peer.connection
    peer.reset_stream(1, 7)
    stream.on_the_way += peer.data_to_send()
    with pytest.raises(StreamReset) as failure:
        going_on(stream, going)
    assert (failure.value.request_sent, failure.value.retryable) == ("no", True)


def test_an_exchange_that_is_given_up_resets_its_stream(open_to):
    conn, stream = open_to(lambda request: None)
    going = conn.co_exchange("GET", "/")
    next(going)
    going.close()
    stream.on_the_way = b""
    assert [event.error_code for event in stream.peer.events if hasattr(event, "error_code")] == [8]
    assert conn.is_reusable()


def test_an_exchange_that_is_abandoned(open_to):
    conn, stream = open_to()
    exchange = going_on(stream, conn.co_send_request("GET", "/bytes/100"))
    reading = exchange.co_read_response()
    next(reading)
    exchange.abandon()
    with pytest.raises(StateError, match="is abandoned"):
        next(reading)
    with pytest.raises(StateError, match="is abandoned"):
        finish(exchange.co_read())
    assert not conn.response_pending()
    going_on(stream, conn.co_send_request("GET", "/bytes/3"))
    assert going_on(stream, conn.co_read_response()).length == 3


def test_goaway_of_what_was_not_processed_goes_to_the_next_connection(monkeypatch):
    first, second = PeerStream(), PeerStream()
    conn = connection(monkeypatch, first, second, versions=("h2",))
    assert bodies_of(first, conn.co_exchange("GET", "/")) == [b"hello"]
    going = conn.co_exchange("GET", "/bytes/3")
    next(going)
    first.on_the_way = b""
    first.peer.connection.close_connection(last_stream_id=1)
    first.on_the_way += first.peer.connection.data_to_send()
    first.arrive()
    next(going)
    assert bodies_of(second, going) == [b"\0\1\2"]
    assert conn.renewals == 1
    assert first.closed
    conn.close()


# ---- one that is given up by another operation before it is open


@pytest.fixture
def crowded(open_to):
    """Return a connection without room for another stream, a view of it, and its stream."""
    never = lambda request: None if request[":path"] == "/never" else Answer(body=b"hello")  # noqa: E731
    conn, stream = open_to(never, settings={"max_concurrent_streams": 1})
    return conn, going_on(stream, conn.co_send_request("GET", "/never")), stream


WAYS = {
    "without a body": lambda view: view.co_send_request("GET", "/lost"),
    "with a body": lambda view: view.co_send_request("PUT", "/lost", None, b"body"),
    "with one that follows": lambda view: view.co_send_request(
        "PUT", "/lost", None, BodyFollowing()
    ),
    "several": lambda view: view.co_send_requests([("GET", "/lost"), ("GET", "/lost")]),
}


@pytest.mark.parametrize("follows", [False, True])
@pytest.mark.parametrize("reads", [False, True])
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_request_that_is_given_up_before_there_is_room_is_not_sent(crowded, way, reads, follows):
    """Its sender ends, whether it leads or follows, and so does its reader."""
    conn, other, stream = crowded
    leading = other.co_read_response()
    if follows:
        next(leading)
    view = conn.beside(ConnectionView)
    going = [own_error(each, DugongError) for each in (way(view), view.co_read_response())]
    del going[1 + reads :]
    needs = [next(each) for each in going]

    view.disconnect()

    failures = results_of(stream, *going, needs=needs)
    assert [type(each) for each in failures] == [ConnectionClosed] * (1 + reads)
    assert failures[0].request_sent == "no"
    assert not view.response_pending()
    leading.close()
    other.abandon()
    assert bodies_of(stream, conn.co_exchange("GET", "/")) == [b"hello"]
    assert [request[":path"] for request in stream.peer.requests] == ["/never", "/"]
    assert conn.is_reusable()
