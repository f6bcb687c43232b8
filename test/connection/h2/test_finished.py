"""Exchanges that are dropped leave nothing behind, without the garbage collector."""

import gc
import io
from weakref import ref

import pytest
from kit.h2_server import Answer
from kit.h2_streams import PeerStream, answer_early, results_of
from kit.streams import connection, finish

from dugong_like import (
    AnsweredEarly,
    BodyFollowing,
    ExcessBodyData,
    InvalidOption,
    StateError,
    StreamReset,
    Timeouts,
)
from dugong_like.connection.connection_view import ConnectionView
from dugong_like.connection.files import NotTaken
from dugong_like.connection.h2.response_reader import ResponseReader
from dugong_like.http.header_validation import FieldLines

BODY = bytes(range(256)) * 200
ANSWERS = {"/empty": Answer(), "/long": Answer(status=404, body=BODY * 20), "/never": None}


@pytest.fixture
def stream():
    return PeerStream(
        lambda request: ANSWERS.get(request[":path"], Answer(body=BODY)),
        enable_connect_protocol=1,
    )


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


def begin_upload(conn, length=None):
    return finish(conn.co_send_request("PUT", "/", None, BodyFollowing(length)))


def co_read_all(exchange):
    yield from exchange.co_read_response()
    yield from exchange.co_readall()


def uploaded_by_the_connection(conn, stream):
    exchange = begin_upload(conn)
    finish(conn.co_write(b"abc"))
    finish(conn.co_finish({"x": "y"}))
    results_of(stream, co_read_all(exchange))
    return exchange


def uploaded_by_the_exchange(conn, stream):
    exchange = begin_upload(conn, 3)
    finish(exchange.co_write(b"abc"))
    results_of(stream, co_read_all(exchange))
    return exchange


def upload_given_up(conn, stream):
    exchange = begin_upload(conn)
    conn.abort_body(exchange)
    return exchange


def upload_that_is_too_long(conn, stream):
    exchange = begin_upload(conn, 3)
    with pytest.raises(ExcessBodyData):
        finish(exchange.co_write(b"abcd"))
    return exchange


def upload_closed_in_the_middle(conn, stream):
    exchange = begin_upload(conn)
    stream.room = 0
    writing = exchange.co_write(b"abc")
    next(writing)
    writing.close()
    stream.room = 1 << 30
    return exchange


def upload_answered_early(conn, stream):
    exchange = finish(conn.co_send_request("PUT", "/never", None, BodyFollowing()))
    answer_early(stream, exchange, reset=True)
    conn.is_open()
    with pytest.raises(AnsweredEarly):
        finish(exchange.co_write(b"abc"))
    results_of(stream, co_read_all(exchange))
    return exchange


def reset_by_the_server(conn, stream):
    exchange = send(conn, stream, "/never")
    stream.peer.connection.reset_stream(exchange.stream_id, 2)
    stream.on_the_way += stream.peer.connection.data_to_send()
    for _ in range(2):  # it has failed for good
        with pytest.raises(StreamReset):
            results_of(stream, exchange.co_read_response())
    return exchange


def reset_in_the_middle(conn, stream):
    exchange = send(conn, stream, "/never")
    peer = stream.peer.connection
    peer.send_headers(exchange.stream_id, [(":status", "200")])
    peer.send_data(exchange.stream_id, b"abc")
    peer.reset_stream(exchange.stream_id, 2)
    stream.on_the_way += peer.data_to_send()
    results_of(stream, exchange.co_read_response())
    assert results_of(stream, exchange.co_read(10)) == [b"abc"]
    for _ in range(2):
        with pytest.raises(StreamReset):
            results_of(stream, exchange.co_readall())
    return exchange


def request_that_fails(conn, stream):
    stream.room = 0
    sending = conn.co_send_request("GET", "/")
    next(sending)
    (exchange,) = conn._session._pending
    sending.close()
    stream.room = 1 << 30
    return exchange


def whole_exchange_that_fails(conn, stream, body=None):
    going = conn.co_exchange("PUT", "/never", None, body)
    exchange = going.gi_frame.f_locals["exchange"]
    next(going)
    going.close()
    return exchange


def whole_exchange_with_a_body_that_fails(conn, stream):
    return whole_exchange_that_fails(conn, stream, b"abc")


def whole_exchange_that_is_reset(conn, stream):
    going = conn.co_exchange("GET", "/never")
    exchange = going.gi_frame.f_locals["exchange"]
    next(going)
    stream.peer.connection.reset_stream(exchange.stream_id, 2)
    stream.on_the_way += stream.peer.connection.data_to_send()
    with pytest.raises(StreamReset):
        results_of(stream, going)
    return exchange


def whole_exchange_from_a_source(conn, stream):
    going = conn.co_exchange("PUT", "/", None, iter([b"abc", b"def"]))
    [reply] = results_of(stream, going)
    return reply._exchange


