"""SETTINGS of both sides: what they change, and from when on."""

import pytest
from kit.h2_engine import flush, opened, request, started
from kit.h2_frames import (
    CONNECT_PROTOCOL,
    FRAME_SIZE,
    MAX_STREAMS,
    RST_STREAM,
    SETTINGS,
    SETTINGS_ACK,
    TABLE_SIZE,
    WINDOW,
    data,
    frame,
    headers,
    settings,
)

from dugong_like import StateError
from dugong_like.http.h2.engine import Engine
from dugong_like.http.h2.options import H2Options, H2Settings


def test_settings_are_acknowledged_and_add_up():
    engine = started((MAX_STREAMS, 5), (WINDOW, 1000))
    assert not engine.receive(settings((WINDOW, 2000), (0xABC, 1)))
    (reply,) = flush(engine)
    assert (reply.kind, reply.flags, reply.payload) == (SETTINGS, 1, b"")

    assert engine.remote_settings == H2Settings(max_concurrent_streams=5, initial_window_size=2000)


@pytest.mark.parametrize("wire", [frame(SETTINGS, 0, 1), frame(SETTINGS, 1, 1)])
def test_settings_are_of_the_connection(wire):
    engine = Engine(H2Options())
    engine.receive(settings() + wire)
    assert "SETTINGS on stream 1 instead of the connection" in str(engine.ended)


@pytest.mark.feature("C29")
def test_the_number_of_streams_is_the_smaller_one_of_both_sides():
    engine = started((MAX_STREAMS, 5), max_streams=3)
    assert engine.room() == 3
    engine.receive(settings((MAX_STREAMS, 1)))
    assert engine.room() == 1
    engine.open(request(), True)
    assert engine.room() == 0
    engine.receive(settings((MAX_STREAMS, 0)))
    assert (engine.room(), engine.can_open()) == (0, True)  # it may become more
    engine.receive(settings((MAX_STREAMS, 2**32 - 1)))
    assert engine.room() == 2


def test_send_windows_follow_and_may_become_negative():
    engine, stream = opened((WINDOW, 100), method=b"POST", end=False)
    assert engine.send_data(stream, bytes(150), True) == 100
    assert not engine.receive(settings((WINDOW, 20)))
    assert stream.window == -80
    assert engine.send_data(stream, bytes(50), True) == 0
    assert not engine.receive(settings((WINDOW, 90)))
    assert stream.window == -10
    assert [*engine.receive(settings((WINDOW, 130)))] == [stream]
    assert engine.send_data(stream, bytes(50), True) == 30
    other = engine.open(request(b"POST"), False)
    assert other.window == 130


def test_an_empty_end_is_sent_with_a_negative_window():
    engine, stream = opened((WINDOW, 100), method=b"POST", end=False)
    assert engine.send_data(stream, bytes(100), False) == 100
    engine.receive(settings((WINDOW, 20)))
    assert stream.window == -80

    assert engine.send_data(stream, b"", True) == 0
    assert stream.request_ended
    assert (flush(engine)[-1].flags, flush(engine)) == (1, [])


def test_larger_frames_once_the_server_takes_them():
    engine, stream = opened(
        (WINDOW, 100_000), (FRAME_SIZE, 20_000), method=b"POST", end=False
    )  # fmt: skip
    assert engine.send_data(stream, bytes(30_000), False) == 30_000
    assert [len(frame.payload) for frame in flush(engine)] == [20_000, 10_000]


def test_a_smaller_receive_window_counts_from_the_acknowledgement_on():
    engine = Engine(H2Options(stream_window=1000))
    engine.receive(settings())
    stream = engine.open(request(), True)
    assert stream.receive_window == 65535  # the server may not know better (section 6.9.2)
    engine.receive(headers(1) + data(1, bytes(5000)))
    assert stream.error is None
    engine.receive(SETTINGS_ACK)
    assert stream.receive_window == -4000
    assert engine.open(request(), True).receive_window == 1000
    engine.receive(data(1))  # empty, so a negative window allows it
    assert stream.error is None
    engine.consumed(stream, len(stream.take_all()))
    assert stream.receive_window > 0
    flush(engine)
    engine.receive(data(1, bytes(10_000)))
    assert "beyond the window of the stream" in str(stream.error)
    assert [frame.kind for frame in flush(engine)] == [RST_STREAM]


def test_a_larger_receive_window_counts_at_once():
    engine = Engine(H2Options(stream_window=100_000))
    engine.receive(settings())
    stream = engine.open(request(), True)
    engine.receive(headers(1) + data(1, bytes(16384)) * 6)

    assert stream.error is None


def test_tables_of_both_sides():
    engine = started((TABLE_SIZE, 0), settings=H2Settings(header_table_size=0))
    fields = request(b"GET", (b"x-field", b"some value"))
    engine.open(fields, True)
    first = flush(engine)
    engine.open(fields, True)
    second = flush(engine)
    assert first[0].payload[0] == 0x20  # a size of 0 (RFC 7541 section 6.3)
    assert len(second[0].payload) == len(first[0].payload) - 1
    stream = engine.open(request(), True)
    engine.receive(headers(stream.id))  # which has to begin with a size, too
    assert "size" in str(engine.ended)


def test_extended_connect_if_the_server_takes_it():
    fields = (request(b"CONNECT")[0], (b":protocol", b"websocket"), *request()[1:])
    engine = started()
    with pytest.raises(StateError, match=r"RFC 8441"):
        engine.open(fields, False)
    engine.receive(settings((CONNECT_PROTOCOL, 1)))
    stream = engine.open(fields, False)
    flush(engine)
    engine.receive(headers(stream.id) + data(stream.id, b"frames"))

    assert (stream.tunnel, stream.take_all(), stream.error) == (True, b"frames", None)
