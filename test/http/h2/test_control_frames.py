"""Frames without fields and content: PING, GOAWAY, RST_STREAM, WINDOW_UPDATE."""

import pytest
from kit.h2_engine import flush, opened, request, started
from kit.h2_frames import (
    CANCEL,
    ENHANCE_YOUR_CALM,
    GOAWAY,
    MAX_STREAMS,
    PING,
    PRIORITY,
    REFUSED_STREAM,
    SETTINGS_ACK,
    WINDOW,
    data,
    frame,
    goaway,
    headers,
    ping,
    rst_stream,
    settings,
    window_update,
)

from dugong_like import ConnectionClosed, GoneAway, StateError, StreamReset
from dugong_like.http.h2.floods import MAX_COST, SETTINGS_COST
from dugong_like.http.h2.violations import ErrorCode


def test_ping_of_the_server_is_answered():
    engine = started()
    assert not engine.receive(ping(b"abcdefgh"))
    assert [(each.kind, each.flags, each.payload) for each in flush(engine)] == [
        (PING, 1, b"abcdefgh")
    ]


def test_ping_of_this_side():
    engine = started()
    first, second = engine.ping(), engine.ping(b"12345678")
    assert [each.payload for each in flush(engine)] == [first, second]
    assert [*engine.pings] == [first, second]
    engine.receive(ping(second, ack=True))
    assert [*engine.pings] == [first]
    engine.receive(ping(second, ack=True))  # an answer to nothing
    engine.receive(ping(first, ack=True))
    assert not engine.pings
    assert engine.ping() != first
    engine.ping((engine._pings_made + 1).to_bytes(8, "big"))
    assert engine.ping() in engine.pings
    with pytest.raises(StateError, match="same payload"):
        engine.ping(engine.ping())
    with pytest.raises(ValueError, match="8 bytes, not 3"):
        engine.ping(b"abc")


def test_goaway_ends_the_streams_that_the_server_will_not_process():
    engine = started()
    one, two, three = (engine.open(request(), True) for _ in range(3))
    flush(engine)
    assert [*engine.receive(goaway(3, 0, b"bye"))] == [three]
    assert (one.error, two.error) == (None, None)
    error = three.error
    assert type(error) is GoneAway
    assert (error.last_id, error.code, error.debug) == (3, ErrorCode.NO_ERROR, b"bye")
    assert (error.request_sent, error.retryable) == ("no", True)
    assert str(error) == (
        "the server has ended the connection by GOAWAY (NO_ERROR), with stream 3 as the last one: "
        "b'bye' (RFC 9113 section 6.8)"
    )
    assert (engine.room(), engine.can_open(), engine.ended) == (0, False, None)
    assert (engine.goaway.last_id, engine.goaway.debug) == (3, b"bye")
    engine.receive(headers(1) + data(1, b"still", end=True) + headers(5))
    assert one.take_all() == b"still"
    assert [*engine.receive(goaway(1))] == [two]
    assert two.request_sent == "no"


def test_the_end_of_the_connection_after_goaway_has_its_reason():
    engine, stream = opened()
    engine.receive(goaway(1, ENHANCE_YOUR_CALM, b"too_many"))
    assert stream.error is None
    assert [*engine.lost(ConnectionClosed("the server closed the connection"))] == [stream]
    assert type(stream.error) is GoneAway
    assert (stream.error.code, stream.error.debug) == (ErrorCode.ENHANCE_YOUR_CALM, b"too_many")
    assert "ENHANCE_YOUR_CALM" in str(stream.error)
    assert (stream.error.request_sent, stream.request_sent) == ("maybe", "maybe")
    assert str(stream.error.__cause__) == "the server closed the connection"


def test_goaway_without_an_error_is_no_reason():
    engine, stream = opened()
    engine.receive(goaway(1))
    engine.lost(ConnectionClosed("gone"))
    assert type(stream.error) is ConnectionClosed


@pytest.mark.parametrize(
    ("answer", "code", "sent", "retryable"),
    [
        (b"", REFUSED_STREAM, "no", True),
        (b"", CANCEL, "maybe", True),
        (b"", 0xD, "maybe", False),
        (headers(1, (":status", "103")), CANCEL, "yes", True),
        (headers(1), 0x2, "yes", True),
        (headers(1) + data(1, b"part"), REFUSED_STREAM, "yes", True),
        (b"", 0xABCD, "maybe", False),
    ],
)
def test_reset_by_the_server(answer, code, sent, retryable):
    engine, stream = opened()
    other = engine.open(request(), True)
    engine.receive(answer)
    assert [*engine.receive(rst_stream(1, code))] == [stream]
    error = stream.error
    assert type(error) is StreamReset
    assert (error.code, error.request_sent, error.retryable) == (code, sent, retryable)
    assert stream.request_sent == sent
    name = ErrorCode(code).name if code < 14 else "error 0xabcd"
    assert str(error) == f"the server has reset stream 1: {name}"
    assert (other.error, stream.ended) == (None, False)
    assert not flush(engine)[1:]  # HEADERS of the other stream only


def test_what_came_before_a_reset_can_be_read():
    engine, stream = opened()
    engine.receive(headers(1) + data(1, b"part") + rst_stream(1))
    assert (stream.take_all(), stream.ended) == (b"part", False)


