"""Exchanges that are dropped leave nothing behind, without the garbage collector."""

import gc
from weakref import ref

import pytest
from kit.h2_server import Answer
from kit.h2_streams import PeerStream, results_of
from kit.streams import connection, finish

from dugong_like import InvalidOption, StateError, Timeouts
from dugong_like.connection.connection_view import ConnectionView
from dugong_like.connection.files import NotTaken
from dugong_like.connection.h2.response_reader import ResponseReader

BODY = bytes(range(256)) * 200
ANSWERS = {"/empty": Answer(), "/long": Answer(status=404, body=BODY * 20)}


@pytest.fixture
def stream():
    return PeerStream(lambda request: ANSWERS.get(request[":path"], Answer(body=BODY)))


@pytest.fixture
def conn(monkeypatch, stream):
    made = connection(monkeypatch, stream, versions=("h2",), whole_below=400)
    going = made.co_exchange("GET", "/first")
    next(going)
    stream.arrive()
    finish(going)
    yield made
    made.close()


@pytest.fixture
def without_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def send(conn, stream, path="/"):
    exchange = finish(conn.co_send_request("GET", path))
    stream.arrive()
    return exchange


def read_by_the_connection(conn, stream):
    exchange = send(conn, stream)
    finish(conn.co_read_response())
    assert finish(conn.co_readall()) == BODY
    return exchange


def read_in_parts(conn, stream):
    exchange = send(conn, stream)
    finish(conn.co_read_response())
    got = b""
    while part := finish(conn.co_read(1000)):
        got += part
    assert got == BODY
    return exchange


def read_into_memory(conn, stream):
    exchange = send(conn, stream)
    finish(exchange.co_read_response())
    assert finish(exchange.co_readinto(bytearray(len(BODY)))) == len(BODY)
    return exchange


def read_several_that_have_come_together(conn, stream):
    exchanges = [send(conn, stream) for _ in range(3)]
    for _ in exchanges:
        finish(conn.co_read_response())
        assert finish(conn.co_readall()) == BODY
    return exchanges[1]


def read_at_once_what_has_come(conn, stream):
    _, exchange, _ = [send(conn, stream) for _ in range(3)]
    finish(conn.co_read_response())
    finish(conn.co_readall())
    [_, _] = conn._session.take_replies(2)
    return exchange


def beside_another(conn, stream):
    """With time limits that are different for sending and receiving, which needs a reader."""
    conn.timeout = Timeouts(write=10, read=20)
    going = [conn.co_exchange("GET", "/") for _ in range(2)]
    _, exchange = [reply._exchange for reply in results_of(stream, *going)]
    assert exchange.reader is not None
    return exchange


def without_a_body(conn, stream):
    exchange = send(conn, stream, "/empty")
    finish(conn.co_read_response())
    return exchange


def discarded(conn, stream):
    exchange = send(conn, stream)
    finish(conn.co_read_response())
    finish(conn.co_read(10))
    finish(conn.co_discard())
    return exchange


def abandoned_unread(conn, stream):
    exchange = send(conn, stream)
    exchange.abandon()
    return exchange


def abandoned_in_the_middle(conn, stream):
    exchange = send(conn, stream)
    finish(exchange.co_read_response())
    finish(exchange.co_read(10))
    exchange.abandon()
    return exchange


@pytest.mark.usefixtures("without_collector")
@pytest.mark.parametrize(
    "way",
    [
        read_by_the_connection,
        read_in_parts,
        read_into_memory,
        read_several_that_have_come_together,
        read_at_once_what_has_come,
        beside_another,
        without_a_body,
        discarded,
        abandoned_unread,
        abandoned_in_the_middle,
    ],
)
def test_nothing_is_left_of_an_exchange_that_is_dropped(conn, stream, way):
    exchange = way(conn, stream)
    lost = ref(exchange)
    read_by_the_connection(conn, stream)  # the connection keeps the last one

    del exchange

    assert lost() is None


def sent_and_read(view, stream):
    exchange = send(view, stream)
    finish(view.co_read_response())
    finish(view.co_discard())
    return exchange


def sent_and_given_up(view, stream):
    exchange = send(view, stream)
    finish(view.co_read_response())
    return exchange


def left_to_be_read(view, stream):
    [response] = results_of(stream, view.co_exchange("GET", "/long"))
    assert response.body is None
    return response._exchange


@pytest.mark.usefixtures("without_collector")
@pytest.mark.parametrize("way", [sent_and_read, sent_and_given_up, left_to_be_read])
def test_nothing_is_left_of_what_one_user_of_the_connection_has_had(conn, stream, way):
    view = conn.beside(ConnectionView)
    exchange = way(view, stream)
    lost = ref(exchange)

    view.disconnect()
    del exchange, view

    assert lost() is None


def test_a_response_that_is_given_up_while_others_are_taken_together(monkeypatch, conn, stream):
    """As another thread may do it at any time."""
    _, second, third, _ = [send(conn, stream, path) for path in ("/", "/", "/", "/empty")]
    keep_whole = ResponseReader.keep_whole

    def keep_whole_while_another_is_given_up(reader):
        if reader is second.reader:
            third.abandon()
        return keep_whole(reader)

    monkeypatch.setattr(ResponseReader, "keep_whole", keep_whole_while_another_is_given_up)

    for body in (BODY, BODY, b""):
        finish(conn.co_read_response())
        assert finish(conn.co_readall()) == body
    assert third.abandoned
    assert not third.complete


@pytest.mark.parametrize("way", [read_by_the_connection, read_in_parts, discarded])
def test_what_a_complete_exchange_says(conn, stream, way):
    exchange = way(conn, stream)

    assert finish(exchange.co_read(10)) == b""
    assert finish(exchange.co_readall()) == b""
    assert finish(exchange.co_readinto(bytearray(10))) == 0
    finish(exchange.co_discard())
    exchange.update_window(10)
    with pytest.raises(InvalidOption):
        exchange.update_window(0)
    with pytest.raises(StateError, match="has been read") as caught:
        finish(exchange.co_read_response())
    assert caught.value.url.endswith("/")
    exchange.abandon()
    with pytest.raises(StateError, match="is abandoned"):
        finish(exchange.co_read(10))


@pytest.mark.parametrize("way", [abandoned_unread, abandoned_in_the_middle])
def test_what_an_abandoned_exchange_says(conn, stream, way):
    exchange = way(conn, stream)

    exchange.abandon()
    for call in (
        exchange.co_read_response,
        exchange.co_readall,
        exchange.co_discard,
        lambda: exchange.co_read(1),
        lambda: exchange.co_readinto(bytearray(1)),
    ):
        with pytest.raises(StateError, match="is abandoned"):
            finish(call())


def test_an_exchange_has_what_was_taken_before_somebody_asked_for_it(conn, stream):
    """Although it is complete then, as it is after an interruption of `readall`."""
    exchange = send(conn, stream)
    finish(exchange.co_read_response())
    exchange.reader.keep_some()

    assert exchange.complete
    assert finish(exchange.co_read(1000)) == BODY[:1000]
    assert finish(exchange.co_readall()) == BODY[1000:]
    assert finish(exchange.co_readall()) == b""


def test_an_exchange_has_what_a_file_has_not_taken(conn, stream):
    """Although it was complete before."""
    exchange = send(conn, stream)
    finish(exchange.co_read_response())

    class Full:
        failure = OSError("full")

        def write(self, _):
            raise NotTaken

    assert finish(exchange.reader.co_save(Full())) is False
    assert exchange.complete
    assert finish(exchange.co_readall()) == BODY
    assert finish(exchange.co_readall()) == b""