def open_tunnel(conn, stream):
    view = conn.beside(ConnectionView)
    going = view.co_tunnel("websocket", "/", FieldLines([]))
    need = next(going)
    [inner] = conn._session.shared.pump.engine.streams
    stream.peer.connection.send_headers(inner.id, [(":status", "200")])
    stream.on_the_way += stream.peer.connection.data_to_send()
    [(response, tunnel)] = results_of(stream, going, needs=[need])
    tunnel.close()
    return response._exchange


@pytest.mark.usefixtures("without_collector")
@pytest.mark.parametrize(
    "way",
    [
        uploaded_by_the_connection,
        uploaded_by_the_exchange,
        upload_given_up,
        upload_that_is_too_long,
        upload_closed_in_the_middle,
        upload_answered_early,
        reset_by_the_server,
        reset_in_the_middle,
        request_that_fails,
        whole_exchange_that_fails,
        whole_exchange_with_a_body_that_fails,
        whole_exchange_that_is_reset,
        whole_exchange_from_a_source,
        open_tunnel,
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


@pytest.mark.parametrize("way", ["abort", "excess"])
def test_a_complete_response_is_kept_when_its_request_is_given_up(conn, stream, way):
    """Else the rest of its body would seem to be empty."""
    exchange = finish(conn.co_send_request("PUT", "/never", None, BodyFollowing(1)))
    answer_early(stream, exchange, reset=False)
    finish(exchange.co_read_response())
    exchange.reader.keep_some()
    assert exchange.complete

    if way == "abort":
        conn.abort_body(exchange)
    else:
        with pytest.raises(ExcessBodyData):
            finish(exchange.co_write(b"ab"))

    assert exchange.body_owed is None
    assert finish(exchange.co_read(1)) == b"n"
    assert finish(exchange.co_readall()) == b"o"
    assert finish(exchange.co_readall()) == b""


class Content:
    """A file whose size nobody knows before it is read."""

    def __init__(self, *parts):
        self._parts = [*parts]

    def read(self, _):
        part = self._parts.pop(0) if self._parts else b""
        if isinstance(part, Exception):
            raise part
        return part


def test_what_a_complete_body_says(conn, stream):
    for length in (0, 3):
        exchange = begin_upload(conn, length)
        finish(exchange.co_write(bytes(length)))
        assert exchange.body_owed is None
        finish(exchange.co_write(b""))
        finish(exchange.co_finish())
        conn.abort_body(exchange)
        assert finish(exchange.co_sendfile(Content())) == 0
        assert finish(exchange.co_sendfile(io.BytesIO())) == 0
        with pytest.raises(OSError, match="bad"):
            finish(exchange.co_sendfile(Content(OSError("bad"))))
        for going in (
            exchange.co_write(b"x"),
            exchange.co_finish({"x": "y"}),
            exchange.co_sendfile(Content(b"x")),
            exchange.co_sendfile(io.BytesIO(b"x")),
        ):
            with pytest.raises(StateError, match="that of the last request is complete") as caught:
                finish(going)
            assert caught.value.url.endswith("/")
        results_of(stream, co_read_all(exchange))


def test_what_a_body_says_that_was_given_up(conn, stream):
    exchange = upload_given_up(conn, stream)

    for going in (exchange.co_write(b""), exchange.co_write(b"x"), exchange.co_finish()):
        with pytest.raises(StateError, match="PUT http://script.test/: .* was given up"):
            finish(going)
    assert conn.is_reusable()


@pytest.mark.parametrize("way", [reset_by_the_server, reset_in_the_middle])
def test_what_a_failed_exchange_says(conn, stream, way):
    exchange = way(conn, stream)

    for call in (exchange.co_read_response, exchange.co_readall, exchange.co_discard):
        with pytest.raises(StreamReset, match="GET http://script.test/never: ") as caught:
            finish(call())
        sent = "maybe" if exchange.final is None else "yes"
        assert (caught.value.code, caught.value.request_sent) == (2, sent)
    exchange.update_window(10)
    exchange.abandon()
    with pytest.raises(StateError, match="is abandoned"):
        finish(exchange.co_read(10))


def test_a_writer_hears_why_the_reader_has_failed(conn, stream):
    exchange = finish(conn.co_send_request("PUT", "/never", None, BodyFollowing()))
    stream.peer.connection.reset_stream(exchange.stream_id, 2)
    stream.on_the_way += stream.peer.connection.data_to_send()
    with pytest.raises(StreamReset):
        results_of(stream, exchange.co_read_response())

    for going in (exchange.co_write(b"x"), exchange.co_finish()):
        with pytest.raises(StreamReset, match="PUT http://script.test/never: ") as caught:
            finish(going)
        assert caught.value.code == 2
