"""One request and its response over HTTP/2: bodies both ways, ends of all kinds, and limits."""

import io
import tempfile
import tracemalloc
from contextlib import ExitStack, suppress

import h2.events
import pytest
from kit.h2_server import Answer, h2_server
from kit.h2_site import h2_site
from kit.h2_streams import PeerStream, bodies_of, results_of
from kit.steps import PACKAGE, Steps
from kit.streams import connection, finish
from kit.support import pattern

from dugong_like import (
    AnsweredEarly,
    BodyFollowing,
    BodyTooLarge,
    Budget,
    ConnectionTimedOut,
    ContinueTimedOut,
    DugongError,
    ExcessBodyData,
    H2Options,
    HTTPConnection,
    InvalidRequest,
    StateError,
    StreamReset,
    Timeouts,
    both,
    run,
)
from dugong_like.connection.connection_view import ConnectionView
from dugong_like.connection.h2 import limits

END = [("content-length", "2")]


@pytest.fixture
def open_to(monkeypatch):
    """Return a function that makes a connection to an app, without a socket."""
    with ExitStack() as stack:

        def make(app=None, *, settings=None, **options):
            arguments = () if app is None else (app,)
            stream = PeerStream(*arguments, **settings or {})
            options = {"versions": ("h2",), **options}
            conn = stack.enter_context(connection(monkeypatch, stream, **options))
            finish(conn.co_connect())
            for _ in range(3):
                stream.arrive()
                conn.is_open()  # takes SETTINGS
            return conn, stream

        yield make


@pytest.fixture
def site():
    with h2_site() as server:
        options = {"versions": ("h2",), "timeout": 20}
        with HTTPConnection("127.0.0.1", server.port, **options) as conn:
            yield conn


def going_on(stream, *operations):
    results = results_of(stream, *operations)
    return results if len(operations) > 1 else results[0]


# ---- requests


@pytest.mark.parametrize("length", [None, 300_000])
def test_a_body_that_follows(site, length):
    exchange = site.send_request("PUT", "/echo", body=BodyFollowing(length))
    assert site.body_owed == (float("inf") if length is None else length)
    for _ in range(3):
        site.write(pattern(100_000))
    if length is None:
        site.finish({"X-Trailer": "yes", "x-other": "1"})
    assert site.body_owed is None
    site.finish()  # does nothing any more
    response = exchange.read_response()
    assert exchange.readall() == pattern(100_000) * 3
    expected = [("x-trailer", "yes"), ("x-other", "1")] if length is None else []
    assert response.trailer_pairs() == expected


def test_trailers_end_a_body_without_a_length(site):
    site.send_request("PUT", "/echo", body=BodyFollowing())
    site.finish({"X-Trailer": "yes"})
    response = site.read_response()
    assert (site.read(), response.trailer_pairs()) == (b"", [("x-trailer", "yes")])


def test_small_windows_of_the_server():
    with (
        h2_server(initial_window_size=7) as server,
        HTTPConnection("127.0.0.1", server.port, versions=("h2",), timeout=20) as conn,
    ):
        conn.ping()  # before it has SETTINGS it may send more, which this server does not know
        assert conn.exchange("PUT", "/echo", None, pattern(500)).body == pattern(500)
        conn.send_request("PUT", "/echo", body=BodyFollowing(500))
        conn.write(pattern(500))
        conn.read_response()
        assert conn.readall() == pattern(500)


@pytest.mark.parametrize("auto", [True, False])
def test_small_windows_of_ours(auto):
    options = H2Options(stream_window=1000, max_stream_window=1000, window_update_threshold=1)
    with (
        h2_server() as server,
        HTTPConnection(
            "127.0.0.1", server.port, versions=("h2",), http2=options if auto else None, timeout=20
        ) as conn,
    ):
        assert conn.exchange("GET", "/bytes/100000").body == pattern(100_000)


def test_more_than_announced_resets_the_stream_only(open_to):
    conn, stream = open_to()
    going_on(stream, conn.co_send_request("PUT", "/echo", body=BodyFollowing(3)))
    with pytest.raises(ExcessBodyData, match="PUT http://script.test/echo: 4 bytes of body data"):
        finish(conn.co_write(b"1234"))
    with pytest.raises(StateError, match="no body to write"):
        finish(conn.co_write(b"1"))
    assert bodies_of(stream, conn.co_exchange("GET", "/")) == [b"hello"]
    assert conn.renewals == 0