def test_early_final_response():
    engine, stream = opened(method=b"POST", end=False)
    engine.receive(headers(1, (":status", "413")) + data(1, b"no", end=True))
    assert not stream.answered_early
    assert engine.send_data(stream, b"more", False) == 4  # the server may want it
    engine.receive(rst_stream(1, 0))
    assert stream.answered_early
    assert (stream.error, stream.ended, stream.take_all()) == (None, True, b"no")
    with pytest.raises(StateError, match="nothing more can be sent on stream 1"):
        engine.send_data(stream, b"more", False)
    assert stream not in engine.streams


def test_blocked_streams_hear_of_room():
    engine = started((WINDOW, 10))
    one, two = (engine.open(request(b"POST"), False) for _ in range(2))
    assert not engine.receive(window_update(1, 5))  # which nobody waits for
    assert engine.send_data(one, bytes(20), True) == 15
    assert not engine.receive(window_update(3, 5) + window_update(0, 5))
    assert [*engine.receive(window_update(1, 5))] == [one]
    assert engine.send_data(one, bytes(5), False) == 5
    assert not engine.receive(window_update(1, 5))


def test_blocked_streams_hear_of_room_of_the_connection():
    engine = started((WINDOW, 100_000))
    one, two = (engine.open(request(b"POST"), False) for _ in range(2))
    assert engine.send_data(one, bytes(100_000), True) == 65535
    assert engine.send_data(two, bytes(5), True) == 0
    assert engine.window == 0
    assert not engine.receive(window_update(1, 5))
    assert [*engine.receive(window_update(0, 5))] == [one, two]
    assert engine.is_blocked(two)
    engine.reset(one)
    assert not engine.receive(window_update(0, 5)), "it was given before"
    assert engine.send_data(two, bytes(50), False) == 10
    assert [*engine.receive(window_update(0, 5))] == [two]
    engine.send_trailers(two, ((b"a", b"b"),))  # in place of the rest
    assert not engine.receive(window_update(0, 5))


# Each kind of frame without use, by what it costs.
FLOODS = {
    "settings": (settings(), SETTINGS_COST),
    "empty DATA": (data(1), 1),
    "padding": (data(1, padding=1), 1),
    "PRIORITY": (frame(PRIORITY, 0, 1, bytes(5)), 1),
    "WINDOW_UPDATE": (window_update(1, 1), 1),
    "WINDOW_UPDATE of the connection": (window_update(0, 1), 1),
    "WINDOW_UPDATE of a closed stream": (window_update(3, 1), 1),
    "RST_STREAM": (rst_stream(3), 1),
    "HEADERS": (headers(3), 1),
    "empty late DATA": (data(3), 1),
    "answers to PING": (ping(ack=True), 1),
    "PING": (ping(), 1),
    "GOAWAY": (goaway(), 1),
    "extensions": (frame(0xBE, 0, 0, b"x"), 1),
}


@pytest.mark.reliability(70)
@pytest.mark.parametrize("name", FLOODS)
def test_floods(name):
    wire, cost = FLOODS[name]
    most = MAX_COST // cost
    engine, stream = opened()
    engine.reset(engine.open(request(), True))
    engine.receive(headers(1))
    sent = 0
    while sent < most:
        engine.receive(wire * 100)
        flush(engine)  # so that it is not the replies that end it
        sent += 100
    assert engine.ended is None
    engine.receive(data(1, b"x"))  # with use, so the count begins again
    engine.receive(wire)
    assert engine.ended is None
    while engine.ended is None and sent < 3 * most:
        flush(engine)
        engine.receive(wire * 100)
        sent += 100
    assert "frames without use that cost more than 10000" in str(engine.ended)
    (end,) = [each for each in flush(engine) if each.kind == GOAWAY]
    assert (end.code, stream.error.request_sent) == (ENHANCE_YOUR_CALM, "yes")


def test_large_frames_without_use_cost_more():
    engine, _ = opened()
    engine.reset(engine.open(request(), True))
    flush(engine)
    large = headers(3, *[("a", "b" * 100)] * 100)
    while engine.ended is None:
        before = engine._shared.floods.cost
        engine.receive(large)
    assert before < MAX_COST < engine._shared.floods.cost == before + 11
    engine, _ = opened()
    engine.receive(settings(*[(0xABC, 1)] * 1000))
    assert engine._shared.floods.cost == SETTINGS_COST + 60


@pytest.mark.reliability(70)
def test_replies_that_the_server_does_not_take_in():
    engine, stream = opened()
    engine.receive(ping() * 999)
    flush(engine)
    engine.receive(ping() * 1000)
    assert engine.ended is None
    assert [*engine.receive(ping())] == [stream]
    assert "more than 1000 replies" in str(engine.ended)
    assert flush(engine)[-1].code == ENHANCE_YOUR_CALM


def test_updates_that_a_long_upload_causes_are_no_flood():
    engine, stream = opened((WINDOW, 2**31 - 1), method=b"POST", end=False)
    engine.receive(window_update(0, 2**31 - 1 - 65535))
    for _ in range(MAX_COST):
        engine.send_data(stream, b"x", False)
    flush(engine)
    for _ in range(MAX_COST):
        engine.receive(window_update(0, 1) + window_update(1, 1))
    assert engine.ended is None
    engine.receive(window_update(1, 1) * (MAX_COST + 1))
    assert engine.ended is not None


def test_an_acknowledgement_too_many_is_an_error_and_one_too_few_is_none():
    engine = started((MAX_STREAMS, 1))
    engine.receive(SETTINGS_ACK)
    assert "SETTINGS that were not sent" in str(engine.ended)
