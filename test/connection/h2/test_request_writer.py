"""Requests over HTTP/2: bodies that follow, windows, early answers, and what is given up."""

import collections
from contextlib import ExitStack, suppress

import h2.events
import pytest
from kit.h2_server import h2_server
from kit.h2_streams import answer_early, bodies_of, going_on
from kit.steps import PACKAGE, Steps
from kit.streams import finish
from kit.support import pattern

from dugong_like import (
    AnsweredEarly,
    BodyFollowing,
    DugongError,
    ExcessBodyData,
    HTTPConnection,
    InvalidRequest,
    StateError,
)
from dugong_like.connection.connection_view import ConnectionView

WINDOW = 65_535  # bytes, the usual one
MOST_CODES, MOST_FRAMES = 2950, 72  # for each window of an upload, with 8 WINDOW_UPDATE


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


def test_the_body_waits_for_100(site):
    site.send_request("PUT", "/echo", body=BodyFollowing(2), expect100=True)
    with pytest.raises(StateError, match=r"has to wait for 100 \(Continue\)"):
        site.write(b"ab")
    assert site.read_response().status == 100
    site.write(b"ab")
    assert (site.read_response().status, site.read()) == (200, b"ab")


@pytest.mark.parametrize("reset", [True, False])
@pytest.mark.parametrize("blocked", [True, False])
def test_early_final_response(open_to, reset, blocked):
    conn, stream = open_to(settings={"initial_window_size": 10})
    exchange = going_on(stream, conn.co_send_request("PUT", "/", body=BodyFollowing()))
    writing = conn.co_write(b"x" * 100)
    if blocked:
        stream.peer.connection.increment_flow_control_window = lambda *_: None
        next(writing)
    answer_early(stream, exchange, reset=reset)
    if not blocked:
        conn.is_open()
    with pytest.raises(AnsweredEarly, match="answered 413 before the request") as failure:
        going_on(stream, writing)
    assert failure.value.response.status == 413
    assert conn.body_owed is None
    for write in (conn.co_write, exchange.co_write):  # whether its head was read or not
        with pytest.raises(StateError, match="ended early, by the server's answer"):
            finish(write(b"x"))
    assert going_on(stream, conn.co_read_response()).status == 413
    assert going_on(stream, conn.co_readall()) == b"no"
    assert bodies_of(stream, conn.co_exchange("GET", "/")) == [b"hello"]


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
    answer_early(stream, exchange, reset=False)
    assert finish(reading) == b"no"
    with pytest.raises(AnsweredEarly):
        finish(writing)
    assert conn.is_reusable()
    going_on(stream, conn.co_ping())
    assert [event.error_code for event in stream.peer.events if hasattr(event, "error_code")] == [0]
    assert bodies_of(stream, conn.co_exchange("GET", "/")) == [b"hello"]


ENDS = {
    "early": lambda stream, exchange: answer_early(stream, exchange, reset=False),
    "early, reset": lambda stream, exchange: answer_early(stream, exchange, reset=True),
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


def test_each_window_of_an_upload_takes_few_steps_and_calls_of_the_system(open_to, monkeypatch):
    """A send and a reception, and no copy of what is sent."""
    conn, stream = open_to()
    calls = collections.Counter()
    for name in ("send", "recv_into", "recv_would_block"):
        whole = getattr(stream, name)

        def counting(*args, name=name, whole=whole):
            calls[name] += 1
            if name == "send":
                calls["views"] += sum(type(part) is memoryview for part in args[0])
            return whole(*args)

        monkeypatch.setattr(stream, name, counting)
    body = pattern(10 * WINDOW)
    finish(conn.co_send_request("PUT", "/echo", body=BodyFollowing(len(body))))
    going = conn.co_write(body)
    next(going)  # it has sent what the first window allows
    stream.arrive()
    next(going)
    for _ in range(7):
        stream.arrive()
        calls.clear()
        with Steps(of=PACKAGE) as steps:
            next(going)
        assert calls == {"send": 1, "recv_into": 1, "views": 4}
    stream.arrive()
    finish(going)
    assert stream.peer.requests[-1].body == body
    assert steps.codes <= MOST_CODES, steps.codes
    assert steps.frames <= MOST_FRAMES, steps.frames


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