def test_less_than_announced_resets_the_stream_only(open_to):
    conn, stream = open_to()
    going_on(stream, conn.co_send_request("PUT", "/echo", body=BodyFollowing(3)))
    with pytest.raises(StateError, match="3 bytes are missing"):
        finish(conn.co_finish())
    assert bodies_of(stream, conn.co_exchange("GET", "/")) == [b"hello"]


def test_the_thread_that_owes_the_body_does_not_wait_for_the_response(site):
    site.send_request("PUT", "/echo", body=BodyFollowing(3))
    with pytest.raises(StateError, match="0 of 3 bytes of the body written"):
        site.read_response()
    site.write(b"abc")
    assert site.read_response().status == 200
    assert site.read() == b"abc"


def test_an_upload_that_is_given_up_resets_the_stream_only(open_to):
    conn, stream = open_to()
    exchange = going_on(stream, conn.co_send_request("PUT", "/echo", body=BodyFollowing()))
    conn.abort_body(exchange)
    assert bodies_of(stream, conn.co_exchange("GET", "/")) == [b"hello"]
    assert [type(event).__name__ for event in stream.peer.events].count("StreamReset") == 1


def test_a_write_that_is_interrupted_resets_the_stream_only(open_to):
    conn, stream = open_to()
    going_on(stream, conn.co_send_request("PUT", "/echo", body=BodyFollowing()))
    stream.room = 0
    data = bytearray(b"x" * 50_000)
    writing = conn.co_write(data)
    next(writing)
    writing.close()
    data[:] = b"y" * 50_000  # which are the caller's again
    stream.room = 1 << 20
    assert bodies_of(stream, conn.co_exchange("GET", "/")) == [b"hello"]
    sent = [event for event in stream.peer.events if type(event).__name__ == "DataReceived"]
    assert {bytes(event.data)[:1] for event in sent} == {b"x"}


@pytest.mark.parametrize("fields", [{"Connection": "close"}, {"Upgrade": "websocket"}])
def test_what_only_http_1_has(site, fields):
    with pytest.raises(InvalidRequest, match=r"GET http://.*/: .* HTTP/1 connections"):
        site.send_request("GET", "/", fields)
    with pytest.raises(InvalidRequest, match="HTTP/1 connections"):
        site.exchange("GET", "/", fields)
    with pytest.raises(InvalidRequest, match=r"over HTTP/1\.1 only"):
        site.send_request("CONNECT", "127.0.0.1:1")
    with pytest.raises(StateError, match=r"read_raw\(\) goes with HTTP/1.1 only"):
        site.read_raw(1)
    assert site.exchange("GET", "/").body == b"hello"


# ---- responses


def test_every_way_to_read(site):
    buffer = bytearray(70_000)
    for size in (0, 100, 70_000):
        site.send_requests([("GET", f"/bytes/{size}")] * 5)
        site.read_response()
        assert site.readall() == pattern(size)
        site.read_response()
        read = b""
        while piece := site.read(999):
            read += piece
        assert read == pattern(size)
        site.read_response()
        count, at = 1, 0
        while count:
            count = site.readinto(memoryview(buffer)[at : at + 999])
            at += count
        assert buffer[:at] == pattern(size)
        site.read_response()
        site.discard()
        assert site.read() == b""
        site.read_response()
        file = io.BytesIO()
        assert site.recv_to_file(file) == size
        assert file.getvalue() == pattern(size)
        assert not site.response_pending()


def test_the_last_body_comes_before_the_next_response(site):
    site.send_requests([("GET", "/bytes/10"), ("GET", "/")])
    site.read_response()
    with pytest.raises(StateError, match="has not been read to its end"):
        site.read_response()
    site.read()
    assert site.read_response().status == 200
    assert site.read() == b"hello"
    with pytest.raises(StateError, match="no response is pending"):
        site.read_response()


def test_head_has_no_body(site):
    response = site.exchange("HEAD", "/bytes/100")
    assert (response.body, response.field("content-length")) == (b"", "100")
    site.send_request("HEAD", "/bytes/100")
    assert (site.read_response().length, site.read()) == (0, b"")


@pytest.mark.parametrize("max_body", [None, 1000])
def test_a_reply_has_all_that_a_response_has(open_to, max_body):
    budget = None if max_body is None else Budget(max_body=max_body)
    app = lambda request: Answer(fields=[("x-a", "b")], body=b"xy", trailers=[("x-t", "1")])  # noqa: E731
    conn, stream = open_to(app, budget=budget)
    (reply,) = results_of(stream, conn.co_exchange("GET", "/"))
    assert (reply.status, reply.reason, reply.body, reply.length) == (200, "", b"xy", 2)
    assert (reply.field("X-A"), reply.trailer_pairs()) == ("b", [("x-t", "1")])
    assert (reply.http_version, reply.stream_id) == ("2", 1)


