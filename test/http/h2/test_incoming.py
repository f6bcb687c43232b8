"""HEADERS and DATA: what a response becomes, and what has come late."""

import pytest
from kit.h2_engine import flush, opened, pairs, request, started
from kit.h2_frames import (
    OK,
    RST_STREAM,
    WINDOW_UPDATE,
    data,
    headers,
)

from dugong_like import InvalidResponse
from dugong_like.http.h2.stream import State


def test_a_response_with_everything():
    engine, stream = opened()
    engine.receive(headers(1, (":status", "103"), ("link", "</x>")))
    assert (len(stream.informational), stream.head, stream.request_sent) == (1, None, "yes")
    engine.receive(headers(1, OK, ("content-length", "10"), ("x-a", "b")))
    assert (stream.head.status, stream.missing, stream.ended) == (200, 10, False)
    engine.receive(data(1, b"hello") + data(1, b"world", padding=3))
    assert (stream.buffered, stream.take_all(), stream.missing) == (10, b"helloworld", 0)
    assert stream.state is State.HALF_CLOSED_LOCAL
    engine.receive(headers(1, ("x-sum", "1"), end=True))
    assert pairs(stream.trailers) == [(b"x-sum", b"1")]
    assert (stream.ended, stream.state, stream.error) == (True, State.CLOSED, None)
    assert stream.informational.popleft().status == 103
    assert not engine.streams


def test_a_head_that_ends_the_response():
    engine, stream = opened()
    engine.receive(headers(1, (":status", "404"), end=True))
    assert (stream.head.status, stream.ended, stream.take_all()) == (404, True, b"")


def test_a_response_that_begins_before_the_request_has_ended():
    engine, stream = opened(method=b"POST", end=False)
    engine.receive(headers(1))
    assert engine.send_data(stream, b"ping", False) == 4
    engine.receive(data(1, b"pong"))
    engine.receive(data(1, b"", end=True))
    assert stream.state is State.HALF_CLOSED_REMOTE
    engine.send_trailers(stream, ((b"x-sum", b"1"),))
    assert (stream.state, stream.ended, stream.answered_early) == (State.CLOSED, True, False)


def test_several_frames_in_one_buffer_for_several_streams():
    engine = started()
    streams = [engine.open(request(), True) for _ in range(5)]
    wire = b"".join(headers(each.id) + data(each.id, b"%d" % each.id, end=True) for each in streams)
    assert [*engine.receive(wire)] == streams
    assert [each.take_all() for each in streams] == [b"1", b"3", b"5", b"7", b"9"]


def test_a_malformed_response_leaves_others_alone():
    engine = started()
    bad, good = (engine.open(request(), True) for _ in range(2))
    flush(engine)
    wire = headers(1, OK, ("Bad", "x")) + headers(3) + data(1, b"late") + data(3, b"x", end=True)
    assert [*engine.receive(wire)] == [bad, good]
    assert type(bad.error) is InvalidResponse
    assert str(bad.error) == (
        "the name of a field has upper-case letters (RFC 9113 section 8.2.1): b'Bad', on stream 1"
    )
    assert bad.error.request_sent == "maybe"  # no head has been taken
    assert (bad.state, bad.take_all()) == (State.CLOSED, b"")
    assert good.ended
    assert [(each.kind, each.stream) for each in flush(engine)] == [(RST_STREAM, 1)]


@pytest.mark.parametrize("size", [0, 5, 255])
def test_padding_is_given_back_and_never_read(size):
    engine, stream = opened(stream_window=1000, max_stream_window=1000)
    engine.receive(headers(1))
    total = 0
    for _ in range(20):
        engine.receive(data(1, b"abc", padding=size))
        assert stream.take_all() == b"abc"
        engine.consumed(stream, 3)
        total += 3 + 1 + size
        assert stream.receive_window + stream.unreported == 1000
    updates = [each.code for each in flush(engine) if each.kind == WINDOW_UPDATE]
    assert sum(updates) + stream.unreported == total


@pytest.mark.parametrize("ended", [True, False])
def test_an_empty_frame_behind_the_end_is_nothing(ended):
    """nginx (1.22) sends it behind a response without content."""
    engine, stream = opened(method=b"POST", end=ended)
    engine.receive(headers(1, end=True))
    flush(engine)
    engine.receive(data(1, b"", end=True) * 3)
    assert (engine.ended, stream.error, stream.ended) == (None, None, True)
    assert flush(engine) == []


def test_late_content_goes_back_to_the_window_of_the_connection():
    engine = started(connection_window=100_000)
    stream = engine.open(request(), True)
    flush(engine)
    engine.receive(headers(1) + data(1, bytes(16_000)))
    engine.reset(stream)
    assert (stream.buffered, stream.take_all()) == (0, b"")
    for _ in range(15):
        engine.receive(data(1, bytes(16_000), padding=0))
    assert engine.ended is None
    updates = [each for each in flush(engine) if each.kind == WINDOW_UPDATE]
    assert {each.stream for each in updates} == {0}
    late = 16_000 + 15 * 16_001
    assert late - 50_000 < sum(each.code for each in updates) <= late


def test_the_tables_stay_in_step_when_nobody_wants_a_response():
    engine = started(max_fields=3)
    one, two, three = (engine.open(request(), True) for _ in range(3))
    engine.reset(one)
    # Each block adds a field to the table (RFC 7541 section 6.2.1), and the next one uses it.
    added = b"\x88\x40\x03x-a\x01b"
    assert not engine.receive(b"\0\0\x08\x01\4\0\0\0\1" + added)
    many = b"\x88\xbe\xbe\xbe\x40\x03x-c\x01d"
    engine.receive(len(many).to_bytes(3, "big") + b"\1\4\0\0\0\3" + many)
    assert "3" in str(two.error)
    both = b"\x88\xbe\xbf"
    engine.receive(len(both).to_bytes(3, "big") + b"\1\5\0\0\0\5" + both)
    assert pairs(three.head.fields) == [(b"x-c", b"d"), (b"x-a", b"b")]
