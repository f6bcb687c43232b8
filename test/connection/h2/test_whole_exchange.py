"""Whole exchanges over HTTP/2, as one operation."""

import pytest
from kit.h2_server import Answer
from kit.h2_streams import answer_early, going_on, results_of
from kit.streams import finish

from dugong_like import Budget, ConnectionTimedOut, Timeouts


@pytest.mark.parametrize("max_body", [None, 1000])
def test_a_reply_has_all_that_a_response_has(open_to, max_body):
    budget = None if max_body is None else Budget(max_body=max_body)
    app = lambda request: Answer(fields=[("x-a", "b")], body=b"xy", trailers=[("x-t", "1")])  # noqa: E731
    conn, stream = open_to(app, budget=budget)
    (reply,) = results_of(stream, conn.co_exchange("GET", "/"))
    assert (reply.status, reply.reason, reply.body, reply.length) == (200, "", b"xy", 2)
    assert (reply.field("X-A"), reply.trailer_pairs()) == ("b", [("x-t", "1")])
    assert (reply.http_version, reply.stream_id) == ("2", 1)


def test_early_final_response_is_the_reply(open_to):
    conn, stream = open_to(settings={"initial_window_size": 10})
    stream.peer.connection.increment_flow_control_window = lambda *_: None
    going = conn.co_exchange("PUT", "/", None, b"x" * 100)
    exchange = going.gi_frame.f_locals["exchange"]
    while exchange.stream_id is None:
        next(going)
    answer_early(stream, exchange, reset=True)
    reply = going_on(stream, going)
    assert (reply.status, reply.body) == (413, b"no")


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