def test_interim_responses():
    told = []
    answer = Answer(body=b"x", informational=[[(":status", "103"), ("link", "</a>")]] * 2)
    with (
        h2_server(lambda request: answer) as server,
        HTTPConnection(
            "127.0.0.1", server.port, versions=("h2",), on_informational=told.append, timeout=20
        ) as conn,
    ):
        reply = conn.exchange("GET", "/")
        assert [each.status for each in reply.informational] == [103, 103]
        assert reply.informational[0].field("Link") == "</a>"
        assert told == [*reply.informational]
        assert reply.body == b"x"


def test_the_body_waits_for_100(site):
    site.send_request("PUT", "/echo", body=BodyFollowing(2), expect100=True)
    with pytest.raises(StateError, match=r"has to wait for 100 \(Continue\)"):
        site.write(b"ab")
    assert site.read_response().status == 100
    site.write(b"ab")
    assert (site.read_response().status, site.read()) == (200, b"ab")


def test_no_100_in_time():
    with (
        h2_server() as server,
        HTTPConnection(
            "127.0.0.1", server.port, versions=("h2",), expect100_timeout=0.01, timeout=20
        ) as conn,
    ):
        conn.send_request("PUT", "/echo", body=BodyFollowing(2), expect100=True)
        with pytest.raises(ContinueTimedOut):
            conn.read_response()
        conn.write(b"ab")
        assert (conn.read_response().status, conn.read()) == (200, b"ab")


def early(stream, exchange, *, reset):
    """Let the server answer before it has the whole request, and perhaps want no more of it."""
    peer = stream.peer.connection
    peer.send_headers(exchange.stream_id, [(":status", "413"), *END])
    peer.send_data(exchange.stream_id, b"no", end_stream=True)
    if reset:
        peer.reset_stream(exchange.stream_id, 0)
    stream.on_the_way += peer.data_to_send()
    stream.arrive()


@pytest.mark.parametrize("reset", [True, False])
@pytest.mark.parametrize("blocked", [True, False])
def test_early_final_response(open_to, reset, blocked):
    conn, stream = open_to(settings={"initial_window_size": 10})
    exchange = going_on(stream, conn.co_send_request("PUT", "/", body=BodyFollowing()))
    writing = conn.co_write(b"x" * 100)
    if blocked:
        stream.peer.connection.increment_flow_control_window = lambda *_: None
        next(writing)
    early(stream, exchange, reset=reset)
    if not blocked:
        conn.is_open()
    with pytest.raises(AnsweredEarly, match="answered 413 before the request") as failure:
        going_on(stream, writing)
    assert failure.value.response.status == 413
    assert conn.body_owed is None
    assert going_on(stream, conn.co_read_response()).status == 413
    assert going_on(stream, conn.co_readall()) == b"no"
    assert bodies_of(stream, conn.co_exchange("GET", "/")) == [b"hello"]


def test_early_final_response_is_the_reply(open_to):
    conn, stream = open_to(settings={"initial_window_size": 10})
    stream.peer.connection.increment_flow_control_window = lambda *_: None
    going = conn.co_exchange("PUT", "/", None, b"x" * 100)
    exchange = going.gi_frame.f_locals["exchange"]
    while exchange.stream_id is None:
        next(going)
    early(stream, exchange, reset=True)
    reply = going_on(stream, going)
    assert (reply.status, reply.body) == (413, b"no")


def test_early_final_response_that_is_read_while_another_operation_writes(open_to):
    """Nobody goes on with the stream then, and it leaves room for others."""
    conn, stream = open_to(settings={"initial_window_size": 10, "max_concurrent_streams": 1})
    stream.peer.connection.increment_flow_control_window = lambda *_: None
    exchange = going_on(stream, conn.co_send_request("PUT", "/", body=BodyFollowing()))

    def co_read():
        yield from exchange.co_read_response()
        return (yield from exchange.co_readall())

    reading, writing = co_read(), conn.co_write(b"x" * 100)
    next(reading)
    next(writing)
    early(stream, exchange, reset=False)
    assert finish(reading) == b"no"
    with pytest.raises(AnsweredEarly):
        finish(writing)
    assert conn.is_reusable()
    going_on(stream, conn.co_ping())
    assert [event.error_code for event in stream.peer.events if hasattr(event, "error_code")] == [0]
    assert bodies_of(stream, conn.co_exchange("GET", "/")) == [b"hello"]


