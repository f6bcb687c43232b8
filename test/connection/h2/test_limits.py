"""Time limits of the waits over HTTP/2."""

from contextlib import ExitStack

import pytest
from kit.h2_server import Answer
from kit.h2_streams import PeerStream, bodies_of, going_on, results_of
from kit.support import pattern

from dugong_like import ConnectionTimedOut, H2Options, Timeouts
from dugong_like.connection.connection_view import ConnectionView
from dugong_like.connection.h2 import limits


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
