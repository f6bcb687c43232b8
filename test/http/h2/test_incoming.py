"""HEADERS and DATA: what a response becomes, and what has come late."""

import gc

import pytest
from kit.h2_engine import flush, opened, pairs, request, started
from kit.h2_frames import (
    CONTINUATION,
    END_HEADERS,
    HEADERS,
    OK,
    RST_STREAM,
    WINDOW_UPDATE,
    data,
    frame,
    headers,
    literal,
    ping,
    rst_stream,
)

from dugong_like import InvalidResponse
from dugong_like.http.h2.stream import State, Stream


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


NEXT = 9  # the identifier of the stream that `warm` opens
LONG = ("content-length", "5")
ADDING = b"\x88\x40" + literal("x-a") + literal("b")  # 200, and an entry for the table
WINDOW = 20_000


def warm(method):
    """Return an engine that knows some header blocks, and a stream whose request has ended."""
    engine = started(stream_window=WINDOW)
    for before in (
        frame(HEADERS, END_HEADERS, 1, ADDING),
        headers(3, OK, LONG),
        headers(5),
        headers(7, (":status", "103")) + headers(7, (":status", "204")),
    ):
        engine.open(request(), True)
        engine.receive(before)
    for stream in [*engine.streams]:
        engine.reset(stream)
    stream = engine.open(request(method), True)
    assert stream.id == NEXT
    flush(engine)
    return engine, stream


def taken(engine, stream, wire, *, as_a_whole, pieces=1):
    """Return True if the shorter way was gone, and all that a reader and later frames can see."""
    memory = memoryview(bytearray(300_000))
    memory[: len(wire)] = wire
    body = engine.take_whole(stream, memory, len(wire)) if as_a_whole else None
    is_whole = body is not None
    if not is_whole:
        size = max(1, len(wire) // pieces)
        for at in range(0, len(wire), size):
            engine.receive(wire[at : at + size])
        body = stream.take_all()
        engine.consumed(stream, len(body))
    head = stream.head
    shared = engine._shared
    decoder = shared.decoder
    decoder._add_noted()
    return is_whole, (
        (body, stream.state, stream.ended, repr(stream.error), stream.trailers),
        (stream.missing if head is None else (head.status, head.fields), stream.interim),
        (stream.receive_window, shared.receive_window.left, shared.receive_window._unreported),
        (shared.floods.cost, repr(engine.ended), [each.id for each in engine.streams]),
        (decoder._size, [*decoder._entries], flush(engine)),
    )


HEAD, END = headers(NEXT, OK, LONG), data(NEXT, b"hello", end=True)
USUAL = {
    "with Content-Length": HEAD + END,
    "without": headers(NEXT) + END,
    "as large as a frame": headers(NEXT) + data(NEXT, bytes(16384), end=True),
    "adding to the table": frame(HEADERS, END_HEADERS, NEXT, ADDING) + END,
}
UNUSUAL = {
    **{f"cut after {size} bytes": (HEAD + END)[:size] for size in range(1, len(HEAD + END))},
    "PING behind it": HEAD + END + ping(b"12345678"),
    "PING in front of it": ping(b"12345678") + HEAD + END,
    "PING in between": HEAD + ping(b"12345678") + END,
    "content in two frames": HEAD + data(NEXT, b"he") + data(NEXT, b"llo", end=True),
    "an empty frame at the end": HEAD + data(NEXT, b"hello") + data(NEXT, b"", end=True),
    "padding": HEAD + data(NEXT, b"hello", end=True, padding=3),
    "no content": headers(NEXT, end=True),
    "no content in a frame": headers(NEXT) + data(NEXT, b"", end=True),
    "no end": HEAD + data(NEXT, b"hello"),
    "two ends": headers(NEXT, end=True) + END,
    "trailers": HEAD + data(NEXT, b"hello") + headers(NEXT, ("x-sum", "1"), end=True),
    "less than Content-Length": HEAD + data(NEXT, b"hell", end=True),
    "more than Content-Length": HEAD + data(NEXT, b"hello!", end=True),
    "content in a 204": headers(NEXT, (":status", "204")) + END,
    "an interim response": headers(NEXT, (":status", "103")) + HEAD + END,
    "content behind an interim head": headers(NEXT, (":status", "103")) + END,
    "another stream": headers(NEXT + 2) + data(NEXT + 2, b"hello", end=True),
    "content of another stream": HEAD + data(NEXT + 2, b"hello", end=True),
    "fields of another stream": headers(NEXT + 2, OK, LONG) + END,
    "a stream of the past": headers(7) + data(7, b"hello", end=True),
    "a frame that is too large": headers(NEXT) + data(NEXT, bytes(16385), end=True),
    "unknown fields": headers(NEXT, OK, ("x-b", "c")) + END,
    "invalid fields": headers(NEXT, OK, ("X-b", "c")) + END,
    "reset": rst_stream(NEXT),
    "an unknown frame": frame(0x99, 0, NEXT, b"abc"),
    "HEADERS with a priority": frame(HEADERS, END_HEADERS | 0x20, NEXT, bytes(5) + ADDING) + END,
    "HEADERS and CONTINUATION": frame(HEADERS, 0, NEXT, ADDING[:3])
    + frame(CONTINUATION, END_HEADERS, NEXT, ADDING[3:])
    + END,
}


@pytest.mark.parametrize("method", [b"GET", b"POST", b"HEAD"])
def test_a_response_that_is_taken_as_a_whole_leaves_what_its_frames_would(method):
    """The shorter way takes usual responses only, and does all that the longer one does."""
    for name, wire in [*USUAL.items(), *UNUSUAL.items()]:
        is_whole, state = taken(*warm(method), wire, as_a_whole=True)
        assert state == taken(*warm(method), wire, as_a_whole=False)[1], name
        if is_whole:  # also if no frame comes at once, so that there is no shorter way
            assert state == taken(*warm(method), wire, as_a_whole=False, pieces=40)[1], name
        assert is_whole is (name in USUAL and method != b"HEAD"), name


def test_no_response_is_taken_as_a_whole_that_breaks_a_window_or_comes_too_late():
    wire = USUAL["as large as a frame"]
    for window, change in (("_shared.receive_window.left", 16383), ("stream", 16383)):
        states = []
        for as_a_whole in (True, False):
            engine, stream = warm(b"GET")
            if window == "stream":
                stream.receive_window = change
            else:
                engine._shared.receive_window.left = change
            is_whole, state = taken(engine, stream, wire, as_a_whole=as_a_whole)
            assert not is_whole
            states.append(state)
        assert states[0] == states[1], window
    engine, stream = warm(b"GET")
    engine.reset(stream)
    assert engine.take_whole(stream, memoryview(wire), len(wire)) is None
    engine, stream = warm(b"GET")
    engine.receive(b"\0")
    assert engine.take_whole(stream, memoryview(wire), len(wire)) is None
    engine, stream = warm(b"GET")
    engine.lost(InvalidResponse("over"))
    assert engine.take_whole(stream, memoryview(wire), len(wire)) is None


def test_no_stream_is_kept_whose_response_was_taken_as_a_whole():
    """A program that makes one request after the other may receive in no other way."""
    engine, stream = warm(b"GET")
    before = streams_alive()
    for _ in range(10):
        wire = headers(stream.id) + data(stream.id, b"hello", end=True)
        assert engine.take_whole(stream, memoryview(wire), len(wire)) == b"hello"
        assert (stream.buffered, stream.pieces) == (0, ())
        stream = engine.open(request(), True)
    assert streams_alive() == before


def streams_alive():
    gc.collect()
    return sum(type(each) is Stream for each in gc.get_objects())


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