ENDS = {
    "early": lambda stream, exchange: early(stream, exchange, reset=False),
    "early, reset": lambda stream, exchange: early(stream, exchange, reset=True),
    "reset": lambda stream, exchange: stream.peer.connection.reset_stream(exchange.stream_id, 8),
    "closed": lambda stream, _: stream.end(),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
@pytest.mark.parametrize(("way", "window"), [
    ("exchange", 3000), ("exchange", 10_000), ("batch", 3000), ("batch", 10_000), ("steps", 3000),
])  # fmt: skip
def test_memory_of_a_body_is_the_callers_again_at_the_end(open_to, end, way, window):
    """Also if it was not sent yet: what is queued is sent as it was."""
    conn, stream = open_to(lambda request: None, settings={"initial_window_size": window})
    stream.peer.connection.increment_flow_control_window = lambda *_: None
    body = bytearray(b"a" * 5000)
    with ExitStack() as stack:
        if way == "exchange":
            going = conn.co_exchange("PUT", "/", None, body)
            exchange = going.gi_frame.f_locals["exchange"]
        elif way == "steps":
            exchange = finish(conn.co_send_request("PUT", "/", body=BodyFollowing()))
            going = conn.co_write(body)
        else:
            batch = conn.beside(ConnectionView).rolling_batch()
            stack.callback(batch.end)
            exchange = batch.add("PUT", "/", None, body)
            going = batch.co_some()
        stream.room = 500
        while stream.room or exchange.stream_id is None:
            next(going)
        end(stream, exchange)
        stream.on_the_way += stream.peer.connection.data_to_send()
        stream.arrive()
        with suppress(DugongError):
            finish(going)

        body[:] = b"b" * 5000
        body.clear()  # not possible as long as something has it

    stream.room = 1 << 20
    conn.is_open()
    data = [each.data for each in stream.peer.events if hasattr(each, "flow_controlled_length")]
    assert set(b"".join(data)) <= {ord("a")}


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


# ---- ends


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


def test_an_interrupted_reader_loses_nothing(open_to):
    conn, stream = open_to()
    going_on(stream, conn.co_send_request("GET", "/bytes/400000"))
    reading = conn.co_read_response()
    next(reading)
    reading.close()
    stream.arrive()
    assert going_on(stream, conn.co_read_response()).status == 200
    reading = conn.co_readall()
    next(reading)
    reading.close()
    with tempfile.TemporaryFile() as file:
        file.write(going_on(stream, conn.co_read(10)))
        saving = conn.co_recv_to_file(file)
        next(saving, None)
        saving.close()
        going_on(stream, conn.co_recv_to_file(file))
        file.seek(0)
        assert file.read() == pattern(400_000)


def test_content_of_many_frames_is_moved_at_once(open_to):
    """One section, one window update, and one call of the system, however small the frames are."""
    conn, stream = open_to()
    going_on(stream, conn.co_send_request("GET", "/bytes/200000"))
    assert going_on(stream, conn.co_read_response()).length == 200000
    buffer = bytearray(1 << 20)
    with Steps(of=PACKAGE) as steps:
        count = going_on(stream, conn.co_readinto(buffer))
    assert bytes(buffer[:200000]) == bytes(n % 251 for n in range(200000))
    assert count == 200000
    assert steps.codes <= 600, steps.codes


def test_a_body_that_has_come_before_its_turn_is_not_copied_for_each_part(open_to):
    """It is here as a whole, and read in many parts."""
    conn, stream = open_to(
        lambda request: Answer(body=pattern(4_000_000)),
        http2=H2Options(stream_window=8_000_000, max_stream_window=8_000_000),
    )
    going_on(stream, conn.co_send_request("GET", "/"))
    for _ in range(200):
        stream.arrive()
        conn.is_open()  # which receives it
    assert going_on(stream, conn.co_read_response()).status == 200
    assert conn._session.receiver.reader.is_here
    tracemalloc.start()
    try:
        parts = [going_on(stream, conn.co_read(1000)) for _ in range(10)]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert b"".join(parts) == pattern(10_000)
    assert peak < 1_000_000
    assert going_on(stream, conn.co_readall()) == pattern(4_000_000)[10_000:]


def test_reads_cross_frames(open_to):
    conn, stream = open_to(budget=Budget(max_body=100000))
    going_on(stream, conn.co_send_request("GET", "/bytes/100000"))
    going_on(stream, conn.co_read_response())
    whole = bytes(n % 251 for n in range(100000))
    buffer = bytearray(40000)
    assert going_on(stream, conn.co_read(10)) == whole[:10]
    assert going_on(stream, conn.co_readinto(buffer)) == 40000
    assert buffer == whole[10:40010]
    assert going_on(stream, conn.co_read(0)) == b""
    assert going_on(stream, conn.co_readinto(bytearray())) == 0
    assert going_on(stream, conn.co_read(50000)) == whole[40010:90010]
    assert going_on(stream, conn.co_readall()) == whole[90010:]
    assert going_on(stream, conn.co_read(10)) == b""


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


# ---- limits


def test_limit_of_the_body(open_to):
    conn, stream = open_to(budget=Budget(max_body=100))
    assert bodies_of(stream, conn.co_exchange("GET", "/bytes/100")) == [pattern(100)]
    with pytest.raises(BodyTooLarge, match="more than the 100 bytes"):
        going_on(stream, conn.co_exchange("GET", "/bytes/101"))
    exchange = going_on(stream, conn.co_send_request("GET", "/echo", body=b"x" * 150))
    going_on(stream, exchange.co_read_response())
    assert going_on(stream, exchange.co_read(1000)) == b"x" * 100
    with pytest.raises(BodyTooLarge):
        going_on(stream, exchange.co_read(1000))
    going_on(stream, exchange.co_discard())
    assert conn.renewals == 0


@pytest.mark.parametrize(
    ("timeouts", "phase", "seconds"),
    [
        (Timeouts(head=3, stall=9), "head", 3),
        (Timeouts(read=4), "read", 4),
        (Timeouts(stall=5), "read", 5),
    ],
)
def test_time_limits_of_a_response(open_to, monkeypatch, timeouts, phase, seconds):
    conn, stream = open_to(lambda request: None, timeout=timeouts)
    now = 1000.0
    monkeypatch.setattr(limits.time, "monotonic", lambda: now)
    going = conn.co_exchange("GET", "/")
    assert next(going).deadline == now + seconds
    now += seconds
    with pytest.raises(ConnectionTimedOut) as failure:
        next(going)
    assert (failure.value.phase, failure.value.request_sent) == (phase, "maybe")
    exchange = going_on(stream, conn.co_send_request("GET", "/"))
    reading = exchange.co_read_response()
    assert next(reading).deadline == now + seconds
    now += seconds
    with pytest.raises(ConnectionTimedOut):
        next(reading)
    assert conn.is_open()


@pytest.mark.parametrize("way", ["steps", "exchange", "batch"])
@pytest.mark.parametrize("body", [None, b"body"])
def test_time_limit_of_a_request_that_cannot_leave(open_to, monkeypatch, way, body):
    """It may leave later, as it is queued, so it must not be sent again as if it had not."""
    conn, stream = open_to(timeout=Timeouts(write=3, stall=3))
    now = 1000.0
    monkeypatch.setattr(limits.time, "monotonic", lambda: now)
    stream.room = 0
    with ExitStack() as stack:
        if way == "steps":
            sending = conn.co_send_request("POST", "/late", None, body)
        elif way == "exchange":
            sending = conn.co_exchange("POST", "/late", None, body)
        else:
            batch = conn.beside(ConnectionView).rolling_batch()
            stack.callback(batch.end)
            batch.add("POST", "/late", None, body)
            sending = batch.co_some()
        assert until_it_is_late(sending) == 1003
        now = 1003.0
        try:
            for (outcome,) in results_of(stream, sending):
                raise outcome.error
        except ConnectionTimedOut as late:
            assert (late.phase, late.request_sent) == ("write" if body else late.phase, "maybe")
        else:
            raise AssertionError("it is not late")
    assert not conn.response_pending()
    stream.room = 1 << 20
    assert bodies_of(stream, conn.co_exchange("GET", "/next")) == [b"hello"]
    assert [request[":path"] for request in stream.peer.requests] == ["/late", "/next"]


def until_it_is_late(operation):
    """Return the deadline of an operation that waits for the socket."""
    while (need := next(operation))[0] < PeerStream.fd:
        pass
    return need.deadline


@pytest.mark.parametrize(
    "send",
    [
        lambda conn: conn.co_send_request("GET", "/"),
        lambda conn: conn.co_send_requests([("GET", "/"), ("GET", "/")]),
        lambda conn: conn.co_exchange("GET", "/"),
        lambda conn: conn.co_exchange("PUT", "/", None, b"body"),
    ],
    ids=["one", "several", "exchange", "exchange with a body"],
)
def test_time_limit_of_a_request_without_room(open_to, monkeypatch, send):
    """Its message says how many streams take the room, and that their bodies are not read."""
    conn, stream = open_to(
        lambda request: Answer(body=pattern(2000)),
        settings={"max_concurrent_streams": 2},
        http2=H2Options(stream_window=1000, max_stream_window=1000),
        timeout=3,
    )
    for _ in range(2):
        exchange = going_on(stream, conn.co_send_request("GET", "/"))
        going_on(stream, exchange.co_read_response())
    now = limits.time.monotonic()
    monkeypatch.setattr(limits.time, "monotonic", lambda: now)
    sending = send(conn)
    now = next(sending).deadline
    with pytest.raises(ConnectionTimedOut) as failure:
        next(sending)
    assert "no stream could be opened for 3 s (timeout=3), 2 of 2 that are" in str(failure.value)
    assert "2 of them with a body that nobody reads on" in str(failure.value)
    assert (failure.value.phase, failure.value.request_sent) == ("write", "no")


def test_total_limit(open_to):
    conn, _ = open_to(lambda request: None, timeout=Timeouts(total=0))
    with pytest.raises(ConnectionTimedOut) as failure:
        finish(conn.co_exchange("GET", "/"))
    assert failure.value.phase == "total"


def test_time_limit_from_outside_says_that_the_request_may_have_been_processed(open_to):
    """It has its label already, as that of a client has, which is about several exchanges."""
    conn, _ = open_to(lambda _: None)
    for going in (conn.co_exchange("POST", "/", None, b"x"), conn.co_exchange("GET", "/")):
        next(going)
        late = ConnectionTimedOut("too late", phase="total")
        late.label("POST", "http://script.test/")
        with pytest.raises(ConnectionTimedOut):
            going.throw(late)
        assert late.request_sent == "maybe"
    assert conn.is_open()


def test_a_large_upload_leaves_room_for_other_requests(open_to):
    """Whatever the windows allow, little of it is queued before it is sent."""
    conn, stream = open_to(settings={"initial_window_size": 2**30})
    stream.peer.connection.increment_flow_control_window(2**30)
    stream.on_the_way += stream.peer.connection.data_to_send()
    stream.arrive()
    conn.is_open()
    stream.room = 1000
    going = conn.co_exchange("PUT", "/echo", None, bytes(3_000_000))
    next(going)
    output = conn._session.shared.pump.engine.output
    assert output.queued - output.sent < 2 * 262_144
    stream.room = 1 << 30
    assert bodies_of(stream, going, conn.co_exchange("GET", "/")) == [bytes(3_000_000), b"hello"]
    assert [request.stream for request in stream.peer.requests] == [3, 1]  # the small one first


@pytest.mark.parametrize("ahead", [0, 30_000])
@pytest.mark.parametrize("size", [262_144, 262_145, 300_000, 3 * 262_144 + 1])
@pytest.mark.parametrize("kind", ["exchange", "send_request", "write"])
def test_no_part_of_a_body_is_left_unsent_while_its_response_is_waited_for(
    open_to, kind, size, ahead
):
    """Also if the window of the connection allows fewer bytes: then these are sent."""
    body = pattern(size)
    conn, stream = open_to(settings={"initial_window_size": 2**30})
    peer = stream.peer
    peer.connection.increment_flow_control_window(size - 65535 - ahead)
    stream.on_the_way += peer.connection.data_to_send()
    stream.arrive()
    conn.is_open()
    if kind == "exchange":
        going = conn.co_exchange("PUT", "/echo", None, body)
    elif kind == "send_request":
        going = conn.co_send_request("PUT", "/echo", None, body)
    else:
        finish(conn.co_send_request("PUT", "/echo", None, BodyFollowing(size)))
        going = conn.co_write(body)
    try:
        while (need := next(going))[0] != stream.fd:
            assert need.poll(60_000)  # others have their turn
    except StopIteration:
        assert kind != "exchange"
        assert not ahead
    received = sum(
        len(event.data) for event in peer.events if isinstance(event, h2.events.DataReceived)
    )
    assert received == size - ahead
    going.close()
